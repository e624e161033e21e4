//! Memory for requests under way: so much in all, and so much of it for one key.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::frame::FrameHead;

/// Frames up to this length need no room: a key has so few requests at once that all of theirs are a megabyte. What
/// keeps a federation alive, polls and votes, is shorter and never waits behind somebody's update.
const SMALL_FRAME_BYTES_MAX: u32 = 64 << 10;

/// What all keys share.
#[derive(Debug)]
pub(super) struct Room {
    bytes: Arc<Semaphore>,
    patience: Duration,
}

/// Room that is held until this is dropped.
pub(super) struct Held {
    _of_key: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// `patience`: how long a request may wait for its room.
    pub(super) fn new(bytes: u32, patience: Duration) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes as usize)), patience }
    }

    /// Room for a frame, within what its key may have: a key waits behind itself first, so that one which announces
    /// much and sends slowly stalls itself alone. All of its bytes are reserved before the first is read: frames that
    /// each hold a part of what the others need would never finish. `None` after too long a wait.
    pub(super) async fn reserve(&self, of_key: &Arc<Semaphore>, head: FrameHead) -> Option<Held> {
        let bytes = head.payload_bytes();
        if bytes <= SMALL_FRAME_BYTES_MAX {
            return Some(Held { _of_key: None, _of_all: None });
        }
        let both = async {
            let of_key = Arc::clone(of_key).acquire_many_owned(bytes).await.ok();
            let of_all = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok();
            Held { _of_key: of_key, _of_all: of_all }
        };
        timeout(self.patience, both).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::*;

    const MIB: usize = 1 << 20;

    fn head(bytes: usize) -> FrameHead {
        Frame::new(1, Vec::new(), vec![0; bytes]).head().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_holds_its_share_waits_and_the_others_do_not() {
        let room = Arc::new(Room::new(5 << 20, Duration::from_secs(60)));
        let (greedy, other) = (Arc::new(Semaphore::new(2 * MIB)), Arc::new(Semaphore::new(2 * MIB)));
        let first = room.reserve(&greedy, head(2 * MIB)).await.unwrap();
        // Those that wait take nothing from the common room, and stand in nobody else's line.
        for _ in 0..9 {
            let (room, greedy) = (Arc::clone(&room), Arc::clone(&greedy));
            tokio::spawn(async move { room.reserve(&greedy, head(2 * MIB)).await });
            tokio::task::yield_now().await;
        }
        assert!(room.reserve(&other, head(2 * MIB)).await.is_some());
        assert!(room.reserve(&greedy, head(SMALL_FRAME_BYTES_MAX as usize)).await.is_some());
        assert!(room.reserve(&greedy, head(2 * MIB)).await.is_none(), "room that is not there");
        drop(first);
        assert!(room.reserve(&greedy, head(2 * MIB)).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn all_keys_together_get_no_more_than_there_is() {
        let room = Room::new(5 << 20, Duration::from_secs(60));
        let keys = [0; 3].map(|_| Arc::new(Semaphore::new(2 * MIB)));
        let _first = room.reserve(&keys[0], head(2 * MIB)).await.unwrap();
        let _second = room.reserve(&keys[1], head(2 * MIB)).await.unwrap();
        assert!(room.reserve(&keys[2], head(2 * MIB)).await.is_none());
        // What waited in vain holds nothing.
        assert_eq!((room.bytes.available_permits(), keys[2].available_permits()), (MIB, 2 * MIB));
    }
}
