//! Scans that were handed in and not yet asked about: in memory, for their owner alone, for half an hour.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use imaging::Scan;

use crate::book::Origin;
use crate::sessions::random;

/// A draft that nobody asks about is forgotten.
const AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// Drafts of all users; the oldest makes place.
const DRAFTS_MAX: usize = 64;
/// Drafts of one user; the oldest makes place.
const DRAFTS_OF_USER_MAX: usize = 8;
/// Bytes of all decoded pixels, roughly; the oldest makes place.
const BYTES_MAX: u64 = 2 << 30;

/// A scan that was handed in.
pub(crate) struct Draft {
    /// By which its pages name it.
    pub(crate) id: String,
    /// Whose.
    pub(crate) owner: String,
    /// The file's name.
    pub(crate) file: String,
    /// What is in it.
    pub(crate) scan: Scan,
    /// Which object of the archive it is, if it came from there.
    pub(crate) origin: Option<Origin>,
    made: Instant,
    bytes: u64,
}

/// All drafts, oldest first.
pub(crate) struct Drafts {
    all: Mutex<VecDeque<Arc<Draft>>>,
    bytes_max: u64,
}

impl Default for Drafts {
    fn default() -> Self {
        Self { all: Mutex::default(), bytes_max: BYTES_MAX }
    }
}

impl Drafts {
    /// Keeps a scan; its draft's id.
    pub(crate) fn keep(
        &self,
        owner: &str,
        file: &str,
        scan: Scan,
        origin: Option<Origin>,
        now: Instant,
    ) -> Result<String, getrandom::Error> {
        let id = random()?;
        let pixels = u64::from(scan.columns()) * u64::from(scan.rows()) * u64::from(scan.frames());
        // Two bytes a sample is what most take.
        let bytes = pixels * u64::from(scan.samples()) * 2;
        let (owner, file) = (owner.to_owned(), file.to_owned());
        let draft = Draft { id: id.clone(), owner, file, scan, origin, made: now, bytes };
        let mut all = self.all();
        all.retain(|draft| now.duration_since(draft.made) < AGE_MAX);
        if all.iter().filter(|known| known.owner == draft.owner).count() >= DRAFTS_OF_USER_MAX {
            let oldest = all.iter().position(|known| known.owner == draft.owner);
            oldest.map(|place| all.remove(place));
        }
        all.push_back(Arc::new(draft));
        let bytes = |all: &VecDeque<Arc<Draft>>| all.iter().map(|draft| draft.bytes).sum::<u64>();
        while all.len() > DRAFTS_MAX || (all.len() > 1 && bytes(&all) > self.bytes_max) {
            all.pop_front();
        }
        Ok(id)
    }

    /// A draft of this owner.
    pub(crate) fn find(&self, id: &str, owner: &str, now: Instant) -> Option<Arc<Draft>> {
        let mut all = self.all();
        all.retain(|draft| now.duration_since(draft.made) < AGE_MAX);
        all.iter().find(|draft| draft.id == id && draft.owner == owner).cloned()
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<Draft>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use imaging::Limits;

    use super::*;
    use crate::scan::noise_png;

    fn keep(drafts: &Drafts, owner: &str, now: Instant) -> String {
        let scan = Scan::decode(&noise_png(&[1, 2, 3, 4]).unwrap(), &Limits::default()).unwrap();
        drafts.keep(owner, "x.png", scan, None, now).unwrap()
    }

    #[test]
    fn a_draft_is_its_owners_and_for_half_an_hour() {
        let (drafts, now) = (Drafts::default(), Instant::now());
        let id = keep(&drafts, "ada", now);
        assert!(drafts.find(&id, "eve", now).is_none());
        assert_eq!(drafts.find(&id, "ada", now).unwrap().file, "x.png");
        assert!(drafts.find(&id, "ada", now + AGE_MAX).is_none());
    }

    #[test]
    fn the_oldest_of_a_user_and_of_all_make_place() {
        let (drafts, now) = (Drafts::default(), Instant::now());
        let ids: Vec<String> = (0..=DRAFTS_OF_USER_MAX).map(|_| keep(&drafts, "ada", now)).collect();
        assert!(drafts.find(&ids[0], "ada", now).is_none() && drafts.find(&ids[1], "ada", now).is_some());
        for number in 0..DRAFTS_MAX - 1 {
            keep(&drafts, &number.to_string(), now);
        }
        let left = ids.iter().filter(|id| drafts.find(id, "ada", now).is_some()).count();
        assert_eq!(left, 1);
    }

    #[test]
    fn the_oldest_make_place_for_the_bytes_of_a_new_one_which_stays_itself() {
        // Four grey pixels are 8 bytes.
        let (drafts, now) = (Drafts { bytes_max: 16, ..Drafts::default() }, Instant::now());
        let ids = ["ada", "eve", "odo"].map(|owner| (keep(&drafts, owner, now), owner));
        let left = ids.each_ref().map(|(id, owner)| drafts.find(id, owner, now).is_some());
        assert_eq!(left, [false, true, true]);
        let drafts = Drafts { bytes_max: 7, ..Drafts::default() };
        let id = keep(&drafts, "ada", now);
        assert!(drafts.find(&id, "ada", now).is_some(), "one alone is looked at, however large");
    }
}
