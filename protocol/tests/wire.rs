//! The codec: every message survives a round trip, nothing malformed panics or allocates beyond its input.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::codec::{DecodeError, Reader, Wire};
use protocol::facts::Fact;
use protocol::heads::Seen;
use protocol::log::{LogEntry, LogReader, LogWriter};
use protocol::message::{
    Decryptors, HospitalMessage, LogMessage, ManifestSignature, ModelVote, RoundOpen, RoundPurpose, RoundVoid,
    SignedMessage, Stop, SumReady, UpdateHead, VoidReason,
};
use protocol::signature::SigningKey;
use protocol::{Attempt, Digest, Epoch, PartyId, PartySet, Reject, RoundId};

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32]).unwrap()
}

fn party() -> impl Strategy<Value = PartyId> {
    (1_u16..=64).prop_map(|number| PartyId::new(number).unwrap())
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn seen() -> impl Strategy<Value = Seen> {
    (any::<u64>(), digest()).prop_map(|(entries, head)| Seen { entries, head })
}

fn message() -> impl Strategy<Value = HospitalMessage> {
    prop_oneof![
        (any::<u32>(), any::<u32>(), digest(), digest(), any::<u32>(), any::<u64>()).prop_map(
            |(round, attempt, root, terms, count, size_bytes)| {
                let (round, attempt) = (RoundId(round), Attempt(attempt));
                let body = BodyRoot { root, count, size_bytes };
                HospitalMessage::UpdateHead(UpdateHead {
                    round,
                    attempt,
                    purpose: RoundPurpose::Figures,
                    base_model: root,
                    terms,
                    body,
                })
            }
        ),
        (any::<u32>(), any::<u32>(), digest()).prop_map(|(round, attempt, manifest)| {
            let (round, attempt) = (RoundId(round), Attempt(attempt));
            HospitalMessage::ManifestSignature(ManifestSignature { round, attempt, manifest })
        }),
        (any::<u32>(), any::<u32>(), proptest::option::of(digest())).prop_map(|(round, attempt, model)| {
            HospitalMessage::ModelVote(ModelVote { round: RoundId(round), attempt: Attempt(attempt), model })
        }),
    ]
}

fn entry() -> impl Strategy<Value = LogMessage> {
    prop_oneof![
        (any::<u32>(), proptest::collection::vec(digest(), 0..50)).prop_map(|(round, chunks)| {
            LogMessage::SumReady(SumReady { round: RoundId(round), attempt: Attempt(1), chunks, shares: vec![] })
        }),
        (any::<u32>(), proptest::collection::vec(party(), 0..64)).prop_map(|(round, parties)| {
            let decryptors: PartySet = parties.into_iter().collect();
            LogMessage::Decryptors(Decryptors { round: RoundId(round), attempt: Attempt(1), decryptors })
        }),
        (any::<u32>(), any::<u16>(), any::<u16>()).prop_map(|(round, have, need)| {
            let reason = VoidReason::QuorumLost { have, need };
            LogMessage::RoundVoid(RoundVoid { round: RoundId(round), reason })
        }),
        "[a-zé ]{0,60}".prop_map(|reason| LogMessage::Stop(Stop { reason })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signed_messages_survive_and_every_flipped_bit_is_another_message(
        author in party(),
        sequence in any::<u64>(),
        seen in seen(),
        body in message(),
        at in any::<prop::sample::Index>(),
    ) {
        let signed = SignedMessage::sign(&key(), author, Epoch(1), sequence, seen, body);
        let bytes = signed.to_bytes();
        let read = SignedMessage::from_bytes(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&signed));
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1;
        // Either no message at all, or another one whose encoding is exactly the flipped bytes.
        if let Ok(other) = SignedMessage::from_bytes(&flipped) {
            prop_assert_eq!(other.to_bytes(), flipped);
            prop_assert_ne!(other, signed);
        }
    }

    #[test]
    fn log_messages_survive_and_every_cut_is_noticed(message in entry()) {
        let bytes = message.to_bytes();
        let read = LogMessage::from_bytes(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&message));
        for cut in 0..bytes.len() {
            prop_assert!(LogMessage::from_bytes(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert!(LogMessage::from_bytes(&longer).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = LogEntry::from_bytes(&bytes);
        let _ = SignedMessage::from_bytes(&bytes);
        let _ = Fact::from_bytes(&bytes);
        let _ = protocol::roster::Roster::from_bytes(&bytes);
        if let Ok(id) = BlobId::from_bytes(&bytes) {
            prop_assert_eq!(id.to_bytes(), bytes);
        }
    }

    #[test]
    fn blob_ids_have_one_fixed_size_encoding(
        round in any::<u64>(), attempt in any::<u32>(), party in proptest::option::of(party()), index in any::<u32>(),
    ) {
        let id = BlobId { kind: BlobKind::Share, round, attempt, party, index };
        prop_assert_eq!(id.to_bytes().len(), BlobId::BYTES);
        prop_assert_eq!(BlobId::from_bytes(&id.to_bytes()), Ok(id));
    }
}

#[test]
fn huge_lengths_are_refused_before_anything_is_allocated() {
    let sum = SumReady { round: RoundId(1), attempt: Attempt(1), chunks: vec![], shares: vec![] };
    let mut bytes = LogMessage::SumReady(sum).to_bytes();
    // Behind the digests come the heads' number and nothing else.
    bytes.truncate(bytes.len() - 4);
    let length_at = bytes.len() - 4;
    bytes[length_at..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(LogMessage::from_bytes(&bytes), Err(DecodeError::TooLong { max: 4096, .. })));
    bytes[length_at..].copy_from_slice(&4096_u32.to_le_bytes());
    assert!(matches!(LogMessage::from_bytes(&bytes), Err(DecodeError::Truncated { needed: 131_072, left: 0 })));
}

#[test]
fn party_numbers_outside_1_to_64_are_refused() {
    for number in [0_u16, 65, u16::MAX] {
        assert!(PartyId::new(number).is_none());
        assert!(PartyId::from_bytes(&number.to_le_bytes()).is_err());
    }
}

#[test]
fn reader_reports_what_is_missing() {
    let mut reader = Reader::new(&[1, 2, 3]);
    assert_eq!(reader.u16(), Ok(0x0201));
    assert_eq!(reader.u32(), Err(DecodeError::Truncated { needed: 4, left: 1 }));
}

#[test]
fn a_round_open_keeps_its_bytes() {
    // Golden: a changed byte is a new protocol version.
    let open = LogMessage::RoundOpen(RoundOpen {
        round: RoundId(2),
        purpose: RoundPurpose::Figures,
        base_model: Digest([3; 32]),
        terms: Digest([4; 32]),
    });
    let mut expected = vec![20, 2, 0, 0, 0, 2];
    expected.extend([3; 32]);
    expected.extend([4; 32]);
    assert_eq!(open.to_bytes(), expected);
}

#[test]
fn the_log_refuses_gaps_forks_and_foreign_signatures() {
    let stop = |reason: &str| LogMessage::Stop(Stop { reason: reason.to_owned() });
    let mut writer = LogWriter::new(key());
    let entries: Vec<LogEntry> = ["a", "b", "c"].map(|reason| writer.append(stop(reason))).to_vec();
    let mut reader = LogReader::new(key().verifying_key());
    assert_eq!(reader.accept(&entries[1]), Err(Reject::LogGap));
    assert_eq!(reader.accept(&entries[0]), Ok(true));
    assert_eq!(reader.accept(&entries[0]), Ok(false));
    let mut other = LogWriter::new(key());
    let _ = other.append(stop("x"));
    assert_eq!(reader.accept(&other.append(stop("b"))), Err(Reject::LogForked));
    let altered = LogEntry { message: stop("z"), ..entries[1].clone() };
    assert_eq!(reader.accept(&altered), Err(Reject::BadSignature));
    assert_eq!(reader.accept(&entries[1]), Ok(true));
    let mut resumed = LogWriter::new(key());
    assert!(resumed.follow(&entries[0]) && resumed.follow(&entries[1]) && !resumed.follow(&entries[1]));
    let resumed = resumed.append(stop("c"));
    assert_eq!(resumed, entries[2]);
    assert_eq!(reader.accept(&resumed), Ok(true));
}
