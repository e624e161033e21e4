//! Bodies in memory on their way to members: so many bytes for each member, and so many for all.
//!
//! A member that asks for much and reads slowly, or not at all, waits for itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::ids::PartyId;
use protocol::net::Limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Lending {
    all: Arc<Semaphore>,
    each: BTreeMap<PartyId, Arc<Semaphore>>,
    each_max: u32,
}

/// Room for one body; free again when the body that was put into it is dropped.
pub(crate) struct Room {
    _of_party: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

struct Lent {
    body: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Room {
    /// The body, which holds its room for as long as any part of it is in memory.
    pub(crate) fn hold(self, body: Bytes) -> Bytes {
        Bytes::from_owner(Lent { body, _room: self })
    }
}

impl Lending {
    /// As much as requests may take.
    pub(crate) fn new(parties: impl Iterator<Item = PartyId>) -> Self {
        let Limits { bytes_in_flight, bytes_per_peer, .. } = Limits::default();
        Self::with(parties, bytes_in_flight, bytes_per_peer)
    }

    pub(crate) fn with(parties: impl Iterator<Item = PartyId>, all: u32, each_max: u32) -> Self {
        let room = |bytes: u32| Arc::new(Semaphore::new(bytes as usize));
        Self { all: room(all), each: parties.map(|party| (party, room(each_max))).collect(), each_max }
    }

    /// Room for a body of so many bytes, within what its reader may have: it waits behind itself first, so that nobody
    /// else waits for what it does not read. `None` for who is no party.
    pub(crate) async fn room(&self, to: PartyId, bytes: u64) -> Option<Room> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.each_max);
        let of_party = Arc::clone(self.each.get(&to)?).acquire_many_owned(bytes).await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_many_owned(bytes).await.ok()?;
        Some(Room { _of_party: of_party, _of_all: of_all })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn party(number: u16) -> PartyId {
        PartyId::new(number).unwrap()
    }

    async fn lent(lending: &Lending, to: u16, bytes: usize) -> Option<Bytes> {
        let room = lending.room(party(to), bytes as u64);
        let room = tokio::time::timeout(Duration::from_secs(60), room).await.ok()??;
        Some(room.hold(vec![7; bytes].into()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_waits_for_itself_and_all_together_get_no_more_than_there_is() {
        let lending = Lending::with((1..=3).map(party), 250, 100);
        let body = lent(&lending, 1, 80).await.unwrap();
        assert_eq!(body, [7; 80].as_slice());
        assert!(lent(&lending, 1, 30).await.is_none(), "a hundred for each");
        let part = body.slice(3..5);
        drop(body);
        assert!(lent(&lending, 1, 30).await.is_none(), "a part of it is in memory");
        let others = [lent(&lending, 2, 100).await.unwrap(), lent(&lending, 3, 70).await.unwrap()];
        drop(part);
        let _third = lent(&lending, 1, 80).await.unwrap();
        assert!(lent(&lending, 3, 1).await.is_none(), "two hundred and fifty for all");
        drop(others);
        // What is longer than anybody's share takes all of it.
        assert!(lent(&lending, 2, 101).await.is_some());
        assert!(lent(&lending, 4, 1).await.is_none(), "nobody");
    }
}
