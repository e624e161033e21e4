//! Does the time of code that handles secrets depend on them?
//!
//! After dudect (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant
//! time?", ePrint 2016/1123): each function runs many times on inputs of two
//! classes, a fixed one and random ones, in random order. Welch's t-test then
//! asks whether the two classes have the same mean time, on all measurements
//! and on those below several percentiles, which crops interrupts.
//!
//! Run it by hand on a quiet machine, since neighbours only blur it:
//!
//! ```text
//! cargo bench -p he-agg --bench constant_time          # seconds
//! cargo bench -p he-agg --bench constant_time -- 10    # ten times the runs, a minute
//! ```
//!
//! Read it thus. |t| below 4.5 is no evidence of a dependence, 4.5 to 10 asks
//! for more runs: a real leak grows with the square root of their number,
//! chance does not. Above 10 in all of three rounds is a dependence, and the
//! exit status is 1. There are two controls, and the measurement is worth
//! nothing, exit status 1 as well, unless they behave: a comparison that stops
//! at the first difference must be caught, and one input in both classes must
//! not be. A pass is no proof: it covers this machine, compiler and input.
//!
//! Addresses are no secrets, but weigh more than most leaks: one buffer that
//! shares cache sets with another was worth |t| = 140. So inputs are made anew
//! every few runs, and chance decides which class lies where.
//!
//! `fill_uniform` rejects words that are not below q, so how many words it
//! draws is random by design. That is no leak: a rejected word is independent
//! of all accepted ones, and only those are kept. Its compaction of a block
//! must not depend on the accepted values; 480 residues take 512 words of
//! keystream in practically every draw, so that is what is compared here.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "run by hand: prints its figures and stops at once")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use he_agg::aggregation::{
    AggregationSecret, ChunkId, Decryptor, EncryptRequest, Flooding, LaneLayout, MaskKey, MemoryLedger, ReleaseLedger,
    ShareContext, VaultSecret, encrypt_chunk,
};
use he_agg::sampler::{centred_binomial, flooding, ternary};
use he_agg::{Modulus, Params, Preset, Stream};

/// |t| that is taken for a dependence, if it persists.
const T_MAX: f64 = 10.0;
/// Rounds in which it must show.
const ROUNDS: usize = 3;
/// Inputs in memory, of both classes together.
const SLOTS: usize = 32;
/// Runs until the inputs are made anew.
const BATCH: usize = 256;
const FIXED: [u8; 32] = [0; 32];
const EPOCH: [u8; 32] = [0xe9; 32];

/// Nanoseconds of about `samples` runs, by class. `make` gives the input of a seed, [`FIXED`] for
/// one class and a random one for the other; `make` and `prepare` are not timed.
fn measure<T, P>(
    samples: usize,
    mut make: impl FnMut([u8; 32]) -> T,
    mut prepare: impl FnMut(&T) -> P,
    mut run: impl FnMut(P, &T),
    order: &mut Stream,
) -> [Vec<f64>; 2] {
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    let mut slots = Vec::with_capacity(SLOTS);
    for _ in 0..samples.div_ceil(BATCH) {
        slots.clear();
        for _ in 0..SLOTS {
            let (class, seed) = ((order.next_u32() & 1) as usize, order.seed());
            slots.push((class, make([FIXED, seed][class])));
        }
        for run_number in 0..SLOTS + BATCH {
            let (class, input) = black_box(&slots[order.next_u32() as usize % SLOTS]);
            let prepared = prepare(input);
            let start = Instant::now();
            run(prepared, input);
            let elapsed = start.elapsed().as_nanos() as f64;
            // The first runs warm caches and predictors up.
            if run_number >= SLOTS {
                times[*class].push(elapsed);
            }
        }
    }
    times
}

/// Welch's t of two samples.
fn welch(classes: &[Vec<f64>; 2], below: f64) -> f64 {
    let [x, y] = classes.each_ref().map(|times| {
        let kept: Vec<f64> = times.iter().copied().filter(|&t| t <= below).collect();
        let n = kept.len().max(2) as f64;
        let mean = kept.iter().sum::<f64>() / n;
        let variance = kept.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    });
    let spread = (x.1 + y.1).sqrt();
    if spread > 0.0 { (x.0 - y.0) / spread } else { 0.0 }
}

/// The t of largest magnitude over all crops, and the median time.
fn statistic(classes: &[Vec<f64>; 2]) -> (f64, f64) {
    let mut all: Vec<f64> = classes.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize];
    let crops = [1.0, 0.99, 0.95, 0.9, 0.75, 0.5].map(|part| welch(classes, at(part)));
    let worst = crops.into_iter().fold(0.0, |worst: f64, t| if t.abs() > worst.abs() { t } else { worst });
    (worst, at(0.5))
}

struct Bench {
    factor: usize,
    order: Stream,
    leaks: usize,
}

impl Bench {
    /// Measures until a round is clean, at most three times; true if none was.
    fn persists<T, P>(
        &mut self,
        name: &str,
        samples: usize,
        mut make: impl FnMut([u8; 32]) -> T,
        mut prepare: impl FnMut(&T) -> P,
        mut run: impl FnMut(P, &T),
    ) -> bool {
        let mut found = Vec::new();
        let mut median = 0.0;
        for _ in 0..ROUNDS {
            let times = measure(samples * self.factor, &mut make, &mut prepare, &mut run, &mut self.order);
            let t;
            (t, median) = statistic(&times);
            found.push(t);
            if t.abs() <= T_MAX {
                break;
            }
        }
        let rounds: Vec<String> = found.iter().map(|t| format!("{t:+.1}")).collect();
        println!("{name:<44} {median:>9.0} ns   t {}", rounds.join(", "));
        found.len() == ROUNDS && found.iter().all(|t| t.abs() > T_MAX)
    }

    /// As [`Bench::persists`] without preparation; a dependence is counted.
    fn case<T>(&mut self, name: &str, samples: usize, make: impl FnMut([u8; 32]) -> T, mut run: impl FnMut(&T)) {
        let leaks = self.persists(name, samples, make, |_| (), |(), input| run(input));
        self.leaks += usize::from(leaks);
    }
}

fn main() -> ExitCode {
    // Cargo passes `--bench`; a number multiplies the runs.
    let factor = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1usize).max(1);
    let mut bench = Bench { factor, order: Stream::from_seed([1; 32]), leaks: 0 };
    println!("{:<44} {:>12}   t per round, at most {ROUNDS}; above {T_MAX} in all is a leak", "function", "median");

    let sound = controls(&mut bench);
    samplers(&mut bench);
    reductions(&mut bench);
    rounds(&mut bench);
    match (sound, bench.leaks) {
        (false, _) => println!("a control failed: too few runs, or too noisy a machine"),
        (true, 0) => println!("no dependence on secrets found"),
        (true, leaks) => println!("{leaks} functions depend on their secrets"),
    }
    if sound && bench.leaks == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A comparison that stops at the first difference must be caught; twice the same input must not.
fn controls(bench: &mut Bench) -> bool {
    let words = |seed| values(seed, 512, |stream| stream.next_u64(), 0);
    let wanted = words(FIXED);
    let compare = |(), input: &Vec<u64>| {
        black_box(input.iter().zip(&wanted).position(|(x, y)| x != y));
    };
    let caught = bench.persists("control: early-exit comparison", 20_000, words, |_| (), compare);
    let alike = |(), input: &Vec<u64>| {
        black_box(input.iter().fold(0u64, |sum, &x| sum.rotate_left(7) ^ black_box(x)));
    };
    let biased = bench.persists("control: the same input in both classes", 40_000, |_| words(FIXED), |_| (), alike);
    caught && !biased
}

/// Values of one class: all alike for the fixed seed, else drawn.
fn values<T: Copy>(seed: [u8; 32], count: usize, draw: impl Fn(&mut Stream) -> T, fixed: T) -> Vec<T> {
    let mut stream = Stream::from_seed(seed);
    let mut values: Vec<T> = (0..count).map(|_| draw(&mut stream)).collect();
    if seed == FIXED {
        values.fill(fixed);
    }
    values
}

fn samplers(bench: &mut Bench) {
    const N: usize = 1024;
    let seed = |seed| seed;
    bench.case("centred_binomial, 1024 errors", 20_000, seed, |&seed| {
        black_box(centred_binomial(&mut Stream::from_seed(seed), N));
    });
    bench.case("ternary, 1024 coefficients", 20_000, seed, |&seed| {
        black_box(ternary(&mut Stream::from_seed(seed), N));
    });
    for bits in [40, 71] {
        bench.case(&format!("flooding of {bits} bits, 256 values"), 10_000, seed, |&seed| {
            black_box(flooding(&mut Stream::from_seed(seed), bits, 256));
        });
    }
    let q = Preset::Agg13.params().q[0].modulus().value();
    let mut out = vec![0u32; 480];
    bench.case("fill_uniform, 480 residues", 20_000, seed, |&seed| {
        Stream::from_seed(seed).fill_uniform(q, &mut out);
        black_box(&out);
    });
}

fn reductions(bench: &mut Bench) {
    fn sum<T: Copy>(modulus: &Modulus, values: &[T], reduce: impl Fn(&Modulus, T) -> u32) {
        black_box(values.iter().fold(0u32, |sum, &x| sum ^ reduce(modulus, black_box(x))));
    }
    let modulus = *Preset::Agg13.params().q[0].modulus();
    let any = |seed| values(seed, 512, |stream| stream.next_u64() as i64, 0);
    bench.case("reduce_i64, 512 values", 40_000, any, |x| sum(&modulus, x, Modulus::reduce_i64));
    let errors = |seed| values(seed, 512, |stream| (stream.next_u64() % 43) as i64 - 21, 21);
    bench.case("reduce_i64, 512 errors", 40_000, errors, |x| sum(&modulus, x, Modulus::reduce_i64));
    let draw = |stream: &mut Stream| (i128::from(stream.next_u64() as i64) << 64) | i128::from(stream.next_u64());
    let wide = |seed| values(seed, 512, draw, 0);
    bench.case("reduce_i128, 512 values", 40_000, wide, |x| sum(&modulus, x, Modulus::reduce_i128));
}

/// The steps of a training round on a small ring: the same code, and many more runs.
fn rounds(bench: &mut Bench) {
    const PARTIES: u16 = 5;
    let params: &'static Params = Box::leak(Box::new(Params::toy(Preset::Agg13, 9)));
    let layout = LaneLayout::new(params, PARTIES, 4, 16, Flooding::secure(40, 1 << 14).unwrap()).unwrap();
    let id = ChunkId { epoch: EPOCH, round: 1, attempt: 0, chunk: 0 };
    let key = |number: u8| MaskKey::from_bytes([number; 32]);
    let vault = || VaultSecret::from_bytes([0x11; 32]);

    let secret = |seed| AggregationSecret::from_seed(params, EPOCH, seed);
    bench.case("key shares: fixed or random secret", 2_000, secret, |secret| {
        black_box(secret.deal(&layout, 1).unwrap());
    });

    // All contributors' secrets are of one class; masks and flooding are the same in both.
    let decryptor = |seed| {
        let mut decryptor = Decryptor::new(layout.clone(), EPOCH, 2, key(0), vault()).unwrap();
        let mut stream = Stream::from_seed(seed);
        for dealer in 1..=PARTIES {
            let secret = AggregationSecret::generate(params, EPOCH, &mut stream);
            decryptor.insert_share(secret.deal(&layout, dealer).unwrap().swap_remove(1)).unwrap();
            if dealer != 2 {
                decryptor.insert_pair(dealer, key(dealer as u8)).unwrap();
            }
        }
        decryptor
    };
    let context = ShareContext::new(&layout, id, &[1, 2, 3, 4, 5], &[1, 2, 3, 4], [0; 32]).unwrap();
    let mut ledger = MemoryLedger::new(layout.flooding());
    let leaks = bench.persists(
        "decryption share: fixed or random secrets",
        4_000,
        decryptor,
        |_| ledger.permit_share(&context).unwrap(),
        |permit, decryptor| {
            black_box(decryptor.share(permit, &context).unwrap());
        },
    );
    bench.leaks += usize::from(leaks);

    let secret = AggregationSecret::from_seed(params, EPOCH, [3; 32]);
    let update = |seed| values(seed, layout.values_per_chunk(), |stream| i32::from(stream.next_u32() as i16), 0);
    bench.case("encrypt_chunk: fixed or random values", 4_000, update, |values| {
        let request = EncryptRequest { layout: &layout, id, sender: 1, weight: 1000, values };
        let permit = MemoryLedger::new(layout.flooding()).permit_encryption(&request).unwrap();
        black_box(encrypt_chunk(permit, &request, &secret, &vault(), &key(9)).unwrap());
    });
}
