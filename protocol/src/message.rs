//! The messages: signed ones from hospitals, and the coordinator's log entries. One file per family.

mod ceremony;
mod hospital;
mod key_step;
mod log;
mod purpose;
mod round;
mod serving;
mod signed;
mod training;

pub use ceremony::{
    CommitSet, DealingsChecked, DealingsReady, KeyEpochOpen, RevealSet, RosterProposed, RosterSigned, ServingKeysReady,
    ServingStepDone, ServingStepHeads, ServingStepOpen,
};
pub(crate) use hospital::StepKey;
pub use hospital::{
    Acceptance, DealingsDigest, DealingsSent, Hello, HospitalMessage, KeyCommit, KeyReveal, KeyVerdict, Leaving,
    ManifestSignature, ModelVerdict, ModelVote, PublishHead, QueryHead, Refusal, RosterSignature, Scope,
    ServingShareHead, ShareHead, SwitchShareHead, UpdateHead,
};
pub use key_step::{Key, KeySet, KeyStep, KeysAsked};
pub use log::{LogMessage, Stop};
pub use purpose::RoundPurpose;
pub use round::{
    Abandon, CohortFrozen, Decryptors, Manifest, RoundClosed, RoundOpen, RoundVoid, ShareRequest, SumReady, VoidReason,
};
pub use serving::{
    ModelPublished, ModelVerified, PublishManifest, PublishOpen, PublishVoid, QueryDone, QueryFailed, QueryOpen,
    SwitchRequest,
};
pub use signed::{SignedMessage, distinct_signers};
pub use training::{
    FeaturesHead, FeaturesOpen, FeaturesReady, OpeningHead, RefreshBlinded, RefreshDone, RefreshHead, RefreshOpen,
    RefreshVoid, ZeroHead, ZerosOpen,
};
