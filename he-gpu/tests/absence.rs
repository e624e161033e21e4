//! A machine without a GPU gets an error that says so, and what was found.

use he_agg::Preset;
use he_gpu::{Gpu, OpenError, probe};

#[test]
fn opening_a_device_says_what_is_there() {
    let found = probe();
    match Gpu::open(Preset::Agg13.params()) {
        Ok(gpu) => {
            assert!(found.contains(gpu.adapter()), "{} is not among {found:?}", gpu.adapter());
            assert!(!gpu.adapter().name.is_empty());
        }
        #[cfg(not(feature = "device"))]
        Err(error) => {
            assert_eq!((error.clone(), found), (OpenError::NotBuilt, Vec::new()));
            assert_eq!(error.to_string(), "this build has no GPU support; rebuild with --features gpu");
        }
        #[cfg(feature = "device")]
        Err(error) => {
            let text = error.to_string();
            assert!(matches!(error, OpenError::Unusable { found: named, .. } if named == found), "{text}");
            assert!(text.starts_with("no GPU can be used: "), "{text}");
            assert!(found.iter().all(|adapter| text.contains(&adapter.name)), "{text}");
        }
    }
}
