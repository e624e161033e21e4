//! A head, trained by processes that nobody plays all parts in.

use experiment::HeadExperiment;
use simulation::event::EventSender;
use simulation::head::{HeadOptions, run_nodes};

const PHANTOMS: &str = "[experiment]\nname = \"head\"\n[federation]\nhospitals = 3\n[data]\nformat = \"phantom\"\n\
                        classes = [\"normal\", \"cyst\", \"tumour\"]\nimage = { height = 16, width = 16 }\n\
                        [data.simulate.phantom]\npatients-per-hospital = 8\n[head]\ndimension = 12\nsteps = 2\n\
                        groups-per-batch = 2\nlearning-rate = 0.05\nlate-rate = 0.05\n";

#[test]
fn three_hospitals_train_a_head_on_ciphertexts_and_ask_what_nobody_has_seen() {
    let _turn = super::turn();
    let folder = tempfile::tempdir().unwrap();
    let experiment = HeadExperiment::parse("head.toml", PHANTOMS, &[]).unwrap();
    let options = HeadOptions { data: None, out: folder.path().join("run"), drops: Vec::new() };
    let head = run_nodes(&experiment, &options, 2, &EventSender::silent()).unwrap();
    eprintln!("{head:?}");
    assert_eq!(head.answers.dim(), (2, 3));
}
