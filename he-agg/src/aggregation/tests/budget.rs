//! The count of releases, and ledgers that fail.

use super::*;

fn layout() -> LaneLayout {
    LaneLayout::new(&TINY13, 5, 4, 16, Flooding::secure(40, 1 << 14).unwrap()).unwrap()
}

fn id(round: u32, attempt: u32, chunk: u32) -> ChunkId {
    ChunkId { epoch: EPOCH, round, attempt, chunk }
}

fn request(layout: &LaneLayout, id: ChunkId) -> EncryptRequest<'_> {
    EncryptRequest { layout, id, sender: 1, weight: 1, values: &[] }
}

fn context(layout: &LaneLayout, id: ChunkId) -> ShareContext {
    ShareContext::new(layout, id, &[1, 2, 3, 4], &[1, 2, 3, 4], MANIFEST).unwrap()
}

#[test]
fn abandoned_attempts_spend_the_budget_of_later_rounds() {
    let layout = layout();
    // Two rounds of two chunks, planned for one attempt each.
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 4).unwrap());
    for attempt in 0..2 {
        for chunk in 0..2 {
            assert!(ledger.permit_encryption(&request(&layout, id(1, attempt, chunk))).is_ok());
        }
    }
    assert_eq!(ledger.left(), 0);
    // Only the second attempt was shared; the first costs as much.
    assert!(ledger.permit_share(&context(&layout, id(1, 1, 0))).is_ok());
    let spent = |error| matches!(error, Some(PermitError::Exhausted(TauExhausted { limit: 4 })));
    assert!(spent(ledger.permit_encryption(&request(&layout, id(2, 0, 0))).err()));
    assert!(spent(ledger.permit_share(&context(&layout, id(2, 0, 0))).err()));
    // A refusal for want of budget stores nothing that could later be claimed,
    // and what was released before may still be sent again.
    assert!(spent(ledger.permit_encryption(&request(&layout, id(2, 0, 0))).err()));
    assert!(ledger.permit_encryption(&request(&layout, id(1, 0, 0))).is_ok());
    assert!(ledger.permit_share(&context(&layout, id(1, 0, 1))).is_ok());
    assert_eq!(ledger.left(), 0);
}

#[test]
fn a_share_of_a_chunk_that_was_never_encrypted_here_is_charged_too() {
    let layout = layout();
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 2).unwrap());
    assert!(ledger.permit_share(&context(&layout, id(1, 0, 0))).is_ok());
    assert_eq!(ledger.left(), 1);
    assert!(ledger.permit_encryption(&request(&layout, id(1, 0, 0))).is_ok());
    assert_eq!(ledger.left(), 1);
}

/// Everything that is claimed and not charged.
const GATED: [Use; 8] = [
    Use::GatedQuery,
    Use::GatedWeight,
    Use::GatedFeature,
    Use::RefreshedHalf,
    Use::RefreshOpening,
    Use::GatedRefreshMask,
    Use::GatedRefreshed,
    Use::GatedRefreshZero,
];

#[test]
fn what_goes_through_the_gate_is_claimed_once_and_costs_nothing_before_its_answer() {
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
    for purpose in GATED {
        let key = id(1, 0, 0).ledger_key(purpose);
        assert_eq!(ledger.claim(&key, [1; 32]), Ok(Claim::Stored([1; 32])));
        assert_eq!(ledger.claim(&key, [2; 32]), Ok(Claim::Stored([1; 32])), "the first stays");
    }
    assert_eq!(ledger.left(), 1);
    assert_eq!(ledger.claim(&id(1, 0, 0).ledger_key(Use::Share), [3; 32]), Ok(Claim::Stored([3; 32])));
    assert_eq!(ledger.left(), 0);
}

#[test]
fn a_permit_is_printed_without_what_it_permits() {
    let layout = layout();
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
    let values = [12_345];
    let request = EncryptRequest { values: &values, ..request(&layout, id(1, 0, 0)) };
    let permit = ledger.permit_encryption(&request).unwrap();
    assert_eq!(format!("{permit:?}"), "EncryptPermit { .. }");
}

#[test]
fn a_counter_resumed_at_or_beyond_its_limit_has_nothing_left() {
    let flooding = Flooding::secure(40, 3).unwrap();
    for used in [3, 4, u64::MAX] {
        let mut counter = TauCounter::resume(flooding, used);
        assert_eq!((counter.left(), counter.charge()), (0, Err(TauExhausted { limit: 3 })));
        assert_eq!(counter.used(), used);
    }
}

/// A ledger whose disk answers as told.
struct Disk(Result<Claim, &'static str>);

impl ReleaseLedger for Disk {
    type Error = &'static str;

    fn claim(&mut self, _: &LedgerKey, _: [u8; 32]) -> Result<Claim, &'static str> {
        self.0
    }
}

#[test]
fn a_ledger_that_fails_or_remembers_something_else_issues_no_permit() {
    let layout = layout();
    let (request, context) = (request(&layout, id(1, 0, 0)), context(&layout, id(1, 0, 0)));
    let mut full = Disk(Err("no space"));
    assert!(matches!(full.permit_encryption(&request), Err(PermitError::Ledger("no space"))));
    assert!(matches!(full.permit_share(&context), Err(PermitError::Ledger("no space"))));
    // One flipped bit of the stored digest is another release.
    for byte in 0..32 {
        let mut stored = context.digest();
        stored[byte] ^= 1;
        let mut other = Disk(Ok(Claim::Stored(stored)));
        assert!(matches!(other.permit_share(&context), Err(PermitError::Conflict { .. })), "byte {byte}");
    }
    assert!(Disk(Ok(Claim::Stored(context.digest()))).permit_share(&context).is_ok());
    assert!(Disk(Ok(Claim::Stored(request.digest()))).permit_encryption(&request).is_ok());
}

#[test]
fn a_permit_for_encrypting_never_serves_a_share_and_names_do_not_collide() {
    let layout = layout();
    let one = id(1, 0, 0);
    let keys: std::collections::BTreeSet<LedgerKey> = [id(1, 0, 0), id(0, 1, 0), id(0, 0, 1), id(2, 0, 0)]
        .iter()
        .flat_map(|id| [id.ledger_key(Use::Encrypt), id.ledger_key(Use::Share)])
        .chain([ChunkId { epoch: [0; 32], ..one }.ledger_key(Use::Share)])
        .collect();
    assert_eq!(keys.len(), 9);
    // The two claims of a chunk hold different digests side by side.
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
    assert!(ledger.permit_encryption(&request(&layout, one)).is_ok());
    assert!(ledger.permit_share(&context(&layout, one)).is_ok());
    assert_eq!(ledger.left(), 0);
}
