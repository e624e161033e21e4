//! Turns of the classes within every row, with the masks they take.

use he_agg::backend::Backend;
use he_agg::ckks::{Ciphertext, CkksError, Encoder, EvaluationKeys, Evaluator, Hoisted, Plaintext};

use super::layout::HeadLayout;

/// Masks for all turns at one level, at one scale; they bring what is turned to a scale that is wanted.
pub(super) struct Turns<B: Backend> {
    layout: HeadLayout,
    /// For the turn by nothing, then two each: where a rotation forward is the turn, and where one back is.
    masks: Vec<Plaintext<B>>,
}

impl<B: Backend> Turns<B> {
    pub(super) fn new(
        layout: HeadLayout,
        (scale, limbs): (f64, usize),
        encoder: &Encoder,
        evaluator: &Evaluator<B>,
    ) -> Result<Self, CkksError> {
        let number = |is_set: bool| if is_set { 1.0 } else { 0.0 };
        let mut slots = vec![vec![1.0; evaluator.params().slots()]];
        for turn in 1..layout.width() {
            let stays = layout.stays(turn);
            slots.push(stays.iter().map(|&stays| number(stays)).collect());
            slots.push(stays.iter().map(|&stays| number(!stays)).collect());
        }
        let masks = slots.iter().map(|slots| encoder.encode(slots, scale, limbs)).collect::<Result<Vec<_>, _>>()?;
        let masks = Plaintext::upload(&masks.iter().collect::<Vec<_>>(), evaluator.backend())?;
        Ok(Self { layout, masks })
    }

    /// Rotations whose masked sum is a turn by 1 .. C - 1.
    fn steps(&self, turn: usize) -> [i32; 2] {
        let (turn, width) = (turn as i32, self.layout.width() as i32);
        [turn, turn - width]
    }

    /// Every turn of every ciphertext, one level lower: a list of C for each.
    pub(super) fn all(
        &self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        ciphertexts: &[Ciphertext<B>],
    ) -> Result<Vec<Vec<Ciphertext<B>>>, CkksError> {
        let width = self.layout.width();
        let steps: Vec<i32> = (1..width).flat_map(|turn| self.steps(turn)).collect();
        let rotated = if steps.is_empty() {
            vec![Vec::new(); ciphertexts.len()]
        } else {
            Hoisted::all(evaluator, ciphertexts.iter().collect())?.rotate_many(&steps, keys)?
        };
        let mut lists = Vec::with_capacity(ciphertexts.len() * width);
        for (from, rotated) in ciphertexts.iter().zip(&rotated) {
            lists.push(vec![(from, &self.masks[0])]);
            let masked: Vec<_> = rotated.iter().zip(&self.masks[1..]).collect();
            lists.extend(masked.chunks(2).map(<[_]>::to_vec));
        }
        let sums = evaluator.mul_plain_accumulate_all(&lists)?;
        let mut sums = evaluator.rescale_all(&sums.iter().collect::<Vec<_>>())?.into_iter();
        Ok(ciphertexts.iter().map(|_| sums.by_ref().take(width).collect()).collect())
    }

    /// For every list of C ciphertexts the sum of the k-th turned back by k, one level lower.
    pub(super) fn back(
        &self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        lists: &[Vec<Ciphertext<B>>],
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let width = self.layout.width();
        // Of the k-th ciphertexts, all lists together.
        let mut rotated = Vec::with_capacity(width);
        for turn in 1..width {
            let own: Vec<_> = lists.iter().filter_map(|list| list.get(turn)).collect();
            rotated.push(Hoisted::all(evaluator, own)?.rotate_many(&self.steps(width - turn), keys)?);
        }
        let mut sums = Vec::with_capacity(lists.len());
        for (index, list) in lists.iter().enumerate() {
            let mut terms = vec![(list.first().ok_or(CkksError::NoTerms)?, &self.masks[0])];
            for (turn, rotated) in (1..width).zip(&rotated) {
                let masks = &self.masks[2 * (width - turn) - 1..];
                terms.extend(rotated[index].iter().zip(masks));
            }
            sums.push(terms);
        }
        let sums = evaluator.mul_plain_accumulate_all(&sums)?;
        evaluator.rescale_all(&sums.iter().collect::<Vec<_>>())
    }
}
