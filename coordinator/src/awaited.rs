//! Who is awaited, and since when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::ids::PartyId;
use protocol::lease::Doing;

/// A hospital for which a step waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Which.
    pub party: PartyId,
    /// What it does.
    pub doing: Doing,
    /// How long its lease still runs, in ms.
    pub left_ms: u64,
    /// How long this step has waited for it, as far as this process knows.
    pub since: Duration,
}

/// Remembers since when the step under way waits for whom.
#[derive(Default)]
pub(crate) struct Waited {
    step: String,
    since: BTreeMap<PartyId, Instant>,
}

impl Waited {
    /// Those who are awaited now. A new step begins to wait anew, and so does one that had heard from somebody.
    pub(crate) fn look(&mut self, step: &str, now_awaited: Vec<(PartyId, Doing, u64)>, now: Instant) -> Vec<Awaited> {
        if self.step != step {
            step.clone_into(&mut self.step);
            self.since.clear();
        }
        self.since.retain(|party, _| now_awaited.iter().any(|(awaited, ..)| awaited == party));
        let each = now_awaited.into_iter().map(|(party, doing, left_ms)| {
            let since = now.duration_since(*self.since.entry(party).or_insert(now));
            Awaited { party, doing, left_ms, since }
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_waits_for_each_since_it_began_to() {
        let party = |number| PartyId::new(number).unwrap();
        let all = |numbers: &[u16]| numbers.iter().map(|number| (party(*number), Doing::Idle, 7)).collect::<Vec<_>>();
        let (mut waited, start) = (Waited::default(), Instant::now());
        let mut look = |step: &str, numbers: &[u16], second: u64| -> Vec<(u16, u64)> {
            let found = waited.look(step, all(numbers), start + Duration::from_secs(second));
            found.iter().map(|one| (one.party.number(), one.since.as_secs())).collect()
        };
        assert_eq!(look("collect", &[1, 2], 0), [(1, 0), (2, 0)]);
        assert_eq!(look("collect", &[2, 3], 5), [(2, 5), (3, 0)]);
        assert_eq!(look("collect", &[1, 2, 3], 9), [(1, 0), (2, 9), (3, 4)]);
        assert_eq!(look("sign", &[2], 12), [(2, 0)], "another step");
    }
}
