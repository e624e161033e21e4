//! A hospital's part in training a head on ciphertexts.
//!
//! [`HeadSite`] encrypts the hospital's features; [`HeadDecryptor`] follows every step from the uploads and refreshes
//! what its own steps left, and nothing else: whoever asks for a refresh says what of, and gets it only where it is
//! what this hospital computed itself. A share of anything else would read the uploads with the help of whoever opens.

mod decryptor;
mod error;
mod secrets;
mod site;
#[cfg(test)]
mod tests;

pub use decryptor::{HeadDecryptor, RefreshPart};
pub use error::HeadRefusal;
pub use secrets::HeadSecrets;
pub use site::HeadSite;
