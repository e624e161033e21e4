//! A server applies an encrypted 4 x 4 matrix to an encrypted vector by the diagonal method: one
//! hoisted rotation and one product per diagonal, a single relinearisation for the sum.
//!
//! `cargo run --release -p he-agg --example private_linear_layer`
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use he_agg::ckks::{Encoder, EvaluationKeys, Evaluator, Hoisted};
use he_agg::multiparty::*;
use he_agg::{Preset, Stream};

const MATRIX: [[f64; 4]; 4] = [[1.0, 2.0, 0.0, 0.5], [0.0; 4], [3.0, -1.0, 1.0, 1.0], [0.25; 4]];
const VECTOR: [f64; 4] = [1.0, -2.0, 3.0, 4.0];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let preset = Preset::Inf14x30;
    let params = preset.params();
    let (limbs, mut stream) = (params.base_limbs + params.limbs_per_level, Stream::from_os()?);

    // The keys of one holder; the example `collective_key` makes them with several.
    let crs = Crs::new(preset, stream.seed());
    let secret = ServingSecret::generate(preset, 1, &mut stream)?;
    let mut public = PublicKeySum::new(&crs, 1)?;
    public.absorb(&PublicKeyShare::generate(&secret, &crs, &mut stream)?)?;
    let mut first = RelinKeySum::<R1>::new(&crs, limbs, 1)?;
    let (share, mask) = RelinKeyShare::<R1>::generate(&secret, &crs, limbs, &mut stream)?;
    first.absorb(&share)?;
    let first = first.finish()?;
    let mut second = RelinKeySum::<R2>::new(&crs, limbs, 1)?;
    second.absorb(&RelinKeyShare::<R2>::generate(&secret, mask, &first, &mut stream)?)?;
    let mut keys = EvaluationKeys::new(preset);
    keys.set_relinearization(second.finish(&first)?)?;
    for steps in 1..4 {
        let mut sum = GaloisKeySum::new(&crs, steps, limbs, 1)?;
        sum.absorb(&GaloisKeyShare::generate(&secret, &crs, steps, limbs, &mut stream)?)?;
        keys.insert_rotation(sum.finish()?)?;
    }
    let (public, holder) = (public.finish()?, HolderKey::new(secret));

    // The vector and the diagonals of the matrix, repeated over all slots, encrypted.
    let (encoder, evaluator) = (Encoder::new(preset)?, Evaluator::new(preset)?);
    let mut encrypt = |slot: &dyn Fn(usize) -> f64| -> Result<_, Box<dyn std::error::Error>> {
        let values: Vec<f64> = (0..params.slots()).map(|i| slot(i % 4)).collect();
        Ok(public.encrypt(&encoder.encode(&values, params.scale(), limbs)?, &mut stream)?)
    };
    let x = encrypt(&|i| VECTOR[i])?;
    let diagonals = (0..4).map(|d| encrypt(&|i| MATRIX[i][(i + d) % 4])).collect::<Result<Vec<_>, _>>()?;

    // The server: sees ciphertexts and evaluation keys only.
    let hoisted = Hoisted::new(&evaluator, &x)?;
    let turned = (0..4).map(|d| hoisted.rotate(d, &keys)).collect::<Result<Vec<_>, _>>()?;
    let product = evaluator.mul_accumulate(&turned.iter().zip(&diagonals).collect::<Vec<_>>())?;
    let result = evaluator.relinearise_rescale(&product, &keys)?;

    let slots = encoder.decode(&holder.decrypt(&result)?)?;
    for (row, weights) in MATRIX.iter().enumerate() {
        let exact: f64 = weights.iter().zip(&VECTOR).map(|(w, x)| w * x).sum();
        println!("row {row}: {:9.6} encrypted, {exact:9.6} in the clear", slots[row]);
        assert!((slots[row] - exact).abs() < 1e-3);
    }
    Ok(())
}
