//! One party that holds the whole key, to look at what is done without it.

use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, Encoder, EvaluationKeys, Evaluator, PublicKey};
use he_agg::multiparty::{Collective, Crs, HolderKey, KeyPlan};
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, PackTree, TrainingGroup};
use ndarray::Array2;

pub(crate) const PRESET: Preset = Preset::Trn14;

pub(crate) struct Holder {
    key: HolderKey,
    public: PublicKey,
    pub(crate) encoder: Encoder,
    pub(crate) evaluator: Evaluator,
    pub(crate) stream: Stream,
}

impl Holder {
    /// With the keys of the plan, which whoever trains has.
    pub(crate) fn new(plan: &KeyPlan) -> (Self, EvaluationKeys) {
        let mut stream = Stream::from_seed([1; 32]);
        let made = Collective::new(Crs::new(PRESET, [2; 32]), 1, plan, &mut stream).unwrap();
        let key = HolderKey::new(made.secrets.into_iter().next().unwrap());
        let (encoder, evaluator) = (Encoder::new(PRESET).unwrap(), Evaluator::new(PRESET).unwrap());
        (Self { key, public: made.public, encoder, evaluator, stream }, made.keys)
    }

    pub(crate) fn encrypt(&mut self, slots: &[f64], scale: f64, limbs: usize) -> Ciphertext {
        let plain = self.encoder.encode(slots, scale, limbs).unwrap();
        self.public.encrypt(&plain, &mut self.stream).unwrap()
    }

    pub(crate) fn groups(
        &mut self,
        program: &HeadProgram,
        (features, labels): (&Array2<f64>, &Array2<f64>),
    ) -> Vec<TrainingGroup<Cpu>> {
        let one = |group| {
            let features = program.encode_features(&self.encoder, features.view(), group).unwrap();
            let labels = program.encode_labels(&self.encoder, labels.view(), group).unwrap();
            let mut encrypt = |plain| self.public.encrypt(&plain, &mut self.stream).unwrap();
            TrainingGroup { features: features.into_iter().map(&mut encrypt).collect(), labels: encrypt(labels) }
        };
        (0..program.groups()).map(one).collect()
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
