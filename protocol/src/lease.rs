//! Who is still there: leases that progress renews. The only rule by which anybody counts as lost.
//!
//! A call shows that a hospital is connected; *progress* keeps its lease; a lapsed lease lets the others go on and ends
//! nothing. Lease time is not the wall clock: it stands still while the coordinator itself was busy, asleep or cut off,
//! so a stalled coordinator blames nobody, and a busy machine costs time and no hospital.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::ids::PartyId;
use crate::party_set::PartySet;

/// Most lease time that one tick adds, however long ago the last one was.
const TICK_MS_MAX: u64 = 1_000;

/// What a hospital says of itself with every poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// It waits for the log.
    #[default]
    Idle,
    /// It computes or uploads; `done` grows with every piece of work, so a computation that hangs shows.
    Working {
        /// Pieces done since its process started.
        done: u64,
        /// Pieces of the step under way, 0 where their number is unknown.
        of: u64,
    },
    /// Its work waits for a processor; a falling number is progress.
    Queued {
        /// Pieces of work before its own.
        ahead: u64,
    },
    /// Its own rules let it train only later; a falling number is progress, so that the round's deadline decides how
    /// long it is waited for.
    Waits {
        /// Seconds until then.
        seconds: u64,
    },
}

impl Wire for Doing {
    const BYTES_MIN: usize = 1;
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Idle => writer.u8(0),
            Self::Working { done, of } => {
                writer.u8(1);
                writer.u64(*done);
                writer.u64(*of);
            }
            Self::Queued { ahead } => {
                writer.u8(2);
                writer.u64(*ahead);
            }
            Self::Waits { seconds } => {
                writer.u8(3);
                writer.u64(*seconds);
            }
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            0 => Ok(Self::Idle),
            1 => Ok(Self::Working { done: reader.u64()?, of: reader.u64()? }),
            2 => Ok(Self::Queued { ahead: reader.u64()? }),
            3 => Ok(Self::Waits { seconds: reader.u64()? }),
            value => Err(DecodeError::Value { what: "doing", value: u64::from(value) }),
        }
    }
}

/// A lease that lapsed, or a hospital that came back after its lease had lapsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEvent {
    /// Others go on without it where they can.
    Lapsed(PartyId),
    /// It takes part again.
    Returned(PartyId),
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    /// In lease time.
    until_ms: u64,
    lapsed: bool,
    /// On the wall clock; `None` before the first call.
    called_ms: Option<u64>,
    doing: Doing,
}

/// The leases of all members, as the coordinator keeps them.
#[derive(Clone, Debug)]
pub struct Leases {
    patience_ms: u64,
    threshold: usize,
    all: BTreeMap<PartyId, Lease>,
    /// Lease time.
    time_ms: u64,
    /// Wall clock of the last tick.
    ticked_ms: u64,
    /// Wall clock of the last progress of anybody.
    moved_ms: u64,
}

impl Leases {
    /// Everybody's lease begins now; `lapsed` of them had lapsed before a restart and return with their next call.
    #[must_use]
    pub fn new(parties: PartySet, lapsed: PartySet, threshold: usize, patience_ms: u64, now_ms: u64) -> Self {
        let lease = |party| {
            let lapsed = lapsed.contains(party);
            (party, Lease { until_ms: patience_ms, lapsed, called_ms: None, doing: Doing::Idle })
        };
        let all = parties.iter().map(lease).collect();
        Self { patience_ms, threshold, all, time_ms: 0, ticked_ms: now_ms, moved_ms: now_ms }
    }

    /// A hospital polled. `owes` says whether the others wait for it now: then only progress renews its lease.
    pub fn called(&mut self, now_ms: u64, party: PartyId, doing: Doing, owes: bool) -> Option<LeaseEvent> {
        let lease = self.all.get_mut(&party)?;
        lease.called_ms = Some(now_ms);
        let progressed = match (lease.doing, doing) {
            (Doing::Queued { ahead: before }, Doing::Queued { ahead }) => ahead < before,
            (Doing::Working { done: before, .. }, Doing::Working { done, .. }) => done > before,
            (Doing::Waits { seconds: before }, Doing::Waits { seconds }) => seconds < before,
            // Going idle with something owed is no progress: what is owed comes as a message or a body.
            (_, Doing::Idle) => false,
            (before, after) => before != after,
        };
        lease.doing = doing;
        // Nothing moves while somebody waits.
        if progressed && !matches!(doing, Doing::Waits { .. }) {
            self.moved_ms = now_ms;
        }
        // Whoever hung comes back by moving, not by calling.
        let is_stuck = lease.lapsed && doing != Doing::Idle;
        if progressed || !(owes || is_stuck) { self.renew(party) } else { None }
    }

    /// A message or a body of this hospital was accepted.
    pub fn delivered(&mut self, now_ms: u64, party: PartyId) -> Option<LeaseEvent> {
        self.all.get_mut(&party)?.called_ms = Some(now_ms);
        self.moved_ms = now_ms;
        self.renew(party)
    }

    /// The hospital said that it leaves.
    pub fn left(&mut self, party: PartyId) -> Option<LeaseEvent> {
        let lease = self.all.get_mut(&party).filter(|lease| !lease.lapsed)?;
        lease.lapsed = true;
        lease.until_ms = self.time_ms;
        Some(LeaseEvent::Lapsed(party))
    }

    /// Time passed, and everything that was received before has been handled. Says whose lease lapses.
    pub fn tick(&mut self, now_ms: u64) -> Vec<LeaseEvent> {
        let passed = now_ms.saturating_sub(self.ticked_ms).min(TICK_MS_MAX);
        self.ticked_ms = now_ms.max(self.ticked_ms);
        // Without t hospitals that call, the coordinator is what is cut off.
        if self.calling(now_ms).len() >= self.threshold {
            self.time_ms = self.time_ms.saturating_add(passed);
        }
        let now = self.time_ms;
        let lapsing = self.all.iter_mut().filter(|(_, lease)| !lease.lapsed && now > lease.until_ms);
        lapsing
            .map(|(party, lease)| {
                lease.lapsed = true;
                LeaseEvent::Lapsed(*party)
            })
            .collect()
    }

    /// Hospitals that called lately. Fewer than the threshold means that the coordinator itself may be cut off.
    #[must_use]
    pub fn calling(&self, now_ms: u64) -> PartySet {
        let recent = |lease: &Lease| lease.called_ms.is_some_and(|at| now_ms.saturating_sub(at) <= self.recent_ms());
        self.all.iter().filter_map(|(party, lease)| recent(lease).then_some(*party)).collect()
    }

    /// When anybody last made progress or delivered something, on the wall clock. Where calls are rare because machine
    /// or line is busy, this tells it from one that is cut off.
    #[must_use]
    pub fn moved_ms(&self) -> u64 {
        self.moved_ms
    }

    /// Hospitals whose lease runs.
    #[must_use]
    pub fn live(&self) -> PartySet {
        self.all.iter().filter_map(|(party, lease)| (!lease.lapsed).then_some(*party)).collect()
    }

    /// Longest time between two calls of a hospital that is connected, in ms. Polls are answered twice as often.
    #[must_use]
    pub fn recent_ms(&self) -> u64 {
        (self.patience_ms / 4).max(1)
    }

    /// What a hospital last said it does, and for how much longer its lease runs without progress, in ms.
    #[must_use]
    pub fn of(&self, party: PartyId) -> Option<(Doing, u64)> {
        self.all.get(&party).map(|lease| (lease.doing, lease.until_ms.saturating_sub(self.time_ms)))
    }

    fn renew(&mut self, party: PartyId) -> Option<LeaseEvent> {
        let lease = self.all.get_mut(&party)?;
        lease.until_ms = self.time_ms.saturating_add(self.patience_ms);
        std::mem::take(&mut lease.lapsed).then_some(LeaseEvent::Returned(party))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: u64 = 8_000;

    fn party(number: u16) -> PartyId {
        PartyId::new(number).unwrap()
    }

    fn all() -> PartySet {
        (1..=5).map(party).collect()
    }

    fn leases() -> Leases {
        Leases::new(all(), PartySet::EMPTY, 4, L, 0)
    }

    /// Everybody but `silent` polls every 500 ms; `owing` makes no progress. Returns what happens, and when.
    fn run(leases: &mut Leases, from: u64, to: u64, silent: u16, owing: u16) -> Vec<(u64, LeaseEvent)> {
        let mut seen = Vec::new();
        for now in (from..to).step_by(500) {
            for number in (1..=5).filter(|number| *number != silent) {
                let event = leases.called(now, party(number), Doing::Idle, number == owing);
                seen.extend(event.map(|event| (now, event)));
            }
            seen.extend(leases.tick(now).into_iter().map(|event| (now, event)));
        }
        seen
    }

    #[test]
    fn whoever_calls_and_owes_nothing_stays() {
        assert_eq!(run(&mut leases(), 0, 20 * L, 0, 0), []);
    }

    #[test]
    fn a_silent_hospital_lapses_after_the_patience_and_nobody_else_does() {
        let mut leases = leases();
        let seen = run(&mut leases, 0, 3 * L, 3, 0);
        assert_eq!(seen, [(L + 500, LeaseEvent::Lapsed(party(3)))]);
        assert_eq!(leases.live().numbers(), [1, 2, 4, 5]);
        assert_eq!(leases.delivered(3 * L, party(3)), Some(LeaseEvent::Returned(party(3))));
        assert_eq!(leases.live(), all());
    }

    #[test]
    fn a_hospital_that_owes_and_hangs_lapses_although_it_calls() {
        let seen = run(&mut leases(), 0, 2 * L, 0, 2);
        assert_eq!(seen, [(L + 500, LeaseEvent::Lapsed(party(2)))]);
    }

    #[test]
    fn progress_keeps_the_lease_of_one_that_owes() {
        let mut leases = leases();
        for step in 0..100 {
            let now = step * 500;
            for number in 1..=5 {
                let doing = match number {
                    2 => Doing::Working { done: step / 8, of: 40 },
                    3 => Doing::Queued { ahead: 40 - step / 8 },
                    _ => Doing::Idle,
                };
                assert_eq!(leases.called(now, party(number), doing, number == 2 || number == 3), None);
            }
            assert_eq!(leases.tick(now), [], "at {now}");
        }
    }

    #[test]
    fn whoever_may_train_later_keeps_its_lease_while_the_time_comes_nearer() {
        let mut leases = leases();
        let mut lapsed = Vec::new();
        for step in 0..80 {
            let now = step * 500;
            for number in 1..=5 {
                let doing = match number {
                    2 => Doing::Waits { seconds: 100 - step / 2 },
                    // A clock that is turned back all the time.
                    3 => Doing::Waits { seconds: 100 + step },
                    _ => Doing::Idle,
                };
                let _ = leases.called(now, party(number), doing, number == 2 || number == 3);
            }
            lapsed.extend(leases.tick(now));
        }
        assert_eq!(lapsed, [LeaseEvent::Lapsed(party(3))]);
        assert_eq!(leases.moved_ms(), 0, "a line that is cut off is told from one on which somebody waits");
    }

    #[test]
    fn whoever_hung_comes_back_by_moving_and_not_by_calling() {
        let mut leases = leases();
        let stuck = Doing::Working { done: 3, of: 9 };
        let _ = leases.called(0, party(2), stuck, true);
        let _ = leases.left(party(2));
        assert_eq!(leases.called(500, party(2), stuck, false), None);
        assert_eq!(leases.called(600, party(2), Doing::Idle, true), None);
        let moved = Doing::Working { done: 4, of: 9 };
        assert_eq!(leases.called(700, party(2), moved, true), Some(LeaseEvent::Returned(party(2))));
    }

    #[test]
    fn a_growing_queue_or_shrinking_count_is_no_progress() {
        let mut leases = leases();
        let mut lapsed = Vec::new();
        for step in 0..40 {
            let now = step * 500;
            for number in 1..=5 {
                let doing = match number {
                    2 => Doing::Working { done: 100 - step, of: 0 },
                    3 => Doing::Queued { ahead: step },
                    _ => Doing::Idle,
                };
                let _ = leases.called(now, party(number), doing, number == 2 || number == 3);
            }
            lapsed.extend(leases.tick(now));
        }
        assert_eq!(lapsed, [LeaseEvent::Lapsed(party(2)), LeaseEvent::Lapsed(party(3))]);
    }

    #[test]
    fn a_stalled_coordinator_blames_nobody() {
        let mut leases = leases();
        let _ = run(&mut leases, 0, 1_000, 0, 0);
        // An hour passes between two ticks: the machine slept. At most a second of it counts.
        assert_eq!(leases.tick(3_600_000), []);
        assert_eq!(run(&mut leases, 3_600_500, 3_600_500 + 2 * L, 0, 0), []);
    }

    #[test]
    fn a_coordinator_that_hears_fewer_than_threshold_blames_nobody() {
        let mut leases = leases();
        for now in (0..10 * L).step_by(500) {
            for number in 1..=3 {
                let _ = leases.called(now, party(number), Doing::Idle, false);
            }
            assert_eq!(leases.tick(now), []);
        }
    }

    #[test]
    fn deliveries_and_progress_are_movement_and_calls_are_not() {
        let mut leases = leases();
        let _ = leases.called(100, party(1), Doing::Idle, true);
        let _ = leases.called(200, party(2), Doing::Idle, false);
        assert_eq!(leases.moved_ms(), 0);
        let _ = leases.called(300, party(1), Doing::Working { done: 1, of: 2 }, true);
        assert_eq!(leases.moved_ms(), 300);
        let _ = leases.called(400, party(1), Doing::Working { done: 1, of: 2 }, true);
        assert_eq!(leases.moved_ms(), 300);
        let _ = leases.delivered(500, party(3));
        assert_eq!(leases.moved_ms(), 500);
    }

    #[test]
    fn leaving_ends_a_lease_once_and_a_restart_remembers_who_had_lapsed() {
        let mut leases = leases();
        assert_eq!(leases.left(party(1)), Some(LeaseEvent::Lapsed(party(1))));
        assert_eq!(leases.left(party(1)), None);
        let mut again = Leases::new(all(), [party(4)].into_iter().collect(), 4, L, 77);
        assert_eq!(again.live().numbers(), [1, 2, 3, 5]);
        assert_eq!(again.called(78, party(4), Doing::Idle, false), Some(LeaseEvent::Returned(party(4))));
    }

    #[test]
    fn what_a_hospital_does_survives_the_wire() {
        let (queued, waits) = (Doing::Queued { ahead: 3 }, Doing::Waits { seconds: 5 });
        for doing in [Doing::Idle, Doing::Working { done: 7, of: 9 }, queued, waits] {
            assert_eq!(Doing::from_bytes(&doing.to_bytes()), Ok(doing));
        }
        assert!(Doing::from_bytes(&[4]).is_err() && Doing::from_bytes(&[3]).is_err());
    }

    #[test]
    fn who_says_again_that_it_waits_so_long_makes_no_progress() {
        let (mut leases, mut seen) = (leases(), Vec::new());
        for now in (0..=L + 1_000).step_by(500) {
            for number in 1..=5 {
                let doing = if number == 1 { Doing::Waits { seconds: 9 } } else { Doing::Idle };
                let _ = leases.called(now, party(number), doing, number == 1);
            }
            seen.extend(leases.tick(now));
        }
        assert_eq!(seen, [LeaseEvent::Lapsed(party(1))]);
    }

    #[test]
    fn who_stays_where_it_was_in_a_queue_makes_no_progress_and_who_moves_up_does() {
        for (moves, lapses) in [(false, vec![LeaseEvent::Lapsed(party(1))]), (true, vec![])] {
            let (mut leases, mut seen) = (leases(), Vec::new());
            for (step, now) in (0..).zip((0..=L + 1_000).step_by(500)) {
                for number in 1..=5 {
                    let ahead = if moves { 100 - step } else { 100 };
                    let doing = if number == 1 { Doing::Queued { ahead } } else { Doing::Idle };
                    let _ = leases.called(now, party(number), doing, number == 1);
                }
                seen.extend(leases.tick(now));
            }
            assert_eq!(seen, lapses);
        }
    }
}
