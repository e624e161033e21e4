//! A trained model on its test images, encrypted on both sides, against its plain forward pass.

use std::{path::Path, time::Instant};

use client::model_file::ModelFile;
use datasets::Samples;
use experiment::Conflict;
use he_agg::{
    Preset, Stream,
    ckks::{Ciphertext, Encoder, PublicKey},
    multiparty::{EvaluationKeys, KeySizes, PARTIES_MAX},
};
use he_infer::{AdmissibleWeights, EncryptedExecutor, EncryptedModel, PixelRange, Program};
use ndarray::{Array4, ArrayView3, Axis};

use super::{
    agreement::{Agreement, Pairs},
    balance,
    consortium::Consortium,
    error::BenchError,
    holder::Holder,
    progress::Progress,
};

/// Seed of keys and noise. They protect nothing.
const SEED: [u8; 32] = *b"consilium bench, a trained model";

/// Hospitals where the preset has room for their flooding.
const HOSPITALS: u16 = 5;

/// Answers that the flooding of a release is sized for: those of `consilium run`.
const RELEASES: u64 = 1 << 16;

/// Who decrypts.
enum Release {
    Holder(Box<Holder>),
    Consortium(Box<Consortium>),
}

/// What was seen.
pub struct Answers {
    /// Seconds of each part, answer by answer.
    pub seconds: Parts,
    /// What travels and what is stored.
    pub bytes: Sizes,
    /// Encrypted answers and plain ones.
    pub agreement: Agreement,
    /// What the last activation was divided by before encrypting.
    pub divisor: f32,
    /// Who decrypts, and how.
    pub release: String,
}

/// Seconds of each part of each answer.
#[derive(Default)]
pub struct Parts {
    /// Packing, encoding, encrypting an image.
    pub encrypt: Vec<f64>,
    /// The encrypted model on it.
    pub evaluate: Vec<f64>,
    /// One hospital's share, the slowest.
    pub share: Vec<f64>,
    /// Adding the shares, or decrypting, and decoding.
    pub decrypt: Vec<f64>,
    /// From image to logits; hospitals make their shares at the same time, so the slowest counts.
    pub total: Vec<f64>,
}

/// Bytes of everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sizes {
    /// An image as stored, one byte per grey level.
    pub image: usize,
    /// An encrypted image.
    pub query: usize,
    /// The encrypted model.
    pub model: usize,
    /// One share; 0 for a trusted holder.
    pub share: usize,
    /// An answer.
    pub answer: usize,
    /// Keys.
    pub keys: KeySizes,
}

/// Images of a model's data.
pub struct Chosen {
    /// Training images, from which the size of activations is taken.
    pub calibration: Array4<f32>,
    /// Test images to ask about.
    pub samples: Samples,
}

/// The test images of a model.
///
/// # Errors
/// [`BenchError::NoData`] where nothing names them, [`BenchError::Data`], [`BenchError::Images`].
pub fn images(model: &ModelFile, data: Option<&Path>, images: usize) -> Result<Chosen, BenchError> {
    let heading = model.heading();
    let wrong = |source: datasets::DataError| BenchError::from(simulation::FederationError::from(source));
    let dataset = match (data, heading.generator()) {
        (Some(path), _) => datasets::load(path, None, &heading.images),
        (None, Some(generator)) => generator.draw(),
        (None, None) => return Err(BenchError::NoData { format: "the trained model's" }),
    };
    let dataset = dataset.map_err(wrong)?;
    dataset.check().map_err(wrong)?;
    let count = dataset.test.len();
    let samples = match images {
        images if images > count => return Err(BenchError::Images { images, max: count }),
        // Spread over the whole part: the first images of a file may be easier than the rest.
        images if images > 0 => dataset.test.select(&(0..images).map(|k| k * count / images).collect::<Vec<_>>()),
        _ => dataset.test,
    };
    Ok(Chosen { calibration: dataset.train.images, samples })
}

/// How the answers of `hospitals` are released; of as many as the preset has room for where none are said.
///
/// # Errors
/// [`BenchError::Hospitals`].
pub fn hospitals(preset: Preset, asked: Option<u16>) -> Result<u16, BenchError> {
    match asked {
        Some(hospitals) if (1..=PARTIES_MAX).contains(&hospitals) => Ok(hospitals),
        Some(hospitals) => Err(BenchError::Hospitals { hospitals, max: PARTIES_MAX }),
        None if preset == Preset::Inf15x90 => Ok(HOSPITALS),
        None => Ok(1),
    }
}

/// Encrypts model and images, evaluates, releases, and compares with the plain forward pass.
///
/// # Errors
/// Keys, model or program that do not fit; an answer that fails is counted and not an error.
pub fn answer(
    (model, program): (&ModelFile, &Program),
    Chosen { calibration, samples }: &Chosen,
    hospitals: u16,
    progress: &mut dyn Progress,
) -> Result<Answers, BenchError> {
    let preset = program.params().preset;
    let mut stream = Stream::from_seed(SEED);
    let (parameters, divisor) = balance::balanced(program, model.parameters(), calibration)?;
    progress.step(&format!("making keys of {hospitals}"));
    let mut release = Release::new((model, &parameters), hospitals, program, &mut stream)?;
    progress.step("encrypting the model");
    let encrypted = encrypt(program, &parameters, hospitals, release.public(), &mut stream)?;
    let mut bytes = Sizes {
        image: program.network().image().elements(),
        model: encrypted.slots().iter().map(|slot| slot.to_bytes().len()).sum(),
        keys: release.sizes(),
        ..Sizes::default()
    };
    let (mut seconds, mut pairs) = (Parts::default(), Pairs::new(program.classes()));
    let encoder = Encoder::new(preset)?;
    for (index, (image, &label)) in samples.images.axis_iter(Axis(0)).zip(&samples.labels).enumerate() {
        progress.step(&format!("image {} of {}", index + 1, samples.len()));
        let plain = program.network().forward(model.parameters(), image).map_err(BenchError::Input)?;
        let query = u32::try_from(index).unwrap_or(u32::MAX);
        let asked = Asked { program, model: &encrypted, query, image };
        let logits = release.ask(&asked, &encoder, &mut stream, (&mut seconds, &mut bytes));
        pairs.push(&plain, logits.ok().as_deref(), label);
    }
    let release = release.text(hospitals);
    Ok(Answers { seconds, bytes, agreement: pairs.judge()?, divisor, release })
}

/// The sum of what every hospital encrypts: an equal part each.
fn encrypt(
    program: &Program,
    parameters: &[f32],
    hospitals: u16,
    key: &PublicKey,
    stream: &mut Stream,
) -> Result<EncryptedModel, BenchError> {
    let part: Vec<f32> = parameters.iter().map(|value| value / f32::from(hospitals)).collect();
    let mut sum = EncryptedModel::encrypt(program, &part, key, stream).map_err(BenchError::Weights)?;
    for _ in 1..hospitals {
        let next = EncryptedModel::encrypt(program, &part, key, stream).map_err(BenchError::Weights)?;
        sum.absorb(&next).map_err(BenchError::Weights)?;
    }
    Ok(sum)
}

/// One question.
struct Asked<'a> {
    program: &'a Program,
    model: &'a EncryptedModel,
    query: u32,
    image: ArrayView3<'a, f32>,
}

impl Release {
    fn new(
        (model, parameters): (&ModelFile, &[f32]),
        hospitals: u16,
        program: &Program,
        stream: &mut Stream,
    ) -> Result<Self, BenchError> {
        let (preset, plan) = (program.params().preset, program.key_plan());
        if hospitals == 1 {
            return Ok(Self::Holder(Box::new(Holder::new(preset, plan, stream)?)));
        }
        let refused = |source| BenchError::Release { hospitals, source: Box::new(source) };
        let images = &model.heading().images;
        let pixels = PixelRange::normalised(images.mean, images.std).map_err(Conflict::Uncertified).map_err(refused)?;
        // The model as it is: nobody trains it further.
        let weights = AdmissibleWeights::Around { base: parameters, clip: 0.0 };
        let quorum = (hospitals, Consortium::threshold(hospitals));
        let release = experiment::Release::of(program, (pixels, weights), quorum, RELEASES).map_err(refused)?;
        Ok(Self::Consortium(Box::new(Consortium::new(preset, hospitals, release, plan, stream)?)))
    }

    fn public(&self) -> &PublicKey {
        match self {
            Self::Holder(holder) => &holder.public,
            Self::Consortium(consortium) => &consortium.keys.public,
        }
    }

    fn evaluation(&self) -> &EvaluationKeys {
        match self {
            Self::Holder(holder) => &holder.keys,
            Self::Consortium(consortium) => &consortium.keys.keys,
        }
    }

    fn sizes(&self) -> KeySizes {
        match self {
            Self::Holder(holder) => holder.sizes,
            Self::Consortium(consortium) => consortium.keys.sizes(),
        }
    }

    fn text(&self, hospitals: u16) -> String {
        match self {
            Self::Holder(_) => "one trusted holder decrypts the result itself: no shares, no flooding".to_owned(),
            Self::Consortium(consortium) => format!(
                "{} of {hospitals} hospitals release the answer, each with flooding for {} bits over \
                 2^{} answers; shares are made one after the other here, and the slowest counts",
                Consortium::threshold(hospitals),
                consortium.flooding().security(),
                RELEASES.ilog2()
            ),
        }
    }

    /// One image from pixels to logits, bytes between the parties, every part timed.
    fn ask(
        &mut self,
        asked: &Asked<'_>,
        encoder: &Encoder,
        stream: &mut Stream,
        (seconds, bytes): (&mut Parts, &mut Sizes),
    ) -> Result<Vec<f64>, BenchError> {
        let (program, preset) = (asked.program, asked.program.params().preset);
        let started = Instant::now();
        let query = program.encrypt_query_all(asked.image, self.public(), stream).map_err(BenchError::Weights)?;
        let query: Vec<Vec<u8>> = query.iter().map(Ciphertext::to_bytes).collect();
        let encrypt = started.elapsed().as_secs_f64();

        let started = Instant::now();
        let read = query.iter().map(|part| Ciphertext::from_bytes(part, preset)).collect::<Result<Vec<_>, _>>()?;
        let executor = EncryptedExecutor::new(program, self.evaluation()).map_err(BenchError::Execute)?;
        let result = executor.run_all(asked.model, &read).map_err(BenchError::Execute)?.to_bytes();
        let evaluate = started.elapsed().as_secs_f64();

        let shape = program.answer_shape();
        let (answer, slowest) = match self {
            Self::Holder(_) => (vec![result], 0.0),
            Self::Consortium(consortium) => {
                let released = consortium.release(asked.query, &result, shape)?;
                bytes.share = released.shares.first().map_or(0, Vec::len);
                let slowest = released.seconds.iter().fold(0.0, |most: f64, share| most.max(*share));
                seconds.share.push(slowest);
                (released.shares, slowest)
            }
        };
        bytes.answer = answer.iter().map(Vec::len).sum();
        let started = Instant::now();
        let logits = match self {
            Self::Holder(holder) => {
                let result = answer.first().map_or(&[][..], Vec::as_slice);
                let plain = holder.secret.decrypt(&Ciphertext::from_bytes(result, preset)?)?;
                program.read_logits(&encoder.decode(&plain)?).map_err(BenchError::Input)?
            }
            Self::Consortium(consortium) => {
                let slots = consortium.read(asked.query, &answer, shape)?;
                program.read_answer(&slots, 1).map_err(BenchError::Input)?.remove(0)
            }
        };
        let decrypt = started.elapsed().as_secs_f64();

        bytes.query = query.iter().map(Vec::len).sum();
        seconds.encrypt.push(encrypt);
        seconds.evaluate.push(evaluate);
        seconds.decrypt.push(decrypt);
        seconds.total.push(encrypt + evaluate + slowest + decrypt);
        Ok(logits)
    }
}
