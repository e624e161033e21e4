//! A build without GPU support: the backend's names, of which there can be no value.

use crate::adapter::{OpenError, Probed, Traffic};
use he_agg::Params;
use he_agg::backend::{Backend, Basis, GadgetTerm, Outcome, Quotient, TensorTerm};
use he_agg::ring::{Automorphism, Coeff, Domain, Eval, Poly};
use std::marker::PhantomData;

/// No adapter is looked for.
#[must_use]
pub fn probe() -> Vec<Probed> {
    Vec::new()
}

/// Has no values. It is private, so that users compile the same code as for a GPU, and are not told that it is dead.
#[derive(Clone, Debug)]
enum Nowhere {}

/// No device can be opened, so there is none of these.
#[derive(Clone, Debug)]
pub struct Gpu(Nowhere);

/// A polynomial on a device that cannot be opened.
#[derive(Clone, Debug)]
pub struct GpuPoly<D> {
    nowhere: Nowhere,
    domain: PhantomData<D>,
}

impl<D: Domain> GpuPoly<D> {
    /// Limbs.
    pub fn limbs(&self) -> usize {
        match self.nowhere {}
    }
}

impl Gpu {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`OpenError::NotBuilt`].
    pub fn open(_params: &'static Params) -> Result<Self, OpenError> {
        Err(OpenError::NotBuilt)
    }

    /// The device it computes on.
    pub fn adapter(&self) -> &Probed {
        match self.0 {}
    }

    /// What has crossed the border between processor and device so far.
    pub fn traffic(&self) -> Traffic {
        match self.0 {}
    }

    /// Waits until the device has done all work issued so far.
    ///
    /// # Errors
    /// None, since there is no device.
    pub fn synchronise(&self) -> Outcome<()> {
        match self.0 {}
    }
}

impl Backend for Gpu {
    type Poly<D: Domain> = GpuPoly<D>;

    fn params(&self) -> &'static Params {
        match self.0 {}
    }

    fn upload<D: Domain>(&self, _: &[&Poly<D>]) -> Outcome<Vec<GpuPoly<D>>> {
        match self.0 {}
    }

    fn download<D: Domain>(&self, _: &[&GpuPoly<D>]) -> Outcome<Vec<Poly<D>>> {
        match self.0 {}
    }

    fn truncate<D: Domain>(&self, _: &mut GpuPoly<D>, _: usize) {
        match self.0 {}
    }

    fn forward(&self, _: &Basis, _: Vec<GpuPoly<Coeff>>) -> Outcome<Vec<GpuPoly<Eval>>> {
        match self.0 {}
    }

    fn inverse(&self, _: &Basis, _: &Basis, _: &[u32], _: &[&GpuPoly<Eval>]) -> Outcome<Vec<GpuPoly<Coeff>>> {
        match self.0 {}
    }

    fn convert(&self, _: &Basis, _: &Basis, _: &Basis, _: &[&GpuPoly<Coeff>]) -> Outcome<Vec<GpuPoly<Coeff>>> {
        match self.0 {}
    }

    fn sum<D: Domain>(&self, _: &Basis, _: &[&[&GpuPoly<D>]]) -> Outcome<Vec<GpuPoly<D>>> {
        match self.0 {}
    }

    fn subtract<D: Domain>(&self, _: &Basis, _: &[[&GpuPoly<D>; 2]]) -> Outcome<Vec<GpuPoly<D>>> {
        match self.0 {}
    }

    fn multiply_accumulate(&self, _: &Basis, _: &[&[[&GpuPoly<Eval>; 2]]]) -> Outcome<Vec<GpuPoly<Eval>>> {
        match self.0 {}
    }

    fn tensor(&self, _: &Basis, _: &[Vec<TensorTerm<'_, Self>>]) -> Outcome<Vec<[GpuPoly<Eval>; 3]>> {
        match self.0 {}
    }

    fn automorphism(&self, _: &Basis, _: &[(&GpuPoly<Eval>, &Automorphism)]) -> Outcome<Vec<GpuPoly<Eval>>> {
        match self.0 {}
    }

    fn quotient(&self, _: &Basis, _: usize, _: &[u32], _: &[Quotient<'_, Self>]) -> Outcome<Vec<GpuPoly<Eval>>> {
        match self.0 {}
    }

    fn gadget_product(&self, _: usize, _: &[GadgetTerm<'_, Self>]) -> Outcome<Vec<[GpuPoly<Eval>; 2]>> {
        match self.0 {}
    }
}
