//! What went to each member and came from it since this process began, and when it was last heard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::ids::PartyId;

use crate::times::now_ms;

/// Bytes are those of frames, as in [`protocol::net::Traffic`]; what a server answers before it knows the member is
/// not in it.
pub(crate) struct Flow {
    of: BTreeMap<PartyId, Counts>,
}

#[derive(Default)]
struct Counts {
    received: AtomicU64,
    sent: AtomicU64,
    heard_ms: AtomicU64,
}

/// One member's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberFlow {
    /// Which member.
    pub party: PartyId,
    /// Bytes of its calls.
    pub received: u64,
    /// Bytes of answers to them.
    pub sent: u64,
    /// When it last called, in ms since 1970; `None`: not since this process began.
    pub heard_ms: Option<u64>,
}

impl Flow {
    pub(crate) fn new(parties: impl Iterator<Item = PartyId>) -> Self {
        Self { of: parties.map(|party| (party, Counts::default())).collect() }
    }

    /// A member called; strangers are counted nowhere.
    pub(crate) fn called(&self, party: PartyId, bytes: usize) {
        if let Some(counts) = self.of.get(&party) {
            counts.received.fetch_add(bytes as u64, Ordering::Relaxed);
            counts.heard_ms.store(now_ms(), Ordering::Relaxed);
        }
    }

    /// It is answered.
    pub(crate) fn answered(&self, party: PartyId, bytes: usize) {
        if let Some(counts) = self.of.get(&party) {
            counts.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Each member's part.
    pub(crate) fn each(&self) -> Vec<MemberFlow> {
        let one = |(party, counts): (&PartyId, &Counts)| MemberFlow {
            party: *party,
            received: counts.received.load(Ordering::Relaxed),
            sent: counts.sent.load(Ordering::Relaxed),
            heard_ms: Some(counts.heard_ms.load(Ordering::Relaxed)).filter(|at| *at > 0),
        };
        self.of.iter().map(one).collect()
    }

    /// All together: received, sent.
    pub(crate) fn total(&self) -> (u64, u64) {
        self.each().iter().fold((0, 0), |(received, sent), one| (received + one.received, sent + one.sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_is_counted_for_itself_and_strangers_are_not() {
        let party = |number| PartyId::new(number).unwrap();
        let flow = Flow::new([1, 2].map(party).into_iter());
        flow.called(party(1), 30);
        flow.called(party(1), 12);
        flow.answered(party(1), 7);
        flow.called(party(3), 1_000);
        flow.answered(party(3), 1_000);
        let [one, two] = flow.each()[..] else { panic!("two members") };
        assert_eq!((one.party, one.received, one.sent), (party(1), 42, 7));
        assert!(one.heard_ms.is_some_and(|at| at > 1_700_000_000_000));
        assert_eq!(two, MemberFlow { party: party(2), received: 0, sent: 0, heard_ms: None });
        assert_eq!(flow.total(), (42, 7));
    }
}
