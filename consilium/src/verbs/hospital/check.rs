//! The ladder of checks, told.

use std::path::Path;

use clap::Args;
use client::check::{Ladder, Rung, Whom, climb};
use client::enrolment::EnrolmentError;
use protocol::enrolment::HostPort;
use serde_json::{Value, json};

use crate::{error::Error, output::Done};

/// Flags of `hospital check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Before joining: an invitation, con1..., whose coordinator is meant; - reads it from standard input. It is not
    /// used up.
    #[arg(long, value_name = "CON1...", conflicts_with = "address")]
    pub invite: Option<String>,
    /// Before there is an invitation: the coordinator's address. Who answers there cannot be told without one.
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<HostPort>,
}

/// Climbs the ladder. What fails on the way is the result, with the code of the first failure.
pub(super) async fn check(folder: &Path, arguments: &CheckArgs) -> Result<Done, Error> {
    let whom = match (&arguments.invite, &arguments.address) {
        (Some(line), _) => {
            let line = if line == "-" { super::standard_input()? } else { line.clone() };
            Whom::Invited(Box::new(line.parse().map_err(EnrolmentError::from)?))
        }
        (None, Some(address)) => Whom::Address(address.clone()),
        (None, None) => Whom::Member,
    };
    Ok(told(&climb(folder, &whom).await?))
}

fn told(ladder: &Ladder) -> Done {
    let text: Vec<String> = ladder.rungs().iter().map(line).collect();
    let rungs: Vec<Value> = ladder.rungs().iter().map(row).collect();
    Done { text: text.join("\n"), data: rungs.into(), exit: ladder.exit() }
}

fn line(rung: &Rung) -> String {
    let finding = &rung.finding;
    let line = format!("{:<11}  {:<7}  {}", rung.name, finding.grade.word(), finding.found);
    match &finding.remedy {
        Some(remedy) => format!("{line}\n  do: {remedy}"),
        None => line,
    }
}

fn row(rung: &Rung) -> Value {
    let finding = &rung.finding;
    json!({
        "rung": rung.name, "result": finding.grade, "found": finding.found, "do": finding.remedy, "ms": rung.ms,
    })
}

#[cfg(test)]
mod tests {
    use client::check::{Finding, Grade};

    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_rung_is_one_aligned_line_and_what_to_do_below_it() {
        let finding = |grade, remedy: Option<&str>| {
            let remedy = remedy.map(str::to_owned);
            Finding { grade, found: "found".to_owned(), remedy, exit: Exit::Failed }
        };
        let good = Rung { name: "name", finding: finding(Grade::Passed, None), ms: 3 };
        let bad = Rung { name: "certificate", finding: finding(Grade::Failed, Some("call")), ms: 3 };
        assert_eq!(line(&good), "name         passed   found");
        assert_eq!(line(&bad), "certificate  failed   found\n  do: call");
        let told = json!({"rung": "certificate", "result": "failed", "found": "found", "do": "call", "ms": 3});
        assert_eq!(row(&bad), told);
    }
}
