//! Transforms of one limb, on every instruction set of this processor, for development.
//!
//! `cargo bench -p he-agg --bench ntt`
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
#![expect(missing_docs, reason = "the macro makes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use he_agg::simd::{Isa, forward_on, inverse_on};
use he_agg::{Eval, Expander, Params, Poly, Preset};

fn transforms(criterion: &mut Criterion) {
    for log_n in 12..=15 {
        let params = Params::toy(Preset::Agg13, log_n);
        let expander = Expander::new(&[7; 32], "bench/ntt", params.preset, &[]);
        let mut poly = Poly::<Eval>::uniform(&expander, 0, params.n, &params.q[..1]);
        let table = params.q[0].table();
        let mut group = criterion.benchmark_group(format!("ntt/{}", params.n));
        // Read and written once.
        group.throughput(Throughput::Bytes(8 * params.n as u64));
        for isa in Isa::available() {
            group.bench_function(BenchmarkId::new("forward", isa), |bencher| {
                bencher.iter(|| forward_on(isa, table, poly.limb_mut(0)).unwrap());
            });
            group.bench_function(BenchmarkId::new("inverse", isa), |bencher| {
                bencher.iter(|| inverse_on(isa, table, poly.limb_mut(0)).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, transforms);
criterion_main!(benches);
