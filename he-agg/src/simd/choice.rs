//! Choosing an instruction set by hand, so that all of them can be measured and compared.
//!
//! Results never depend on the choice; only time does.

use super::{CHOSEN, Isa, instances};
use crate::ring::NttTable;
use std::fmt;
use std::str::FromStr;

/// Why an instruction set cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IsaError {
    /// No such instruction set.
    #[error("unknown instruction set; use one of scalar, avx2, avx512")]
    Unknown,
    /// This processor lacks it.
    #[error("this processor has no {wanted}; its widest instruction set is {widest}")]
    Unavailable {
        /// Asked for.
        wanted: Isa,
        /// The widest there is.
        widest: Isa,
    },
    /// Kernels already ran with another one.
    #[error("this process already uses {chosen}; choose {wanted} before the first operation")]
    Decided {
        /// Asked for.
        wanted: Isa,
        /// In use.
        chosen: Isa,
    },
}

impl Isa {
    /// Makes the whole process use `isa`; to be called before the first operation. Asking for
    /// what is already in use is fine.
    ///
    /// # Errors
    /// [`IsaError::Unavailable`] or [`IsaError::Decided`].
    pub fn limit(isa: Isa) -> Result<(), IsaError> {
        isa.require()?;
        let chosen = *CHOSEN.get_or_init(|| isa);
        if chosen == isa { Ok(()) } else { Err(IsaError::Decided { wanted: isa, chosen }) }
    }

    /// The name used on command lines and in measurements.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    pub(super) fn require(self) -> Result<(), IsaError> {
        let available = Isa::available();
        if available.contains(&self) {
            return Ok(());
        }
        let widest = available.last().copied().unwrap_or(Isa::Scalar);
        Err(IsaError::Unavailable { wanted: self, widest })
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        [Isa::Scalar, Isa::Avx2, Isa::Avx512].into_iter().find(|isa| isa.name() == name).ok_or(IsaError::Unknown)
    }
}

/// Forward transform of one limb in place on a given instruction set, whatever the process uses.
/// Canonical in and out; `a` has the length of the table's degree.
///
/// # Errors
/// [`IsaError::Unavailable`], with `a` unchanged.
pub fn forward_on(isa: Isa, table: &NttTable, a: &mut [u32]) -> Result<(), IsaError> {
    isa.require()?;
    instances::forward(isa, table, a);
    Ok(())
}

/// As [`forward_on`], back to coefficients.
///
/// # Errors
/// [`IsaError::Unavailable`], with `a` unchanged.
pub fn inverse_on(isa: Isa, table: &NttTable, a: &mut [u32]) -> Result<(), IsaError> {
    isa.require()?;
    instances::inverse(isa, table, table.unscaled, a);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decided_process_refuses_another_instruction_set() {
        // Other tests of this process may have decided already; both outcomes lead here.
        let chosen = Isa::detect();
        assert_eq!(Isa::limit(chosen), Ok(()));
        for wanted in Isa::available().into_iter().filter(|&isa| isa != chosen) {
            assert_eq!(Isa::limit(wanted), Err(IsaError::Decided { wanted, chosen }));
        }
        assert_eq!(Isa::detect(), chosen);
    }

    #[test]
    fn names_are_read_back() {
        for isa in [Isa::Scalar, Isa::Avx2, Isa::Avx512] {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        assert_eq!("sse".parse::<Isa>(), Err(IsaError::Unknown));
    }
}
