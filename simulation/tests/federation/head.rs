//! A head, trained by processes that nobody plays all parts in. That they lose a hospital and replace it is a test of
//! the command line.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use coordinator::audit::{self, Known};
use experiment::{Described, HeadExperiment};
use ndarray::Axis;
use protocol::campaign::PauseReason;
use simulation::event::EventSender;
use simulation::head::{HeadOfNodes, HeadOptions, HeadRunError, run_nodes};
use simulation::{FederationError, FinishedRun};

use super::service::Session;

const PHANTOMS: &str = "[experiment]\nname = \"head\"\n[federation]\nhospitals = 3\npatience = \"10s\"\n[data]\n\
                        format = \"phantom\"\nclasses = [\"normal\", \"cyst\", \"tumour\"]\n\
                        image = { height = 16, width = 16 }\n[data.simulate.phantom]\npatients-per-hospital = 8\n\
                        [head]\ndimension = 12\nsteps = 3\ngroups-per-batch = 2\nlearning-rate = 0.05\n\
                        late-rate = 0.05\n";

fn experiment(changes: &[&str]) -> HeadExperiment {
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
    HeadExperiment::parse("head.toml", PHANTOMS, &changes).expect("a valid file")
}

fn trained(out: &Path, changes: &[&str], drops: &[&str]) -> Result<HeadOfNodes, Box<HeadRunError>> {
    let experiment = experiment(changes);
    let drops = drops.iter().map(|drop| drop.parse().expect("a valid drop-out")).collect();
    let options = HeadOptions { data: None, out: out.to_owned(), drops };
    run_nodes(&experiment, &options, 2, &EventSender::silent()).map_err(Box::new)
}

/// Answers are those of the same steps on plain numbers, as exactly as encrypted steps are taken; those of other rows
/// and classes lie further away.
fn answers(head: &HeadOfNodes) {
    assert_eq!(head.answers.dim(), (2, 3));
    let (off, largest) = head.off();
    assert!(largest > 0.05, "{head:?}");
    assert!(off < 0.02 * largest, "{off} of {largest}: {head:?}");
}

#[test]
fn a_head_whose_hospitals_are_too_few_waits_and_all_processes_go_on_in_the_middle() {
    let _turn = super::turn();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let stopped = trained(&out, &["federation.threshold=3"], &["hospital-2@2:before-share"]);
    let Err(HeadRunError::Federation(stopped)) = stopped.map_err(|error| *error) else { panic!("it went on") };
    assert!(matches!(*stopped, FederationError::Paused { reason: PauseReason::CutOff { .. }, .. }), "{stopped}");
    let run = || FinishedRun::new(&out, Described::Head(Box::new(experiment(&["federation.threshold=3"])))).unwrap();
    let unfinished = run().published();
    assert!(matches!(unfinished, Err(FederationError::NoHead { .. })), "{unfinished:?}");
    let head = trained(&out, &["federation.threshold=3"], &[]).unwrap();
    answers(&head);
    is_served_and_audited(run(), &head);
}

/// Whoever hands in the images of those rows gets the answers that the run got.
fn is_served_and_audited(run: FinishedRun, head: &HeadOfNodes) {
    let images = experiment(&[]).generator().expect("it is drawn").draw().expect("drawn").test.images;
    assert_eq!(run.published().unwrap().digest, head.model);
    let session = Session::of(run.clone());
    for (number, row) in [(1, 0), (2, 1)] {
        let reply = session.ask(number, &images.index_axis(Axis(0), row).to_owned()).unwrap();
        for (found, expected) in reply.logits[0].iter().zip(head.answers.row(row)) {
            // Each is flooded, with a deviation of 2^-12 or less.
            assert!((found - expected).abs() < 1e-2, "{found} {expected}");
        }
    }
    assert_eq!(session.end().released, 2);
    let (folder, plan) = (run.coordinator_folder().unwrap(), run.plan());
    let known = Known { coordinator: simulation::coordinator_key(run.folder()).unwrap(), approved: None };
    let asked = audit::released_queries(&folder, &known).unwrap();
    assert_eq!(asked.len(), 4, "two in the run, two in the session");
    let found = audit::recompute(&folder, &known, (plan.program(), &plan.serving_keys()), asked[3]).unwrap();
    assert!(found.holds(), "{:?}", found.checks);
}
