//! The border to whoever drives a device: what it must be able to do, and what is asked of it here.

use std::ops::{AddAssign, Sub};
use std::sync::{Arc, Mutex, PoisonError};

use he_agg::Params;
use he_agg::aggregation::{ChunkSum, ChunkTerms};
use he_agg::backend::{Backend, Outcome};
use he_agg::ckks::{Ciphertext, CkksError, EvaluationKeys};
use he_gpu::Probed;
use he_infer::{EncryptedExecutor, EncryptedModel, ExecuteError, Program};

/// Bytes that went to a device and came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// To the device.
    pub to: u64,
    /// From the device.
    pub from: u64,
}

impl AddAssign for Moved {
    fn add_assign(&mut self, more: Self) {
        self.to += more.to;
        self.from += more.from;
    }
}

impl Sub for Moved {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { to: self.to.saturating_sub(earlier.to), from: self.from.saturating_sub(earlier.from) }
    }
}

/// Makes backends on one open device.
pub(crate) trait Host: Send + Sync + 'static {
    /// Where residues live on it.
    type Backend: Backend;

    /// The device.
    fn device(&self) -> Probed;

    /// A backend of one parameter set.
    ///
    /// # Errors
    /// [`BackendError`](he_agg::backend::BackendError) where the device cannot serve these parameters.
    fn backend(&self, params: &'static Params) -> Outcome<Self::Backend>;

    /// Bytes that one of its backends has moved so far.
    fn moved(&self, backend: &Self::Backend) -> Moved;
}

/// What the coordinator asks of a device, whatever its backend. Results come with the bytes moved for them.
pub(crate) trait Worker: Send + Sync {
    /// The sums of several chunks.
    ///
    /// # Errors
    /// [`BackendError`](he_agg::backend::BackendError).
    fn sum(&self, chunks: &[ChunkTerms<'_>]) -> Outcome<(Vec<ChunkSum>, Moved)>;

    /// Copies keys and model to the device, to stay.
    ///
    /// # Errors
    /// [`BackendError`](he_agg::backend::BackendError).
    fn load(
        &self,
        program: &Arc<Program>,
        keys: &EvaluationKeys,
        model: &EncryptedModel,
    ) -> Outcome<(Box<dyn Resident>, Moved)>;
}

/// Keys and model on a device.
pub(crate) trait Resident: Send + Sync {
    /// The results of several queries, which take every step together.
    ///
    /// # Errors
    /// [`ExecuteError`], for any query.
    fn run(&self, queries: &[&[Ciphertext]]) -> Result<(Vec<Ciphertext>, Moved), ExecuteError>;
}

/// A host with its backends, each made when it is first needed.
pub(crate) struct Hosted<H: Host>(Arc<Shared<H>>);

struct Shared<H: Host> {
    host: H,
    backends: Mutex<Vec<H::Backend>>,
    /// One piece of work at a time: the bounds on memory are those of one group.
    turn: Mutex<()>,
}

impl<H: Host> Hosted<H> {
    pub(crate) fn new(host: H) -> Self {
        Self(Arc::new(Shared { host, backends: Mutex::default(), turn: Mutex::default() }))
    }
}

impl<H: Host> Shared<H> {
    fn backend(&self, params: &'static Params) -> Outcome<H::Backend> {
        // A panic while the list was held leaves a list that is whole.
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = backends.iter().find(|made| std::ptr::eq(made.params(), params)) {
            return Ok(made.clone());
        }
        let made = self.host.backend(params)?;
        backends.push(made.clone());
        Ok(made)
    }

    /// Works alone on the device and counts the bytes.
    fn counted<T, E>(
        &self,
        backend: &H::Backend,
        work: impl FnOnce(&H::Backend) -> Result<T, E>,
    ) -> Result<(T, Moved), E> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.host.moved(backend);
        let done = work(backend)?;
        Ok((done, self.host.moved(backend) - before))
    }
}

impl<H: Host> Worker for Hosted<H> {
    fn sum(&self, chunks: &[ChunkTerms<'_>]) -> Outcome<(Vec<ChunkSum>, Moved)> {
        let Some(first) = chunks.first() else { return Ok((Vec::new(), Moved::default())) };
        let backend = self.0.backend(first.params())?;
        self.0.counted(&backend, |backend| ChunkTerms::sum_all(backend, chunks))
    }

    fn load(
        &self,
        program: &Arc<Program>,
        keys: &EvaluationKeys,
        model: &EncryptedModel,
    ) -> Outcome<(Box<dyn Resident>, Moved)> {
        let backend = self.0.backend(program.params())?;
        let upload = |backend: &H::Backend| Ok((keys.upload(backend)?, model.upload(backend)?));
        let ((keys, model), moved) = self.0.counted(&backend, upload)?;
        let shared = Arc::clone(&self.0);
        Ok((Box::new(Loaded { shared, backend, program: Arc::clone(program), keys, model }), moved))
    }
}

struct Loaded<H: Host> {
    shared: Arc<Shared<H>>,
    backend: H::Backend,
    program: Arc<Program>,
    keys: EvaluationKeys<H::Backend>,
    model: EncryptedModel<H::Backend>,
}

impl<H: Host> Resident for Loaded<H> {
    fn run(&self, queries: &[&[Ciphertext]]) -> Result<(Vec<Ciphertext>, Moved), ExecuteError> {
        // Transfers belong to no layer of their own: the first has not begun, the last is done.
        let transfer = |source| ExecuteError::Layer { layer: 0, source: CkksError::Backend(source) };
        self.shared.counted(&self.backend, |backend| {
            let executor = EncryptedExecutor::on(backend.clone(), &self.program, &self.keys)?;
            let inputs: Vec<&Ciphertext> = queries.iter().flat_map(|query| query.iter()).collect();
            let inputs = Ciphertext::upload(&inputs, backend).map_err(transfer)?;
            let mut rest = &inputs[..];
            let lists: Vec<&[Ciphertext<H::Backend>]> = queries
                .iter()
                .map(|query| {
                    let (list, others) = rest.split_at(query.len());
                    rest = others;
                    list
                })
                .collect();
            let results = executor.run_batch(&self.model, &lists)?;
            Ciphertext::download(&results.iter().collect::<Vec<_>>(), backend).map_err(transfer)
        })
    }
}
