//! The hospital's side of its counter.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::Array3;
use protocol::local::Local;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};

use super::{CounterError, Happened, LINE_BYTES_MAX, Line, Notice, Progress, Refused, Reply, Request, SOCKET, folder};
use crate::features::{FeaturesError, ImageFeatures};
use crate::hospital::{Answered, Asker, HospitalError, STEPS_WAITING_MAX};
use crate::plan::{Plan, PlanError};

/// Programs that may ask at the same time; the next one waits in the socket's own queue.
const CONNECTIONS_MAX: usize = 32;
/// A program that does not send its image holds a place no longer than this.
const REQUEST_WAIT: Duration = Duration::from_secs(30);

/// An open counter. Closed, and its socket removed, when dropped.
pub struct Counter {
    socket: Local,
    takes: Takes,
}

/// What a model takes in one query.
#[derive(Clone)]
pub struct Takes {
    /// Images, from 1.
    pub images: usize,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// What becomes of an image that is handed in, where the model is asked about its features.
    pub features: Option<Arc<ImageFeatures>>,
}

impl Takes {
    /// What a plan's model takes.
    ///
    /// # Errors
    /// [`PlanError::Features`] where it is asked about no images.
    pub fn of(plan: &Plan) -> Result<Self, PlanError> {
        let asked = plan.asked()?;
        Ok(Self { images: asked.together, shape: asked.shape(), features: plan.features().cloned() })
    }

    /// What is asked about an image: itself, or its features.
    fn question(&self, image: Array3<f32>) -> Result<Array3<f32>, FeaturesError> {
        match &self.features {
            None => Ok(image),
            Some(features) => features.question(image),
        }
    }
}

impl Counter {
    /// Opens the counter of a hospital's folder.
    ///
    /// # Errors
    /// [`CounterError::Socket`] where another process has it open, or it cannot be made.
    pub fn open(hospital: &Path, takes: Takes) -> Result<Self, CounterError> {
        Ok(Self { socket: Local::open(&folder(hospital), SOCKET)?, takes })
    }

    /// Takes images and gives diagnoses until dropped; `tell` hears what happens and must not block.
    pub async fn run(self, hospital: u16, asker: Asker, tell: impl Fn(Notice) + Clone + Send + 'static) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.socket.accept().await {
                Ok(line) => {
                    let (asker, tell, takes) = (asker.clone(), tell.clone(), self.takes.clone());
                    tokio::spawn(async move {
                        let _place = place;
                        serve(line, &takes, &asker, move |what| tell(Notice { hospital, what })).await;
                    });
                }
                Err(source) => {
                    tell(Notice { hospital, what: Happened::NotAccepted { source } });
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve(line: UnixStream, takes: &Takes, asker: &Asker, tell: impl Fn(Happened)) {
    let mut line = BufReader::new(line);
    let answer = match tokio::time::timeout(REQUEST_WAIT, read(&mut line, takes)).await {
        Ok(Ok((images, steps))) => match followed(&mut line, asker, images, steps).await {
            Ok(answered) => {
                let ms = |time: Duration| time.as_secs_f64() * 1e3;
                let reply = Reply {
                    query: answered.query.to_string(),
                    logits: answered.logits,
                    total_ms: ms(answered.latency),
                    encrypt_ms: ms(answered.encrypt),
                    decrypt_ms: ms(answered.decrypt),
                    query_bytes: answered.query_bytes,
                    reply_bytes: answered.reply_bytes,
                };
                tell(Happened::Answered { query: answered.query, took: answered.latency });
                Line::Reply(reply)
            }
            Err(source) => {
                let refused = Refused { error: source.to_string() };
                tell(Happened::Unanswered { source });
                Line::Refused(refused)
            }
        },
        Ok(Err(fault)) => Line::Refused(Refused { error: fault }),
        Err(_) => Line::Refused(Refused { error: "the image did not come within 30 s".to_owned() }),
    };
    write(&mut line, &answer).await;
}

/// Asks, and says meanwhile how far the question is where that is wanted.
async fn followed(
    line: &mut BufReader<UnixStream>,
    asker: &Asker,
    images: Vec<Array3<f32>>,
    steps: bool,
) -> Result<Answered, HospitalError> {
    let started = Instant::now();
    let (sender, mut made) = mpsc::channel(STEPS_WAITING_MAX);
    let mut answer = pin!(asker.ask_and_tell(images, sender));
    loop {
        tokio::select! {
            biased;
            Some(step) = made.recv() => {
                if steps {
                    let at_ms = started.elapsed().as_secs_f64() * 1e3;
                    write(line, &Line::Progress(Progress { step, at_ms })).await;
                }
            }
            answered = &mut answer => return answered,
        }
    }
}

async fn write(line: &mut BufReader<UnixStream>, what: &Line) {
    let Ok(mut bytes) = serde_json::to_vec(what) else { return };
    bytes.push(b'\n');
    // Whoever asked may be gone, or may not read what it asked for; the answer is not lost by waiting for the next.
    let _ = tokio::time::timeout(REQUEST_WAIT, line.get_mut().write_all(&bytes)).await;
}

/// Reads one request. What is wrong with it is told in words, because a program's author reads it.
async fn read(line: &mut BufReader<UnixStream>, takes: &Takes) -> Result<(Vec<Array3<f32>>, bool), String> {
    let mut text = String::new();
    let broken = |error: std::io::Error| format!("the request broke off: {error}");
    (&mut *line).take(LINE_BYTES_MAX).read_line(&mut text).await.map_err(broken)?;
    let request: Request = serde_json::from_str(&text)
        .map_err(|error| format!("the request's first line is not what the counter takes: {error}"))?;
    if request.schema != 1 {
        return Err(format!("the request has schema {}, this release takes 1", request.schema));
    }
    let expected = takes.shape;
    if !(1..=takes.images).contains(&request.images) {
        return Err(format!("{} images in one request, the model takes 1 to {}", request.images, takes.images));
    }
    if request.shape != expected {
        let [c, h, w] = request.shape;
        let [channels, height, width] = expected;
        return Err(format!("the image has {c} x {h} x {w} levels, the model takes {channels} x {height} x {width}"));
    }
    let count: usize = expected.iter().product();
    let mut bytes = vec![0; request.images * count * 4];
    line.read_exact(&mut bytes).await.map_err(broken)?;
    let levels: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|level| f32::from_le_bytes(*level)).collect();
    if let Some(place) = levels.iter().position(|level| !level.is_finite()) {
        return Err(format!("level {} of image {} is no number", place % count, place / count + 1));
    }
    let image = |levels: &[f32]| Array3::from_shape_vec((expected[0], expected[1], expected[2]), levels.to_vec());
    let images = levels.chunks_exact(count).map(image).collect::<Result<Vec<_>, _>>();
    let images = images.map_err(|error| error.to_string())?;
    let asked = images.into_iter().map(|image| takes.question(image)).collect::<Result<_, _>>();
    Ok((asked.map_err(|error| error.to_string())?, request.steps))
}
