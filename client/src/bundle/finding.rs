//! What a site signed for, and what does not fit together in a bundle.

use std::fmt;

use protocol::blob::{BlobKind, BodyRoot};

use crate::consent::Approvable;
use crate::hospital::Object;
use crate::sent_log::body;

/// Something that the site signed for, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedThing {
    /// What.
    pub object: Object,
    /// As signed.
    pub signed: BodyRoot,
    /// Whether the site's own journal has it.
    pub is_in_journal: bool,
    /// Whether the coordinator's log has it.
    pub is_in_log: bool,
}

/// Something that does not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The site's journal has a message that its key did not sign.
    NotOwn {
        /// How many.
        messages: usize,
    },
    /// Journal and log name other bodies for the same thing.
    Differs {
        /// What.
        object: Object,
    },
    /// The log has what the site signed, its journal does not.
    NotInJournal {
        /// What.
        object: Object,
    },
    /// More left the building, by the log, than was written down.
    NotWrittenDown {
        /// What, in the words of the book.
        what: &'static str,
        /// Round, or number of the question; 0 in the ceremony.
        round: u64,
        /// Attempt.
        attempt: u32,
        /// Bytes that the site signed for and that others used.
        signed: u64,
        /// Bytes that were written down.
        written: u64,
    },
    /// The site took part and nobody approved.
    NotApproved(Approvable),
    /// What was written down cannot be read.
    Unreadable {
        /// Lines.
        lines: usize,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOwn { messages } => {
                write!(f, "{messages} messages in the site's journal are not signed with its key")
            }
            Self::Differs { object } => write!(f, "{object}: the site's journal names other bodies than the log"),
            Self::NotInJournal { object } => write!(f, "{object}: the log has it, the site's own journal does not"),
            Self::NotWrittenDown { what, round, attempt, signed, written } => write!(
                f,
                "{what}, round {round}, attempt {attempt}: the site signed for {signed} bytes that others used, and \
                 wrote down {written} as sent"
            ),
            Self::NotApproved(Approvable::Membership) => f.write_str("nobody's approval of these members is noted"),
            Self::NotApproved(Approvable::Terms) => f.write_str("nobody's approval of these terms is noted"),
            Self::Unreadable { lines } => write!(f, "{lines} lines of what was sent cannot be read"),
        }
    }
}

/// Where the bodies of a thing stand in the book of what left the building.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) what: &'static str,
    pub(super) round: u64,
    pub(super) attempt: u32,
    /// Whether several steps share these words, as those of a ceremony do.
    pub(super) shares_words: bool,
}

impl Entry {
    pub(super) fn of(object: &Object) -> Self {
        let (kind, round, attempt) = match object {
            Object::Dealings => (BlobKind::Dealing, 0, 0),
            Object::KeyShare(step) => (step.blob_kind(), step.list(None).round, 0),
            Object::Update(round, attempt) => (BlobKind::UpdateChunk, u64::from(round.0), attempt.0),
            Object::Shares(round, attempt) => (BlobKind::Share, u64::from(round.0), attempt.0),
            Object::Contribution(attempt) => (BlobKind::PublishChunk, 0, attempt.0),
            Object::Question(query) => (BlobKind::Query, query.0, 0),
            Object::SwitchShare(query) => (BlobKind::SwitchShare, query.0, 0),
            Object::Features => (BlobKind::Feature, 0, 0),
            Object::Zeros(step, attempt) => (BlobKind::RefreshZero, u64::from(step.0), attempt.0),
            Object::RefreshShares(step, attempt) => (BlobKind::RefreshShare, u64::from(step.0), attempt.0),
            Object::RefreshMasks(step, attempt) => (BlobKind::RefreshMask, u64::from(step.0), attempt.0),
            Object::Opening(step, attempt) => (BlobKind::RefreshOpening, u64::from(step.0), attempt.0),
        };
        let shares_words = matches!(object, Object::KeyShare(_));
        Self { what: body(kind), round, attempt, shares_words }
    }
}
