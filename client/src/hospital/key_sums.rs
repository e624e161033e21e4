//! Sums of the serving keys' shares, added at this site from the bodies that every hospital signed for.
//!
//! Whoever adds for others can add what it likes: with first-round sums of its own choice a coordinator reads the
//! serving secret off one second-round share. So nothing secret is computed here on a sum that somebody else names.

use he_agg::multiparty::{
    Crs, GateKey, GateShare, GateSum, R1, R2, RelinIntermediate, RelinKeyShare, RelinKeySum, RelinearizationKey,
};
use protocol::Reject;
use protocol::blob::{BlobKind, BodyRoot, ListId};
use protocol::ids::{Digest, PartyId};
use protocol::message::{Key, KeySet, KeyStep};
use protocol::store::Once;

use super::ceremony::INPUTS;
use super::error::{HospitalError, Step};
use super::holdings::Held;
use super::plan::HospitalPlan;
use super::planes;
use super::relin_proof::{Masks, masks, masks_digest};
use super::site::Site;

const STEP: &str = "adding the shares of a serving key";

/// A sum that is not complete yet.
enum Adding {
    /// Of this hospital's own gate.
    Gate(GateSum),
    /// All hospitals' keys, each by itself.
    GateKeys(Vec<Held>),
    RelinRoundOne(RelinKeySum<R1>),
    RelinRoundTwo(RelinKeySum<R2>),
    /// All hospitals' masks and coins, each by itself.
    RelinMasks(Vec<Held>),
    /// What all hospitals are bound to of their planes, three bodies each.
    Planes(Vec<Held>),
}

/// What was added so far.
#[derive(Default)]
pub(super) struct KeySums {
    /// What is being added, and for which step.
    adding: Option<(KeyStep, Adding)>,
    /// The first round of a set's relinearisation key, until all have proved their shares on it, and its digest.
    round_one: Option<(KeySet, RelinIntermediate, Digest)>,
}

impl KeySums {
    /// Sums of the first round of a set's relinearisation key.
    pub(super) fn of_round_one(&self, set: KeySet) -> Option<(&RelinIntermediate, Digest)> {
        self.round_one.as_ref().filter(|(of, ..)| *of == set).map(|(_, sums, digest)| (sums, *digest))
    }

    /// Takes up one body of a hospital's planes.
    pub(super) fn hold_planes(&mut self, body: Held) {
        match &mut self.adding {
            Some((_, Adding::Planes(held))) => held.push(body),
            _ => self.adding = Some((KeyStep::Planes, Adding::Planes(vec![body]))),
        }
    }

    /// Drops what was added so far.
    pub(super) fn forget(&mut self) {
        self.adding = None;
    }

    fn of(&mut self, step: KeyStep, crs: &Crs, plan: &HospitalPlan) -> Result<&mut Adding, HospitalError> {
        let keys = plan.keys_of(step.set(), STEP)?;
        let (limbs, parties) = (keys.plan.relin_limbs, plan.layout.parties());
        let adding = match self.adding.take() {
            Some((of, adding)) if of == step => adding,
            _ => match step.key() {
                Key::Gate => {
                    let (asker, limbs) = (plan.party.number(), keys.gate_limbs);
                    Adding::Gate(GateSum::new(crs, asker, limbs, parties).step(STEP)?)
                }
                Key::GateKey => Adding::GateKeys(Vec::new()),
                Key::RelinRoundOne => Adding::RelinRoundOne(RelinKeySum::<R1>::new(crs, limbs, parties).step(STEP)?),
                Key::RelinRoundTwo => Adding::RelinRoundTwo(RelinKeySum::<R2>::new(crs, limbs, parties).step(STEP)?),
                Key::RelinMasks => Adding::RelinMasks(Vec::new()),
                // Part by part, proof by proof, hospital by hospital.
                Key::Galois | Key::RelinAnswers | Key::Planes | Key::PlaneOpenings => {
                    return Err(HospitalError::NoKeys { step: STEP });
                }
            },
        };
        Ok(&mut self.adding.insert((step, adding)).1)
    }
}

impl Adding {
    /// Reads a share and adds it, if it is of this hospital.
    fn add(&mut self, crs: &Crs, limbs: usize, from: PartyId, share: &[u8]) -> Result<(), String> {
        let owned = |sender: u16| match sender == from.number() {
            true => Ok(()),
            false => Err(format!("it is of hospital {sender}")),
        };
        match self {
            Self::Gate(sum) => {
                let share = GateShare::from_bytes(share, crs).map_err(|error| error.to_string())?;
                owned(share.sender())?;
                sum.absorb(&share).map_err(|error| error.to_string())
            }
            Self::GateKeys(_) => {
                let key = GateKey::from_bytes(share, crs).map_err(|error| error.to_string())?;
                owned(key.asker())?;
                match key.limbs() == limbs {
                    true => Ok(()),
                    false => Err(format!("it has {} limbs, and the program needs {limbs}", key.limbs())),
                }
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
            Self::RelinMasks(_) => Masks::from_bytes(share).map(|_| ()),
            Self::Planes(_) => Err("it is no share of a sum".to_owned()),
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
        let crs = self.crs.as_ref().and_then(|crs| crs.of(step.set())).ok_or(HospitalError::NoKeys { step: STEP })?;
        let limbs = self.plan.keys_of(step.set(), STEP)?.gate_limbs;
        let adding = self.sums.of(step, crs, &self.plan)?;
        let Err(why) = adding.add(crs, limbs, from, share) else {
            if let Adding::GateKeys(held) | Adding::RelinMasks(held) = adding {
                held.push(self.holdings.write(share)?);
            }
            return Ok(None);
        };
        self.sums.adding = None;
        self.observer.refused(self.plan.party, &format!("the share of {from} of a serving key cannot be used: {why}"));
        Ok(Some(Reject::BadKeyShare))
    }

    /// Takes the sum of a step, all of whose shares were added, if the coordinator announced the same.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails, or has another sum of this key epoch on record.
    pub(super) fn finish_sum(&mut self, step: KeyStep, announced: BodyRoot) -> Result<Option<Reject>, HospitalError> {
        let set = step.set();
        match step.key() {
            Key::Galois => return self.finish_rotations(set, announced),
            // Each proof by itself was checked, or the ceremony had ended.
            Key::RelinAnswers => {
                self.sums.round_one = None;
                return Ok(None);
            }
            Key::PlaneOpenings => return Ok(None),
            _ => {}
        }
        let crs = self.crs_of(set, STEP)?.clone();
        let is_announced = |bytes: &[u8]| BodyRoot::of(&[Digest::of_bytes(bytes)], bytes.len() as u64) == announced;
        let adding = self.sums.adding.take().filter(|(of, _)| *of == step);
        let is_right = match adding.ok_or(HospitalError::NoKeys { step: STEP })?.1 {
            // Nobody announces an own gate: what all signed for is what the machine compared.
            Adding::Gate(sum) => {
                let bytes = sum.finish().step(STEP)?.to_bytes();
                self.note_sum(step, Digest::of_bytes(&bytes))?;
                let held = self.holdings.write(&bytes)?;
                self.holdings.keep(own_gate(set), &[held])?;
                true
            }
            Adding::GateKeys(held) => {
                let is_right = list_root(&held) == announced;
                if is_right {
                    self.holdings.keep(gate_keys(set), &held)?;
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
                    if self.plan.keeps_ceremony {
                        let held = self.holdings.write(&bytes)?;
                        self.holdings.keep(relin_sums(set), &[held])?;
                    }
                    self.sums.round_one = Some((set, sums, Digest::of_bytes(&bytes)));
                }
                is_right
            }
            Adding::RelinRoundTwo(sum) => {
                let (first, _) = self.sums.of_round_one(set).ok_or(HospitalError::NoKeys { step: STEP })?;
                let key: RelinearizationKey = sum.finish(first).step(STEP)?;
                let bytes = key.to_bytes(&crs);
                let is_right = is_announced(&bytes);
                if is_right {
                    let held = self.holdings.write(&bytes)?;
                    self.holdings.keep(relinearisation(set), &[held])?;
                }
                is_right
            }
            Adding::RelinMasks(held) => {
                let is_right = list_root(&held) == announced;
                if is_right {
                    // Openings for two different lists of coins would show the secrets.
                    let digests: Vec<Digest> = held.iter().map(|(digest, _)| *digest).collect();
                    self.note_sum(step, masks_digest(&digests))?;
                    self.holdings.keep(masks(set), &held)?;
                }
                is_right
            }
            Adding::Planes(held) => {
                let is_right = planes::list_root(&held) == announced;
                if is_right {
                    // Openings for two different lists of coins would open what questions are made of.
                    let digests: Vec<Digest> = held.iter().map(|(digest, _)| *digest).collect();
                    self.note_sum(step, planes::planes_digest(&digests))?;
                    self.holdings.keep(planes::planes(), &held)?;
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
        self.is_noted((step.set(), step.key()), digest)?;
        let crs = self.crs_of(step.set(), reading)?;
        // With the others nothing is computed here that is not on this site's disk.
        if step.key() == Key::RelinRoundOne {
            self.sums.round_one = Some((step.set(), RelinIntermediate::from_bytes(bytes, crs).step(reading)?, digest));
        }
        Ok(())
    }

    /// Records the digest of a sum that the ceremony is computed with; another one is refused for ever.
    pub(super) fn note_sum(&self, step: KeyStep, digest: Digest) -> Result<(), HospitalError> {
        let (set, key) = (step.set(), step.key());
        match self.journal.insert_once(&self.record(INPUTS), &name(set, key), &digest.0)? {
            Once::Existing(known) if known != digest.0 => Err(HospitalError::OtherCeremony { what: what(key) }),
            _ => Ok(()),
        }
    }

    /// Whether this is the sum that the ceremony is computed with.
    ///
    /// # Errors
    /// [`HospitalError::OtherCeremony`] where it is another, [`HospitalError::NoKeys`] where there is none.
    pub(super) fn is_noted(&self, (set, key): (KeySet, Key), digest: Digest) -> Result<(), HospitalError> {
        match self.journal.get(&self.record(INPUTS), &name(set, key))? {
            Some(known) if known == digest.0 => Ok(()),
            Some(_) => Err(HospitalError::OtherCeremony { what: what(key) }),
            None => Err(HospitalError::NoKeys { step: "reading the sum of a serving key's shares" }),
        }
    }
}

/// What all hospitals signed for, each for one body.
pub(super) fn list_root(bodies: &[Held]) -> BodyRoot {
    let lists: Vec<BodyRoot> = bodies.iter().map(|(digest, bytes)| BodyRoot::of(&[*digest], *bytes)).collect();
    BodyRoot::of_lists(&lists)
}

/// Where this hospital's gate is held until its key is made.
pub(super) fn own_gate(set: KeySet) -> ListId {
    set.list(BlobKind::Gate)
}

/// Where the first round's sums of the relinearisation key are held for an audit of the second.
pub(super) fn relin_sums(set: KeySet) -> ListId {
    set.list(BlobKind::RelinRoundOne)
}

/// Where all hospitals' gate keys are held, in order of hospital.
pub(super) fn gate_keys(set: KeySet) -> ListId {
    set.list(BlobKind::GateKey)
}

/// Where the relinearisation key is held.
pub(super) fn relinearisation(set: KeySet) -> ListId {
    set.list(BlobKind::RelinRoundTwo)
}

/// Of a record: sums of a training's keys have a name of their own.
fn name(set: KeySet, key: Key) -> Vec<u8> {
    let of: &[u8] = match set {
        KeySet::Serving => b"",
        KeySet::Training => b"training, ",
    };
    [of, key_name(key)].concat()
}

fn key_name(key: Key) -> &'static [u8] {
    match key {
        Key::Gate => b"gate",
        Key::GateKey => b"gate keys",
        Key::Planes => b"planes",
        Key::PlaneOpenings => b"planes' seeds",
        Key::RelinRoundOne => b"relinearisation sums",
        Key::RelinRoundTwo => b"relinearisation key",
        Key::RelinMasks => b"relinearisation masks",
        Key::RelinAnswers => b"relinearisation openings",
        Key::Galois => b"rotation keys",
    }
}

/// For people.
fn what(key: Key) -> &'static str {
    match key {
        Key::Gate => "gate of this hospital",
        Key::GateKey => "list of gate keys",
        Key::Planes => "list of planes and coins",
        Key::PlaneOpenings => "list of planes' seeds",
        Key::RelinRoundOne => "sum of the relinearisation key's first round",
        Key::RelinRoundTwo => "relinearisation key",
        Key::RelinMasks => "list of masks and coins",
        Key::RelinAnswers => "list of openings",
        Key::Galois => "set of rotation keys",
    }
}
