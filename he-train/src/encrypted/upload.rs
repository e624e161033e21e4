//! What hospitals upload, made ready to be trained on.

use he_agg::backend::Cpu;
use he_agg::ckks::{Evaluator, GatedCiphertext};
use he_agg::multiparty::{Crs, GateKey, GateLabel, Gated};
use rayon::prelude::*;

use super::error::{HeadError, check_count};
use super::program::HeadProgram;
use super::trainer::TrainingGroup;

/// Lifts one group of a hospital's rows, as they travel, through its gate to the key that is trained under.
///
/// # Errors
/// [`HeadError::Count`] for other than a group's ciphertexts; [`HeadError::Bytes`]; [`HeadError::Ceremony`] for a gate
/// of another key. What was encrypted for another group or place, or by another hospital, lifts to noise: whose bytes
/// these are is up to whoever brought them.
pub fn lift_group(
    program: &HeadProgram,
    evaluator: &Evaluator<Cpu>,
    (crs, gate): (&Crs, &GateKey<Cpu>),
    group: u64,
    sent: &[Vec<u8>],
) -> Result<TrainingGroup<Cpu>, HeadError> {
    check_count("a group", sent.len(), program.layout().blocks() + 1)?;
    let lift = |(part, bytes): (u32, &Vec<u8>)| {
        let label = GateLabel { what: Gated::Feature, asker: gate.asker(), number: group, part };
        let gated = GatedCiphertext::from_bytes(bytes, program.preset())?;
        Ok(evaluator.lift(&gated, crs, label, gate)?)
    };
    let parts: Vec<_> = (0..).zip(sent).collect();
    let mut features = parts.into_par_iter().map(lift).collect::<Result<Vec<_>, HeadError>>()?;
    let labels = features.pop().ok_or(HeadError::Count { what: "a group", found: 0, expected: 1 })?;
    Ok(TrainingGroup { features, labels })
}
