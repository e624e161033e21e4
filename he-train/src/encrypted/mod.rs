//! The steps of a recipe on ciphertexts: nobody who takes them sees a feature, a label or a weight.
//!
//! [`HeadLayout`] says where everything stands, [`HeadProgram`] with which primes and scales, [`PackTree`] makes few
//! ciphertexts of many between two steps, and [`HeadTrainer`] takes a step. What a step leaves has no levels any more:
//! whoever holds the key, or enough hospitals together, refresh it. What the last step leaves is refreshed under the
//! key of serving, and [`HeadTransfer`] makes of it the model that answers questions.

mod cost;
mod error;
mod head_plan;
mod layout;
mod noise;
mod pack_tree;
mod program;
mod refreshing;
mod run;
mod sigmoid;
mod trainer;
mod transfer;
mod transfer_error;
mod turns;
mod upload;

pub use error::HeadError;
pub use head_plan::{HeadPlan, HeadPlanError};
pub use layout::HeadLayout;
pub use noise::StepNoise;
pub use pack_tree::PackTree;
pub use program::{FEATURE_MAX, HeadProgram};
pub use refreshing::{RefreshGoal, RefreshOrder, RefreshTerms, are_shares, blinded_sums};
pub use run::HeadRun;
pub use trainer::{HeadTrainer, Stepped, TrainingGroup};
pub use transfer::HeadTransfer;
pub use transfer_error::TransferError;
pub use upload::lift_group;
