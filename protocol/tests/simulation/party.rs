//! A process in simulated time: its driver, and the ends of its four traits that the world looks into.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use protocol::drive::{Asked, CallId, Clock, CoordinatorNet, Crypto, HospitalNet, JobId};
use protocol::exchange::{Answer, Call};
use protocol::{BlobId, Reject};

use crate::sim_store::Disk;

/// Jobs that a driver started.
pub(crate) struct Jobs<J> {
    pub(crate) started: Rc<RefCell<Vec<(JobId, J)>>>,
    pub(crate) disk: Rc<RefCell<Disk>>,
}

impl<J> Crypto for Jobs<J> {
    type Job = J;
    fn start(&mut self, id: JobId, job: J) {
        // What a dead process still does in this test does not happen.
        if !self.disk.borrow().is_dead {
            self.started.borrow_mut().push((id, job));
        }
    }
}

/// Calls that a hospital made.
pub(crate) struct Line {
    pub(crate) calls: Rc<RefCell<Vec<(CallId, Call)>>>,
    pub(crate) disk: Rc<RefCell<Disk>>,
}

impl HospitalNet for Line {
    fn call(&mut self, id: CallId, call: Call) {
        if !self.disk.borrow().is_dead {
            self.calls.borrow_mut().push((id, call));
        }
    }
}

/// Answers on their way out.
pub(crate) type Answers = Rc<RefCell<Vec<(Asked, Result<Answer, Reject>)>>>;

/// Answers that the coordinator gave.
pub(crate) struct Counter {
    pub(crate) answers: Answers,
    pub(crate) disk: Rc<RefCell<Disk>>,
}

impl CoordinatorNet for Counter {
    fn answer(&mut self, to: Asked, answer: Result<Answer, Reject>) {
        if !self.disk.borrow().is_dead {
            self.answers.borrow_mut().push((to, answer));
        }
    }

    fn answer_body(&mut self, to: Asked, id: &BlobId) {
        let body = self.disk.borrow().bodies.get(id).cloned();
        self.answer(to, body.map(Answer::Body).ok_or(Reject::OutOfTurn));
    }
}

/// The world's time, counted from the start of this process.
pub(crate) struct SimClock {
    pub(crate) now: Rc<Cell<u64>>,
    pub(crate) started: u64,
    pub(crate) wakes: Rc<RefCell<BTreeSet<u64>>>,
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.now.get() - self.started
    }
    fn wake_at(&mut self, at_ms: u64) {
        self.wakes.borrow_mut().insert(self.started.saturating_add(at_ms).max(self.now.get() + 1));
    }
}
