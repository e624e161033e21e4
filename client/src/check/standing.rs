//! How this site stands with its coordinator: whether their clocks agree, and whether it is a member there.

use std::time::{Duration, SystemTime};

use protocol::enrolment::{Sites, seconds};
use protocol::net::CERTIFICATE_LIFETIME;
use remedy::Exit;
use tokio::time::timeout;

use super::finding::Finding;
use crate::enrolment::{EnrolmentError, Member};

/// Clocks that differ by less need nobody.
const SKEW_MAX_S: u64 = 60;
/// Certificates begin an hour before they are made; a clock that is further off takes a new one for none.
const SKEW_FATAL_S: u64 = 3600;
/// Longest wait for an answer. Nothing is sent that cannot be written down, and that is tried for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const SET_CLOCK: &str = "let this machine's clock follow a time server (chronyc tracking, timedatectl status)";

/// Compares this machine's clock with the coordinator's; where that does not say the time, with this site's own
/// certificate, which it dated.
pub(super) async fn clock(member: &Member) -> (Finding, Option<()>) {
    let before = SystemTime::now();
    let told = timeout(ANSWER_WITHIN, member.time()).await;
    let after = SystemTime::now();
    let finding = match told {
        Ok(Ok(there_s)) => {
            // The answer was made between both, and its second is half over on the average.
            let halfway = after.duration_since(before).unwrap_or_default() / 2;
            skew(seconds(before + halfway), there_s)
        }
        Ok(Err(error)) => plausible(&error.to_string(), member.membership().until_s, seconds(after)),
        Err(_) => plausible("no answer", member.membership().until_s, seconds(after)),
    };
    (finding, Some(()))
}

fn skew(here_s: u64, there_s: u64) -> Finding {
    let apart = here_s.abs_diff(there_s);
    let way = if here_s < there_s { "behind" } else { "ahead of" };
    let found = match apart {
        // A second is as fine as it is told.
        0 | 1 => "agrees with the coordinator's to the second".to_owned(),
        _ => format!("{apart} s {way} the coordinator's"),
    };
    match apart {
        _ if apart < SKEW_MAX_S => Finding::passed(found),
        _ if apart < SKEW_FATAL_S => Finding::warning(found, SET_CLOCK),
        _ => Finding::failed(found, format!("{SET_CLOCK}; if it is right, tell the operator"), Exit::Failed),
    }
}

/// What the certificate's dates say about this machine's clock. They cannot say that it is right.
fn plausible(why: &str, until_s: u64, now_s: u64) -> Finding {
    let issued_s = until_s.saturating_sub(CERTIFICATE_LIFETIME.as_secs());
    let found = format!("not compared with the coordinator's ({why})");
    match now_s.checked_sub(issued_s) {
        None => Finding::failed(
            format!("{found}; at least {} s behind, since this site's certificate was made later", issued_s - now_s),
            SET_CLOCK,
            Exit::Failed,
        ),
        Some(_) if now_s >= until_s => {
            Finding::warning(format!("{found}; after the end of this site's certificate"), SET_CLOCK)
        }
        Some(_) => Finding::warning(format!("{found}; within the dates of this site's certificate"), SET_CLOCK),
    }
}

/// Asks the coordinator who its members are.
pub(super) async fn membership(member: &Member) -> (Finding, Option<()>) {
    let finding = match timeout(ANSWER_WITHIN, member.sites()).await {
        Ok(answer) => counted(&answer, member.membership().name.as_str()),
        Err(_) => Finding::failed(
            format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
            "look whether the folder `sent` of this site can be written to: nothing is sent before it is noted there",
            Exit::Connection,
        ),
    };
    (finding, Some(()))
}

fn counted(answer: &Result<Sites, EnrolmentError>, name: &str) -> Finding {
    match answer {
        Ok(sites) if sites.sites.iter().any(|site| site.name.as_str() == name) => {
            Finding::passed(format!("{name} is one of {} members", sites.sites.len()))
        }
        Ok(_) => Finding::of(&EnrolmentError::NotMember),
        Err(error) => Finding::of(error),
    }
}

#[cfg(test)]
mod tests {
    use protocol::enrolment::Site;
    use protocol::net::{PeerName, TlsKey};
    use protocol::signature::SigningKey;

    use super::super::finding::Grade;
    use super::*;

    #[test]
    fn clocks_warn_from_a_minute_and_fail_from_an_hour_on() {
        let grade = |apart: u64| {
            let both = [skew(10_000, 10_000 + apart), skew(10_000 + apart, 10_000)];
            assert_eq!(both[0].grade, both[1].grade);
            both[0].grade
        };
        assert_eq!([grade(0), grade(59)], [Grade::Passed; 2]);
        assert_eq!([grade(60), grade(3599)], [Grade::Warning; 2]);
        assert_eq!([grade(3600), grade(9_999)], [Grade::Failed; 2]);
        assert_eq!(skew(100, 300).found, "200 s behind the coordinator's");
        assert_eq!(skew(300, 100).found, "200 s ahead of the coordinator's");
    }

    #[test]
    fn without_the_coordinators_time_the_certificate_shows_a_clock_that_is_behind_and_proves_none() {
        let until = 2 * CERTIFICATE_LIFETIME.as_secs();
        let issued = until - CERTIFICATE_LIFETIME.as_secs();
        let at = |now| plausible("too old", until, now);
        let behind = at(issued - 5);
        assert!(behind.grade == Grade::Failed && behind.found.contains("at least 5 s behind"), "{behind:?}");
        for now in [issued, until - 1, until] {
            assert_eq!(at(now).grade, Grade::Warning, "never proved right");
        }
        assert!(at(until).found.contains("after the end"));
    }

    #[test]
    fn a_member_is_whom_the_coordinator_names() {
        let site = Site {
            name: PeerName::new("st-anna").unwrap(),
            organisation: "St Anna".to_owned(),
            tls: TlsKey::generate().unwrap().public_key(),
            verifying: SigningKey::generate().unwrap().verifying_key(),
        };
        let answer = Ok(Sites { sites: vec![site] });
        assert_eq!(counted(&answer, "st-anna"), Finding::passed("st-anna is one of 1 members"));
        for out in [counted(&answer, "st-olaf"), counted(&Err(EnrolmentError::NotMember), "st-anna")] {
            assert_eq!((out.grade, out.exit), (Grade::Failed, Exit::Refused));
        }
    }
}
