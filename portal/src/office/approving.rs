//! An officer's word, given on a page: who gives it is asked for the password once more, so that a screen that was left
//! alone approves nothing.

use client::consent::{ApprovalError, ApprovedTerms, ConsentBook, ConsentError, approve_terms, noted};
use protocol::enrolment::{Words, WordsError};
use protocol::ids::Epoch;

use crate::book::{BookError, SignIn};
use crate::clock::{minute, now_s};
use crate::server::State;
use crate::texts::Language;

/// Why nothing was approved.
pub(super) enum Refusal {
    /// The password is not this officer's.
    Password,
    /// It was wrong too often.
    Locked {
        /// Seconds since 1970.
        until_s: i64,
    },
    /// There is nothing to approve under this number any more.
    Nothing,
    /// What was typed are no six words.
    Typed(WordsError),
    /// There are no words yet.
    NoWords,
    /// The words are others.
    WordsDiffer,
    /// Who reads aloud did not say that all others' words match.
    NotSaid,
    /// Other terms than those that were on the page.
    TermsDiffer,
    /// The data set, its images, the plan, or the hospital's own rules.
    Terms(ApprovalError),
    /// For the log.
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl From<BookError> for Refusal {
    fn from(error: BookError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<ConsentError> for Refusal {
    fn from(error: ConsentError) -> Self {
        match error {
            ConsentError::WordsDiffer => Self::WordsDiffer,
            ConsentError::TermsDiffer { .. } => Self::TermsDiffer,
            other => Self::Broken(other.into()),
        }
    }
}

impl From<ApprovalError> for Refusal {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::Consent(error) => error.into(),
            other => Self::Terms(other),
        }
    }
}

impl Refusal {
    /// For people.
    pub(super) fn text(&self, language: Language) -> String {
        match self {
            Self::Password => language.say("office.no.password").to_owned(),
            Self::Locked { until_s } => language.fill("sign-in.locked", &[&minute(*until_s)]),
            Self::Nothing => language.say("office.no.nothing").to_owned(),
            Self::Typed(WordsError::Count { have }) => language.fill("office.no.count", &[&have.to_string()]),
            Self::Typed(WordsError::Unknown { place, word }) => {
                language.fill("office.no.unknown", &[&place.to_string(), word])
            }
            Self::NoWords => language.say("office.no.words").to_owned(),
            Self::WordsDiffer => language.say("office.no.differ").to_owned(),
            Self::NotSaid => language.say("office.no.said").to_owned(),
            Self::TermsDiffer => language.say("office.no.terms").to_owned(),
            Self::Terms(error) => language.fill("office.no.other", &[&error.to_string()]),
            Self::Broken(_) => language.say("notice.broken.do").to_owned(),
        }
    }
}

/// What an officer approves of a key epoch.
pub(super) enum Word {
    /// The members, by the words that were typed.
    Heard(String),
    /// The members, by having read the words aloud: all others said that theirs match.
    ReadAloud {
        /// Whether that was said.
        all_match: bool,
    },
    /// The terms of this digest, with the data set of this name.
    Terms {
        /// As it stood on the page.
        digest: String,
        /// Of those that the page offered.
        data: String,
    },
}

/// Gives an officer's word. Reads images and hashes a password: not for a thread that others wait for.
pub(super) fn approve(state: &State, officer: &str, password: &str, epoch: Epoch, word: &Word) -> Result<(), Refusal> {
    match state.book.sign_in(officer, password, now_s())? {
        SignIn::Welcome(..) => {}
        SignIn::Wrong => return Err(Refusal::Password),
        SignIn::Locked { until_s } => return Err(Refusal::Locked { until_s }),
    }
    let root = &state.hospital;
    let seen = noted(root, epoch)?.ok_or(Refusal::Nothing)?;
    let book = ConsentBook::open(root)?;
    if book.ended(epoch)?.is_some() {
        return Err(Refusal::Nothing);
    }
    let by = format!("{officer}, on the officer's page");
    match word {
        Word::Heard(text) => {
            let heard: Words = text.parse().map_err(Refusal::Typed)?;
            seen.words.ok_or(Refusal::NoWords)?;
            book.approve_membership(&seen, heard, &by)?;
            tracing::info!(%epoch, officer, members = %seen.membership, "the members are approved");
        }
        Word::ReadAloud { all_match } => {
            let words = seen.words.ok_or(Refusal::NoWords)?;
            if !all_match {
                return Err(Refusal::NotSaid);
            }
            book.approve_membership(&seen, words, &by)?;
            tracing::info!(%epoch, officer, members = %seen.membership, "the members are approved, read aloud");
        }
        Word::Terms { digest, data } => {
            let data = Some(data.as_str()).filter(|data| !data.is_empty());
            let ApprovedTerms { epoch, .. } = approve_terms(root, &book, &seen, digest, data, &by)?;
            tracing::info!(%epoch, officer, terms = digest, "the terms are approved");
        }
    }
    Ok(())
}
