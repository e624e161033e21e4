//! The messages: signed ones from hospitals, and the coordinator's log entries. One file per family.

mod hospital;
mod log;
mod signed;

pub(crate) use hospital::StepKey;
pub use hospital::{
    Acceptance, DealingsDigest, DealingsSent, Hello, HospitalMessage, KeyCommit, KeyReveal, KeyStep, Leaving,
    ManifestSignature, ModelVote, PublishHead, QueryHead, Refusal, RosterSignature, Scope, ServingShareHead,
    ShareHead, SwitchShareHead, UpdateHead,
};
pub use log::{
    Abandon, CohortFrozen, CommitSet, DealingsReady, Decryptors, KeyEpochOpen, LogMessage, Manifest, ModelPublished,
    PublishManifest, PublishOpen, PublishVoid, QueryDone, QueryFailed, RevealSet, RosterProposed, RosterSigned,
    RoundClosed, RoundOpen, RoundVoid, ServingKeysReady, ServingStepDone, ServingStepHeads, ServingStepOpen,
    ShareRequest, Stop, SumReady, SwitchRequest, VoidReason,
};
pub use signed::{SignedMessage, distinct_signers};
