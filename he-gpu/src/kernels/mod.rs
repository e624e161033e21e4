//! The kernels, and the launches that hand device memory to them.
#![expect(unsafe_code, reason = "a launch hands raw device memory to a kernel")]
// The bodies of kernels are compiled for the host as well, where nothing runs them.
#![allow(arithmetic_overflow)]

mod arena;
mod launch;
mod modular;
mod transform;

pub(crate) use arena::{UNIT_BITS, WORD_BITS};
pub(crate) use launch::Bound;
pub(crate) use transform::{Plan, forward, inverse};
