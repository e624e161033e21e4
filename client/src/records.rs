//! Records in a file, each with its length before it, after a line that says what the file is.

use std::io::{ErrorKind, Read};

use protocol::codec::Wire;
use protocol::limits::FRAME_BYTES_MAX;

/// What such a file begins with.
pub(crate) type Magic = [u8; 16];

/// A value as a record.
pub(crate) fn record(value: &impl Wire) -> Vec<u8> {
    let body = value.to_bytes();
    [&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes(), body.as_slice()].concat()
}

/// Records, one after the other. The end of a file may be torn.
pub(crate) struct Records<R> {
    from: R,
    magic: &'static Magic,
    read: u64,
}

impl<R: Read> Records<R> {
    pub(crate) fn of(magic: &'static Magic, from: R) -> Self {
        Self { from, magic, read: 0 }
    }

    /// Bytes up to the end of the record that was read last.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// The next record; `None` at the end, and where the end is torn.
    ///
    /// # Errors
    /// What is none, in words.
    pub(crate) fn next<T: Wire>(&mut self) -> Result<Option<T>, String> {
        if self.read == 0 {
            let Some(magic) = self.piece(self.magic.len())? else { return Ok(None) };
            if magic != self.magic {
                return Err("it begins like another file".to_owned());
            }
            self.read = self.magic.len() as u64;
        }
        let Some(length) = self.piece(4)? else { return Ok(None) };
        let length = <[u8; 4]>::try_from(length).map_or(0, u32::from_le_bytes) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(format!("a record of {length} bytes is longer than any"));
        }
        let Some(body) = self.piece(length)? else { return Ok(None) };
        let value = T::from_bytes(&body).map_err(|error| error.to_string())?;
        self.read += 4 + length as u64;
        Ok(Some(value))
    }

    /// So many bytes; `None` where there are fewer.
    fn piece(&mut self, length: usize) -> Result<Option<Vec<u8>>, String> {
        let mut bytes = vec![0; length];
        match self.from.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
