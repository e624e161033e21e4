//! What a rung found, how it counts, and what there is to do about it.

use remedy::{Exit, Explained};
use serde::Serialize;

/// How a rung ended, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Passed,
    /// Works, and will give trouble.
    Warning,
    /// Does not work.
    Failed,
    /// Not tried, because something that it needs is not there.
    Skipped,
}

impl Grade {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it counts.
    pub grade: Grade,
    /// What was found, with a figure where there is one.
    pub found: String,
    /// What to do; nothing where all is well.
    pub remedy: Option<String>,
    /// What the process returns if this is the first failure.
    pub exit: Exit,
}

impl Finding {
    pub(super) fn passed(found: impl Into<String>) -> Self {
        Self { grade: Grade::Passed, found: found.into(), remedy: None, exit: Exit::Done }
    }

    pub(super) fn warning(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Warning, found: found.into(), remedy: Some(remedy.into()), exit: Exit::Done }
    }

    pub(super) fn failed(found: impl Into<String>, remedy: impl Into<String>, exit: Exit) -> Self {
        Self { grade: Grade::Failed, found: found.into(), remedy: Some(remedy.into()), exit }
    }

    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self { grade: Grade::Skipped, found: why.into(), remedy: None, exit: Exit::Done }
    }

    /// A failure that says itself what there is to say.
    pub(super) fn of(error: &dyn Explained) -> Self {
        Self::failed(error.to_string(), error.remedy(), error.exit())
    }

    /// Two things that one rung looked at: the worse one counts, everything found is told.
    pub(super) fn and(self, other: Self) -> Self {
        let worst = self.grade.max(other.grade);
        let exit = if self.grade == worst { self.exit } else { other.exit };
        let remedies: Vec<String> = self.remedy.into_iter().chain(other.remedy).collect();
        let remedy = (!remedies.is_empty()).then(|| remedies.join("; "));
        Self { grade: worst, found: format!("{}; {}", self.found, other.found), remedy, exit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_findings_the_worse_counts_and_both_are_told() {
        let (good, bad) = (Finding::passed("a"), Finding::failed("b", "do b", Exit::StorageFull));
        for both in [good.clone().and(bad.clone()), bad.and(good)] {
            assert_eq!((both.grade, both.exit), (Grade::Failed, Exit::StorageFull));
            assert_eq!(both.remedy.as_deref(), Some("do b"));
            assert!(both.found.contains('a') && both.found.contains('b'), "{}", both.found);
        }
        let first = Finding::failed("a", "x", Exit::BadInput).and(Finding::failed("b", "y", Exit::StorageFull));
        assert_eq!((first.exit, first.remedy.as_deref()), (Exit::BadInput, Some("x; y")));
        let mild = Finding::warning("a", "x").and(Finding::passed("b"));
        assert_eq!((mild.grade, mild.exit), (Grade::Warning, Exit::Done));
    }
}
