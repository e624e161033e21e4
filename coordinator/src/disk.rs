//! The coordinator's store, as its driver needs it: log and inbox in the journal, bodies in the spool.

use std::sync::Arc;

use bytes::Bytes;
use protocol::blob::{BlobId, BodyRoot};
use protocol::drive::{ListId, Store, StoreFault, Stream};
use protocol::ids::Digest;
use protocol::store::Journal;

use crate::bodies::Bodies;
use crate::error::CoordinatorError;

/// Records and bodies of one key epoch.
pub(crate) struct Disk {
    pub(crate) journal: Arc<Journal>,
    pub(crate) bodies: Arc<Bodies>,
}

/// A stream's name in the journal.
pub(crate) fn name(stream: Stream) -> String {
    match stream {
        Stream::Log => "log".to_owned(),
        Stream::Phases => "phases".to_owned(),
        Stream::Inbox(phase) => format!("inbox-{phase}"),
        other => format!("{other:?}"),
    }
}

impl From<CoordinatorError> for StoreFault {
    fn from(error: CoordinatorError) -> Self {
        match error {
            CoordinatorError::BodyMissing { id } => Self::Missing { id },
            CoordinatorError::BodyChanged { id } => Self::Differs { id },
            CoordinatorError::BodyQuota { party, .. } => Self::Quota { party },
            other => {
                let is_full = other.no_space_left();
                Self::Failed { source: Arc::new(other), is_full }
            }
        }
    }
}

impl Store for Disk {
    fn append(&mut self, stream: Stream, record: &[u8]) -> Result<u64, StoreFault> {
        Ok(self.journal.append(&name(stream), record).map_err(CoordinatorError::from)?)
    }

    fn read(&self, stream: Stream) -> Result<Vec<Bytes>, StoreFault> {
        let records = self.journal.read(&name(stream), 0, u32::MAX).map_err(CoordinatorError::from)?;
        Ok(records.into_iter().map(Bytes::from).collect())
    }

    fn clear(&mut self, stream: Stream) -> Result<(), StoreFault> {
        Ok(self.journal.clear(&name(stream)).map_err(CoordinatorError::from)?)
    }

    fn put(&mut self, id: &BlobId, body: &Bytes) -> Result<Digest, StoreFault> {
        Ok(self.bodies.put(id, body)?)
    }

    fn get(&self, id: &BlobId) -> Result<Bytes, StoreFault> {
        Ok(self.bodies.get(id)?)
    }

    fn digests(&self, list: ListId) -> Result<Vec<Digest>, StoreFault> {
        Ok(self.bodies.digests(list)?)
    }

    fn root(&self, list: ListId) -> Result<BodyRoot, StoreFault> {
        Ok(self.bodies.root(list)?)
    }

    fn forget(&mut self, list: ListId) -> Result<(), StoreFault> {
        Ok(self.bodies.forget(list)?)
    }
}
