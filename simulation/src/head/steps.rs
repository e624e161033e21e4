//! The steps of a training: the coordinator's, and those of the hospitals that refresh what it leaves.

use std::time::Instant;

use client::head::HeadDecryptor;
use coordinator::head::HeadCoordinator;
use he_agg::aggregation::MemoryLedger;
use he_agg::ckks::Ciphertext;

use super::error::HeadRunError;
use super::sight::Sight;

/// What a step took, in seconds: of the slowest hospital, since they are on machines of their own.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct StepTimes {
    /// The coordinator's step.
    pub(super) evaluate: f64,
    /// The same at a hospital that will share. It starts when the coordinator does.
    pub(super) verify: f64,
    /// A share and a mask.
    pub(super) share: f64,
    /// Opening what is flooded.
    pub(super) open: f64,
    /// The coordinator's sums and lifts, or a hospital's.
    pub(super) join: f64,
    /// All of it in one process.
    pub(super) here: f64,
    /// Bytes that one decryptor sends.
    pub(super) bytes: usize,
}

impl StepTimes {
    /// Where every party has a machine of its own, without a network.
    pub(super) fn critical(&self) -> f64 {
        self.evaluate.max(self.verify) + self.share + self.open + self.join
    }

    /// Of the refresh alone.
    pub(super) fn refresh(&self) -> f64 {
        self.share + self.open + self.join
    }
}

/// The packages of a step, as they are asked to be refreshed, and what the last refresh made of them.
pub(super) struct Taken {
    pub(super) times: StepTimes,
    /// As the step left them.
    pub(super) packages: Vec<Vec<u8>>,
    /// After the last step: under the serving key.
    pub(super) finished: Option<Vec<Ciphertext>>,
}

/// One after the other, what parties do at the same time.
pub(super) struct Steps<'a> {
    coordinator: HeadCoordinator<'a>,
    decryptors: Vec<HeadDecryptor<'a, MemoryLedger>>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(coordinator: HeadCoordinator<'a>, decryptors: Vec<HeadDecryptor<'a, MemoryLedger>>) -> Self {
        Self { coordinator, decryptors }
    }

    /// Takes the step at hand, everywhere, and refreshes what it leaves.
    pub(super) fn take(&mut self, sight: &mut Sight) -> Result<Taken, HeadRunError> {
        let set: Vec<u16> = self.decryptors.iter().map(HeadDecryptor::party).collect();
        let mut times = StepTimes::default();
        let whole = Instant::now();
        let started = Instant::now();
        let (order, packages) = self.coordinator.take(&set)?;
        times.evaluate = started.elapsed().as_secs_f64();
        let (mut shares, mut masks) = (Vec::new(), Vec::new());
        for decryptor in &mut self.decryptors {
            let started = Instant::now();
            decryptor.verify(&order, &packages)?;
            times.verify = times.verify.max(started.elapsed().as_secs_f64());
            let started = Instant::now();
            let parts = decryptor.share(&order, &packages)?;
            times.share = times.share.max(started.elapsed().as_secs_f64());
            times.bytes = parts.iter().map(|part| part.share.len() + part.mask.len()).sum();
            let (own_shares, own_masks) = parts.into_iter().map(|part| (part.share, part.mask)).unzip();
            shares.push(own_shares);
            masks.push((decryptor.party(), own_masks));
        }
        let started = Instant::now();
        let blinded = self.coordinator.blinded(&order, &shares)?;
        times.join = started.elapsed().as_secs_f64();
        let mut opened = Vec::new();
        for decryptor in self.decryptors.iter_mut().filter(|one| one.party() == order.opener) {
            let started = Instant::now();
            opened = decryptor.open(&order, &packages, &blinded)?;
            times.open = started.elapsed().as_secs_f64();
        }
        let started = Instant::now();
        let finished = self.coordinator.refreshed(&order, &masks, &opened)?;
        let mut slowest = started.elapsed().as_secs_f64();
        for decryptor in &mut self.decryptors {
            let started = Instant::now();
            let own = decryptor.refreshed(&order, &packages, &masks, &opened)?;
            slowest = slowest.max(started.elapsed().as_secs_f64());
            if own.as_deref().map(bytes_of) != finished.as_deref().map(bytes_of) {
                return Err(HeadRunError::Differ { hospital: decryptor.party() });
            }
        }
        times.join += slowest;
        times.here = whole.elapsed().as_secs_f64();
        sight.look_at_all("what a step leaves", &packages);
        shares.iter().for_each(|own| sight.look_at_all("a decryptor's shares", own));
        masks.iter().for_each(|(_, own)| sight.look_at_all("a decryptor's masks", own));
        sight.look_at_all("blinded sums", &blinded);
        sight.look_at_all("what was opened", &opened);
        Ok(Taken { times, packages, finished })
    }
}

fn bytes_of(packages: &[Ciphertext]) -> Vec<Vec<u8>> {
    packages.iter().map(Ciphertext::to_bytes).collect()
}
