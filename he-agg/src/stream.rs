//! All randomness of the crate: ChaCha20 streams under derived keys.
//!
//! A [`Stream`] feeds samplers. An [`Expander`] turns a 32-byte root and a
//! label into independent streams, one per (polynomial, limb), so that limbs
//! can be expanded in parallel and a prefix of the limbs expands alike.

use crate::error::Error;
use crate::params::Preset;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Keystream bytes drawn at once by the bulk methods.
const BLOCK_BYTES: usize = 4096;

/// A deterministic random stream keyed by 32 bytes; its state is wiped on drop.
pub struct Stream {
    cipher: ChaCha20,
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
        Stream { cipher: ChaCha20::new(key.into(), &nonce.into()) }
    }

    /// Overwrites `bytes` with the next keystream bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
        self.cipher.apply_keystream(bytes);
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

    /// Calls `each` with `count` consecutive words of `W` bytes.
    pub(crate) fn words<const W: usize>(&mut self, count: usize, mut each: impl FnMut([u8; W])) {
        let mut block = Zeroizing::new([0u8; BLOCK_BYTES]);
        let per_block = BLOCK_BYTES / W;
        let mut left = count;
        while left > 0 {
            let take = left.min(per_block);
            let bytes = &mut block[..take * W];
            self.fill(bytes);
            let (words, _) = bytes.as_chunks::<W>();
            words.iter().for_each(|&word| each(word));
            left -= take;
        }
    }

    /// Fills `out` with uniform residues below `q`, `2^29 < q < 2^30`.
    ///
    /// Takes the low 30 bits of each 32-bit word and drops values `>= q`;
    /// accepted values are independent of the dropped ones.
    pub fn fill_uniform(&mut self, q: u32, out: &mut [u32]) {
        let mut block = Zeroizing::new([0u8; BLOCK_BYTES]);
        let mut spare = [0u32; BLOCK_BYTES / 4];
        let mut filled = 0;
        while filled < out.len() {
            self.fill(&mut block[..]);
            let (words, _) = block.as_chunks::<4>();
            // Compact without branching on the word, then copy what fits.
            let mut accepted = 0;
            for &word in words {
                let value = u32::from_le_bytes(word) & ((1 << 30) - 1);
                spare[accepted] = value;
                accepted += usize::from(value < q);
            }
            let take = accepted.min(out.len() - filled);
            out[filled..filled + take].copy_from_slice(&spare[..take]);
            filled += take;
        }
        spare.zeroize();
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

    #[test]
    fn the_stream_is_chacha20_with_a_zero_nonce() {
        // RFC 7539, appendix A.1, test vector 1.
        let mut stream = Stream::from_seed([0; 32]);
        let mut first = [0; 8];
        stream.fill(&mut first);
        assert_eq!(first, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
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
