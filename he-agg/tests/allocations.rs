//! Memory: hot loops allocate nothing, operations stay within stated bounds, and refused bytes
//! cost no more than their own length.
//!
//! The allocator counts per thread, and every operation runs on a pool of one thread, so that
//! the figures are exact and those of the test harness do not matter. `cargo test -p he-agg
//! --test allocations -- --nocapture` prints them, and with `HE_AGG_MEASURE=1` it only prints,
//! for setting new bounds. The README states them in a table of its own.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::print_stdout, reason = "the figures are the point")]
#![expect(unsafe_code, reason = "a counting allocator has to implement GlobalAlloc")]

#[path = "specimens/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the fuzz script is replayed by another binary")]
mod specimens;

use he_agg::aggregation::ChunkSum;
use he_agg::ckks::{Encoder, Evaluator, Hoisted};
use he_agg::multiparty::{HolderKey, ServingSecret};
use he_agg::wire::HEADER_BYTES;
use he_agg::{Coeff, Eval, Expander, Poly, Preset};
use specimens::{Round, Serving, decoders};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// Calls of the allocator.
    count: usize,
    /// Bytes held now, relative to the start of the measurement.
    held: isize,
    /// The most held at a time.
    peak: isize,
    /// Bytes asked for.
    asked: isize,
}

thread_local! {
    static USAGE: Cell<Usage> = const { Cell::new(Usage { count: 0, held: 0, peak: 0, asked: 0 }) };
}

struct Counting;

fn note(count: usize, bytes: isize) {
    // A thread that is being torn down is nobody's measurement.
    let _ = USAGE.try_with(|usage| {
        let mut now = usage.get();
        now.count += count;
        now.held += bytes;
        now.asked += bytes.max(0);
        now.peak = now.peak.max(now.held);
        usage.set(now);
    });
}

// SAFETY: every call is passed on to the system allocator unchanged; counting touches a
// thread-local cell without destructor and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size().cast_signed());
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(0, -layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both copies may exist while the bytes move.
        note(1, size.cast_signed());
        note(0, -layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` allocates, its result included.
fn measure<T>(work: impl FnOnce() -> T) -> (Usage, T) {
    USAGE.set(Usage::default());
    let result = work();
    (USAGE.get(), result)
}

/// Runs a test on a pool of one thread.
fn alone<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(test)
}

#[test]
fn hot_loops_allocate_nothing() {
    alone(|| {
        let params = Preset::Inf13.params();
        let (n, basis) = (params.n, &params.q);
        let expander = Expander::new(&[1; 32], "test", params.preset, &[]);
        let uniform = |i| Poly::<Eval>::uniform(&expander, i, n, basis);
        let (mut a, b, c) = (uniform(0), uniform(1), uniform(2));
        let factors: Vec<u32> = (0..basis.len() as u32).map(|i| i + 7).collect();
        let limb = &basis[2];
        let (mut x, y) = (a.limb(2).to_vec(), b.limb(2).to_vec());
        // Once before: the processor's instruction set is found on first use.
        limb.forward(&mut x);
        let nothing = |name: &str, mut work: Box<dyn FnMut() + '_>| {
            let (usage, ()) = measure(&mut work);
            assert_eq!(usage.count, 0, "{name} allocates");
        };
        nothing("forward transform", Box::new(|| limb.forward(&mut x)));
        nothing("inverse transform", Box::new(|| limb.inverse(&mut x)));
        nothing("limb sum", Box::new(|| limb.add(&mut x, &y)));
        nothing("limb difference", Box::new(|| limb.sub(&mut x, &y)));
        nothing("limb negation", Box::new(|| limb.neg(&mut x)));
        nothing("limb product", Box::new(|| limb.mul(&mut x, &y)));
        nothing("limb product and sum", Box::new(|| limb.mul_add(&mut x, &y, b.limb(2))));
        nothing("limb scalar product", Box::new(|| limb.mul_scalar(&mut x, 5)));
        nothing("limb scalar product and sum", Box::new(|| limb.mul_scalar_add(&mut x, &y, 5)));
        nothing("limb difference and scalar product", Box::new(|| limb.sub_mul_scalar(&mut x, &y, 5)));
        nothing(
            "limb difference, scalar product and sum",
            Box::new(|| limb.sub_mul_scalar_add(&mut x, &y, 5, b.limb(2))),
        );
        nothing("scaled inverse transform", Box::new(|| limb.inverse_scaled(&mut x, 5)));
        nothing("sum", Box::new(|| a.add_assign(&b, basis)));
        nothing("difference", Box::new(|| a.sub_assign(&b, basis)));
        nothing("negation", Box::new(|| a.neg_assign(basis)));
        nothing("product", Box::new(|| a.mul_assign(&b, basis)));
        nothing("product and sum", Box::new(|| a.mul_add(&b, &c, basis)));
        nothing("scalar product", Box::new(|| a.mul_scalars(&factors, basis)));
        nothing("scalar product and sum", Box::new(|| a.mul_scalars_add(&b, &factors, basis)));
        let (usage, coefficients): (_, Poly<Coeff>) = measure(|| a.into_coeff(basis));
        assert_eq!(usage.count, 0, "a transform of all limbs allocates");
        let (usage, _) = measure(|| coefficients.into_eval(basis));
        assert_eq!(usage.count, 0, "a transform of all limbs allocates");

        let round = Round::new(Preset::Agg13.params());
        let updates = [1, 2, 3].map(|party| round.update(party));
        let mut sum = ChunkSum::new(&round.layout, Round::id());
        // The list of contributors grows with the first.
        sum.absorb(&updates[0]).unwrap();
        for update in &updates[1..] {
            let (usage, result) = measure(|| sum.absorb(update));
            assert!(result.is_ok() && usage.count == 0, "absorbing an update allocates");
        }
        let encoded = updates[0].to_bytes();
        let (usage, _) = measure(|| encoded.len());
        assert_eq!(usage.count, 0);
    });
}

/// Most KiB held at a time by one operation, its result included, its operands not; and most KiB
/// that it asks the allocator for when it is done again, after its first result was dropped.
struct Bound(&'static str, isize, isize);

/// INF13 at its 6 limbs: a ciphertext takes 384 KiB.
const INF13: [Bound; 12] = [
    Bound("encode", 560, 200),
    Bound("encrypt", 1060, 200),
    Bound("multiply", 600, 4),
    Bound("sum of four products", 600, 4),
    Bound("relinearise", 1100, 4),
    Bound("rescale", 400, 4),
    Bound("relinearise and rescale", 1480, 4),
    Bound("rotate", 1120, 4),
    Bound("hoist", 1780, 4),
    Bound("rotate, hoisted", 740, 4),
    Bound("decrypt", 72, 4),
    Bound("decode", 136, 136),
];

/// INF15-90 at its 19 limbs: a ciphertext takes 4.75 MiB.
const INF15_90: [Bound; 12] = [
    Bound("encode", 3900, 800),
    Bound("encrypt", 12_800, 800),
    Bound("multiply", 7400, 4),
    Bound("sum of four products", 7400, 4),
    Bound("relinearise", 10_200, 4),
    Bound("rescale", 4700, 4),
    Bound("relinearise and rescale", 15_500, 4),
    Bound("rotate", 10_400, 4),
    Bound("hoist", 16_000, 4),
    Bound("rotate, hoisted", 9300, 4),
    Bound("decrypt", 520, 4),
    Bound("decode", 800, 800),
];

/// AGG13 with three hospitals: a chunk takes 224 KiB.
const AGG13: [Bound; 6] = [
    Bound("encrypt_chunk", 300, 32),
    Bound("read an update", 232, 4),
    Bound("absorb an update", 232, 4),
    Bound("decryption share", 600, 80),
    Bound("combine", 232, 4),
    Bound("open", 900, 700),
];

/// Prints a measurement and compares it with its bound.
fn within<T: Send>(bounds: &[Bound], name: &str, mut work: impl FnMut() -> T + Send) -> T {
    let &Bound(_, peak_max, again_max) = bounds.iter().find(|bound| bound.0 == name).unwrap();
    let kib = |bytes: isize| bytes / 1024 + 1;
    // A thread that keeps no memory yet.
    let mut peak = 0;
    alone(|| peak = kib(measure(&mut work).0.peak));
    drop(work());
    let (usage, result) = measure(&mut work);
    let again = kib(usage.asked);
    println!(
        "{name:24} {peak:6} KiB held (at most {peak_max:6}), {again:4} KiB asked for again (at most {again_max:4})"
    );
    if std::env::var_os("HE_AGG_MEASURE").is_none() {
        assert!(peak <= peak_max, "{name}: {peak} KiB at a time, bound {peak_max}");
        assert!(again <= again_max, "{name}: {again} KiB asked for again, bound {again_max}");
    }
    result
}

#[test]
fn operations_on_ciphertexts_stay_within_their_memory() {
    operations(Preset::Inf13, &INF13);
    operations(Preset::Inf15x90, &INF15_90);
}

fn operations(preset: Preset, bounds: &[Bound]) {
    println!("{preset}, one thread:");
    alone(|| {
        let limbs = preset.params().q.len();
        let serving = Serving::new(preset, limbs);
        let (keys, evaluator) = (serving.evaluation_keys(), Evaluator::new(serving.preset).unwrap());
        let encoder = Encoder::new(serving.preset).unwrap();
        let mut stream = he_agg::Stream::from_seed([3; 32]);
        let holder = HolderKey::new(ServingSecret::generate(preset, 1, &mut stream).unwrap());
        let x = &serving.ciphertext;
        let scale = x.scale();
        let plaintext = within(bounds, "encode", || encoder.encode(&[0.5; 100], scale, limbs).unwrap());
        within(bounds, "encrypt", || serving.public_key.encrypt(&plaintext, &mut stream).unwrap());
        let product = within(bounds, "multiply", || evaluator.mul(x, x).unwrap());
        within(bounds, "sum of four products", || evaluator.mul_accumulate(&[(x, x); 4]).unwrap());
        let linear = within(bounds, "relinearise", || evaluator.relinearise(&product, &keys).unwrap());
        within(bounds, "rescale", || evaluator.rescale(&linear).unwrap());
        within(bounds, "relinearise and rescale", || evaluator.relinearise_rescale(&product, &keys).unwrap());
        within(bounds, "rotate", || evaluator.rotate(x, -3, &keys).unwrap());
        let hoisted = within(bounds, "hoist", || Hoisted::new(&evaluator, x).unwrap());
        within(bounds, "rotate, hoisted", || hoisted.rotate(-3, &keys).unwrap());
        let plaintext = within(bounds, "decrypt", || holder.decrypt(&serving.result).unwrap());
        within(bounds, "decode", || encoder.decode(&plaintext).unwrap());
    });
}

#[test]
fn a_training_round_stays_within_its_memory() {
    use he_agg::aggregation::{BlindedSum, MaskKey, UpdateChunk, open};
    alone(|| {
        let round = Round::new(Preset::Agg13.params());
        let update = within(&AGG13, "encrypt_chunk", || round.update(1));
        let bytes = update.to_bytes();
        let read = within(&AGG13, "read an update", || UpdateChunk::from_bytes(&bytes, &round.layout).unwrap());
        let mut sum = ChunkSum::new(&round.layout, Round::id());
        within(&AGG13, "absorb an update", || {
            let mut sum = ChunkSum::new(&round.layout, Round::id());
            sum.absorb(&read).unwrap();
            sum
        });
        sum.absorb(&read).unwrap();
        sum.absorb(&round.update(2)).unwrap();
        sum.absorb(&round.update(3)).unwrap();
        let decryptors = [1, 3].map(|party| round.decryptor(party));
        let shares = [within(&AGG13, "decryption share", || round.share(&decryptors[0])), round.share(&decryptors[1])];
        let (layout, context) = (&round.layout, &round.context);
        let blinded = within(&AGG13, "combine", || BlindedSum::combine(layout, context, &sum, &shares).unwrap());
        let group = MaskKey::from_bytes([0x77; 32]);
        within(&AGG13, "open", || open(layout, context, &group, &blinded).unwrap());
    });
}

/// Bytes that a refusal may take beside what is proportional to the input.
const REFUSAL_BYTES: isize = 4096;

#[test]
fn a_header_that_announces_the_most_allocates_nothing_without_its_payload() {
    alone(|| {
        for decoder in decoders() {
            let mut head = decoder.valid[..HEADER_BYTES].to_vec();
            (head[8], head[9], head[10]) = (decoder.params.q.len() as u8, decoder.params.p.len() as u8, 32);
            for length in [0, 1, 1000] {
                head.resize(HEADER_BYTES + length, 0);
                let (usage, result) = measure(|| (decoder.check)(&head));
                assert!(result.is_err(), "{}", decoder.name);
                assert!(usage.peak <= REFUSAL_BYTES, "{} allocates {} bytes", decoder.name, usage.peak);
            }
            let (usage, result) = measure(|| (decoder.check)(&decoder.valid[..HEADER_BYTES]));
            assert!(result.is_err() && usage.peak <= REFUSAL_BYTES, "{}: {}", decoder.name, usage.peak);
        }
    });
}

#[test]
fn malformed_bytes_never_take_more_memory_than_their_length_allows() {
    alone(|| {
        for decoder in decoders() {
            let valid = &decoder.valid;
            // Residues take 32 bits where the wire has 30; a key has its public half beside it.
            let (usage, result) = measure(|| (decoder.check)(valid));
            assert!(result.is_ok());
            let most = valid.len() as isize * 5 / 2 + 64 * 1024;
            assert!(usage.peak <= most, "{} takes {} bytes for {}", decoder.name, usage.peak, valid.len());
            let refused = |bytes: &[u8], what: &str| {
                let (usage, result) = measure(|| (decoder.check)(bytes));
                let most = bytes.len() as isize * 9 / 8 + REFUSAL_BYTES;
                assert!(
                    result.is_ok() || usage.peak <= most,
                    "{} with {what} takes {} bytes for {}",
                    decoder.name,
                    usage.peak,
                    bytes.len()
                );
            };
            for at in 0..HEADER_BYTES {
                for value in [0, 1, 2, 7, 32, 255] {
                    let mut bytes = valid.clone();
                    bytes[at] = value;
                    refused(&bytes, &format!("byte {at} = {value}"));
                }
            }
            // The last residue alone is too large, so everything before it was read.
            let mut bytes = valid.clone();
            let end = bytes.len();
            bytes[end - 4..].fill(0xff);
            assert!((decoder.check)(&bytes).is_err());
            refused(&bytes, "a last residue above its prime");
        }
    });
}
