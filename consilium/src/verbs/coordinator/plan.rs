//! Proposing a plan to the members, and looking after what is under way.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use client::plan::{Plan, PlanError};
use coordinator::audit;
use experiment::Weighting;
use protocol::consent::{Base, Proposal, Stage};
use protocol::enrolment::Site;
use protocol::ids::{Digest, Epoch};
use protocol::membership::{Membership, Seat};
use protocol::net::PeerName;
use serde_json::{Value, json};

use super::office::{Office, OfficeError};
use crate::control::{self, Request};
use crate::output::{self, Done, Format};
use crate::{error::Error, exit::Exit};

/// To the first place of an empty screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";
/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Proposes the experiment of a file to all members but those left out. Training goes on from the model of the key
/// epoch `from`, or begins anew.
pub(super) fn propose(
    office: &Office,
    file: &Path,
    without: &[PeerName],
    (from, given): (Option<u32>, &[PeerName]),
) -> Result<Done, Error> {
    let unreadable = |source| Error::PlanFile { path: file.to_path_buf(), source };
    let source = std::fs::read_to_string(file).map_err(unreadable)?;
    let mut sites = office.members.sites()?.sites;
    if let Some(unknown) = without.iter().chain(given).find(|name| !sites.iter().any(|site| site.name == **name)) {
        return Err(no_member(unknown));
    }
    sites.retain(|site| !without.contains(&site.name));
    let name = file.display().to_string();
    let parameters = Plan::of_consortium(&name, &source, sites.len())?.parameter_count();
    let base = match from {
        Some(from) => {
            let expected = parameters.ok_or(PlanError::HeadBase)?;
            Some(base(office, Epoch(from), (&sites, given), expected)?)
        }
        None => None,
    };
    propose_to(office, &name, &source, &sites, base)
}

/// The trained model of a key epoch, which all of these sites helped to train, but for those to which it is given, and
/// which has so many parameters.
fn base(office: &Office, epoch: Epoch, (sites, given): (&[Site], &[PeerName]), expected: usize) -> Result<Base, Error> {
    let proposal = office.proposals.standing(epoch)?.proposal;
    let before = &proposal.membership;
    let holds = |site: &Site| before.party(site.name.as_str()).is_some() || given.contains(&site.name);
    if let Some(site) = sites.iter().find(|site| !holds(site)) {
        return Err(OfficeError::WasNotThere { name: site.name.clone(), epoch }.into());
    }
    let folder = office.epoch_folder(epoch);
    let trained = if folder.exists() { audit::trained_model(&folder)? } else { None };
    let model = trained.ok_or(OfficeError::Untrained { epoch })?;
    let plan = Plan::of_consortium(&format!("plan of key epoch {epoch}"), &proposal.plan, before.seats.len())?;
    let found = plan.parameter_count().ok_or(OfficeError::Untrained { epoch })?;
    if found != expected {
        return Err(client::models::ModelsError::OtherNetwork { found, expected }.into());
    }
    Ok(Base { epoch, model })
}

fn no_member(name: &PeerName) -> Error {
    coordinator::members::MembersError::NoMember { name: name.clone() }.into()
}

fn propose_to(office: &Office, name: &str, source: &str, sites: &[Site], base: Option<Base>) -> Result<Done, Error> {
    let plan = Plan::of_consortium(name, source, sites.len())?;
    let seat = |site: &Site| -> Result<Seat, Error> {
        Ok(Seat {
            name: site.name.to_string(),
            organisation: site.organisation.clone(),
            weight: office.members.weight(&site.name)?,
            verifying: site.verifying,
            tls_key: Digest(*site.tls.fingerprint().bytes()),
        })
    };
    let membership = Membership {
        threshold: plan.threshold(),
        coordinator: office.host.coordinator,
        seats: sites.iter().map(seat).collect::<Result<_, _>>()?,
    };
    let terms = plan.terms_from(base.map(|base| base.model))?.digest();
    let resolved = plan.resolved();
    let epoch = office.proposals.propose(&membership, (&resolved, source), base, terms)?;
    let (members, threshold) = (membership.seats.len(), membership.threshold);
    let weights: Vec<String> = membership.seats.iter().map(|seat| format!("{} {}", seat.name, seat.weight)).collect();
    let counted = match plan.weights() {
        Weighting::Equal => "the plan weighs all alike".to_owned(),
        Weighting::Declared => format!("the plan weighs them by class: {}", weights.join(", ")),
    };
    let text = format!(
        "key epoch {epoch} is proposed to {members} members, of whom {threshold} decrypt together\n{counted}\n\
         members {}\nterms   {terms}\n\
         next: each officer runs `consilium hospital approve membership` on the telephone with the others, and\n      \
         `consilium hospital approve terms` after reading `consilium hospital terms`",
        membership.digest()
    );
    let data = json!({
        "epoch": epoch.0, "members": members, "threshold": threshold, "membership": membership.digest().to_string(),
        "terms": terms.to_string(), "weights": plan.weights().word(),
        "from": base.map(|base| base.epoch.0),
    });
    Ok(Done { text, data, exit: Exit::Done })
}

/// Ends an epoch that a member holds up, and proposes its plan again to the others, from the newest model that was
/// trained in it: from the model before, the others' updates would tell what the one that is left out contributed, and
/// their sites refuse to add them up.
pub(super) fn exclude(office: &Office, name: &PeerName, epoch: Option<u32>) -> Result<Done, Error> {
    let epoch = Epoch(chosen(office, epoch)?);
    let source = office.proposals.proposed(epoch)?.source;
    // Those whom this epoch has, as far as they are members still; nobody who was left out of it comes back unasked.
    let Proposal { membership: before, base: first, .. } = office.proposals.standing(epoch)?.proposal;
    if before.party(name.as_str()).is_none() {
        return Err(no_member(name));
    }
    let mut sites = office.members.sites()?.sites;
    sites.retain(|site| site.name != *name && before.party(site.name.as_str()).is_some());
    let plan = format!("plan of key epoch {epoch}");
    // Before anything ends: whether the others are enough.
    Plan::of_consortium(&plan, &source, sites.len())?;
    let reason = format!("a new key epoch begins without {name}");
    match control::ask(&office.folder, &Request::End { epoch: epoch.0, reason }) {
        Ok(_) => {}
        // Not under way: nothing is told to anybody, the members see that it is over.
        Err(_) => office.proposals.close(epoch)?,
    }
    // No further round closes.
    let folder = office.epoch_folder(epoch);
    let trained = if folder.exists() { audit::trained_model(&folder)? } else { None };
    let base = trained.map(|model| Base { epoch, model }).or(first);
    propose_to(office, &plan, &source, &sites, base)
}

/// The epoch that is meant: the newest where none is given.
fn chosen(office: &Office, epoch: Option<u32>) -> Result<u32, Error> {
    match epoch {
        Some(epoch) => Ok(epoch),
        None => {
            let newest = office.proposals.epochs()?.last().copied();
            Ok(newest.ok_or(coordinator::proposals::ProposalsError::NoEpoch { epoch: Epoch(1) })?.0)
        }
    }
}

/// What an operator orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Stop,
    Resume,
    Publish,
}

/// Orders something of the process in service.
pub(super) fn order(office: &Office, epoch: Option<u32>, order: Order) -> Result<Done, Error> {
    let epoch = chosen(office, epoch)?;
    let (request, text) = match order {
        Order::Stop => (Request::Stop { epoch }, "begins nothing new until `consilium coordinator resume`"),
        Order::Resume => (Request::Resume { epoch }, "goes on"),
        Order::Publish => (Request::Publish { epoch }, "publishes what is trained so far"),
    };
    let data = control::ask(&office.folder, &request)?;
    Ok(Done { text: format!("key epoch {epoch} {text}"), data, exit: Exit::Done })
}

/// Ends an epoch for ever.
pub(super) fn end(office: &Office, epoch: Option<u32>, reason: &str) -> Result<Done, Error> {
    let epoch = chosen(office, epoch)?;
    let data = match control::ask(&office.folder, &Request::End { epoch, reason: reason.to_owned() }) {
        Ok(data) => data,
        // Nobody has begun it: it is withdrawn, and the members see that it is over.
        Err(_) if office.proposals.standing(Epoch(epoch))?.stage == Stage::Proposed => {
            office.proposals.close(Epoch(epoch))?;
            let text = format!("key epoch {epoch} is withdrawn: nothing has begun in it");
            return Ok(Done { text, data: json!({"epoch": epoch}), exit: Exit::Done });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Done { text: format!("key epoch {epoch} is over; its members were told"), data, exit: Exit::Done })
}

/// How everything stands.
pub(super) fn status(office: &Office) -> Result<Done, Error> {
    let data = control::ask(&office.folder, &Request::Status)?;
    Ok(Done { text: lines(&data), data, exit: Exit::Done })
}

/// The same again and again, until nobody reads it any more or the service ends.
pub(super) fn watch(office: &Office, format: Format) -> Result<Done, Error> {
    let mut out = std::io::stdout().lock();
    let clears = out.is_terminal();
    loop {
        let look = status(office)?;
        if clears && format == Format::Text {
            write!(out, "{CLEAR}").map_err(Error::Output)?;
        }
        match output::look("coordinator status", format, look, &mut out) {
            Ok(()) => std::thread::sleep(WATCH_EVERY),
            // Whoever closed the pipe has seen what it wanted.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                return Ok(Done { text: String::new(), data: Value::Null, exit: Exit::Done });
            }
            Err(error) => return Err(Error::Output(error)),
        }
    }
}

/// For people.
fn lines(data: &Value) -> String {
    let empty = Vec::new();
    let epochs = data["epochs"].as_array().unwrap_or(&empty);
    let names = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    };
    let mut lines = Vec::new();
    if let Some(older @ 1..) = data["older"].as_u64() {
        lines.push(format!("{older} older key epochs are not shown"));
    }
    for row in epochs {
        let epoch = &row["epoch"];
        let stage = row["stage"].as_str().unwrap_or_default();
        if let Some(why) = row["failed"].as_str() {
            lines.push(format!("key epoch {epoch}   cannot go on: {why}"));
            continue;
        }
        let now = &row["now"];
        if now.is_null() {
            let approved = names(&row["approved"]).join(", ");
            let of = if approved.is_empty() { "nobody yet".to_owned() } else { approved };
            lines.push(format!("key epoch {epoch}   {stage}   {} members, approved by {of}", row["members"]));
            continue;
        }
        let step = now["step"].as_str().unwrap_or_default();
        let (done, of, what) = match row["steps"].as_u64() {
            Some(_) => (&now["steps_done"], &row["steps"], "steps"),
            None => (&now["closed"], &row["rounds"], "rounds"),
        };
        lines.push(format!("key epoch {epoch}   {step}   {done} of {of} {what}"));
        if let Some(why) = now["paused"].as_str() {
            lines.push(format!("  paused: {why}"));
        }
        if let Some(what) = now["disk"].as_str() {
            lines.push(format!("  the disk refuses: {what}"));
        }
        if let Some(model) = now["published"].as_str() {
            lines.push(format!("  model {model}   {} answers", now["answers"]));
        }
        let live = names(&now["live"]);
        for one in now["awaited"].as_array().into_iter().flatten() {
            let name = one["name"].as_str().unwrap_or_default();
            let doing = &one["doing"];
            let waits_s = doing["waits_s"].as_u64();
            let doing = match (doing["done"].as_u64(), doing["of"].as_u64(), doing["ahead"].as_u64()) {
                (Some(done), Some(of), _) => format!("working, {done} of {of}"),
                (_, _, Some(ahead)) => format!("waits for a processor, {ahead} before it"),
                _ => match waits_s {
                    Some(seconds) => {
                        format!("trains in {} h {} min, by its own rule", seconds / 3_600, seconds % 3_600 / 60)
                    }
                    None => "idle".to_owned(),
                },
            };
            let is_live = live.iter().any(|other| other == name);
            let lease = if is_live { format!("lease {} s", one["lease_s"]) } else { "away".to_owned() };
            lines.push(format!("  awaited: {name:<20} {doing}   for {} s   {lease}", one["since_s"]));
        }
    }
    if lines.is_empty() {
        lines.push("nothing is proposed; `consilium coordinator run PLAN` does it".to_owned());
    }
    lines.join("\n")
}
