//! An undisturbed run of three hospitals, which fixes the log.

use protocol::ceremony::{CeremonyConfig, CeremonyInput, CeremonyMachine, CeremonyOutput};
use protocol::hospital::{HospitalInput, HospitalMachine, HospitalOutput};
use protocol::log::{LogEntry, LogWriter};
use protocol::message::{
    Abandon, CohortFrozen, Decryptors, HospitalMessage, LogMessage, Manifest, ModelPublished, ModelVerified,
    PublishManifest, PublishOpen, PublishVoid, QueryDone, QueryHead, QueryOpen, RoundClosed, RoundOpen, RoundPurpose,
    RoundVoid, ShareRequest, SignedMessage, SumReady, SwitchRequest, VoidReason,
};
use protocol::roster::Roster;
use protocol::{Attempt, Digest, QueryId, RoundId};

use crate::cast::{N, body, digest, everyone, key, machine, party, roster, terms};
use crate::site::{Site, feed};

/// The round with which nothing of the run is left to do.
pub(crate) const LAST_ROUND: RoundId = RoundId(5);

/// The model that comes out of a round: a function of its sum, as in [`Site::carry_out`].
pub(crate) fn model_of(round: &str) -> Digest {
    Digest::of("model", &vec![digest(&format!("sum of {round}"))])
}

/// Three hospitals, a log, and everything hospital 1 was asked to do with what was durable before it.
pub(crate) struct Federation {
    pub(crate) writer: LogWriter,
    pub(crate) log: Vec<LogEntry>,
    pub(crate) hospitals: Vec<(HospitalMachine, Site)>,
    pub(crate) moments: Vec<(Site, HospitalOutput)>,
}

impl Federation {
    pub(crate) fn run() -> Self {
        let roster = roster();
        let hospitals = (1..=N).map(|number| (machine(number, &[]), Site::new(number))).collect();
        let mut federation = Self { writer: LogWriter::new(key(99)), log: Vec::new(), hospitals, moments: Vec::new() };
        federation.ceremony(roster);
        federation.round(1, "model 0", false);
        federation.void_round(2);
        federation.round(3, "round 1", true);
        federation.figures(4, "round 3");
        federation.publish("round 3");
        federation.query(1);
        federation.void_publish("round 3");
        federation.query(2);
        federation.round(LAST_ROUND.0, "round 3", false);
        federation
    }

    pub(crate) fn ceremony(&mut self, roster: Roster) {
        let config = CeremonyConfig::of(&terms());
        let mut machine = CeremonyMachine::new(roster, config);
        let mut inputs = vec![CeremonyInput::Start];
        let mut done = false;
        while let Some(input) = inputs.pop() {
            for output in machine.on(input) {
                match output {
                    CeremonyOutput::Append(message) => {
                        for sent in self.say(message) {
                            inputs.insert(0, CeremonyInput::Message(sent));
                        }
                    }
                    CeremonyOutput::AwaitBodies { list, .. } => {
                        inputs.insert(0, CeremonyInput::BodiesComplete { list });
                    }
                    CeremonyOutput::Aggregate { step } => {
                        inputs.insert(0, CeremonyInput::Aggregated { step, body: body(&format!("sum {step:?}")) });
                    }
                    CeremonyOutput::Done { .. } => done = true,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(done);
    }

    /// Appends an entry and returns what the hospitals sent because of it.
    pub(crate) fn say(&mut self, message: LogMessage) -> Vec<SignedMessage> {
        let entry = self.writer.append(message);
        self.log.push(entry.clone());
        let mut sent = Vec::new();
        for (machine, site) in &mut self.hospitals {
            let moments = &mut self.moments;
            feed(machine, site, HospitalInput::Entry(entry.clone()), &mut |site, output| {
                if site.number == 1 {
                    moments.push((site.clone(), output.clone()));
                }
                if let HospitalOutput::Send(message) = output {
                    sent.push(message.clone());
                }
            });
        }
        sent
    }

    pub(crate) fn open(&mut self, round: u32, base: &str) -> Vec<SignedMessage> {
        self.open_for(RoundPurpose::Train, round, base)
    }

    pub(crate) fn open_for(&mut self, purpose: RoundPurpose, round: u32, base: &str) -> Vec<SignedMessage> {
        let base_model = if base == "model 0" { digest(base) } else { model_of(base) };
        self.say(LogMessage::RoundOpen(RoundOpen {
            round: RoundId(round),
            purpose,
            base_model,
            terms: terms().digest(),
        }))
    }

    /// Freezes the cohort and has the shares made; returns their heads.
    pub(crate) fn share_request(
        &mut self,
        round: RoundId,
        attempt: Attempt,
        uploads: &[SignedMessage],
    ) -> Vec<SignedMessage> {
        let attempt_of = |message: &SignedMessage| match &message.body {
            HospitalMessage::UpdateHead(head) => Some(head.attempt),
            _ => None,
        };
        let heads = uploads.iter().filter(|upload| attempt_of(upload) == Some(attempt)).cloned().collect();
        let manifest = Manifest { round, attempt, heads };
        assert_eq!(manifest.cohort(), everyone());
        let signatures = self.say(LogMessage::Manifest(manifest.clone()));
        let manifest = manifest.digest();
        self.say(LogMessage::CohortFrozen(CohortFrozen { round, attempt, manifest, signatures }));
        let decryptors = everyone();
        let acceptances = self.say(LogMessage::Decryptors(Decryptors { round, attempt, decryptors }));
        let shares = self.say(LogMessage::ShareRequest(ShareRequest { round, attempt, acceptances }));
        assert_eq!(shares.len(), usize::from(N));
        shares
    }

    /// A round that closes in its first attempt, or in its second after a loss.
    pub(crate) fn round(&mut self, number: u32, base: &str, second: bool) {
        let round = RoundId(number);
        let mut attempt = Attempt::FIRST;
        let mut uploads = self.open(number, base);
        let mut shares = self.share_request(round, attempt, &uploads);
        if second {
            let lost = [party(3)].into_iter().collect();
            uploads.extend(self.say(LogMessage::Abandon(Abandon { round, attempt, lost })));
            attempt = attempt.next();
            shares = self.share_request(round, attempt, &uploads);
        }
        let chunks = vec![digest(&format!("sum of round {number}"))];
        let votes = self.say(LogMessage::SumReady(SumReady { round, attempt, chunks, shares }));
        let model = model_of(&format!("round {number}"));
        self.say(LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes }));
        assert!(self.hospitals.iter().all(|(machine, site)| machine.model() == model && site.model == model));
    }

    /// A round of figures, on the model that a round gave.
    pub(crate) fn figures(&mut self, number: u32, base: &str) {
        let (round, attempt) = (RoundId(number), Attempt::FIRST);
        let uploads = self.open_for(RoundPurpose::Figures, number, base);
        let shares = self.share_request(round, attempt, &uploads);
        let chunks = vec![digest("sum of figures")];
        let model = Digest::of("figures", &chunks);
        let votes = self.say(LogMessage::SumReady(SumReady { round, attempt, chunks, shares }));
        self.say(LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes }));
        let base = model_of(base);
        let is_kept = |site: &Site| (site.model, site.figures) == (base, Some(model));
        assert!(self.hospitals.iter().all(|(machine, site)| machine.model() == base && is_kept(site)));
    }

    pub(crate) fn void_round(&mut self, number: u32) {
        self.open(number, "round 1");
        let reason = VoidReason::CohortTooSmall { have: 2, need: 3 };
        self.say(LogMessage::RoundVoid(RoundVoid { round: RoundId(number), reason }));
    }

    pub(crate) fn publish(&mut self, base: &str) {
        let (attempt, program, model) = (Attempt(1), digest("program"), model_of(base));
        let heads = self.say(LogMessage::PublishOpen(PublishOpen { attempt, model, program, cohort: everyone() }));
        self.say(LogMessage::PublishManifest(PublishManifest { attempt, heads }));
        let model = digest("encrypted");
        let verdicts = self.say(LogMessage::ModelPublished(ModelPublished { attempt, model, program }));
        self.say(LogMessage::ModelVerified(ModelVerified { verdicts }));
    }

    /// Hospital 2 asks, all switch.
    pub(crate) fn query(&mut self, number: u64) {
        let query = QueryId::new(party(2), number);
        let (program, model) = (digest("program"), digest("encrypted"));
        let head = QueryHead { query, program, model, body: body("image") };
        let head = HospitalMessage::QueryHead(Box::new(head));
        let seen = self.writer.heads().seen();
        let head = SignedMessage::sign(&key(2), party(2), roster().epoch(), 1_000 + number, seen, head);
        let decryptors = everyone();
        self.say(LogMessage::QueryOpen(Box::new(QueryOpen { head: head.clone(), decryptors })));
        let request = SwitchRequest { head, result: body("result"), decryptors };
        let shares = self.say(LogMessage::SwitchRequest(Box::new(request)));
        assert_eq!(shares.len(), usize::from(N));
        self.say(LogMessage::QueryDone(QueryDone { query, shares }));
    }

    pub(crate) fn void_publish(&mut self, base: &str) {
        let (attempt, program, model) = (Attempt(2), digest("program"), model_of(base));
        self.say(LogMessage::PublishOpen(PublishOpen { attempt, model, program, cohort: everyone() }));
        let missing = [party(3)].into_iter().collect();
        self.say(LogMessage::PublishVoid(PublishVoid { attempt, missing }));
    }
}
