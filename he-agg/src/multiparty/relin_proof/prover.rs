//! The hospital that proves.

use crate::multiparty::relin_proof::answer::{RelinAnswer, Shown};
use crate::multiparty::relin_proof::mask::Values;
use crate::multiparty::relin_proof::{
    REPETITIONS, RelinChallenge, RelinCommitment, RelinProofError, RelinStatement, RelinWitness, SETS, repetitions,
};
use crate::stream::Expander;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// A hospital's masks, each from a seed, until it knows the coins.
pub struct RelinProver<'a> {
    statement: &'a RelinStatement<'a>,
    witness: RelinWitness,
    seeds: [[Zeroizing<[u8; 32]>; REPETITIONS]; SETS],
}

impl<'a> RelinProver<'a> {
    /// All masks follow from `seed`, 32 fresh bytes, so that after a restart they are the same.
    pub fn new(statement: &'a RelinStatement<'a>, witness: RelinWitness, seed: &[u8; 32]) -> Self {
        let preset = statement.params().preset;
        let of = |set: usize, repetition: usize| {
            let indices = [set as u64, repetition as u64];
            let domain = "serving/relinearization-mask-seed";
            let expander = Expander::with_context(seed, domain, preset, &indices, &statement.prefix);
            Zeroizing::new(expander.sampler(0).seed())
        };
        let seeds = std::array::from_fn(|set| std::array::from_fn(|repetition| of(set, repetition)));
        Self { statement, witness, seeds }
    }

    fn mask(&self, set: u8, repetition: u8) -> Values {
        let (statement, params) = (self.statement, self.statement.params());
        let seed = &self.seeds[usize::from(set)][usize::from(repetition)];
        Values::expand(seed, params.preset, params.n, statement.digits())
    }

    /// Digests of all masks: to be signed before anybody throws a coin.
    pub fn commitment(&self) -> RelinCommitment {
        self.commitment_telling(&|| ())
    }

    /// The same, which takes seconds: `tells` hears of every mask that is done, from any thread.
    pub fn commitment_telling(&self, tells: &(dyn Fn() + Sync)) -> RelinCommitment {
        let one = |set: u8, repetition| {
            let digest = self.statement.digest(&self.mask(set, repetition), (set, repetition), false);
            tells();
            digest
        };
        let mut digests = [[[0; 32]; REPETITIONS]; SETS];
        for (set, digests) in (0..).zip(&mut digests) {
            let numbered: Vec<u8> = repetitions().collect();
            digests.par_iter_mut().zip(numbered).for_each(|(digest, repetition)| *digest = one(set, repetition));
        }
        RelinCommitment(digests)
    }

    /// What is shown for these coins. To be called for one challenge, ever, of each commitment: the caller stores it
    /// before anything is sent.
    ///
    /// # Errors
    /// [`RelinProofError::Overflow`].
    pub fn answers(self, challenge: &RelinChallenge) -> Result<RelinAnswers<'a>, RelinProofError> {
        let overflows = |set: u8| {
            let masked = repetitions().filter(|repetition| challenge.coin(set, *repetition));
            let beyond = |repetition| self.witness.added_to(self.mask(set, repetition)).beyond().is_some();
            // None is skipped after the first.
            masked.map(beyond).fold(false, |any, one| any | one)
        };
        match (0..SETS as u8).find(|set| !overflows(*set)) {
            Some(set) => Ok(RelinAnswers { prover: self, challenge: *challenge, set }),
            None => Err(RelinProofError::Overflow),
        }
    }
}

/// The answers to one challenge, made one by one: together they are some 40 MB.
pub struct RelinAnswers<'a> {
    prover: RelinProver<'a>,
    challenge: RelinChallenge,
    set: u8,
}

impl RelinAnswers<'_> {
    /// The set that is opened.
    pub fn set(&self) -> u8 {
        self.set
    }

    /// The answers in order of repetition.
    pub fn iter(&self) -> impl Iterator<Item = RelinAnswer> {
        repetitions().map(|repetition| {
            let (set, prover) = (self.set, &self.prover);
            let shown = if self.challenge.coin(set, repetition) {
                Shown::Masked(prover.witness.added_to(prover.mask(set, repetition)))
            } else {
                Shown::Seed(*prover.seeds[usize::from(set)][usize::from(repetition)])
            };
            RelinAnswer { set, repetition, shown }
        })
    }
}
