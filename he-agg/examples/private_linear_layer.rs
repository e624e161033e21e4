//! Three hospitals hold one key together; an encrypted 4 x 4 matrix is applied to an encrypted
//! vector, and any two of them release the product to the asker alone.
//!
//! `cargo run --release -p he-agg --example private_linear_layer`
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use he_agg::aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret};
use he_agg::ckks::{Encoder, Evaluator, Hoisted};
use he_agg::multiparty::*;
use he_agg::{Preset, Stream};
use std::collections::BTreeMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (preset, parties, quorum) = (Preset::Inf15x90, 3, Quorum { threshold: 2, parties: 3 });
    let params = preset.params();
    let (limbs, mut stream) = (params.base_limbs + params.limbs_per_level, Stream::from_os()?);
    let crs = Crs::new(preset, stream.seed());

    // Keys: every hospital contributes, the sums are public.
    let secrets = (1..=parties)
        .map(|party| ServingSecret::generate(preset, party, &mut stream))
        .collect::<Result<Vec<_>, _>>()?;
    let mut public = PublicKeySum::new(&crs, parties)?;
    let mut first = RelinKeySum::<R1>::new(&crs, limbs, parties)?;
    let mut masks = Vec::new();
    for secret in &secrets {
        public.absorb(&PublicKeyShare::generate(secret, &crs, &mut stream)?)?;
        let (share, mask) = RelinKeyShare::<R1>::generate(secret, &crs, limbs, &mut stream)?;
        first.absorb(&share)?;
        masks.push(mask);
    }
    let (public, first) = (public.finish()?, first.finish()?);
    let mut second = RelinKeySum::<R2>::new(&crs, limbs, parties)?;
    for (secret, mask) in secrets.iter().zip(masks) {
        second.absorb(&RelinKeyShare::<R2>::generate(secret, mask, &first, &mut stream)?)?;
    }
    let mut keys = EvaluationKeys::new(preset);
    keys.set_relinearization(second.finish(first)?)?;
    for steps in 1..4 {
        let mut sum = GaloisKeySum::new(&crs, steps, limbs, parties)?;
        for secret in &secrets {
            sum.absorb(&GaloisKeyShare::generate(secret, &crs, steps, limbs, &mut stream)?)?;
        }
        keys.insert_rotation(sum.finish()?)?;
    }

    // The diagonals of the matrix and the vector, repeated over all slots, encrypted.
    let (matrix, vector) = ([[1.0, 2.0, 0.0, 0.5], [0.0; 4], [3.0, -1.0, 1.0, 1.0], [0.25; 4]], [1.0, -2.0, 3.0, 4.0]);
    let (encoder, evaluator) = (Encoder::new(preset)?, Evaluator::new(preset)?);
    let mut encrypt = |slot: &dyn Fn(usize) -> f64| -> Result<_, Box<dyn std::error::Error>> {
        let values: Vec<f64> = (0..params.slots()).map(|i| slot(i % 4)).collect();
        Ok(public.encrypt(&encoder.encode(&values, params.scale(), limbs)?, &mut stream)?)
    };
    let x = encrypt(&|i| vector[i])?;
    let diagonals = (0..4).map(|d| encrypt(&|i| matrix[i][(i + d) % 4])).collect::<Result<Vec<_>, _>>()?;
    let hoisted = Hoisted::new(&evaluator, &x)?;
    let turned = (0..4).map(|d| hoisted.rotate(d, &keys)).collect::<Result<Vec<_>, _>>()?;
    let product = evaluator.mul_accumulate(&turned.iter().zip(&diagonals).collect::<Vec<_>>())?;
    let result = evaluator.relinearise_rescale(&product, &keys)?;

    // Release by hospitals 1 and 3: dealt points, a permit each, flooding.
    let flooding = Flooding::secure(64, 1 << 20)?;
    let deal = |secret: &ServingSecret| secret.share_points(&crs, quorum.threshold, parties, &mut stream);
    let mut dealt = secrets.iter().map(deal).collect::<Result<Vec<_>, _>>()?;
    let mut points = dealt.remove(0);
    for (sum, share) in dealt.iter().flat_map(|shares| (0..).zip(shares)) {
        points[sum].absorb(share)?;
    }
    let asker = AskerKey::generate(preset, &mut stream)?;
    let context = SwitchContext::new(&crs, quorum, (1, [7; 32]), &result, asker.public(), &[1, 3])?;
    let (mut sum, pair) = (SwitchSum::new(&context), stream.seed());
    for (party, other) in [(1, 3), (3, 1)] {
        let permit = SwitchPermit::claim(&mut MemoryLedger::new(flooding), &context)?;
        let (keys, vault) = (BTreeMap::from([(other, MaskKey::from_bytes(pair))]), VaultSecret::generate()?);
        let policy = DecryptPolicy::Flooded(flooding);
        sum.absorb(&KeySwitchShare::generate(permit, &context, &points[party - 1], policy, &keys, &vault)?)?;
    }
    // Every slot repeats one of four values: averaging them removes most of the flooding.
    let slots = encoder.decode(&asker.decrypt(&sum.finish()?)?)?;
    for (row, weights) in matrix.iter().enumerate() {
        let mean = slots.iter().skip(row).step_by(4).sum::<f64>() / (slots.len() / 4) as f64;
        let exact: f64 = weights.iter().zip(&vector).map(|(w, x)| w * x).sum();
        println!("row {row}: {mean:9.6} encrypted, {exact:9.6} in the clear");
    }
    Ok(())
}
