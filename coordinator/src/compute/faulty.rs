//! A backend that computes on the processor and fails, or changes a bit, when it is told to.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use he_agg::backend::{Backend, BackendError, Basis, Cpu, Division, GadgetTerm, Outcome, Quotient, TensorTerm};
use he_agg::{Automorphism, Coeff, DeviceChoice, Eval, Params, Poly, ring::Domain};
use he_gpu::{DeviceKind, Probed};

use super::{Compute, Host, Moved};
use crate::observer::{Observer, Step};

/// What goes wrong. Downloads are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The device is lost when so many downloads are done.
    Lost(usize),
    /// Nothing more can be uploaded when so many downloads are done.
    Full(usize),
    /// One bit of every polynomial of this download and of all after it.
    Wrong(usize),
}

/// A device with a fault.
#[derive(Clone)]
pub(crate) struct FaultyHost {
    pub(crate) kind: DeviceKind,
    pub(crate) fault: Fault,
    pub(crate) downloads: Arc<AtomicUsize>,
    pub(crate) moved: Arc<(AtomicU64, AtomicU64)>,
}

impl FaultyHost {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { kind: DeviceKind::Discrete, fault, downloads: Arc::default(), moved: Arc::default() }
    }

    /// The choice of this device.
    pub(crate) fn chosen(&self) -> Compute {
        let host = self.clone();
        Compute::choose_from(DeviceChoice::Gpu, || Ok::<_, String>(host)).unwrap()
    }
}

impl Host for FaultyHost {
    type Backend = Faulty;

    fn device(&self) -> Probed {
        let text = |text: &str| text.to_owned();
        Probed { name: text("Test 1"), driver: text("test 0.1"), api: text("test"), kind: self.kind }
    }

    fn backend(&self, params: &'static Params) -> Outcome<Faulty> {
        Ok(Faulty { cpu: Cpu::new(params), host: self.clone() })
    }

    fn moved(&self, _: &Faulty) -> Moved {
        Moved { to: self.moved.0.load(Ordering::Relaxed), from: self.moved.1.load(Ordering::Relaxed) }
    }
}

/// The backend of that device.
#[derive(Clone)]
pub(crate) struct Faulty {
    cpu: Cpu,
    host: FaultyHost,
}

fn bytes<D: Domain>(polys: &[&Poly<D>]) -> u64 {
    polys.iter().map(|poly| 4 * poly.residues().len() as u64).sum()
}

impl Backend for Faulty {
    type Poly<D: Domain> = Poly<D>;

    fn params(&self) -> &'static Params {
        self.cpu.params()
    }

    fn upload<D: Domain>(&self, polys: &[&Poly<D>]) -> Outcome<Vec<Poly<D>>> {
        let done = self.host.downloads.load(Ordering::Relaxed);
        if matches!(self.host.fault, Fault::Full(after) if done >= after) {
            let (device, reason) = ("Test 1".to_owned(), "out of memory".to_owned());
            return Err(BackendError::OutOfMemory { device, bytes: bytes(polys), reason });
        }
        self.host.moved.0.fetch_add(bytes(polys), Ordering::Relaxed);
        self.cpu.upload(polys)
    }

    fn download<D: Domain>(&self, polys: &[&Poly<D>]) -> Outcome<Vec<Poly<D>>> {
        let done = self.host.downloads.fetch_add(1, Ordering::Relaxed);
        if matches!(self.host.fault, Fault::Lost(after) if done >= after) {
            return Err(BackendError::Lost { device: "Test 1".to_owned(), reason: "it was unplugged".to_owned() });
        }
        self.host.moved.1.fetch_add(bytes(polys), Ordering::Relaxed);
        let mut polys = self.cpu.download(polys)?;
        if matches!(self.host.fault, Fault::Wrong(after) if done >= after) {
            // Of two neighbours one stays canonical.
            polys.iter_mut().for_each(|poly| poly.residues_mut()[0] ^= 1);
        }
        Ok(polys)
    }

    fn truncate<D: Domain>(&self, poly: &mut Poly<D>, limbs: usize) {
        self.cpu.truncate(poly, limbs);
    }

    fn forward(&self, basis: &Basis, polys: Vec<Poly<Coeff>>) -> Outcome<Vec<Poly<Eval>>> {
        self.cpu.forward(basis, polys)
    }

    fn inverse(
        &self,
        basis: &Basis,
        rows: &Basis,
        factors: &[u32],
        polys: &[&Poly<Eval>],
    ) -> Outcome<Vec<Poly<Coeff>>> {
        self.cpu.inverse(basis, rows, factors, polys)
    }

    fn convert(&self, basis: &Basis, from: &Basis, to: &Basis, scaled: &[&Poly<Coeff>]) -> Outcome<Vec<Poly<Coeff>>> {
        self.cpu.convert(basis, from, to, scaled)
    }

    fn sum<D: Domain>(&self, basis: &Basis, lists: &[&[&Poly<D>]]) -> Outcome<Vec<Poly<D>>> {
        self.cpu.sum(basis, lists)
    }

    fn subtract<D: Domain>(&self, basis: &Basis, pairs: &[[&Poly<D>; 2]]) -> Outcome<Vec<Poly<D>>> {
        self.cpu.subtract(basis, pairs)
    }

    fn multiply_accumulate(&self, basis: &Basis, sums: &[&[[&Poly<Eval>; 2]]]) -> Outcome<Vec<Poly<Eval>>> {
        self.cpu.multiply_accumulate(basis, sums)
    }

    fn tensor(&self, basis: &Basis, sums: &[Vec<TensorTerm<'_, Self>>]) -> Outcome<Vec<[Poly<Eval>; 3]>> {
        let sums: Vec<Vec<TensorTerm<'_, Cpu>>> = sums
            .iter()
            .map(|sum| sum.iter().map(|term| TensorTerm { left: term.left, right: term.right }).collect())
            .collect();
        self.cpu.tensor(basis, &sums)
    }

    fn automorphism(&self, basis: &Basis, items: &[(&Poly<Eval>, &Automorphism)]) -> Outcome<Vec<Poly<Eval>>> {
        self.cpu.automorphism(basis, items)
    }

    fn quotient(
        &self,
        basis: &Basis,
        keep: usize,
        factors: &[u32],
        items: &[Quotient<'_, Self>],
    ) -> Outcome<Vec<Poly<Eval>>> {
        let items: Vec<Quotient<'_, Cpu>> = items
            .iter()
            .map(|item| {
                let Division { x, addend, automorphism } = item.division;
                Quotient { division: Division { x, addend, automorphism }, remainder: item.remainder }
            })
            .collect();
        self.cpu.quotient(basis, keep, factors, &items)
    }

    /// Plainly: a key of this backend is none of the processor's, though its polynomials are.
    fn gadget_product(&self, limbs: usize, items: &[GadgetTerm<'_, Self>]) -> Outcome<Vec<[Poly<Eval>; 2]>> {
        let params = self.params();
        let basis: Vec<_> = Basis::extended(limbs).limbs(params).cloned().collect();
        let specials = params.p.len();
        let half = |item: &GadgetTerm<'_, Self>, side: usize| {
            let mut sum = Poly::<Eval>::zero(params.n, basis.len());
            for (row, limb) in basis.iter().enumerate() {
                let modulus = limb.modulus();
                let undo = modulus.inv(modulus.to_montgomery(1));
                let special = params.p.iter().map(|prime| modulus.reduce_u64(u64::from(prime.modulus().value())));
                let special = special.fold(1, |product, prime| modulus.mul(product, prime));
                for (place, out) in sum.limb_mut(row).iter_mut().enumerate() {
                    for (digit, pair) in item.digits.iter().zip(item.key.pairs()) {
                        let product = modulus.mul(digit.limb(row)[place], pair[side].limb(row)[place]);
                        *out = modulus.add(*out, modulus.mul(product, undo));
                    }
                    if let (Some(own), Some(own_row)) = (item.own, row.checked_sub(specials)) {
                        *out = modulus.add(*out, modulus.mul(special, own[side].limb(own_row)[place]));
                    }
                }
            }
            sum
        };
        Ok(items.iter().map(|item| [half(item, 0), half(item, 1)]).collect())
    }
}

/// Keeps what it hears.
#[derive(Default)]
pub(crate) struct Ear(pub(crate) Mutex<Vec<Step>>);

impl Observer for Ear {
    fn step(&self, step: Step) {
        self.0.lock().unwrap().push(step);
    }
}

impl Ear {
    /// Warnings that a device was given up.
    pub(crate) fn given_up(&self) -> Vec<String> {
        let steps = self.0.lock().unwrap();
        let given_up = |step: &Step| match step {
            Step::DeviceGivenUp { device, why } => Some(format!("{device}: {why}")),
            _ => None,
        };
        steps.iter().filter_map(given_up).collect()
    }
}
