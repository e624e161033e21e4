//! Three sites on real folders with real keys, and what a killed process leaves behind.

mod answers;
mod ceremony;
mod evaluation;
mod figures;
mod key_sums;
mod own_audit;
mod planes;
mod publishing;
mod relin_proof;
mod round_sums;
mod rounds;
mod spending;
mod training;

mod weights;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datasets::Normalisation;
use datasets::Samples;
use experiment::train::TrainSettings;
use experiment::{Release, Weighting};
use he_agg::Preset;
use he_agg::aggregation::{BlindedSum, ChunkId, ChunkSum, DecryptionShare, Flooding, LaneLayout, ShareContext};
use he_agg::multiparty::{Crs, ErrorBound, R1, RelinKeyShare, RelinKeySum};
use he_infer::{ImageShape, LayerSpec, Network, PixelRange, Program};

use ndarray::Array4;
use protocol::Reject;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::codec::Wire;
use protocol::facts::{Adopted, Fact};
use protocol::hospital::ShareBinding;
use protocol::ids::{Attempt, Digest, Epoch, PartyId, QueryId, RoundId};
use protocol::membership::{Membership, Seat};
use protocol::message::{KeyStep, RoundPurpose};
use protocol::party_set::PartySet;
use protocol::roster::{Member, Roster};
use protocol::sealed::OpeningKey;
use protocol::signature::SigningKey;
use protocol::terms::Terms;
use protocol::weight::WeightClass;
use tempfile::TempDir;

use super::adoption::FACTS;
use super::error::HospitalError;
use super::images::SiteImages;
use super::observer::{Activity, Observer, Timed};
use super::plan::{HospitalPlan, PlannedHead};
use super::site::Site;
use super::weights::Weights;
use crate::train::TrainDevice;
use crate::vault::Vault;

const N: u16 = 3;

fn seed() -> Digest {
    Digest([0x5e; 32])
}

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn everyone() -> PartySet {
    (1..=N).map(party).collect()
}

struct Silent;

impl Observer for Silent {
    fn activity(&self, _: PartyId, _: Activity) {}
    fn timed(&self, _: PartyId, _: RoundId, _: Timed, _: Duration) {}
    fn switched(&self, _: PartyId, _: QueryId, _: Duration) {}
    fn trained(&self, _: PartyId, _: RoundId, _: f64, _: usize) {}
    fn refused(&self, _: PartyId, _: &str) {}
}

/// Hears what was evaluated, and of how many fetched bytes.
#[derive(Default)]
struct Evaluated(std::sync::Mutex<Vec<(QueryId, u64)>>);

impl Observer for Evaluated {
    fn evaluated(&self, _: PartyId, query: QueryId, fetched_bytes: u64) {
        self.0.lock().unwrap().push((query, fetched_bytes));
    }
    fn activity(&self, _: PartyId, _: Activity) {}
    fn timed(&self, _: PartyId, _: RoundId, _: Timed, _: Duration) {}
    fn switched(&self, _: PartyId, _: QueryId, _: Duration) {}
    fn trained(&self, _: PartyId, _: RoundId, _: f64, _: usize) {}
    fn refused(&self, _: PartyId, _: &str) {}
}

/// Six pixels squared, two classes: small enough for real keys in a test.
fn program() -> Program {
    let layers = vec![LayerSpec::conv(2, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(2)];
    let network = Network::new(ImageShape::new(1, 6, 6), layers).unwrap();
    Program::compile(&network, Preset::Inf13.params()).unwrap()
}

/// 1/2, 1 and 1/4: no two sites count alike.
fn weight(number: u16) -> WeightClass {
    WeightClass::halved([1, 0, 2][usize::from(number) - 1]).unwrap()
}

/// Whom the three sites approved.
fn membership() -> Membership {
    let seat = |number: u16| Seat {
        name: format!("hospital {number}"),
        organisation: format!("Clinic {number}"),
        weight: weight(number),
        verifying: SigningKey::from_seed(&[number as u8; 32]).unwrap().verifying_key(),
        tls_key: Digest([number as u8; 32]),
    };
    let coordinator = SigningKey::from_seed(&[99; 32]).unwrap().verifying_key();
    Membership { threshold: 3, coordinator, seats: (1..=N).map(seat).collect() }
}

/// What the three sites approved.
fn terms() -> Terms {
    Terms {
        experiment: Digest([1; 32]),
        parameters: Digest([2; 32]),
        program: Digest([3; 32]),
        initial_model: Digest([4; 32]),
        rounds: 3,
        figure_rounds: 0,
        chunks: 1,
        min_cohort: 3,
        attempts_max: 3,
        attempts_ahead: 1,
        tau_aggregation: 1 << 14,
        tau_serving: 1 << 10,
        queries_per_asker_max: 10,
        planes: 0,
        leak_bits_per_answer: 100,
        leak_bits_max: u64::MAX,
        patience_ms: 1_000,
        round_deadline_ms: 1_000,
        query_deadline_ms: 1_000,
        head: None,
    }
}

fn plan(number: u16, program: &Arc<Program>) -> HospitalPlan {
    let flooding = Flooding::secure(40, 1 << 14).unwrap();
    let layout = LaneLayout::new(Preset::Agg13.params(), N, 2, 16, flooding).unwrap().with_three_contributors();
    HospitalPlan {
        party: party(number),
        epoch: Epoch(1),
        coordinator: SigningKey::from_seed(&[99; 32]).unwrap().verifying_key(),
        membership: membership().digest(),
        terms: terms(),
        layout,
        clip: 0.5,
        weights: Weights::new(Weighting::Declared, &membership()),
        program: Arc::clone(program),
        head: None,
        release: Release {
            flooding: Flooding::secure(40, 1 << 10).unwrap(),
            bound: ErrorBound::at_least(60.0).unwrap(),
            logit_error: 0.0,
            logit_max: 0.0,
            pixels: PixelRange::new(-2.0, 2.0).unwrap(),
        },
        normalisation: Normalisation { mean: 0.0, std: 1.0 },
        publish_clip: 0.5,
        training: TrainSettings::default(),
        device: TrainDevice::cpu(),
        local_epochs: 1,
        privacy: None,
        patients: None,
        final_step: true,
        earlier: Vec::new(),
        start: None,
        keeps_ceremony: false,
        seed: 7,
        answer_within: Duration::from_secs(1),
    }
}

fn samples(number: u16) -> Samples {
    samples_of(number, 8)
}

fn samples_of(number: u16, count: usize) -> Samples {
    let images = Array4::from_shape_fn((count, 1, 6, 6), |(n, _, y, x)| {
        ((n + usize::from(number) * 3 + y * 5 + x * 7) % 11) as f32 / 11.0
    });
    Samples {
        images,
        labels: (0..count).map(|n| (n % 2) as u8).collect(),
        groups: (0..count as u32).collect(),
        sites: vec![0; count],
        names: vec![String::new(); count],
    }
}

fn open(root: &Path, vault: Arc<Vault>, plan: HospitalPlan) -> Result<Site, HospitalError> {
    let data = samples(plan.party.number());
    Site::open(root, vault, plan, SiteImages::to_train_on(data), Arc::new(Silent))
}

/// A new process in the folder of the old one: nothing but vault, journal and spool is left.
fn reopened(site: Site, root: &Path) -> Site {
    let plan = site.plan.clone();
    let Site { vault, .. } = site;
    open(root, vault, plan).unwrap()
}

struct Consortium {
    folder: TempDir,
    roster: Roster,
    opening: Vec<OpeningKey>,
    sites: Vec<Site>,
}

impl Consortium {
    fn new() -> Self {
        Self::over(program(), 0)
    }

    /// For a program, with so many planes of each hospital.
    fn over(program: Program, planes: u32) -> Self {
        Self::of(program, planes, None)
    }

    fn of(program: Program, planes: u32, head: Option<PlannedHead>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opening: Vec<OpeningKey> = (1..=N).map(|_| OpeningKey::generate().unwrap()).collect();
        let members = (1..=N).zip(&opening).map(|(number, opening)| Member {
            party: party(number),
            name: format!("hospital {number}"),
            organisation: format!("Clinic {number}"),
            weight: weight(number),
            verifying: SigningKey::from_seed(&[number as u8; 32]).unwrap().verifying_key(),
            sealing: opening.sealing_key().clone(),
            tls_key: Digest([number as u8; 32]),
        });
        let coordinator = SigningKey::from_seed(&[99; 32]).unwrap().verifying_key();
        let roster = Roster::new(Epoch(1), 3, Digest([2; 32]), coordinator, members.collect()).unwrap();
        let program = Arc::new(program);
        let sites = (1..=N).map(|number| {
            let root = folder.path().join(number.to_string());
            let vault = Arc::new(Vault::for_tests(&root.join("vault")));
            let mut plan = plan(number, &program);
            plan.terms.planes = planes;
            plan.head = head.clone();
            open(&root, vault, plan).unwrap()
        });
        let sites = sites.collect();
        Self { folder, roster, opening, sites }
    }

    /// Dealt and opened: everybody has the keys of an epoch.
    fn with_keys() -> Self {
        Self::new().dealt()
    }

    fn dealt(self) -> Self {
        let mut all = self;
        all.deal();
        for number in 1..=N {
            let boxes = all.boxes_for(number);
            let opening = &all.opening[usize::from(number) - 1];
            all.sites[usize::from(number) - 1].open_dealings(&all.roster, opening, &boxes).unwrap().unwrap();
        }
        all
    }

    fn deal(&mut self) {
        for site in &mut self.sites {
            site.deal_keys(&self.roster, seed()).unwrap();
        }
    }

    fn boxes_for(&self, number: u16) -> Vec<(PartyId, Bytes)> {
        let boxed = |site: &Site| {
            let dealer = site.plan.party;
            let id = BlobId::ceremony(BlobKind::Dealing, Some(dealer), u32::from(number));
            (dealer, site.outbox.get(&id).unwrap())
        };
        self.sites.iter().map(boxed).collect()
    }

    fn root(&self, number: u16) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    fn site(&mut self, number: u16) -> &mut Site {
        &mut self.sites[usize::from(number) - 1]
    }

    /// Kills hospital `number` and starts it again.
    fn restart(&mut self, number: u16) {
        let root = self.root(number);
        let at = usize::from(number) - 1;
        let site = self.sites.remove(at);
        self.sites.insert(at, reopened(site, &root));
    }

    /// Another process in a copy of the folder of hospital `number`, as it is now.
    fn twin(&self, number: u16, name: &str) -> (PathBuf, Site) {
        let (from, to) = (self.root(number), self.folder.path().join(name));
        copy(&from, &to);
        let vault = Arc::new(Vault::for_tests(&to.join("vault")));
        let plan = self.sites[usize::from(number) - 1].plan.clone();
        let site = open(&to, vault, plan).unwrap();
        (to, site)
    }

    /// All hospitals' shares of a serving key, as the coordinator shows them to all.
    fn shares(&mut self, step: KeyStep) -> Vec<(PartyId, Bytes)> {
        let share = |site: &mut Site| {
            site.serving_share(step).unwrap();
            (site.plan.party, site.outbox.get(&step.body(Some(site.plan.party), 0)).unwrap())
        };
        self.sites.iter_mut().map(share).collect()
    }

    /// What an honest coordinator makes of them.
    fn sum_of(&self, step: KeyStep, shares: &[(PartyId, Bytes)]) -> Bytes {
        let crs = Crs::new(Preset::Inf13, seed().0);
        let limbs = self.sites[0].plan.program.key_plan().relin_limbs;
        match step {
            KeyStep::RelinRoundOne => {
                let mut sum = RelinKeySum::<R1>::new(&crs, limbs, N).unwrap();
                for (_, share) in shares {
                    sum.absorb(&RelinKeyShare::<R1>::from_bytes(share, &crs).unwrap()).unwrap();
                }
                Bytes::from(sum.finish().unwrap().to_bytes())
            }
            _ => unreachable!("{step:?} is not added here"),
        }
    }

    /// What all hospitals bring to the gate of one, as the coordinator shows it to that one.
    fn gate_of(&self, asker: u16) -> Vec<(PartyId, Bytes)> {
        self.gate_in(KeyStep::Gate, asker)
    }

    /// The same of one set or the other.
    fn gate_in(&self, step: KeyStep, asker: u16) -> Vec<(PartyId, Bytes)> {
        let id = |from| step.body(Some(from), u32::from(asker) - 1);
        self.sites.iter().map(|site| (site.plan.party, site.outbox.get(&id(site.plan.party)).unwrap())).collect()
    }

    /// Everybody has its gate added up and its key made, and holds all keys; says what all signed for.
    fn gates(&mut self) -> BodyRoot {
        self.shares(KeyStep::Gate);
        for number in 1..=N {
            let shares = self.gate_of(number);
            assert_eq!(add(self.site(number), KeyStep::Gate, &shares, BodyRoot::default()), None);
        }
        let keys = self.shares(KeyStep::GateKey);
        let list = list_of_all(&keys);
        for site in &mut self.sites {
            assert_eq!(add(site, KeyStep::GateKey, &keys, list), None);
        }
        list
    }

    /// All hospitals add up a serving key, and find what the coordinator announces.
    fn adds(&mut self, step: KeyStep) {
        let shares = self.shares(step);
        let sum = root_of(&self.sum_of(step, &shares));
        for site in &mut self.sites {
            assert_eq!(add(site, step, &shares, sum), None);
        }
    }

    fn binding(&self, round: u32) -> ShareBinding {
        ShareBinding {
            epoch: Epoch(1),
            round: RoundId(round),
            attempt: Attempt::FIRST,
            cohort: everyone(),
            decryptors: [1, 2].map(party).into_iter().collect(),
            manifest: Digest([7; 32]),
            chunks: 1,
        }
    }

    /// Trains, encrypts and adds up a round; returns the blinded sum, which nobody has opened.
    fn sum(&mut self, round: u32) -> (ShareBinding, Vec<Bytes>) {
        for site in &mut self.sites {
            site.train(RoundId(round)).unwrap();
        }
        self.sum_of_sealed(round)
    }

    /// Encrypts and adds up what all have sealed for a round.
    fn sum_of_sealed(&mut self, round: u32) -> (ShareBinding, Vec<Bytes>) {
        let binding = self.binding(round);
        let (id, attempt) = (RoundId(round), Attempt::FIRST);
        let layout = self.sites[0].plan.layout.clone();
        let epoch = Crs::new(self.sites[0].plan.presets().0, seed().0).epoch();
        let chunk = ChunkId { epoch, round, attempt: 1, chunk: 0 };
        let context = ShareContext::new(&layout, chunk, &[1, 2, 3], &[1, 2], binding.manifest.0).unwrap();
        let mut sum = ChunkSum::new(&layout, chunk);
        let mut shares = Vec::new();
        for site in &mut self.sites {
            let party = site.plan.party;
            assert_eq!(site.encrypt(id, attempt).unwrap().count, 1);
            let place = BlobId::round(BlobKind::UpdateChunk, id, attempt, Some(party), 0);
            sum.absorb_bytes(&site.outbox.get(&place).unwrap(), &layout).unwrap();
        }
        for site in self.sites.iter_mut().take(2) {
            let party = site.plan.party;
            site.release_shares(&binding).unwrap();
            let place = BlobId::round(BlobKind::Share, id, attempt, Some(party), 0);
            let share = site.outbox.get(&place).unwrap();
            shares.push(DecryptionShare::from_bytes(&share, &layout, &context).unwrap());
        }
        let blinded = BlindedSum::combine(&layout, &context, &sum, &shares).unwrap();
        (binding, vec![Bytes::from(blinded.to_bytes())])
    }

    /// A whole round, in which all hospitals adopt one model.
    fn round(&mut self, round: u32) -> Digest {
        let (binding, sums) = self.sum(round);
        let opened: Vec<Digest> = self
            .sites
            .iter_mut()
            .map(|site| site.open_sum(&binding, RoundPurpose::Train, &sums).unwrap().unwrap())
            .collect();
        assert!(opened.iter().all(|model| *model == opened[0]));
        for site in &mut self.sites {
            state_adoption(site, round, opened[0]);
            site.adopt(RoundId(round), opened[0]).unwrap();
        }
        opened[0]
    }
}

fn root_of(body: &[u8]) -> BodyRoot {
    BodyRoot::of(&[Digest::of_bytes(body)], body.len() as u64)
}

/// What the log says of bodies that nobody adds up: one of each hospital.
fn list_of_all(bodies: &[(PartyId, Bytes)]) -> BodyRoot {
    BodyRoot::of_lists(&bodies.iter().map(|(_, body)| root_of(body)).collect::<Vec<_>>())
}

/// What a site says when it has added shares whose sum is announced.
fn add(site: &mut Site, step: KeyStep, shares: &[(PartyId, Bytes)], announced: BodyRoot) -> Option<Reject> {
    for (from, share) in shares {
        if let Some(reject) = site.add_share(step, *from, share).unwrap() {
            return Some(reject);
        }
    }
    site.finish_sum(step, announced).unwrap()
}

/// What the process writes before it puts a model in place.
fn state_adoption(site: &Site, round: u32, model: Digest) {
    let fact = Fact::Adopted(Adopted { round: RoundId(round), model });
    site.journal.append(&site.record(FACTS), &fact.to_bytes()).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
