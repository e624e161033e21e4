//! Two hospitals publish a model neither has seen, evaluate it on an encrypted image, and release
//! the logits to the asker alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use std::collections::BTreeMap;

use he_agg::aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret};
use he_agg::ckks::{Ciphertext, Encoder};
use he_agg::multiparty::{
    AskerKey, Collective, DecryptPolicy, ErrorBound, KeySwitchShare, Quorum, ServingKeyShare, SwitchContext,
    SwitchPermit, SwitchSum,
};
use he_agg::{Preset, Stream};
use he_infer::{
    AdmissibleWeights, EncryptedExecutor, EncryptedModel, ImageShape, LayerSpec, Network, PixelRange, Program,
};
use random::Random;

const PRESET: Preset = Preset::Inf15x90;
const PARTIES: u16 = 2;

/// Switches a result to the asker's key with the shares of both hospitals, flooded.
fn release(ceremony: &Collective, result: &Ciphertext, asker: &AskerKey, bound: ErrorBound) -> Ciphertext {
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
    let context = SwitchContext::new(&ceremony.crs, quorum, (1, [3; 32]), result, asker.public(), &[1, 2]).unwrap();
    let policy = DecryptPolicy::Flooded(Flooding::secure(40, 1 << 10).unwrap(), bound);
    let mut sum = SwitchSum::new(&context);
    for (party, other) in [(1, 2), (2, 1)] {
        let half = |party: u16| [party as u8; 32];
        let mask = MaskKey::pair(&ceremony.crs.epoch(), (party, &half(party)), (other, &half(other)));
        let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
        let permit = SwitchPermit::claim(&mut ledger, &context).unwrap();
        let vault = VaultSecret::from_bytes([party as u8; 32]);
        let masks = BTreeMap::from([(other, mask)]);
        sum.absorb(&KeySwitchShare::generate(permit, &context, &held[&party], policy, &masks, &vault).unwrap())
            .unwrap();
    }
    sum.finish().unwrap()
}

#[test]
fn the_asker_reads_the_logits_of_the_average_model() {
    let layers = vec![LayerSpec::conv(2, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(3)];
    let network = Network::new(ImageShape::new(1, 8, 8), layers).unwrap();
    let program = Program::compile(&network, PRESET.params()).unwrap();
    let ceremony = ceremony::keys(PRESET, PARTIES, program.key_plan());
    let mut random = Random::new(3);
    let trained = [random.parameters(&network), random.parameters(&network)];
    let image = random.image(network.image());
    let mut stream = Stream::from_seed([1; 32]);
    let mut publish = |parameters: &[f32], weight: f32| {
        let scaled: Vec<f32> = parameters.iter().map(|value| weight * value).collect();
        EncryptedModel::encrypt(&program, &scaled, &ceremony.public, &mut stream).unwrap()
    };
    let mut model = publish(&trained[0], 0.25);
    model.absorb(&publish(&trained[1], 0.75)).unwrap();

    let asker = AskerKey::generate(PRESET, &mut Stream::from_seed([4; 32])).unwrap();
    let query = program.encrypt_query(image.view(), &ceremony.public, &mut Stream::from_seed([2; 32])).unwrap();
    let result = EncryptedExecutor::new(&program, &ceremony.keys).unwrap().run(&model, &query).unwrap();
    let average: Vec<f32> = trained[0].iter().zip(&trained[1]).map(|(a, b)| 0.25 * a + 0.75 * b).collect();
    let weights = AdmissibleWeights::Around { base: &average, clip: 0.0 };
    let certified = program.certify(PixelRange::new(-2.0, 2.0).unwrap(), weights, PARTIES).unwrap();
    let released = release(&ceremony, &result, &asker, certified.bound().unwrap());

    let slots = Encoder::new(PRESET).unwrap().decode(&asker.decrypt(&released).unwrap()).unwrap();
    let logits = program.read_logits(&slots).unwrap();
    let plain = network.forward(&average, image.view()).unwrap();
    for (found, expected) in logits.iter().zip(&plain) {
        // f32 rounding of the average is the larger part; flooding adds about 1e-7.
        assert!((found - expected).abs() < 1e-5, "logit {found}, expected {expected}");
    }
}
