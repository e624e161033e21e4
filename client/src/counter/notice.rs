//! What happens at a counter, for whoever watches the hospital.

use std::fmt;
use std::time::Duration;

use protocol::ids::QueryId;

use crate::hospital::HospitalError;

/// Something happened at a hospital's counter. As text it is one sentence for the hospital's own people.
#[derive(Debug)]
pub struct Notice {
    /// The hospital, from 1.
    pub hospital: u16,
    /// What happened.
    pub what: Happened,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happened {
    /// A query was answered.
    Answered {
        /// Number under which the transcript names it.
        query: QueryId,
        /// From encrypting to reading.
        took: Duration,
    },
    /// A query was not answered.
    Unanswered {
        /// Why.
        source: HospitalError,
    },
    /// The system handed out no connection; the counter stays open.
    NotAccepted {
        /// The system's own words.
        source: std::io::Error,
    },
}

impl Notice {
    /// Whether something went wrong.
    pub fn is_warning(&self) -> bool {
        !matches!(self.what, Happened::Answered { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hospital = self.hospital;
        match &self.what {
            Happened::Answered { query, took } => {
                write!(f, "hospital-{hospital}: query {query} answered in {:.0} ms", took.as_secs_f64() * 1e3)
            }
            Happened::Unanswered { source } => write!(f, "hospital-{hospital}: a query was not answered: {source}"),
            Happened::NotAccepted { source } => write!(f, "hospital-{hospital}'s counter took no question: {source}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_went_wrong_is_a_warning() {
        let broken = std::io::Error::other("no more files");
        let notice = Notice { hospital: 3, what: Happened::NotAccepted { source: broken } };
        assert!(notice.is_warning());
        assert_eq!(notice.to_string(), "hospital-3's counter took no question: no more files");
    }
}
