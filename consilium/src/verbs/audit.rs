//! `consilium audit`: what anyone with a copy of the coordinator's folder can check without a secret.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use coordinator::audit;
use protocol::ids::QueryId;
use serde_json::json;
use simulation::run_folder;

use crate::{error::Error, exit::Exit, output::Done, threads};

/// Flags of `audit`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/audit.txt"))]
pub struct AuditArgs {
    /// What to check.
    #[command(subcommand)]
    pub what: Audit,
}

/// What to check.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check the whole log and list the queries whose answers were released.
    #[command(after_help = include_str!("../help/audit-queries.txt"))]
    Queries {
        /// The run.
        run: PathBuf,
        /// A copy of the coordinator's folder; that of the run if absent.
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Evaluate a released query again and compare with what the log says was released.
    #[command(
        after_help = include_str!("../help/audit-recompute.txt")
    )]
    Recompute {
        /// The run.
        run: PathBuf,
        /// The query, as `query` and the log name it.
        query: QueryId,
        /// A copy of the coordinator's folder; that of the run if absent.
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

/// Audits.
///
/// # Errors
/// A folder without a log, a log that breaks a rule, a query that was never released or is not kept any more.
pub fn run(arguments: &AuditArgs) -> Result<Done, Error> {
    let (Audit::Queries { run, folder } | Audit::Recompute { run, folder, .. }) = &arguments.what;
    let experiment = run_folder::experiment(run)?;
    threads::start(experiment.compute().threads)?;
    // A run that never enrolled its hospitals has neither folder nor key.
    let folder = match folder {
        Some(folder) => folder.clone(),
        None => simulation::coordinator_folder(run, &experiment)?,
    };
    let key = simulation::coordinator_key(run)?;
    if !folder.join("journal.sqlite").exists() {
        return Err(Error::NoTranscript { folder });
    }
    match &arguments.what {
        Audit::Queries { .. } => {
            let queries: Vec<String> = audit::released_queries(&folder, key)?.iter().map(ToString::to_string).collect();
            let text = match queries.len() {
                0 => "the log is whole and signed; no query was answered yet".to_owned(),
                1 => format!("the log is whole and signed; 1 query was answered\n{}", queries[0]),
                some => format!("the log is whole and signed; {some} queries were answered\n{}", queries.join(" ")),
            };
            Ok(Done { text, data: json!({"queries": queries}), exit: Exit::Done })
        }
        Audit::Recompute { query, .. } => {
            let program = Arc::new(experiment.program().clone());
            Ok(recomputed(&audit::recompute(&folder, key, &program, *query)?))
        }
    }
}

fn recomputed(found: &audit::Recomputation) -> Done {
    let mut text = vec![format!("the log is whole: {} entries, every signature checked", found.entries)];
    for check in &found.checks {
        let verdict = if check.holds() { "as logged" } else { "DIFFERS" };
        text.push(format!("  {:24} {verdict:10} {}", check.what, check.found));
        if !check.holds() {
            text.push(format!("  {:24} {:10} {}", "", "logged as", check.logged));
        }
    }
    let conclusion = if found.holds() {
        format!(
            "query {} of {}: what {} hospitals released is the program's result ({:.0} ms to recompute)",
            found.query,
            found.asker,
            found.decryptors.len(),
            found.evaluate_ms
        )
    } else {
        format!("query {} of {}: what was released is NOT what the program gives", found.query, found.asker)
    };
    text.push(conclusion);
    let checks: Vec<_> = found
        .checks
        .iter()
        .map(|check| {
            json!({
                "what": check.what,
                "logged": check.logged.to_string(),
                "found": check.found.to_string(),
                "holds": check.holds(),
            })
        })
        .collect();
    let data = json!({
        "query": found.query.to_string(),
        "asker": found.asker.number(),
        "decryptors": found.decryptors,
        "entries": found.entries,
        "checks": checks,
        "evaluate_ms": found.evaluate_ms,
        "holds": found.holds(),
    });
    let exit = if found.holds() { Exit::Done } else { Exit::Verification };
    Done { text: text.join("\n"), data, exit }
}
