//! Facts about readers, splits and phantoms, on files that the tests write themselves and, where
//! `CONSILIUM_TEST_DATA` names a folder, on public data sets. One binary, since linking is slow.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code: its own files must be writable, and a skipped test says so"
)]

mod angiography;
mod angiography_background;
mod circulation;
mod folder;
mod idx;
mod npz;
mod phantom;
mod pictures;
mod real;
