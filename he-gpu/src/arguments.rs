//! The tables that launches take their operands from: small, and mostly the same again and again.

use crate::device::Device;
use cubecl::bytes::Bytes;
use cubecl::server::Handle;
use he_agg::backend::Outcome;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Words of all tables that are kept.
const KEPT_MAX: usize = 1 << 22;

/// Tables on the device, found by what is in them.
pub(crate) struct Arguments {
    device: Arc<Device>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    tables: HashMap<Vec<u32>, Handle>,
    words: usize,
}

impl Arguments {
    pub(crate) fn new(device: Arc<Device>) -> Self {
        Self { device, kept: Mutex::default() }
    }

    /// The table with these words, and how many bytes went to the device for it.
    pub(crate) fn table(&self, words: Vec<u32>) -> Outcome<((Handle, usize), usize)> {
        let length = words.len();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = kept.tables.get(&words) {
            return Ok(((handle.clone(), length), 0));
        }
        let bytes = Bytes::from_elems(words.clone());
        let handle = self.device.issue(|client| client.create(bytes))?;
        if kept.words + length > KEPT_MAX {
            *kept = Kept::default();
        }
        kept.words += length;
        kept.tables.insert(words, handle.clone());
        Ok(((handle, length), 4 * length))
    }
}
