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

/// No device can be opened, so there is none of these.
#[derive(Clone, Copy, Debug)]
pub enum Gpu {}

/// A polynomial on a device that cannot be opened.
#[derive(Clone, Copy, Debug)]
pub struct GpuPoly<D> {
    nowhere: Gpu,
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
        match *self {}
    }

    /// What has crossed the border between processor and device so far.
    pub fn traffic(&self) -> Traffic {
        match *self {}
    }

    /// Waits until the device has done all work issued so far.
    ///
    /// # Errors
    /// None, since there is no device.
    pub fn synchronise(&self) -> Outcome<()> {
        match *self {}
    }
}

impl Backend for Gpu {
    type Poly<D: Domain> = GpuPoly<D>;

    fn params(&self) -> &'static Params {
        match *self {}
    }

    fn upload<D: Domain>(&self, _: &[&Poly<D>]) -> Outcome<Vec<GpuPoly<D>>> {
        match *self {}
    }

    fn download<D: Domain>(&self, _: &[&GpuPoly<D>]) -> Outcome<Vec<Poly<D>>> {
        match *self {}
    }

    fn truncate<D: Domain>(&self, _: &mut GpuPoly<D>, _: usize) {
        match *self {}
    }

    fn forward(&self, _: &Basis, _: Vec<GpuPoly<Coeff>>) -> Outcome<Vec<GpuPoly<Eval>>> {
        match *self {}
    }

    fn inverse(&self, _: &Basis, _: &Basis, _: &[u32], _: &[&GpuPoly<Eval>]) -> Outcome<Vec<GpuPoly<Coeff>>> {
        match *self {}
    }

    fn convert(&self, _: &Basis, _: &Basis, _: &Basis, _: &[&GpuPoly<Coeff>]) -> Outcome<Vec<GpuPoly<Coeff>>> {
        match *self {}
    }

    fn sum<D: Domain>(&self, _: &Basis, _: &[&[&GpuPoly<D>]]) -> Outcome<Vec<GpuPoly<D>>> {
        match *self {}
    }

    fn subtract<D: Domain>(&self, _: &Basis, _: &[[&GpuPoly<D>; 2]]) -> Outcome<Vec<GpuPoly<D>>> {
        match *self {}
    }

    fn multiply_accumulate(&self, _: &Basis, _: &[&[[&GpuPoly<Eval>; 2]]]) -> Outcome<Vec<GpuPoly<Eval>>> {
        match *self {}
    }

    fn tensor(&self, _: &Basis, _: &[Vec<TensorTerm<'_, Self>>]) -> Outcome<Vec<[GpuPoly<Eval>; 3]>> {
        match *self {}
    }

    fn automorphism(&self, _: &Basis, _: &[(&GpuPoly<Eval>, &Automorphism)]) -> Outcome<Vec<GpuPoly<Eval>>> {
        match *self {}
    }

    fn quotient(&self, _: &Basis, _: usize, _: &[u32], _: &[Quotient<'_, Self>]) -> Outcome<Vec<GpuPoly<Eval>>> {
        match *self {}
    }

    fn gadget_product(&self, _: usize, _: &[GadgetTerm<'_, Self>]) -> Outcome<Vec<[GpuPoly<Eval>; 2]>> {
        match *self {}
    }
}
