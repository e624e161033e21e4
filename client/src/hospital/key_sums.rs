//! Sums of the serving keys' shares, added at this site from the bodies that every hospital signed for.
//!
//! Whoever adds for others can add what it likes: with first-round sums of its own choice a coordinator reads the
//! serving secret off one second-round share, and with a public key of its own it reads every query. So nothing secret
//! is computed here on a sum that somebody else names.

use he_agg::multiparty::{
    Crs, PublicKey, PublicKeyShare, PublicKeySum, R1, R2, RelinIntermediate, RelinKeyShare, RelinKeySum,
    RelinearizationKey,
};
use protocol::Reject;
use protocol::blob::{BlobKind, BodyRoot, ListId};
use protocol::ids::{Digest, PartyId};
use protocol::message::KeyStep;
use protocol::store::Once;

use super::ceremony::INPUTS;
use super::error::{HospitalError, Step};
use super::site::Site;

const STEP: &str = "adding the shares of a serving key";

/// A sum that is not complete yet.
enum Adding {
    PublicKey(PublicKeySum),
    RelinRoundOne(RelinKeySum<R1>),
    RelinRoundTwo(RelinKeySum<R2>),
}

/// What was added so far.
#[derive(Default)]
pub(super) struct KeySums {
    adding: Option<Adding>,
    /// The first round of the relinearisation key, until the second one is added as well, and its digest.
    round_one: Option<(RelinIntermediate, Digest)>,
}

impl KeySums {
    /// Sums of the first round of the relinearisation key.
    pub(super) fn of_round_one(&self) -> Option<(&RelinIntermediate, Digest)> {
        self.round_one.as_ref().map(|(sums, digest)| (sums, *digest))
    }

    fn of(&mut self, step: KeyStep, crs: &Crs, limbs: usize, parties: u16) -> Result<&mut Adding, HospitalError> {
        let is_under_way = matches!(
            (&self.adding, step),
            (Some(Adding::PublicKey(_)), KeyStep::PublicKey)
                | (Some(Adding::RelinRoundOne(_)), KeyStep::RelinRoundOne)
                | (Some(Adding::RelinRoundTwo(_)), KeyStep::RelinRoundTwo)
        );
        let adding = match self.adding.take() {
            Some(adding) if is_under_way => adding,
            _ => match step {
                KeyStep::PublicKey => Adding::PublicKey(PublicKeySum::new(crs, parties).step(STEP)?),
                KeyStep::RelinRoundOne => {
                    Adding::RelinRoundOne(RelinKeySum::<R1>::new(crs, limbs, parties).step(STEP)?)
                }
                KeyStep::RelinRoundTwo => {
                    Adding::RelinRoundTwo(RelinKeySum::<R2>::new(crs, limbs, parties).step(STEP)?)
                }
                // Part by part.
                KeyStep::Galois => return Err(HospitalError::NoKeys { step: STEP }),
            },
        };
        Ok(self.adding.insert(adding))
    }
}

impl Adding {
    /// Reads a share and adds it, if it is of this hospital.
    fn add(&mut self, crs: &Crs, from: PartyId, share: &[u8]) -> Result<(), String> {
        let owned = |sender: u16| match sender == from.number() {
            true => Ok(()),
            false => Err(format!("it is of hospital {sender}")),
        };
        match self {
            Self::PublicKey(sum) => {
                let share = PublicKeyShare::from_bytes(share, crs).map_err(|error| error.to_string())?;
                owned(share.sender())?;
                sum.absorb(&share).map_err(|error| error.to_string())
            }
            Self::RelinRoundOne(sum) => {
                let share = RelinKeyShare::<R1>::from_bytes(share, crs).map_err(|error| error.to_string())?;
                owned(share.sender())?;
                sum.absorb(&share).map_err(|error| error.to_string())
            }
            Self::RelinRoundTwo(sum) => {
                let share = RelinKeyShare::<R2>::from_bytes(share, crs).map_err(|error| error.to_string())?;
                owned(share.sender())?;
                sum.absorb(&share).map_err(|error| error.to_string())
            }
        }
    }
}

impl Site {
    /// Adds one hospital's share to the sum of a step; says why it cannot be added.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn add_share(
        &mut self,
        step: KeyStep,
        from: PartyId,
        share: &[u8],
    ) -> Result<Option<Reject>, HospitalError> {
        let limbs = self.plan.program.key_plan().relin_limbs;
        let crs = self.crs.as_ref().ok_or(HospitalError::NoKeys { step: STEP })?;
        let added = self.sums.of(step, crs, limbs, self.plan.layout.parties())?.add(crs, from, share);
        let Err(why) = added else { return Ok(None) };
        self.sums.adding = None;
        self.observer.refused(self.plan.party, &format!("the share of {from} of a serving key cannot be used: {why}"));
        Ok(Some(Reject::BadKeyShare))
    }

    /// Takes the sum of a step, all of whose shares were added, if the coordinator announced the same.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails, or has another sum of this key epoch on record.
    pub(super) fn finish_sum(&mut self, step: KeyStep, announced: BodyRoot) -> Result<Option<Reject>, HospitalError> {
        if step == KeyStep::Galois {
            return self.finish_rotations(announced);
        }
        let crs = self.crs.clone().ok_or(HospitalError::NoKeys { step: STEP })?;
        let is_announced = |bytes: &[u8]| BodyRoot::of(&[Digest::of_bytes(bytes)], bytes.len() as u64) == announced;
        let is_right = match self.sums.adding.take().ok_or(HospitalError::NoKeys { step: STEP })? {
            Adding::PublicKey(sum) => {
                let key = sum.finish().step(STEP)?;
                let bytes = key.to_bytes(&crs);
                let is_right = is_announced(&bytes);
                if is_right {
                    self.note_sum(step, Digest::of_bytes(&bytes))?;
                    self.public_key = Some(key);
                }
                is_right
            }
            Adding::RelinRoundOne(sum) => {
                let sums = sum.finish().step(STEP)?;
                let bytes = sums.to_bytes();
                let is_right = is_announced(&bytes);
                if is_right {
                    // The same mask over two different sums would give the secret away, so the first are the only ones.
                    self.note_sum(step, Digest::of_bytes(&bytes))?;
                    self.sums.round_one = Some((sums, Digest::of_bytes(&bytes)));
                }
                is_right
            }
            Adding::RelinRoundTwo(sum) => {
                let (first, _) = self.sums.round_one.take().ok_or(HospitalError::NoKeys { step: STEP })?;
                let key: RelinearizationKey = sum.finish(first).step(STEP)?;
                let bytes = key.to_bytes(&crs);
                let is_right = is_announced(&bytes);
                if is_right {
                    let held = self.holdings.write(&bytes)?;
                    self.holdings.keep(relinearisation(), &[held])?;
                }
                is_right
            }
        };
        if is_right {
            return Ok(None);
        }
        self.observer.refused(
            self.plan.party,
            &format!("the coordinator announced another sum of {step:?} than the hospitals' shares give"),
        );
        Ok(Some(Reject::SumDiffers))
    }

    /// Takes a sum that this site added up before a restart.
    ///
    /// # Errors
    /// [`HospitalError::OtherCeremony`] where it is another, [`HospitalError::NoKeys`] where this site added none.
    pub(super) fn take_sum(&mut self, step: KeyStep, bytes: &[u8]) -> Result<(), HospitalError> {
        let reading = "reading the sum of a serving key's shares";
        let digest = Digest::of_bytes(bytes);
        let known = self.journal.get(&self.record(INPUTS), name(step))?;
        match known {
            Some(known) if known == digest.0 => {}
            Some(_) => return Err(HospitalError::OtherCeremony { what: what(step) }),
            None => return Err(HospitalError::NoKeys { step: reading }),
        }
        let crs = self.crs(reading)?;
        match step {
            KeyStep::PublicKey => self.public_key = Some(PublicKey::from_bytes(bytes, crs).step(reading)?),
            KeyStep::RelinRoundOne => {
                self.sums.round_one = Some((RelinIntermediate::from_bytes(bytes, crs).step(reading)?, digest));
            }
            // Nothing is computed with them here.
            KeyStep::RelinRoundTwo | KeyStep::Galois => {}
        }
        Ok(())
    }

    /// Records the digest of a sum that the ceremony is computed with; another one is refused for ever.
    pub(super) fn note_sum(&self, step: KeyStep, digest: Digest) -> Result<(), HospitalError> {
        match self.journal.insert_once(&self.record(INPUTS), name(step), &digest.0)? {
            Once::Existing(known) if known != digest.0 => Err(HospitalError::OtherCeremony { what: what(step) }),
            _ => Ok(()),
        }
    }
}

/// Where the relinearisation key is held.
pub(super) fn relinearisation() -> ListId {
    ListId { kind: BlobKind::RelinRoundTwo, round: 0, attempt: 0, party: None }
}

/// Of a record.
fn name(step: KeyStep) -> &'static [u8] {
    match step {
        KeyStep::PublicKey => b"public key",
        KeyStep::RelinRoundOne => b"relinearisation sums",
        KeyStep::RelinRoundTwo => b"relinearisation key",
        KeyStep::Galois => b"rotation keys",
    }
}

/// For people.
fn what(step: KeyStep) -> &'static str {
    match step {
        KeyStep::PublicKey => "collective public key",
        KeyStep::RelinRoundOne => "sum of the relinearisation key's first round",
        KeyStep::RelinRoundTwo => "relinearisation key",
        KeyStep::Galois => "set of rotation keys",
    }
}
