//! What a step of a training took.

/// In seconds: of the slowest hospital, since they are on machines of their own.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct StepTimes {
    /// The coordinator's step, with the zeros of other attempts.
    pub(super) evaluate: f64,
    /// The same at a hospital that follows. It starts when the coordinator does.
    pub(super) verify: f64,
    /// Zeros, a share and a mask.
    pub(super) share: f64,
    /// Opening what is flooded.
    pub(super) open: f64,
    /// The coordinator's sums.
    pub(super) add: f64,
    /// Its joining and lifting, or a hospital's.
    pub(super) join: f64,
    /// All of it in one process.
    pub(super) here: f64,
    /// Bytes that one decryptor sends.
    pub(super) bytes: usize,
    /// Attempts that came to nothing.
    pub(super) voided: u32,
}

impl StepTimes {
    /// Where every party has a machine of its own, without a network and without waiting for who is lost.
    pub(super) fn critical(&self) -> f64 {
        self.evaluate.max(self.verify) + self.refresh()
    }

    /// Of the refresh alone.
    pub(super) fn refresh(&self) -> f64 {
        self.share + self.open + self.add + self.join
    }
}
