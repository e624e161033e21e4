//! Hospitals in one place, who hold the whole key together, to look at what is done without it.

use he_agg::aggregation::{Flooding, MemoryLedger, VaultSecret};
use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, Encoder, EvaluationKeys, Evaluator, PublicKey};
use he_agg::multiparty::{Collective, Crs, GateHolder, GateKey, GateLabel, GateSecret, Gated, HolderKey, KeyPlan};
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, PackTree, TrainingGroup};
use ndarray::Array2;

pub(crate) const PRESET: Preset = Preset::Trn14;

/// How many they are.
pub(crate) const HOSPITALS: u16 = 3;

pub(crate) struct Holder {
    key: HolderKey,
    public: PublicKey,
    crs: Crs,
    /// Of hospital 1, 2, ...
    gates: Vec<(GateSecret, GateKey)>,
    pub(crate) encoder: Encoder,
    pub(crate) evaluator: Evaluator,
    pub(crate) stream: Stream,
}

impl Holder {
    /// With the keys of the plan, which whoever trains has.
    pub(crate) fn new(plan: &KeyPlan) -> (Self, std::sync::Arc<EvaluationKeys>) {
        let mut stream = Stream::from_seed([1; 32]);
        let made = Collective::new(Crs::new(PRESET, [2; 32]), HOSPITALS, plan, &mut stream).unwrap();
        let key = HolderKey::of_all(&made.secrets).unwrap();
        let gates = (1..=HOSPITALS).map(|hospital| made.gate(hospital, 11, &mut stream).unwrap()).collect();
        let (encoder, evaluator) = (Encoder::new(PRESET).unwrap(), Evaluator::new(PRESET).unwrap());
        (Self { key, public: made.public, crs: made.crs, gates, encoder, evaluator, stream }, made.keys)
    }

    pub(crate) fn encrypt(&mut self, slots: &[f64], scale: f64, limbs: usize) -> Ciphertext {
        let plain = self.encoder.encode(slots, scale, limbs).unwrap();
        self.public.encrypt(&plain, &mut self.stream).unwrap()
    }

    /// The rows' groups, each behind the gate of a hospital.
    pub(crate) fn groups(
        &self,
        program: &HeadProgram,
        (features, labels): (&Array2<f64>, &Array2<f64>),
    ) -> Vec<TrainingGroup<Cpu>> {
        let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
        let mut one = |group: usize| {
            let asker = group as u16 % HOSPITALS + 1;
            let (secret, key) = &self.gates[usize::from(asker) - 1];
            let vault = VaultSecret::from_bytes([asker as u8; 32]);
            let mut plain = program.encode_features(&self.encoder, features.view(), group).unwrap();
            plain.push(program.encode_labels(&self.encoder, labels.view(), group).unwrap());
            let mut gate = GateHolder { secret, crs: &self.crs, vault: &vault, ledger: &mut ledger };
            let sent = gate.encrypt(Gated::Feature, group as u64, 0, &plain).unwrap();
            let lift = |(part, sent)| {
                let label = GateLabel { what: Gated::Feature, asker, number: group as u64, part };
                self.evaluator.lift(sent, &self.crs, label, key).unwrap()
            };
            let mut features: Vec<_> = (0..).zip(&sent).map(lift).collect();
            let labels = features.pop().unwrap();
            TrainingGroup { features, labels }
        };
        (0..program.groups()).map(&mut one).collect()
    }

    pub(crate) fn refresh(&mut self, packages: &[Ciphertext], limbs: usize) -> Vec<Ciphertext> {
        let one = |package| self.key.refresh(package, (&self.public, limbs), &mut self.stream).unwrap();
        packages.iter().map(one).collect()
    }

    /// The vectors of refreshed packages, as the tree gives them.
    pub(crate) fn unpacked(&self, keys: &EvaluationKeys, tree: PackTree, packages: &[Ciphertext]) -> Vec<Vec<f64>> {
        let vectors = tree.unpack(&self.evaluator, keys, packages).unwrap();
        vectors.iter().map(|vector| self.encoder.decode(&self.key.decrypt(vector).unwrap()).unwrap()).collect()
    }

    /// The weights of refreshed packages.
    pub(crate) fn weights(&self, keys: &EvaluationKeys, program: &HeadProgram, packages: &[Ciphertext]) -> Array2<f64> {
        let tree = program.tree();
        let mut vectors = self.unpacked(keys, tree, packages);
        vectors.iter_mut().flatten().for_each(|value| *value /= tree.capacity() as f64);
        program.layout().weights_of(&vectors, program.classes())
    }
}
