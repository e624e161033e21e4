//! `consilium bench ceremony`: what making the serving keys costs one hospital among many that send what they should.
//!
//! One hospital does everything that a real one computes: it makes its shares, gate key and proof, reads and adds what
//! all others sent, checks their proofs. The others are made up, one after the other, while no clock runs: their bodies
//! are real ones, of secrets of their own. Disk, network and vault are left out. [`Pieces`] measures each kind of work
//! once, for `consilium plan`, which multiplies; here both stand side by side.

mod pieces;
mod whole;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use client::plan::{parts_added, proofs_checked};
use experiment::{DEMO, Experiment};
use remedy::Exit;
use report::bytes_text;

use super::{
    Measured,
    engine::{Engine, EngineFlags},
    error::BenchError,
    progress::Progress,
    row::Row,
    table::Table,
    timing::Timing,
};
pub use pieces::{CeremonyTime, Pieces};
use whole::Whole;

/// Flags of `bench ceremony`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/ceremony.txt"))]
pub struct CeremonyArgs {
    /// The experiment whose network's keys are made; the demo's if none is named.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Hospitals of the consortium, one measurement for each number.
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "5")]
    pub hospitals: Vec<u16>,
    /// Threads and instruction set.
    #[command(flatten)]
    pub engine: EngineFlags,
}

/// Measures.
///
/// # Errors
/// A flag or file that does not fit.
pub fn run(arguments: &CeremonyArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let engine = Engine::start(&arguments.engine)?;
    let mut rows = Vec::new();
    let mut table = Table::new(&["one hospital's", "of", "measured", "as planned", "sent", "fetched"]);
    for hospitals in &arguments.hospitals {
        let settings = [format!("federation.hospitals={hospitals}")];
        let experiment = match &arguments.file {
            Some(path) => Experiment::load(path, &settings),
            None => Experiment::parse("demo", DEMO, &settings),
        };
        let experiment = experiment.map_err(BenchError::experiment)?;
        let (program, threshold) = (experiment.program(), usize::from(experiment.federation().threshold));
        progress.group(&format!("{hospitals} hospitals"));
        progress.step("each kind of work once");
        let of = usize::from(*hospitals);
        let planned = engine.run(|| Pieces::measure(program))?.of(program, of, threshold);
        let drawn = parts_added(program.summary().galois_keys, of, threshold);
        let mut whole = Whole::new(program, *hospitals, drawn, proofs_checked(of, threshold));
        engine.run(|| whole.run(progress))?;
        let (spent, moved) = (&whole.spent, &whole.moved);
        for (what, took, planned_s, sent, fetched) in [
            ("own shares", spent.made, planned.made_s, moved.made, 0),
            ("own proof", spent.proved, planned.proved_s, moved.proved, 0),
            ("sums", spent.added, planned.added_s, 0, moved.added),
            ("check of the others' proofs", spent.checked, planned.checked_s, 0, moved.checked),
        ] {
            table.push(vec![
                what.to_owned(),
                hospitals.to_string(),
                format!("{:.2} s", took.as_secs_f64()),
                format!("{planned_s:.2} s"),
                bytes_text(sent as u64),
                bytes_text(fetched as u64),
            ]);
            let row = Row { hospitals: Some(*hospitals), ..Row::new(&format!("ceremony: {what}"), &engine) };
            let limbs = program.key_plan().relin_limbs;
            rows.push(row.shape(program.params(), limbs, true).timed(once(took)).bytes(sent + fetched));
        }
    }
    progress.finish();
    let text = format!("{}\n{}", engine.text(), table.text());
    Ok(Measured { text, rows, exit: Exit::Done })
}

/// A figure that was taken once.
fn once(took: Duration) -> Timing {
    let ns = took.as_secs_f64() * 1e9;
    Timing { median_ns: ns, min_ns: ns, repetitions: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Unseen;

    /// Everything that one hospital of three does is done, and its bytes are those that the plan computes.
    #[test]
    fn a_small_ceremony_moves_what_its_plan_says() {
        let settings = ["federation.hospitals=3", "publish.preset=\"INF15-90\""].map(str::to_owned);
        let experiment = Experiment::parse("demo", DEMO, &settings).expect("three hospitals are a consortium");
        let (program, serving) = (experiment.program(), crate::plan::Plan::of(&experiment).serving);
        let mut whole = Whole::new(program, 3, serving.rotations_added, serving.proofs_checked);
        whole.run(&mut Unseen).expect("honest hospitals");
        let near = |found: usize, planned: usize, within: f64| (found as f64 / planned as f64 - 1.0).abs() < within;
        let moved = &whole.moved;
        assert!(near(moved.made, serving.ceremony_sent_bytes - serving.proof_bytes, 1e-3), "{moved:?}");
        // Coins say how much is opened: 20.5 of 41 on the average, with a deviation of 3.2.
        assert!(near(moved.proved, serving.proof_bytes, 0.6), "{moved:?}");
        assert!(near(moved.added + moved.checked, serving.ceremony_fetched_bytes, 0.2), "{moved:?}");
        let spent = &whole.spent;
        assert!([spent.made, spent.proved, spent.added, spent.checked].iter().all(|took| !took.is_zero()));
    }
}
