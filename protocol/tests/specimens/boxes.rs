//! Sealed boxes and keys at rest: only the untouched bytes open.

use super::edit;
use protocol::sealed::{BoxContext, OpeningKey, StorageKey};
use protocol::signature::SigningKey;
use protocol::{Epoch, PartyId};
use std::sync::LazyLock;
use zeroize::Zeroizing;

struct Boxes {
    storage: StorageKey,
    opening: OpeningKey,
    context: BoxContext,
    sealed: Vec<u8>,
    stored: Vec<u8>,
    opening_stored: Vec<u8>,
    signing_stored: Vec<u8>,
}

/// The keys are fresh in every process; what happens to a box does not depend on them.
static BOXES: LazyLock<Boxes> = LazyLock::new(|| {
    let storage = StorageKey::new(Zeroizing::new([9; 32]));
    let opening = OpeningKey::generate().unwrap();
    let (dealer, receiver) = (PartyId::new(1).unwrap(), PartyId::new(2).unwrap());
    let context = BoxContext { epoch: Epoch(4), dealer, receiver, label: "dealing" };
    Boxes {
        sealed: opening.sealing_key().seal(&context, b"a dealing").unwrap(),
        stored: storage.seal("fuzz", b"something kept").unwrap(),
        opening_stored: opening.to_sealed(&storage).unwrap(),
        signing_stored: SigningKey::from_seed(&[7; 32]).unwrap().to_sealed(&storage).unwrap(),
        storage,
        opening,
        context,
    }
});

/// `[what, start, ..]`: start 0 takes the rest as it is, 1 edits the valid bytes, 2 seals the rest
/// under the right label, so that what was stored is damaged inside its seal.
pub(super) fn run(input: &[u8]) {
    let [what, start, rest @ ..] = input else { return };
    let boxes = &*BOXES;
    let (valid, label) = [
        (&boxes.sealed, ""),
        (&boxes.stored, "fuzz"),
        (&boxes.opening_stored, "opening key"),
        (&boxes.signing_stored, "signing key"),
    ][usize::from(*what % 4)];
    let mut bytes = rest.to_vec();
    match start % 3 {
        0 => {}
        1 => {
            bytes.clone_from(valid);
            edit(&mut bytes, rest);
        }
        _ => bytes = boxes.storage.seal(label, rest).unwrap(),
    }
    let sealed_here = start % 3 == 2;
    let opened = match what % 4 {
        0 => boxes.opening.open(&boxes.context, &bytes).is_ok_and(|plain| plain.as_slice() == b"a dealing"),
        1 => boxes.storage.open("fuzz", &bytes).is_ok_and(|plain| sealed_here || plain.as_slice() == b"something kept"),
        2 => OpeningKey::from_sealed(&boxes.storage, &bytes).is_ok(),
        _ => SigningKey::from_sealed(&boxes.storage, &bytes).is_ok(),
    };
    let may_open = bytes == *valid || sealed_here && (*what % 4 != 0);
    assert!(may_open || !opened, "altered bytes open");
    assert!(bytes != *valid || opened, "untouched bytes do not open");
}
