//! The kernels, and the launches that hand device memory to them.
#![expect(unsafe_code, reason = "a launch hands raw device memory to a kernel")]
// The bodies of kernels are compiled for the host as well, where nothing runs them.
#![allow(arithmetic_overflow)]

mod arena;
mod conversion;
mod gadget;
mod launch;
mod modular;
mod pointwise;
mod quotient;
mod transform;

pub(crate) use arena::{UNIT_BITS, WORD_BITS};
pub(crate) use conversion::{TARGET_WORDS, conversions};
pub(crate) use gadget::inner_products;
pub(crate) use launch::{Bound, Grid, LOG_THREADS, NONE};
pub(crate) use pointwise::{NEGATIVE, product_sums, sums, tensor_sums};
pub(crate) use quotient::{automorphisms, quotients};
pub(crate) use transform::{Plan, forward, inverse};
