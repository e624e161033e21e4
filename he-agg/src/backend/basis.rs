//! Which primes the rows of a polynomial belong to.

use crate::params::Params;
use crate::ring::Limb;
use std::ops::Range;

/// All special primes P or none of them, then consecutive primes of Q: the order of the rows of a
/// polynomial. Key switching, rescaling and aggregation need no other shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Basis {
    /// Whether the special primes come first.
    special: bool,
    /// The primes of Q, by number.
    q: Range<usize>,
}

impl Basis {
    /// Primes of Q alone.
    pub fn ordinary(q: Range<usize>) -> Self {
        Self { special: false, q }
    }

    /// P and the first `limbs` primes of Q, over which keys are multiplied.
    pub fn extended(limbs: usize) -> Self {
        Self { special: true, q: 0..limbs }
    }

    /// Whether the special primes are its first rows.
    pub fn has_special(&self) -> bool {
        self.special
    }

    /// Its primes of Q, by number.
    pub fn ordinary_primes(&self) -> Range<usize> {
        self.q.clone()
    }

    /// Rows of a polynomial over it.
    pub fn len(&self, params: &Params) -> usize {
        self.specials(params) + self.q.len()
    }

    /// Special primes in it: all or none.
    pub fn specials(&self, params: &Params) -> usize {
        if self.special { params.p.len() } else { 0 }
    }

    /// What a division leaves to be dropped: all but the first `keep` primes of Q.
    pub fn beyond(&self, keep: usize) -> Self {
        Self { special: self.special, q: keep.max(self.q.start)..self.q.end }
    }

    /// Its primes in the order of the rows.
    pub fn limbs<'p>(&self, params: &'p Params) -> impl DoubleEndedIterator<Item = &'p Limb> + use<'p> {
        params.p[..self.specials(params)].iter().chain(&params.q[self.q.clone()])
    }

    /// Where row `index` of this basis stands in a polynomial over `outer`, which contains it.
    pub fn row_in(&self, outer: &Self, params: &Params, index: usize) -> usize {
        let specials = self.specials(params);
        if index < specials { index } else { outer.specials(params) + self.q.start - outer.q.start + index - specials }
    }

    /// Whether every prime of it is in `outer`.
    pub fn is_within(&self, outer: &Self) -> bool {
        (outer.special || !self.special)
            && (self.q.is_empty() || outer.q.start <= self.q.start && self.q.end <= outer.q.end)
    }
}
