//! How far training images are distorted, so that a small cohort teaches shape and not position.

use serde::{Deserialize, Serialize};

use super::range::{SettingError, check_range};

/// How far training images may be distorted; zero switches a distortion off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Augmentation {
    /// Largest shift as a fraction of the side, `0..=0.5`, per axis.
    pub shift: f32,
    /// Largest rotation in degrees, `0..=180`.
    pub rotation: f32,
    /// Largest relative change of size, `0..=0.9`.
    pub scale: f32,
    /// Largest offset added to all pixels, in normalised units (standard deviations), `0..=4`.
    pub brightness: f32,
    /// Largest relative change of contrast, `0..=0.9`.
    pub contrast: f32,
    /// Mirror left and right with probability one half. Leave off where laterality matters.
    pub mirror: bool,
}

impl Default for Augmentation {
    /// Gentle: two pixels of 28, 10 degrees, 10 % in size, a tenth of a deviation in brightness.
    fn default() -> Augmentation {
        Augmentation { shift: 0.07, rotation: 10.0, scale: 0.1, brightness: 0.1, contrast: 0.1, mirror: false }
    }
}

impl Augmentation {
    /// No distortion at all.
    pub const NONE: Augmentation =
        Augmentation { shift: 0.0, rotation: 0.0, scale: 0.0, brightness: 0.0, contrast: 0.0, mirror: false };

    /// Refuses distortions outside the documented ranges.
    pub(super) fn check(&self) -> Result<(), SettingError> {
        for (setting, value, allowed, most) in [
            ("augmentation.shift", self.shift, "0 to 0.5", 0.5),
            ("augmentation.rotation", self.rotation, "0 to 180", 180.0),
            ("augmentation.scale", self.scale, "0 to 0.9", 0.9),
            ("augmentation.brightness", self.brightness, "0 to 4", 4.0),
            ("augmentation.contrast", self.contrast, "0 to 0.9", 0.9),
        ] {
            check_range(setting, f64::from(value), allowed, |v| (0.0..=most).contains(&v))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_beyond_half_the_side_is_refused() {
        let settings = Augmentation { shift: 0.6, ..Augmentation::NONE };
        assert!(settings.check().is_err());
    }
}
