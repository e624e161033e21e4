//! A head, trained by processes that nobody plays all parts in. That they lose a hospital and replace it is a test of
//! the command line.

use std::path::Path;

use experiment::HeadExperiment;
use protocol::campaign::PauseReason;
use simulation::FederationError;
use simulation::event::EventSender;
use simulation::head::{HeadOfNodes, HeadOptions, HeadRunError, run_nodes};

const PHANTOMS: &str = "[experiment]\nname = \"head\"\n[federation]\nhospitals = 3\npatience = \"10s\"\n[data]\n\
                        format = \"phantom\"\nclasses = [\"normal\", \"cyst\", \"tumour\"]\n\
                        image = { height = 16, width = 16 }\n[data.simulate.phantom]\npatients-per-hospital = 8\n\
                        [head]\ndimension = 12\nsteps = 3\ngroups-per-batch = 2\nlearning-rate = 0.05\n\
                        late-rate = 0.05\n";

fn trained(out: &Path, changes: &[&str], drops: &[&str]) -> Result<HeadOfNodes, Box<HeadRunError>> {
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
    let experiment = HeadExperiment::parse("head.toml", PHANTOMS, &changes).expect("a valid file");
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
    answers(&trained(&out, &["federation.threshold=3"], &[]).unwrap());
}
