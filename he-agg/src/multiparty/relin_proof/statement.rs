//! What is proved: two shares of one hospital, on common randomness and sums of round one that all know.

use crate::ckks::{add_gadget, digit_count, extended_basis};
use crate::multiparty::key_material::epoch_mismatch;
use crate::multiparty::relin_proof::answer::{RelinAnswer, Shown};
use crate::multiparty::relin_proof::mask::Values;
use crate::multiparty::relin_proof::{REPETITIONS, RelinChallenge, RelinCommitment, RelinProofError, repetitions};
use crate::multiparty::{CeremonyError, Crs, R1, R2, RelinIntermediate, RelinKeyShare};
use crate::params::Params;
use crate::ring::{Eval, Limb, Poly};
use blake3::Hasher;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A hospital's shares of both rounds, and what they are linear in.
pub struct RelinStatement<'a> {
    params: &'static Params,
    limbs: usize,
    /// Begins every digest of this statement's masks.
    pub(super) prefix: [u8; 32],
    /// a, per digit.
    halves: Vec<Poly<Eval>>,
    /// h0 and h1 of all hospitals, per digit.
    sums: &'a [Poly<Eval>],
    /// h0 and h1 of this one.
    first: &'a [Poly<Eval>],
    /// The second round, per digit.
    second: &'a [Poly<Eval>],
}

impl<'a> RelinStatement<'a> {
    /// Shares of one hospital, and the sums of round one as whoever proves or checks added them up itself.
    ///
    /// # Errors
    /// [`CeremonyError::Epoch`], or [`CeremonyError::Mismatch`] of senders or limbs.
    pub fn new(
        crs: &Crs,
        first: &'a RelinKeyShare<R1>,
        second: &'a RelinKeyShare<R2>,
        sums: &'a RelinIntermediate,
    ) -> Result<Self, CeremonyError> {
        let (params, [first, second, sums]) = (crs.params(), [first.material(), second.material(), sums.material()]);
        for material in [first, second, sums] {
            // An epoch is of one preset.
            if material.epoch != crs.epoch() {
                return Err(epoch_mismatch(material.epoch, crs.epoch()));
            }
        }
        let limbs = sums.label.limbs;
        for (field, ours, theirs) in [
            ("limbs", limbs, first.label.limbs),
            ("limbs", limbs, second.label.limbs),
            ("party", usize::from(first.sender), usize::from(second.sender)),
        ] {
            if ours != theirs {
                let (ours, theirs) = (ours as u64, theirs as u64);
                return Err(CeremonyError::Mismatch { field, ours, theirs });
            }
        }
        let mut hash = Sha256::new();
        hash.update(b"he-agg/relinearization-proof/v1");
        for material in [first, second, sums] {
            hash.update(Sha256::digest(material.to_bytes()));
        }
        let halves = crs.relinearization(limbs, digit_count(params, limbs));
        let prefix = hash.finalize().into();
        let (first, second, sums) = (&first.parts, &second.parts, &sums.parts);
        Ok(Self { params, limbs, prefix, halves, sums, first, second })
    }

    pub(super) fn params(&self) -> &'static Params {
        self.params
    }

    pub(super) fn digits(&self) -> usize {
        self.halves.len()
    }

    /// Checks a proof: the answers of one set, in order of repetition. The first says which set.
    ///
    /// # Errors
    /// [`RelinProofError`]: what is wrong with the first that does not pass.
    pub fn verify_all(
        &self,
        commitment: &RelinCommitment,
        challenge: &RelinChallenge,
        answers: &[impl AsRef<[u8]> + Sync],
    ) -> Result<(), RelinProofError> {
        self.verify_all_telling(commitment, challenge, answers, &|| ())
    }

    /// The same, which takes seconds: `tells` hears of every answer that was checked, from any thread.
    ///
    /// # Errors
    /// As `verify_all`.
    pub fn verify_all_telling(
        &self,
        commitment: &RelinCommitment,
        challenge: &RelinChallenge,
        answers: &[impl AsRef<[u8]> + Sync],
        tells: &(dyn Fn() + Sync),
    ) -> Result<(), RelinProofError> {
        if answers.len() != REPETITIONS {
            return Err(RelinProofError::Count { found: answers.len() });
        }
        let set = answers.first().and_then(|answer| RelinAnswer::set_of(answer.as_ref())).unwrap_or_default();
        let numbered: Vec<u8> = repetitions().collect();
        let check = |repetition: &u8| {
            let answer = answers[usize::from(*repetition)].as_ref();
            let checked = self.verify(commitment, challenge, (set, *repetition), answer);
            tells();
            checked
        };
        numbered.par_iter().map(check).find_map_first(Result::err).map_or(Ok(()), Err)
    }

    /// Checks one answer. All [`REPETITIONS`] of one set have to pass.
    ///
    /// # Errors
    /// [`RelinProofError`]: what is wrong with it.
    pub fn verify(
        &self,
        commitment: &RelinCommitment,
        challenge: &RelinChallenge,
        (set, repetition): (u8, u8),
        answer: &[u8],
    ) -> Result<(), RelinProofError> {
        let digests = commitment.0.get(usize::from(set)).and_then(|set| set.get(usize::from(repetition)));
        let Some(digest) = digests else { return Err(RelinProofError::Differs { set, repetition }) };
        let (n, coin) = (self.params.n, challenge.coin(set, repetition));
        let answer = RelinAnswer::from_bytes(answer, (set, repetition, coin), (n, self.digits()))?;
        let found = match answer.shown {
            Shown::Seed(seed) => {
                let mask = Values::expand(&seed, self.params.preset, n, self.digits());
                self.digest(&mask, (set, repetition), false)
            }
            Shown::Masked(values) => self.digest(&values, (set, repetition), true),
        };
        if found == *digest { Ok(()) } else { Err(RelinProofError::Differs { set, repetition }) }
    }

    /// The digest of L(v), or of L(v) - x.
    pub(super) fn digest(&self, values: &Values, (set, repetition): (u8, u8), is_masked: bool) -> [u8; 32] {
        let basis = extended_basis(self.params, self.limbs);
        // 39 MB at the largest preset, 82 times: BLAKE3 takes a quarter of the time that SHA-256 takes.
        let mut hash = Hasher::new();
        hash.update(&self.prefix);
        hash.update(&[set, repetition]);
        // Of masks, which stay secret where they were added to a witness.
        let transformed =
            |values: &Vec<i64>| Zeroizing::new(Poly::from_signed_masked(values, &basis).into_eval(&basis));
        let mut polynomials = values.polynomials().iter().map(|values| transformed(values));
        let (Some(secret), Some(mask)) = (polynomials.next(), polynomials.next()) else { return [0; 32] };
        let mut difference = mask.clone();
        difference.sub_assign(&secret, &basis);
        for digit in 0..self.digits() {
            let errors = [polynomials.next(), polynomials.next(), polynomials.next()];
            let [Some(mut h0), Some(mut h1), Some(mut second)] = errors else { return [0; 32] };
            let mut product = mask.clone();
            product.mul_assign(&self.halves[digit], &basis);
            h0.sub_assign(&product, &basis);
            add_gadget(self.params, self.limbs, digit, &mut h0, &secret);
            h1.mul_add(&self.halves[digit], &secret, &basis);
            second.mul_add(&self.sums[2 * digit], &secret, &basis);
            second.mul_add(&self.sums[2 * digit + 1], &difference, &basis);
            let shares = [&self.first[2 * digit], &self.first[2 * digit + 1], &self.second[digit]];
            for (mut image, share) in [h0, h1, second].into_iter().zip(shares) {
                if is_masked {
                    image.sub_assign(share, &basis);
                }
                absorb(&mut hash, &image, &basis);
            }
        }
        hash.finalize().into()
    }
}

/// Residues limb by limb, little-endian.
fn absorb(hash: &mut Hasher, image: &Poly<Eval>, basis: &[Limb]) {
    let mut bytes = vec![0; 4 * image.n()];
    for limb in 0..basis.len() {
        let words = bytes.as_chunks_mut::<4>().0.iter_mut();
        words.zip(image.limb(limb)).for_each(|(word, residue)| *word = residue.to_le_bytes());
        hash.update(&bytes);
    }
}
