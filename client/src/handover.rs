//! A trained model that a member hands over to a site that joined later, as files that people carry.
//!
//! ```text
//! newcomer:  Request { key epoch, its sealing key of that epoch, signed } ---- a file ----> member
//! newcomer:  <---- a file ---- Handover { the earlier epoch's model, sealed for that key }
//! ```
//!
//! A member gives only to a site whose signing key stands in a membership that its own officer approved, and only the
//! model from which that membership's plan goes on. The newcomer takes only the model whose digest is in the proposal,
//! and its service asks the same of it again, by the terms that its officer approved.

mod error;

pub use error::HandoverError;

use std::path::Path;
use std::time::SystemTime;

use protocol::codec::{DecodeError, Reader, Wire, Writer};
use protocol::consent::Base;
use protocol::enrolment::seconds;
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::limits::SEALED_PLAINTEXT_BYTES_MAX;
use protocol::sealed::{BoxContext, SealingKey};
use protocol::signature::{Signature, SigningKey};

use crate::consent::{ConsentBook, Seen};
use crate::hospital::parameters_digest;
use crate::models::{self, ModelsError};
use crate::sent_log::{Sent, SentLog};
use crate::service::epoch_folder;
use crate::vault::Vault;

/// Longest file that is read, in bytes: the largest network's parameters in boxes.
pub const HANDOVER_BYTES_MAX: u64 = 80 << 20;

const REQUEST: &[u8; 16] = b"consilium-ask-1\n";
const HANDOVER: &[u8; 16] = b"consilium-mod-1\n";
const LABEL: &str = "model handed over";
/// The vault's record of a model that was handed over.
const RECORD: &str = "model-handed-over";
/// Parameters in one box.
const PER_BOX: usize = (SEALED_PLAINTEXT_BYTES_MAX - 8) / 4;

/// Asks for the model from which a key epoch goes on.
struct Request {
    epoch: Epoch,
    membership: Digest,
    party: PartyId,
    sealing: SealingKey,
}

/// Signed by the site that asks.
struct SignedRequest {
    request: Request,
    signature: Signature,
}

/// The model, for one site.
struct Handover {
    epoch: Epoch,
    from: PartyId,
    boxes: Vec<Vec<u8>>,
}

impl Request {
    fn signed_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(b"consilium model request v1");
        self.encode(&mut writer);
        writer.into_bytes()
    }
}

/// The file with which a site asks for the model from which this proposal goes on.
///
/// # Errors
/// [`HandoverError::NoBase`], [`HandoverError::NotBegun`] before this site's service has made its key of the epoch;
/// others as they say.
pub fn request(root: &Path, seen: &Seen, signing: &SigningKey) -> Result<Vec<u8>, HandoverError> {
    base(seen)?;
    let epoch = seen.standing.proposal.epoch;
    let sealing = vault(root, epoch)?.opening_key()?.sealing_key().clone();
    let request = Request { epoch, membership: seen.membership, party: seen.party, sealing };
    let signature = signing.sign(&request.signed_bytes());
    Ok([REQUEST.as_slice(), &SignedRequest { request, signature }.to_bytes()].concat())
}

/// The model for the site that asks, sealed so that it alone opens it, and that site's name. What leaves the building
/// is written down before it is returned.
///
/// # Errors
/// [`HandoverError::NotApproved`] where this site's officer did not approve the members, [`HandoverError::Forged`]
/// where the file is not of the site that it names; others as they say.
pub fn give(root: &Path, seen: &Seen, book: &ConsentBook, file: &[u8]) -> Result<(String, Vec<u8>), HandoverError> {
    let base = base(seen)?;
    let SignedRequest { request, signature } = read(file, REQUEST)?;
    let epoch = seen.standing.proposal.epoch;
    if request.epoch != epoch || request.membership != seen.membership {
        return Err(HandoverError::OtherProposal { asked: request.epoch, epoch });
    }
    if !book.has_membership(seen.membership)? {
        return Err(HandoverError::NotApproved { epoch });
    }
    let seat = seen.standing.proposal.membership.seats.get(usize::from(request.party.number()) - 1);
    let seat = seat.ok_or(HandoverError::Forged)?;
    seat.verifying.verify(&request.signed_bytes(), &signature).map_err(|_| HandoverError::Forged)?;
    let parameters = models::trained(root, base, parameters_of(seen))?;
    let context = BoxContext { epoch, dealer: seen.party, receiver: request.party, label: LABEL };
    let count = u32::try_from(parameters.len().div_ceil(PER_BOX)).unwrap_or(u32::MAX);
    let boxes = (0u32..).zip(parameters.chunks(PER_BOX)).map(|(index, part)| {
        let mut plain = zeroize::Zeroizing::new(Vec::with_capacity(8 + 4 * part.len()));
        plain.extend_from_slice(&index.to_le_bytes());
        plain.extend_from_slice(&count.to_le_bytes());
        part.iter().for_each(|value| plain.extend_from_slice(&value.to_le_bytes()));
        request.sealing.seal(&context, &plain)
    });
    let handover = Handover { epoch, from: seen.party, boxes: boxes.collect::<Result<_, _>>()? };
    let bytes = [HANDOVER.as_slice(), &handover.to_bytes()].concat();
    let detail = format!("of key epoch {}, sealed for {}, in a file", base.epoch, seat.name);
    let (at_s, what) = (seconds(SystemTime::now()), "model handed over".to_owned());
    let line = Sent { at_s, epoch: epoch.0, what, detail, bytes: bytes.len() as u64 };
    SentLog::of(root).write(&line).map_err(HandoverError::Unrecorded)?;
    Ok((seat.name.clone(), bytes))
}

/// Opens the file that a member gave, and keeps the model where it is the one from which this proposal goes on.
///
/// # Errors
/// [`HandoverError::OtherModel`] for another; others as they say. Then nothing is kept.
pub fn take(root: &Path, seen: &Seen, file: &[u8]) -> Result<(), HandoverError> {
    let base = base(seen)?;
    let epoch = seen.standing.proposal.epoch;
    let handover: Handover = read(file, HANDOVER)?;
    if handover.epoch != epoch {
        return Err(HandoverError::OtherProposal { asked: handover.epoch, epoch });
    }
    let vault = vault(root, epoch)?;
    let opening = vault.opening_key()?;
    let context = BoxContext { epoch, dealer: handover.from, receiver: seen.party, label: LABEL };
    let (mut bytes, count) = (zeroize::Zeroizing::new(Vec::new()), handover.boxes.len() as u64);
    for (index, sealed) in (0u64..).zip(&handover.boxes) {
        let plain = opening.open(&context, sealed)?;
        let (place, part) = plain.split_first_chunk::<8>().ok_or(HandoverError::OtherModel)?;
        // Boxes in another order, or some of them, are no model.
        if u64::from_le_bytes(*place) != index | count << 32 {
            return Err(HandoverError::OtherModel);
        }
        bytes.extend_from_slice(part);
    }
    let parameters = decoded(&bytes).ok_or(HandoverError::OtherModel)?;
    if parameters_digest(&parameters) != base.model {
        return Err(HandoverError::OtherModel);
    }
    Ok(vault.put(RECORD, &bytes)?)
}

/// Values of the model from which a proposal goes on; a head goes on from none, see [`crate::plan::Plan::terms_from`].
fn parameters_of(seen: &Seen) -> usize {
    seen.plan.parameter_count().unwrap_or_default()
}

/// Whether this site has the model from which a proposal goes on, as it helped to train it or was given it.
///
/// # Errors
/// [`ModelsError::OtherNetwork`]; [`ModelsError`] where a vault refuses.
pub fn holds(root: &Path, seen: &Seen) -> Result<bool, ModelsError> {
    let Some(base) = seen.standing.proposal.base else { return Ok(true) };
    let parameters = parameters_of(seen);
    let folder = epoch_folder(root, seen.standing.proposal.epoch);
    let held = match models::trained(root, base, parameters) {
        Err(ModelsError::NotHeld(_)) if folder.join("vault").exists() => {
            taken(&Vault::reopen_of_site(root, &folder)?, base, parameters)
        }
        held => held,
    };
    match held {
        Err(ModelsError::NotHeld(_)) => Ok(false),
        held => held.map(|_| true),
    }
}

/// The model from which a key epoch goes on, where it was handed over to this site.
///
/// # Errors
/// [`ModelsError::NotHeld`] where it was not, or another; [`ModelsError::OtherNetwork`].
pub(crate) fn taken(vault: &Vault, base: Base, expected: usize) -> Result<Vec<f32>, ModelsError> {
    if !vault.contains(RECORD) {
        return Err(ModelsError::NotHeld(base));
    }
    let parameters = decoded(&vault.get(RECORD)?).filter(|it| parameters_digest(it) == base.model);
    let parameters = parameters.ok_or(ModelsError::NotHeld(base))?;
    match parameters.len() {
        found if found == expected => Ok(parameters),
        found => Err(ModelsError::OtherNetwork { found, expected }),
    }
}

fn decoded(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

fn base(seen: &Seen) -> Result<Base, HandoverError> {
    let epoch = seen.standing.proposal.epoch;
    seen.standing.proposal.base.ok_or(HandoverError::NoBase { epoch })
}

/// The vault of the epoch, which the service makes: made by two programs at once it would have two keys.
fn vault(root: &Path, epoch: Epoch) -> Result<Vault, HandoverError> {
    let folder = epoch_folder(root, epoch);
    if !folder.join("vault").exists() {
        return Err(HandoverError::NotBegun { epoch });
    }
    let vault = Vault::reopen_of_site(root, &folder)?;
    if vault.contains("opening-key") { Ok(vault) } else { Err(HandoverError::NotBegun { epoch }) }
}

fn read<T: Wire>(file: &[u8], begin: &[u8]) -> Result<T, HandoverError> {
    let body = file.strip_prefix(begin).ok_or(HandoverError::OtherFile)?;
    T::from_bytes(body).map_err(HandoverError::Damaged)
}

impl Wire for Request {
    const BYTES_MIN: usize = Epoch::BYTES_MIN + Digest::BYTES_MIN + PartyId::BYTES_MIN + SealingKey::BYTES_MIN;
    fn encode(&self, writer: &mut Writer) {
        self.epoch.encode(writer);
        self.membership.encode(writer);
        self.party.encode(writer);
        self.sealing.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (epoch, membership) = (Epoch::decode(reader)?, Digest::decode(reader)?);
        Ok(Self { epoch, membership, party: PartyId::decode(reader)?, sealing: SealingKey::decode(reader)? })
    }
}

impl Wire for SignedRequest {
    const BYTES_MIN: usize = Request::BYTES_MIN + Signature::BYTES_MIN;
    fn encode(&self, writer: &mut Writer) {
        self.request.encode(writer);
        self.signature.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { request: Request::decode(reader)?, signature: Signature::decode(reader)? })
    }
}

impl Wire for Handover {
    const BYTES_MIN: usize = Epoch::BYTES_MIN + PartyId::BYTES_MIN + 4;
    fn encode(&self, writer: &mut Writer) {
        self.epoch.encode(writer);
        self.from.encode(writer);
        writer.u32(u32::try_from(self.boxes.len()).unwrap_or(u32::MAX));
        self.boxes.iter().for_each(|sealed| writer.bytes(sealed));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (epoch, from, count) = (Epoch::decode(reader)?, PartyId::decode(reader)?, reader.u32()?);
        let most = SEALED_PLAINTEXT_BYTES_MAX + 4_096;
        let boxes = (0..count).map(|_| Ok(reader.bytes("sealed model", most)?.to_vec()));
        Ok(Self { epoch, from, boxes: boxes.collect::<Result<_, DecodeError>>()? })
    }
}

#[cfg(test)]
mod tests;
