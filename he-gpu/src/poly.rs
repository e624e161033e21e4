//! A polynomial that lies on the device.

use crate::memory::Region;
use he_agg::ring::Domain;
use std::marker::PhantomData;
use std::sync::Arc;

/// Rows of residues, one behind the other, in memory that polynomials of one batch may share.
pub struct GpuPoly<D> {
    region: Arc<Region>,
    /// Words before it in its region.
    first: usize,
    rows: usize,
    n: usize,
    domain: PhantomData<D>,
}

impl<D: Domain> GpuPoly<D> {
    /// All `rows` rows of `n` words from word `first` on.
    pub(crate) fn new(region: Arc<Region>, first: usize, rows: usize, n: usize) -> Self {
        assert!(first + rows * n <= region.words(), "a polynomial lies within its region");
        Self { region, first, rows, n, domain: PhantomData }
    }

    /// One behind the other: `count` polynomials that fill a region.
    pub(crate) fn split(region: Region, rows: usize, n: usize) -> impl Iterator<Item = Self> {
        let (region, words) = (Arc::new(region), rows * n);
        (0..region.words() / words).map(move |index| Self::new(region.clone(), index * words, rows, n))
    }

    /// Limbs.
    pub fn limbs(&self) -> usize {
        self.rows
    }

    /// The word that names row `row`, for kernels.
    pub(crate) fn address(&self, row: usize) -> u32 {
        assert!(row < self.rows, "a polynomial has fewer limbs than the basis");
        self.region.address(self.first + row * self.n)
    }

    /// The word that names it, if it has at least `rows` rows.
    pub(crate) fn start(&self, rows: usize) -> u32 {
        assert!(rows <= self.rows, "a polynomial has fewer limbs than the basis");
        self.address(0)
    }

    /// Where it lies: region, first word, number of words.
    pub(crate) fn part(&self) -> (&Region, usize, usize) {
        (&self.region, self.first, self.rows * self.n)
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        assert!(rows > 0 && rows <= self.rows, "cannot keep more limbs than there are");
        self.rows = rows;
    }

    /// The same memory as a polynomial of another domain, if nothing else has a share in it.
    pub(crate) fn reuse<E: Domain>(mut self, rows: usize) -> Result<GpuPoly<E>, Self> {
        if Arc::get_mut(&mut self.region).is_none() {
            return Err(self);
        }
        Ok(GpuPoly::new(self.region, self.first, rows, self.n))
    }
}

impl<D> Clone for GpuPoly<D> {
    fn clone(&self) -> Self {
        Self { region: self.region.clone(), domain: PhantomData, ..*self }
    }
}
