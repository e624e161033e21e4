//! CKKS operations at one level, with the keys they take.

use std::sync::Arc;

use std::collections::BTreeMap;

use he_agg::ckks::{Ciphertext, Encoder, Evaluator, Hoisted};
use he_agg::multiparty::{EvaluationKeys, HolderKey, KeyPlan, KeySizes, PublicKey};
use he_agg::{Params, Preset, Stream};

use super::{
    engine::Engine,
    error::BenchError,
    holder::Holder,
    progress::Progress,
    ring::WORD,
    row::Row,
    timing::{Repetitions, measure},
};

/// Seed of keys and messages. They protect nothing.
const SEED: [u8; 32] = *b"consilium bench, CKKS           ";

/// Steps of the rotation that is timed; all non-zero steps cost the same.
const STEPS: i32 = 1;

/// Everything that the operations of one preset take.
struct Fixture {
    params: &'static Params,
    limbs: usize,
    encoder: Encoder,
    evaluator: Evaluator,
    public: PublicKey,
    keys: Arc<EvaluationKeys>,
    holder: HolderKey,
    values: Vec<f64>,
    stream: Stream,
    sizes: KeySizes,
}

impl Fixture {
    fn new(preset: Preset, limbs: usize) -> Result<Self, BenchError> {
        let params = preset.params();
        let mut stream = Stream::from_seed(SEED);
        let plan = KeyPlan { relin_limbs: limbs, rotations: BTreeMap::from([(STEPS, limbs)]), ..KeyPlan::default() };
        let Holder { secret, public, keys, sizes, .. } = Holder::new(preset, &plan, &mut stream)?;
        Ok(Self {
            params,
            limbs,
            encoder: Encoder::new(preset)?,
            evaluator: Evaluator::new(preset)?,
            public,
            keys,
            holder: secret,
            values: (0..params.slots()).map(|_| 2.0 * stream.next_f64() - 1.0).collect(),
            stream,
            sizes,
        })
    }

    fn encrypt(&mut self) -> Result<Ciphertext, BenchError> {
        let plaintext = self.encoder.encode(&self.values, self.params.scale(), self.limbs)?;
        Ok(self.public.encrypt(&plaintext, &mut self.stream)?)
    }
}

/// Fewest and most limbs from which every operation is defined.
pub fn limbs_range(params: &Params) -> (usize, usize) {
    (params.limbs_per_level + 1, params.q.len())
}

/// All CKKS operations of a preset with ciphertexts of `limbs` limbs.
///
/// # Errors
/// What an operation says; none is expected to.
pub fn operations(
    preset: Preset,
    limbs: usize,
    engine: &Engine,
    plan: Repetitions,
    progress: &mut dyn Progress,
) -> Result<Vec<Row>, BenchError> {
    progress.step("making keys");
    let mut fixture = engine.run(|| Fixture::new(preset, limbs))?;
    let (left, right) = engine.run(|| Ok::<_, BenchError>((fixture.encrypt()?, fixture.encrypt()?)))?;
    let Fixture { params, encoder, evaluator, public, keys, holder, values, stream, .. } = &mut fixture;
    let (params, encoder, evaluator, public, keys, holder) =
        (*params, &*encoder, &*evaluator, &*public, &*keys, &*holder);

    let poly = |limbs: usize| WORD * params.n * limbs;
    let (whole, extended, slots) = (poly(limbs), poly(limbs + params.p.len()), 8 * params.slots());
    let keep = poly(evaluator.limbs_after_rescale(limbs)?);
    let digits = limbs.div_ceil(params.alpha);
    let key = 2 * digits * extended;

    let plaintext = encoder.encode(values, params.scale(), limbs)?;
    let product = evaluator.mul(&left, &right)?;
    let wire = left.to_bytes();
    let mut rows = Vec::new();
    let mut time = |op: &str, bytes: usize, run: &mut (dyn FnMut() -> Result<(), BenchError> + Send)| {
        progress.step(op);
        let timing = engine.run(|| measure(plan, run))?;
        rows.push(Row::new(op, engine).shape(params, limbs, true).timed(timing).bytes(bytes));
        Ok::<_, BenchError>(())
    };
    // Keeps the result alive past the clock's call, as a caller would.
    macro_rules! op {
        ($name:literal, $bytes:expr, $result:expr) => {
            time($name, $bytes, &mut || {
                std::hint::black_box($result?);
                Ok(())
            })?
        };
    }
    op!("encode", slots + whole, encoder.encode(values, params.scale(), limbs));
    op!("encrypt", whole + 2 * extended + 2 * whole, public.encrypt(&plaintext, stream));
    op!(
        "decrypt_decode",
        2 * whole + whole + slots,
        holder.decrypt(&left).and_then(|plaintext| encoder.decode(&plaintext))
    );
    op!("add", 6 * whole, evaluator.add(&left, &right));
    op!("multiply", 7 * whole, evaluator.mul(&left, &right));
    op!(
        "multiply_relinearise",
        6 * whole + key,
        evaluator.mul(&left, &right).and_then(|product| evaluator.relinearise(&product, keys))
    );
    op!(
        "multiply_relinearise_rescale",
        4 * whole + key + 2 * keep,
        evaluator.mul(&left, &right).and_then(|product| evaluator.relinearise_rescale(&product, keys))
    );
    op!("relinearise", 5 * whole + key, evaluator.relinearise(&product, keys));
    op!("relinearise_rescale", 3 * whole + key + 2 * keep, evaluator.relinearise_rescale(&product, keys));
    op!("rescale", 2 * whole + 2 * keep, evaluator.rescale(&left));
    op!("rotate", 4 * whole + key, evaluator.rotate(&left, STEPS, keys));
    op!("hoist", whole + digits * extended, Hoisted::new(evaluator, &left).map(|_| ()));
    let hoisted = Hoisted::new(evaluator, &left)?;
    op!("rotate_hoisted", digits * extended + whole + key + 2 * whole, hoisted.rotate(STEPS, keys));
    op!("pack", wire.len(), Ok::<_, BenchError>(left.to_bytes()));
    op!("unpack", wire.len(), Ciphertext::from_bytes(&wire, preset));

    let KeySizes { public, relinearization, rotation, .. } = fixture.sizes;
    let sizes = [("key_public", public), ("key_relinearisation", relinearization), ("key_rotation", rotation)];
    rows.extend(sizes.into_iter().map(|(op, bytes)| Row::new(op, engine).shape(params, limbs, true).bytes(bytes)));
    Ok(rows)
}
