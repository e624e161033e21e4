//! `consilium hospital`: a site's side of a consortium.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use client::enrolment::{EnrolmentError, Joining, Membership};
use protocol::enrolment::{Invite, Site, seconds};
use serde_json::json;

use super::coordinator::{date, say};
use crate::{error::Error, exit::Exit, output::Done};

/// How often a site asks whether it is approved.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Flags of `hospital`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/hospital.txt"))]
pub struct HospitalArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
    /// The site's folder: vault, certificates, membership.
    #[arg(long, global = true, value_name = "DIR", default_value = "site")]
    pub folder: PathBuf,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Join a consortium with an invitation: keys are made here, six words are compared by telephone.
    #[command(after_help = include_str!("../help/hospital-join.txt"))]
    Join {
        /// The invitation, con1...; - reads it from standard input, out of sight of this machine's other users.
        invite: String,
        /// Who this site is, for the other members.
        #[arg(long, value_name = "NAME")]
        organisation: String,
    },
    /// Say of which consortium this site is a member, and ask the coordinator who the others are.
    #[command(after_help = include_str!("../help/hospital-status.txt"))]
    Status,
}

impl HospitalArgs {
    /// The verb for programs.
    pub fn name(&self) -> &'static str {
        match self.what {
            What::Join { .. } => "hospital join",
            What::Status => "hospital status",
        }
    }
}

/// Does it.
///
/// # Errors
/// [`EnrolmentError`].
pub fn run(arguments: &HospitalArgs) -> Result<Done, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(Error::Start)?;
    match &arguments.what {
        What::Join { invite, organisation } => {
            let line = if invite == "-" { standard_input()? } else { invite.clone() };
            let invite = line.parse().map_err(EnrolmentError::from)?;
            runtime.block_on(join(&arguments.folder, invite, organisation))
        }
        What::Status => runtime.block_on(status(&arguments.folder)),
    }
}

async fn join(folder: &Path, invite: Invite, organisation: &str) -> Result<Done, Error> {
    let address = invite.address.clone();
    let joining = Joining::begin(folder, invite, organisation, seconds(SystemTime::now()))?;
    let (words, opened) = joining.request().await?;
    say(&format!("{address} is the invitation's coordinator; this site's keys were made in {}", folder.display()));
    say(&format!("read aloud to the operator, by telephone:\n\n    {words}\n"));
    say("ask whether they match: a false coordinator would let this site in without comparing");
    say("waiting for the operator; Ctrl-C ends the wait, the same command goes on with it");
    let mut told = false;
    let membership = loop {
        match joining.ask(&opened).await {
            Ok(Some(membership)) => break membership,
            Ok(None) => told = false,
            Err(error) if error.is_transient() => {
                if !told {
                    say(&format!("still waiting: {error}"));
                }
                told = true;
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(ASK_EVERY).await;
    };
    let (name, until) = (&membership.name, date(membership.until_s));
    Ok(Done {
        text: format!("joined as {name}; the certificate is valid until {until}"),
        data: json!({"name": name.as_str(), "words": words.to_string(), "certificate_until": until}),
        exit: Exit::Done,
    })
}

async fn status(folder: &Path) -> Result<Done, Error> {
    let membership = Membership::load(folder)?;
    let sites = membership.sites(folder).await?;
    let Membership { name, organisation, address, until_s, .. } = &membership;
    let digest = sites.digest().to_string();
    let mut lines = vec![
        format!("{name} ({organisation}), member at {address}, certificate until {}", date(*until_s)),
        format!("{} members, digest {digest}; every member sees the same digest", sites.sites.len()),
    ];
    lines.extend(sites.sites.iter().map(|site| format!("  {:<20} {}", site.name.as_str(), site.organisation)));
    let row = |site: &Site| {
        let tls_key = site.tls.fingerprint().to_string();
        json!({"name": site.name.as_str(), "organisation": site.organisation, "tls_key": tls_key})
    };
    let rows: Vec<_> = sites.sites.iter().map(row).collect();
    let data = json!({
        "name": name.as_str(), "address": address.to_string(), "certificate_until": date(*until_s), "digest": digest,
        "sites": rows,
    });
    Ok(Done { text: lines.join("\n"), data, exit: Exit::Done })
}

fn standard_input() -> Result<String, Error> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Error::Input)?;
    Ok(line)
}
