//! What is the device's own: memory that is used again, operands that are shared, traffic.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod device;

use he_agg::aggregation::{ChunkId, ChunkTerms, LaneLayout, PackedChunk};
use he_agg::backend::{Backend, Basis, Cpu};
use he_agg::ring::Domain;
use he_agg::wire::{self, Header, Kind};
use he_agg::{Coeff, Eval, Expander, Flooding, Limb, Params, Poly, Preset};
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

/// Bytes of a hospital's chunk: of these residues the first coefficients, as many as the layout says.
fn update(layout: &LaneLayout, chunk: u32, sender: u16, poly: &Poly<Coeff>) -> Vec<u8> {
    let params = layout.params();
    let id = ChunkId { epoch: [3; 32], round: 1, attempt: 0, chunk };
    let (epoch, round, attempt, limbs) = (id.epoch, id.round, id.attempt, params.q.len());
    let header = Header::new(Kind::UpdateChunk, params.preset, Coeff::NUMBER, limbs, 1);
    let mut bytes = Vec::new();
    Header { epoch, round, attempt, chunk, sender, ..header }.write(&mut bytes);
    for limb in 0..limbs {
        wire::pack(&poly.limb(limb)[..layout.coefficients(chunk)], &mut bytes);
    }
    bytes
}

#[test]
fn sums_of_short_chunks_are_the_processors() {
    let Some(pair) = Pair::new(Preset::Agg13) else { return };
    let layout = LaneLayout::new(pair.params, 5, 4, 16, Flooding::secure(40, 1 << 14).unwrap()).unwrap();
    let full = layout.values_per_chunk();
    let polys: Vec<Poly<Coeff>> = pair.polys(&Basis::ordinary(0..pair.params.q.len()), 5);
    // Short last chunks of one to four coefficients more than whole groups of four, and a full one.
    for more in [1, 17, 100, 8 * 66 + 3, full] {
        let layout = layout.clone().for_values(full + more);
        let bodies = [1, 0].map(|chunk| {
            let body = |(sender, poly)| update(&layout, chunk, sender, poly);
            (chunk, (1..).zip(&polys).map(body).collect::<Vec<_>>())
        });
        let terms = bodies.each_ref().map(|(chunk, bodies)| {
            let id = ChunkId { epoch: [3; 32], round: 1, attempt: 0, chunk: *chunk };
            let mut terms = ChunkTerms::new(&layout, id);
            bodies.iter().for_each(|b| terms.push(&PackedChunk::from_bytes(b, &layout).unwrap()).unwrap());
            terms
        });
        let sums = ChunkTerms::sum_all(&pair.gpu, &terms).unwrap();
        for (sum, terms) in sums.iter().zip(&terms) {
            assert_eq!(sum.to_bytes().len(), layout.object_bytes(terms.id().chunk));
            assert!(sum.to_bytes() == terms.sum().to_bytes(), "{more} values, {:?}", terms.id());
        }
    }
}
