//! Every operation of the backend, bit for bit against the processor's.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use he_agg::backend::{Backend, Basis, Cpu, Division, Quotient, TensorTerm};
use he_agg::ring::{Automorphism, Domain};
use he_agg::{Coeff, Eval, Expander, Limb, Params, Poly, Preset};
use he_gpu::Gpu;

/// The shape of a preset over a small ring, on both backends.
struct Pair {
    params: &'static Params,
    cpu: Cpu,
    gpu: Gpu,
}

impl Pair {
    fn new(preset: Preset) -> Self {
        let params: &'static Params = Box::leak(Box::new(Params::toy(preset, 9)));
        Self { params, cpu: Cpu::new(params), gpu: Gpu::open(params).unwrap() }
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
fn plain_operations_equal_those_of_the_processor() {
    let pair = Pair::new(Preset::Inf14x30);
    let (cpu, gpu, n) = (&pair.cpu, &pair.gpu, pair.params.n);
    let (basis, wide) = (Basis::ordinary(0..7), Basis::ordinary(0..10));
    let polys: Vec<Poly<Eval>> = pair.polys(&wide, 6);
    let resident = pair.upload(&polys);
    let (x, y): (Vec<_>, Vec<_>) = (polys.iter().collect(), resident.iter().collect());

    assert!(gpu.sum::<Eval>(&basis, &[]).unwrap().is_empty());
    let sums = gpu.sum(&basis, &[&y[..1], &y[1..], &y]).unwrap();
    pair.check("sum", &sums, &cpu.sum(&basis, &[&x[..1], &x[1..], &x]).unwrap());
    let differences = gpu.subtract(&basis, &[[y[0], y[1]], [y[2], y[2]]]).unwrap();
    pair.check("subtract", &differences, &cpu.subtract(&basis, &[[x[0], x[1]], [x[2], x[2]]]).unwrap());
    let products = gpu.multiply_accumulate(&basis, &[&[[y[0], y[1]], [y[1], y[2]]], &[[y[5], y[5]]]]).unwrap();
    let expected = cpu.multiply_accumulate(&basis, &[&[[x[0], x[1]], [x[1], x[2]]], &[[x[5], x[5]]]]).unwrap();
    pair.check("multiply_accumulate", &products, &expected);
    let tensors = {
        let term = |i: usize| TensorTerm::<Gpu> { left: [y[i], y[i + 1]], right: [y[i + 2], y[i + 3]] };
        gpu.tensor(&basis, &[vec![term(0), term(1)], vec![term(2)]]).unwrap()
    };
    let term = |i: usize| TensorTerm::<Cpu> { left: [x[i], x[i + 1]], right: [x[i + 2], x[i + 3]] };
    let expected = cpu.tensor(&basis, &[vec![term(0), term(1)], vec![term(2)]]).unwrap();
    pair.check("tensor", &tensors.concat(), &expected.concat());
    let phi = [Automorphism::rotation(n, 3), Automorphism::new(n, 2 * n - 1)];
    let turned = gpu.automorphism(&basis, &[(y[0], &phi[0]), (y[1], &phi[1])]).unwrap();
    pair.check("automorphism", &turned, &cpu.automorphism(&basis, &[(x[0], &phi[0]), (x[1], &phi[1])]).unwrap());

    let (mut found, mut expected) = (resident[0].clone(), polys[0].clone());
    gpu.truncate(&mut found, 3);
    expected.truncate(3);
    pair.check("truncate", &[found], &[expected]);
}

#[test]
fn transforms_and_conversions_equal_those_of_the_processor() {
    let pair = Pair::new(Preset::Inf14x30);
    let (cpu, gpu) = (&pair.cpu, &pair.gpu);
    let (basis, wide) = (Basis::extended(5), Basis::extended(10));
    let polys: Vec<Poly<Coeff>> = pair.polys(&wide, 3);
    let resident = pair.upload(&polys);
    // A polynomial that is held elsewhere must not be overwritten.
    let kept = resident[1].clone();
    let expected = cpu.forward(&wide, polys.clone()).unwrap();
    let evaluated = gpu.forward(&wide, resident).unwrap();
    pair.check("forward", &evaluated, &expected);
    pair.check("what was shared", &[kept], &polys[1..2]);
    let alone = pair.upload(&polys[2..]);
    pair.check("forward in place", &gpu.forward(&wide, alone).unwrap(), &expected[2..]);

    let rows = Basis::ordinary(2..5);
    let factors = [1, 77, 1 << 28];
    let scaled = gpu.inverse(&basis, &rows, &factors, &evaluated.iter().collect::<Vec<_>>()).unwrap();
    let plain = cpu.inverse(&basis, &rows, &factors, &expected.iter().collect::<Vec<_>>()).unwrap();
    pair.check("inverse", &scaled, &plain);
    let (from, to) = (Basis::ordinary(3..5), Basis::extended(8));
    let converted = gpu.convert(&rows, &from, &to, &scaled.iter().collect::<Vec<_>>()).unwrap();
    pair.check("convert", &converted, &cpu.convert(&rows, &from, &to, &plain.iter().collect::<Vec<_>>()).unwrap());
}

#[test]
fn lifting_and_division_equal_those_of_the_processor() {
    let pair = Pair::new(Preset::Inf14x30);
    let (cpu, gpu) = (&pair.cpu, &pair.gpu);
    for limbs in [10, 7, 2] {
        let polys: Vec<Poly<Eval>> = pair.polys(&Basis::ordinary(0..limbs), 2);
        let resident = pair.upload(&polys);
        let lifted = gpu.lift(limbs, &resident.iter().collect::<Vec<_>>()).unwrap();
        let expected = cpu.lift(limbs, &polys.iter().collect::<Vec<_>>()).unwrap();
        pair.check(&format!("lift of {limbs}"), &lifted.concat(), &expected.concat());
    }
    let phi = Automorphism::rotation(pair.params.n, 1);
    for (basis, keep) in [(Basis::extended(10), 10), (Basis::extended(7), 6), (Basis::ordinary(0..10), 9)] {
        let polys: Vec<Poly<Eval>> = pair.polys(&basis, 2);
        let addends: Vec<Poly<Eval>> = pair.polys(&Basis::ordinary(0..10), 1);
        let (x, added) = (pair.upload(&polys), pair.upload(&addends));
        let items = vec![
            Division { x: &x[0], addend: None, automorphism: None },
            Division { x: &x[1], addend: Some(&added[0]), automorphism: Some(&phi) },
        ];
        let divided = gpu.divide(&basis, keep, items).unwrap();
        let items = vec![
            Division { x: &polys[0], addend: None, automorphism: None },
            Division { x: &polys[1], addend: Some(&addends[0]), automorphism: Some(&phi) },
        ];
        pair.check(&format!("{basis:?} to {keep}"), &divided, &cpu.divide(&basis, keep, items).unwrap());

        let factors: Vec<u32> = (0..keep as u32).map(|i| 1 << (i + 19)).collect();
        let division = Division { x: &x[0], addend: Some(&added[0]), automorphism: Some(&phi) };
        let quotients = gpu.quotient(&basis, keep, &factors, &[Quotient { division, remainder: &added[0] }]).unwrap();
        let division = Division { x: &polys[0], addend: Some(&addends[0]), automorphism: Some(&phi) };
        let expected = cpu.quotient(&basis, keep, &factors, &[Quotient { division, remainder: &addends[0] }]).unwrap();
        pair.check(&format!("quotient of {basis:?}"), &quotients, &expected);
    }
}

#[test]
fn memory_is_used_again_and_nothing_but_polynomials_crosses_twice() {
    let pair = Pair::new(Preset::Inf13);
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
