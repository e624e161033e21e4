//! How long noise takes: `cargo run --release -p privacy --example noise`.

#![expect(clippy::print_stdout, reason = "an example tells what it measured")]

use std::time::Instant;

use he_agg::Stream;
use privacy::{Clipping, ClippingError, DiscreteGaussian, Dither};

/// Values of a gradient, as many as the shipped network for digits has.
const VALUES: usize = 73_345;
/// Gradients of patients.
const PATIENTS: usize = 64;

fn main() -> Result<(), ClippingError> {
    let (mut sum, mut stream) = (vec![0i64; VALUES], Stream::from_seed([5; 32]));
    let started = Instant::now();
    DiscreteGaussian::ALONE.add_to(&mut sum, &mut stream);
    let noise = started.elapsed().as_secs_f64() / VALUES as f64;
    let clipping = Clipping::new(0.5, VALUES, (DiscreteGaussian::ALONE, 1.0))?;
    let gradient: Vec<f32> = (0..VALUES).map(|value| (value as f32).sin()).collect();
    let started = Instant::now();
    (0..PATIENTS).for_each(|patient| clipping.add(&gradient, &mut sum, &mut Dither::new(patient as u64)));
    let clipped = started.elapsed().as_secs_f64() / (VALUES * PATIENTS) as f64;
    println!("noise {:.3} us a value; clipped and rounded {:.4} us a value of a patient", noise * 1e6, clipped * 1e6);
    Ok(())
}
