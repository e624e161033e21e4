//! Three hospitals make one key that none of them holds, square an encrypted vector under it, and
//! any two release the result to the asker alone.
//!
//! `cargo run --release -p he-agg --example collective_key`
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use he_agg::aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret};
use he_agg::ckks::{Encoder, EvaluationKeys, Evaluator};
use he_agg::multiparty::*;
use he_agg::{Preset, Stream};
use std::collections::BTreeMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (preset, parties, quorum) = (Preset::Inf15x90, 3, Quorum { threshold: 2, parties: 3 });
    let params = preset.params();
    let (limbs, mut stream) = (params.base_limbs + params.limbs_per_level, Stream::from_os()?);
    let crs = Crs::new(preset, stream.seed());

    // Every hospital has a secret; the sums of their shares are the public keys.
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
    keys.set_relinearization(second.finish(&first)?)?;

    // Anybody encrypts under the public key and computes with the evaluation keys.
    let (encoder, evaluator) = (Encoder::new(preset)?, Evaluator::new(preset)?);
    let values = [1.0, -2.0, 3.0, 0.5];
    // All slots repeat them, so that four coefficients hold everything.
    let slots: Vec<f64> = values.iter().copied().cycle().take(params.slots()).collect();
    let x = public.encrypt(&encoder.encode(&slots, params.scale(), limbs)?, &mut stream)?;
    let square = evaluator.relinearise_rescale(&evaluator.mul(&x, &x)?, &keys)?;

    // Each secret is dealt so that two hospitals suffice; a hospital adds the points it gets.
    let mut points = secrets[0].share_points(&crs, quorum.threshold, parties, &mut stream)?;
    for secret in &secrets[1..] {
        let dealt = secret.share_points(&crs, quorum.threshold, parties, &mut stream)?;
        points.iter_mut().zip(&dealt).try_for_each(|(point, share)| point.absorb(share))?;
    }

    // Hospitals 1 and 3 release the first four slots: a permit each, flooding, masks.
    let flooding = Flooding::secure(64, 1 << 20)?;
    // A square of numbers below two has less error; how much a network has says `Program::certify` in he-infer.
    let bound = ErrorBound::at_least(29.0).ok_or("a bound")?;
    let shape = AnswerShape { period: values.len(), scale: square.scale(), value_max: 1024.0 };
    let request = ReleaseRequest { query: 1, asker: 2, digest: [7; 32] };
    let context = ReleaseContext::new(&crs, quorum, request, shape, &[1, 3])?;
    let (mut sum, pair) = (ReleaseSum::new(&context), stream.seed());
    for (party, other) in [(1, 3), (3, 1)] {
        let permit = ReleasePermit::claim(&mut MemoryLedger::new(flooding), &context, &square)?;
        let (pairs, vault) = (BTreeMap::from([(other, MaskKey::from_bytes(pair))]), VaultSecret::generate()?);
        let policy = DecryptPolicy::Flooded(flooding, bound);
        let of = (&context, &square);
        // Each share travels sealed to hospital 2, which asked.
        sum.absorb(&ReleaseShare::generate(permit, of, &points[party - 1], policy, &pairs, &vault)?)?;
    }
    // The flooding of 64 bits shows in the third digit.
    let slots = sum.finish()?;
    for (x, square) in values.iter().zip(&slots) {
        println!("{x:4} squared: {square:9.6}");
        assert!((x * x - square).abs() < 1e-2);
    }
    Ok(())
}
