//! The sums that features are whitened by, added up encrypted.

use client::plan::{LANE_BITS, ROWS_MAX, layout_of_moments};
use he_agg::aggregation::MemoryLedger;
use he_train::{MomentLanes, Moments};
use ndarray::{Array2, Axis};

use super::error::HeadRunError;
use crate::cohort::Cohort;

/// What all hospitals learn together, and what it took.
pub(super) struct Pooled {
    pub(super) moments: Moments,
    /// Ciphertexts of a hospital.
    pub(super) chunks: usize,
    /// That it uploads.
    pub(super) bytes: usize,
    /// Whether the sum that was decrypted is the sum of the hospitals' integers.
    pub(super) exact: bool,
}

/// Adds up every hospital's moments in one round as those of training are, of all rows named.
///
/// # Errors
/// Features out of range, or too many rows.
pub(super) fn pooled(features: &Array2<f64>, hospitals: &[Vec<usize>], threshold: u16) -> Result<Pooled, HeadRunError> {
    let count = u16::try_from(hospitals.len()).unwrap_or(u16::MAX);
    let lanes = MomentLanes::new(features.ncols(), LANE_BITS, ROWS_MAX, count)?;
    let cohort = Cohort::new(layout_of_moments(count, threshold)?, lanes.values())?;
    let mut ledgers: Vec<MemoryLedger> = hospitals.iter().map(|_| cohort.ledger()).collect();
    let (mut uploads, mut expected) = (Vec::new(), vec![0i64; lanes.values()]);
    for ((number, rows), ledger) in cohort.hospitals().zip(hospitals).zip(&mut ledgers) {
        let integers = lanes.encode(&lanes.moments(&features.select(Axis(0), rows))?)?;
        expected.iter_mut().zip(&integers).for_each(|(sum, value)| *sum += i64::from(*value));
        uploads.push(cohort.encrypt(number, &integers, ledger)?);
    }
    let contexts = cohort.contexts()?;
    let deciding = ledgers.iter_mut().take(usize::from(cohort.layout().threshold())).enumerate();
    let shares =
        deciding.map(|(place, ledger)| cohort.share(place, &contexts, ledger)).collect::<Result<Vec<_>, _>>()?;
    let sums = cohort.open(&contexts, &cohort.serve(&contexts, &uploads, &shares)?)?.sums;
    let (chunks, bytes) = (cohort.chunks(), cohort.wire_bytes());
    Ok(Pooled { moments: lanes.decode(&sums)?, chunks, bytes, exact: sums == expected })
}
