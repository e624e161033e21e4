//! A head as hospitals approve it, before anybody knows how many rows there are.

use he_agg::Preset;
use he_agg::aggregation::Flooding;
use he_agg::ckks::GatedCiphertext;
use he_agg::multiparty::PlannedKeys;
use sha2::{Digest, Sha256};

use super::error::HeadError;
use super::program::HeadProgram;
use super::transfer::HeadTransfer;
use super::transfer_error::TransferError;
use crate::recipe::Recipe;

/// Recipe and shape of a head: all that its keys depend on.
#[derive(Debug, Clone)]
pub struct HeadPlan {
    /// As if there were one row.
    smallest: HeadProgram,
    transfer: HeadTransfer,
    flooding: Flooding,
}

/// Why a head cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum HeadPlanError {
    /// Its training.
    #[error(transparent)]
    Training(#[from] HeadError),
    /// Its model.
    #[error(transparent)]
    Serving(#[from] TransferError),
}

impl HeadPlan {
    /// A head of so many features and classes, trained by a recipe whose groups are what fits one ciphertext, and whose
    /// rates are for a row. Refreshes are flooded by `flooding`.
    ///
    /// # Errors
    /// [`HeadPlanError`] names what does not fit.
    pub fn new(
        preset: Preset,
        recipe: Recipe,
        (dimension, classes): (usize, usize),
        flooding: Flooding,
    ) -> Result<Self, HeadPlanError> {
        let smallest = HeadProgram::new(preset, recipe, (1, dimension), classes)?;
        let transfer = HeadTransfer::new(&smallest)?;
        Ok(Self { smallest, transfer, flooding })
    }

    /// The program as if there were one row: everything of it that depends on no rows, as how they are encoded.
    pub fn of_one_row(&self) -> &HeadProgram {
        &self.smallest
    }

    /// What hides the weights from whoever opens, for how many refreshes.
    pub fn flooding(&self) -> Flooding {
        self.flooding
    }

    /// Whether these are the ciphertexts of a group, as far as their number, shape and scale tell: what is none cannot
    /// be trained on.
    pub fn is_group(&self, sent: &[Vec<u8>]) -> bool {
        let program = &self.smallest;
        let has = |(part, bytes): (usize, &Vec<u8>)| {
            let (limbs, scale) = match part < program.layout().blocks() {
                true => (program.top_limbs(), program.feature_scale()),
                false => (program.error_limbs(), program.error_scale()),
            };
            let read = GatedCiphertext::from_bytes(bytes, program.preset());
            read.is_ok_and(|it| (it.limbs(), it.scale().to_bits()) == (limbs, scale.to_bits()))
        };
        sent.len() == self.group_bodies() && sent.iter().enumerate().all(has)
    }

    /// The program of the steps, where hospitals have `rows` rows in `groups` groups: all of these take part in a step,
    /// also places without a row, so that its rates are those of the recipe for as many as there are.
    ///
    /// # Errors
    /// [`HeadError`] names what does not fit.
    pub fn program(&self, rows: usize, groups: usize) -> Result<HeadProgram, HeadError> {
        let (layout, recipe) = (self.smallest.layout(), self.smallest.recipe());
        let places = groups.saturating_mul(layout.rows());
        if rows > places {
            return Err(HeadError::Count { what: "rows in these groups", found: rows, expected: places });
        }
        let shape = (places, layout.dimension());
        HeadProgram::new(self.smallest.preset(), recipe.spread(rows, places), shape, self.smallest.classes())
    }

    /// The keys of training.
    pub fn training_keys(&self) -> PlannedKeys {
        let (preset, gate_limbs) = (self.smallest.preset(), self.smallest.top_limbs());
        PlannedKeys { preset, plan: self.smallest.key_plan(), gate_limbs }
    }

    /// The keys of serving: of answers, and of what makes the model of the last step.
    pub fn serving_keys(&self) -> PlannedKeys {
        let served = self.transfer.program();
        let gate_limbs = served.gate_limbs().max(self.transfer.package_limbs());
        PlannedKeys { preset: served.params().preset, plan: self.transfer.joint_key_plan(), gate_limbs }
    }

    /// The way from the last step to the model that is served.
    pub fn transfer(&self) -> &HeadTransfer {
        &self.transfer
    }

    /// Ciphertexts of one group: its features, and its labels.
    pub fn group_bodies(&self) -> usize {
        self.smallest.layout().blocks() + 1
    }

    /// SHA-256 of recipe, shape, parameter set and flooding.
    pub fn digest(&self) -> [u8; 32] {
        let (security, releases) = (self.flooding.security(), self.flooding.releases());
        let hash = Sha256::new_with_prefix(b"he-train/head-plan/v1").chain_update(self.smallest.digest());
        hash.chain_update(security.to_le_bytes()).chain_update(releases.to_le_bytes()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::HeadLoss;
    use he_agg::Stream;
    use he_agg::aggregation::{MemoryLedger, VaultSecret};
    use he_agg::ckks::Encoder;
    use he_agg::multiparty::{Crs, GateHolder, GateSecret, Gated};
    use ndarray::Array2;

    /// Of one class 8,192 rows fit a group of TRN14.
    fn plan(change: impl FnOnce(&mut Recipe)) -> Result<HeadPlan, HeadPlanError> {
        let mut recipe = Recipe {
            loss: HeadLoss::OneVersusRest { degree: 13, range: 24.0 },
            steps: 16,
            rows_per_group: 8_192,
            groups_per_batch: 2,
            learning_rate: 0.3,
            late_rate: 0.1,
            momentum: 0.9,
            weight_decay: 0.001,
        };
        change(&mut recipe);
        HeadPlan::new(Preset::Trn14, recipe, (128, 1), Flooding::secure(48, 1 << 12).unwrap())
    }

    #[test]
    fn keys_depend_on_no_rows_and_rates_do() {
        let plan = plan(|_| {}).unwrap();
        let (few, many) = (plan.program(20_000, 3).unwrap(), plan.program(20_000, 300).unwrap());
        for program in [&few, &many] {
            assert_eq!(program.key_plan(), plan.training_keys().plan);
            assert_eq!(program.top_limbs(), plan.training_keys().gate_limbs);
            assert_eq!(HeadTransfer::new(program).unwrap().joint_key_plan(), plan.serving_keys().plan);
        }
        assert_eq!((few.groups(), many.groups()), (3, 300));
        let stretch = many.recipe().learning_rate / few.recipe().learning_rate;
        assert!((stretch - 100.0).abs() < 1e-9, "{stretch}");
        // One more than the places of a group.
        let rows = plan.program(8_193, 1);
        assert!(matches!(rows, Err(HeadError::Count { found: 8_193, expected: 8_192, .. })), "{rows:?}");
    }

    #[test]
    fn both_sets_of_keys_let_in_what_comes_through_their_gates() {
        let plan = plan(|_| {}).unwrap();
        let (training, serving) = (plan.training_keys(), plan.serving_keys());
        assert_eq!((training.preset, serving.preset), (Preset::Trn14, Preset::Inf15x90));
        let served = plan.transfer().program();
        assert!(serving.gate_limbs >= served.gate_limbs() && serving.gate_limbs >= plan.transfer().package_limbs());
        assert_eq!(plan.group_bodies(), plan.program(8_192, 1).unwrap().layout().blocks() + 1);
    }

    #[test]
    fn a_group_is_as_many_ciphertexts_of_the_right_shape_as_the_plan_says() {
        let plan = plan(|_| {}).unwrap();
        let mut stream = Stream::from_seed([3; 32]);
        let crs = Crs::new(Preset::Trn14, [4; 32]);
        let secret = GateSecret::generate(Preset::Trn14, 1, &mut stream).unwrap();
        let (vault, mut ledger) = (VaultSecret::from_bytes([5; 32]), MemoryLedger::new(plan.flooding()));
        let (program, encoder) = (plan.of_one_row(), Encoder::new(Preset::Trn14).unwrap());
        let (features, labels) = (Array2::from_elem((2, 128), 0.5), Array2::ones((2, 1)));
        let mut plain = program.encode_features(&encoder, features.view(), 0).unwrap();
        plain.push(program.encode_labels(&encoder, labels.view(), 0).unwrap());
        let mut holder = GateHolder { secret: &secret, crs: &crs, vault: &vault, ledger: &mut ledger };
        let sent = holder.encrypt(Gated::Feature, 0, 0, &plain).unwrap();
        let sent: Vec<Vec<u8>> = sent.iter().map(GatedCiphertext::to_bytes).collect();
        assert!(plan.is_group(&sent));
        let change = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut sent = sent.clone();
            change(&mut sent);
            plan.is_group(&sent)
        };
        let last = sent.len() - 1;
        assert!(!change(&|sent| drop(sent.pop())));
        assert!(!change(&|sent| sent.push(sent[0].clone())));
        assert!(!change(&|sent| sent.swap(0, last)));
        assert!(!change(&|sent| sent[0] = vec![1, 2, 3]));
        // Labels in place of features, and features in place of labels.
        assert!(!change(&|sent| sent[1] = sent[last].clone()));
        assert!(!change(&|sent| sent[last] = sent[0].clone()));
        // Of the same primes, and another scale.
        let other = encoder.encode(&[0.5], 2.0 * program.feature_scale(), program.top_limbs()).unwrap();
        let mut holder = GateHolder { secret: &secret, crs: &crs, vault: &vault, ledger: &mut ledger };
        let other = holder.encrypt(Gated::Feature, 1, 0, &[other]).unwrap()[0].to_bytes();
        assert!(!change(&|sent| sent[0] = other.clone()));
    }

    #[test]
    fn another_recipe_is_another_plan() {
        let plain = plan(|_| {}).unwrap().digest();
        let other: [fn(&mut Recipe); 3] =
            [|recipe| recipe.steps = 17, |recipe| recipe.late_rate = 0.2, |recipe| recipe.weight_decay = 0.0];
        assert!(other.into_iter().all(|change| plan(change).unwrap().digest() != plain));
        assert_eq!(plan(|_| {}).unwrap().digest(), plain);
        for (security, releases) in [(49, 1 << 12), (48, 1 << 13)] {
            let flooding = Flooding::secure(security, releases).unwrap();
            assert_ne!(HeadPlan { flooding, ..plan(|_| {}).unwrap() }.digest(), plain);
        }
    }
}
