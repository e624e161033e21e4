//! What an officer reads, compares and approves.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, SystemTime};

use client::consent::{ApprovedTerms, ConsentBook, ConsentError, Council, Seen, approve_terms};
use client::enrolment::Member;
use client::{handover, hours};
use experiment::Weighting;
use protocol::consent::Stage;
use protocol::enrolment::seconds;
use protocol::ids::Epoch;
use protocol::membership::Seat;
use serde_json::json;

use super::{ONCE, questions};
use crate::{
    error::Error,
    exit::Exit,
    output::Done,
    verbs::coordinator::{ask, date, say},
};

/// How often the officer's command looks whether everybody's nonce is there.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What a site says that was not there.
const LACKS: &str =
    "lacks the model from which the plan goes on: ask a member with `consilium hospital handover request`";
/// Where an approval is given that is typed.
const HERE: &str = "command line";
/// What the officer who read aloud types when all others have said so.
const ALL_MATCH: &str = "all match";

/// An officer's desk at one site.
pub(super) struct Desk {
    pub(super) member: Member,
    book: ConsentBook,
}

impl Desk {
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        Ok(Self { member: Member::open(folder, ONCE)?, book: ConsentBook::open(folder)? })
    }

    fn council(&self) -> Council<'_> {
        Council { member: &self.member, book: &self.book }
    }

    /// What this site approved.
    pub(super) fn book(&self) -> &ConsentBook {
        &self.book
    }

    /// The proposal that is meant: the newest that is not over where no epoch is given.
    pub(super) async fn look(&self, epoch: Option<u32>) -> Result<Seen, Error> {
        let council = self.council();
        if let Some(epoch) = epoch {
            return Ok(council.look(Epoch(epoch)).await?);
        }
        for epoch in council.epochs().await?.into_iter().rev() {
            let seen = council.look(epoch).await?;
            if seen.standing.stage != Stage::Over {
                return Ok(seen);
            }
        }
        Err(ConsentError::NothingProposed.into())
    }

    /// Shows the members, has the officer compare the words, and pins the membership.
    pub(super) async fn approve_membership(&self, epoch: Option<u32>, read_aloud: bool) -> Result<Done, Error> {
        if !std::io::stdin().is_terminal() {
            return Err(Error::NoTerminal);
        }
        let mut seen = self.look(epoch).await?;
        let mut told = protocol::PartySet::EMPTY;
        let words = loop {
            if let Some(words) = seen.words {
                break words;
            }
            if told != seen.awaited {
                let names = seen.standing.proposal.membership.names(seen.awaited).join(", ");
                say(&format!("waiting for {names}: their `consilium hospital serve` has to run"));
                told = seen.awaited;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            seen = self.look(Some(seen.standing.proposal.epoch.0)).await?;
        };
        say(&members(&seen));
        if read_aloud {
            say(&format!("read aloud to the other officers, by telephone:\n\n    {words}\n"));
            let said = ask(&format!("type \"{ALL_MATCH}\" when each of them has said that they match: "))?;
            if said != ALL_MATCH {
                let instead = "type \"all match\" once every officer has said so, or compare the words again";
                return Err(Error::NotConfirmed { what: "the membership".to_owned(), instead });
            }
            self.book.approve_membership(&seen, words, HERE)?;
        } else {
            let heard = ask("type the six words as you hear them from the officer who reads aloud: ")?;
            self.book.approve_membership(&seen, heard.parse().map_err(Error::Words)?, HERE)?;
            say("they match; say so");
        }
        let membership = &seen.standing.proposal.membership;
        let (members, threshold) = (membership.seats.len(), membership.threshold);
        Ok(Done {
            text: format!("approved: {members} members, threshold {threshold}\nmembers {}", seen.membership),
            data: json!({"membership": seen.membership.to_string(), "members": members, "threshold": threshold}),
            exit: Exit::Done,
        })
    }

    /// Shows the terms.
    pub(super) async fn terms(&self, epoch: Option<u32>) -> Result<Done, Error> {
        let seen = self.look(epoch).await?;
        let proposal = &seen.standing.proposal;
        let digest = seen.terms.digest().to_string();
        // As this site understands it, and without remarks that somebody wrote beside it.
        let plan = seen.plan.resolved();
        let from = proposal.base.map_or_else(String::new, |base| {
            format!(", which goes on from model {} of key epoch {}", base.model, base.epoch)
        });
        let text = format!(
            "# key epoch {}{from}\n{}\n{}\n\nto approve: consilium hospital approve terms {digest}",
            proposal.epoch,
            plan.trim_end(),
            members(&seen)
        );
        let approved = self.book.terms(seen.standing.proposal.epoch, seen.terms.digest())?;
        let seat = |seat: &Seat| {
            let weight = seat.weight.to_string();
            json!({"name": seat.name, "organisation": seat.organisation, "weight": weight})
        };
        let members: Vec<_> = proposal.membership.seats.iter().map(seat).collect();
        let (membership, compared) = (seen.membership.to_string(), self.book.has_membership(seen.membership)?);
        let data = json!({
            "epoch": proposal.epoch.0, "terms": digest, "plan": plan, "approved_for": approved,
            "from": proposal.base.map(|base| json!({"epoch": base.epoch.0, "model": base.model.to_string()})),
            "membership": membership, "membership_approved": compared, "members": members,
        });
        Ok(Done { text, data, exit: Exit::Done })
    }

    /// Approves the terms of this digest for a data set, after trying whether both fit the site's own rules.
    pub(super) async fn approve_terms(
        &self,
        digest: &str,
        data: Option<&str>,
        epoch: Option<u32>,
    ) -> Result<Done, Error> {
        let seen = self.look(epoch).await?;
        let folder = self.member.root();
        let approved = approve_terms(folder, &self.book, &seen, digest, data, HERE)?;
        let holds = handover::holds(folder, &seen)?;
        let ApprovedTerms { epoch, data, images } = approved;
        let lacks = if holds { String::new() } else { format!("\nthis site {LACKS}") };
        Ok(Done {
            text: format!("approved: the terms of key epoch {epoch}, with {images} training images of {data}{lacks}"),
            data: json!({
                "epoch": epoch.0, "terms": digest, "data": data, "images": images, "holds_first_model": holds,
            }),
            exit: Exit::Done,
        })
    }

    /// How this site stands in every key epoch.
    pub(super) async fn epochs(&self) -> Result<Vec<(String, serde_json::Value)>, Error> {
        let council = self.council();
        let mut rows = Vec::new();
        for epoch in council.epochs().await? {
            let (mut text, stands) = match council.look(epoch).await {
                Ok(seen) => self.standing(&seen)?,
                Err(error) if error.is_transient() => return Err(error.into()),
                Err(error) => (format!("not to be believed: {error}"), "refused"),
            };
            let now_s = seconds(SystemTime::now());
            let trains_from = hours::trains_from(self.member.root(), epoch, now_s).map(date);
            if let Some(at) = &trains_from {
                text.push_str(&format!("; training waits for this site's hours and goes on at {at}"));
            }
            let (cost, answers) = questions::shown(self.member.root(), epoch)?;
            let row = json!({"epoch": epoch.0, "stands": stands, "trains_from": trains_from, "answers": answers});
            rows.push((format!("key epoch {epoch}   {text}{cost}"), row));
        }
        Ok(rows)
    }

    fn standing(&self, seen: &Seen) -> Result<(String, &'static str), Error> {
        let name = seen.plan.name();
        let membership = &seen.standing.proposal.membership;
        if seen.standing.stage == Stage::Over {
            return Ok((format!("{name}: over"), "over"));
        }
        if !self.book.has_membership(seen.membership)? {
            return Ok((
                format!("{name}: compare the words with `consilium hospital approve membership`"),
                "membership",
            ));
        }
        if self.book.terms(seen.standing.proposal.epoch, seen.terms.digest())?.is_none() {
            return Ok((format!("{name}: read `consilium hospital terms`, then approve them"), "terms"));
        }
        if seen.is_open() {
            return Ok((format!("{name}: under way, this site is member {}", seen.party), "open"));
        }
        if !handover::holds(self.member.root(), seen)? {
            return Ok((format!("{name}: approved here; it {LACKS}"), "lacks-model"));
        }
        let everybody = membership.parties();
        let missing = membership.names(everybody.minus(seen.standing.approved)).join(", ");
        Ok((format!("{name}: approved here, waiting for {missing}"), "waiting"))
    }
}

/// The members as a table.
fn members(seen: &Seen) -> String {
    let membership = &seen.standing.proposal.membership;
    let (count, threshold) = (membership.seats.len(), membership.threshold);
    let counted = match seen.plan.weights() {
        Weighting::Equal => "the plan weighs all alike, whatever their classes",
        Weighting::Declared => "the plan weighs them by these classes",
    };
    let mut lines = vec![format!("{count} members, of whom {threshold} decrypt together; {counted}:")];
    for (number, seat) in (1..).zip(&membership.seats) {
        let own = if number == seen.party.number() { "  this site" } else { "" };
        let key: String = seat.tls_key.to_string().chars().take(12).collect();
        let (name, weight, organisation) = (&seat.name, seat.weight, &seat.organisation);
        lines.push(format!("  {number:>2}  {name:<20} weight {weight:<4}  {organisation:<32} {key}{own}"));
    }
    lines.join("\n")
}
