//! A published model and queries of it, said honestly; the scripts of lies change one word.

use std::sync::LazyLock;

use protocol::heads::{Heads, Seen};
use protocol::hospital::{HospitalInput, HospitalOutput, SwitchBinding};
use protocol::log::{LogEntry, LogWriter};
use protocol::message::{
    HospitalMessage, LogMessage, ModelPublished, ModelVerdict, ModelVerified, PublishManifest, PublishOpen, QueryDone,
    QueryHead, QueryOpen, SignedMessage, SwitchRequest, SwitchShareHead,
};
use protocol::verifier::Verifier;
use protocol::{Attempt, BodyRoot, Epoch, QueryId, Reject};

use crate::accomplices::signed_mut;
use crate::federation::{Federation, N, body, digest, key, party, sent, set};

/// What the contributions are said to add up to.
pub(crate) const MODEL: &str = "encrypted";

/// Five hospitals that have added up keys and model, and know it of each other.
pub(crate) fn published() -> Federation {
    let mut federation = Federation::with_keys(Some(digest("program")));
    let manifest = manifest(&mut federation, 1);
    federation.say(manifest);
    let verdicts: Vec<SignedMessage> = federation.say(announced(1, MODEL)).into_iter().flat_map(sent).collect();
    assert_eq!(verdicts.len(), usize::from(N));
    federation.say(LogMessage::ModelVerified(ModelVerified { verdicts }));
    federation
}

/// Opens an attempt to publish, and gives all contributors' heads.
pub(crate) fn manifest(federation: &mut Federation, attempt: u32) -> LogMessage {
    let (attempt, model, program) = (Attempt(attempt), digest("model 0"), digest("program"));
    let open = PublishOpen { attempt, model, program, cohort: set(&[1, 2, 3, 4, 5]) };
    let heads = federation.say(LogMessage::PublishOpen(open)).into_iter().flat_map(sent).collect();
    LogMessage::PublishManifest(PublishManifest { attempt, heads })
}

pub(crate) fn announced(attempt: u32, model: &str) -> LogMessage {
    let (attempt, model, program) = (Attempt(attempt), digest(model), digest("program"));
    LogMessage::ModelPublished(ModelPublished { attempt, model, program })
}

/// What a hospital had read when the model was announced: all of these scripts begin alike, byte for byte.
pub(crate) fn model_seen() -> Seen {
    static SEEN: LazyLock<Seen> = LazyLock::new(|| {
        let mut federation = Federation::with_keys(Some(digest("program")));
        let manifest = manifest(&mut federation, 1);
        federation.say(manifest);
        federation.say(announced(1, MODEL));
        federation.seen()
    });
    *SEEN
}

pub(crate) fn verdict(number: u16, model: &str) -> SignedMessage {
    let (attempt, model, program) = (Attempt(1), digest(model), digest("program"));
    let verdict = HospitalMessage::ModelVerdict(ModelVerdict { attempt, model, program });
    SignedMessage::sign(&key(number), party(number), Epoch(1), 500, model_seen(), verdict)
}

/// A question of hospital `asker`.
pub(crate) fn query(asker: u16, counter: u64) -> QueryHead {
    QueryHead {
        query: QueryId::new(party(asker), counter),
        program: digest("program"),
        model: digest(MODEL),
        body: body("image"),
    }
}

pub(crate) fn signed(asker: u16, head: QueryHead) -> SignedMessage {
    signed_on(model_seen(), asker, head)
}

/// By an asker that has read another log than that of [`published`].
pub(crate) fn signed_on(seen: Seen, asker: u16, head: QueryHead) -> SignedMessage {
    let head = HospitalMessage::QueryHead(Box::new(head));
    SignedMessage::sign(&key(asker), party(asker), Epoch(1), 900, seen, head)
}

pub(crate) fn opened(head: &SignedMessage, decryptors: &[u16]) -> LogMessage {
    LogMessage::QueryOpen(Box::new(QueryOpen { head: head.clone(), decryptors: set(decryptors) }))
}

pub(crate) fn requested(head: &SignedMessage, result: BodyRoot, decryptors: &[u16]) -> LogMessage {
    let request = SwitchRequest { head: head.clone(), result, decryptors: set(decryptors) };
    LogMessage::SwitchRequest(Box::new(request))
}

/// The boxes of an answer, as those of T sign for them who are in `signers`.
pub(crate) fn answered(head: &SignedMessage, result: BodyRoot, decryptors: &[u16], signers: &[u16]) -> QueryDone {
    let request = SwitchRequest { head: head.clone(), result, decryptors: set(decryptors) };
    let binding = SwitchBinding::of(Epoch(1), &request).unwrap();
    let shares = signers.iter().map(|number| share(&binding, *number, boxed(&binding)));
    QueryDone { query: binding.query, shares: shares.collect() }
}

pub(crate) fn boxed(binding: &SwitchBinding) -> BodyRoot {
    body(&format!("switch share {}", binding.digest()))
}

pub(crate) fn share(binding: &SwitchBinding, number: u16, body: BodyRoot) -> SignedMessage {
    let head = SwitchShareHead { query: binding.query, binding: binding.digest(), body };
    SignedMessage::sign(
        &key(number),
        party(number),
        Epoch(1),
        950,
        Seen::nothing(),
        HospitalMessage::SwitchShareHead(head),
    )
}

/// What an honest hospital makes of a query.
pub(crate) fn result(head: &SignedMessage) -> BodyRoot {
    let query = match &head.body {
        HospitalMessage::QueryHead(head) => Some(head.query),
        _ => None,
    };
    body(&format!("result of {}", query.unwrap()))
}

pub(crate) fn released(outputs: &[Vec<HospitalOutput>]) -> usize {
    outputs.iter().flatten().filter(|output| matches!(output, HospitalOutput::ReleaseSwitch(_))).count()
}

pub(crate) fn evaluated(outputs: &[Vec<HospitalOutput>]) -> usize {
    outputs.iter().flatten().filter(|output| matches!(output, HospitalOutput::Evaluate { .. })).count()
}

/// The same words, each signed on the log with these heads by whom it was signed; what was forged stays forged.
pub(crate) fn on_log(mut message: LogMessage, heads: &Heads) -> LogMessage {
    for signed in signed_mut(&mut message).iter_mut().filter(|signed| heads.check(signed).is_err()) {
        let SignedMessage { author, epoch, sequence, body, .. } = signed.clone();
        let own = key(author.number());
        let key = if signed.is_signed_by(&own.verifying_key()) { own } else { key(98) };
        *signed = SignedMessage::sign(&key, author, epoch, sequence, heads.seen(), body);
    }
    message
}

/// What all say to an answer whose makers signed on this log.
pub(crate) fn answers(federation: &mut Federation, done: QueryDone) -> Vec<Vec<HospitalOutput>> {
    let done = on_log(LogMessage::QueryDone(done), federation.writer.heads());
    federation.say(done)
}

/// What hospital 1 alone says to an entry, its work not yet done.
pub(crate) fn hears(federation: &mut Federation, message: LogMessage) -> Vec<HospitalOutput> {
    let message = on_log(message, federation.writer.heads());
    let entry = federation.writer.append(message);
    federation.hospitals[0].on(0, HospitalInput::Entry(entry))
}

/// The first entry of a log that an audit does not accept.
pub(crate) fn audit<'a>(messages: impl IntoIterator<Item = &'a LogMessage>) -> Result<(), (u64, Reject)> {
    let mut writer = LogWriter::new(key(99));
    audited(&messages.into_iter().map(|message| writer.append(message.clone())).collect::<Vec<_>>())
}

/// The same of words that are signed on this log.
pub(crate) fn audit_told<'a>(messages: impl IntoIterator<Item = &'a LogMessage>) -> Result<(), (u64, Reject)> {
    let mut writer = LogWriter::new(key(99));
    let told = |message: &LogMessage| {
        let message = on_log(message.clone(), writer.heads());
        writer.append(message)
    };
    audited(&messages.into_iter().map(told).collect::<Vec<_>>())
}

/// The same of entries.
pub(crate) fn audited(entries: &[LogEntry]) -> Result<(), (u64, Reject)> {
    let mut verifier = Verifier::new(key(99).verifying_key());
    entries.iter().try_for_each(|entry| verifier.check(entry)).map_err(|error| (error.index, error.reject))
}

/// The messages of a log.
pub(crate) fn messages(federation: &Federation) -> Vec<LogMessage> {
    federation.log.iter().map(|entry| entry.message.clone()).collect()
}
