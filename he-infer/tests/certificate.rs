//! Certificates against what images and models at the corners of their ranges give, predicted by other code.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod random;

use std::path::Path;

use he_agg::Preset;
use he_infer::{
    AdmissibleWeights, Certificate, CertifyError, Conditions, ImageShape, InputError, LayerSpec, Network, PixelRange,
    Program, WeightRange,
};
use ndarray::Array3;
use random::Random;
use serde::Deserialize;

/// What `experiment` takes before there is a model, and publishing afterwards.
const RANGE: WeightRange = WeightRange { gain: 0.5, offset: 1.5 };
const CLIP: f64 = 1.0 / 64.0;
const HOSPITALS: [u16; 3] = [5, 16, 64];
/// Deviations of a logit's predicted error at which it is compared.
const SIGMAS: f64 = 6.0;

/// What of an experiment's file decides about errors.
#[derive(Deserialize)]
struct File {
    data: Data,
    model: Model,
}

#[derive(Deserialize)]
struct Data {
    image: ImageShape,
    normalise: Normalise,
}

#[derive(Deserialize)]
struct Normalise {
    mean: f32,
    std: f32,
}

#[derive(Deserialize)]
struct Model {
    layers: Vec<LayerSpec>,
}

/// A program of `configs/`, the range of its pixels, and its name.
struct Config {
    name: String,
    program: Program,
    normalise: Normalise,
}

impl Config {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        // Heads have no network of their own.
        paths.retain(|path| !std::fs::read_to_string(path).unwrap().contains("\n[head]\n"));
        paths.sort();
        let config = |path: &std::path::PathBuf| {
            let file: File = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let network = Network::new(file.data.image, file.model.layers).unwrap();
            let program = Program::compile_wide(&network, Preset::Inf15x90.params(), 16).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            Self { name, program, normalise: file.data.normalise }
        };
        let configs: Vec<_> = paths.iter().map(config).collect();
        assert!(configs.len() >= 7, "{}", configs.len());
        configs
    }

    fn pixels(&self) -> PixelRange {
        PixelRange::normalised(self.normalise.mean, self.normalise.std).unwrap()
    }

    /// The least and the greatest pixel.
    fn ends(&self) -> [f32; 2] {
        [0.0, 1.0].map(|level: f32| (level - self.normalise.mean) / self.normalise.std)
    }

    /// An image at the corners of its range: all black, all white, stripes and boards, one that the first layer's
    /// kernels see as they are, and any.
    fn image(&self, number: usize, parameters: &[f32], random: &mut Random) -> Array3<f32> {
        let (shape, ends) = (self.program.network().image(), self.ends());
        let kernel = &self.program.network().tensors()[0];
        let (side, stride) = (*kernel.shape.last().unwrap(), 2);
        let place = |y: usize, x: usize| {
            (number % kernel.shape[0]) * side * side + (y / stride * stride % side) * side + x % side
        };
        Array3::from_shape_fn((shape.channels, shape.height, shape.width), |(_, y, x)| {
            let is_white = match number {
                0 => false,
                1 => true,
                2..=5 => (x / (number - 1) + y / (number - 1)).is_multiple_of(2),
                6..=8 => (x / (number - 5)).is_multiple_of(2),
                9..=24 => parameters[place(y, x)] > 0.0,
                _ => random.word() & 1 == 0,
            };
            ends[usize::from(is_white)]
        })
    }

    /// A model at a corner of the range: one sign, any signs, or what a base and a clip leave.
    fn corner(&self, number: usize, random: &mut Random) -> Vec<f32> {
        let tensors = self.program.network().tensors();
        let of = |tensor: &he_infer::TensorSpec| {
            let inputs: usize = tensor.shape.iter().skip(1).product();
            let bound = if tensor.shape.len() > 1 { RANGE.gain / (inputs as f64).sqrt() } else { RANGE.offset };
            let mut sign = || match number {
                0 => 1.0,
                1 => -1.0,
                _ => 1f32.copysign(random.unit()),
            };
            (0..tensor.len).map(|_| bound as f32 * sign()).collect::<Vec<f32>>()
        };
        tensors.iter().flat_map(of).collect()
    }

    /// log2 of the error that the noise walk predicts for an image and a model, at so many deviations of a logit.
    fn predicted(&self, parameters: &[f32], image: &Array3<f32>, hospitals: u16) -> f64 {
        let conditions = Conditions { key_parts: hospitals, contributions: hospitals, flooding: None };
        let packed = self.program.pack_all(image.view()).unwrap();
        let deviation = self.program.predict_gated_noise(parameters, &packed, conditions).unwrap();
        (SIGMAS * 2f64.sqrt() * deviation * self.program.output_scale()).log2()
    }

    /// Of `images` at the corners, all have logits within the certificate; those with the largest are predicted an
    /// error below it.
    fn check(&self, (images, walked): (usize, usize), models: usize) -> f64 {
        let (mut random, mut nearest) = (Random::new(11), f64::INFINITY);
        let shape = self.program.network();
        for number in 0..models {
            // Half of the models are anywhere in the range, half near one that is known.
            let (parameters, certificates) = if number % 2 == 0 {
                (self.corner(number / 2, &mut random), self.certify(AdmissibleWeights::Within(RANGE)))
            } else {
                let base = random.parameters(shape);
                let moved =
                    base.iter().map(|w| w + (CLIP as f32).copysign(if number == 1 { *w } else { random.unit() }));
                (moved.collect(), self.certify(AdmissibleWeights::Around { base: &base, clip: CLIP }))
            };
            let mut by_logit: Vec<(f64, Array3<f32>)> = (0..images)
                .map(|number| {
                    let image = self.image(number, &parameters, &mut random);
                    let logits = shape.forward(&parameters, image.view()).unwrap();
                    (logits.iter().fold(0.0, |most: f64, logit| most.max(logit.abs())), image)
                })
                .collect();
            by_logit.sort_by(|(a, _), (b, _)| b.total_cmp(a));
            assert!(by_logit[0].0 <= certificates[0].logit_max(), "{}: logit {}", self.name, by_logit[0].0);
            for (hospitals, certificate) in HOSPITALS.into_iter().zip(&certificates) {
                for (_, image) in by_logit.iter().take(walked) {
                    let predicted = self.predicted(&parameters, image, hospitals);
                    nearest = nearest.min(certificate.error_log2() - predicted);
                    assert!(predicted < certificate.error_log2(), "{}, {hospitals}: 2^{predicted}", self.name);
                }
            }
        }
        nearest
    }

    fn certify(&self, weights: AdmissibleWeights<'_>) -> Vec<Certificate> {
        let of = |hospitals| self.program.certify(self.pixels(), weights, hospitals).unwrap();
        HOSPITALS.map(of).to_vec()
    }
}

#[test]
fn images_and_models_at_the_corners_stay_below_the_certificate_of_every_configuration() {
    for config in Config::all() {
        let nearest = config.check((64, 1), 2);
        // 8.5 deviations against 6: a model of one sign and a white image leave intervals nothing to give away.
        assert!(nearest < 1.0, "{}: 2^{nearest} below", config.name);
    }
}

/// Every image walked: some minutes.
#[test]
#[ignore = "the long check behind the one above"]
fn a_thousand_images_at_the_corners_stay_below_the_certificate_of_every_configuration() {
    for config in Config::all() {
        let nearest = config.check((1000, 1000), 2);
        println!("{}: nearest 2^{nearest:.1} below", config.name);
    }
}

fn small() -> Program {
    let layers = vec![LayerSpec::conv(4, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(3)];
    let network = Network::new(ImageShape::new(1, 12, 12), layers).unwrap();
    Program::compile(&network, Preset::Inf15x90.params()).unwrap()
}

/// Where nothing is left to choose, a certificate is the error itself, at 8.5 deviations: of a black image, most of it
/// from encryption and rotations, and of a bright one, most of it from weights.
#[test]
fn the_certificate_of_one_image_and_one_model_is_its_predicted_error() {
    let program = small();
    let conditions = Conditions { key_parts: 5, contributions: 5, flooding: None };
    for (seed, pixel, biased) in [(1, 0.0, true), (2, 0.0, false), (3, 0.01, true), (4, 1.0, true), (5, -2.0, true)] {
        let mut base = Random::new(seed).parameters(program.network());
        if !biased {
            // Nothing is left but errors, and those of rotations among them.
            let biases = program.network().tensors().iter().filter(|tensor| tensor.name.ends_with("bias"));
            biases.for_each(|tensor| base[tensor.offset..tensor.offset + tensor.len].fill(0.0));
        }
        let pixels = PixelRange::new(pixel, pixel).unwrap();
        let weights = AdmissibleWeights::Around { base: &base, clip: 0.0 };
        let found = program.certify(pixels, weights, 5).unwrap();
        let shape = program.network().image();
        let image = Array3::from_elem((shape.channels, shape.height, shape.width), pixel as f32);
        let packed = program.pack_all(image.view()).unwrap();
        let deviation = program.predict_gated_noise(&base, &packed, conditions).unwrap();
        // One of four slots in a period is no logit and has no weights, whose noise it has all the same.
        let predicted = (8.5 * 2f64.sqrt() * deviation * program.output_scale()).log2();
        println!("pixel {pixel}, {biased}: certified 2^{:.2}, predicted 2^{predicted:.2}", found.error_log2());
        let above = found.error_log2() - predicted;
        assert!((-0.35..0.1).contains(&above), "{pixel}, {biased}: {}, {predicted}", found.error_log2());
        let logits = program.network().forward(&base, image.view()).unwrap();
        let largest = logits.iter().fold(0.0, |most: f64, logit| most.max(logit.abs()));
        assert!((found.logit_max() - largest).abs() <= 1e-4 * largest, "{}, {largest}", found.logit_max());
    }
}

#[test]
fn a_certificate_grows_with_hospitals_range_and_clip() {
    let (program, base) = (small(), Random::new(1).parameters(small().network()));
    let certify = |most: f64, weights: AdmissibleWeights<'_>, hospitals: u16| {
        program.certify(PixelRange::new(-most, most).unwrap(), weights, hospitals).unwrap()
    };
    let around = |clip: f64| AdmissibleWeights::Around { base: &base, clip };
    let within = |gain, offset| AdmissibleWeights::Within(WeightRange { gain, offset });
    let chains = [
        [1, 5, 16, 64].map(|hospitals| certify(2.0, around(CLIP), hospitals).error_log2()),
        [0.5, 1.0, 2.0, 8.0].map(|most| certify(most, around(CLIP), 5).error_log2()),
        [0.0, 0.01, 0.1, 1.0].map(|clip| certify(2.0, around(clip), 5).error_log2()),
        [0.25, 0.5, 1.0, 4.0].map(|gain| certify(2.0, within(gain, 1.5), 5).error_log2()),
        [0.5, 1.0, 1.5, 2.0].map(|offset| certify(2.0, within(0.5, offset), 5).error_log2()),
        [0.0, 0.01, 0.1, 1.0].map(|clip| certify(2.0, around(clip), 5).logit_max().log2()),
    ];
    for chain in chains {
        assert!(chain.windows(2).all(|pair| pair[0] < pair[1]), "{chain:?}");
    }
    // A range holds what is in it.
    let inside = certify(2.0, AdmissibleWeights::Around { base: &vec![0.0; base.len()], clip: 0.01 }, 5);
    assert!(inside.error_log2() < certify(2.0, within(1.0, 0.5), 5).error_log2());
    assert_eq!(inside.bound().unwrap().norm_log2(), inside.error_log2().ceil() as u32);
}

#[test]
fn a_batch_is_certified_like_one_image() {
    let one = small();
    let batch = Program::compile_batch(one.network(), one.params(), 8).unwrap();
    assert_eq!(batch.images(), 8);
    let weights = AdmissibleWeights::Within(RANGE);
    let certify = |program: &Program| program.certify(PixelRange::new(1.0, 2.0).unwrap(), weights, 5).unwrap();
    let (one, batch) = (certify(&one), certify(&batch));
    assert!((one.logit_max() / batch.logit_max() - 1.0).abs() < 1e-9, "{one:?}, {batch:?}");
    assert!((one.error_log2() - batch.error_log2()).abs() < 3.0, "{one:?}, {batch:?}");
}

#[test]
fn what_is_no_range_has_no_certificate() {
    let (program, base) = (small(), Random::new(1).parameters(small().network()));
    assert!(matches!(PixelRange::new(1.0, 0.0), Err(CertifyError::Pixels { .. })));
    assert!(matches!(PixelRange::new(f64::NAN, 0.0), Err(CertifyError::Pixels { .. })));
    assert!(matches!(PixelRange::new(-1025.0, 0.0), Err(CertifyError::Pixels { .. })));
    let pixels = PixelRange::normalised(0.5, 0.25).unwrap();
    assert_eq!(pixels, PixelRange::new(-2.0, 2.0).unwrap());
    assert_eq!(pixels.first_beyond([0.0, 2.0, -2.0]), None);
    assert_eq!(pixels.first_beyond(Random::new(1).image(program.network().image())), None);
    assert_eq!(pixels.first_beyond([0.0, 2.01, -2.01]), Some((1, 2.01)));
    assert_eq!(pixels.first_beyond([-2.01]), Some((0, -2.01)));
    assert!(matches!(pixels.first_beyond([f32::NAN]), Some((0, _))));
    let refused = |weights: AdmissibleWeights<'_>, hospitals| program.certify(pixels, weights, hospitals).unwrap_err();
    assert_eq!(refused(AdmissibleWeights::Within(RANGE), 0), CertifyError::NoHospitals);
    for bound in [-0.1, f64::INFINITY] {
        let gain = WeightRange { gain: bound, ..RANGE };
        let offset = WeightRange { offset: bound, ..RANGE };
        assert_eq!(refused(AdmissibleWeights::Within(gain), 5), CertifyError::Weights { bound });
        assert_eq!(refused(AdmissibleWeights::Within(offset), 5), CertifyError::Weights { bound });
        assert_eq!(refused(AdmissibleWeights::Around { base: &base, clip: bound }, 5), CertifyError::Weights { bound });
    }
    let short = AdmissibleWeights::Around { base: &base[1..], clip: CLIP };
    assert!(matches!(refused(short, 5), CertifyError::Input(InputError::ParameterCount { .. })));
}
