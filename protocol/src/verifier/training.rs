//! The training of a head on ciphertexts: what it is trained on, and that its refreshes follow one after the other.

use crate::ids::{Attempt, Digest, StepId};
use crate::limits::{REFRESH_ATTEMPTS_MAX, TRAINING_STEPS_MAX};
use crate::message::{FeaturesReady, HospitalMessage, LogMessage, ModelPublished, distinct_signers};
use crate::reject::Reject;
use crate::roster::Roster;
use crate::terms::Terms;
use crate::training::{Asked, HeadTerms, TrainingTerms};
use crate::verifier::fault::{Fault, require, require_of};

/// What was seen of it.
#[derive(Default)]
pub(super) struct Training {
    is_open: bool,
    /// Digest of the program of its steps.
    program: Option<Digest>,
    asked: Option<Asked>,
    /// Of the last step; unknown where the terms are.
    steps: Option<StepId>,
    is_published: bool,
}

impl Training {
    /// Whether a head is trained, as far as the log says.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_open
    }

    pub(super) fn step(
        &mut self,
        message: &LogMessage,
        roster: &Roster,
        approved: Option<&Terms>,
    ) -> Result<(), Fault> {
        let head = match approved {
            None => None,
            Some(terms) => Some(terms.head.as_ref().ok_or(Reject::PlanNotApproved)?),
        };
        match message {
            LogMessage::FeaturesOpen(it) => {
                require(self.program.is_none(), Reject::OutOfTurn)?;
                require(head.is_none_or(|head| head.recipe == it.recipe), Reject::PlanNotApproved)?;
                self.is_open = true;
                Ok(())
            }
            LogMessage::FeaturesReady(it) => {
                require(self.is_open && self.program.is_none(), Reject::OutOfTurn)?;
                let smallest = roster.threshold().max(approved.map_or(0, |terms| usize::from(terms.min_cohort)));
                ready(it, roster, head, smallest)?;
                self.program = Some(it.program);
                self.steps = head.map(|head| StepId(head.steps));
                Ok(())
            }
            _ => self.asked(message, roster, head)?.learn(message).map_err(Fault::from),
        }
    }

    /// What the log asked for, from the first refresh on.
    fn asked(&mut self, message: &LogMessage, roster: &Roster, head: Option<&HeadTerms>) -> Result<&mut Asked, Fault> {
        let program = self.program.ok_or(Reject::OutOfTurn)?;
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => {
                let LogMessage::RefreshOpen(open) = message else { return Err(Reject::OutOfTurn.into()) };
                // Whose terms are not at hand says itself how many ciphertexts a step leaves, once.
                let terms = head.map_or_else(
                    || TrainingTerms {
                        program,
                        served: Digest::default(),
                        steps: TRAINING_STEPS_MAX,
                        packages: open.packages.count,
                        attempts_max: REFRESH_ATTEMPTS_MAX,
                        refresh_deadline_ms: 0,
                    },
                    |head| head.training(program, Digest::default()),
                );
                Asked::new(roster.clone(), terms)
            }
        };
        Ok(self.asked.insert(asked))
    }

    /// The finished head: after its last refresh, once.
    pub(super) fn published(&mut self, it: &ModelPublished) -> Result<(), Fault> {
        let (next, _) = self.asked.as_ref().ok_or(Reject::OutOfTurn)?.at();
        let is_finished = next > StepId::FIRST && self.steps.is_none_or(|last| next > last);
        require(is_finished && it.attempt == Attempt::FIRST, Reject::OutOfTurn)?;
        require(!std::mem::replace(&mut self.is_published, true), Reject::Contradiction)
    }
}

fn ready(it: &FeaturesReady, roster: &Roster, head: Option<&HeadTerms>, smallest: usize) -> Result<(), Fault> {
    for message in &it.heads {
        if let HospitalMessage::FeaturesHead(own) = &message.body {
            require_of(message.author, head.is_none_or(|head| head.fits(own)), Reject::LimitExceeded)?;
        }
    }
    let makers = distinct_signers(
        &it.heads,
        roster,
        |_, body| matches!(body, HospitalMessage::FeaturesHead(own) if own.rows == it.rows),
    )?;
    require(it.heads.is_sorted_by_key(|head| head.author), Reject::ManifestMalformed)?;
    require(makers.len() >= smallest, Reject::CohortTooSmall)
}
