//! The first samples as the server holds them, as it read them, and as they were.

use ::more::{Comparison, Hint, Layer, Task};
use datasets::circulation::INPUTS;
use datasets::sheet_png;
use ndarray::Array4;
use report::MoreEvidence;

/// Pictures beside each other.
const COLUMNS: usize = 4;
/// Patients in the table.
const PATIENTS: usize = 2;

/// Pictures, or a table.
///
/// # Errors
/// What the encoder of pictures says.
pub(super) fn of(task: &Task, found: &Comparison, levels: (f32, f32)) -> std::io::Result<MoreEvidence> {
    let read = found.recovered.as_ref().map(|recovered| recovered.inputs.as_slice()).unwrap_or_default();
    match task.hint {
        Hint::Pictures { side } => {
            let count = found.entries.len() / (side * side);
            let zoom = 448usize.div_ceil(COLUMNS * side).max(1);
            let sheet = |values: &[f64], levels| {
                let values = &values[..values.len().min(count * side * side)];
                sheet_png(&stacked(values, side), COLUMNS, zoom, levels)
            };
            Ok(MoreEvidence::Pictures {
                seen: sheet(&found.entries, spread(&found.entries))?,
                read: sheet(read, levels)?,
                truth: sheet(&task.train.inputs, levels)?,
                filters: filters(task, found)?,
            })
        }
        Hint::Table => Ok(MoreEvidence::Patients {
            names: INPUTS.iter().map(|input| format!("{}, {}", input.name, input.unit)).collect(),
            seen: found.entries.chunks_exact(INPUTS.len()).take(PATIENTS).map(<[f64]>::to_vec).collect(),
            read: patients(read),
            truth: patients(&task.train.inputs),
        }),
    }
}

/// In their units again.
fn patients(scaled: &[f64]) -> Vec<Vec<f64>> {
    let unscaled = |patient: &[f64]| {
        let value = |(value, input): (&f64, &datasets::circulation::Quantity)| {
            let (low, high) = input.range;
            low + 0.5 * (value + 1.0) * (high - low)
        };
        patient.iter().zip(&INPUTS).map(value).collect()
    };
    scaled.chunks_exact(INPUTS.len()).take(PATIENTS).map(unscaled).collect()
}

/// The first layer's filters, each a small picture.
fn filters(task: &Task, found: &Comparison) -> std::io::Result<Vec<u8>> {
    let weights = found.recovered.as_ref().map(|recovered| recovered.weights.as_slice()).unwrap_or_default();
    let (kernel, filters) = match task.network.layers().first() {
        Some(Layer::Convolution { channels: 1, kernel, filters, .. }) => (*kernel, *filters),
        _ => (1, 1),
    };
    let count = (kernel * kernel * filters).min(weights.len());
    // Weights of one place of all filters lie beside each other.
    let turned: Vec<f64> =
        (0..filters).flat_map(|filter| weights[..count].iter().skip(filter).step_by(filters)).copied().collect();
    sheet_png(&stacked(&turned, kernel), COLUMNS, 448usize.div_ceil(COLUMNS * kernel), spread(&turned))
}

/// Square pictures one after another; what is left of the last one is dropped.
fn stacked(values: &[f64], side: usize) -> Array4<f32> {
    Array4::from_shape_fn((values.len() / (side * side), 1, side, side), |(picture, _, row, column)| {
        values[(picture * side + row) * side + column] as f32
    })
}

/// Mean and factor that bring the smallest value to black and the largest to white.
fn spread(values: &[f64]) -> (f32, f32) {
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    let factor = 1.0 / (high - low).max(1e-12);
    ((-low * factor) as f32, factor as f32)
}
