//! The suite that all backends pass, on the device: every operation, bit for bit.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod device;

use he_agg::backend::parity;
use he_agg::{Params, Preset};

/// A preset's primes and digits at another degree.
fn compare(preset: Preset, log_n: u32) {
    let params: &'static Params = Box::leak(Box::new(Params::toy(preset, log_n)));
    let Some(gpu) = device::open(params) else { return };
    parity::compare(&gpu).unwrap();
}

#[test]
fn every_operation_at_the_smallest_degrees() {
    for log_n in [4, 7, 8] {
        compare(Preset::Inf13, log_n);
    }
}

#[test]
fn every_operation_with_digits_of_several_primes() {
    for log_n in [10, 12] {
        compare(Preset::Inf14x30, log_n);
        compare(Preset::Inf15x90, log_n);
        // Digits as large as the special primes.
        compare(Preset::Trn14, log_n);
    }
}

#[test]
fn every_operation_where_a_transform_takes_two_kernels() {
    compare(Preset::Inf13, 13);
    compare(Preset::Agg14, 14);
    compare(Preset::Inf14x30, 14);
    compare(Preset::Inf15x90, 15);
}
