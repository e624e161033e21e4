//! Collective serving keys: every hospital holds a part, all are needed to make keys, and any
//! threshold of them can release an answer to its asker. Nobody can decrypt alone.
//!
//! Order of use: [`ServingSecret`], [`PublicKeyShare`], [`RelinKeyShare`] in two rounds and
//! [`GaloisKeyShare`] per rotation of the [`KeyPlan`]; each has a sum that absorbs shares one by
//! one and refuses duplicates, other epochs and incomplete sets. Each hospital also deals its
//! secret in points ([`ServingKeyShare`]). The answer in a result at the base level, see [`AnswerShape`],
//! is then released by the [`ReleaseShare`]s of a threshold T, each sealed to the asker, who adds them
//! ([`ReleaseSum`]). The collective secret is the sum of all parts and is never formed. A query may come
//! under a [`QuerySecret`] of the asker with a [`QueryKey`], at half the bytes.
//!
//! The gate does without keys and second polynomials that somebody chooses: every hospital makes a
//! [`GateShare`] per asker and deals a [`GateSeed`], the asker alone makes its [`GateKey`], and what
//! it encrypts under its [`GateSecret`] and a [`GateLabel`] is lifted by [`Evaluator::lift`], or
//! added by [`LiftSum`].
//!
//! Where questions are to be in range, an asker is bound to planes by a [`PlaneCommitment`], opens what a
//! [`PlaneDraw`] says, and turns the others ([`PlaneLevels`]) into a [`PlaneSum`], which
//! [`Evaluator::lift_planes`] lifts.
//!
//! What is trained on is refreshed and not released: of a T fixed by the [`RefreshContext`] each makes a
//! [`RefreshShare`] and a gated mask, one opener reads their sum ([`RefreshSum`], [`BlindedRefresh::open`]) under all
//! floodings, and whoever computes takes the masks off ([`Refreshed`]): the same message with all limbs again.
//!
//! A [`RelinProver`] shows for a [`RelinStatement`] that a hospital's two relinearisation shares are
//! made of short secrets: the one thing of a ceremony that sums added up by everybody do not show.
//!
//! [`Evaluator::lift`]: crate::ckks::Evaluator::lift
//! [`Evaluator::lift_planes`]: crate::ckks::Evaluator::lift_planes
//!
//! Source: Mouchet, Troncoso-Pastoriza, Bossuat, Hubaux, "Multiparty homomorphic encryption from
//! ring-learning-with-errors", ePrint 2020/304.

mod answer_shape;
mod blinded_refresh;
mod collective;
mod crs;
mod decrypt_policy;
mod error;
mod galois_key_share;
mod gate_holder;
mod gate_key;
mod gate_label;
mod gate_lift;
mod gate_seed;
mod gate_share;
mod holder_key;
#[cfg(test)]
mod ideal;
mod key_material;
mod key_plan;
mod pair_masks;
mod party_set;
mod plane;
mod plane_bytes;
mod plane_commitment;
mod plane_digests;
mod plane_draw;
mod plane_key;
mod plane_levels;
mod plane_permit;
mod plane_question;
mod plane_seed;
mod planned_keys;
mod public_key_share;
mod query_key;
mod quorum;
mod refresh_context;
mod refresh_opening;
mod refresh_permit;
mod refresh_share;
mod refresh_sum;
mod refresh_target;
mod refresh_zeros;
mod refreshed;
mod release_context;
mod release_share;
mod release_sum;
#[cfg(test)]
mod release_tests;
mod relin_key_share;
mod relin_proof;
mod serving_key_share;
mod serving_secret;
mod share_sum;
#[cfg(test)]
mod tests;

pub use crate::ckks::{EvaluationKeys, GaloisKey, PublicKey, RelinearizationKey};
pub use answer_shape::AnswerShape;
pub use blinded_refresh::BlindedRefresh;
pub use collective::{Collective, KeySizes};
pub use crs::Crs;
pub use decrypt_policy::{DecryptPolicy, ErrorBound};
pub use error::CeremonyError;
pub use galois_key_share::{GaloisKeyShare, GaloisKeySum};
pub use gate_holder::{GateHolder, GateHolderError, GatePermit};
pub use gate_key::{GateKey, GateSecret};
pub use gate_label::{GateLabel, Gated};
pub use gate_lift::LiftSum;
pub use gate_seed::GateSeed;
pub use gate_share::{Gate, GateShare, GateSum};
pub use holder_key::HolderKey;
pub use key_plan::KeyPlan;
pub use party_set::{PARTIES_MAX, PartySet};
pub use plane::{Plane, PlaneMaker};
pub use plane_commitment::{PlaneCommitment, plane_coins};
pub use plane_digests::{PlaneDigests, PlaneOpeningError, opened_seeds};
pub use plane_draw::{PLANES_PER_GROUP, PlaneDraw};
pub use plane_key::PlaneKey;
pub use plane_levels::{PLANES_PER_INPUT, PlaneLevels};
pub use plane_permit::claim_turns;
pub use plane_question::PlaneSum;
pub use plane_seed::PlaneSeed;
pub use planned_keys::PlannedKeys;
pub use public_key_share::{PublicKeyShare, PublicKeySum};
pub use query_key::{QueryKey, QuerySecret};
pub use quorum::Quorum;
pub use refresh_context::{REFRESH_MESSAGE_LOG2, RefreshContext, RefreshRequest};
pub use refresh_permit::{OpeningPermit, RefreshPermit};
pub use refresh_share::{RefreshKeys, RefreshShare};
pub use refresh_sum::RefreshSum;
pub use refresh_target::{RefreshEmbedding, RefreshTarget};
pub use refresh_zeros::RefreshZeros;
pub use refreshed::Refreshed;
pub use release_context::{PermitRefused, ReleaseContext, ReleasePermit, ReleaseRequest};
pub use release_share::ReleaseShare;
pub use release_sum::ReleaseSum;
pub use relin_key_share::{R1, R2, RelinEphemeral, RelinIntermediate, RelinKeyShare, RelinKeySum, RelinRound};
pub use relin_proof::{
    REPETITIONS as RELIN_REPETITIONS, RelinAnswer, RelinAnswers, RelinChallenge, RelinCommitment, RelinProofError,
    RelinProver, RelinStatement, RelinWitness, SETS as RELIN_SETS,
};
pub use serving_key_share::ServingKeyShare;
pub(crate) use serving_key_share::base;
pub use serving_secret::ServingSecret;
