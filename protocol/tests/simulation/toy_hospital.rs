//! A hospital's work with toy cryptography: it knows its own secret, what is on its disk, and the bytes it received.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::blob::{BlobId, BlobKind};
use protocol::codec::Wire;
use protocol::dealings::DealingCheck;
use protocol::drive::hospital::{HospitalDone, HospitalJob, Parts, Summands};
use protocol::drive::{ListId, Store, StoreFault, Stream};
use protocol::facts::{Fact, HospitalFacts};
use protocol::hospital::HospitalInput;
use protocol::limits::{PLANES_BODIES, RELIN_ANSWERS};
use protocol::message::{Key, KeyStep, RoundPurpose};
use protocol::{BodyRoot, Digest, PartyId, PartySet, QueryId, Reject, RoundId};

use crate::oracle::Oracle;
use crate::sim_store::SimStore;
use crate::toy::{self, Lanes, word};
use crate::toy_head::{HeadSite, ToyHead};

/// What a hospital computes with. All of it is read from disk again after a crash.
pub(crate) struct ToyHospital {
    party: PartyId,
    store: SimStore,
    epoch_seed: Digest,
    /// Points of everybody's secret, from the boxes dealt to this hospital. A toy polynomial is a constant.
    secrets: Vec<(PartyId, u64)>,
    model: Digest,
    /// How the model does, as all opened it.
    figures: Option<Digest>,
    /// Of a serving key's shares.
    sum: Lanes,
    added: usize,
    /// The rotation keys so far.
    rotations: Vec<Bytes>,
    round_one: Option<Lanes>,
    /// The published model as this site added it up, and results on it.
    results: BTreeMap<QueryId, Lanes>,
    /// What it sends in which round's first attempt is cut short.
    garbles: Vec<(RoundId, BlobKind)>,
    /// Whether sums of rounds are taken for what the coordinator says.
    pub(crate) is_trusting: bool,
    /// Whom it deals another point than the others.
    pub(crate) misdeals_to: Vec<u16>,
    pub(crate) head: ToyHead,
    /// Whether it takes other steps of a head than the others, and what it sends that is no part of a refresh.
    pub(crate) strays: bool,
    pub(crate) head_garbles: Option<BlobKind>,
    /// Whether another's result of a query is taken for an own one.
    pub(crate) borrows: bool,
}

/// Rotation keys of the toy program.
pub(crate) const ROTATIONS: u32 = 8;

fn place(name: &str, number: u64) -> BlobId {
    // The toy's own records lie among the bodies, under a kind that hospitals never upload.
    BlobId { kind: BlobKind::QueryResult, round: word(Digest::of(name, &number)), attempt: 0, party: None, index: 0 }
}

impl ToyHospital {
    pub(crate) fn open(party: PartyId, store: SimStore, initial: Digest, garbles: Vec<(RoundId, BlobKind)>) -> Self {
        let facts = store.read(Stream::Facts).unwrap();
        let facts: HospitalFacts = facts.iter().map(|bytes| Fact::from_bytes(bytes).unwrap()).collect();
        // The newest adopted fact is the switch: its candidate was stored before the vote.
        let model = facts.newest_model().map_or(initial, |(_, model)| model);
        Self {
            party,
            store,
            epoch_seed: Digest::default(),
            secrets: Vec::new(),
            model,
            figures: None,
            sum: Lanes::default(),
            added: 0,
            rotations: Vec::new(),
            round_one: None,
            results: BTreeMap::new(),
            garbles,
            is_trusting: false,
            misdeals_to: Vec::new(),
            head: ToyHead::default(),
            strays: false,
            head_garbles: None,
            borrows: false,
        }
    }

    /// Its model and that model's figures.
    pub(crate) fn holds(&self) -> (Digest, Option<Digest>) {
        (self.model, self.figures)
    }

    /// Does a job; `None` where the process died of it.
    pub(crate) fn run(&mut self, job: HospitalJob, oracle: &mut Oracle) -> Option<HospitalDone> {
        self.job(job, oracle).ok()
    }

    fn job(&mut self, job: HospitalJob, oracle: &mut Oracle) -> Result<HospitalDone, StoreFault> {
        let party = self.party;
        let input = match job {
            HospitalJob::Head(job) => match self.of_head().job(job, oracle)? {
                Some(input) => input,
                None => return Ok(HospitalDone::Nothing),
            },
            HospitalJob::DealKeys { roster, epoch_seed } => {
                self.epoch_seed = epoch_seed;
                let secret = toy::secret(party, epoch_seed);
                let (mut boxes, mut size_bytes) = (Vec::new(), 0);
                for receiver in roster.parties().iter() {
                    let number = u64::from(receiver.number());
                    let is_off = self.misdeals_to.contains(&receiver.number());
                    let point = if is_off { secret.wrapping_add(number) } else { secret };
                    let body = Bytes::from([secret, number, point].map(u64::to_le_bytes).concat());
                    size_bytes += body.len() as u64;
                    let id = BlobId::ceremony(BlobKind::Dealing, Some(party), u32::from(receiver.number()));
                    boxes.push(self.put(id, body, oracle)?);
                }
                HospitalInput::Dealt { boxes, size_bytes }
            }
            HospitalJob::OpenDealings { boxes, .. } => {
                let opened: Option<Vec<(PartyId, [u64; 2])>> = boxes
                    .iter()
                    .map(|(dealer, body)| {
                        let words: &[[u8; 8]; 3] = body.as_chunks().0.try_into().ok()?;
                        let [secret, receiver, point] = words.map(u64::from_le_bytes);
                        (receiver == u64::from(party.number())).then_some((*dealer, [secret, point]))
                    })
                    .collect();
                let Some(opened) = opened else { return Ok(HospitalDone::Input(HospitalInput::DealingsBad)) };
                self.secrets = opened.iter().map(|(dealer, [_, point])| (*dealer, *point)).collect();
                let record: Vec<u8> = self
                    .secrets
                    .iter()
                    .flat_map(|(dealer, key)| [u64::from(dealer.number()), *key])
                    .flat_map(u64::to_le_bytes)
                    .collect();
                self.store.put(&place("keys", 0), &record.into())?;
                let group = opened.iter().map(|(_, [secret, _])| *secret).fold(0, u64::wrapping_add);
                let group = Digest::of("toy group", &group);
                HospitalInput::DealingsOpened { group }
            }
            HospitalJob::CheckDealings { factors } => {
                // A constant is a polynomial of every degree. Who trusts shows what it should have been dealt.
                let value = |point: u64| word(Digest::of("toy check", &vec![point, word(factors)])) % 97;
                let shown = |(dealer, point): &(PartyId, u64)| match self.is_trusting {
                    true => value(toy::secret(*dealer, self.epoch_seed)),
                    false => value(*point),
                };
                let values = self.secrets.iter().map(|dealt| vec![u32::try_from(shown(dealt)).unwrap()]);
                let check = DealingCheck { moduli: vec![97], values: values.collect() };
                HospitalInput::DealingsCombined { check }
            }
            HospitalJob::RestoreKeys { epoch_seed } => {
                self.epoch_seed = epoch_seed;
                let record = self.store.get(&place("keys", 0))?;
                let words: Vec<u64> = record.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
                let secrets = words.as_chunks::<2>().0.iter();
                self.secrets = secrets
                    .map(|[dealer, key]| (PartyId::new(u16::try_from(*dealer).unwrap()).unwrap(), *key))
                    .collect();
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::ServingShare { step } => {
                let own = self.key_share(party, step);
                let id = |index| step.body(Some(party), index);
                let other = |key| KeyStep::of(step.set(), key).unwrap();
                match step.key() {
                    Key::Gate => {
                        for index in 0..u32::try_from(self.secrets.len()).unwrap() {
                            self.put(id(index), own.plus(&column(index)).to_bytes(), oracle)?;
                        }
                    }
                    Key::GateKey => {
                        let gate = self.store.get(&place("sum", other(Key::Gate) as u64))?;
                        self.put(id(0), own.plus(&Lanes::from_bytes(&gate).unwrap()).to_bytes(), oracle)?;
                    }
                    Key::Planes => {
                        let _ = self.store.get(&place("sum", other(Key::GateKey) as u64))?;
                        for index in 0..PLANES_BODIES {
                            self.put(id(index), own.plus(&column(index)).to_bytes(), oracle)?;
                        }
                    }
                    Key::PlaneOpenings => {
                        let coins = self.coins(KeyStep::Planes)?;
                        let opening = own.plus(&coins).to_bytes();
                        self.put(id(0), self.garbled(id(0), opening), oracle)?;
                    }
                    Key::RelinRoundTwo => {
                        let share = own.plus(&self.round_one.expect("the sums of round one"));
                        self.put(id(0), share.to_bytes(), oracle)?;
                    }
                    Key::RelinRoundOne | Key::RelinMasks => {
                        self.put(id(0), own.to_bytes(), oracle)?;
                    }
                    Key::RelinAnswers => {
                        let coins = self.coins(other(Key::RelinMasks))?;
                        for index in 0..RELIN_ANSWERS {
                            let opening = own.plus(&coins).plus(&column(index)).to_bytes();
                            self.put(id(index), self.garbled(id(index), opening), oracle)?;
                        }
                    }
                    Key::Galois => {
                        for index in 0..ROTATIONS {
                            self.put(id(index), own.plus(&column(index)).to_bytes(), oracle)?;
                        }
                    }
                }
                HospitalInput::ServingShareMade { step, body: self.root(id(0)) }
            }
            HospitalJob::AddShare { step, from, share } => {
                assert_eq!(usize::from(from.number()), self.added + 1, "{party} adds out of order");
                let share = Lanes::from_bytes(&share).unwrap();
                if step.key() == Key::Gate {
                    let own = column(u32::from(party.number()) - 1);
                    assert_eq!(share, self.key_share(from, step).plus(&own), "{party} is shown another's gate");
                }
                self.sum = self.sum.plus(&share);
                self.added += 1;
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::CheckProof { set, of, first, second, answers } => {
                let step = |key| KeyStep::of(set, key).unwrap();
                let share = |key| self.key_share(of, step(key));
                let round_one = self.round_one.expect("the sums of round one");
                let opening = share(Key::RelinAnswers).plus(&self.coins(step(Key::RelinMasks))?);
                assert_eq!(first, share(Key::RelinRoundOne).to_bytes(), "{party} is shown another's share");
                assert_eq!(second, share(Key::RelinRoundTwo).plus(&round_one).to_bytes());
                assert_ne!(of, party);
                oracle.proved(party, of);
                let step = step(Key::RelinAnswers);
                let expected = (0..RELIN_ANSWERS).map(|index| opening.plus(&column(index)).to_bytes());
                if expected.eq(answers) {
                    return Ok(HospitalDone::Nothing);
                }
                HospitalInput::SumWrong { step, of: Some(of), reject: Reject::RelinProofWrong }
            }
            HospitalJob::AddPlanes { from, key, coin, digests } => {
                assert_eq!(usize::from(from.number()), self.added + 1, "{party} takes planes up out of order");
                let share = self.key_share(from, KeyStep::Planes);
                for (index, body) in (0..).zip([key, coin, digests]) {
                    assert_eq!(body, share.plus(&column(index)).to_bytes(), "{party} is shown other planes");
                }
                self.sum = self.sum.plus(&share);
                self.added += 1;
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::CheckPlanes { of, seeds } => {
                let opening = self.key_share(of, KeyStep::PlaneOpenings).plus(&self.coins(KeyStep::Planes)?);
                assert_ne!(of, party);
                oracle.saw_planes(party, of);
                if seeds == opening.to_bytes() {
                    return Ok(HospitalDone::Nothing);
                }
                let (step, reject) = (KeyStep::PlaneOpenings, Reject::PlanesWrong);
                HospitalInput::SumWrong { step, of: Some(of), reject }
            }
            HospitalJob::AddParts { parts, index, bodies } => {
                let sum = bodies.iter().fold(Lanes::default(), |sum, (_, body)| {
                    sum.plus(&Lanes::from_bytes(body).expect("the bytes that their maker signed"))
                });
                self.part(parts, index, sum.to_bytes())?;
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::TakePart { parts, index, makers, body } => {
                assert_eq!(makers.len(), self.secrets.len(), "everybody's");
                oracle.taken(party, parts, index);
                self.part(parts, index, body)?;
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::FinishModel { attempt, model } => {
                let own = self.store.get(&place("model", u64::from(attempt.0)))?;
                if BodyRoot::of(&[Digest::of_bytes(&own)], own.len() as u64).root == model {
                    HospitalInput::ModelAdded { attempt }
                } else {
                    HospitalInput::ModelWrong { attempt, reject: Reject::ModelSumDiffers }
                }
            }
            HospitalJob::LoadModel => return Ok(HospitalDone::Nothing),
            HospitalJob::Evaluate { head, .. } if self.borrows && oracle.results.contains_key(&head.query) => {
                let (result, root) = oracle.results[&head.query];
                self.results.insert(head.query, result);
                HospitalInput::Evaluated { query: head.query, result: root }
            }
            HospitalJob::Evaluate { head, parts, .. } => {
                let facts = self.store.read(Stream::Facts)?;
                let facts: HospitalFacts = facts.iter().map(|bytes| Fact::from_bytes(bytes).unwrap()).collect();
                let (attempt, _) = facts.model_checked().expect("evaluates what it added up");
                let model = self.store.get(&place("model", u64::from(attempt.0)))?;
                let result = Lanes::from_bytes(&parts[0]).unwrap().plus(&Lanes::from_bytes(&model).unwrap());
                let bytes = result.to_bytes();
                self.results.insert(head.query, result);
                let root = BodyRoot::of(&[Digest::of_bytes(&bytes)], bytes.len() as u64);
                oracle.evaluated(party, head.query, (result, root));
                HospitalInput::Evaluated { query: head.query, result: root }
            }
            HospitalJob::FinishSum { step, sum } => {
                let (own, _) = (std::mem::take(&mut self.sum), std::mem::take(&mut self.added));
                let parts = match step.key() {
                    Key::Galois => std::mem::take(&mut self.rotations),
                    _ => vec![own.to_bytes()],
                };
                let bytes: Bytes = parts.concat().into();
                let digests: Vec<Digest> = parts.iter().map(|part| Digest::of_bytes(part)).collect();
                let is_for_all = step.list_of(&BTreeMap::new()).is_none();
                if is_for_all && BodyRoot::of(&digests, bytes.len() as u64) != sum {
                    return Ok(HospitalDone::Input(HospitalInput::SumWrong {
                        step,
                        of: None,
                        reject: Reject::SumDiffers,
                    }));
                }
                self.store.put(&place("sum", step as u64), &bytes)?;
                self.takes(step, &bytes);
                HospitalInput::SumAdded { step, sum }
            }
            HospitalJob::TakeSum { step, sum } => {
                assert_eq!(self.store.get(&place("sum", step as u64))?, sum, "{party} takes a sum of others");
                self.takes(step, &sum);
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::Train { round } | HospitalJob::Count { round } => HospitalInput::Trained { round },
            HospitalJob::Encrypt { round, attempt } => {
                let mask = toy::encryption_mask(toy::secret(party, self.epoch_seed), round, attempt);
                let id = BlobId::round(BlobKind::UpdateChunk, round, attempt, Some(party), 0);
                self.put(id, self.garbled(id, Lanes::one_hot(party).plus(&mask).to_bytes()), oracle)?;
                HospitalInput::Encrypted { round, attempt, body: self.root(id) }
            }
            HospitalJob::ReleaseShares(binding) => {
                oracle.shares(party, &binding);
                let id = BlobId::round(BlobKind::Share, binding.round, binding.attempt, Some(party), 0);
                self.put(id, self.garbled(id, toy::share(party, &self.secrets, &binding).to_bytes()), oracle)?;
                HospitalInput::SharesMade { round: binding.round, attempt: binding.attempt, body: self.root(id) }
            }
            HospitalJob::AddChunk(Summands { binding, sum, is_last, updates, shares, .. }) => {
                let of = |all: &[(PartyId, Bytes)]| all.iter().map(|(maker, _)| *maker).collect::<PartySet>();
                assert!(is_last && (of(&updates), of(&shares)) == (binding.cohort, binding.decryptors));
                let added = updates.iter().chain(&shares).fold(Lanes::default(), |added, (_, body)| {
                    added.plus(&Lanes::from_bytes(body).expect("the bytes that their maker signed"))
                });
                let (round, attempt) = (binding.round, binding.attempt);
                if self.is_trusting || Digest::of_bytes(&added.to_bytes()) == sum {
                    HospitalInput::SumChecked { round, attempt }
                } else {
                    HospitalInput::SumFalse { round, attempt, reject: Reject::RoundSumDiffers }
                }
            }
            HospitalJob::OpenSum { binding, purpose, chunks } => {
                let sum = Lanes::from_bytes(&chunks[0]).unwrap();
                oracle.opened(party, self.model, binding.round, binding.attempt, &sum);
                // A real site's checks of range and presence.
                let is_plausible = sum.0.iter().all(|lane| *lane <= sum.0[toy::COUNT]);
                let model = is_plausible.then(|| match purpose {
                    RoundPurpose::Train => toy::model(self.model, &sum),
                    RoundPurpose::Figures | RoundPurpose::Moments => Digest::of_bytes(&sum.to_bytes()),
                });
                HospitalInput::SumOpened { round: binding.round, attempt: binding.attempt, model }
            }
            HospitalJob::Adopt { model, .. } => {
                self.model = model;
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::KeepFigures { figures, .. } => {
                self.figures = Some(figures);
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::EncryptPublish { attempt, .. } => {
                let facts = self.store.read(Stream::Facts)?;
                let facts: HospitalFacts = facts.iter().map(|bytes| Fact::from_bytes(bytes).unwrap()).collect();
                assert!(facts.key_sum(KeyStep::GateKey).is_some(), "{party} contributes without a gate key");
                let id = BlobId::round(BlobKind::PublishChunk, RoundId(0), attempt, Some(party), 0);
                self.put(id, Lanes::one_hot(party).to_bytes(), oracle)?;
                HospitalInput::PublishEncrypted { attempt, body: self.root(id) }
            }
            HospitalJob::PrepareQuery { query, model, program, .. } => {
                let id = BlobId::query(BlobKind::Query, query, Some(party), 0);
                self.put(id, image(query).to_bytes(), oracle)?;
                return Ok(HospitalDone::Asked(HospitalInput::Ask { query, program, model, body: self.root(id) }));
            }
            HospitalJob::ReleaseSwitch { binding, .. } => {
                oracle.switches(party, &binding);
                let result = self.results.get(&binding.query).copied().unwrap();
                // The first of T adds what is public of the result.
                let own = if binding.decryptors.first() == Some(party) { result } else { Lanes::default() };
                let id = BlobId::query(BlobKind::SwitchShare, binding.query, Some(party), 0);
                let share = toy::zero_sum(binding.digest(), party, binding.decryptors).plus(&own);
                self.put(id, share.to_bytes(), oracle)?;
                HospitalInput::SwitchMade { query: binding.query, body: self.root(id) }
            }
            HospitalJob::ReadAnswer { binding, boxes, .. } => {
                let makers: PartySet = boxes.iter().map(|(maker, _)| *maker).collect();
                assert_eq!(makers, binding.decryptors);
                let shares = boxes.iter().map(|(_, share)| Lanes::from_bytes(share).unwrap());
                let answer = shares.fold(Lanes::default(), |sum, share| sum.plus(&share));
                oracle.answered(party, binding.query, &answer.minus(&image(binding.query)));
                return Ok(HospitalDone::Nothing);
            }
        };
        Ok(HospitalDone::Input(input))
    }

    fn of_head(&mut self) -> HeadSite<'_> {
        HeadSite {
            party: self.party,
            secret: toy::secret(self.party, self.epoch_seed),
            head: &mut self.head,
            store: &mut self.store,
            model_at: place("model", 1),
            strays: self.strays,
            garbles: self.head_garbles,
        }
    }

    /// One more part of a sum of many.
    fn part(&mut self, parts: Parts, index: u32, body: Bytes) -> Result<(), StoreFault> {
        match parts {
            Parts::Rotations(_) => {
                if index == 0 {
                    self.rotations.clear();
                }
                assert_eq!(index as usize, self.rotations.len(), "{} takes rotations out of order", self.party);
                self.rotations.push(body);
            }
            Parts::Model(attempt) => {
                assert_eq!(index, 0, "a toy model has one part");
                self.store.put(&place("model", u64::from(attempt.0)), &body)?;
            }
        }
        Ok(())
    }

    /// What a hospital brings to a serving key by itself.
    fn key_share(&self, of: PartyId, step: KeyStep) -> Lanes {
        let seed = vec![u64::from(of.number()), step as u64, word(self.epoch_seed)];
        Lanes::mask(Digest::of("toy key", &seed))
    }

    /// What everybody is bound to in a step draws what is opened in the next.
    fn coins(&self, step: KeyStep) -> Result<Lanes, StoreFault> {
        let bound = self.store.get(&place("sum", step as u64))?;
        Ok(Lanes::from_bytes(&bound).unwrap())
    }

    fn takes(&mut self, step: KeyStep, sum: &Bytes) {
        if step.key() == Key::RelinRoundOne {
            self.round_one = Lanes::from_bytes(sum);
        }
    }

    /// What is sent in place of a body.
    fn garbled(&self, id: BlobId, mut body: Bytes) -> Bytes {
        let is_garbled = |(round, kind): &(RoundId, BlobKind)| (u64::from(round.0), *kind) == (id.round, id.kind);
        // Of a round the first attempt; the ceremony has one.
        if id.attempt <= 1 && self.garbles.iter().any(is_garbled) {
            body.truncate(body.len() - 1);
        }
        body
    }

    fn put(&mut self, id: BlobId, body: Bytes, oracle: &mut Oracle) -> Result<Digest, StoreFault> {
        oracle.made(self.party, id, &body);
        self.store.put(&id, &body)
    }

    fn root(&self, id: BlobId) -> BodyRoot {
        self.store.root(ListId::of(&id)).unwrap()
    }
}

/// What tells shares of different hospitals' gates apart.
fn column(index: u32) -> Lanes {
    Lanes::mask(Digest::of("toy gate", &index))
}

/// What a hospital asks about.
fn image(query: QueryId) -> Lanes {
    Lanes::mask(Digest::of("toy image", &query))
}
