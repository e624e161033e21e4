//! A model of random weights and its keys that lie where they are computed on, and queries that come and go.
//!
//! Every answer is compared with the processor's, bit for bit.

use std::time::Instant;

use he_agg::{
    Stream,
    ckks::{Ciphertext, Encoder},
};
use he_gpu::Traffic;
use he_infer::{EncryptedExecutor, EncryptedModel, Program};
use ndarray::{Array3, ArrayView3};

use super::{
    device::{Job, NO_TRAFFIC, Selected, Watched, both, since},
    engine::Engine,
    error::BenchError,
    holder::Holder,
    progress::Progress,
    random_model::{image, largest, timed, weights},
    row::Row,
    timing::Timing,
};

/// Seed of keys, weights and images. They protect nothing.
const SEED: [u8; 32] = *b"consilium bench, resident model ";

/// Fewest figures of queries that go together.
const TOGETHER_MIN: usize = 3;

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The network's program.
    pub(super) program: &'a Program,
    /// Its name.
    pub(super) name: &'a str,
    /// Queries that come one after the other.
    pub(super) single: usize,
    /// Queries that take every step together.
    pub(super) together: usize,
    /// Threads, for what the processor does.
    pub(super) engine: &'a Engine,
}

/// What was seen.
pub(super) struct Answered {
    /// For programs.
    pub(super) rows: Vec<Row>,
    /// Answers that are not the processor's.
    pub(super) wrong: usize,
    /// Answers compared.
    pub(super) compared: usize,
    /// Largest difference of a logit from the plain forward pass.
    pub(super) delta: f64,
    /// Images whose largest logit is that of the plain forward pass, and all.
    pub(super) agreed: [usize; 2],
}

/// Makes keys, model and queries, and answers them.
///
/// # Errors
/// What keys, encryption or the device say; no room for the model, for instance.
pub(super) fn answer(
    selected: &Selected,
    asked: Asked<'_>,
    progress: &mut dyn Progress,
) -> Result<Answered, BenchError> {
    let job = Answers { asked, selected, progress };
    asked.engine.run(|| selected.run(asked.program.params(), job))
}

struct Answers<'a, 'p> {
    asked: Asked<'a>,
    selected: &'a Selected,
    progress: &'p mut dyn Progress,
}

/// A query with what should come back.
struct Query {
    images: Vec<Array3<f32>>,
    packed: Vec<Ciphertext>,
    expected: Ciphertext,
}

/// Times of one kind of work, and what it copied.
struct Seen {
    seconds: Vec<f64>,
    traffic: Traffic,
}

impl Job for Answers<'_, '_> {
    type Output = Answered;

    fn on<B: Watched>(self, backend: &B) -> Result<Answered, BenchError> {
        let Self { asked, selected, progress } = self;
        let program = asked.program;
        let mut stream = Stream::from_seed(SEED);
        progress.step("making keys");
        let holder = Holder::new(program.params().preset, program.key_plan(), &mut stream)?;
        progress.step("encrypting the model");
        let weights = weights(program.network(), &mut stream);
        let model = EncryptedModel::encrypt(program, &weights, &holder.public, &mut stream);
        let model = model.map_err(BenchError::Weights)?;

        progress.step("encrypting queries, and answering them on the processor");
        let executor = EncryptedExecutor::new(program, &holder.keys).map_err(BenchError::Execute)?;
        let mut encrypt = Vec::new();
        let mut query = || {
            let images: Vec<_> = (0..program.images()).map(|_| image(program, &mut stream)).collect();
            let views: Vec<ArrayView3<'_, f32>> = images.iter().map(Array3::view).collect();
            let (seconds, packed) = timed(|| program.encrypt_images(&views, &holder.public, &mut stream));
            encrypt.push(seconds);
            let packed = packed.map_err(BenchError::Weights)?;
            let expected = executor.run_all(&model, &packed).map_err(BenchError::Execute)?;
            Ok::<_, BenchError>(Query { images, packed, expected })
        };
        let queries = (0..asked.single.max(asked.together)).map(|_| query()).collect::<Result<Vec<_>, _>>()?;

        progress.step("uploading keys and model");
        let (keys_seen, keys) = once(backend, || Ok(holder.keys.upload(backend)?))?;
        let (model_seen, resident) = once(backend, || Ok(model.upload(backend)?))?;
        let executor = EncryptedExecutor::on(backend.clone(), program, &keys).map_err(BenchError::Execute)?;
        let ask = |queries: &[Query]| {
            let packed: Vec<&Ciphertext> = queries.iter().flat_map(|query| &query.packed).collect();
            let packed = Ciphertext::upload(&packed, backend)?;
            let each = program.inputs();
            let answers = executor.run_batch(&resident, &packed.chunks(each).collect::<Vec<_>>());
            let answers = answers.map_err(BenchError::Execute)?;
            Ok::<_, BenchError>(Ciphertext::download(&answers.iter().collect::<Vec<_>>(), backend)?)
        };
        let mut answered = Answered { rows: Vec::new(), wrong: 0, compared: 0, delta: 0.0, agreed: [0; 2] };
        let mut compare = |queries: &[Query], answers: &[Ciphertext]| {
            answered.compared += queries.len();
            let wrong = queries.iter().zip(answers).filter(|(query, answer)| query.expected != **answer).count();
            answered.wrong += wrong + queries.len().saturating_sub(answers.len());
        };

        let mut single = Seen::new();
        for (index, query) in queries.iter().enumerate().take(asked.single) {
            progress.step(&format!("query {} of {}", index + 1, asked.single));
            let query = std::slice::from_ref(query);
            if index == 0 {
                // The first query also compiles kernels.
                compare(query, &ask(query)?);
            }
            compare(query, &single.add(backend, || ask(query))?);
        }
        let mut evaluate = Seen::new();
        for query in queries.iter().take(asked.single) {
            let packed = Ciphertext::upload(&query.packed.iter().collect::<Vec<_>>(), backend)?;
            let run = || {
                let answer = executor.run_all(&resident, &packed).map_err(BenchError::Execute)?;
                backend.synchronise()?;
                Ok(answer)
            };
            evaluate.add(backend, run)?;
        }
        let mut together = Seen::new();
        if asked.together > 1 {
            let queries = &queries[..asked.together];
            compare(queries, &ask(queries)?);
            for round in 0..TOGETHER_MIN.max(asked.single / asked.together) {
                progress.step(&format!("{} queries together, {round} done", asked.together));
                compare(queries, &together.add(backend, || ask(queries))?);
            }
        }

        progress.step("comparing with the plain forward pass");
        let encoder = Encoder::new(program.params().preset)?;
        for query in &queries {
            let values = encoder.decode(&holder.secret.decrypt(&query.expected)?)?;
            let found = program.read_logits_all(&values, query.images.len()).map_err(BenchError::Input)?;
            for (image, found) in query.images.iter().zip(&found) {
                let wanted = program.network().forward(&weights, image.view()).map_err(BenchError::Input)?;
                answered.agreed[0] += usize::from(largest(found) == largest(&wanted));
                answered.agreed[1] += 1;
                answered.delta = found.iter().zip(&wanted).fold(answered.delta, |most, (a, b)| most.max((a - b).abs()));
            }
        }
        let bytes = queries.first().map_or(0, |query| query.packed.iter().map(|part| part.to_bytes().len()).sum());
        answered.rows = Report { asked, selected }.rows(
            (&encrypt, bytes),
            [("upload_keys", &keys_seen), ("upload_model", &model_seen), ("query", &single), ("evaluate", &evaluate)],
            &together,
        );
        let quality = Report { asked, selected }.row("precision");
        let quality = Row {
            images: Some(answered.agreed[1]),
            agreement: Some(answered.agreed[0] as f64 / answered.agreed[1].max(1) as f64),
            max_delta_logit: Some(answered.delta),
            exact: Some(answered.wrong == 0),
            failures: Some(answered.wrong),
            ..quality
        };
        answered.rows.push(selected.tag(quality, None));
        Ok(answered)
    }
}

impl Seen {
    fn new() -> Self {
        Self { seconds: Vec::new(), traffic: NO_TRAFFIC }
    }

    /// Times `work`, to the end of all that it hands over where it waits for it.
    fn add<B: Watched, T>(
        &mut self,
        backend: &B,
        work: impl FnOnce() -> Result<T, BenchError>,
    ) -> Result<T, BenchError> {
        backend.synchronise()?;
        let (before, started) = (backend.traffic(), Instant::now());
        let result = work()?;
        self.seconds.push(started.elapsed().as_secs_f64());
        self.traffic = both(self.traffic, since(before, backend.traffic()));
        Ok(result)
    }
}

/// Times what is done once, to its end.
fn once<B: Watched, T>(backend: &B, work: impl FnOnce() -> Result<T, BenchError>) -> Result<(Seen, T), BenchError> {
    let mut seen = Seen::new();
    let result = seen.add(backend, || {
        let result = work()?;
        backend.synchronise()?;
        Ok(result)
    })?;
    Ok((seen, result))
}

struct Report<'a> {
    asked: Asked<'a>,
    selected: &'a Selected,
}

impl Report<'_> {
    fn row(&self, op: &str) -> Row {
        let Asked { program, name, engine, .. } = self.asked;
        let row = Row::new(&format!("infer.{op}"), engine).shape(program.params(), program.input_limbs(), true);
        Row { network: Some(name.to_owned()), ..row }
    }

    /// A row of work on the device; bytes are those copied for one query, of a call that answers so many.
    fn seen(&self, op: &str, seen: &Seen, queries: usize) -> Row {
        let calls = seen.seconds.len().max(1) as u64;
        let Traffic { uploaded, downloaded, launches } = seen.traffic;
        let each = Traffic { uploaded: uploaded / calls, downloaded: downloaded / calls, launches: launches / calls };
        let bytes = (each.uploaded + each.downloaded) as usize / queries;
        let row = self.row(op).timed(Timing::of_seconds(&seen.seconds).per(queries)).bytes(bytes);
        self.selected.tag(Row { batch: Some(queries), ..row }, Some(each))
    }

    fn rows(&self, (encrypt, bytes): (&[f64], usize), seen: [(&str, &Seen); 4], together: &Seen) -> Vec<Row> {
        let per_second = |row: Row| {
            let images = self.asked.program.images() as f64 * 1e9;
            Row { images_per_second: row.median_ns.map(|ns| (images / ns * 10.0).round() / 10.0), ..row }
        };
        let mut rows = vec![self.row("encrypt").timed(Timing::of_seconds(encrypt)).bytes(bytes)];
        for (op, seen) in seen {
            let row = self.seen(op, seen, 1);
            rows.push(if op == "query" { per_second(row) } else { row });
        }
        if !together.seconds.is_empty() {
            rows.push(per_second(self.seen("queries_together", together, self.asked.together)));
        }
        rows
    }
}
