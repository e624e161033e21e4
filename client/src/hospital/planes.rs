//! The planes of questions: this hospital's own, and its look at the others'.
//!
//! In the key ceremony every hospital is bound to planes that it encrypted and to a coin; all coins together say which
//! of them it opens, and whoever checks makes those again. What stays closed is what its questions are made of.

use std::sync::Arc;

use bytes::Bytes;
use he_agg::multiparty::{
    GateLabel, Gated, PlaneCommitment, PlaneDigests, PlaneDraw, PlaneKey, PlaneMaker, PlaneSeed, claim_turns,
    opened_seeds, plane_coins,
};
use he_infer::{ClosedPlanes, PlaneQuestion};
use ndarray::ArrayView3;
use protocol::Reject;
use protocol::blob::{BlobKind, BodyRoot, ListId};
use protocol::ids::{Digest, PartyId, QueryId};
use protocol::limits::{PLANES_BODIES, PLANES_GROUP};
use protocol::message::{Key, KeySet, QueryHead};

use super::error::{HospitalError, Step};
use super::evaluation::not_evaluated;
use super::holdings::{Held, root_of};
use super::observer::Activity;
use super::site::Site;

const _: () = assert!(PLANES_GROUP == he_agg::multiparty::PLANES_PER_GROUP, "the protocol counts groups");

const STEP: &str = "making planes for questions";
/// Bodies of one hospital.
const BODIES: usize = PLANES_BODIES as usize;

/// Where all hospitals' planes are held, in order of hospital.
pub(super) fn planes() -> ListId {
    ListId { kind: BlobKind::Planes, round: 0, attempt: 0, party: None }
}

/// What all hospitals signed for, each for its three bodies.
pub(super) fn list_root(bodies: &[Held]) -> BodyRoot {
    BodyRoot::of_lists(&bodies.chunks(BODIES).map(root_of).collect::<Vec<_>>())
}

/// By which the planes of all are on record.
pub(super) fn planes_digest(digests: &[Digest]) -> Digest {
    Digest::of("consilium planes v1", &digests.to_vec())
}

impl Site {
    fn plane_groups(&self) -> u32 {
        self.plan.terms.planes / PLANES_GROUP
    }

    /// What this hospital is bound to: the key of its planes, a coin, the digests of all of them. The same whenever it
    /// is asked.
    ///
    /// # Errors
    /// [`HospitalError::NoKeys`] before its gate secret was assembled.
    pub(super) fn own_planes(&self) -> Result<[Vec<u8>; BODIES], HospitalError> {
        let ceremony = self.dealt(STEP)?.ceremony();
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step: STEP })?;
        let (crs, limbs) = (ceremony.crs(), self.plan.program.input_limbs());
        let mut stream = ceremony.stream("plane key", &(limbs as u64).to_le_bytes());
        let key = PlaneKey::generate(&keys.serving.gate, crs, limbs, &mut stream).step(STEP)?;
        let tells = self.telling(|done, of| Activity::Keys { done, of }, self.plan.terms.planes as usize);
        let maker = PlaneMaker::new(&key, crs).step(STEP)?;
        let pool = PlaneSeed::pool(&keys.vault, crs);
        let digests = PlaneDigests::of_pool(&maker, &pool, self.plane_groups(), &tells).step(STEP)?;
        let coin = *ceremony.bytes("planes, coin", &key.to_bytes());
        Ok(PlaneCommitment { key, coin, digests }.to_bytes())
    }

    /// The seeds of the planes that the coins of all open. For one list of planes and coins, ever: it is on record, and
    /// another is refused, since it would open planes that questions are made of.
    ///
    /// # Errors
    /// [`HospitalError::NoKeys`] before the planes of all are on record here.
    pub(super) fn plane_seeds(&self) -> Result<Vec<u8>, HospitalError> {
        let crs = self.crs(STEP)?;
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step: STEP })?;
        let draw = self.plane_draw(self.plan.party)?;
        Ok(opened_seeds(&PlaneSeed::pool(&keys.vault, crs), crs.preset(), &draw))
    }

    /// Takes up what a hospital is bound to; says why it is none.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn add_planes(
        &mut self,
        from: PartyId,
        bodies: [&[u8]; BODIES],
    ) -> Result<Option<Reject>, HospitalError> {
        let crs = self.crs(STEP)?;
        let of = (from.number(), self.plan.program.input_limbs(), self.plane_groups());
        let read = PlaneCommitment::from_bytes(bodies, crs, of);
        if let Err(why) = read {
            self.sums.forget();
            self.observer.refused(self.plan.party, &format!("{from} is bound to no planes: {why}"));
            return Ok(Some(Reject::BadKeyShare));
        }
        let held = bodies.map(|body| self.holdings.write(body));
        for held in held {
            self.sums.hold_planes(held?);
        }
        Ok(None)
    }

    /// Whether the planes that another hospital opens are those that it was bound to; the refusal where they are not.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn check_planes(&self, of: PartyId, seeds: &[u8]) -> Result<Option<Reject>, HospitalError> {
        let crs = self.crs(STEP)?;
        let draw = self.plane_draw(of)?;
        let [key, _, digests] = self.bound_planes(of)?;
        let key = PlaneKey::from_bytes(&key, crs).step(STEP)?;
        let digests = PlaneDigests::from_bytes(&digests, self.plane_groups()).step(STEP)?;
        let opened = draw.opened().count();
        let tells = self.telling(|done, of| Activity::Verifying { done, of }, opened);
        let maker = PlaneMaker::new(&key, crs).step(STEP)?;
        let Err(why) = digests.verify(&maker, &draw, seeds, &tells) else { return Ok(None) };
        self.observer.refused(self.plan.party, &format!("{of} opens other planes than it was bound to: {why}"));
        Ok(Some(Reject::PlanesWrong))
    }

    /// The planes of all as they are on record here: with others nothing is opened, and no question is read.
    fn held_planes(&self) -> Result<Vec<Digest>, HospitalError> {
        let held = self.holdings.digests(planes())?;
        self.is_noted((KeySet::Serving, Key::Planes), planes_digest(&held))?;
        Ok(held)
    }

    /// The three bodies of one hospital.
    fn bound_planes(&self, of: PartyId) -> Result<[Vec<u8>; BODIES], HospitalError> {
        let held = self.held_planes()?;
        let missing = || HospitalError::BodyMissing { id: planes().body(u32::from(of.number()) - 1) };
        let bodies = held.chunks_exact(BODIES).nth(usize::from(of.number()) - 1).ok_or_else(missing)?;
        let read = bodies.iter().map(|digest| self.holdings.read(*digest)).collect::<Result<Vec<_>, _>>()?;
        read.try_into().map_err(|_| missing())
    }

    /// Which planes of a hospital stay closed, by the coins of all.
    fn plane_draw(&self, of: PartyId) -> Result<PlaneDraw, HospitalError> {
        let (held, crs) = (self.held_planes()?, self.crs(STEP)?);
        // There is one list of a key epoch, ever.
        let coins = match self.plane_coins.get() {
            Some(coins) => *coins,
            None => {
                let bodies = held.into_iter().map(|digest| self.holdings.read(digest));
                let bodies: Vec<Vec<u8>> = bodies.collect::<Result<_, _>>()?;
                let of_each = bodies.as_chunks::<BODIES>().0.iter().map(|bodies| bodies.each_ref().map(Vec::as_slice));
                *self.plane_coins.get_or_init(|| plane_coins(crs, of_each))
            }
        };
        Ok(PlaneDraw::from_digest(&coins, crs.preset(), of.number(), self.plane_groups()))
    }

    /// An own question of planes that stayed closed for it, as its bodies. Its turns are claimed first: the same planes
    /// are turned for no other images.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where the ledger refuses, or no planes are left.
    pub(super) fn question_of_planes(
        &mut self,
        query: QueryId,
        images: &[ArrayView3<'_, f32>],
    ) -> Result<Vec<Vec<u8>>, HospitalError> {
        let step = "making a question of planes";
        let (draw, program) = (self.plane_draw(self.plan.party)?, Arc::clone(&self.plan.program));
        let [key, ..] = self.bound_planes(self.plan.party)?;
        let crs = self.crs.as_ref().ok_or(HospitalError::NoKeys { step })?.serving();
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let numbers = program.planes_of(query.place(), &draw).step(step)?;
        let seeds = program.plane_seeds(&PlaneSeed::pool(&keys.vault, crs), &numbers);
        let turns = program.plane_turns(images, &seeds).step(step)?;
        for (part, turns) in (0..).zip(&turns) {
            let label = GateLabel { what: Gated::Query, asker: self.plan.party.number(), number: query.0, part };
            claim_turns(&mut self.serving_ledger, crs, label, turns).step(step)?;
        }
        let key = PlaneKey::from_bytes(&key, crs).step(step)?;
        let maker = PlaneMaker::new(&key, crs).step(step)?;
        let mut planes = Vec::with_capacity(seeds.len());
        for [first, second, third, fourth] in &seeds {
            let plane = |seed| maker.encrypt(seed).step(step);
            planes.push([plane(first)?, plane(second)?, plane(third)?, plane(fourth)?]);
        }
        Ok(PlaneQuestion { planes, turns }.to_bytes())
    }

    /// A question that another hospital made of its planes, if it is made of those that stayed closed for it.
    ///
    /// # Errors
    /// [`HospitalError::NotEvaluated`] otherwise.
    pub(super) fn read_planes(
        &self,
        asker: PartyId,
        head: &QueryHead,
        parts: &[Bytes],
    ) -> Result<PlaneQuestion, HospitalError> {
        let query = head.query;
        let draw = self.plane_draw(asker).map_err(|error| not_evaluated(query, error))?;
        let [_, _, digests] = self.bound_planes(asker).map_err(|error| not_evaluated(query, error))?;
        let digests = PlaneDigests::from_bytes(&digests, self.plane_groups()).step(STEP)?;
        let closed = ClosedPlanes { draw: &draw, digests: &digests };
        let crs = self.crs("evaluating a query")?;
        PlaneQuestion::from_bytes(&self.plan.program, crs, closed, query.place(), parts)
            .map_err(|error| not_evaluated(query, format!("{asker} sent {error}")))
    }
}
