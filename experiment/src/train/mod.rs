//! How every hospital trains locally: settings that a hospital's trainer carries out.

mod augmentation;
mod choices;
mod range;
mod settings;

pub use augmentation::Augmentation;
pub use choices::{ClassWeighting, OptimizerKind};
pub use range::SettingError;
pub use settings::TrainSettings;
