//! A finished run, served again from its folder by new processes: nothing is published anew, nothing is forgotten.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use client::counter::{self, CounterError, Progress, Reply};
use client::hospital::{QuestionStep, SAMPLE_BYTES};
use coordinator::audit::{self, AuditError, Known};
use coordinator::compute::Compute;
use experiment::{Described, Experiment};
use ndarray::Array3;
use protocol::PartyId;
use protocol::blob::{BlobId, BlobKind};
use protocol::codec::Wire;
use protocol::ids::QueryId;
use protocol::local::LocalError;
use protocol::signature::VerifyingKey;
use protocol::store::Journal;
use remedy::Explained;
use simulation::event::EventSender;
use simulation::{FederationError, FinishedRun, Served};
use tokio::sync::oneshot;

fn finished(out: &Path, experiment: &Experiment) -> FinishedRun {
    FinishedRun::new(out, Described::Network(Box::new(experiment.clone()))).unwrap()
}

/// A service on its own threads.
pub(crate) struct Session {
    out: PathBuf,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<Vec<Served>, FederationError>>,
}

impl Session {
    fn start(out: &Path, experiment: &Experiment) -> Self {
        Self::of(finished(out, experiment))
    }

    pub(crate) fn of(run: FinishedRun) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (out, runs) = (run.folder().to_owned(), vec![(run, Compute::cpu())]);
        let until = async move { drop(stopped.await) };
        let served = std::thread::spawn(move || simulation::serve(runs, until, EventSender::silent()));
        Self { out, stop, served }
    }

    fn hospital(&self, number: u16) -> PathBuf {
        self.out.join(format!("hospital-{number}"))
    }

    /// Asks as soon as the counter is open and enough hospitals are back.
    pub(crate) fn ask(&self, number: u16, image: &Array3<f32>) -> Result<Reply, CounterError> {
        self.follow(number, image, |_| ())
    }

    fn follow(
        &self,
        number: u16,
        image: &Array3<f32>,
        mut follow: impl FnMut(Progress),
    ) -> Result<Reply, CounterError> {
        let since = Instant::now();
        loop {
            match counter::ask_and_follow(&self.hospital(number), &[image.view()], &mut follow) {
                Err(CounterError::Socket(LocalError::Closed { .. })) if since.elapsed() < Duration::from_secs(120) => {}
                Err(CounterError::Refused(why)) if why.contains("decryptor") => {}
                other => return other,
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn end(self) -> Served {
        self.stop.send(()).unwrap();
        self.served.join().unwrap().unwrap().remove(0)
    }
}

fn whoever_asked_heard_how_far_it_was(heard: &[Progress], reply: &Reply) {
    // A refusal because decryptors were still coming back may stand before.
    let begin = heard.iter().rposition(|progress| progress.step == QuestionStep::Encrypting).unwrap();
    let heard = &heard[begin..];
    assert!(heard.is_sorted_by(|one, next| one.at_ms <= next.at_ms), "{heard:?}");
    let steps: Vec<&QuestionStep> = heard.iter().map(|progress| &progress.step).collect();
    let QuestionStep::Encrypted(envelope) = steps[1] else { unreachable!("{steps:?}") };
    assert_eq!(steps[2..], [&QuestionStep::Sent, &QuestionStep::Evaluated, &QuestionStep::Released]);
    assert_eq!((&envelope.query, envelope.bytes), (&reply.query, reply.query_bytes));
    assert_eq!((envelope.digest.len(), envelope.sample.len()), (64, 2 * SAMPLE_BYTES));
}

/// `experiment` lets every hospital ask three times, of which the run asked hospital 1 once and hospital 3 once;
/// hospital 2 was lost before the model was published.
pub(crate) fn serves_again(out: &Path, experiment: &Experiment) {
    let shape = experiment.network().image();
    let image = Array3::from_shape_fn((shape.channels, shape.height, shape.width), |(_, y, x)| {
        ((y * 7 + x * 3) % 11) as f32 / 5.0 - 1.0
    });
    let session = Session::start(out, experiment);
    let first = session.ask(1, &image).unwrap();
    assert_eq!((first.logits.len(), first.logits[0].len()), (1, experiment.network().classes()));
    assert!(first.logits[0].iter().all(|logit| logit.is_finite()) && first.query.starts_with("1-"), "{first:?}");
    let lost = counter::ask(&session.hospital(2), &[image.view()]).unwrap_err();
    assert!(matches!(lost, CounterError::Socket(LocalError::Closed { .. })), "it cannot vouch for the model: {lost}");
    let small = Array3::zeros((1, 2, 2));
    let wrong = counter::ask(&session.hospital(1), &[small.view()]).unwrap_err().to_string();
    assert!(wrong.contains("1 x 2 x 2"), "{wrong}");
    let many = counter::ask(&session.hospital(1), &[image.view(), image.view()]).unwrap_err().to_string();
    assert!(many.contains("takes 1 to 1"), "{many}");
    let twice = simulation::serve(
        vec![(finished(out, experiment), Compute::cpu())],
        std::future::pending(),
        EventSender::silent(),
    );
    assert!(matches!(twice, Err(FederationError::Counter(CounterError::Socket(LocalError::Busy { .. })))), "{twice:?}");
    let served = session.end();
    assert_eq!(served.released, 1);

    let session = Session::start(out, experiment);
    let mut steps = Vec::new();
    let second = session.follow(1, &image, |progress| steps.push(progress)).unwrap();
    whoever_asked_heard_how_far_it_was(&steps, &second);
    assert_ne!(first.query, second.query);
    for (one, other) in first.logits[0].iter().zip(&second.logits[0]) {
        // Each is flooded with a deviation of up to 2^-8; six deviations of their difference.
        assert!((one - other).abs() < 0.034, "the same model answers: {first:?} {second:?}");
    }
    let spent = session.ask(1, &image).unwrap_err().to_string();
    assert!(spent.contains("quota"), "one in the run, one in each session: {spent}");
    session.ask(3, &image).unwrap();
    let again = session.end();
    assert_eq!((again.released, again.left), (2, served.left - 2));

    recomputes(out, experiment, first.query.parse().unwrap(), second.query.parse().unwrap());
}

/// A run that lost its quorum in its second round says so to everyone who wants its model, and its log can be audited.
pub(crate) fn is_not_served_yet(out: &Path, experiment: &Experiment) {
    let serving = vec![(finished(out, experiment), Compute::cpu())];
    let error = simulation::serve(serving, std::future::pending(), EventSender::silent()).unwrap_err();
    assert!(matches!(error, FederationError::NotPublished { closed: 1, rounds: 2, needs_data: false, .. }), "{error}");
    assert!(error.to_string().contains("1 of its 2 training rounds"), "{error}");
    assert!(error.remedy().contains(&format!("consilium run --resume {}", out.display())), "{}", error.remedy());
    let error = finished(out, experiment).published().unwrap_err();
    assert!(matches!(error, FederationError::NotPublished { .. }), "{error}");

    let known = known(simulation::coordinator_key(out).unwrap());
    let folder = finished(out, experiment).coordinator_folder().unwrap();
    assert!(audit::released_queries(&folder, &known).unwrap().is_empty());
}

/// What an auditor knows who has nothing but the coordinator's key.
fn known(coordinator: VerifyingKey) -> Known {
    Known { coordinator, approved: None }
}

/// Released queries can be checked from a copy of the coordinator's folder, and a changed copy is noticed.
fn recomputes(out: &Path, experiment: &Experiment, query: QueryId, other: QueryId) {
    finished(out, experiment).published().unwrap();
    // An auditor has the public key, and nothing of the run that is private.
    let public = tempfile::tempdir().unwrap();
    let own = public.path().join("coordinator-key.hex");
    std::fs::copy(out.join("coordinator-key.hex"), &own).unwrap();
    let own_key = known(simulation::coordinator_key(public.path()).unwrap());
    let program = Arc::new(experiment.program().clone());
    let of = (&program, &program.planned_keys());
    std::fs::write(&own, "00ff").unwrap();
    let damaged = simulation::coordinator_key(public.path()).unwrap_err();
    assert!(matches!(damaged, FederationError::Damaged { .. }), "{damaged}");
    let folder = finished(out, experiment).coordinator_folder().unwrap();
    let released = audit::released_queries(&folder, &own_key).unwrap();
    assert!(audit::check_log(&folder, &own_key).unwrap() > released.len());
    assert_eq!(released.len(), 5, "two in the run, one and two in the sessions: {released:?}");
    let found = audit::recompute(&folder, &own_key, of, query).unwrap();
    assert!(found.holds(), "{:?}", found.checks);
    assert!(
        ["query", "rotation keys", "encrypted model", "result"]
            .iter()
            .all(|what| found.checks.iter().any(|it| it.what == *what))
    );

    let unknown = audit::recompute(&folder, &own_key, of, QueryId::new(PartyId::new(5).unwrap(), 99)).unwrap_err();
    assert!(matches!(unknown, AuditError::Unknown { known: 5, .. }), "{unknown}");
    let foreign = known(protocol::signature::SigningKey::generate().unwrap().verifying_key());
    assert!(matches!(audit::recompute(&folder, &foreign, of, query), Err(AuditError::Log(_))), "a foreign signature");

    // As if the coordinator had evaluated another image than the one that was asked about.
    let journal = Journal::open(&folder.join("journal.sqlite")).unwrap();
    let body = |query: QueryId| BlobId::query(BlobKind::Query, query, query.asker(), 0).to_bytes();
    let stored = journal.get("body", &body(other)).unwrap().unwrap();
    journal.put("body", &body(query), &stored).unwrap();
    let found = audit::recompute(&folder, &own_key, of, query).unwrap();
    let differing: Vec<&str> = found.checks.iter().filter(|check| !check.holds()).map(|check| check.what).collect();
    assert_eq!(differing, ["query", "result"]);
}
