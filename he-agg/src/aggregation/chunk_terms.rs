//! What one chunk's sum will be of: hospitals' packed chunks, admitted but not yet added.

use super::chunk::{ChunkSum, Contributors, PackedChunk, Place};
use super::chunk_id::ChunkId;
use super::error::AggregationError;
use super::layout::LaneLayout;
use super::object;
use crate::backend::{Backend, Basis, Outcome};
use crate::params::Params;
use crate::ring::{Coeff, Poly};
use rayon::prelude::*;

/// The terms of one chunk's sum, still packed. [`ChunkTerms::sum`] adds them here,
/// [`ChunkTerms::sum_all`] those of many chunks wherever a backend computes; both give the bytes
/// that [`ChunkSum::absorb_packed`] gives.
#[derive(Clone)]
pub struct ChunkTerms<'a> {
    place: Place,
    contributors: Contributors,
    payloads: Vec<&'a [u8]>,
}

impl<'a> ChunkTerms<'a> {
    /// No terms yet.
    pub fn new(layout: &LaneLayout, id: ChunkId) -> Self {
        let place = Place::new(layout, id);
        ChunkTerms { place, contributors: Contributors::default(), payloads: Vec::new() }
    }

    /// Admits one hospital's chunk, or leaves the terms as they were.
    ///
    /// # Errors
    /// As [`ChunkSum::absorb_packed`].
    pub fn push(&mut self, chunk: &PackedChunk<'a>) -> Result<(), AggregationError> {
        self.contributors.admit(&self.place, chunk)?;
        self.payloads.push(chunk.payload());
        Ok(())
    }

    /// The chunk.
    pub fn id(&self) -> &ChunkId {
        &self.place.id
    }

    /// The parameters of the layout.
    pub fn params(&self) -> &'static Params {
        self.place.params
    }

    /// What [`ChunkTerms::sum_all`] takes in memory for each term and each sum, here and again where
    /// the backend computes: 4 bytes per residue, 229,376 for AGG13 and 917,504 for AGG14. A short
    /// chunk takes as much there.
    pub fn polynomial_bytes(layout: &LaneLayout) -> u64 {
        let params = layout.params();
        (params.n * params.q.len() * size_of::<u32>()) as u64
    }

    /// The sum, straight from the packed bytes.
    pub fn sum(&self) -> ChunkSum {
        let mut sum = self.place.zero();
        let Place { params, coefficients, .. } = self.place;
        self.payloads.iter().for_each(|payload| object::add_packed(params, &mut sum, coefficients, payload));
        ChunkSum::of(self.place, self.contributors.clone(), sum)
    }

    /// The sums of several chunks of the backend's parameters: one transfer there, one batch of
    /// sums, one transfer back.
    ///
    /// # Errors
    /// [`BackendError`](crate::backend::BackendError); the terms are as they were.
    pub fn sum_all<B: Backend>(backend: &B, chunks: &[Self]) -> Outcome<Vec<ChunkSum>> {
        let params = backend.params();
        // All polynomials of a backend have the degree of its ring: what a short chunk lacks is zeros on
        // the way there, and cut off on the way back. At most one chunk of an update is short.
        let unpack = |(coefficients, payload): (usize, &[u8])| {
            let mut poly = Poly::<Coeff>::zero(params.n, params.q.len());
            object::add_packed(params, &mut poly, coefficients, payload);
            poly
        };
        let payloads: Vec<(usize, &[u8])> = chunks
            .iter()
            .flat_map(|chunk| chunk.payloads.iter().map(|payload| (chunk.place.coefficients, *payload)))
            .collect();
        let unpacked: Vec<Poly<Coeff>> = payloads.into_par_iter().map(unpack).collect();
        let terms = backend.upload(&unpacked.iter().collect::<Vec<_>>())?;
        drop(unpacked);
        let terms: Vec<&B::Poly<Coeff>> = terms.iter().collect();
        let mut rest = &terms[..];
        // A sum over nothing is no operation of a backend.
        let lists: Vec<&[&B::Poly<Coeff>]> = chunks
            .iter()
            .filter(|chunk| !chunk.payloads.is_empty())
            .map(|chunk| {
                let (list, others) = rest.split_at(chunk.payloads.len());
                rest = others;
                list
            })
            .collect();
        let sums = backend.sum(&Basis::ordinary(0..params.q.len()), &lists)?;
        let mut sums = backend.download(&sums.iter().collect::<Vec<_>>())?.into_iter();
        let one = |chunk: &Self| {
            let sum = if chunk.payloads.is_empty() { None } else { sums.next() };
            let sum = sum.map(|mut sum| {
                sum.shorten(chunk.place.coefficients);
                sum
            });
            ChunkSum::of(chunk.place, chunk.contributors.clone(), sum.unwrap_or_else(|| chunk.place.zero()))
        };
        Ok(chunks.iter().map(one).collect())
    }
}
