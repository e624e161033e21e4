//! One hospital's ceremony among generated others, all of it.

use std::time::{Duration, Instant};

use he_agg::Stream;
use he_agg::multiparty::{
    Crs, GaloisKeyShare, GaloisKeySum, GateKey, GateSecret, GateSeed, GateShare, GateSum, R1, R2, RelinChallenge,
    RelinCommitment, RelinIntermediate, RelinKeyShare, RelinKeySum, RelinProver, RelinStatement, RelinWitness,
    ServingSecret,
};
use he_infer::Program;

use crate::error::BenchError;
use crate::progress::Progress;

/// Seed of all secrets. They protect nothing.
const SEED: [u8; 32] = *b"consilium bench, a key ceremony ";

/// What the clock said, by kind of work.
#[derive(Debug, Default)]
pub(super) struct Spent {
    pub(super) made: Duration,
    pub(super) proved: Duration,
    pub(super) added: Duration,
    pub(super) checked: Duration,
}

/// Bytes that one hospital sends, the proof among them, and those that it fetches.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) made: usize,
    pub(super) proved: usize,
    pub(super) added: usize,
    pub(super) checked: usize,
}

/// A consortium of one hospital that is measured, number 1, and others that are made up as they are needed.
pub(super) struct Whole<'a> {
    program: &'a Program,
    crs: Crs,
    hospitals: u16,
    /// Rotation keys that hospital 1 adds up, and proofs that it checks: of the last ones, since others are alike.
    drawn: usize,
    checks: usize,
    pub(super) spent: Spent,
    pub(super) moved: Moved,
}

/// A hospital's shares of both rounds.
struct Shares {
    first: RelinKeyShare<R1>,
    second: RelinKeyShare<R2>,
    witness: RelinWitness,
}

fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let clock = Instant::now();
    let done = work();
    *total += clock.elapsed();
    done
}

impl<'a> Whole<'a> {
    pub(super) fn new(program: &'a Program, hospitals: u16, drawn: usize, checks: usize) -> Self {
        let crs = Crs::new(program.params().preset, SEED);
        Self { program, crs, hospitals, drawn, checks, spent: Spent::default(), moved: Moved::default() }
    }

    /// Everything random of one hospital's step.
    fn stream(&self, hospital: u16, step: u8) -> Stream {
        let mut seed = SEED;
        seed[..3].copy_from_slice(&[hospital.to_le_bytes()[0], hospital.to_le_bytes()[1], step]);
        Stream::from_seed(seed)
    }

    fn secret(&self, hospital: u16) -> Result<ServingSecret, BenchError> {
        Ok(ServingSecret::generate(self.crs.preset(), hospital, &mut self.stream(hospital, 0))?)
    }

    /// Does it all.
    pub(super) fn run(&mut self, progress: &mut dyn Progress) -> Result<(), BenchError> {
        progress.step("gates");
        self.gates()?;
        progress.step("rotation keys");
        self.rotations()?;
        progress.step("relinearisation key");
        let sums = self.round_one()?;
        self.round_two(&sums)?;
        progress.step("proofs");
        self.proofs(&sums)
    }

    fn gates(&mut self) -> Result<(), BenchError> {
        let limbs = self.program.gate_limbs();
        let gate_share = |whole: &Self, from: u16, asker: u16| -> Result<Vec<u8>, BenchError> {
            let seed = GateSeed::generate(&mut whole.stream(from, asker.to_le_bytes()[0] | 0x80));
            let mut stream = whole.stream(from, 1);
            Ok(GateShare::generate(&whole.secret(from)?, &whole.crs, asker, limbs, &seed, &mut stream)?.to_bytes())
        };
        let mut sum = GateSum::new(&self.crs, 1, limbs, self.hospitals)?;
        for other in 1..=self.hospitals {
            // Its own shares for everybody, and everybody's for itself.
            let mut made = Duration::ZERO;
            self.moved.made += timed(&mut made, || gate_share(self, 1, other))?.len();
            self.spent.made += made;
            let share = gate_share(self, other, 1)?;
            self.moved.added += share.len();
            let crs = &self.crs;
            timed(&mut self.spent.added, || sum.absorb(&GateShare::from_bytes(&share, crs)?))?;
        }
        let gate = sum.finish()?;
        let seeds: Vec<GateSeed> =
            (1..=self.hospitals).map(|from| GateSeed::generate(&mut self.stream(from, 1 | 0x80))).collect();
        let seeds: Vec<(u16, &GateSeed)> = (1..).zip(&seeds).collect();
        let secret = GateSecret::generate(self.crs.preset(), 1, &mut self.stream(1, 2))?;
        let (crs, mut stream) = (&self.crs, self.stream(1, 3));
        let key = timed(&mut self.spent.made, || GateKey::generate(&secret, crs, &gate, &seeds, &mut stream))?;
        let key = key.to_bytes();
        self.moved.made += key.len();
        // Everybody's key has the form of this one.
        for _ in 0..self.hospitals {
            self.moved.added += key.len();
            timed(&mut self.spent.added, || GateKey::from_bytes(&key, crs))?;
        }
        Ok(())
    }

    fn rotations(&mut self) -> Result<(), BenchError> {
        let rotations: Vec<_> = self.program.key_plan().normalised(self.crs.preset())?.into_iter().collect();
        for (place, (steps, limbs)) in rotations.iter().enumerate() {
            let steps = i32::try_from(*steps).unwrap_or(i32::MAX);
            let share = |whole: &Self, of: u16| -> Result<Vec<u8>, BenchError> {
                let (secret, mut stream) = (whole.secret(of)?, whole.stream(of, 4));
                Ok(GaloisKeyShare::generate(&secret, &whole.crs, steps, *limbs, &mut stream)?.to_bytes())
            };
            let mut made = Duration::ZERO;
            let own = timed(&mut made, || share(self, 1))?;
            self.spent.made += made;
            self.moved.made += own.len();
            if place + self.drawn < rotations.len() {
                // The announced sum is taken, after a look at its form.
                self.moved.added += own.len();
                continue;
            }
            let mut sum = GaloisKeySum::new(&self.crs, steps, *limbs, self.hospitals)?;
            for other in 1..=self.hospitals {
                let share = share(self, other)?;
                self.moved.added += share.len();
                let crs = &self.crs;
                timed(&mut self.spent.added, || sum.absorb(&GaloisKeyShare::from_bytes(&share, crs)?))?;
            }
        }
        Ok(())
    }

    fn first(&self, of: u16) -> Result<(RelinKeyShare<R1>, he_agg::multiparty::RelinEphemeral), BenchError> {
        let limbs = self.program.key_plan().relin_limbs;
        Ok(RelinKeyShare::<R1>::generate(&self.secret(of)?, &self.crs, limbs, &mut self.stream(of, 5))?)
    }

    fn shares(&self, of: u16, sums: &RelinIntermediate) -> Result<Shares, BenchError> {
        let ((first, mask), mut stream) = (self.first(of)?, self.stream(of, 6));
        let (second, witness) = RelinKeyShare::<R2>::generate_with_witness(&self.secret(of)?, mask, sums, &mut stream)?;
        Ok(Shares { first, second, witness })
    }

    fn round_one(&mut self) -> Result<RelinIntermediate, BenchError> {
        let limbs = self.program.key_plan().relin_limbs;
        let mut sum = RelinKeySum::<R1>::new(&self.crs, limbs, self.hospitals)?;
        for other in 1..=self.hospitals {
            let clock = Instant::now();
            let share = self.first(other)?.0.to_bytes();
            if other == 1 {
                self.spent.made += clock.elapsed();
                self.moved.made += share.len();
            }
            self.moved.added += share.len();
            let crs = &self.crs;
            timed(&mut self.spent.added, || sum.absorb(&RelinKeyShare::<R1>::from_bytes(&share, crs)?))?;
        }
        Ok(sum.finish()?)
    }

    fn round_two(&mut self, sums: &RelinIntermediate) -> Result<(), BenchError> {
        let limbs = self.program.key_plan().relin_limbs;
        let mut sum = RelinKeySum::<R2>::new(&self.crs, limbs, self.hospitals)?;
        for other in 1..=self.hospitals {
            let clock = Instant::now();
            let share = self.shares(other, sums)?.second.to_bytes();
            if other == 1 {
                self.spent.made += clock.elapsed();
                self.moved.made += share.len();
            }
            self.moved.added += share.len();
            let crs = &self.crs;
            timed(&mut self.spent.added, || sum.absorb(&RelinKeyShare::<R2>::from_bytes(&share, crs)?))?;
        }
        timed(&mut self.spent.added, || sum.finish(sums))?;
        Ok(())
    }

    /// Own proof, and those of the hospitals that were drawn: the last ones.
    fn proofs(&mut self, sums: &RelinIntermediate) -> Result<(), BenchError> {
        let challenge = RelinChallenge::from_digest(&self.stream(0, 7).seed());
        let checked = usize::from(self.hospitals) - self.checks.min(usize::from(self.hospitals) - 1);
        for of in 1..=self.hospitals {
            if of > 1 && usize::from(of) <= checked {
                self.moved.checked += RelinCommitment::BYTES;
                continue;
            }
            let clock = Instant::now();
            let shares = self.shares(of, sums)?;
            let statement = RelinStatement::new(&self.crs, &shares.first, &shares.second, sums)?;
            let prover = RelinProver::new(&statement, shares.witness, &self.stream(of, 8).seed());
            let commitment = prover.commitment();
            let answers: Vec<Vec<u8>> = prover.answers(&challenge)?.iter().map(|answer| answer.to_bytes()).collect();
            let bytes = RelinCommitment::BYTES + answers.iter().map(Vec::len).sum::<usize>();
            if of == 1 {
                self.spent.proved += clock.elapsed();
                self.moved.proved += bytes;
                continue;
            }
            let (first, second) = (shares.first.to_bytes(), shares.second.to_bytes());
            self.moved.checked += bytes + first.len() + second.len();
            let crs = &self.crs;
            timed(&mut self.spent.checked, || -> Result<(), BenchError> {
                let first = RelinKeyShare::<R1>::from_bytes(&first, crs)?;
                let second = RelinKeyShare::<R2>::from_bytes(&second, crs)?;
                let statement = RelinStatement::new(crs, &first, &second, sums)?;
                Ok(statement.verify_all(&commitment, &challenge, &answers)?)
            })?;
        }
        Ok(())
    }
}
