//! What must hold whatever happens, checked from outside with bookkeeping of its own: from what hospitals received,
//! made and sent, never from what the driver under test says of itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::codec::Wire;
use protocol::drive::Stream;
use protocol::drive::hospital::Parts;
use protocol::facts::Fact;
use protocol::hospital::{ShareBinding, SwitchBinding};
use protocol::log::LogEntry;
use protocol::message::{HospitalMessage, LogMessage, Scope, SignedMessage};
use protocol::roster::Roster;
use protocol::terms::Terms;
use protocol::training::RefreshBinding;
use protocol::verifier::{Approved, Verifier, VerifyError};
use protocol::{Attempt, Digest, PartyId, PartySet, QueryId, Reject, RoundId};

use crate::signed_step::step_of;
use crate::sim_store::SimStore;
use crate::toy::Lanes;
use crate::toy_head::ToyHead;

/// Everything ever seen, across restarts.
pub(crate) struct Oracle {
    seed: u64,
    threshold: usize,
    parties: PartySet,
    verifier: Verifier,
    /// The log as hospitals received it.
    log: Vec<Bytes>,
    signed: BTreeMap<(PartyId, &'static str, u64, u32), Vec<u8>>,
    made: BTreeMap<(PartyId, BlobId), Bytes>,
    shared: BTreeMap<(PartyId, RoundId, Attempt), ShareBinding>,
    refreshed: BTreeMap<(PartyId, Digest), RefreshBinding>,
    refresh_opened: BTreeMap<Digest, Digest>,
    switched: BTreeMap<(PartyId, QueryId), SwitchBinding>,
    manifests: BTreeMap<(RoundId, Attempt), PartySet>,
    cohorts: BTreeMap<RoundId, PartySet>,
    published: PartySet,
    /// Cohorts of the sums that somebody decoded, by base model.
    sums: Vec<(Digest, PartySet)>,
    pub(crate) decoded: usize,
    pub(crate) answers: BTreeSet<QueryId>,
    /// What hospitals refused of rounds.
    pub(crate) refused: BTreeMap<RoundId, Vec<(PartyId, Reject)>>,
    pub(crate) closed: BTreeMap<RoundId, Attempt>,
    pub(crate) voids: BTreeMap<RoundId, protocol::message::VoidReason>,
    /// Rotation keys that hospitals took from the announced sum, since they did not draw them.
    pub(crate) taken: BTreeMap<PartyId, BTreeSet<u32>>,
    /// Whose proofs of relinearisation shares hospitals checked.
    pub(crate) proofs: BTreeMap<PartyId, BTreeSet<PartyId>>,
    /// Whose planes hospitals checked.
    pub(crate) planes: BTreeMap<PartyId, BTreeSet<PartyId>>,
    /// What hospitals refused of the ceremony.
    pub(crate) ceremony_refused: Vec<(PartyId, Reject)>,
    /// What an audit of the log has to find; and what it found.
    pub(crate) expects: Option<Reject>,
    pub(crate) found: Option<VerifyError>,
    /// Queries that were opened: bytes of each, and who was asked for shares of its answer.
    asked: BTreeMap<QueryId, (u64, PartySet)>,
    /// How often who evaluated which query; bytes of it that came to whom.
    evaluations: BTreeMap<(PartyId, QueryId), u64>,
    fetched: BTreeMap<(PartyId, QueryId), u64>,
    /// What the first of them found.
    pub(crate) results: BTreeMap<QueryId, (Lanes, BodyRoot)>,
    /// Answers that are charged at each hospital, by who asked.
    charged: BTreeMap<PartyId, BTreeMap<PartyId, u64>>,
}

impl Oracle {
    pub(crate) fn new(seed: u64, roster: &Roster, terms: &Terms) -> Self {
        let approved = Approved { terms: terms.clone(), membership: Some(roster.membership().digest()) };
        Self {
            seed,
            threshold: roster.threshold(),
            parties: roster.parties(),
            verifier: Verifier::new(*roster.coordinator()).approving(approved),
            log: Vec::new(),
            signed: BTreeMap::new(),
            made: BTreeMap::new(),
            shared: BTreeMap::new(),
            refreshed: BTreeMap::new(),
            refresh_opened: BTreeMap::new(),
            switched: BTreeMap::new(),
            manifests: BTreeMap::new(),
            cohorts: BTreeMap::new(),
            published: PartySet::EMPTY,
            sums: Vec::new(),
            decoded: 0,
            answers: BTreeSet::new(),
            refused: BTreeMap::new(),
            closed: BTreeMap::new(),
            voids: BTreeMap::new(),
            taken: BTreeMap::new(),
            proofs: BTreeMap::new(),
            planes: BTreeMap::new(),
            ceremony_refused: Vec::new(),
            expects: None,
            found: None,
            asked: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            fetched: BTreeMap::new(),
            results: BTreeMap::new(),
            charged: BTreeMap::new(),
        }
    }

    /// A hospital evaluated a query, to this result.
    pub(crate) fn evaluated(&mut self, party: PartyId, query: QueryId, result: (Lanes, BodyRoot)) {
        *self.evaluations.entry((party, query)).or_default() += 1;
        self.results.entry(query).or_insert(result);
    }

    /// A body was sent to a hospital that asked for it.
    pub(crate) fn fetched(&mut self, party: PartyId, id: &BlobId, body: &Bytes) {
        if id.kind == BlobKind::Query {
            *self.fetched.entry((party, QueryId(id.round))).or_default() += body.len() as u64;
        }
    }

    /// A hospital says what is charged.
    pub(crate) fn charged(&mut self, party: PartyId, by_asker: BTreeMap<PartyId, u64>) {
        self.charged.insert(party, by_asker);
    }

    /// What a hospital did for a query, by what it computed and received.
    fn done_for(&self, party: PartyId, query: QueryId) -> (u64, u64) {
        let of = |all: &BTreeMap<_, u64>| all.get(&(party, query)).copied().unwrap_or_default();
        (of(&self.evaluations), of(&self.fetched))
    }

    /// A share of an answer is made, or leaves: its maker has evaluated the query itself, on bytes that came to it.
    fn helps(&self, party: PartyId, query: QueryId) {
        let ((evaluations, fetched), (size_bytes, _)) = (self.done_for(party, query), self.asked[&query]);
        assert!(evaluations > 0, "seed {}: {party} helps with query {query} that it did not evaluate", self.seed);
        assert!(fetched >= size_bytes, "seed {}: {party} helps with query {query} that it did not fetch", self.seed);
    }

    /// Of an undisturbed run: whoever was asked for a share evaluated the query once, on its bytes, fetched once, and
    /// nobody else did either. Every hospital charges every answer.
    pub(crate) fn whoever_helped_evaluated_once(&self) {
        assert!(!self.asked.is_empty() && self.asked.keys().eq(&self.answers), "every query was answered");
        let of_each: BTreeMap<PartyId, u64> =
            self.asked.keys().filter_map(|query| query.asker()).map(|it| (it, 1)).collect();
        for party in self.parties.iter() {
            for (query, (size_bytes, helpers)) in &self.asked {
                assert_eq!(helpers.len(), self.threshold);
                let expected = if helpers.contains(party) { (1, *size_bytes) } else { (0, 0) };
                assert_eq!(self.done_for(party, *query), expected, "{party} and query {query}");
            }
            assert_eq!(self.charged.get(&party), Some(&of_each), "{party}");
        }
    }

    /// A hospital checked another's proof of its relinearisation shares.
    pub(crate) fn proved(&mut self, by: PartyId, of: PartyId) {
        self.proofs.entry(by).or_default().insert(of);
    }

    /// A hospital checked another's planes.
    pub(crate) fn saw_planes(&mut self, by: PartyId, of: PartyId) {
        self.planes.entry(by).or_default().insert(of);
    }

    /// A hospital received entries from `next` on: the same for everybody, and each as the verifier wants it.
    pub(crate) fn received(&mut self, next: u64, entries: &[Bytes]) {
        for (index, bytes) in (usize::try_from(next).unwrap()..).zip(entries) {
            match self.log.get(index) {
                Some(known) => assert_eq!(known, bytes, "seed {}: the log forked at {index}", self.seed),
                None => {
                    assert_eq!(index, self.log.len(), "seed {}: a gap", self.seed);
                    self.log.push(bytes.clone());
                    self.entry(&LogEntry::from_bytes(bytes).unwrap());
                }
            }
        }
    }

    fn entry(&mut self, entry: &LogEntry) {
        let seed = self.seed;
        assert_eq!(LogEntry::from_bytes(&entry.to_bytes()).as_ref(), Ok(entry), "seed {seed}: codec");
        match self.verifier.check(entry) {
            Err(fault) if self.expects == Some(fault.reject) => self.found = Some(fault),
            checked => assert_eq!(checked, Ok(()), "seed {seed}"),
        }
        match &entry.message {
            LogMessage::Decryptors(it) => assert_eq!(it.decryptors.len(), self.threshold, "seed {seed}"),
            LogMessage::Manifest(it) => {
                let known = *self.cohorts.entry(it.round).or_insert(it.cohort());
                assert_eq!(known, it.cohort(), "seed {seed}: cohort changed in round {}", it.round);
                let twice = self.manifests.insert((it.round, it.attempt), it.cohort());
                assert_eq!(twice, None, "seed {seed}: two manifests for {}.{}", it.round, it.attempt);
            }
            LogMessage::PublishOpen(it) => self.published = it.cohort,
            LogMessage::SwitchRequest(it) => {
                if let HospitalMessage::QueryHead(head) = &it.head.body {
                    self.asked.insert(head.query, (head.body.size_bytes, it.decryptors));
                }
            }
            LogMessage::RoundClosed(it) => {
                let twice = self.closed.insert(it.round, it.attempt);
                assert_eq!(twice, None, "seed {seed}: round {} closed twice", it.round);
            }
            LogMessage::RoundVoid(it) => {
                self.voids.insert(it.round, it.reason);
            }
            _ => {}
        }
    }

    /// A hospital sends a message: it was stored before, and there is one per step, ever.
    pub(crate) fn sent(&mut self, message: &SignedMessage, store: &SimStore) {
        let (seed, party) = (self.seed, message.author);
        let fact = Fact::Sent(message.clone()).to_bytes();
        let disk = store.0.borrow();
        let stored = disk.streams.get(&Stream::Facts).is_some_and(|facts| facts.iter().any(|known| *known == fact));
        assert!(stored, "seed {seed}: {party} sent before it stored {:?}", message.body);
        match &message.body {
            HospitalMessage::Refusal(refusal) if refusal.scope == Scope::Round => {
                let round = RoundId(u32::try_from(refusal.number).unwrap());
                self.refused.entry(round).or_default().push((party, refusal.reject));
            }
            HospitalMessage::Refusal(refusal) if refusal.scope == Scope::Ceremony => {
                self.ceremony_refused.push((party, refusal.reject));
            }
            HospitalMessage::SwitchShareHead(it) => self.helps(party, it.query),
            _ => {}
        }
        if let Some((step, number, attempt)) = step_of(&message.body) {
            let bytes = message.to_bytes();
            let known = self.signed.entry((party, step, number, attempt)).or_insert_with(|| bytes.clone());
            assert_eq!(*known, bytes, "seed {seed}: {party} signed two {step} for {number}.{attempt}");
        }
    }

    /// A hospital makes a body: whenever it makes it again, it is the same.
    pub(crate) fn made(&mut self, party: PartyId, id: BlobId, body: &Bytes) {
        let known = self.made.entry((party, id)).or_insert_with(|| body.clone());
        assert_eq!(known, body, "seed {}: {party} made two bodies for {id:?}", self.seed);
    }

    /// A hospital takes a part of a sum as the coordinator announced it.
    pub(crate) fn taken(&mut self, party: PartyId, parts: Parts, index: u32) {
        assert!(matches!(parts, Parts::Rotations(_)), "seed {}: a sum of one part is always added", self.seed);
        self.taken.entry(party).or_default().insert(index);
    }

    pub(crate) fn shares(&mut self, party: PartyId, binding: &ShareBinding) {
        let key = (party, binding.round, binding.attempt);
        let known = self.shared.entry(key).or_insert_with(|| binding.clone());
        assert_eq!(known, binding, "seed {}: {party} shares in two contexts", self.seed);
        assert!(binding.decryptors.len() == self.threshold && binding.decryptors.contains(party));
    }

    /// A hospital shares in a refresh: in one of what a step left, ever.
    pub(crate) fn refreshes(&mut self, party: PartyId, binding: &RefreshBinding) {
        let known = self.refreshed.entry((party, binding.packages.root)).or_insert(*binding);
        assert_eq!(known, binding, "seed {}: {party} shares twice in what a step left", self.seed);
        assert!(binding.decryptors.len() == self.threshold && binding.decryptors.contains(party));
    }

    /// How often hospitals shared in a refresh.
    pub(crate) fn refreshes_shared(&self) -> usize {
        self.refreshed.len()
    }

    /// A hospital opens the sums of a refresh: one, ever, and what was asked of it.
    pub(crate) fn opens(&mut self, party: PartyId, binding: &RefreshBinding, sums: Digest) {
        assert_eq!(binding.opener, party, "seed {}: another's to open", self.seed);
        let known = *self.refresh_opened.entry(binding.digest()).or_insert(sums);
        assert_eq!(known, sums, "seed {}: {party} opens two sums of a refresh", self.seed);
    }

    pub(crate) fn switches(&mut self, party: PartyId, binding: &SwitchBinding) {
        self.helps(party, binding.query);
        let known = self.switched.entry((party, binding.query)).or_insert_with(|| binding.clone());
        assert_eq!(known, binding, "seed {}: {party} switches in two contexts", self.seed);
    }

    /// A hospital decoded a sum from bytes that it received: it holds exactly the manifest's cohort, and no two sums
    /// on one base model differ by a single member.
    pub(crate) fn opened(&mut self, party: PartyId, base: Digest, round: RoundId, attempt: Attempt, sum: &Lanes) {
        let seed = self.seed;
        let cohort = self.manifests[&(round, attempt)];
        let expected = Lanes::of(cohort);
        assert_eq!(*sum, expected, "seed {seed}: {party} decodes another sum than the manifest of {round}.{attempt}");
        self.decoded += 1;
        for (other_base, other) in &self.sums {
            if *other_base == base {
                let differences = [cohort.minus(*other).len(), other.minus(cohort).len()];
                assert!(!differences.contains(&1), "seed {seed}: {cohort} after {other} exposes one update");
            }
        }
        self.sums.push((base, cohort));
    }

    /// A hospital reads its answer: the encrypted model's, which holds exactly the published cohort.
    pub(crate) fn answered(&mut self, party: PartyId, query: QueryId, logits: &Lanes) {
        let log: Vec<LogMessage> = self.log.iter().map(|bytes| LogEntry::from_bytes(bytes).unwrap().message).collect();
        let head = ToyHead::of_log(log.iter(), |maker, id| self.made[&(maker, id)].clone());
        let expected = head.unwrap_or_else(|| Lanes::of(self.published));
        assert_eq!(*logits, expected, "seed {}: answer {query} of {party}", self.seed);
        self.answers.insert(query);
    }
}
