//! Which device an operator asks for, wherever one can be chosen: the coordinator's arithmetic, training, measurements.

use std::fmt;
use std::str::FromStr;

/// What the operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// A GPU if there is one, else the processor.
    #[default]
    Auto,
    /// The processor; no device is looked for.
    Cpu,
    /// A GPU, or nothing.
    Gpu,
}

impl DeviceChoice {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Cpu, Self::Gpu];
    /// Their words.
    pub const WORDS: [&str; 3] = [Self::Auto.word(), Self::Cpu.word(), Self::Gpu.word()];

    /// The word in files and on command lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Another word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no device to compute on; it is one of {}", DeviceChoice::WORDS.join(", "))]
pub struct DeviceChoiceError {
    /// The word.
    pub found: String,
}

impl FromStr for DeviceChoice {
    type Err = DeviceChoiceError;

    fn from_str(text: &str) -> Result<Self, DeviceChoiceError> {
        let known = Self::ALL.into_iter().find(|choice| choice.word() == text);
        known.ok_or_else(|| DeviceChoiceError { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_no_other() {
        for choice in DeviceChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "tpu".parse::<DeviceChoice>().unwrap_err();
        assert_eq!(error.to_string(), "\"tpu\" is no device to compute on; it is one of auto, cpu, gpu");
    }
}
