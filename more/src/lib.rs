//! **MORE is not encryption.** This crate shows it.
//!
//! The "matrix operation for randomisation or encryption" (MORE) hides a number m in a 2x2 matrix S diag(m, r) S⁻¹
//! with a secret S. Over the real numbers, as networks need it, every such matrix tells m: it is one of its two
//! eigenvalues. Networks were nevertheless trained on medical images in this form, since it costs little and loses no
//! accuracy. Both is true, and shown here; so is what a server reads on the way.
//!
//! [`compare`] trains one network twice, on plain numbers and on MORE ciphertexts, then recovers inputs, labels and
//! weights from the ciphertexts alone. Nothing else in this repository uses the crate, and no federation can.

mod attack;
mod ciphertext;
mod comparison;
mod key;
mod network;
mod number;
mod task;
mod training;

pub use attack::{Channel, Hint, Recovered, Seen, attack};
pub use ciphertext::More;
pub use comparison::{Comparison, Reading, Stage, compare};
pub use key::Key;
pub use network::{Layer, Network};
pub use number::{Function, Number};
pub use task::{Part, Task, TaskError, Truth};
pub use training::{Loss, Recipe};

/// What stands first and last wherever results of this crate are shown.
pub const WARNING: &str = "MORE IS NOT ENCRYPTION. The server reads every value.";
