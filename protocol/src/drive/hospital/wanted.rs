//! A body that work needs: which, and how it is known to be the right one.

use bytes::Bytes;

use crate::blob::{BlobId, BodyRoot, ListId};
use crate::exchange::Call;
use crate::ids::Digest;

/// A body to fetch, and what it must be.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) id: BlobId,
    check: Check,
}

#[derive(Clone, Copy)]
enum Check {
    Digest(Digest),
    /// A list of this one body.
    Single(BodyRoot),
    /// The digests of a list with this root.
    List(BodyRoot),
    /// The digests of an announced list, of which this root is known, but no size.
    Announced(Digest),
    /// Checked with the others that are fetched with it.
    Together,
}

impl Wanted {
    pub(super) fn digest(id: BlobId, digest: Digest) -> Self {
        Self { id, check: Check::Digest(digest) }
    }

    pub(super) fn single(id: BlobId, root: BodyRoot) -> Self {
        Self { id, check: Check::Single(root) }
    }

    pub(super) fn list(list: ListId, root: BodyRoot) -> Self {
        Self { id: list.body(0), check: Check::List(root) }
    }

    /// The digests of a list that was announced by its root alone.
    pub(super) fn announced(list: ListId, root: Digest) -> Self {
        Self { id: list.body(0), check: Check::Announced(root) }
    }

    pub(super) fn together(id: BlobId) -> Self {
        Self { id, check: Check::Together }
    }

    pub(super) fn is(&self, body: &Bytes) -> bool {
        let found = Digest::of_bytes(body);
        match self.check {
            Check::Digest(digest) => found == digest,
            Check::Single(root) => BodyRoot::of(&[found], body.len() as u64) == root,
            // Their size is checked body by body.
            Check::List(root) => digests(body).is_some_and(|digests| BodyRoot::of(&digests, root.size_bytes) == root),
            Check::Announced(root) => digests(body).is_some_and(|digests| BodyRoot::of(&digests, 0).root == root),
            Check::Together => true,
        }
    }

    pub(super) fn call(&self) -> Call {
        match self.check {
            Check::List(_) | Check::Announced(_) => Call::List { list: ListId::of(&self.id) },
            _ => Call::Get { id: self.id },
        }
    }
}

/// A list's digests as they are answered.
pub(super) fn digests(body: &Bytes) -> Option<Vec<Digest>> {
    let (digests, rest) = body.as_chunks::<32>();
    rest.is_empty().then(|| digests.iter().copied().map(Digest).collect())
}
