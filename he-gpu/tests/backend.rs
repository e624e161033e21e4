//! What is the device's own: memory that is used again, operands that are shared, traffic.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod device;

use he_agg::backend::{Backend, Basis, Cpu};
use he_agg::ring::Domain;
use he_agg::{Coeff, Eval, Expander, Limb, Params, Poly, Preset};
use he_gpu::Gpu;

/// The shape of a preset over a small ring, on both backends.
struct Pair {
    params: &'static Params,
    cpu: Cpu,
    gpu: Gpu,
}

impl Pair {
    fn new(preset: Preset) -> Option<Self> {
        let params: &'static Params = Box::leak(Box::new(Params::toy(preset, 9)));
        Some(Self { params, cpu: Cpu::new(params), gpu: device::open(params)? })
    }

    /// Uniform polynomials over `basis`.
    fn polys<D: Domain>(&self, basis: &Basis, count: u32) -> Vec<Poly<D>> {
        let limbs: Vec<Limb> = basis.limbs(self.params).cloned().collect();
        let expander = Expander::new(&[11; 32], "test", self.params.preset, &[limbs.len() as u64]);
        (0..count).map(|i| Poly::uniform(&expander, i, self.params.n, &limbs)).collect()
    }

    fn upload<D: Domain>(&self, polys: &[Poly<D>]) -> Vec<<Gpu as Backend>::Poly<D>> {
        self.gpu.upload(&polys.iter().collect::<Vec<_>>()).unwrap()
    }

    /// Asserts that what the device holds is what the processor computed.
    fn check<D: Domain>(&self, what: &str, found: &[<Gpu as Backend>::Poly<D>], expected: &[Poly<D>]) {
        let found = self.gpu.download(&found.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(found.len(), expected.len(), "{what}");
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(found.residues() == expected.residues(), "{what}, result {i}");
        }
    }
}

#[test]
fn a_transform_writes_over_its_operand_only_if_nothing_else_holds_it() {
    let Some(pair) = Pair::new(Preset::Inf14x30) else { return };
    let basis = Basis::extended(10);
    let polys: Vec<Poly<Coeff>> = pair.polys(&basis, 3);
    let expected = pair.cpu.forward(&basis, polys.clone()).unwrap();
    let resident = pair.upload(&polys);
    let kept = resident[1].clone();
    pair.check("forward", &pair.gpu.forward(&basis, resident).unwrap(), &expected);
    pair.check("what was held elsewhere", &[kept], &polys[1..2]);
    let alone = pair.upload(&polys[2..]);
    pair.check("forward in place", &pair.gpu.forward(&basis, alone).unwrap(), &expected[2..]);
}

#[test]
fn an_empty_batch_launches_nothing() {
    let Some(pair) = Pair::new(Preset::Inf13) else { return };
    let before = pair.gpu.traffic();
    assert!(pair.gpu.sum::<Eval>(&Basis::ordinary(0..3), &[]).unwrap().is_empty());
    assert!(pair.gpu.lift(3, &[]).unwrap().is_empty());
    assert_eq!(pair.gpu.traffic(), before);
}

#[test]
fn memory_is_used_again_and_nothing_but_polynomials_crosses_twice() {
    let Some(pair) = Pair::new(Preset::Inf13) else { return };
    let gpu = &pair.gpu;
    let basis = Basis::ordinary(0..6);
    let polys: Vec<Poly<Eval>> = pair.polys(&basis, 2);
    let resident = pair.upload(&polys);
    let add = || gpu.sum(&basis, &[&[&resident[0], &resident[1]]]).unwrap();
    drop(add());
    gpu.synchronise().unwrap();
    // The result comes to lie where the first one lay, so that the table of operands is known.
    let before = gpu.traffic();
    let sum = add();
    let after = gpu.traffic();
    assert_eq!((after.uploaded, after.launches), (before.uploaded, before.launches + 1));
    pair.check("sum", &sum, &pair.cpu.sum(&basis, &[&[&polys[0], &polys[1]]]).unwrap());
    assert_eq!(gpu.traffic().downloaded, before.downloaded + (6 * 512 * 4));
}
