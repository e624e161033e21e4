//! Ciphertexts with real keys: the evaluator gives the same bits on both backends.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod device;

use he_agg::ckks::{Ciphertext, Encoder, EvaluationKeys, Evaluator, Hoisted};
use he_agg::multiparty::{Collective, Crs, KeyPlan, PublicKey};
use he_agg::{Preset, Stream};
use he_gpu::Gpu;
use std::slice::from_ref;
use std::sync::Arc;

const PRESET: Preset = Preset::Inf14x30;

/// The keys of one party: for encryption, for products and for rotations by `steps`.
fn keys(steps: &[i32], stream: &mut Stream) -> (PublicKey, Arc<EvaluationKeys>) {
    let limbs = PRESET.params().q.len();
    let rotations = steps.iter().map(|steps| (*steps, limbs)).collect();
    let plan = KeyPlan { relin_limbs: limbs, rotations, ..KeyPlan::default() };
    let Collective { public, keys, .. } = Collective::new(Crs::new(PRESET, [7; 32]), 1, &plan, stream).unwrap();
    (public, keys)
}

#[test]
fn ciphertexts_come_out_the_same_on_both_backends() {
    let params = PRESET.params();
    let Some(gpu) = device::open(params) else { return };
    let mut stream = Stream::from_seed([5; 32]);
    let (public, keys) = keys(&[1, 64], &mut stream);
    let encoder = Encoder::new(PRESET).unwrap();
    let mut encrypt = || {
        let values: Vec<f64> = (0..params.slots()).map(|_| 2.0 * stream.next_f64() - 1.0).collect();
        let plaintext = encoder.encode(&values, params.scale(), params.q.len()).unwrap();
        public.encrypt(&plaintext, &mut stream).unwrap()
    };
    let inputs = [encrypt(), encrypt(), encrypt()];
    let (cpu, gpu) = (Evaluator::new(PRESET).unwrap(), Evaluator::on(gpu).unwrap());
    let backend = gpu.backend();
    let resident = Ciphertext::upload(&inputs.iter().collect::<Vec<_>>(), backend).unwrap();
    let resident_keys = keys.upload(backend).unwrap();
    let check = |what: &str, found: &[Ciphertext<Gpu>], expected: &[Ciphertext]| {
        let found = Ciphertext::download(&found.iter().collect::<Vec<_>>(), backend).unwrap();
        assert_eq!(found.len(), expected.len(), "{what}");
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(found.to_bytes() == expected.to_bytes(), "{what}, result {i}");
        }
    };

    let expected = cpu.mul_accumulate(&[(&inputs[0], &inputs[1]), (&inputs[1], &inputs[2])]).unwrap();
    let product = gpu.mul_accumulate(&[(&resident[0], &resident[1]), (&resident[1], &resident[2])]).unwrap();
    check("product", from_ref(&product), from_ref(&expected));
    let linear = gpu.relinearise(&product, &resident_keys).unwrap();
    check("relinearise", from_ref(&linear), &[cpu.relinearise(&expected, &keys).unwrap()]);
    let rescaled = gpu.relinearise_rescale(&product, &resident_keys).unwrap();
    let expected = cpu.relinearise_rescale(&expected, &keys).unwrap();
    check("relinearise_rescale", from_ref(&rescaled), from_ref(&expected));
    // One level down: fewer limbs than the key serves, and digits of unequal length.
    check("rotate", &[gpu.rotate(&rescaled, 1, &resident_keys).unwrap()], &[cpu.rotate(&expected, 1, &keys).unwrap()]);
    check("rescale", &[gpu.rescale(&rescaled).unwrap()], &[cpu.rescale(&expected).unwrap()]);
    let expected = Hoisted::all(&cpu, inputs[..2].iter().collect()).unwrap().rotate_many(&[1, 0, 64], &keys).unwrap();
    let hoisted = Hoisted::all(&gpu, resident[..2].iter().collect()).unwrap();
    let rotated = hoisted.rotate_many(&[1, 0, 64], &resident_keys).unwrap();
    check("rotate_many", &rotated.concat(), &expected.concat());
}
