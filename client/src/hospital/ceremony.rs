//! The hospital's work in the key ceremony: deal, open dealings, make serving-key shares.

use he_agg::Stream;
use he_agg::multiparty::{Crs, GaloisKeyShare, PublicKey, PublicKeyShare, R1, R2, RelinIntermediate, RelinKeyShare};
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::ids::{Digest, PartyId};
use protocol::message::KeyStep;
use protocol::roster::Roster;
use protocol::sealed::{BoxContext, OpeningKey};

use super::dealing::Dealing;
use super::error::{HospitalError, Step};
use super::keyring::{DealtKeys, Keyring};
use super::observer::Activity;
use super::site::Site;

const LABEL: &str = "dealing";

impl Site {
    /// Makes both secrets and one sealed box per receiver; returns the boxes' digests and their size together.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] or [`HospitalError::Seal`].
    pub(super) fn deal_keys(&mut self, roster: &Roster, seed: Digest) -> Result<(Vec<Digest>, u64), HospitalError> {
        let party = self.plan.party;
        let crs = Crs::new(self.plan.program.params().preset, seed.0);
        let (dealt, dealings) = DealtKeys::deal(&self.plan.layout, &crs, party.number())?;
        let (mut digests, mut size) = (Vec::new(), 0);
        for (member, dealing) in roster.members().iter().zip(&dealings) {
            let plain = dealing.to_bytes();
            if let Some(witness) = &self.witness {
                witness.secret(party, &format!("key points for {}", member.party), &plain);
            }
            let context = BoxContext { epoch: roster.epoch(), dealer: party, receiver: member.party, label: LABEL };
            let sealed = member.sealing.seal(&context, &plain)?;
            size += sealed.len() as u64;
            let index = u32::from(member.party.number());
            digests.push(self.outbox.put(BlobId::ceremony(BlobKind::Dealing, Some(party), index), sealed)?);
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
        boxes: &[(PartyId, bytes::Bytes)],
    ) -> Result<Option<Digest>, HospitalError> {
        let step = "opening dealings";
        let party = self.plan.party;
        let mut dealings = Vec::new();
        for (dealer, sealed) in boxes {
            let context = BoxContext { epoch: roster.epoch(), dealer: *dealer, receiver: party, label: LABEL };
            let opened = opening.open(&context, sealed).map_err(HospitalError::from).and_then(|plain| {
                let crs = self.crs(step)?;
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
        let dealt = self.dealt.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let crs = self.crs(step)?;
        let keys = Keyring::assemble(dealt, dealings, &self.plan.layout, crs, party.number(), &self.vault)?;
        self.journal.put("epoch", b"seed", &crs.epoch())?;
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
        let crs = Crs::new(self.plan.program.params().preset, seed.0);
        self.keys = Some(Keyring::load(&self.plan.layout, &crs, self.plan.party.number(), &self.vault)?);
        self.crs = Some(crs);
        Ok(())
    }

    /// Makes this hospital's share of one serving key; the second round of the relinearisation key takes the first
    /// round's sums.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`].
    pub(super) fn serving_share(
        &mut self,
        kind: KeyStep,
        sums: Option<bytes::Bytes>,
    ) -> Result<BodyRoot, HospitalError> {
        let step = "making a serving-key share";
        let party = self.plan.party;
        let mut stream = Stream::from_os().step(step)?;
        let crs = self.crs.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let secret = &self.dealt.as_ref().ok_or(HospitalError::NoKeys { step })?.serving;
        let plan = self.plan.program.key_plan();
        let place = |index| BlobId::ceremony(kind.blob_kind(), Some(party), index);
        let mut bodies = Vec::new();
        match kind {
            KeyStep::PublicKey => {
                bodies.push(PublicKeyShare::generate(secret, crs, &mut stream).step(step)?.to_bytes());
            }
            KeyStep::RelinRoundOne => {
                let (share, mask) =
                    RelinKeyShare::<R1>::generate(secret, crs, plan.relin_limbs, &mut stream).step(step)?;
                bodies.push(share.to_bytes());
                self.relin = Some(mask);
            }
            KeyStep::RelinRoundTwo => {
                let (sums, mask) = (sums.ok_or(HospitalError::NoKeys { step })?, self.relin.take());
                let sums = RelinIntermediate::from_bytes(&sums, crs).step(step)?;
                let mask = mask.ok_or(HospitalError::NoKeys { step })?;
                bodies.push(RelinKeyShare::<R2>::generate(secret, mask, &sums, &mut stream).step(step)?.to_bytes());
            }
            KeyStep::Galois => {
                let rotations = plan.normalised(crs.preset()).step(step)?;
                for (done, (steps, limbs)) in rotations.iter().enumerate() {
                    self.observer.activity(party, Activity::Keys { done, of: rotations.len() });
                    let steps = i32::try_from(*steps).unwrap_or(i32::MAX);
                    let share = GaloisKeyShare::generate(secret, crs, steps, *limbs, &mut stream).step(step)?;
                    bodies.push(share.to_bytes());
                }
            }
        }
        let count = u32::try_from(bodies.len()).unwrap_or(u32::MAX);
        for (index, body) in (0u32..).zip(bodies) {
            self.outbox.put(place(index), body)?;
        }
        if kind == KeyStep::Galois {
            // New evaluation keys need a new ceremony, so the serving secret itself is of no further use.
            self.dealt = None;
        }
        self.outbox.root(place(0), count)
    }

    /// Takes the collective public key.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where it is malformed.
    pub(super) fn take_public_key(&mut self, bytes: &[u8]) -> Result<(), HospitalError> {
        let step = "reading the collective public key";
        let key = PublicKey::from_bytes(bytes, self.crs(step)?).step(step)?;
        self.public_key = Some(key);
        Ok(())
    }
}
