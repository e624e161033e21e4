//! Which of the three formats a file is, and a border that no decoder's panic crosses.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Ending, ImagingError, Quantity};
use crate::limits::Limits;
use crate::scan::Scan;
use crate::{dicom, picture};

pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<Scan, ImagingError> {
    dicom::at_most(Quantity::FileBytes, bytes.len() as u64, limits.bytes_max)?;
    guarded(|| match picture::decode(bytes, limits)? {
        Some(scan) => Ok(scan),
        None => dicom::decode(bytes, limits)?.ok_or(ImagingError::UnknownFormat),
    })
}

/// Nothing that outlives a panic is shared with what panics: it has the bytes to read, and what it wrote is dropped.
fn guarded<T>(decode: impl FnOnce() -> Result<T, ImagingError>) -> Result<T, ImagingError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(ImagingError::Crashed { ending: Ending::Panic }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let outcome = guarded::<()>(|| panic!("a decoder's own bug"));
        assert!(matches!(outcome, Err(ImagingError::Crashed { ending: Ending::Panic })));
    }
}
