//! A recorded encrypted inference that a stranger can decrypt and check.
//!
//! `tests/golden` holds a network, its parameters, an image, the ciphertext that came out of the
//! encrypted evaluation, and the logits expected in it. The key is the one a holder draws from
//! the published seed, so nothing secret is kept. After a deliberate change of the format or of
//! lowering, write the folder anew and review the difference:
//!
//! HE_INFER_GOLDEN=write cargo test -p he-infer --test golden
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use std::path::PathBuf;

use he_agg::ckks::{Ciphertext, Encoder};
use he_agg::multiparty::{Collective, HolderKey};
use he_agg::{Preset, Stream};
use he_infer::{EncryptedExecutor, EncryptedModel, Network, Program};
use ndarray::Array3;
use random::Random;

const PRESET: Preset = Preset::Inf14x30;
/// Largest difference of a logit from the recorded one; the noise of the recording is below 1e-3.
const TOLERANCE: f64 = 1e-2;

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

fn network() -> Network {
    toml::from_str(&std::fs::read_to_string(path("network.toml")).unwrap()).unwrap()
}

/// A recorded list of numbers, one line `name value value ...` each.
fn numbers<T: std::str::FromStr>(name: &str) -> Vec<T> {
    let text = std::fs::read_to_string(path("values.txt")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.split_whitespace().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))).collect()
}

fn image(network: &Network) -> Array3<f32> {
    let shape = network.image();
    Array3::from_shape_vec((shape.channels, shape.height, shape.width), numbers("image")).unwrap()
}

/// Everything from the published seeds: keys, model, query, result.
fn evaluate(program: &Program, parameters: &[f32], image: &Array3<f32>) -> (Ciphertext, HolderKey) {
    let Collective { crs, mut secrets, public: public_key, keys } = ceremony::keys(PRESET, 1, program.key_plan());
    assert_eq!(crs.preset(), PRESET);
    let mut stream = Stream::from_seed([17; 32]);
    let model = EncryptedModel::encrypt(program, parameters, &public_key, &mut stream).unwrap();
    let query = program.encrypt_query(image.view(), &public_key, &mut stream).unwrap();
    let result = EncryptedExecutor::new(program, &keys).unwrap().run(&model, &query).unwrap();
    (result, HolderKey::new(secrets.remove(0)))
}

/// Writes the folder if the environment asks for it; the network is what the file says.
fn write_if_asked() {
    if std::env::var_os("HE_INFER_GOLDEN").is_none_or(|value| value != "write") {
        return;
    }
    let network = network();
    let program = Program::compile(&network, PRESET.params()).unwrap();
    // Small pixels keep the logits of this random quartic network near 1.
    let mut random = Random::new(4);
    let (parameters, image) = (random.parameters(&network), random.image(network.image()).mapv(|pixel| 0.3 * pixel));
    let logits = network.forward(&parameters, image.view()).unwrap();
    let (result, _) = evaluate(&program, &parameters, &image);
    let join = |values: Vec<String>| values.join(" ");
    let lines = [
        format!("logits {}", join(logits.iter().map(f64::to_string).collect())),
        format!("image {}", join(image.iter().map(f32::to_string).collect())),
        format!("parameters {}", join(parameters.iter().map(f32::to_string).collect())),
    ];
    std::fs::write(path("values.txt"), lines.join("\n") + "\n").unwrap();
    std::fs::write(path("result.ciphertext"), result.to_bytes()).unwrap();
}

#[test]
fn the_recorded_inference_decrypts_to_the_recorded_logits_and_can_be_recomputed() {
    write_if_asked();
    let network = network();
    let program = Program::compile(&network, PRESET.params()).unwrap();
    let parameters: Vec<f32> = numbers("parameters");
    let image = image(&network);
    let recorded = Ciphertext::from_bytes(&std::fs::read(path("result.ciphertext")).unwrap(), PRESET).unwrap();
    assert_eq!(recorded.limbs(), program.output_limbs());

    let (again, holder) = evaluate(&program, &parameters, &image);
    assert!(again == recorded, "the same seeds no longer give the recorded ciphertext: see the head of this file");

    let slots = Encoder::new(PRESET).unwrap().decode(&holder.decrypt(&recorded).unwrap()).unwrap();
    let logits = program.read_logits(&slots).unwrap();
    let expected: Vec<f64> = numbers("logits");
    let plain = network.forward(&parameters, image.view()).unwrap();
    assert_eq!(logits.len(), expected.len());
    for ((found, expected), plain) in logits.iter().zip(&expected).zip(plain) {
        assert!((plain - expected).abs() < 1e-9, "plain logit {plain}, recorded {expected}");
        assert!((found - expected).abs() < TOLERANCE, "decrypted logit {found}, recorded {expected}");
    }
}
