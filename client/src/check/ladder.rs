//! The ladder: rungs in the order in which a person reads them, and which of them another one needs.

use std::time::Instant;

use remedy::Exit;

use super::finding::{Finding, Grade};

/// The coordinator's host resolves.
pub const NAME: &str = "name";
/// A connection stands.
pub const NETWORK: &str = "network";
/// Both certificates are good.
pub const CERTIFICATE: &str = "certificate";
/// Both clocks agree.
pub const CLOCK: &str = "clock";
/// The coordinator counts this site among its members.
pub const MEMBERSHIP: &str = "membership";
/// The site's secrets can be opened, by this site alone.
pub const VAULT: &str = "vault";
/// There is room, and what is written stays.
pub const DISK: &str = "disk";
/// What the site trains on.
pub const DEVICE: &str = "device";
/// The images fit.
pub const DATA: &str = "data";
/// The plan's network trains here.
pub const TRAINING: &str = "training";
/// This machine adds encrypted integers exactly.
pub const CRYPTO: &str = "crypto";

/// All rungs in the order of telling. They are tried in another one: a call needs the vault's key, and a disk that
/// takes its line in the record of what was sent.
pub const ORDER: [&str; 11] =
    [NAME, NETWORK, CERTIFICATE, CLOCK, MEMBERSHIP, VAULT, DISK, DEVICE, DATA, TRAINING, CRYPTO];

/// One rung, tried or skipped.
#[derive(Clone, Debug)]
pub struct Rung {
    /// One of [`ORDER`].
    pub name: &'static str,
    /// What was found.
    pub finding: Finding,
    /// How long it took to find.
    pub ms: u64,
}

/// All rungs of one check.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    rungs: Vec<Rung>,
}

impl Ladder {
    /// The rungs, in the order of [`ORDER`].
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// What the process returns: what the first failed rung says, else [`Exit::Done`].
    #[must_use]
    pub fn exit(&self) -> Exit {
        let failed = self.rungs.iter().find(|rung| rung.finding.grade == Grade::Failed);
        failed.map_or(Exit::Done, |rung| rung.finding.exit)
    }

    /// Tries a rung, unless one that it needs failed or was skipped; hands on what the next ones need of it.
    pub(super) async fn rung<T>(
        &mut self,
        name: &'static str,
        needs: &[&'static str],
        run: impl Future<Output = (Finding, Option<T>)>,
    ) -> Option<T> {
        if let Some(needed) = needs.iter().find(|needed| !self.holds(needed)) {
            self.skip(name, &format!("needs {needed}"));
            return None;
        }
        let started = Instant::now();
        let (finding, found) = run.await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.put(Rung { name, finding, ms });
        found
    }

    /// Leaves a rung out.
    pub(super) fn skip(&mut self, name: &'static str, why: &str) {
        self.put(Rung { name, finding: Finding::skipped(why), ms: 0 });
    }

    fn put(&mut self, rung: Rung) {
        let place = |name: &str| ORDER.iter().position(|known| *known == name);
        self.rungs.push(rung);
        self.rungs.sort_by_key(|rung| place(rung.name));
    }

    /// Whether a rung was tried and did not fail.
    pub(super) fn holds(&self, name: &str) -> bool {
        let found = self.rungs.iter().find(|rung| rung.name == name);
        found.is_some_and(|rung| matches!(rung.finding.grade, Grade::Passed | Grade::Warning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tried(ladder: &mut Ladder, name: &'static str, needs: &[&'static str], finding: Finding) -> bool {
        ladder.rung(name, needs, async { (finding, Some(())) }).await.is_some()
    }

    #[tokio::test]
    async fn a_rung_is_skipped_where_one_that_it_needs_failed_or_was_skipped() {
        let mut ladder = Ladder::default();
        assert!(tried(&mut ladder, DISK, &[], Finding::failed("full", "x", Exit::StorageFull)).await);
        assert!(!tried(&mut ladder, MEMBERSHIP, &[DISK], Finding::passed("x")).await);
        assert!(!tried(&mut ladder, DATA, &[MEMBERSHIP], Finding::passed("x")).await);
        assert!(tried(&mut ladder, NAME, &[], Finding::warning("odd", "x")).await);
        assert!(tried(&mut ladder, NETWORK, &[NAME], Finding::failed("no", "x", Exit::Connection)).await);
        let told: Vec<_> = ladder.rungs().iter().map(|rung| (rung.name, rung.finding.found.as_str())).collect();
        let expected =
            [(NAME, "odd"), (NETWORK, "no"), (MEMBERSHIP, "needs disk"), (DISK, "full"), (DATA, "needs membership")];
        assert_eq!(told, expected, "in the order of telling");
        assert_eq!(ladder.exit(), Exit::Connection, "the first that failed, not the first that was tried");
    }

    #[tokio::test]
    async fn warnings_and_skipped_rungs_end_well() {
        let mut ladder = Ladder::default();
        assert!(tried(&mut ladder, NAME, &[], Finding::warning("odd", "x")).await);
        ladder.skip(DATA, "needs a membership");
        assert_eq!(ladder.exit(), Exit::Done);
    }
}
