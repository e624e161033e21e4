//! `consilium audit`: what anyone with a copy of the coordinator's folder can check without a secret, and what a site
//! can show of itself.

mod bundle;
mod own;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use coordinator::audit;
use protocol::ids::{Digest, Epoch, QueryId};
use protocol::verifier::Approved;
use serde_json::json;
use simulation::{FinishedRun, run_folder};

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
    /// At a site, before an auditor: make everything that it sent in a key epoch once more, and compare.
    #[command(after_help = include_str!("../help/audit-own.txt"))]
    Own {
        /// The site's folder. Its service may run.
        #[arg(long, value_name = "DIR", default_value = "site")]
        site: PathBuf,
        /// The key epoch; the newest that this site took part in if absent.
        #[arg(long)]
        epoch: Option<u32>,
        /// A copy of the epoch's folder at the coordinator: what the site signed stands in its log, whatever its own
        /// journal says.
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Check the file that an officer wrote with `consilium hospital bundle`, offline, with nothing secret.
    #[command(after_help = include_str!("../help/audit-bundle.txt"))]
    Bundle {
        /// The file.
        file: PathBuf,
        /// Digest of the members, from an officer of the consortium; without it the members are those that the file
        /// names.
        #[arg(long, value_name = "DIGEST", value_parser = digest)]
        membership: Option<Digest>,
        /// Another site's file of the same key epoch, whose log has to be the same; repeatable.
        #[arg(long, value_name = "FILE")]
        with: Vec<PathBuf>,
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
    match &arguments.what {
        Audit::Own { site, epoch, folder } => own::run(site, epoch.map(Epoch), folder.as_deref()),
        Audit::Bundle { file, membership, with } => bundle::run(file, *membership, with),
        Audit::Queries { run, folder } => of_run(run, folder.as_deref(), None),
        Audit::Recompute { run, query, folder } => of_run(run, folder.as_deref(), Some(*query)),
    }
}

/// 64 hexadecimal digits.
fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).ok_or_else(|| "a digest has 64 hexadecimal digits".to_owned())
}

/// Checks the log of a run, and one query of it, or lists them.
fn of_run(run: &Path, folder: Option<&Path>, query: Option<QueryId>) -> Result<Done, Error> {
    let finished = FinishedRun::new(run, run_folder::described(run)?)?;
    threads::start(finished.compute().threads)?;
    // A run that never enrolled its hospitals has neither folder nor key.
    let folder = match folder {
        Some(folder) => folder.to_path_buf(),
        None => finished.coordinator_folder()?,
    };
    // Any membership: who belongs to a simulated run is nobody's decision.
    let approved = Approved { terms: finished.plan().terms()?, membership: None };
    let known = audit::Known { coordinator: simulation::coordinator_key(run)?, approved: Some(approved) };
    if !folder.join("journal.sqlite").exists() {
        return Err(Error::NoTranscript { folder });
    }
    match query {
        None => {
            let queries: Vec<String> =
                audit::released_queries(&folder, &known)?.iter().map(ToString::to_string).collect();
            let text = match queries.len() {
                0 => "the log is whole and signed; no query was answered yet".to_owned(),
                1 => format!("the log is whole and signed; 1 query was answered\n{}", queries[0]),
                some => format!("the log is whole and signed; {some} queries were answered\n{}", queries.join(" ")),
            };
            Ok(Done { text, data: json!({"queries": queries}), exit: Exit::Done })
        }
        Some(query) => {
            let plan = finished.plan();
            let of = (plan.program(), &plan.serving_keys());
            Ok(recomputed(&audit::recompute(&folder, &known, of, query)?))
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
