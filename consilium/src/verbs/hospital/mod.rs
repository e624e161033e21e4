//! `consilium hospital`: a site's side of a consortium.

mod bundle;
mod check;
mod consent;
mod corrected;
mod data;
mod figures;
mod handover;
mod models;
mod portal;
mod privacy;
mod questions;
mod service;
mod users;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use client::consent::ConsentBook;
use client::enrolment::{EnrolmentError, Joining, Membership};
use client::policy::budget;
use client::site_file::site_file;
use experiment::Share;
use protocol::enrolment::{Invite, Site, seconds};
use protocol::ids::Epoch;
use protocol::net::Backoff;
use serde_json::json;

use super::coordinator::{ask, date, say};
use crate::{error::Error, exit::Exit, output::Done};
use check::CheckArgs;
use consent::Desk;

/// How often a site asks whether it is approved.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// A command that somebody waits for tries to connect once.
const ONCE: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_millis(100), attempts: 1 };

/// Flags of `hospital`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../../help/hospital.txt"))]
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
    #[command(after_help = include_str!("../../help/hospital-join.txt"))]
    Join {
        /// The invitation, con1...; - reads it from standard input, out of sight of this machine's other users.
        invite: String,
        /// Who this site is, for the other members.
        #[arg(long, value_name = "NAME")]
        organisation: String,
    },
    /// Check name, network, certificates, clock, vault, disk, device, images and arithmetic, before or after joining.
    #[command(after_help = include_str!("../../help/hospital-check.txt"))]
    Check(CheckArgs),
    /// Say of which consortium this site is a member, and ask the coordinator who the others are.
    #[command(after_help = include_str!("../../help/hospital-status.txt"))]
    Status,
    /// Take part in everything that this site's officer approved, until stopped.
    #[command(after_help = include_str!("../../help/hospital-serve.txt"))]
    Serve,
    /// Name the images that this site trains on; the path stays at the site.
    #[command(after_help = include_str!("../../help/hospital-data.txt"))]
    Data {
        /// What to do.
        #[command(subcommand)]
        what: DataWhat,
    },
    /// Show the plan that is proposed, its members, and the digest to approve.
    #[command(after_help = include_str!("../../help/hospital-terms.txt"))]
    Terms {
        /// The key epoch; the newest if absent.
        #[arg(long)]
        epoch: Option<u32>,
    },
    /// Approve members or terms, as this site's officer. Nothing is trained before both.
    #[command(after_help = include_str!("../../help/hospital-approve.txt"))]
    Approve {
        /// What to approve.
        #[command(subcommand)]
        what: ApproveWhat,
    },
    /// Give the model from which a plan goes on to a site that was not there, or take it, in files that people carry.
    #[command(after_help = include_str!("../../help/hospital-handover.txt"))]
    Handover {
        /// What to do.
        #[command(subcommand)]
        what: HandoverWhat,
        /// The key epoch whose plan goes on from the model; the newest if absent.
        #[arg(long, global = true)]
        epoch: Option<u32>,
    },
    /// Show the models that this site may ask, and how good all hospitals together found them.
    #[command(after_help = include_str!("../../help/hospital-models.txt"))]
    Models,
    /// Ask the encrypted model for the diagnosis of an image; it leaves this site encrypted.
    #[command(after_help = include_str!("../../help/hospital-predict.txt"))]
    Predict {
        /// PNG, JPEG or DICOM files; scaled and normalised as the model's training images were.
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<PathBuf>,
        /// The key epoch whose model is asked; the newest that can be asked if absent.
        #[arg(long)]
        epoch: Option<u32>,
    },
    /// Serve pages for this site's clinicians and officers, beside its service.
    #[command(after_help = include_str!("../../help/hospital-portal.txt"))]
    Portal {
        /// Where browsers reach it; wins over [portal] in site.toml.
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
    },
    /// Say who may sign in to the portal.
    #[command(after_help = include_str!("../../help/hospital-user.txt"))]
    User {
        /// What to do.
        #[command(subcommand)]
        what: UserWhat,
    },
    /// Show what this site's patients have shown in trainings with noise, and what is left of the site's own bound.
    #[command(after_help = include_str!("../../help/hospital-privacy.txt"))]
    Privacy {
        /// A file to write the whole ledger to, one JSON object a row.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Show what left the building, line by line and in sums.
    #[command(after_help = include_str!("../../help/hospital-sent.txt"))]
    Sent {
        /// Only what has these words in its kind.
        #[arg(long, value_name = "TEXT")]
        what: Option<String>,
        /// Only what was sent at this time or later, in UTC: 2026-11-22, or with a time behind it.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// The sums alone.
        #[arg(long)]
        totals: bool,
    },
    /// Write what this site did in a key epoch into one file, for an auditor.
    #[command(after_help = include_str!("../../help/hospital-bundle.txt"))]
    Bundle {
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// The key epoch; the newest if absent.
        #[arg(long)]
        epoch: Option<u32>,
    },
    /// Show this site's own rules, which win over whatever is proposed.
    #[command(after_help = include_str!("../../help/hospital-policy.txt"))]
    Policy,
    /// Leave a key epoch for ever: this site trains and answers in it no more.
    #[command(after_help = include_str!("../../help/hospital-leave.txt"))]
    Leave {
        /// The key epoch.
        #[arg(long)]
        epoch: u32,
        /// Do not ask back.
        #[arg(long)]
        yes: bool,
    },
    /// Get the next certificate now; a site in service does it by itself when half of its time is over.
    #[command(after_help = include_str!("../../help/hospital-renew.txt"))]
    Renew,
}

/// What to do with data sets.
#[derive(Debug, Subcommand)]
pub enum DataWhat {
    /// Name an .npz archive, a folder of IDX files, a folder with a folder per class, studies of the hospital's picture
    /// archive, or cases whose truth was recorded in the portal.
    Add {
        /// a-z, 0-9 and hyphens, at most 40.
        name: String,
        /// Where the images are.
        #[arg(required_unless_present_any = ["labels", "corrected"])]
        path: Option<PathBuf>,
        /// Only every N-th image from the K-th: one of N equal shares of a public set, to try a consortium.
        #[arg(long, value_name = "K/N")]
        share: Option<Share>,
        /// Pull the images of this table from the picture archive: CSV with study or accession, and label; perhaps
        /// series and patient.
        #[arg(long, value_name = "FILE", conflicts_with = "path")]
        labels: Option<PathBuf>,
        /// The archive's DICOMweb services; those of [pacs] in site.toml if absent.
        #[arg(long, value_name = "URL", requires = "labels", num_args = 0..=1)]
        dicomweb: Option<Option<String>>,
        /// Take the portal's cases whose true class was recorded: those that asked the model of this key epoch, and
        /// whose image was kept.
        #[arg(long, value_name = "MODEL", conflicts_with_all = ["path", "labels", "share"])]
        corrected: Option<u32>,
    },
    /// Fetch what is new of a data set that comes from the picture archive, or from the portal's cases.
    Pull {
        /// The name.
        name: String,
    },
    /// Show all names.
    List,
    /// Forget a name; the images stay.
    Remove {
        /// The name.
        name: String,
    },
}

/// What to do with the portal's users.
#[derive(Debug, Subcommand)]
pub enum UserWhat {
    /// Make a user, or give one another password and other roles.
    Add {
        /// By which the user signs in.
        name: String,
        /// What the user may do; repeatable.
        #[arg(long, value_enum, required = true)]
        role: Vec<users::RoleWord>,
        /// A file whose first line is the password; - reads it from standard input. A random one is shown if absent.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Show all users.
    List,
    /// Take a user away; sessions of theirs end.
    Remove {
        /// The name.
        name: String,
    },
}

/// What to do with a model.
#[derive(Debug, Subcommand)]
pub enum HandoverWhat {
    /// At the site that lacks the model: write the file with which it asks.
    Request {
        /// The file to write.
        to: PathBuf,
    },
    /// At a member that holds it: write the model for the site that asks, which alone can read it.
    Give {
        /// The file of the site that asks.
        request: PathBuf,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// At the site that asked: take it.
    Take {
        /// The file that the member wrote.
        file: PathBuf,
    },
}

/// What to approve.
#[derive(Debug, Subcommand)]
pub enum ApproveWhat {
    /// The members, after comparing six words with the other officers by telephone. Needs a terminal.
    Membership {
        /// Read the words to the others instead of typing what another reads.
        #[arg(long)]
        read_aloud: bool,
        /// The key epoch; the newest if absent.
        #[arg(long)]
        epoch: Option<u32>,
    },
    /// The terms, by the digest at the end of `consilium hospital terms`.
    Terms {
        /// All 64 digits.
        digest: String,
        /// The data set to train on; the only one if absent.
        #[arg(long, value_name = "NAME")]
        data: Option<String>,
        /// The key epoch; the newest if absent.
        #[arg(long)]
        epoch: Option<u32>,
    },
}

impl HospitalArgs {
    /// The verb for programs.
    pub fn name(&self) -> &'static str {
        match self.what {
            What::Join { .. } => "hospital join",
            What::Check(_) => "hospital check",
            What::Status => "hospital status",
            What::Serve => "hospital serve",
            What::Data { .. } => "hospital data",
            What::Terms { .. } => "hospital terms",
            What::Approve { .. } => "hospital approve",
            What::Handover { .. } => "hospital handover",
            What::Models => "hospital models",
            What::Predict { .. } => "hospital predict",
            What::Portal { .. } => "hospital portal",
            What::User { .. } => "hospital user",
            What::Privacy { .. } => "hospital privacy",
            What::Sent { .. } => "hospital sent",
            What::Bundle { .. } => "hospital bundle",
            What::Policy => "hospital policy",
            What::Leave { .. } => "hospital leave",
            What::Renew => "hospital renew",
        }
    }
}

/// Does it.
///
/// # Errors
/// [`EnrolmentError`].
pub fn run(arguments: &HospitalArgs) -> Result<Done, Error> {
    let folder = &arguments.folder;
    match &arguments.what {
        What::Data { what } => return data::run(folder, what),
        What::Models => return models::list(folder),
        What::Predict { images, epoch } => return models::predict(folder, *epoch, images),
        What::Privacy { to } => return privacy::run(folder, to.as_deref()),
        What::Sent { what, since, totals } => return data::sent(folder, what.as_deref(), since.as_deref(), *totals),
        What::Bundle { to, epoch } => return bundle::write(folder, *epoch, to),
        What::User { what } => return users::run(folder, what),
        What::Policy => return policy(folder),
        What::Leave { epoch, yes } => return leave(folder, *epoch, *yes),
        _ => {}
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if !matches!(arguments.what, What::Serve | What::Portal { .. }) {
        runtime.worker_threads(1);
    }
    let runtime = runtime.enable_all().build().map_err(Error::Start)?;
    let done = runtime.block_on(networked(arguments));
    runtime.shutdown_background();
    done
}

async fn networked(arguments: &HospitalArgs) -> Result<Done, Error> {
    let folder = &arguments.folder;
    match &arguments.what {
        What::Join { invite, organisation } => {
            let line = if invite == "-" { standard_input()? } else { invite.clone() };
            let invite = line.parse().map_err(EnrolmentError::from)?;
            join(folder, invite, organisation).await
        }
        What::Check(arguments) => check::check(folder, arguments).await,
        What::Serve => service::serve(folder).await,
        What::Portal { listen } => portal::serve(folder, listen.as_deref()).await,
        _ => {
            let desk = Desk::open(folder)?;
            let done = officially(&desk, arguments).await;
            // A connection that is left open counts until it times out.
            desk.member.close().await;
            done
        }
    }
}

async fn officially(desk: &Desk, arguments: &HospitalArgs) -> Result<Done, Error> {
    match &arguments.what {
        What::Terms { epoch } => desk.terms(*epoch).await,
        What::Approve { what: ApproveWhat::Membership { read_aloud, epoch } } => {
            desk.approve_membership(*epoch, *read_aloud).await
        }
        What::Approve { what: ApproveWhat::Terms { digest, data, epoch } } => {
            desk.approve_terms(digest, data.as_deref(), *epoch).await
        }
        What::Handover { what, epoch } => desk.handover(what, *epoch).await,
        What::Renew => renew(desk).await,
        // Status: whatever else there is needs no network.
        _ => status(desk).await,
    }
}

fn policy(folder: &Path) -> Result<Done, Error> {
    let site = site_file(folder)?;
    let (policy, audit) = (site.policy, site.audit);
    let bound = budget(&policy);
    let limit = |value: Option<String>| value.unwrap_or_else(|| "no limit".to_owned());
    let list = |list: &[String]| if list.is_empty() { "any".to_owned() } else { list.join(", ") };
    let text = format!(
        "fewest hospitals in a sum    {}\nmost training rounds         {}\nfewest images of this site   {}\n\
         patients declared            {}\nprivacy of all trainings     {}\ntrainings without noise      {}\n\
         parameter sets               {}\nfigures of this site         {}\nhours of training            {}\n\
         models that may be asked     {}\nterms approved beforehand    {}\nsecrets of key ceremonies    {}",
        limit(policy.min_cohort.map(|it| it.to_string())),
        limit(policy.rounds_max.map(|it| it.to_string())),
        limit(policy.images_min.map(|it| it.to_string())),
        policy.declared_patients.map_or_else(|| "none".to_owned(), |patients| format!("about {patients}")),
        limit(bound.map(|bound| format!("epsilon {} at delta {}", bound.epsilon, bound.delta))),
        if policy.privacy_min.as_deref() == Some("local") { "refused" } else { "allowed" },
        list(&policy.presets),
        if policy.share_figures == Some(false) { "kept here" } else { "in sums over all hospitals, where a plan asks" },
        policy.hours.map_or_else(|| "any".to_owned(), |hours| hours.to_string()),
        if policy.models.is_empty() { "any".to_owned() } else { policy.models.join("\n                             ") },
        if policy.terms.is_empty() { "none".to_owned() } else { policy.terms.join("\n                             ") },
        if audit.keeps() { "kept for `consilium audit own`" } else { "erased when all keys exist" },
    );
    let data = json!({
        "min_cohort": policy.min_cohort, "rounds_max": policy.rounds_max, "images_min": policy.images_min,
        "presets": policy.presets, "terms": policy.terms, "share_figures": policy.share_figures != Some(false),
        "hours": policy.hours.map(|hours| hours.to_string()), "models": policy.models,
        "audit_keep": audit.keeps(), "declared_patients": policy.declared_patients,
        "max_epsilon": bound.map(|bound| bound.epsilon), "max_delta": bound.map(|bound| bound.delta),
        "privacy_min": policy.privacy_min,
    });
    Ok(Done { text, data, exit: Exit::Done })
}

fn leave(folder: &Path, epoch: u32, yes: bool) -> Result<Done, Error> {
    Membership::load(folder)?;
    let question = format!("this site will take no part in key epoch {epoch} any more; type its number to do it: ");
    if !yes && ask(&question)? != epoch.to_string() {
        return Err(Error::NotConfirmed {
            what: format!("leaving key epoch {epoch}"),
            instead: "type what is asked for, or add --yes",
        });
    }
    ConsentBook::open(folder)?.end(Epoch(epoch), "this site has left it")?;
    let text = format!("key epoch {epoch} is over for this site; `hospital serve` tells the others, if it runs now");
    Ok(Done { text, data: json!({"epoch": epoch}), exit: Exit::Done })
}

async fn renew(desk: &Desk) -> Result<Done, Error> {
    let until = date(desk.member.renew().await?);
    let text = format!("the certificate is valid until {until}; a site in service uses it after a restart");
    Ok(Done { text, data: json!({"certificate_until": until}), exit: Exit::Done })
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

async fn status(desk: &Desk) -> Result<Done, Error> {
    let member = &desk.member;
    let (membership, sites) = (member.membership(), member.sites().await?);
    let Membership { name, organisation, address, until_s, .. } = &membership;
    let digest = sites.digest().to_string();
    let mut lines = vec![
        format!("{name} ({organisation}), member at {address}, certificate until {}", date(*until_s)),
        format!("{} members, digest {digest}; compare it with the other members'", sites.sites.len()),
    ];
    lines.extend(sites.sites.iter().map(|site| format!("  {:<20} {}", site.name.as_str(), site.organisation)));
    let epochs = desk.epochs().await?;
    lines.extend(epochs.iter().map(|(line, _)| line.clone()));
    let row = |site: &Site| {
        let tls_key = site.tls.fingerprint().to_string();
        json!({"name": site.name.as_str(), "organisation": site.organisation, "tls_key": tls_key})
    };
    let rows: Vec<_> = sites.sites.iter().map(row).collect();
    let data = json!({
        "name": name.as_str(), "address": address.to_string(), "certificate_until": date(*until_s), "digest": digest,
        "sites": rows, "epochs": epochs.into_iter().map(|(_, row)| row).collect::<Vec<_>>(),
    });
    Ok(Done { text: lines.join("\n"), data, exit: Exit::Done })
}

fn standard_input() -> Result<String, Error> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Error::Input)?;
    Ok(line)
}
