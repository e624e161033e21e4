//! What each kind of work of a key ceremony takes on this machine, and what so many of each take.

use std::hint::black_box;
use std::time::Instant;

use client::plan::{parts_added, proofs_checked};
use he_agg::multiparty::{
    Crs, GaloisKeyShare, GaloisKeySum, GateKey, GateSecret, GateSeed, GateShare, GateSum, R1, R2, RELIN_REPETITIONS,
    RELIN_SETS, RelinChallenge, RelinCommitment, RelinIntermediate, RelinKeyShare, RelinKeySum, RelinProver,
    RelinStatement, ServingSecret,
};
use he_agg::{Preset, Stream};
use he_infer::Program;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::BenchError;

/// Seed of the secrets that are measured with. They protect nothing.
const SEED: [u8; 32] = *b"consilium plan, ceremony figures";

/// Seconds of one piece of each kind, with all threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pieces {
    /// A share of one hospital's gate.
    pub gate_share_s: f64,
    /// A gate key, of an own gate.
    pub gate_key_s: f64,
    /// One hospital's share of an own gate read and added, and its gate key read.
    pub gate_added_s: f64,
    /// Both relinearisation shares.
    pub relin_share_s: f64,
    /// One hospital's relinearisation shares read and added.
    pub relin_added_s: f64,
    /// What one hospital's proof is about: its shares read, and hashed with the sums.
    pub statement_s: f64,
    /// One mask digested, or one opening checked.
    pub opening_s: f64,
    /// A rotation share, per byte of it.
    pub rotation_share_s: f64,
    /// One hospital's rotation share read and added, per byte of it.
    pub rotation_added_s: f64,
}

/// Seconds of one hospital's work, without disk and network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CeremonyTime {
    /// Own shares and the gate key.
    pub made_s: f64,
    /// Own masks and openings.
    pub proved_s: f64,
    /// Everybody's shares added up.
    pub added_s: f64,
    /// The others' proofs checked.
    pub checked_s: f64,
}

impl CeremonyTime {
    /// All of it.
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.made_s + self.proved_s + self.added_s + self.checked_s
    }
}

impl Pieces {
    /// Measures each kind once, for about a second at the largest preset.
    ///
    /// # Errors
    /// What an operation says; none is expected to.
    pub fn measure(program: &Program) -> Result<Self, BenchError> {
        let (preset, mut stream) = (program.params().preset, Stream::from_seed(SEED));
        let crs = Crs::new(preset, stream.seed());
        let serving = ServingSecret::generate(preset, 1, &mut stream)?;
        let (gate_share_s, gate_key_s, gate_added_s) = gates(program, &crs, &serving, &mut stream)?;
        let (rotation_share_s, rotation_added_s) = rotations(program, &crs, &serving, &mut stream)?;
        let limbs = program.key_plan().relin_limbs;

        let clock = Instant::now();
        let (first, mask) = RelinKeyShare::<R1>::generate(&serving, &crs, limbs, &mut stream)?;
        let first_bytes = first.to_bytes();
        let first_s = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        let sums = round_one(&[&first_bytes], &crs, limbs)?;
        let first_added_s = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        let second = RelinKeyShare::<R2>::generate(&serving, mask, &sums, &mut stream)?;
        let second_bytes = second.to_bytes();
        let second_s = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        let mut key = RelinKeySum::<R2>::new(&crs, limbs, 1)?;
        key.absorb(&RelinKeyShare::<R2>::from_bytes(&second_bytes, &crs)?)?;
        let second_added_s = clock.elapsed().as_secs_f64();

        let clock = Instant::now();
        let statement = RelinStatement::new(&crs, &first, &second, &sums)?;
        let statement_s = clock.elapsed().as_secs_f64() + first_added_s + second_added_s;
        Ok(Self {
            gate_share_s,
            gate_key_s,
            gate_added_s,
            relin_share_s: first_s + second_s,
            relin_added_s: first_added_s + second_added_s,
            statement_s,
            opening_s: opening(&statement)?,
            rotation_share_s,
            rotation_added_s,
        })
    }

    /// What so many hospitals cost one of them, of which `threshold` decrypt.
    #[must_use]
    pub fn of(&self, program: &Program, hospitals: usize, threshold: usize) -> CeremonyTime {
        let (n, summary) = (hospitals as f64, program.summary());
        let (rotations, bytes) = (summary.galois_keys, summary.galois_key_bytes as f64);
        let added = parts_added(rotations, hospitals, threshold) as f64 / rotations.max(1) as f64;
        let (openings, checked) = (RELIN_REPETITIONS as f64, proofs_checked(hospitals, threshold) as f64);
        CeremonyTime {
            made_s: n * self.gate_share_s + self.gate_key_s + self.relin_share_s + bytes * self.rotation_share_s,
            // Own shares made again for the masks and for the openings, which are too few operations to count.
            proved_s: openings * RELIN_SETS as f64 * self.opening_s + 2.0 * (self.relin_share_s + self.statement_s),
            added_s: n * (self.gate_added_s + self.relin_added_s + added * bytes * self.rotation_added_s),
            checked_s: checked * (openings * self.opening_s + self.statement_s),
        }
    }
}

/// The sum of first shares.
pub(super) fn round_one(shares: &[&Vec<u8>], crs: &Crs, limbs: usize) -> Result<RelinIntermediate, BenchError> {
    let mut sum = RelinKeySum::<R1>::new(crs, limbs, u16::try_from(shares.len()).unwrap_or(u16::MAX))?;
    for share in shares {
        sum.absorb(&RelinKeyShare::<R1>::from_bytes(share, crs)?)?;
    }
    Ok(sum.finish()?)
}

fn gates(
    program: &Program,
    crs: &Crs,
    serving: &ServingSecret,
    stream: &mut Stream,
) -> Result<(f64, f64, f64), BenchError> {
    let limbs = program.gate_limbs();
    let (seed, secret) = (GateSeed::generate(stream), GateSecret::generate(crs.preset(), 1, stream)?);
    let clock = Instant::now();
    let share = GateShare::generate(serving, crs, 1, limbs, &seed, stream)?.to_bytes();
    let share_s = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    let mut sum = GateSum::new(crs, 1, limbs, 1)?;
    sum.absorb(&GateShare::from_bytes(&share, crs)?)?;
    let added_s = clock.elapsed().as_secs_f64();
    let gate = sum.finish()?;
    let clock = Instant::now();
    let key = GateKey::generate(&secret, crs, &gate, &[(1, &seed)], stream)?.to_bytes();
    let key_s = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    black_box(GateKey::from_bytes(&key, crs)?);
    Ok((share_s, key_s, added_s + clock.elapsed().as_secs_f64()))
}

/// Of the first rotation key, per byte.
fn rotations(
    program: &Program,
    crs: &Crs,
    serving: &ServingSecret,
    stream: &mut Stream,
) -> Result<(f64, f64), BenchError> {
    let Some((steps, limbs)) = program.key_plan().normalised(crs.preset())?.into_iter().next() else {
        return Ok((0.0, 0.0));
    };
    let steps = i32::try_from(steps).unwrap_or(i32::MAX);
    let clock = Instant::now();
    let share = GaloisKeyShare::generate(serving, crs, steps, limbs, stream)?.to_bytes();
    let share_s = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    let mut sum = GaloisKeySum::new(crs, steps, limbs, 1)?;
    sum.absorb(&GaloisKeyShare::from_bytes(&share, crs)?)?;
    let bytes = share.len().max(1) as f64;
    Ok((share_s / bytes, clock.elapsed().as_secs_f64() / bytes))
}

/// Seconds of checking one opening, of several that are checked at once. What is opened is a seed, which has the same
/// form in every set of parameters; whether it proves anything is not asked.
fn opening(statement: &RelinStatement<'_>) -> Result<f64, BenchError> {
    let (commitment, answers) = elsewhere()?;
    let at_once = rayon::current_num_threads().max(1);
    let challenge = RelinChallenge::from_digest(&[0; 32]);
    let clock = Instant::now();
    (0..at_once).into_par_iter().for_each(|_| {
        black_box(statement.verify(&commitment, &challenge, (0, 0), &answers).is_ok());
    });
    Ok(clock.elapsed().as_secs_f64() / at_once as f64)
}

/// A commitment and an opened seed of the smallest parameters.
fn elsewhere() -> Result<(RelinCommitment, Vec<u8>), BenchError> {
    let mut stream = Stream::from_seed(SEED);
    let crs = Crs::new(Preset::Inf13, stream.seed());
    let serving = ServingSecret::generate(Preset::Inf13, 1, &mut stream)?;
    let (first, mask) = RelinKeyShare::<R1>::generate(&serving, &crs, 1, &mut stream)?;
    let sums = round_one(&[&first.to_bytes()], &crs, 1)?;
    let (second, witness) = RelinKeyShare::<R2>::generate_with_witness(&serving, mask, &sums, &mut stream)?;
    let statement = RelinStatement::new(&crs, &first, &second, &sums)?;
    let prover = RelinProver::new(&statement, witness, &SEED);
    let commitment = prover.commitment();
    let answers = prover.answers(&RelinChallenge::from_digest(&[0; 32]))?;
    Ok((commitment, answers.iter().next().map(|answer| answer.to_bytes()).unwrap_or_default()))
}
