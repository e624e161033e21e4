//! CKKS operations at the top level of the serving presets, for development.
//!
//! Threads are rayon's: `RAYON_NUM_THREADS=1 cargo bench -p he-agg --bench ckks`
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
#![expect(missing_docs, reason = "the macro makes a public function")]

use criterion::{Criterion, criterion_group, criterion_main};
use he_agg::ckks::{Encoder, Evaluator, Hoisted};
use he_agg::multiparty::{Collective, Crs, KeyPlan};
use he_agg::{Preset, Stream};

fn operations(criterion: &mut Criterion) {
    for preset in [Preset::Inf14x30, Preset::Inf15x60, Preset::Inf15x90] {
        let params = preset.params();
        let limbs = params.q.len();
        let mut stream = Stream::from_seed([3; 32]);
        let plan = KeyPlan { relin_limbs: limbs, rotations: [(1, limbs)].into(), ..KeyPlan::default() };
        let crs = Crs::new(preset, stream.seed());
        let Collective { public, keys, .. } = Collective::new(crs, 1, &plan, &mut stream).unwrap();

        let (encoder, evaluator) = (Encoder::new(preset).unwrap(), Evaluator::new(preset).unwrap());
        let values: Vec<f64> = (0..params.slots()).map(|_| 2.0 * stream.next_f64() - 1.0).collect();
        let plaintext = encoder.encode(&values, params.scale(), limbs).unwrap();
        let left = public.encrypt(&plaintext, &mut stream).unwrap();
        let right = public.encrypt(&plaintext, &mut stream).unwrap();
        let product = evaluator.mul(&left, &right).unwrap();
        let hoisted = Hoisted::new(&evaluator, &left).unwrap();

        let mut group = criterion.benchmark_group(preset.name());
        group.bench_function("encode", |b| b.iter(|| encoder.encode(&values, params.scale(), limbs).unwrap()));
        group.bench_function("encrypt", |b| b.iter(|| public.encrypt(&plaintext, &mut stream).unwrap()));
        group.bench_function("add", |b| b.iter(|| evaluator.add(&left, &right).unwrap()));
        group.bench_function("multiply", |b| b.iter(|| evaluator.mul(&left, &right).unwrap()));
        group.bench_function("relinearise", |b| b.iter(|| evaluator.relinearise(&product, &keys).unwrap()));
        group.bench_function("relinearise_rescale", |b| {
            b.iter(|| evaluator.relinearise_rescale(&product, &keys).unwrap());
        });
        group.bench_function("rescale", |b| b.iter(|| evaluator.rescale(&left).unwrap()));
        group.bench_function("rotate", |b| b.iter(|| evaluator.rotate(&left, 1, &keys).unwrap()));
        group.bench_function("hoist", |b| b.iter(|| Hoisted::new(&evaluator, &left).map(drop).unwrap()));
        group.bench_function("rotate_hoisted", |b| b.iter(|| hoisted.rotate(1, &keys).unwrap()));
        group.bench_function("pack", |b| b.iter(|| left.to_bytes()));
        group.finish();
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
