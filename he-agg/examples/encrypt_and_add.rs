//! One holder of a key, two encrypted vectors: their sum, and a weighted sum, without decrypting.
//!
//! `cargo run --release -p he-agg --example encrypt_and_add`
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use he_agg::ckks::{Encoder, Evaluator};
use he_agg::multiparty::{Crs, HolderKey, PublicKeyShare, PublicKeySum, ServingSecret};
use he_agg::{Preset, Stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let preset = Preset::Inf14x30;
    let params = preset.params();
    let limbs = params.base_limbs + params.limbs_per_level;
    let mut stream = Stream::from_os()?;

    // A collective key of one party is an ordinary key.
    let crs = Crs::new(preset, stream.seed());
    let secret = ServingSecret::generate(preset, 1, &mut stream)?;
    let mut public = PublicKeySum::new(&crs, 1)?;
    public.absorb(&PublicKeyShare::generate(&secret, &crs, &mut stream)?)?;
    let (public, holder) = (public.finish()?, HolderKey::new(secret));

    // Slots that are not given are zero; a ciphertext has N/2 = 8,192 of them.
    let (encoder, evaluator) = (Encoder::new(preset)?, Evaluator::new(preset)?);
    let mut encrypt = |values: &[f64]| -> Result<_, Box<dyn std::error::Error>> {
        Ok(public.encrypt(&encoder.encode(values, params.scale(), limbs)?, &mut stream)?)
    };
    let (x, y) = ([1.5, -2.0, 3.25], [0.5, 4.0, -1.25]);
    let (cx, cy) = (encrypt(&x)?, encrypt(&y)?);

    // x + y at once; w x + y needs a level, since the product's scale has to come down again. The
    // weights get the scale that brings it down to exactly that of y.
    let sum = evaluator.add(&cx, &cy)?;
    let weights = [0.5, 0.25, 2.0];
    let last = f64::from(params.q[limbs - 1].modulus().value());
    let weighted = evaluator.rescale(&evaluator.mul_plain(&cx, &encoder.encode(&weights, last, limbs)?)?)?;
    let mixed = evaluator.add(&weighted, &evaluator.drop_to(&cy, params.base_limbs)?)?;

    let (sum, mixed) = (encoder.decode(&holder.decrypt(&sum)?)?, encoder.decode(&holder.decrypt(&mixed)?)?);
    for i in 0..3 {
        println!(
            "{:4} + {:5} = {:9.6}    {:4} x {:4} + {:5} = {:9.6}",
            x[i], y[i], sum[i], weights[i], x[i], y[i], mixed[i]
        );
        assert!((sum[i] - x[i] - y[i]).abs() < 1e-4 && (mixed[i] - weights[i] * x[i] - y[i]).abs() < 1e-4);
    }
    Ok(())
}
