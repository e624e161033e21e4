//! The command line of Consilium, for two binaries: this package's own and the one with CUDA.
//!
//! Start at [`cli`] for the flags and at [`verbs`] for what each of them does. Nobody else imports this crate.

mod carried;
pub mod cli;
pub mod control;
pub mod driver_noise;
pub mod error;
pub mod exit;
pub mod global;
pub mod live;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod output;
mod pages;
pub mod signals;
pub mod threads;
mod users;
pub mod verbs;
