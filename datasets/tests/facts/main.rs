//! Facts about readers, splits and phantoms, on files that the tests write themselves and, where
//! `CONSILIUM_TEST_DATA` names a folder, on public data sets. One binary, since linking is slow.

mod folder;
mod idx;
mod npz;
mod phantom;
mod real;
