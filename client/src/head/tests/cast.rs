//! A small head, everybody's keys, and a step's parts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use he_agg::aggregation::{Flooding, MaskKey, VaultSecret};
use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, Encoder, Evaluator};
use he_agg::multiparty::{Collective, Crs, GateKey, GateSecret, HolderKey, KeyPlan, Quorum};
use he_agg::{Preset, Stream};
use he_train::encrypted::{
    HeadError, HeadProgram, HeadRun, HeadTransfer, RefreshGoal, RefreshOrder, RefreshTerms, TrainingGroup,
    blinded_sums, lift_group,
};
use he_train::{HeadLoss, Recipe, Shadow, shadow};
use ndarray::Array2;
use protocol::BodyRoot;
use protocol::store::Journal;

use crate::head::{HeadDecryptor, HeadSecrets, HeadSite};
use crate::ledger::DiskLedger;

pub(super) const HOSPITALS: u16 = 3;
const ROWS: usize = 400;
pub(super) const STEPS: usize = 3;

/// A key with everybody's gate of it.
struct Keyed {
    keys: Collective,
    gates: Arc<[GateKey]>,
    evaluator: Evaluator,
}

/// Everything but the hospitals.
pub(super) struct Cast {
    program: Arc<HeadProgram>,
    transfer: HeadTransfer,
    training: Keyed,
    serving: Keyed,
    pub(super) terms: RefreshTerms,
    groups: Arc<[TrainingGroup<Cpu>]>,
    /// The only group, as hospital 1 sent it.
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) shadow: Shadow,
}

/// What a step sends.
pub(super) struct Sent {
    pub(super) shares: Vec<Vec<Vec<u8>>>,
    pub(super) masks: Vec<(u16, Vec<Vec<u8>>)>,
}

pub(super) type Decryptor = HeadDecryptor<DiskLedger>;

fn samples() -> (Array2<f64>, Array2<f64>) {
    let value = |row: usize, column: usize| ((row * 31 + column * 17) % 23) as f64 / 11.0 - 1.0;
    let features = Array2::from_shape_fn((ROWS, 3), |(row, column)| if column == 2 { 1.0 } else { value(row, column) });
    let labels = Array2::from_shape_fn((ROWS, 1), |(row, _)| value(row, 0) - 0.5 * value(row, 1));
    (features, labels)
}

fn keyed(preset: Preset, plan: &KeyPlan, limbs: usize, stream: &mut Stream) -> (Keyed, Vec<GateSecret>) {
    let keys = Collective::new(Crs::new(preset, stream.seed()), HOSPITALS, plan, stream).unwrap();
    let (secrets, gates): (_, Vec<_>) = (1..=HOSPITALS).map(|party| keys.gate(party, limbs, stream).unwrap()).unzip();
    (Keyed { keys, gates: gates.into(), evaluator: Evaluator::new(preset).unwrap() }, secrets)
}

impl Cast {
    /// All rows are hospital 1's. The sites have their ledgers below the folder.
    pub(super) fn new(folder: &Path) -> (Self, Vec<HeadSite<DiskLedger>>) {
        let recipe = Recipe {
            loss: HeadLoss::Squared,
            steps: STEPS,
            rows_per_group: 8_192,
            groups_per_batch: 1,
            learning_rate: 0.5,
            late_rate: 0.5,
            momentum: 0.9,
            weight_decay: 0.0,
        };
        let (features, labels) = samples();
        let recipe = recipe.spread(ROWS, 8_192);
        let program = Arc::new(HeadProgram::new(Preset::Trn14, recipe, features.dim(), 1).unwrap());
        let padded = |values: &Array2<f64>| {
            let mut padded = Array2::zeros((8_192, values.ncols()));
            padded.slice_mut(ndarray::s![..ROWS, ..]).assign(values);
            padded
        };
        let shadow = shadow(&recipe, &padded(&features), &padded(&labels)).unwrap();
        let transfer = HeadTransfer::new(&program).unwrap();
        let mut stream = Stream::from_seed([5; 32]);
        let (training, gates) = keyed(Preset::Trn14, &program.key_plan(), program.top_limbs(), &mut stream);
        let plan = KeyPlan::default();
        let (serving, serving_gates) = keyed(Preset::Inf15x90, &plan, transfer.package_limbs(), &mut stream);
        let quorum = Quorum { threshold: 2, parties: HOSPITALS };
        let flooding = Flooding::secure(48, 1 << 12).unwrap();
        let terms = RefreshTerms { crs: training.keys.crs.clone(), quorum, flooding, program: program.digest() };
        let epoch = training.keys.crs.epoch();
        let halves: Vec<[u8; 32]> = (0..HOSPITALS).map(|_| stream.seed()).collect();
        let named: Vec<(u16, &[u8; 32])> = (1..).zip(&halves).collect();
        let held = training.keys.deal(quorum.threshold, &mut stream).unwrap();
        let mut sites = Vec::new();
        for (((own, points), gate), serving_gate) in named.iter().zip(held).zip(gates).zip(serving_gates) {
            let others = named.iter().filter(|other| other.0 != own.0);
            let pairs: BTreeMap<_, _> = others.map(|it| (it.0, MaskKey::pair(&epoch, *own, *it))).collect();
            let (group, vault) = (MaskKey::group(&epoch, &named), VaultSecret::from_bytes([own.0 as u8; 32]));
            let secrets = HeadSecrets { party: own.0, points, pairs, group, vault, gate, serving_gate };
            let ledger = ledger(&folder.join(format!("{}", own.0)), flooding);
            sites.push(HeadSite::new(secrets, terms.clone(), ledger));
        }
        let encoder = Encoder::new(Preset::Trn14).unwrap();
        let mut plain = program.encode_features(&encoder, features.view(), 0).unwrap();
        plain.push(program.encode_labels(&encoder, labels.view(), 0).unwrap());
        let sent = sites[0].encrypt(0, &plain).unwrap();
        let gate = (&training.keys.crs, &training.gates[0]);
        let groups = Arc::from([lift_group(&program, &training.evaluator, gate, 0, &sent).unwrap()]);
        (Self { program, transfer, training, serving, terms, groups, sent, shadow }, sites)
    }

    pub(super) fn run(&self) -> HeadRun<Cpu> {
        self.run_over(&self.groups).unwrap()
    }

    /// The two who decrypt, before the first step. Goals are that of the next step and of serving.
    pub(super) fn deciding(
        &self,
        sites: Vec<HeadSite<DiskLedger>>,
        [next, serving]: [&RefreshGoal<Cpu>; 2],
    ) -> Vec<Decryptor> {
        sites
            .into_iter()
            .take(2)
            .map(|site| HeadDecryptor::new(site, self.run(), next.clone(), serving.clone()))
            .collect()
    }

    /// The same over other groups.
    pub(super) fn run_over(&self, groups: &Arc<[TrainingGroup<Cpu>]>) -> Result<HeadRun<Cpu>, HeadError> {
        let Keyed { keys, evaluator, .. } = &self.training;
        HeadRun::new(Arc::clone(&self.program), *evaluator, Arc::clone(&keys.keys), Arc::clone(groups))
    }

    /// What comes of hospital 1's upload.
    pub(super) fn lift(&self, sent: &[Vec<u8>]) -> Result<TrainingGroup<Cpu>, HeadError> {
        let Keyed { keys, gates, evaluator } = &self.training;
        lift_group(&self.program, evaluator, (&keys.crs, &gates[0]), 0, sent)
    }

    /// The keys of the next step, and of serving.
    pub(super) fn goals(&self) -> [RefreshGoal<Cpu>; 2] {
        let Keyed { keys, gates, evaluator } = &self.training;
        let of = (Arc::clone(gates), *evaluator);
        let next = RefreshGoal::next_step(&self.program, keys.crs.clone(), of);
        let Keyed { keys, gates, evaluator } = &self.serving;
        let of = (Arc::clone(gates), *evaluator);
        [next, RefreshGoal::serving(&self.transfer, keys.crs.clone(), of)]
    }

    /// Of the key that is trained under.
    pub(super) fn evaluator(&self) -> &Evaluator {
        &self.training.evaluator
    }

    /// The weights of packages as a step leaves them, read with everybody's secrets.
    pub(super) fn weights(&self, packages: &[Vec<u8>]) -> Array2<f64> {
        let Keyed { keys, evaluator, .. } = &self.training;
        let holder = HolderKey::of_all(&keys.secrets).unwrap();
        let (mut stream, limbs) = (Stream::from_seed([6; 32]), self.program.top_limbs());
        let read = |bytes: &Vec<u8>| Ciphertext::from_bytes(bytes, Preset::Trn14).unwrap();
        let fresh: Vec<Ciphertext> =
            packages.iter().map(|it| holder.refresh(&read(it), (&keys.public, limbs), &mut stream).unwrap()).collect();
        let (tree, encoder) = (self.program.tree(), Encoder::new(Preset::Trn14).unwrap());
        let vectors = tree.unpack(evaluator, &keys.keys, &fresh).unwrap();
        let slots = |vector: &Ciphertext| {
            let slots = encoder.decode(&holder.decrypt(vector).unwrap()).unwrap();
            slots.iter().map(|value| value / tree.capacity() as f64).collect()
        };
        self.program.layout().weights_of(&vectors.iter().map(slots).collect::<Vec<_>>(), 1)
    }

    /// Something as fresh as what a refresh gives.
    pub(super) fn fresh(&self) -> Ciphertext {
        Ciphertext::zero(Preset::Trn14, self.program.top_limbs(), self.program.ahead_scale()).unwrap()
    }

    /// The keys with which everybody can read the head that is served.
    pub(super) fn serving_secrets(&self) -> HolderKey {
        HolderKey::of_all(&self.serving.keys.secrets).unwrap()
    }
}

/// The ledger of a hospital, as it stands in its folder.
pub(super) fn ledger(folder: &Path, flooding: Flooding) -> DiskLedger {
    std::fs::create_dir_all(folder).unwrap();
    DiskLedger::open(Arc::new(Journal::open(&folder.join("journal.sqlite")).unwrap()), "head", flooding).unwrap()
}

pub(super) fn order(step: u32) -> RefreshOrder {
    RefreshOrder { step, attempt: 0, opener: 2, decryptors: vec![1, 2], zeros: Vec::new() }
}

pub(super) fn packages(run: &mut HeadRun<Cpu>) -> Vec<Vec<u8>> {
    run.take().unwrap().iter().map(Ciphertext::to_bytes).collect()
}

/// What the log says of them.
pub(super) fn root(packages: &[Vec<u8>]) -> BodyRoot {
    BodyRoot::of_bodies(packages)
}

/// Everybody's shares and masks of these packages.
pub(super) fn shares(decryptors: &mut [Decryptor], order: &RefreshOrder, packages: &[Vec<u8>]) -> Sent {
    let mut sent = Sent { shares: Vec::new(), masks: Vec::new() };
    for decryptor in decryptors {
        let parts = decryptor.share(order, root(packages)).unwrap();
        let (shares, masks) = parts.into_iter().map(|part| (part.share, part.mask)).unzip();
        sent.shares.push(shares);
        sent.masks.push((decryptor.party(), masks));
    }
    sent
}

/// The coordinator's sums of these.
pub(super) fn sums(
    cast: &Cast,
    (order, run): (&RefreshOrder, &mut HeadRun<Cpu>),
    goal: &RefreshGoal<Cpu>,
    sent: &Sent,
) -> Vec<Vec<u8>> {
    blinded_sums(&cast.terms.contexts(order, run.take().unwrap(), goal).unwrap(), &sent.shares).unwrap()
}
