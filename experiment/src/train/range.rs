//! A training setting and the range it may lie in.

/// A training setting lies outside its range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("training setting {setting} = {value} is out of range; allowed: {allowed}")]
pub struct SettingError {
    /// The key as it is written in TOML.
    pub setting: &'static str,
    /// The value given.
    pub value: f64,
    /// The allowed range in words.
    pub allowed: &'static str,
}

/// Refuses `value` where `allowed_if` is false (or the value is NaN).
pub(super) fn check_range(
    setting: &'static str,
    value: f64,
    allowed: &'static str,
    allowed_if: impl Fn(f64) -> bool,
) -> Result<(), SettingError> {
    if allowed_if(value) { Ok(()) } else { Err(SettingError { setting, value, allowed }) }
}
