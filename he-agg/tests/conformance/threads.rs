//! Results do not depend on the number of threads.

use crate::specimens::{Refresh, Round, Serving};
use he_agg::Preset;
use he_agg::ckks::{Encoder, Evaluator, Hoisted};
use he_agg::multiparty::ReleaseSum;

/// Runs `work` in pools of several sizes; all must give what one thread gives.
fn same_on_any_pool(work: impl Fn() -> Vec<(&'static str, Vec<u8>)> + Send + Sync) {
    let run = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&work);
    let expected = run(1);
    for threads in [2, 3, 8] {
        for ((name, expected), (_, found)) in expected.iter().zip(run(threads)) {
            assert!(*expected == found, "{name} with {threads} threads");
        }
    }
}

#[test]
fn a_training_round_is_the_same_on_any_number_of_threads() {
    same_on_any_pool(|| {
        let round = Round::new(Preset::Agg13.params());
        let blinded = round.blinded();
        let decoded = round.opened(&blinded);
        let values = decoded.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut objects = vec![
            ("update", round.update(2).to_bytes()),
            ("sum", round.sum().identity().to_vec()),
            ("share", round.share(&round.decryptor(1)).to_bytes()),
            ("blinded sum", blinded.to_bytes()),
            ("values", values),
            ("noise", decoded.noise_max.to_le_bytes().to_vec()),
        ];
        objects.extend(round.key_shares(1).iter().map(|share| ("key share", share.expose_bytes().to_vec())));
        objects
    });
}

#[test]
fn ciphertexts_are_the_same_on_any_number_of_threads() {
    for (preset, limbs) in [(Preset::Inf13, 6), (Preset::Inf15x90, 7)] {
        same_on_any_pool(|| {
            let serving = Serving::new(preset, limbs);
            let (keys, evaluator) = (serving.evaluation_keys(), Evaluator::new(preset).unwrap());
            let x = &serving.ciphertext;
            let product = evaluator.mul_accumulate(&[(x, x), (x, x), (x, x)]).unwrap();
            let linear = evaluator.relinearise(&product, &keys).unwrap();
            let rescaled = evaluator.rescale(&linear).unwrap();
            let rotated = evaluator.rotate(x, -3, &keys).unwrap();
            let hoisted = Hoisted::new(&evaluator, x).unwrap().rotate(-3, &keys).unwrap();
            let fused = evaluator.relinearise_rescale(&product, &keys).unwrap();
            let context = serving.context();
            let mut released = ReleaseSum::new(&context);
            let share = serving.release_share(&context);
            released.absorb(&share).unwrap();
            let encoder = Encoder::new(preset).unwrap();
            let values: Vec<f64> = (0..preset.params().slots()).map(|i| (i % 89) as f64).collect();
            let plain = encoder.encode(&values, preset.params().scale(), limbs).unwrap();
            let decoded = encoder.decode(&plain).unwrap();
            let mut objects = serving.objects();
            objects.extend([
                ("product", product.to_bytes()),
                ("relinearised", linear.to_bytes()),
                ("rescaled", rescaled.to_bytes()),
                ("rotated", rotated.to_bytes()),
                ("rotated, hoisted", hoisted.to_bytes()),
                ("relinearised and rescaled", fused.to_bytes()),
                ("sum", evaluator.add(x, x).unwrap().to_bytes()),
                ("release share", share.to_bytes().to_vec()),
                ("decoded", decoded.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect()),
            ]);
            objects
        });
    }
}

#[test]
fn a_refresh_is_the_same_on_any_number_of_threads() {
    same_on_any_pool(|| {
        let refresh = Refresh::new();
        let mut objects = refresh.objects();
        objects.extend([("mask", refresh.mask.to_bytes()), ("opening", refresh.opening.to_bytes())]);
        objects
    });
}
