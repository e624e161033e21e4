//! The log of an honest key epoch, signed with everybody's keys and without any machine, under any terms; scripts of
//! lies change one word of it.

use std::collections::BTreeMap;

use protocol::heads::{Heads, Seen};
use protocol::hospital::ShareBinding;
use protocol::log::LogWriter;
use protocol::message::{
    Acceptance, CohortFrozen, Decryptors, HospitalMessage, LogMessage, Manifest, ManifestSignature, ModelVerified,
    ModelVote, PublishHead, PublishManifest, PublishOpen, RoundClosed, RoundOpen, RoundPurpose, ShareHead,
    ShareRequest, SignedMessage, SumReady, UpdateHead,
};
use protocol::terms::Terms;
use protocol::verifier::{Approved, Author, Verifier, VerifyError};
use protocol::{Attempt, BodyRoot, Digest, Epoch, PartySet, Reject, RoundId};

use crate::accomplices::{resign, signed_mut};
use crate::federation::{Federation, body, digest, key, members, party, roster, set, terms};
use crate::serving::{MODEL, announced, messages, verdict};

/// The coordinator, as whoever is to blame.
pub(crate) const COORDINATOR: Author = Author::Coordinator;

/// A hospital, as whoever is to blame.
pub(crate) fn by(number: u16) -> Author {
    Author::Hospital(party(number))
}

/// Hospital `number`'s word; [`audited`] has it signed again on the log where it comes to stand.
pub(crate) fn say(number: u16, body: HospitalMessage) -> SignedMessage {
    SignedMessage::sign(&key(number), party(number), Epoch(1), 400, Seen::nothing(), body)
}

/// A word of somebody's, changed and signed anew by the same.
pub(crate) fn resigned(message: &mut SignedMessage, change: impl FnOnce(&mut HospitalMessage)) {
    change(&mut message.body);
    *message = say(message.author.number(), message.body.clone());
}

/// What an audit makes of a log, with the members' terms or without.
pub(crate) fn audited(log: &[LogMessage], terms: Option<&Terms>) -> Result<(), (u64, Author, Reject)> {
    let mut writer = LogWriter::new(key(99));
    let mut verifier = Verifier::new(key(99).verifying_key());
    if let Some(terms) = terms {
        let membership = Some(roster(members()).membership().digest());
        verifier = verifier.approving(Approved { terms: terms.clone(), membership });
    }
    let told = told(log);
    let mut entries = told.iter().map(|message| writer.append(message.clone()));
    let found = entries.try_for_each(|entry| verifier.check(&entry));
    found.map_err(|VerifyError { index, author, reject }| (index, author, reject))
}

/// The same, by members that sign on the log where it comes to stand.
fn told(log: &[LogMessage]) -> Vec<LogMessage> {
    let (mut writer, mut names) = (LogWriter::new(key(99)), Names::default());
    log.iter()
        .map(|message| {
            let mut told = message.clone();
            names.change(&mut told, writer.heads());
            resign(&mut told, writer.heads(), |party| key(party.number()));
            names.learn(message, &told);
            writer.append(told).message
        })
        .collect()
}

/// What signs for a manifest names its bytes, and those change with the log in which its heads are signed.
#[derive(Default)]
struct Names {
    changed: BTreeMap<Digest, Digest>,
    /// The newest manifest: as it was written and as it is told, who is in it, and the chunks of its first head.
    manifest: Option<([Digest; 2], PartySet, u32)>,
}

impl Names {
    /// Puts the new names into what follows; whoever signed for an old one signs again.
    fn change(&self, message: &mut LogMessage, heads: &Heads) {
        let new = |name: &mut Digest| {
            if let Some(changed) = self.changed.get(name) {
                *name = *changed;
            }
        };
        match message {
            LogMessage::CohortFrozen(it) => new(&mut it.manifest),
            LogMessage::RoundClosed(_) | LogMessage::RoundOpen(_) => return,
            _ => {}
        }
        for signed in signed_mut(message) {
            let mut body = signed.body.clone();
            match &mut body {
                HospitalMessage::ManifestSignature(it) => new(&mut it.manifest),
                HospitalMessage::Acceptance(it) => new(&mut it.manifest),
                HospitalMessage::ShareHead(it) => new(&mut it.binding),
                _ => continue,
            }
            if body != signed.body {
                let SignedMessage { author, epoch, sequence, .. } = *signed;
                *signed = SignedMessage::sign(&key(author.number()), author, epoch, sequence, heads.seen(), body);
            }
        }
    }

    fn learn(&mut self, written: &LogMessage, told: &LogMessage) {
        match (written, told) {
            (LogMessage::Manifest(old), LogMessage::Manifest(new)) => {
                let names = [old.digest(), new.digest()];
                self.changed.insert(names[0], names[1]);
                let chunks = new.update_heads().and_then(|heads| Some(heads.first()?.1.body.count));
                self.manifest = Some((names, new.cohort(), chunks.unwrap_or_default()));
            }
            (_, LogMessage::Decryptors(it)) => {
                let Some((names, cohort, chunks)) = self.manifest else { return };
                let [old, new] = names.map(|manifest| {
                    let (epoch, round, attempt, decryptors) = (Epoch(1), it.round, it.attempt, it.decryptors);
                    ShareBinding { epoch, round, attempt, cohort, decryptors, manifest, chunks }.digest()
                });
                self.changed.insert(old, new);
            }
            _ => {}
        }
    }
}

/// The place of the first such entry.
pub(crate) fn place(log: &[LogMessage], is: impl Fn(&LogMessage) -> bool) -> usize {
    log.iter().position(is).expect("an entry of this kind")
}

/// Whether an audit of the log with entry `at` changed, and nothing after it, names just that entry, for this reason
/// and by this author.
pub(crate) fn is_found(
    log: &[LogMessage],
    at: usize,
    change: impl FnOnce(&mut LogMessage),
    (author, reject): (Author, Reject),
) {
    assert_eq!(audited(&log[..=at], Some(&terms())), Ok(()), "honest until here");
    let mut log = told(&log[..=at]);
    change(&mut log[at]);
    assert_eq!(audited(&log, None), Err((at as u64, author, reject)));
}

/// A round of these tests, and what each of its words is about.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    pub(crate) purpose: RoundPurpose,
    pub(crate) base_model: Digest,
    pub(crate) terms: Terms,
    pub(crate) cohort: Vec<u16>,
    pub(crate) decryptors: Vec<u16>,
}

impl Script {
    pub(crate) fn new(round: u32, base_model: &str) -> Self {
        let (cohort, decryptors) = ([1, 2, 3, 4, 5].to_vec(), [1, 2, 3, 4].to_vec());
        let (base_model, terms) = (digest(base_model), terms());
        Self { round, attempt: 1, purpose: RoundPurpose::Train, base_model, terms, cohort, decryptors }
    }

    fn of(&self) -> (RoundId, Attempt) {
        (RoundId(self.round), Attempt(self.attempt))
    }

    fn body(&self, what: &str) -> BodyRoot {
        BodyRoot { count: self.terms.chunks, ..body(&format!("{what} in {} {}", self.round, self.attempt)) }
    }

    pub(crate) fn open(&self) -> LogMessage {
        let (round, purpose, base_model) = (RoundId(self.round), self.purpose, self.base_model);
        LogMessage::RoundOpen(RoundOpen { round, purpose, base_model, terms: self.terms.digest() })
    }

    fn manifest(&self) -> Manifest {
        let (round, attempt) = self.of();
        let Self { purpose, base_model, .. } = *self;
        let head = |number: &u16| {
            let (terms, body) = (self.terms.digest(), self.body(&format!("update of {number}")));
            let head = UpdateHead { round, attempt, purpose, base_model, terms, body };
            say(*number, HospitalMessage::UpdateHead(head))
        };
        Manifest { round, attempt, heads: self.cohort.iter().map(head).collect() }
    }

    /// From the manifest to the request for shares.
    pub(crate) fn requested(&self) -> Vec<LogMessage> {
        let ((round, attempt), decryptors) = (self.of(), set(&self.decryptors));
        let manifest = self.manifest();
        let name = manifest.digest();
        let signature = |number: &u16| {
            let signature = ManifestSignature { round, attempt, manifest: name };
            say(*number, HospitalMessage::ManifestSignature(signature))
        };
        let acceptance = |number: &u16| {
            let acceptance = Acceptance { round, attempt, manifest: name, decryptors };
            say(*number, HospitalMessage::Acceptance(acceptance))
        };
        let signatures = self.decryptors.iter().map(signature).collect();
        let acceptances = self.decryptors.iter().map(acceptance).collect();
        [
            LogMessage::Manifest(manifest),
            LogMessage::CohortFrozen(CohortFrozen { round, attempt, manifest: name, signatures }),
            LogMessage::Decryptors(Decryptors { round, attempt, decryptors }),
            LogMessage::ShareRequest(ShareRequest { round, attempt, acceptances }),
        ]
        .to_vec()
    }

    pub(crate) fn sum(&self) -> LogMessage {
        let (round, attempt) = self.of();
        let (cohort, decryptors) = (set(&self.cohort), set(&self.decryptors));
        let (manifest, chunks) = (self.manifest().digest(), self.terms.chunks);
        let binding = ShareBinding { epoch: Epoch(1), round, attempt, cohort, decryptors, manifest, chunks };
        let share = |number: &u16| {
            let (binding, body) = (binding.digest(), self.body(&format!("share of {number}")));
            say(*number, HospitalMessage::ShareHead(ShareHead { round, attempt, binding, body }))
        };
        let chunks = (0..chunks).map(|chunk| digest(&format!("chunk {chunk}"))).collect();
        LogMessage::SumReady(SumReady { round, attempt, chunks, shares: self.decryptors.iter().map(share).collect() })
    }

    pub(crate) fn closed(&self, model: &str) -> LogMessage {
        let ((round, attempt), model) = (self.of(), digest(model));
        let vote = |number: &u16| {
            let vote = ModelVote { round, attempt, model: Some(model) };
            say(*number, HospitalMessage::ModelVote(vote))
        };
        let votes = self.decryptors.iter().map(vote).collect();
        LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes })
    }

    /// All of it: opened, asked for, added up, closed.
    pub(crate) fn whole(&self, model: &str) -> Vec<LogMessage> {
        let (mut log, rest) = (vec![self.open()], [self.sum(), self.closed(model)]);
        log.extend(self.requested());
        log.extend(rest);
        log
    }
}

/// An honest ceremony with serving keys.
pub(crate) fn keys() -> Vec<LogMessage> {
    messages(&Federation::with_keys(Some(digest("program"))))
}

/// An honest ceremony without.
pub(crate) fn ceremony() -> Vec<LogMessage> {
    messages(&Federation::new())
}

/// What follows it, by these scripts.
pub(crate) fn after(before: Vec<LogMessage>, scripts: &[&[LogMessage]]) -> Vec<LogMessage> {
    scripts.iter().fold(before, |mut log, script| {
        log.extend_from_slice(script);
        log
    })
}

/// The first attempt to publish `model`, until t hospitals have added it up.
pub(crate) fn publishing(model: &str, cohort: PartySet) -> Vec<LogMessage> {
    let (attempt, model, program) = (Attempt(1), digest(model), digest("program"));
    let head = |member: protocol::PartyId| {
        let body = body(&format!("contribution of {member}"));
        say(member.number(), HospitalMessage::PublishHead(PublishHead { attempt, model, program, body }))
    };
    let heads = cohort.iter().map(head).collect();
    let verdicts = (1..=4).map(|number| verdict(number, MODEL)).collect();
    [
        LogMessage::PublishOpen(PublishOpen { attempt, model, program, cohort }),
        LogMessage::PublishManifest(PublishManifest { attempt, heads }),
        announced(1, MODEL),
        LogMessage::ModelVerified(ModelVerified { verdicts }),
    ]
    .to_vec()
}
