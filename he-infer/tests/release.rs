//! Two hospitals publish a model neither has seen, evaluate it on an encrypted image, and release
//! the logits to the asker alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use std::collections::BTreeMap;

use he_agg::aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret};
use he_agg::ckks::Ciphertext;
use he_agg::multiparty::{
    Collective, DecryptPolicy, ErrorBound, Quorum, ReleaseContext, ReleasePermit, ReleaseRequest, ReleaseShare,
    ReleaseSum, ServingKeyShare,
};
use he_agg::{Preset, Stream};
use he_infer::{
    AdmissibleWeights, EncryptedExecutor, EncryptedModel, ImageShape, LayerSpec, Network, PixelRange, Program,
};
use random::Random;

const PRESET: Preset = Preset::Inf15x90;
const PARTIES: u16 = 2;

/// Releases the answer in a result with the shares of both hospitals, flooded; the slots that the asker reads.
fn release(ceremony: &Collective, program: &Program, result: &Ciphertext, bound: ErrorBound) -> Vec<f64> {
    let mut stream = Stream::from_seed([8; 32]);
    let mut held: BTreeMap<u16, ServingKeyShare> = BTreeMap::new();
    for secret in &ceremony.secrets {
        for share in secret.share_points(&ceremony.crs, PARTIES, PARTIES, &mut stream).unwrap() {
            match held.get_mut(&share.holder()) {
                Some(sum) => sum.absorb(&share).unwrap(),
                None => drop(held.insert(share.holder(), share)),
            }
        }
    }
    let quorum = Quorum { threshold: PARTIES, parties: PARTIES };
    let request = ReleaseRequest { query: 1, asker: 1, digest: [3; 32] };
    let context = ReleaseContext::new(&ceremony.crs, quorum, request, program.answer_shape(), &[1, 2]).unwrap();
    let policy = DecryptPolicy::Flooded(Flooding::secure(40, 1 << 10).unwrap(), bound);
    let mut sum = ReleaseSum::new(&context);
    for (party, other) in [(1, 2), (2, 1)] {
        let half = |party: u16| [party as u8; 32];
        let mask = MaskKey::pair(&ceremony.crs.epoch(), (party, &half(party)), (other, &half(other)));
        let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
        let permit = ReleasePermit::claim(&mut ledger, &context, result).unwrap();
        let vault = VaultSecret::from_bytes([party as u8; 32]);
        let masks = BTreeMap::from([(other, mask)]);
        let of = (&context, result);
        sum.absorb(&ReleaseShare::generate(permit, of, &held[&party], policy, &masks, &vault).unwrap()).unwrap();
    }
    sum.finish().unwrap()
}

/// Publishes the average of two models and asks so many images; the logits that the asker reads must be
/// those of the average in the clear.
fn ask(program: &Program, images: usize) {
    let network = program.network();
    let ceremony = ceremony::keys(PRESET, PARTIES, program.key_plan());
    let mut random = Random::new(3);
    let trained = [random.parameters(network), random.parameters(network)];
    let images: Vec<_> = (0..images).map(|_| random.image(network.image())).collect();
    let mut stream = Stream::from_seed([1; 32]);
    let mut publish = |parameters: &[f32], weight: f32| {
        let scaled: Vec<f32> = parameters.iter().map(|value| weight * value).collect();
        EncryptedModel::encrypt(program, &scaled, &ceremony.public, &mut stream).unwrap()
    };
    let mut model = publish(&trained[0], 0.25);
    model.absorb(&publish(&trained[1], 0.75)).unwrap();

    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let query = program.encrypt_images(&views, &ceremony.public, &mut Stream::from_seed([2; 32])).unwrap();
    let result = EncryptedExecutor::new(program, &ceremony.keys).unwrap().run_all(&model, &query).unwrap();
    let average: Vec<f32> = trained[0].iter().zip(&trained[1]).map(|(a, b)| 0.25 * a + 0.75 * b).collect();
    let weights = AdmissibleWeights::Around { base: &average, clip: 0.0 };
    let certified = program.certify(PixelRange::new(-2.0, 2.0).unwrap(), weights, PARTIES).unwrap();
    let slots = release(&ceremony, program, &result, certified.bound().unwrap());
    assert_eq!(slots.len(), program.output_period() * program.images());
    let answers = program.read_answer(&slots, images.len()).unwrap();
    for (image, logits) in images.iter().zip(answers) {
        let plain = network.forward(&average, image.view()).unwrap();
        assert_eq!(logits.len(), plain.len());
        for (found, expected) in logits.iter().zip(&plain) {
            // f32 rounding of the average is the larger part; flooding adds about 1e-7.
            assert!((found - expected).abs() < 1e-5, "logit {found}, expected {expected}");
        }
    }
    assert!(program.read_answer(&slots[1..], 1).is_err());
    assert!(program.read_answer(&slots, 0).is_err() && program.read_answer(&slots, program.images() + 1).is_err());
}

fn network() -> Network {
    let layers = vec![LayerSpec::conv(2, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(3)];
    Network::new(ImageShape::new(1, 8, 8), layers).unwrap()
}

#[test]
fn the_asker_reads_the_logits_of_the_average_model() {
    ask(&Program::compile(&network(), PRESET.params()).unwrap(), 1);
}

#[test]
fn the_asker_reads_the_logits_of_all_images_of_a_query() {
    ask(&Program::compile_batch(&network(), PRESET.params(), 4).unwrap(), 3);
}

/// What leaves is what a whole decryption shows, image by image.
#[test]
fn the_slots_of_an_answer_are_read_like_those_of_a_whole_result() {
    let program = Program::compile_batch(&network(), PRESET.params(), 4).unwrap();
    let period = program.output_period() * program.images();
    let few: Vec<f64> = (0..period).map(|slot| slot as f64 - 7.5).collect();
    let whole: Vec<f64> = few.iter().copied().cycle().take(program.slots()).collect();
    for images in 1..=4 {
        assert_eq!(program.read_answer(&few, images).unwrap(), program.read_logits_all(&whole, images).unwrap());
    }
}
