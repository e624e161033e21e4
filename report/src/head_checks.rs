//! What the report of a head promises, checked.

use super::head::{HeadParameters, HeadReport};
use super::units::{bytes_text, grouped, number_text};

/// Fewest test answers, as a share, that have to equal those in the clear.
const SAME_ANSWERS_LEAST: f64 = 0.995;

/// One promise.
pub(super) struct HeadCheck {
    /// Whether it holds.
    pub(super) passed: bool,
    /// In three words.
    pub(super) name: &'static str,
    /// One sentence with the numbers.
    pub(super) detail: String,
}

impl HeadReport {
    /// Every promise of this run; one that it did not make is not among them.
    pub(super) fn checks(&self) -> Vec<HeadCheck> {
        let mut checks = vec![self.nothing_found(), self.never_decrypted()];
        checks.extend(self.parameters.as_ref().filter(|it| it.verifiers > 0).map(|it| self.steps_verified(it)));
        checks.extend(self.moments.map(|moments| HeadCheck {
            passed: moments.exact,
            name: "sums are exact",
            detail: match moments.exact {
                true => "The decrypted sums of the features equal those of the hospitals' integers.".to_owned(),
                false => "The decrypted sums of the features differ from those of the hospitals' integers.".to_owned(),
            },
        }));
        checks.extend(self.quality.same_answers.map(|share| HeadCheck {
            // What is not a number is not enough.
            passed: share >= SAME_ANSWERS_LEAST,
            name: "same answers",
            detail: format!(
                "{} % of the test answers equal those of the same steps in the clear; {} % are asked for.",
                number_text(100.0 * share, 2),
                number_text(100.0 * SAME_ANSWERS_LEAST, 1)
            ),
        }));
        checks
    }

    fn nothing_found(&self) -> HeadCheck {
        let protection = &self.protection;
        let detail = match (protection.found.as_slice(), protection.needles) {
            ([], 0) => "Nothing was looked for.".to_owned(),
            (found, needles) => format!(
                "{} of {} features and labels were found in {} that the coordinator held.",
                grouped(found.len()),
                grouped(needles),
                bytes_text(protection.scanned_bytes)
            ),
        };
        HeadCheck { passed: protection.found.is_empty(), name: "nothing found", detail }
    }

    fn never_decrypted(&self) -> HeadCheck {
        let times = self.protection.decryptions_of_head;
        HeadCheck {
            passed: times == 0,
            name: "never decrypted",
            detail: format!("Decryptions of the head by the protocol: {times}."),
        }
    }

    fn steps_verified(&self, parameters: &HeadParameters) -> HeadCheck {
        let (verified, refused) = (self.protection.verified_steps, self.protection.refused_steps);
        HeadCheck {
            passed: verified == self.steps.len(),
            name: "steps verified",
            detail: format!(
                "{verified} of {} steps were computed again by {} before any share left; {refused} were refused.",
                self.steps.len(),
                match parameters.verifiers {
                    1 => "1 hospital".to_owned(),
                    many => format!("{many} hospitals"),
                }
            ),
        }
    }
}
