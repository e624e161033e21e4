//! The gate at the top level of the serving presets: what a hospital makes once per epoch and asker,
//! what it encrypts, and the lift that everybody computes.
//!
//! Threads are rayon's: `RAYON_NUM_THREADS=1 cargo bench -p he-agg --bench gate`
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
#![expect(missing_docs, reason = "the macro makes a public function")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use he_agg::aggregation::{Flooding, MemoryLedger, VaultSecret};
use he_agg::ckks::{Encoder, Evaluator};
use he_agg::multiparty::{
    Collective, Crs, GateKey, GateLabel, GatePermit, GateSecret, GateSeed, GateShare, GateSum, Gated, KeyPlan, LiftSum,
    PlaneKey, PlaneLevels, PlaneMaker, PlaneSeed, PlaneSum, ServingSecret,
};
use he_agg::{Preset, Stream};

fn gates(criterion: &mut Criterion) {
    for preset in [Preset::Inf14x30, Preset::Inf15x60, Preset::Inf15x90] {
        let params = preset.params();
        let limbs = params.q.len();
        let mut stream = Stream::from_seed([3; 32]);
        let crs = Crs::new(preset, stream.seed());
        let serving = ServingSecret::generate(preset, 1, &mut stream).unwrap();
        let seed = GateSeed::generate(&mut stream);
        let share = GateShare::generate(&serving, &crs, 1, limbs, &seed, &mut stream).unwrap();
        let mut sum = GateSum::new(&crs, 1, limbs, 1).unwrap();
        sum.absorb(&share).unwrap();
        let gate = sum.finish().unwrap();
        let secret = GateSecret::generate(preset, 1, &mut stream).unwrap();
        let seeds = [(1, &seed)];
        let key = GateKey::generate(&secret, &crs, &gate, &seeds, &mut stream).unwrap();

        let (encoder, evaluator) = (Encoder::new(preset).unwrap(), Evaluator::new(preset).unwrap());
        let values: Vec<f64> = (0..params.slots()).map(|_| 2.0 * stream.next_f64() - 1.0).collect();
        let plaintext = encoder.encode(&values, params.scale(), limbs).unwrap();
        let (vault, mut ledger) =
            (VaultSecret::from_bytes([1; 32]), MemoryLedger::new(Flooding::secure(40, 1).unwrap()));
        let label = GateLabel { what: Gated::Weight, asker: 1, number: 0, part: 0 };
        let permit = GatePermit::claim(&mut ledger, &crs, label, &plaintext).unwrap();
        let gated = secret.encrypt(permit, &vault).unwrap();

        let mut group = criterion.benchmark_group(preset.name());
        group.bench_function("gate_share", |b| {
            b.iter(|| GateShare::generate(&serving, &crs, 1, limbs, &seed, &mut stream).unwrap());
        });
        group.bench_function("gate_key", |b| {
            b.iter(|| GateKey::generate(&secret, &crs, &gate, &seeds, &mut stream).unwrap());
        });
        group.bench_function("gate_encrypt", |b| {
            b.iter(|| {
                let permit = GatePermit::claim(&mut ledger, &crs, label, &plaintext).unwrap();
                secret.encrypt(permit, &vault).unwrap()
            });
        });
        group.bench_function("gate_lift", |b| b.iter(|| evaluator.lift(&gated, &crs, label, &key).unwrap()));
        group.bench_function("gate_lift_sum_of_1", |b| {
            b.iter(|| {
                let mut sum = LiftSum::new(evaluator, &crs, (0, 0), (limbs, params.scale())).unwrap();
                sum.absorb(&gated, &key).unwrap();
                sum.finish().unwrap()
            });
        });
        planes(&mut group, (&crs, &secret, limbs), &key);
        group.finish();
    }
}

/// One plane, as its maker and everybody who makes it again computes it, and what four of them come to.
fn planes(group: &mut BenchmarkGroup<'_, WallTime>, (crs, secret, limbs): (&Crs, &GateSecret, usize), key: &GateKey) {
    let (preset, mut stream) = (crs.preset(), Stream::from_seed([4; 32]));
    let plane_key = PlaneKey::generate(secret, crs, limbs, &mut stream).unwrap();
    let maker = PlaneMaker::new(&plane_key, crs).unwrap();
    let seeds = [0, 1, 2, 3].map(|number| PlaneSeed::of_pool(&[5; 32], preset, number));
    group.bench_function("plane_encrypt", |b| b.iter(|| maker.encrypt(&seeds[0]).unwrap()));
    let planes = seeds.each_ref().map(|seed| maker.encrypt(seed).unwrap());
    group.bench_function("plane_digest", |b| b.iter(|| planes[0].digest()));
    let slots = preset.params().slots();
    let (levels, turns) = (PlaneLevels::new(0.0, 1.0, vec![true; slots]).unwrap(), vec![27; slots]);
    group.bench_function("planes_compose", |b| {
        b.iter(|| PlaneSum::compose(planes.each_ref(), &turns, &levels).unwrap());
    });
    let plan = KeyPlan { conjugation_limbs: limbs, ..KeyPlan::default() };
    let keys = Collective::new(crs.clone(), 1, &plan, &mut stream).unwrap().keys;
    let sum = PlaneSum::compose(planes.each_ref(), &turns, &levels).unwrap();
    let evaluator = Evaluator::new(preset).unwrap();
    group.bench_function("planes_lift", |b| b.iter(|| evaluator.lift_planes(&sum, crs, key, &keys).unwrap()));
}

criterion_group!(benches, gates);
criterion_main!(benches);
