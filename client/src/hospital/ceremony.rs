//! The hospital's work in the key ceremony: deal, open dealings, make serving-key shares.
//!
//! All randomness comes from the epoch's ceremony secret, so every step can be made again by a later process.

use bytes::Bytes;
use he_agg::multiparty::{
    GaloisKeyShare, Gate, GateKey, GateShare, PlannedKeys, R1, R2, RelinEphemeral, RelinKeyShare,
};
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::ids::{Digest, PartyId};
use protocol::message::{Key, KeySet, KeyStep};
use protocol::roster::Roster;
use protocol::sealed::{BoxContext, OpeningKey};

use super::ceremony_secret::{self, CeremonySecret};
use super::dealing::Dealing;
use super::dealt_keys::DealtKeys;
use super::error::{HospitalError, Step};
use super::key_crs::KeyCrs;
use super::key_sums::{KeySums, own_gate, relin_sums};
use super::keyring::Keyring;
use super::observer::Activity;
use super::relin_proof::masks;
use super::site::Site;

const LABEL: &str = "dealing";
/// Digests of what the ceremony was computed with: one of each, ever.
pub(super) const INPUTS: &str = "ceremony-inputs";
/// The epoch seed among them. It is public, and belongs to everything that this site makes with its keys.
const SEED: &[u8] = b"epoch seed";

impl Site {
    /// Makes both secrets and one sealed box per receiver; returns the boxes' digests and their size together. Boxes
    /// that are stored already are kept: sealing is randomised, and a receiver may have got one of them.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`], [`HospitalError::Seal`], [`HospitalError::OtherCeremony`].
    pub(super) fn deal_keys(&mut self, roster: &Roster, seed: Digest) -> Result<(Vec<Digest>, u64), HospitalError> {
        let party = self.plan.party;
        let preset = self.plan.presets().0;
        let record = self.record(ceremony_secret::RECORD);
        let place = |member: PartyId| BlobId::ceremony(BlobKind::Dealing, Some(party), u32::from(member.number()));
        let mut stored = Vec::new();
        for member in roster.members() {
            stored.push(self.outbox.stored(&place(member.party))?);
        }
        if stored.iter().any(Option::is_some) && !self.vault.contains(&record) {
            // Dealt from a secret that is gone: other keys under the same boxes would fit nobody's.
            return Err(HospitalError::NoKeys { step: "dealing keys" });
        }
        let ceremony = CeremonySecret::begin(&self.vault, &record, preset, seed)?;
        self.journal.insert_once(&self.record(INPUTS), SEED, &seed.0)?;
        let crs = KeyCrs::new(&self.plan, seed);
        let dealt = DealtKeys::derive(&self.plan, ceremony)?;
        let dealings = match stored.iter().all(Option::is_some) {
            true => Vec::new(),
            false => dealt.dealings(&self.plan, &crs)?,
        };
        let (mut digests, mut size) = (Vec::new(), 0);
        for (index, (member, stored)) in roster.members().iter().zip(stored).enumerate() {
            let sealed = match (stored, dealings.get(index)) {
                (Some(sealed), _) => sealed,
                (None, Some(dealing)) => {
                    let plain = dealing.to_bytes();
                    let context =
                        BoxContext { epoch: roster.epoch(), dealer: party, receiver: member.party, label: LABEL };
                    let sealed = member.sealing.seal(&context, &plain)?;
                    self.outbox.put(place(member.party), sealed.clone())?;
                    Bytes::from(sealed)
                }
                (None, None) => return Err(HospitalError::BodyMissing { id: place(member.party) }),
            };
            size += sealed.len() as u64;
            digests.push(Digest::of_bytes(&sealed));
        }
        self.dealt = Some(dealt);
        self.crs = Some(crs);
        Ok((digests, size))
    }

    /// Opens the boxes addressed to this hospital, in order of dealer; returns the digest of the group key, or `None`
    /// where a box does not open.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn open_dealings(
        &mut self,
        roster: &Roster,
        opening: &OpeningKey,
        boxes: &[(PartyId, Bytes)],
    ) -> Result<Option<Digest>, HospitalError> {
        let step = "opening dealings";
        let party = self.plan.party;
        self.remember_ceremony(step)?;
        let mut dealings = Vec::new();
        for (dealer, sealed) in boxes {
            let context = BoxContext { epoch: roster.epoch(), dealer: *dealer, receiver: party, label: LABEL };
            let opened = opening.open(&context, sealed).map_err(HospitalError::from).and_then(|plain| {
                let crs = self.key_crs(step)?;
                Dealing::from_bytes(&plain, &self.plan.layout, crs, dealer.number(), party.number())
                    .map_err(|source| HospitalError::Dealing { dealer: *dealer, source })
            });
            match opened {
                Ok(dealing) => dealings.push((dealer.number(), dealing)),
                Err(error) => {
                    tracing::warn!(%party, %dealer, %error, "a dealing does not open");
                    self.observer.refused(party, &error.to_string());
                    return Ok(None);
                }
            }
        }
        self.keep_dealt(&dealings)?;
        let dealt = self.dealt(step)?;
        let keys = Keyring::assemble(dealt, dealings, (&self.plan, self.key_crs(step)?), &self.vault)?;
        let digest = keys.group_digest();
        self.keys = Some(keys);
        Ok(Some(digest))
    }

    /// Reads the keys of an epoch that was opened before a restart.
    ///
    /// # Errors
    /// [`HospitalError::Vault`] where this site has none.
    pub(super) fn restore_keys(&mut self, seed: Digest) -> Result<(), HospitalError> {
        if self.keys.is_some() {
            return Ok(());
        }
        let crs = KeyCrs::new(&self.plan, seed);
        self.keys = Some(Keyring::load(&self.plan, &crs, &self.vault)?);
        self.crs = Some(crs);
        Ok(())
    }

    /// Makes this hospital's share of one serving key; the second round of the relinearisation key is made of the first
    /// round's sums as this site added them. Asked again after a restart, it gives the same bytes; other sums are
    /// refused for ever.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`], [`HospitalError::OtherCeremony`], [`HospitalError::NoKeys`] once all keys exist.
    pub(super) fn serving_share(&mut self, kind: KeyStep) -> Result<BodyRoot, HospitalError> {
        let step = "making a serving-key share";
        let party = self.plan.party;
        self.remember_ceremony(step)?;
        let (set, keys) = (kind.set(), self.plan.keys_of(kind.set(), step)?);
        let place = |index| kind.body(Some(party), index);
        let bodies = match kind.key() {
            // Stored one by one.
            Key::Gate => {
                let count = self.gate_shares(kind, keys.gate_limbs, step)?;
                return self.outbox.root(place(0), count);
            }
            Key::RelinAnswers => {
                let count = self.relin_answers(set)?;
                return self.outbox.root(place(0), count);
            }
            Key::RelinMasks => vec![self.relin_masks(set)?],
            Key::GateKey => vec![self.own_gate_key(set, step)?],
            Key::Planes => self.own_planes()?.into(),
            Key::PlaneOpenings => vec![self.plane_seeds()?],
            Key::RelinRoundOne => {
                let (share, mask) = self.relin_round_one(set, step)?;
                self.relin = Some((set, mask));
                vec![share.to_bytes()]
            }
            Key::RelinRoundTwo => vec![self.relin_round_two(set)?],
            Key::Galois => self.galois_shares(set, &keys, step)?,
        };
        let count = u32::try_from(bodies.len()).unwrap_or(u32::MAX);
        for (index, body) in (0u32..).zip(bodies) {
            self.outbox.put(place(index), body)?;
        }
        if kind.key() == Key::Galois {
            // New evaluation keys need a new ceremony, so the secret itself is needed only if this share has to be made
            // again, and by the next set. Until all keys exist it can be, from the vault.
            self.dealt = None;
        }
        self.outbox.root(place(0), count)
    }

    /// This hospital's share of every hospital's gate, one in memory at a time; says how many.
    fn gate_shares(&self, kind: KeyStep, limbs: usize, step: &'static str) -> Result<u32, HospitalError> {
        let (dealt, party) = (self.dealt(step)?.of(kind.set(), step)?, self.plan.party);
        let crs = dealt.ceremony.crs();
        let mut count = 0;
        for (asker, seed) in (1u16..).zip(&dealt.gate_seeds) {
            self.observer.activity(party, Activity::Keys { done: count as usize, of: dealt.gate_seeds.len() });
            let label = [&asker.to_le_bytes()[..], &(limbs as u64).to_le_bytes()].concat();
            let mut stream = dealt.ceremony.stream("gate", &label);
            let share = GateShare::generate(&dealt.secret, crs, asker, limbs, seed, &mut stream).step(step)?;
            self.outbox.put(kind.body(Some(party), count), share.to_bytes())?;
            count += 1;
        }
        Ok(count)
    }

    /// The key of this hospital's own gate, as it added it up. One, ever: a second one of the same gate would show the
    /// difference of their errors.
    fn own_gate_key(&self, set: KeySet, step: &'static str) -> Result<Vec<u8>, HospitalError> {
        let dealt = self.dealt(step)?.of(set, step)?;
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?.of(set, step)?;
        let held = *self.holdings.digests(own_gate(set))?.first().ok_or(HospitalError::NoKeys { step })?;
        self.is_noted((set, Key::Gate), held)?;
        let crs = dealt.ceremony.crs();
        let gate = Gate::from_bytes(&self.holdings.read(held)?, crs).step(step)?;
        let seeds: Vec<_> = keys.gate_seeds.iter().map(|(dealer, seed)| (*dealer, seed)).collect();
        let mut stream = dealt.ceremony.stream("gate key", &held.0);
        Ok(GateKey::generate(&keys.gate, crs, &gate, &seeds, &mut stream).step(step)?.to_bytes())
    }

    pub(super) fn relin_round_one(
        &self,
        set: KeySet,
        step: &'static str,
    ) -> Result<(RelinKeyShare<R1>, RelinEphemeral), HospitalError> {
        let dealt = self.dealt(step)?.of(set, step)?;
        let limbs = self.plan.keys_of(set, step)?.plan.relin_limbs;
        let mut stream = dealt.ceremony.stream("relinearisation, round one", &(limbs as u64).to_le_bytes());
        RelinKeyShare::<R1>::generate(&dealt.secret, dealt.ceremony.crs(), limbs, &mut stream).step(step)
    }

    fn relin_round_two(&mut self, set: KeySet) -> Result<Vec<u8>, HospitalError> {
        let step = "making a serving-key share";
        let (sums, input) = self.sums.of_round_one(set).ok_or(HospitalError::NoKeys { step })?;
        let mask = match self.relin.take() {
            Some((of, mask)) if of == set => mask,
            _ => self.relin_round_one(set, step)?.1,
        };
        let dealt = self.dealt(step)?.of(set, step)?;
        let mut stream = dealt.ceremony.stream("relinearisation, round two", &input.0);
        Ok(RelinKeyShare::<R2>::generate(&dealt.secret, mask, sums, &mut stream).step(step)?.to_bytes())
    }

    fn galois_shares(
        &self,
        set: KeySet,
        keys: &PlannedKeys,
        step: &'static str,
    ) -> Result<Vec<Vec<u8>>, HospitalError> {
        let dealt = self.dealt(step)?.of(set, step)?;
        let crs = dealt.ceremony.crs();
        let rotations = keys.rotations().step(step)?;
        let mut bodies = Vec::new();
        for (done, (steps, limbs)) in rotations.iter().enumerate() {
            self.observer.activity(self.plan.party, Activity::Keys { done, of: rotations.len() });
            let label = [u64::from(steps.unsigned_abs()).to_le_bytes(), (*limbs as u64).to_le_bytes()].concat();
            let mut stream = dealt.ceremony.stream("rotation", &label);
            let share = GaloisKeyShare::generate(&dealt.secret, crs, *steps, *limbs, &mut stream).step(step)?;
            bodies.push(share.to_bytes());
        }
        Ok(bodies)
    }

    /// The own keys of the ceremony, which [`Site::remember_ceremony`] put there.
    pub(super) fn dealt(&self, step: &'static str) -> Result<&DealtKeys, HospitalError> {
        self.dealt.as_ref().ok_or(HospitalError::NoKeys { step })
    }

    /// Makes the own keys again where a restart or their last use dropped them.
    fn remember_ceremony(&mut self, step: &'static str) -> Result<(), HospitalError> {
        if self.dealt.is_some() {
            return Ok(());
        }
        let preset = self.plan.presets().0;
        let ceremony = CeremonySecret::load(&self.vault, &self.record(ceremony_secret::RECORD), preset)?;
        let ceremony = ceremony.ok_or(HospitalError::NoKeys { step })?;
        self.crs = Some(KeyCrs::new(&self.plan, ceremony.seed()));
        self.dealt = Some(DealtKeys::derive(&self.plan, ceremony)?);
        Ok(())
    }

    /// The epoch seed for which this site dealt, if it did.
    ///
    /// # Errors
    /// [`HospitalError::Store`].
    pub(super) fn dealt_for(&self) -> Result<Option<Digest>, HospitalError> {
        let known = self.journal.get(&self.record(INPUTS), SEED)?;
        Ok(known.and_then(|seed| <[u8; 32]>::try_from(seed).ok()).map(Digest))
    }

    /// Forgets, in memory and on disk, what only the ceremony needed: the serving secret above all, and the boxes,
    /// which their receivers have opened. What an audit needs stays on disk where the site keeps it. To be called when
    /// all serving keys exist; a second call does nothing.
    ///
    /// # Errors
    /// [`HospitalError::Vault`] or [`HospitalError::Store`].
    pub(super) fn finish_ceremony(&mut self) -> Result<(), HospitalError> {
        (self.dealt, self.relin) = (None, None);
        self.sums = KeySums::default();
        let record = self.record(ceremony_secret::RECORD);
        if !self.vault.contains(&record) {
            return Ok(());
        }
        self.forget_dealt()?;
        for receiver in 1..=u32::from(self.plan.layout.parties()) {
            self.outbox.forget(&BlobId::ceremony(BlobKind::Dealing, Some(self.plan.party), receiver))?;
        }
        if self.plan.keeps_ceremony {
            return Ok(());
        }
        // What its own keys were made of.
        for set in [KeySet::Serving, KeySet::Training] {
            self.holdings.forget(own_gate(set))?;
            self.holdings.forget(relin_sums(set))?;
            self.holdings.forget(masks(set))?;
        }
        // Last, so that a crash before it comes back to here.
        Ok(self.vault.remove(&record)?)
    }
}
