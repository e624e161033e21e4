//! Checking a bundle, with nothing but the bundle and, where the auditor has it, the digest of the members.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read};
use std::path::Path;

use protocol::consent::{Step, next};
use protocol::enrolment::Words;
use protocol::ids::{Digest, Epoch, PartyId, QueryId};
use protocol::log::LogEntry;
use protocol::message::{HospitalMessage, KeyStep, LogMessage, SignedMessage};
use protocol::verifier::{Approved, Verifier};

use super::book::Book;
use super::finding::Entry;
use super::parts::Reading;
use super::{APPROVALS, BundleError, EXPLAINED, Finding, LOG, PLAN, PROPOSAL, SENT, SIGNED, SIGNED_MAGIC, SignedThing};
use crate::consent::{Approvable, GivenApproval, NOTE_BYTES_MAX, Seen, parsed};
use crate::hospital::Object;
use crate::log_copy::MAGIC;
use crate::records::Records;

/// Bytes of the approvals: a few for each key epoch.
const APPROVALS_BYTES_MAX: u64 = 16 << 20;
/// Bytes of the text for people.
const EXPLAINED_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a plan.
const PLAN_BYTES_MAX: u64 = protocol::consent::PLAN_BYTES_MAX as u64;
/// Bytes of the log, which is read entry by entry; 32 of each entry stay in memory.
const LOG_BYTES_MAX: u64 = 16 << 30;
/// Bytes of what the site signed: a head or two for each question.
const SIGNED_BYTES_MAX: u64 = 1 << 30;
/// Bytes of the book of what left the building: a line or two for each question.
const SENT_BYTES_MAX: u64 = 1 << 30;

/// What is in a bundle whose log is whole and signed.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The site's name.
    pub name: String,
    /// Its organisation.
    pub organisation: String,
    /// Its number in the key epoch.
    pub party: PartyId,
    /// The key epoch.
    pub epoch: Epoch,
    /// When it was made, seconds since 1970, by the site's clock.
    pub made_at_s: u64,
    /// Digest of the members.
    pub membership: Digest,
    /// Their names.
    pub members: Vec<String>,
    /// The words that their officers compared, computed from what the members promised and showed.
    pub words: Option<Words>,
    /// Digest of the terms, derived from the plan.
    pub terms: Digest,
    /// Who approved.
    pub approvals: Vec<GivenApproval>,
    /// Digests of the log's entries.
    pub heads: Vec<Digest>,
    /// Up to which entry each member has signed that this is the log: the newest head in a message of its own.
    pub vouched: Vec<(String, u64)>,
    /// Training rounds, and rounds of figures, that were closed.
    pub rounds: u32,
    /// Answers that were released, by who asked.
    pub answers: BTreeMap<String, u64>,
    /// What the site signed for.
    pub things: Vec<SignedThing>,
    /// What left the building: times and bytes by what it was.
    pub totals: BTreeMap<String, (u64, u64)>,
    /// Lines of it.
    pub lines: u64,
    /// What does not fit together.
    pub findings: Vec<Finding>,
}

/// Checks a bundle: its parts by the manifest, the whole log by the rules of the protocol and by the terms that follow
/// from the plan, and what the site signed, wrote down and approved by each other. `membership` is the digest of the
/// members where the auditor has it from elsewhere.
///
/// # Errors
/// [`BundleError`] where it cannot be read, was changed, is of other members, or its log is not to be trusted. What
/// else does not fit together is in [`Inspection::findings`].
pub fn inspect(path: &Path, membership: Option<Digest>) -> Result<Inspection, BundleError> {
    let mut bundle = Reading::open(path)?;
    let epoch = Epoch(bundle.manifest.epoch);
    let note = bundle.whole(PROPOSAL, NOTE_BYTES_MAX)?;
    let seen = parsed(&note, epoch, path).map_err(|error| bundle.wrong(PROPOSAL, error))?;
    if let Some(expected) = membership.filter(|expected| *expected != seen.membership) {
        return Err(BundleError::OtherMembers { path: path.to_path_buf(), found: seen.membership, expected });
    }
    let standing = &seen.standing;
    let seat = standing.proposal.membership.seat(seen.party).cloned();
    let seat = seat.ok_or_else(|| bundle.wrong(PROPOSAL, "the site is no member"))?;
    if bundle.manifest.party != seen.party.number() || bundle.manifest.name != seat.name {
        return Err(bundle.wrong(PROPOSAL, "it is of another site than the manifest"));
    }
    let words = words(&seen).map_err(|found| bundle.wrong(PROPOSAL, found))?;
    // Another release's may say more, but it is what that release wrote.
    bundle.whole(EXPLAINED, EXPLAINED_BYTES_MAX)?;
    if bundle.whole(PLAN, PLAN_BYTES_MAX)? != standing.proposal.plan.as_bytes() {
        return Err(bundle.wrong(PLAN, "it is another plan than the proposal's"));
    }
    let approvals = bundle.whole(APPROVALS, APPROVALS_BYTES_MAX)?;
    let approvals: Vec<GivenApproval> =
        serde_json::from_slice(&approvals).map_err(|error| bundle.wrong(APPROVALS, error))?;
    let own = own(&mut bundle)?;
    let log = ReadLog::of(&mut bundle, &seen)?;
    let path = bundle.path().to_path_buf();
    let book = bundle
        .part(SENT, SENT_BYTES_MAX, |from| Book::read(from).map_err(|source| BundleError::Read { path, source }))?;

    let mut findings = Vec::new();
    let foreign = own.iter().filter(|message| !message.is_signed_by(&seat.verifying)).count();
    if foreign > 0 {
        findings.push(Finding::NotOwn { messages: foreign });
    }
    let things = things(&own, &log, &mut findings);
    findings.extend(not_written_down(&log, &book));
    findings.extend(not_approved(&seen, &log, &approvals));
    if book.unreadable > 0 {
        findings.push(Finding::Unreadable { lines: book.unreadable });
    }
    let name = |party: PartyId| {
        standing.proposal.membership.seat(party).map_or_else(|| format!("member {party}"), |seat| seat.name.clone())
    };
    Ok(Inspection {
        name: seat.name,
        organisation: seat.organisation,
        party: seen.party,
        epoch,
        made_at_s: bundle.manifest.made_at_s,
        membership: seen.membership,
        members: standing.proposal.membership.seats.iter().map(|seat| seat.name.clone()).collect(),
        words,
        terms: seen.terms.digest(),
        approvals,
        vouched: log.vouched.iter().map(|(party, entries)| (name(*party), *entries)).collect(),
        rounds: log.rounds,
        answers: log.answers.iter().map(|(party, answers)| (name(*party), *answers)).collect(),
        heads: log.heads,
        things,
        totals: book.totals,
        lines: book.lines,
        findings,
    })
}

/// The words that officers compared, by what the members promised and showed; `None` where they had not all.
fn words(seen: &Seen) -> Result<Option<Words>, String> {
    let own = seen.standing.bindings.iter().find(|binding| binding.party == seen.party);
    let Some(own) = own else { return Ok(None) };
    match next(&seen.standing, seen.party, own).map_err(|fault| fault.to_string())? {
        Step::Compare(_, words) => Ok(Some(words)),
        _ => Ok(None),
    }
}

/// What the site signed, by its own journal.
fn own(bundle: &mut Reading) -> Result<Vec<SignedMessage>, BundleError> {
    let path = bundle.path().to_path_buf();
    bundle.part(SIGNED, SIGNED_BYTES_MAX, |from| {
        let (mut records, mut all) = (Records::of(SIGNED_MAGIC, BufReader::new(from)), Vec::new());
        let wrong = |found| BundleError::Part { path: path.clone(), part: SIGNED, found };
        while let Some(message) = records.next().map_err(wrong)? {
            all.push(message);
        }
        Ok(all)
    })
}

/// What the log says.
#[derive(Default)]
pub(super) struct ReadLog {
    pub(super) heads: Vec<Digest>,
    /// What the site signed in it.
    pub(super) own: Vec<SignedMessage>,
    pub(super) vouched: BTreeMap<PartyId, u64>,
    pub(super) rounds: u32,
    pub(super) answers: BTreeMap<PartyId, u64>,
    /// Steps of the keys whose sums were made, and questions whose answers were asked for: what was signed for them had
    /// arrived.
    pub(super) steps: BTreeSet<KeyStep>,
    pub(super) asked: BTreeSet<QueryId>,
}

impl ReadLog {
    fn of(bundle: &mut Reading, seen: &Seen) -> Result<Self, BundleError> {
        let path = bundle.path().to_path_buf();
        let approved = Approved { terms: seen.terms.clone(), membership: Some(seen.membership) };
        let mut verifier = Verifier::new(seen.standing.proposal.membership.coordinator).approving(approved);
        bundle.part(LOG, LOG_BYTES_MAX, |from: &mut dyn Read| {
            let (mut records, mut log) = (Records::of(MAGIC, BufReader::new(from)), Self::default());
            let wrong = |found| BundleError::Part { path: path.clone(), part: LOG, found };
            while let Some(entry) = records.next::<LogEntry>().map_err(wrong)? {
                verifier.check(&entry).map_err(|source| BundleError::Log { path: path.clone(), source })?;
                log.take(&entry, seen.party);
            }
            Ok(log)
        })
    }

    fn take(&mut self, entry: &LogEntry, own: PartyId) {
        self.heads.push(entry.digest());
        for message in entry.message.signed() {
            let vouched = self.vouched.entry(message.author).or_default();
            *vouched = (*vouched).max(message.seen.entries);
            if message.author == own {
                self.own.push(message.clone());
            }
        }
        match &entry.message {
            LogMessage::RoundClosed(_) => self.rounds += 1,
            LogMessage::ServingStepDone(it) => {
                self.steps.insert(it.step);
            }
            LogMessage::SwitchRequest(it) => {
                if let HospitalMessage::QueryHead(head) = &it.head.body {
                    self.asked.insert(head.query);
                    *self.answers.entry(it.head.author).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// Whether the log shows that others had the bodies of a thing that the site signed for in it.
    fn used(&self, object: &Object) -> bool {
        match object {
            Object::KeyShare(step) => self.steps.contains(step),
            Object::Question(query) => self.asked.contains(query),
            _ => true,
        }
    }
}

/// What the site signed for by journal and log together.
pub(super) fn things(own: &[SignedMessage], log: &ReadLog, findings: &mut Vec<Finding>) -> Vec<SignedThing> {
    let mut things: Vec<SignedThing> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (message, is_in_log) in own.iter().map(|it| (it, false)).chain(log.own.iter().map(|it| (it, true))) {
        for (object, signed) in Object::of(&message.body) {
            let known = places.get(&object.to_string()).and_then(|place| things.get_mut(*place));
            match known {
                Some(known) if known.signed == signed => {
                    known.is_in_journal |= !is_in_log;
                    known.is_in_log |= is_in_log;
                }
                Some(_) => findings.push(Finding::Differs { object }),
                None => {
                    if is_in_log {
                        findings.push(Finding::NotInJournal { object: object.clone() });
                    }
                    places.insert(object.to_string(), things.len());
                    things.push(SignedThing { object, signed, is_in_journal: !is_in_log, is_in_log });
                }
            }
        }
    }
    things
}

/// Bodies that others used and that nobody wrote down before they were sent.
pub(super) fn not_written_down(log: &ReadLog, book: &Book) -> Vec<Finding> {
    let mut needed: BTreeMap<Entry, u64> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    for message in &log.own {
        for (object, body) in Object::of(&message.body) {
            // A head may stand in several entries.
            if log.used(&object) && counted.insert(object.to_string()) {
                let bytes = needed.entry(Entry::of(&object)).or_default();
                *bytes = bytes.saturating_add(body.size_bytes);
            }
        }
    }
    let short = |(entry, signed): (Entry, u64)| {
        let written = book.written(entry);
        let Entry { what, round, attempt, .. } = entry;
        (written < signed).then_some(Finding::NotWrittenDown { what, round, attempt, signed, written })
    };
    needed.into_iter().filter_map(short).collect()
}

/// A site that signed anything in the log took part, which needs two approvals.
fn not_approved(seen: &Seen, log: &ReadLog, approvals: &[GivenApproval]) -> Vec<Finding> {
    if log.own.is_empty() {
        return Vec::new();
    }
    let (members, terms) = (seen.membership.to_string(), seen.terms.digest().to_string());
    let epoch = seen.standing.proposal.epoch.0;
    let has_members = approvals.iter().any(|it| it.what == Approvable::Membership && it.digest == members);
    let is_terms = |it: &GivenApproval| it.what == Approvable::Terms && it.digest == terms && it.epoch == epoch;
    let missing = [(Approvable::Membership, has_members), (Approvable::Terms, approvals.iter().any(is_terms))];
    missing.into_iter().filter(|(_, given)| !given).map(|(what, _)| Finding::NotApproved(what)).collect()
}
