//! Adds the hospitals' shares of the collective keys, of serving and of training. The sums are public keys; none of
//! them decrypts.

use bytes::Bytes;
use he_agg::multiparty::{
    Crs, EvaluationKeys, GaloisKey, GaloisKeyShare, GaloisKeySum, GateKey, PLANES_PER_GROUP, PlaneCommitment,
    PlaneDigests, PlaneDraw, PlannedKeys, R1, R2, RelinIntermediate, RelinKeyShare, RelinKeySum, RelinearizationKey,
    plane_coins,
};
use he_infer::{ClosedPlanes, ModelError, PlaneQuestion, Program};
use he_train::encrypted::HeadPlan;
use protocol::PartySet;
use protocol::blob::{BlobKind, BodyRoot};
use protocol::ids::{Digest, PartyId, QueryId};
use protocol::message::{Key, KeySet, KeyStep, KeysAsked};
use rayon::prelude::*;

use crate::bodies::{Bodies, ListId};
use crate::error::CoordinatorError;

/// The keys of a set: `program` is what serves the head, if there is one.
///
/// # Errors
/// [`CoordinatorError::NoHead`] of a training, where no head is trained.
pub(crate) fn planned(
    program: &Program,
    head: Option<&HeadPlan>,
    set: KeySet,
) -> Result<PlannedKeys, CoordinatorError> {
    match (set, head) {
        (KeySet::Serving, None) => Ok(program.planned_keys()),
        (KeySet::Serving, Some(head)) => Ok(head.serving_keys()),
        (KeySet::Training, Some(head)) => Ok(head.training_keys()),
        (KeySet::Training, None) => Err(CoordinatorError::NoHead),
    }
}

/// Adds the shares of one step and stores the sum; one share is in memory at a time.
///
/// # Errors
/// [`CoordinatorError::Malformed`] naming the hospital whose share cannot be used.
pub(crate) fn aggregate(
    bodies: &Bodies,
    keys: &PlannedKeys,
    parties: PartySet,
    seed: Digest,
    step: KeyStep,
) -> Result<BodyRoot, CoordinatorError> {
    let crs = Crs::new(keys.preset, seed.0);
    let kind = step.blob_kind();
    let count = u16::try_from(parties.len()).unwrap_or(u16::MAX);
    let limbs = keys.plan.relin_limbs;
    match step.key() {
        Key::RelinRoundOne => {
            let mut sum = RelinKeySum::<R1>::new(&crs, limbs, count).map_err(wrong(kind, None))?;
            for party in parties.iter() {
                let share = bodies.get(&step.body(Some(party), 0))?;
                let share = RelinKeyShare::<R1>::from_bytes(&share, &crs).map_err(wrong(kind, Some(party)))?;
                owned(kind, party, share.sender())?;
                sum.absorb(&share).map_err(wrong(kind, Some(party)))?;
            }
            let sums = sum.finish().map_err(wrong(kind, None))?;
            bodies.put(&step.body(None, 0), &sums.to_bytes())?;
        }
        Key::RelinRoundTwo => {
            let mut sum = RelinKeySum::<R2>::new(&crs, limbs, count).map_err(wrong(kind, None))?;
            for party in parties.iter() {
                let share = bodies.get(&step.body(Some(party), 0))?;
                let share = RelinKeyShare::<R2>::from_bytes(&share, &crs).map_err(wrong(kind, Some(party)))?;
                owned(kind, party, share.sender())?;
                sum.absorb(&share).map_err(wrong(kind, Some(party)))?;
            }
            let first = bodies.get(&step.set().list(BlobKind::RelinRoundOne).body(0))?;
            let first = RelinIntermediate::from_bytes(&first, &crs).map_err(wrong(kind, None))?;
            let key = sum.finish(&first).map_err(wrong(kind, None))?;
            bodies.put(&step.body(None, 0), &key.to_bytes(&crs))?;
        }
        // Everybody's own: there is no sum, and the list of them is what all signed.
        Key::Gate | Key::GateKey | Key::Planes | Key::PlaneOpenings | Key::RelinMasks | Key::RelinAnswers => {}
        Key::Galois => {
            let rotations: Vec<_> = rotations(keys)?.into_iter().enumerate().collect();
            rotations.into_par_iter().try_for_each(|(index, (steps, limbs))| {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let mut sum = GaloisKeySum::new(&crs, steps, limbs, count).map_err(wrong(kind, None))?;
                for party in parties.iter() {
                    let share = bodies.get(&step.body(Some(party), index))?;
                    let share = GaloisKeyShare::from_bytes(&share, &crs).map_err(wrong(kind, Some(party)))?;
                    owned(kind, party, share.sender())?;
                    sum.absorb(&share).map_err(wrong(kind, Some(party)))?;
                }
                let key = sum.finish().map_err(wrong(kind, None))?;
                bodies.put(&step.body(None, index), &key.to_bytes(&crs)).map(|_| ())
            })?;
        }
    }
    bodies.root(step.list(None))
}

/// Reads the finished keys of a set back.
///
/// # Errors
/// [`CoordinatorError::BodyMissing`] where the ceremony did not finish.
pub(crate) fn load(
    bodies: &Bodies,
    (set, planned): (KeySet, &PlannedKeys),
    seed: Digest,
) -> Result<EvaluationKeys, CoordinatorError> {
    let crs = Crs::new(planned.preset, seed.0);
    let mut keys = EvaluationKeys::new(planned.preset);
    let kind = BlobKind::RelinRoundTwo;
    let bytes = bodies.get(&set.list(kind).body(0))?;
    let key = RelinearizationKey::from_bytes(&bytes, &crs).map_err(wrong(kind, None))?;
    keys.set_relinearization(key).map_err(wrong(kind, None))?;
    let kind = BlobKind::Galois;
    let count = rotations(planned)?.len();
    let loaded: Vec<GaloisKey> = (0..count)
        .into_par_iter()
        .map(|index| {
            let bytes = bodies.get(&set.list(kind).body(u32::try_from(index).unwrap_or(u32::MAX)))?;
            GaloisKey::from_bytes(&bytes, &crs).map_err(wrong(kind, None))
        })
        .collect::<Result<_, CoordinatorError>>()?;
    for key in loaded {
        keys.insert_rotation(key).map_err(wrong(kind, None))?;
    }
    Ok(keys)
}

/// Makes the finished keys outlive a power cut.
///
/// # Errors
/// [`CoordinatorError`] where one is missing.
pub(crate) fn sync(bodies: &Bodies, parties: PartySet) -> Result<(), CoordinatorError> {
    // There are no planes, and no keys of a training, where the terms have none.
    let mut all = KeyStep::steps(KeysAsked { planes: true, training: true });
    all.try_for_each(|step| match step.key() {
        Key::RelinRoundTwo | Key::Galois => bodies.sync(step.list(None)),
        Key::GateKey | Key::Planes => parties.iter().try_for_each(|party| bodies.sync(step.list(Some(party)))),
        _ => Ok(()),
    })
}

/// The finished keys' digests, as the log states them after each step.
///
/// # Errors
/// [`CoordinatorError`] where the index is lost.
pub(crate) fn root(bodies: &Bodies, parties: PartySet, step: KeyStep) -> Result<BodyRoot, CoordinatorError> {
    if !matches!(step.key(), Key::GateKey | Key::Planes) {
        return bodies.root(step.list(None));
    }
    let lists = parties.iter().map(|party| bodies.root(step.list(Some(party))));
    Ok(BodyRoot::of_lists(&lists.collect::<Result<Vec<_>, _>>()?))
}

/// One hospital's gate key of a set.
///
/// # Errors
/// [`CoordinatorError::BodyMissing`] where the ceremony did not finish, [`CoordinatorError::Malformed`] naming the
/// hospital where it is no key of its own.
pub(crate) fn gate_key(
    bodies: &Bodies,
    (set, crs): (KeySet, &Crs),
    asker: PartyId,
) -> Result<GateKey, CoordinatorError> {
    let kind = BlobKind::GateKey;
    let place = ListId { party: Some(asker), ..set.list(kind) };
    let bytes = bodies.get(&place.body(0))?;
    let key = GateKey::from_bytes(&bytes, crs).map_err(wrong(kind, Some(asker)))?;
    owned(kind, asker, key.asker())?;
    Ok(key)
}

/// What all hospitals are bound to of their planes, as an evaluation of questions takes it.
pub(crate) struct Planes {
    coins: [u8; 32],
    groups: u32,
    digests: Vec<(PartyId, PlaneDigests)>,
}

impl Planes {
    /// Reads it, for a program whose questions are made of planes.
    ///
    /// # Errors
    /// [`CoordinatorError::BodyMissing`] where the ceremony did not finish, [`CoordinatorError::Malformed`] naming the
    /// hospital whose planes are none.
    pub(crate) fn load(
        bodies: &Bodies,
        program: &Program,
        crs: &Crs,
        parties: PartySet,
    ) -> Result<Self, CoordinatorError> {
        let kind = BlobKind::Planes;
        let (mut all, mut digests, mut groups) = (Vec::new(), Vec::new(), 0);
        for party in parties.iter() {
            let part = |index| bodies.get(&KeyStep::Planes.body(Some(party), index));
            let read = [part(0)?, part(1)?, part(2)?];
            // As many as its digests are of; that all have as many is what the hospitals checked.
            groups = u32::try_from(read[2].len() / 32).unwrap_or(u32::MAX) / PLANES_PER_GROUP;
            let of = (party.number(), program.input_limbs(), groups);
            let commitment = PlaneCommitment::from_bytes(read.each_ref().map(|body| &body[..]), crs, of);
            digests.push((party, commitment.map_err(wrong(kind, Some(party)))?.digests));
            all.push(read);
        }
        let coins = plane_coins(crs, all.iter().map(|read| read.each_ref().map(|body| &body[..])));
        Ok(Self { coins, groups, digests })
    }

    /// A stored question of one hospital, if it is made of the planes that stayed closed for it.
    ///
    /// # Errors
    /// [`ModelError`] where it is not.
    pub(crate) fn question(
        &self,
        program: &Program,
        crs: &Crs,
        (asker, query): (PartyId, QueryId),
        bodies: &[Bytes],
    ) -> Result<PlaneQuestion, ModelError> {
        let draw = PlaneDraw::from_digest(&self.coins, crs.preset(), asker.number(), self.groups);
        let digests = self.digests.iter().find(|(of, _)| *of == asker).ok_or(ModelError::NoPlanes)?;
        let closed = ClosedPlanes { draw: &draw, digests: &digests.1 };
        PlaneQuestion::from_bytes(program, crs, closed, query.place(), bodies)
    }
}

/// The rotation keys in the order of their bodies: steps and limbs.
fn rotations(keys: &PlannedKeys) -> Result<Vec<(i32, usize)>, CoordinatorError> {
    keys.rotations().map_err(wrong(BlobKind::Galois, None))
}

/// A share names its maker inside; it has to be the hospital that sent it.
fn owned(kind: BlobKind, party: PartyId, sender: u16) -> Result<(), CoordinatorError> {
    if sender == party.number() {
        return Ok(());
    }
    Err(CoordinatorError::misattributed(what(kind), party, sender))
}

fn wrong<E: std::error::Error + Send + Sync + 'static>(
    kind: BlobKind,
    party: Option<PartyId>,
) -> impl Fn(E) -> CoordinatorError {
    move |source| CoordinatorError::malformed(what(kind), party, source)
}

fn what(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::GateKey => "gate key",
        BlobKind::Planes => "planes of questions",
        BlobKind::Galois => "rotation key share",
        _ => "relinearisation key share",
    }
}
