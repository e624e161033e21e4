//! All randomness of the crate: ChaCha20 streams under derived keys.
//!
//! A [`Stream`] feeds samplers. An [`Expander`] turns a 32-byte root and a
//! label into independent streams, one per (polynomial, limb), so that limbs
//! can be expanded in parallel and a prefix of the limbs expands alike.

use crate::error::Error;
use crate::params::Preset;
use crate::ring::Modulus;
use crate::simd::{self, BLOCK_BYTES, Isa};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Keystream bytes drawn at once by the bulk methods. [`Stream::fill_uniform`]
/// consumes whole multiples of it, which is part of what a seed means.
pub(crate) const DRAW_BYTES: usize = 4096;

/// Most bytes that [`Stream::blocks`] hands out at once.
const DRAW_BYTES_MAX: usize = 96 * 64;

/// Bytes drawn at once towards the end of [`Stream::fill_uniform`].
const PART_BYTES: usize = 1024;

/// Keystream bytes that a stream draws ahead.
const BUFFER_BYTES: usize = 16 * BLOCK_BYTES;

/// A deterministic random stream keyed by 32 bytes; its state is wiped on drop.
pub struct Stream {
    key: [u32; 8],
    nonce: [u32; 3],
    /// Number of the next block that was not drawn.
    next: u64,
    /// The blocks before `next`, of which `used` bytes are spent: as many as
    /// the widest kernel draws at once, so that no fill ends in single blocks.
    buffer: [u8; BUFFER_BYTES],
    used: usize,
}

impl Drop for Stream {
    fn drop(&mut self) {
        simd::wipe(&mut self.key);
        simd::wipe(&mut self.buffer);
    }
}

impl Stream {
    /// The stream of a seed. Equal seeds give equal streams: use a seed once.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Stream::keyed(&seed, [0; 12])
    }

    /// A stream seeded by the operating system.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the operating system refuses.
    pub fn from_os() -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut seed[..]).map_err(Error::Randomness)?;
        Ok(Stream::keyed(&seed, [0; 12]))
    }

    fn keyed(key: &[u8; 32], nonce: [u8; 12]) -> Self {
        let mut stream = Stream { key: [0; 8], nonce: [0; 3], next: 0, buffer: [0; BUFFER_BYTES], used: BUFFER_BYTES };
        for (word, bytes) in stream.key.iter_mut().zip(key.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        for (word, bytes) in stream.nonce.iter_mut().zip(nonce.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        stream
    }

    /// Overwrites `bytes` with the next keystream bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let left = (BUFFER_BYTES - self.used).min(bytes.len());
        let (first, rest) = bytes.split_at_mut(left);
        first.copy_from_slice(&self.buffer[self.used..self.used + left]);
        self.used += left;
        let (whole, last) = rest.split_at_mut(rest.len() / BUFFER_BYTES * BUFFER_BYTES);
        let counter = self.claim(whole.len() / BLOCK_BYTES);
        simd::keystream(Isa::detect(), &self.key, &self.nonce, counter, whole);
        if !last.is_empty() {
            self.refill();
            last.copy_from_slice(&self.buffer[..last.len()]);
            self.used = last.len();
        }
    }

    /// Passes over the next `bytes` keystream bytes.
    pub(crate) fn skip(&mut self, bytes: usize) {
        let left = BUFFER_BYTES - self.used;
        if bytes <= left {
            self.used += bytes;
            return;
        }
        self.claim((bytes - left) / BLOCK_BYTES);
        self.used = BUFFER_BYTES;
        let last = (bytes - left) % BLOCK_BYTES;
        if last > 0 {
            self.refill();
            self.used = last;
        }
    }

    /// Draws the next blocks ahead.
    fn refill(&mut self) {
        let counter = self.claim(BUFFER_BYTES / BLOCK_BYTES);
        simd::keystream(Isa::detect(), &self.key, &self.nonce, counter, &mut self.buffer);
    }

    /// The number of the next block, after claiming `blocks` of them.
    fn claim(&mut self, blocks: usize) -> u32 {
        let first = self.next;
        self.next += blocks as u64;
        assert!(self.next <= 1 << 32, "a stream ends after 256 GiB");
        first as u32
    }

    /// The next 32 bytes, for instance as the seed of another stream.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        seed
    }

    /// The next 32-bit word.
    pub fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// The next 64-bit word.
    pub fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A uniform number in `[0, 1)` with 53 bits.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Calls `each(at, bytes)` for `total` consecutive bytes in blocks of
    /// `block` bytes, at most [`DRAW_BYTES_MAX`], the last one possibly
    /// shorter; `at` counts bytes. The blocks are on the stack and wiped.
    pub(crate) fn blocks(&mut self, total: usize, block: usize, mut each: impl FnMut(usize, &[u8])) {
        let mut buffer = [0; DRAW_BYTES_MAX];
        for at in (0..total).step_by(block) {
            let bytes = &mut buffer[..block.min(total - at)];
            self.fill(bytes);
            each(at, bytes);
        }
        simd::wipe(&mut buffer);
    }

    /// Calls `each` with `count` consecutive words of `W` bytes.
    pub(crate) fn words<const W: usize>(&mut self, count: usize, mut each: impl FnMut([u8; W])) {
        self.blocks(count * W, DRAW_BYTES, |_, bytes| bytes.as_chunks::<W>().0.iter().for_each(|&word| each(word)));
    }

    /// Fills `out` with uniform residues below `q`, `2^29 < q < 2^30`.
    ///
    /// Takes the low 30 bits of each 32-bit word and drops values `>= q`;
    /// accepted values are independent of the dropped ones. Uses 8 KiB of
    /// stack and allocates nothing.
    pub fn fill_uniform(&mut self, q: u32, out: &mut [u32]) {
        self.uniform(q, out, |out, x| out.copy_from_slice(x));
    }

    /// `x +=` what [`Stream::fill_uniform`] would give.
    pub(crate) fn add_uniform(&mut self, m: &Modulus, x: &mut [u32]) {
        self.uniform(m.value(), x, |x, mask| simd::add(m, x, mask));
    }

    /// `x -=` what [`Stream::fill_uniform`] would give.
    pub(crate) fn sub_uniform(&mut self, m: &Modulus, x: &mut [u32]) {
        self.uniform(m.value(), x, |x, mask| simd::sub(m, x, mask));
    }

    /// Hands out uniform residues for consecutive parts of `out`.
    fn uniform(&mut self, q: u32, out: &mut [u32], mut each: impl FnMut(&mut [u32], &[u32])) {
        let mut bytes = [0u8; DRAW_BYTES];
        let mut accepted = [0u32; DRAW_BYTES / 4];
        let (mut filled, mut spent) = (0, 0);
        while filled < out.len() {
            // In parts at the end, since few words are needed beyond the last
            // whole draw.
            let draw = if spent == 0 && out.len() - filled >= DRAW_BYTES / 4 { DRAW_BYTES } else { PART_BYTES };
            let bytes = &mut bytes[..draw];
            self.fill(bytes);
            spent = (spent + draw) % DRAW_BYTES;
            let count = simd::accept_below(Isa::detect(), q, bytes, &mut accepted[..draw / 4]);
            let take = count.min(out.len() - filled);
            each(&mut out[filled..filled + take], &accepted[..take]);
            filled += take;
        }
        self.skip((DRAW_BYTES - spent) % DRAW_BYTES);
        simd::wipe(&mut bytes);
        simd::wipe(&mut accepted);
    }
}

/// A labelled family of streams: HKDF-SHA-256 over (root, domain, preset,
/// indices), then ChaCha20 with (polynomial, limb) as the nonce.
pub struct Expander {
    key: Zeroizing<[u8; 32]>,
}

impl Expander {
    /// Derives the family's key. `domain` names the purpose, for instance
    /// `"modeA/a"`; `indices` are the numbers it depends on (round, attempt,
    /// chunk, ...), in a fixed order per domain.
    pub fn new(root: &[u8; 32], domain: &str, preset: Preset, indices: &[u64]) -> Self {
        Expander::with_context(root, domain, preset, indices, &[])
    }

    /// As [`Expander::new`], bound to an additional context such as a digest.
    pub fn with_context(root: &[u8; 32], domain: &str, preset: Preset, indices: &[u64], context: &[u8]) -> Self {
        // Every field is preceded by its length or has a fixed one, so that
        // two labels never produce the same input.
        let mut info = Vec::with_capacity(32 + domain.len() + 8 * indices.len() + context.len());
        info.extend_from_slice(&(domain.len() as u64).to_le_bytes());
        info.extend_from_slice(domain.as_bytes());
        info.push(preset.number());
        info.extend_from_slice(&(indices.len() as u64).to_le_bytes());
        for index in indices {
            info.extend_from_slice(&index.to_le_bytes());
        }
        info.extend_from_slice(&(context.len() as u64).to_le_bytes());
        info.extend_from_slice(context);
        let mut key = Zeroizing::new([0u8; 32]);
        let hkdf = Hkdf::<Sha256>::new(Some(b"he-agg/expand/v1"), root);
        let expanded = hkdf.expand(&info, &mut key[..]);
        assert!(expanded.is_ok(), "32 bytes are within HKDF's output limit");
        Expander { key }
    }

    /// The stream of one limb of one polynomial. `limb` is the prime's place
    /// in the frozen list, so a dropped prime does not shift the others.
    pub fn stream(&self, polynomial: u32, limb: u32) -> Stream {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&polynomial.to_le_bytes());
        nonce[4..8].copy_from_slice(&limb.to_le_bytes());
        // Separates the expander's streams from `Expander::sampler`.
        nonce[8] = 1;
        Stream::keyed(&self.key, nonce)
    }

    /// A stream for integer samples (errors, flooding) of one polynomial.
    pub fn sampler(&self, polynomial: u32) -> Stream {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&polynomial.to_le_bytes());
        nonce[8] = 2;
        Stream::keyed(&self.key, nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20::cipher::{KeyIvInit, StreamCipher};

    #[test]
    fn the_stream_is_chacha20_with_a_zero_nonce() {
        // RFC 7539, appendix A.1, test vector 1.
        let mut stream = Stream::from_seed([0; 32]);
        let mut first = [0; 8];
        stream.fill(&mut first);
        assert_eq!(first, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
    }

    #[test]
    fn pieces_of_any_size_join_into_one_stream() {
        let (key, nonce) = ([9; 32], [0; 12]);
        let mut whole = vec![0; 20_000];
        chacha20::ChaCha20::new(&key.into(), &nonce.into()).apply_keystream(&mut whole);
        for start in [0, 1, 63, 64, 65, 127, 1000] {
            let mut stream = Stream::from_seed(key);
            stream.skip(start);
            let mut at = start;
            for len in [1, 62, 64, 3, 0, 700, 128, 1, 4096, 5000] {
                let mut piece = vec![0; len];
                stream.fill(&mut piece);
                assert!(piece == whole[at..at + len], "{start}, {len}");
                at += len;
                stream.skip(len % 150);
                at += len % 150;
            }
        }
    }

    #[test]
    fn uniform_residues_are_the_accepted_words_of_whole_draws() {
        let q = 1_053_818_881;
        let m = Modulus::new(q);
        for (len, offset) in [(1, 0), (255, 0), (1000, 32), (1024, 0), (5000, 7), (8192, 0)] {
            let mut bytes = vec![0; 1 << 16];
            chacha20::ChaCha20::new(&[4; 32].into(), &[0; 12].into()).apply_keystream(&mut bytes);
            let accepted: Vec<(usize, u32)> = bytes[offset..]
                .chunks_exact(4)
                .map(|w| u32::from_le_bytes(w.try_into().unwrap()) % (1 << 30))
                .enumerate()
                .filter(|&(_, x)| x < q)
                .take(len)
                .collect();
            let expected: Vec<u32> = accepted.iter().map(|&(_, x)| x).collect();
            let mut stream = Stream::from_seed([4; 32]);
            stream.skip(offset);
            let mut out = vec![0; len];
            stream.fill_uniform(q, &mut out);
            assert!(out == expected, "{len} from {offset}");
            // The stream goes on behind the last draw of 4,096 bytes.
            let end = offset + (accepted[len - 1].0 / 1024 + 1) * 4096;
            assert_eq!(stream.next_u32().to_le_bytes(), bytes[end..end + 4]);
            // Added and subtracted again.
            let mut x = vec![5; len];
            for sub in [false, true] {
                let mut stream = Stream::from_seed([4; 32]);
                stream.skip(offset);
                if sub {
                    stream.sub_uniform(&m, &mut x)
                } else {
                    stream.add_uniform(&m, &mut x)
                }
                assert!(x.iter().zip(&expected).all(|(&x, &e)| x == if sub { 5 } else { m.add(5, e) }));
            }
        }
    }

    #[test]
    fn labels_that_differ_anywhere_give_different_streams() {
        let root = [7; 32];
        let first = |e: Expander| e.stream(0, 0).next_u64();
        let words = [
            first(Expander::new(&root, "a", Preset::Agg13, &[1, 2])),
            first(Expander::new(&root, "b", Preset::Agg13, &[1, 2])),
            first(Expander::new(&root, "a", Preset::Agg14, &[1, 2])),
            first(Expander::new(&root, "a", Preset::Agg13, &[1, 3])),
            first(Expander::new(&root, "a", Preset::Agg13, &[1])),
            first(Expander::with_context(&root, "a", Preset::Agg13, &[1], &2u64.to_le_bytes())),
            Expander::new(&root, "a", Preset::Agg13, &[1, 2]).stream(1, 0).next_u64(),
            Expander::new(&root, "a", Preset::Agg13, &[1, 2]).stream(0, 1).next_u64(),
            Expander::new(&root, "a", Preset::Agg13, &[1, 2]).sampler(0).next_u64(),
        ];
        let distinct: std::collections::BTreeSet<_> = words.iter().collect();
        assert_eq!(distinct.len(), words.len());
    }

    #[test]
    fn uniform_residues_are_canonical_and_flat() {
        let q = 1_053_818_881;
        let mut out = vec![0; 1 << 17];
        Stream::from_seed([3; 32]).fill_uniform(q, &mut out);
        assert!(out.iter().all(|&x| x < q));
        let mut buckets = [0u32; 64];
        for &x in &out {
            buckets[(u64::from(x) * 64 / u64::from(q)) as usize] += 1;
        }
        let expected = out.len() as f64 / 64.0;
        let chi: f64 = buckets.iter().map(|&b| (f64::from(b) - expected).powi(2) / expected).sum();
        // 63 degrees of freedom: mean 63, standard deviation 11.2.
        assert!(chi < 63.0 + 5.0 * 11.2, "{chi}");
    }
}
