//! Sums of many parts, added at this site part by part: the rotation keys, and the published model. In a large
//! consortium a site adds what it drew, and takes the rest as announced.
//!
//! A coordinator that adds for everybody could publish one hospital's contribution as the model, or keys with errors of
//! its own choice; hospitals evaluate with what they added up themselves.

use std::sync::Arc;

use bytes::Bytes;
use he_agg::ckks::{Ciphertext, GatedCiphertext};
use he_agg::multiparty::{Crs, GaloisKey, GaloisKeyShare, GaloisKeySum, GateKey};
use he_infer::GatedWeightSum;
use protocol::Reject;
use protocol::blob::BodyRoot;
use protocol::drive::hospital::Parts;
use protocol::ids::{Attempt, Digest, PartyId};
use protocol::message::KeySet;

use super::error::HospitalError;
use super::gates::GATE_KEYS_KEPT;
use super::holdings::{Held, root_of};
use super::observer::Activity;
use super::site::Site;

/// A sum that is not complete yet.
pub(super) struct PartSum {
    parts: Parts,
    added: Vec<Held>,
    /// Why it never will be.
    wrong: Option<Reject>,
}

impl Site {
    /// Adds what the hospitals bring to one part; the parts come in order, from 0. What cannot be added is remembered
    /// until the sum is finished.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn add_parts(
        &mut self,
        parts: Parts,
        index: u32,
        bodies: &[(PartyId, Bytes)],
    ) -> Result<(), HospitalError> {
        if !self.is_next_part(parts, index)? {
            return Ok(());
        }
        let added = match parts {
            Parts::Rotations(set) => self.add_rotation(set, index as usize, bodies),
            Parts::Model(attempt) => self.add_weight(attempt, index as usize, bodies)?,
        };
        self.hold_part(parts, index, "added up", added)
    }

    /// Takes one part as the coordinator announced it, in order among those that are added, after what can be told of
    /// it without the bodies that it is the sum of: its shape, and the half that common randomness decides.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn take_part(
        &mut self,
        parts: Parts,
        index: u32,
        makers: &[PartyId],
        body: &[u8],
    ) -> Result<(), HospitalError> {
        if !self.is_next_part(parts, index)? {
            return Ok(());
        }
        let taken = match parts {
            Parts::Rotations(set) => self.take_rotation(set, index as usize, body),
            Parts::Model(attempt) => self.take_weight(attempt, index as usize, makers, body)?,
        };
        self.hold_part(parts, index, "taken", taken.map(|()| body.to_vec()))
    }

    /// Whether this is the part that the sum under way lacks; the first part begins a sum.
    fn is_next_part(&mut self, parts: Parts, index: u32) -> Result<bool, HospitalError> {
        if let Parts::Rotations(set) = parts {
            self.plan.keys_of(set, "adding rotation keys")?;
        }
        if index == 0 {
            self.drop_parts()?;
            self.adding = Some(PartSum { parts, added: Vec::new(), wrong: None });
        }
        let (place, of) = (index as usize, self.parts_of(parts));
        self.observer.activity(self.plan.party, Activity::Verifying { done: place, of });
        let is_next = |sum: &PartSum| sum.parts == parts && sum.wrong.is_none() && sum.added.len() == place;
        Ok(self.adding.as_ref().is_some_and(is_next))
    }

    /// Keeps a part, or remembers why there is none.
    fn hold_part(
        &mut self,
        parts: Parts,
        index: u32,
        how: &str,
        part: Result<Vec<u8>, String>,
    ) -> Result<(), HospitalError> {
        let held = match part {
            Ok(body) => Ok(self.holdings.write(&body)?),
            Err(why) => Err(why),
        };
        let Some(sum) = &mut self.adding else { return Ok(()) };
        match held {
            Ok(held) => sum.added.push(held),
            Err(why) => {
                let (what, reject) = match parts {
                    Parts::Rotations(_) => ("rotation keys", Reject::BadKeyShare),
                    Parts::Model(_) => ("the published model", Reject::BadContribution),
                };
                sum.wrong = Some(reject);
                self.observer.refused(self.plan.party, &format!("part {index} of {what} cannot be {how}: {why}"));
            }
        }
        Ok(())
    }

    /// Parts of the sum, by the program that this site approved.
    fn parts_of(&self, parts: Parts) -> usize {
        match parts {
            Parts::Rotations(set) => self.rotations(set).len(),
            Parts::Model(_) => self.plan.program.weights().len(),
        }
    }

    /// The rotation keys of a set in the order of their bodies: steps and limbs.
    pub(super) fn rotations(&self, set: KeySet) -> Vec<(i32, usize)> {
        let keys = self.plan.keys_of(set, "adding rotation keys");
        keys.ok().and_then(|keys| keys.rotations().ok()).unwrap_or_default()
    }

    fn add_rotation(&self, set: KeySet, place: usize, bodies: &[(PartyId, Bytes)]) -> Result<Vec<u8>, String> {
        let (steps, limbs) = *self.rotations(set).get(place).ok_or("the plan has no such rotation")?;
        let crs = self.crs_of(set, "adding rotation keys").map_err(|_| "this site has no keys of this epoch")?;
        let parties = self.plan.layout.parties();
        let mut sum = GaloisKeySum::new(crs, steps, limbs, parties).map_err(|error| error.to_string())?;
        for (maker, body) in bodies {
            let of_maker = |error: &dyn std::fmt::Display| format!("that of {maker}: {error}");
            let share = GaloisKeyShare::from_bytes(body, crs).map_err(|error| of_maker(&error))?;
            if share.sender() != maker.number() {
                return Err(of_maker(&format!("it is of hospital {}", share.sender())));
            }
            sum.absorb(&share).map_err(|error| of_maker(&error))?;
        }
        let key = sum.finish().map_err(|error| error.to_string())?;
        Ok(key.to_bytes(crs))
    }

    /// Why an announced rotation key is none of the plan's: its second half is the common randomness's.
    fn take_rotation(&self, set: KeySet, place: usize, body: &[u8]) -> Result<(), String> {
        let (steps, limbs) = *self.rotations(set).get(place).ok_or("the plan has no such rotation")?;
        let crs = self.crs_of(set, "adding rotation keys").map_err(|_| "this site has no keys of this epoch")?;
        let key = GaloisKey::from_bytes(body, crs).map_err(|error| error.to_string())?;
        if i32::try_from(key.steps()) != Ok(steps) || key.limbs() != limbs {
            let (found, of) = (key.steps(), key.limbs());
            return Err(format!("it turns by {found} at {of} limbs, and {steps} at {limbs} is wanted"));
        }
        Ok(())
    }

    /// One weight vector of what the cohort brings, or why there is none.
    fn add_weight(
        &mut self,
        attempt: Attempt,
        place: usize,
        bodies: &[(PartyId, Bytes)],
    ) -> Result<Result<Vec<u8>, String>, HospitalError> {
        let keys =
            bodies.iter().map(|(maker, _)| self.gate_key(KeySet::Serving, *maker)).collect::<Result<Vec<_>, _>>()?;
        let crs = self.crs("adding the published model up")?;
        Ok(self.lifted_weight(crs, u64::from(attempt.0), place, bodies.iter().zip(&keys)))
    }

    fn lifted_weight<'a>(
        &self,
        crs: &Crs,
        number: u64,
        place: usize,
        brought: impl Iterator<Item = (&'a (PartyId, Bytes), &'a Arc<GateKey>)>,
    ) -> Result<Vec<u8>, String> {
        let program = &self.plan.program;
        let mut sum = GatedWeightSum::new(program, crs, number, place).map_err(|error| error.to_string())?;
        for ((maker, body), key) in brought {
            let of_maker = |error: &dyn std::fmt::Display| format!("that of {maker}: {error}");
            let part = GatedCiphertext::from_bytes(body, program.params().preset).map_err(|error| of_maker(&error))?;
            sum.absorb(&part, key).map_err(|error| of_maker(&error))?;
        }
        Ok(sum.finish().map_err(|error| error.to_string())?.to_bytes())
    }

    /// Why an announced weight vector is none of these makers': whatever they contributed, its second half is what
    /// their gate keys yield.
    fn take_weight(
        &mut self,
        attempt: Attempt,
        place: usize,
        makers: &[PartyId],
        body: &[u8],
    ) -> Result<Result<(), String>, HospitalError> {
        let keys = makers.iter().map(|maker| self.gate_key(KeySet::Serving, *maker)).collect::<Result<Vec<_>, _>>()?;
        let crs = self.crs("checking the published model")?;
        Ok(self.vouch_for_weight(crs, u64::from(attempt.0), place, &keys, body))
    }

    fn vouch_for_weight(
        &self,
        crs: &Crs,
        number: u64,
        place: usize,
        keys: &[Arc<GateKey>],
        body: &[u8],
    ) -> Result<(), String> {
        let program = &self.plan.program;
        let announced = Ciphertext::from_bytes(body, program.params().preset).map_err(|error| error.to_string())?;
        let mut sum = GatedWeightSum::new(program, crs, number, place).map_err(|error| error.to_string())?;
        keys.iter().try_for_each(|key| sum.absorb_key(key)).map_err(|error| error.to_string())?;
        match sum.shares_second_half(&announced) {
            Ok(true) => Ok(()),
            Ok(false) => Err("its second half is not the one that the contributors' gates give".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Takes the rotation keys, all of whose shares were added, if the coordinator announced the same.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn finish_rotations(
        &mut self,
        set: KeySet,
        announced: BodyRoot,
    ) -> Result<Option<Reject>, HospitalError> {
        self.finish_parts(Parts::Rotations(set), Reject::BadKeyShare, Reject::SumDiffers, |own| own == announced)
    }

    /// Takes the published model, all of whose contributions were added, if the coordinator announced the same.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn finish_model(&mut self, attempt: Attempt, model: Digest) -> Result<Option<Reject>, HospitalError> {
        // Whoever does not contribute vouches for it as well.
        self.check_bound()?;
        let parts = Parts::Model(attempt);
        // All of the cohort's were needed at once.
        self.gates.keep(GATE_KEYS_KEPT);
        self.finish_parts(parts, Reject::BadContribution, Reject::ModelSumDiffers, |own| own.root == model)
    }

    fn finish_parts(
        &mut self,
        parts: Parts,
        incomplete: Reject,
        differs: Reject,
        is_announced: impl Fn(BodyRoot) -> bool,
    ) -> Result<Option<Reject>, HospitalError> {
        let of = self.parts_of(parts);
        let sum = self.adding.as_ref().filter(|sum| sum.parts == parts);
        let reject = match sum {
            Some(PartSum { wrong: Some(reject), .. }) => *reject,
            Some(sum) if sum.added.len() == of && is_announced(root_of(&sum.added)) => {
                self.holdings.keep(parts.sum(), &sum.added)?;
                self.adding = None;
                return Ok(None);
            }
            Some(sum) if sum.added.len() == of => differs,
            _ => incomplete,
        };
        self.drop_parts()?;
        self.observer.refused(self.plan.party, &reject.to_string());
        Ok(Some(reject))
    }

    /// Frees the disk of a sum that is not taken.
    fn drop_parts(&mut self) -> Result<(), HospitalError> {
        match self.adding.take() {
            Some(sum) => self.holdings.remove(&sum.added),
            None => Ok(()),
        }
    }
}
