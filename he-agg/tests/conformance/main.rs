//! What an outsider sees of the crate: frozen bytes, refusals of malformed bytes, and results
//! that do not depend on the number of threads. One binary, since every test starts from the
//! same objects.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod absorption;
mod corpus;
mod golden;
mod refusals;
#[path = "../specimens/mod.rs"]
mod specimens;
mod threads;
