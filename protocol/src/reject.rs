//! Numbered refusals: what one peer tells another on the wire. Details stay in the refusing side's own log.

use crate::codec::{DecodeError, Reader, Wire, Writer};

/// An enum of refusals with their numbers on the wire, which are never reused, and their texts.
macro_rules! numbered_refusals {
    ($(#[$about:meta])* $refusal:ident { $($(#[$doc:meta])* $code:literal $name:ident $text:literal;)* }) => {
        $(#[$about])*
        #[non_exhaustive]
        pub enum $refusal {
            $($(#[$doc])* #[error($text)] $name,)*
        }

        impl $refusal {
            /// The number on the wire.
            #[must_use]
            pub fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }
            /// The refusal of that number.
            #[must_use]
            pub fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
            /// All refusals, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}
pub(crate) use numbered_refusals;

numbered_refusals! {
    /// Why a peer refuses. The numbers are wire format: they are never reused.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
    Reject {
    /// Not in the roster.
    1 UnknownParty "the author is not in the roster; ask for a roster change";
    /// Signature or author do not fit.
    2 BadSignature "the signature does not fit author and message";
    /// Another key epoch.
    3 WrongEpoch "the message belongs to another key epoch";
    /// Older or newer protocol.
    4 WrongVersion "the peer speaks another protocol version; upgrade the older side";
    /// Not expected in this state.
    5 OutOfTurn "the message is not expected in this state";
    /// After the deadline or after the step was closed.
    6 TooLate "the step is closed; the next round takes part again";
    /// The same author signed two different things where one is allowed.
    7 Contradiction "the author signed two different messages for one step";
    /// A log entry is missing before this one.
    8 LogGap "a log entry is missing; fetch from the next expected index";
    /// The log forked or was altered, or a message was signed on another one.
    9 LogForked "what was signed does not fit this log: an entry does not continue it, or a message names another one";
    /// A number outside `limits`.
    10 LimitExceeded "a count or size exceeds the protocol's limit";

    /// The roster is of another membership than was approved, or misstates this hospital.
    20 RosterWrong "the roster is of another membership than was approved here, or misstates this hospital's keys";
    /// Fewer valid signatures than the step needs.
    21 TooFewSignatures "fewer distinct valid signatures than the step needs are attached";
    /// A nonce does not open its commitment, or a set is incomplete.
    22 CommitmentBroken "a revealed value does not match its commitment";
    /// The hospitals' digests of dealings or group key differ.
    23 DealingsDisagree "hospitals received different dealings or group keys";
    /// A sealed dealing does not open or is malformed.
    24 BadDealing "a sealed dealing does not open or is malformed";
    /// A sum of key shares is not what the shares give, or was named before anybody was bound to its terms.
    25 SumDiffers "an announced sum is not that of the shares that its makers signed";
    /// A share of a serving key does not fit its step or its maker.
    26 BadKeyShare "a share of a serving key is malformed or another hospital's";
    /// A hospital does not prove that its relinearisation shares are made of short secrets.
    27 RelinProofWrong "a hospital's openings do not prove that its relinearisation shares are made of short secrets";
    /// No set of masks hides this hospital's secrets: nothing can be proved without showing something of them.
    28 MasksOverflow "no set of masks hides this hospital's secrets, once in 25,000 times; begin a new key epoch";
    /// The points of a dealing lie on no polynomial of the threshold's degree.
    29 DealingOff "what a hospital dealt does not fit together; the log holds what all show of it";

    /// The base model is not the one this hospital holds.
    30 BaseModelDiffers "the round's base model is not the one this hospital holds";
    /// The plan's digest was not approved here.
    31 PlanNotApproved "the plan's digest was not approved at this site";
    /// Round or attempt number repeats or jumps.
    32 RoundNumber "the round or attempt number repeats or exceeds its limit";
    /// Heads are unsorted, doubled, or of another round, base, plan or size.
    33 ManifestMalformed "the manifest's heads are unsorted, doubled or disagree";
    /// This hospital's own head was changed.
    34 OwnHeadChanged "the manifest holds another head than this hospital signed";
    /// |S| too small.
    35 CohortTooSmall "the cohort is smaller than threshold or this site's minimum";
    /// Differencing against an earlier cohort on the same base model.
    36 CohortRule "the cohort differs by too few members from a possibly revealed one";
    /// Another cohort in a later attempt of one round.
    37 CohortChanged "a later attempt must keep the round's cohort";
    /// Another manifest was already signed for this attempt.
    38 ManifestAlreadySigned "another manifest was already signed for this attempt";
    /// |T| differs from t, or T holds strangers.
    39 DecryptorsWrong "the decryptor set has the wrong size or members";
    /// Another set was already accepted for this attempt.
    40 AlreadyAccepted "another decryptor set was already accepted for this attempt";
    /// A share for this attempt was already released in another context.
    41 AlreadyReleased "a share for this attempt was already released in another context";
    /// tau is spent.
    42 BudgetSpent "the epoch's flooding budget is spent; a new key epoch is needed";
    /// Bodies do not have the digest of their signed head.
    43 BodyDiffers "uploaded bodies do not match the signed head";
    /// An encryption was interrupted and this site does not repeat it. Hospitals of this version never say so: sealed
    /// values and derived errors give the same bytes again.
    44 EncryptionInterrupted "an interrupted encryption is never repeated; this site sits the attempt out";
    /// The sum failed a check after decryption.
    45 SumRejected "the decrypted sum fails its checks";
    /// The closed model is not the one this hospital decoded.
    46 ModelDiffers "the closed model is not the one this hospital decoded";
    /// Local training failed.
    47 TrainingFailed "local training failed at this site";
    /// The site's policy keeps its figures.
    48 FiguresWithheld "this site's policy keeps its figures; the others' are added without them";
    /// More rounds of figures than were approved.
    49 FiguresAgain "the terms do not provide for this round of figures";

    /// The announced model is not the sum of the contributions.
    50 ModelSumDiffers "the published model is not the sum of the contributions that its makers signed";
    /// A contribution cannot be added.
    51 BadContribution "a contribution to the published model does not fit the program";
    /// The announced sum of a round is not that of the updates and the shares.
    52 RoundSumDiffers "the sum of the round is not that of the updates and shares that their makers signed";
    /// An update or a share of an announced sum cannot be added.
    53 BadSummand "an update or a share of the round's sum is malformed or another hospital's";
    /// A hospital's planes are not what their seeds give.
    54 PlanesWrong "a hospital's planes are not what its seeds give; leave it out and begin a new key epoch";

    /// What is to be refreshed is not what this hospital's own step left.
    55 StepDiffers "what is to be refreshed is not what the step leaves when this hospital takes it itself";
    /// Shares of a refresh add up to something out of range.
    56 RefreshRange "what was opened in a refresh is out of range: somebody sent what is no share of it";
    /// A part of a refresh is none.
    57 BadRefresh "a part of the refresh is malformed or another hospital's";
    /// The finished head is not the one of this hospital's own steps.
    58 HeadDiffers "the finished head is not what its steps leave when this hospital takes them itself";
    /// Rows that a head cannot be trained on.
    59 FeaturesUnfit "this site's rows have no features that a head can be trained on: see its own log for the reason";

    /// No such published model or program.
    60 UnknownModel "no published model or program has this digest";
    /// The queue of queries is full, or the caller got what it asks for a moment ago.
    61 RetryAfter "not so soon again; retry after a while with the same call";
    /// Quota used up.
    62 QuotaExceeded "the hospital's query quota is used up";
    /// Query number used before.
    63 QueryRepeated "this query number was used before; encrypt again under a fresh number";
    /// A decryptor was lost; the asker encrypts anew.
    64 DecryptorLost "a decryptor was lost; encrypt the query again with fresh randomness";
    /// Evaluation failed.
    65 EvaluationFailed "the encrypted evaluation failed";
    /// It is over, or the peer's process is about to end.
    66 Stopping "the peer is shutting down";
    /// The other side's disk is full or broken, or it is not ready yet; nothing is known against the sender.
    67 Storage "the peer could not store it now; send it again";
    /// The result whose answer is to be released is not the one that this hospital computed.
    68 ResultDiffers "the result to be released is not what the program makes of the query";
    /// What answers may carry to askers that cheat is spent.
    69 LeakBudgetSpent "the answers of this key epoch may carry no more bits; a new key epoch is needed";
    /// The steps that follow from the uploads are others.
    70 ProgramDiffers "the steps that follow from everybody's rows are not those that the coordinator names";
    /// The site's patients would show more than the plan or the site's own policy allows.
    71 PrivacyBudget "this site's patients would show more than its privacy budget allows; the others go on without it";
    }
}

impl Reject {
    /// Whether the very same call may succeed later: it was not the caller's fault, and nothing was decided.
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        matches!(self, Self::RetryAfter | Self::Storage)
    }
}

impl Wire for Reject {
    const BYTES_MIN: usize = 2;
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.code());
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = reader.u16()?;
        Self::from_code(code).ok_or(DecodeError::Value { what: "refusal", value: u64::from(code) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_number() {
        for reject in Reject::ALL {
            assert_eq!(Reject::from_code(reject.code()), Some(*reject));
            assert_eq!(Reject::from_bytes(&reject.to_bytes()), Ok(*reject));
        }
        assert_eq!(Reject::from_code(0), None);
    }

    #[test]
    fn only_a_busy_or_full_peer_is_asked_again() {
        assert_eq!(Reject::Storage.code(), 67);
        let repeatable: Vec<_> = Reject::ALL.iter().filter(|reject| reject.is_repeatable()).collect();
        assert_eq!(repeatable, [&Reject::RetryAfter, &Reject::Storage]);
    }
}
