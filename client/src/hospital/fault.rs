//! A loss on purpose: the hospital's process ends abruptly at a moment of a round, as a power cut would end it.

use protocol::ids::RoundId;

/// When to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After training, before anything is uploaded.
    BeforeUpload,
    /// After the upload, before the manifest is signed.
    AfterUpload,
    /// After the decryptors were fixed, before a share is made.
    BeforeShare,
}

/// A loss on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which round; a void round counts.
    pub round: RoundId,
    /// When in it.
    pub moment: Moment,
}
