//! Where the coordinator computes and what its device moves, as the report says it.

use coordinator::compute::{Compute, Moved};
use he_agg::simd::Isa;
use report::{ComputeReport, DeviceBytes, DeviceReport};

/// Where the coordinator computes, as things stand now.
pub fn compute_report(compute: &Compute) -> ComputeReport {
    let device = compute.device().map(|device| DeviceReport {
        name: device.name.clone(),
        driver: device.driver.clone(),
        api: device.api.clone(),
    });
    let given_up = compute.given_up().map(str::to_owned);
    let mut summary = compute.to_string();
    if let Some(why) = &given_up {
        summary.push_str(&format!("; given up, and the processor did the rest: {why}"));
    }
    let (choice, isa) = (compute.choice().to_string(), Isa::detect().to_string());
    ComputeReport { choice, device, isa, reason: compute.reason().to_owned(), given_up, summary }
}

/// What a device moved.
pub(crate) fn device_bytes(moved: Moved) -> DeviceBytes {
    DeviceBytes { to: moved.to, from: moved.from }
}
