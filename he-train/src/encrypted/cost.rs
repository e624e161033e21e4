//! What a step costs, to predict its time.

use he_agg::ckks::GatedCiphertext;
use he_agg::multiparty::RefreshShare;
use he_infer::Work;

use super::program::HeadProgram;

/// Two multiply-accumulates of a factor in the clear, where a product of ciphertexts has four.
fn plain(limbs: usize, terms: usize) -> Work {
    Work { products: limbs * terms / 2, ..Work::default() }
}

/// Two sums of a ciphertext and a power of X times its turn: memory decides, and as much of it as for two products.
fn butterfly(limbs: usize) -> Work {
    Work { products: 2 * limbs, ..Work::default() }
}

impl HeadProgram {
    /// Bytes that a hospital uploads for one group of rows: its features and labels.
    pub fn group_bytes(&self) -> usize {
        let gated = |limbs| GatedCiphertext::encoded_bytes(self.preset(), limbs);
        self.layout().blocks() * gated(self.top_limbs()) + gated(self.error_limbs())
    }

    /// Bytes that one decryptor sends in the refresh of a step: a share and a mask of every package.
    pub fn refresh_bytes(&self) -> usize {
        let mask = GatedCiphertext::encoded_bytes(self.preset(), self.top_limbs());
        self.tree().packages() * (RefreshShare::encoded_bytes(self.preset()) + mask)
    }

    /// What the coordinator's part of a step takes, or a hospital's that checks it: all but the refresh.
    pub fn step_work(&self) -> Work {
        let params = self.params;
        let groups = self.batch(0).count();
        let (top, width, vectors) = (self.top_limbs(), self.layout().width(), self.layout().vectors());
        let (logits, errors, weights) = (self.logit_limbs(), self.error_limbs(), self.weight_limbs());
        let switch = |limbs| Work::switch(params, limbs);

        // A list doubles with every stage, until all vectors are in it.
        let rotations: usize = self.tree().unpack_rotations();
        let unpack = (switch(top) + butterfly(top)) * rotations;
        let products = (Work::product(top) * self.layout().blocks() + switch(top)) * (groups * width);
        let turn_back = (Work::lift(params, top - 1) + Work::hoisted(params, top - 1) * 2) * (groups * (width - 1))
            + (plain(top - 1, 2 * width - 1) + Work::rescale(top - 1)) * groups;
        let sigmoid = match self.sigmoid() {
            // Three squares, two products and a sum of two, with three factors in the clear.
            Some(_) => [(logits, 1), (logits - 1, 1), (logits - 2, 3), (logits - 3, 2)].into_iter().fold(
                (Work::rescale(logits - 1) + plain(logits - 1, 1)) * 3,
                |sum, (limbs, count)| {
                    let switches = if limbs == logits - 3 { 1 } else { count };
                    sum + Work::product(limbs) * count + switch(limbs) * switches
                },
            ),
            None => Work::default(),
        };
        let lifted = if width > 1 { Work::lift(params, errors) } else { Work::default() };
        let turns = lifted
            + Work::hoisted(params, errors) * (2 * (width - 1))
            + plain(errors, 2 * width - 1)
            + Work::rescale(errors) * width;
        let gradient = (Work::product(weights + 1) * groups + switch(weights + 1)) * vectors;
        let pack = (switch(weights) + butterfly(weights)) * self.tree().pack_rotations();
        unpack + products + turn_back + (sigmoid + turns) * groups + gradient + pack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{HeadLoss, Recipe};
    use he_agg::Preset;

    fn work(loss: HeadLoss, (rows, dimension): (usize, usize), classes: usize, batch: usize) -> Work {
        let recipe = Recipe {
            loss,
            steps: 1,
            rows_per_group: 8_192 / classes.next_power_of_two(),
            groups_per_batch: batch,
            learning_rate: 0.5,
            late_rate: 0.5,
            momentum: 0.9,
            weight_decay: 0.0,
        };
        HeadProgram::new(Preset::Trn14, recipe, (rows, dimension), classes).unwrap().step_work()
    }

    #[test]
    fn the_work_of_a_step_is_the_one_counted_by_hand() {
        // Two vectors of one class. A switch at l limbs, of digits of three and three special primes, lifts
        // ceil(l / 3) (l + 3) limbs, multiplies each by both halves of the key, and transforms 2 (l + 3) to divide.
        let switch = |l: usize| (l.div_ceil(3) * (l + 3) + 2 * (l + 3), 2 * l.div_ceil(3) * (l + 3));
        let [seven, four, three] = [7, 4, 3].map(switch);
        // One rotation to unpack and thirteen to pack, rescaled logits at six limbs and errors at five.
        let expected = Work {
            transforms: 2 * seven.0 + 2 * four.0 + 13 * three.0 + 12 + 10,
            key_products: 2 * seven.1 + 2 * four.1 + 13 * three.1,
            // Of which a butterfly at seven limbs, and thirteen at three.
            products: 14 + 3 + 2 + 8 + 14 + 13 * 6,
        };
        assert_eq!(work(HeadLoss::Squared, (100, 2), 1, 1), expected);
    }

    #[test]
    fn every_operation_of_a_sigmoid_of_two_classes_is_counted() {
        // Limbs that are transformed and those that are multiplied with keys.
        let lift = |l: usize| (l.div_ceil(3) * (l + 3), 0);
        let hoisted = |l: usize| (2 * (l + 3), 2 * l.div_ceil(3) * (l + 3));
        let switch = |l: usize| (lift(l).0 + hoisted(l).0, hoisted(l).1);
        let rescale = |l: usize| (2 * l, 0);
        // Three groups; four vectors of two blocks and two turns.
        let operations = [
            // Unpacked with two stages; one product a block and turn of each group.
            (3, switch(11)),
            (6, switch(11)),
            // Of each group the second product turned back by two rotations.
            (3, lift(10)),
            (6, hoisted(10)),
            (3, rescale(10)),
            // u², v², T2² and two products; what is added up has one switch; three factors of v.
            (3, switch(9)),
            (3, switch(8)),
            (9, switch(7)),
            (3, switch(6)),
            (9, rescale(8)),
            // Errors and their turn.
            (3, lift(5)),
            (6, hoisted(5)),
            (6, rescale(5)),
            // Four gradients, packed with two stages and traced over ten more.
            (4, switch(4)),
            (13, switch(3)),
        ];
        let products = [
            (12, 11),
            // Three butterflies before it, and thirteen at the end.
            (3, 22),
            (13, 6),
            // Three masks of half a product each.
            (3, 15),
            (3, 9),
            (3, 8),
            (9, 7),
            (6, 6),
            (9, 4),
            (3, 7),
            (12, 4),
        ];
        let expected = Work {
            transforms: operations.iter().map(|(count, (transforms, _))| count * transforms).sum(),
            key_products: operations.iter().map(|(count, (_, products))| count * products).sum(),
            products: products.iter().map(|(count, limbs)| count * limbs).sum(),
        };
        let sigmoid = HeadLoss::OneVersusRest { degree: 13, range: 24.0 };
        assert_eq!(work(sigmoid, (3 * 4_096, 3), 2, 3), expected);
    }
}
