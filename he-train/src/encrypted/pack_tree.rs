//! Many vectors that repeat in every row, as one polynomial, and back.
//!
//! A vector of which all rows are added up repeats every C slots: it is a polynomial in X^R. So up to R of them fit one
//! ciphertext, X^o times each. With phi_l the rotation by C 2^(l-1) slots, which is -1 on X^(R / 2^l):
//!
//! ```text
//! pack     stage l:  (A + X^s B) + phi_l(A - X^s B),  s = R / 2^l;  after the last pair phi_l alone, up to R rows
//! unpack   stage l, from the last:  P + phi_l(P) and X^-s (P - phi_l(P))
//! ```
//!
//! The automorphisms that add up the rows are those that pack. Packing 2^L vectors and unpacking them gives each,
//! its rows added up, 2^L times.
//!
//! Source: the trace from a ring to a subring with packing, Chen, Dai, Kim, Song, "Efficient homomorphic conversion
//! between (ring) LWE ciphertexts", ePrint 2020/015.

use std::ops::RangeInclusive;

use he_agg::backend::Backend;
use he_agg::ckks::{Ciphertext, CkksError, EvaluationKeys, Evaluator, Plaintext};

use super::error::{HeadError, check_count};
use super::layout::HeadLayout;

/// Packs the vectors of one layout.
#[derive(Debug, Clone, Copy)]
pub struct PackTree {
    width: usize,
    rows: usize,
    /// L: a package holds up to 2^L vectors.
    stages: u32,
    vectors: usize,
}

impl PackTree {
    /// For the vectors of weights of a layout.
    pub fn new(layout: HeadLayout) -> Self {
        let (rows, vectors) = (layout.rows(), layout.vectors());
        let stages = vectors.min(rows).next_power_of_two().trailing_zeros();
        Self { width: layout.width(), rows, stages, vectors }
    }

    /// The same packages in a larger ring, of ciphertexts of so many slots: X there is a power of the X here, so that
    /// what repeats in every row still does, and there are more rows.
    pub(super) fn over(self, slots: usize) -> Self {
        Self { rows: slots / self.width, ..self }
    }

    /// Packages that all vectors take.
    pub fn packages(self) -> usize {
        self.vectors.div_ceil(self.capacity())
    }

    /// Vectors of one package, and how many times as large each comes out.
    pub fn capacity(self) -> usize {
        1 << self.stages
    }

    /// Steps of the rotations that packing takes.
    pub fn pack_steps(self) -> impl Iterator<Item = i32> {
        (1..=self.rows.trailing_zeros()).map(move |stage| self.steps(stage))
    }

    /// Steps of the rotations that unpacking takes.
    pub fn unpack_steps(self) -> impl Iterator<Item = i32> {
        (1..=self.stages).map(move |stage| self.steps(stage))
    }

    fn steps(self, stage: u32) -> i32 {
        // At most half of the slots, which are at most 2^14.
        (self.width << (stage - 1)) as i32
    }

    fn shift(self, stage: u32) -> i64 {
        (self.rows >> stage) as i64
    }

    /// Every vector, its rows added up, in as few ciphertexts as hold them.
    ///
    /// # Errors
    /// [`HeadError::Count`]; limbs or scales that do not belong together; a missing key.
    pub fn pack<B: Backend>(
        self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        vectors: Vec<Ciphertext<B>>,
    ) -> Result<Vec<Ciphertext<B>>, HeadError> {
        check_count("vectors", vectors.len(), self.vectors)?;
        let mut vectors = vectors.into_iter();
        let mut packages = Vec::with_capacity(self.packages());
        for _ in 0..self.packages() {
            packages.push(self.pack_one(evaluator, keys, vectors.by_ref().take(self.capacity()).collect())?);
        }
        Ok(packages)
    }

    fn pack_one<B: Backend>(
        self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        mut left: Vec<Ciphertext<B>>,
    ) -> Result<Ciphertext<B>, CkksError> {
        let limbs = left.first().ok_or(CkksError::NoTerms)?.limbs();
        for stage in 1..=self.rows.trailing_zeros() {
            // Those beyond the half come to those before it; where the last ones have no partner, that is zero.
            let half = if stage <= self.stages { 1 << (self.stages - stage) } else { 1 };
            let right = left.split_off(left.len().min(half));
            let [one, plus, minus] =
                self.monomials(evaluator, [0, self.shift(stage), self.shift(stage) + self.turn(evaluator)], limbs)?;
            let pair = |sign: &'_ Plaintext<B>| -> Result<Vec<Ciphertext<B>>, CkksError> {
                let lists: Vec<Vec<_>> = left
                    .iter()
                    .enumerate()
                    .map(|(index, a)| {
                        let partner = right.get(index).map(|b| (b, sign));
                        [(a, &one)].into_iter().chain(partner).collect()
                    })
                    .collect();
                evaluator.mul_plain_accumulate_all(&lists)
            };
            let (sums, differences) = (pair(&plus)?, pair(&minus)?);
            let turned = evaluator.rotate_all(&differences.iter().collect::<Vec<_>>(), self.steps(stage), keys)?;
            left = evaluator.add_all(sums, &turned.iter().collect::<Vec<_>>())?;
        }
        left.pop().ok_or(CkksError::NoTerms)
    }

    /// The vectors of the packages, each [`PackTree::capacity`] times.
    ///
    /// # Errors
    /// [`HeadError::Count`], or a missing key.
    pub fn unpack<B: Backend>(
        self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        packages: &[Ciphertext<B>],
    ) -> Result<Vec<Ciphertext<B>>, HeadError> {
        check_count("packages", packages.len(), self.packages())?;
        let mut vectors = Vec::with_capacity(self.vectors);
        for (number, package) in packages.iter().enumerate() {
            let (all, count) = (vec![package.clone()], self.vectors_in(number));
            vectors.extend(self.split(evaluator, keys, all, (1..=self.stages, count))?);
        }
        Ok(vectors)
    }

    /// As [`PackTree::unpack`], for those who cannot hold all vectors: `take` gets them in lists of up to `most`, with
    /// the number of a list's first vector and by how much the numbers of the others grow.
    ///
    /// # Errors
    /// A missing key, or what `take` says.
    pub(super) fn unpack_in_parts<B: Backend, E: From<CkksError>>(
        self,
        (evaluator, keys): (&Evaluator<B>, &EvaluationKeys<B>),
        packages: &[Ciphertext<B>],
        most: usize,
        mut take: impl FnMut((usize, usize), Vec<Ciphertext<B>>) -> Result<(), E>,
    ) -> Result<(), E> {
        // Below this stage a list is small enough.
        let small = self.stages.min(most.max(1).ilog2());
        let parts = 1 << (self.stages - small);
        for (number, package) in packages.iter().enumerate() {
            let (first, count) = (number * self.capacity(), self.vectors_in(number));
            let all = vec![package.clone()];
            let roots = self.split(evaluator, keys, all, (small + 1..=self.stages, count.min(parts)))?;
            for (place, root) in roots.into_iter().enumerate() {
                let below = count.saturating_sub(place).div_ceil(parts);
                let vectors = self.split(evaluator, keys, vec![root], (1..=small, below))?;
                take((first + place, parts), vectors)?;
            }
        }
        Ok(())
    }

    /// Vectors of a package.
    fn vectors_in(self, package: usize) -> usize {
        self.vectors.saturating_sub(package * self.capacity()).min(self.capacity())
    }

    /// Undoes stages, the last one first: place i of the list then holds the vectors whose numbers end in the bits of
    /// i, of those that the only one of `list` held. Places beyond `count` are not made.
    fn split<B: Backend>(
        self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        mut list: Vec<Ciphertext<B>>,
        (stages, count): (RangeInclusive<u32>, usize),
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let limbs = list.first().ok_or(CkksError::NoTerms)?.limbs();
        for stage in stages.rev() {
            let turned = evaluator.rotate_all(&list.iter().collect::<Vec<_>>(), self.steps(stage), keys)?;
            let shift = self.shift(stage);
            let [back, minus] = self.monomials(evaluator, [-shift, self.turn(evaluator) - shift], limbs)?;
            let split = list.len();
            let wanted = count.saturating_sub(split).min(split);
            let pairs = list.iter().zip(&turned).take(wanted);
            let odd: Vec<_> = pairs.map(|(p, f)| [(p, &back), (f, &minus)]).collect();
            let odd = evaluator.mul_plain_accumulate_all(&odd)?;
            list = evaluator.add_all(list, &turned.iter().collect::<Vec<_>>())?;
            list.extend(odd);
        }
        Ok(list)
    }

    /// X^N = -1, the power of a sign.
    fn turn<B: Backend>(self, evaluator: &Evaluator<B>) -> i64 {
        evaluator.params().n as i64
    }

    fn monomials<B: Backend, const K: usize>(
        self,
        evaluator: &Evaluator<B>,
        powers: [i64; K],
        limbs: usize,
    ) -> Result<[Plaintext<B>; K], CkksError> {
        let preset = evaluator.params().preset;
        let made =
            powers.iter().map(|&power| Plaintext::monomial(preset, power, limbs)).collect::<Result<Vec<_>, _>>()?;
        let uploaded = Plaintext::upload(&made.iter().collect::<Vec<_>>(), evaluator.backend())?;
        <[_; K]>::try_from(uploaded).map_err(|_| CkksError::NoTerms)
    }
}
