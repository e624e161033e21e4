//! Everything with a wire encoding: refused, or read and written alike.

use super::{edit, entries};
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::codec::Wire;
use protocol::consent::{Approval, Base, ConsentAnswer, ConsentCall, Nonce, NonceBinding, Proposal, Stage, Standing};
use protocol::enrolment::{
    Admitted, Applicant, Invite, JoinAnswer, JoinCall, JoinRequest, JoinReveal, Opened, Site, Sites, Token,
    nonce_commitment,
};
use protocol::facts::{Adopted, CeremonyNonce, Encrypting, Fact, Released, Revealed, Switched};
use protocol::log::LogEntry;
use protocol::message::{HospitalMessage, LogMessage, SignedMessage, VoidReason};
use protocol::net::{KeyFingerprint, PeerName, TlsKey};
use protocol::roster::{Member, Roster};
use protocol::sealed::SealingKey;
use protocol::signature::{Signature, SigningKey, VerifyingKey};
use protocol::{Attempt, Digest, Epoch, PartyId, PartySet, QueryId, Reject, RoundId};
use std::sync::LazyLock;

fn reading<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert!(value.to_bytes() == bytes, "read what would not be written");
        assert!(bytes.len() >= T::BYTES_MIN, "shorter than the least");
    }
}

/// Each reads all of the bytes as one value, which must be written alike.
pub(crate) const READINGS: [fn(&[u8]); 29] = [
    reading::<SignedMessage>,
    reading::<LogMessage>,
    reading::<LogEntry>,
    reading::<Fact>,
    reading::<Roster>,
    reading::<HospitalMessage>,
    reading::<Member>,
    reading::<BlobId>,
    reading::<BlobKind>,
    reading::<BodyRoot>,
    reading::<VoidReason>,
    reading::<Reject>,
    reading::<PartySet>,
    reading::<PartyId>,
    reading::<SealingKey>,
    reading::<VerifyingKey>,
    reading::<Signature>,
    reading::<Encrypting>,
    reading::<Revealed>,
    reading::<Released>,
    reading::<Switched>,
    reading::<Adopted>,
    reading::<CeremonyNonce>,
    reading::<JoinCall>,
    reading::<ConsentCall>,
    reading::<ConsentAnswer>,
    reading::<JoinAnswer>,
    reading::<Sites>,
    pasted,
];

/// An invitation is text: read, and written alike but for case and space.
fn pasted(bytes: &[u8]) {
    if let Some(invite) = std::str::from_utf8(bytes).ok().and_then(|line| line.parse::<Invite>().ok()) {
        assert!(invite.to_line().parse::<Invite>().is_ok_and(|again| again == invite));
    }
}

/// Valid encodings from the transcript: whole entries, their messages, what is inside of those.
static VALID: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut valid = Vec::new();
    for entry in entries() {
        valid.push(entry.to_bytes());
        valid.push(entry.message.to_bytes());
        for message in entry.message.signed() {
            valid.push(message.to_bytes());
            valid.push(message.body.to_bytes());
            valid.push(Fact::Sent(message.clone()).to_bytes());
        }
        if let LogMessage::RosterProposed(proposed) = &entry.message {
            valid.push(proposed.roster.to_bytes());
            valid.push(proposed.roster.members()[0].to_bytes());
        }
    }
    let (round, attempt) = (RoundId(3), Attempt(1));
    valid.push(BlobId::round(BlobKind::Share, round, attempt, PartyId::new(2), 7).to_bytes());
    valid.push(
        (Epoch(1).to_bytes().into_iter()).chain(QueryId(9).to_bytes()).chain(Digest([3; 32]).to_bytes()).collect(),
    );
    valid.push(VoidReason::QuorumLost { have: 1, need: 2 }.to_bytes());
    valid.extend(joining());
    valid.extend(consenting());
    valid
});

/// What a site and the coordinator say before the site is a member, and after.
fn joining() -> [Vec<u8>; 6] {
    let LogMessage::RosterProposed(proposed) = &entries()[0].message else { unreachable!("the first entry") };
    let member = &proposed.roster.members()[0];
    let (token, tls) = (Token::new([7; 16]), TlsKey::generate().unwrap());
    let (name, signing) = (PeerName::new("st-anna").unwrap(), SigningKey::from_seed(&[5; 32]).unwrap());
    let site = Site {
        name: name.clone(),
        organisation: "St Anna".to_owned(),
        tls: tls.public_key(),
        verifying: signing.verifying_key(),
    };
    let sites = Sites { sites: vec![site.clone()] };
    let applicant = Applicant { site, commitment: nonce_commitment(&[1; 32]) };
    let request = JoinRequest { token: token.clone(), applicant }.sign(&tls, &signing).unwrap();
    let opened = Opened { nonce: [2; 32], coordinator: member.verifying };
    let admitted = Admitted { certificate: "PEM".to_owned(), authority: "PEM".to_owned(), until_s: 9 };
    let address = "consilium.example:443".parse().unwrap();
    let authority = KeyFingerprint::from_bytes([3; 32]);
    let invite = Invite { address, authority, name, expires_s: 9, token: token.clone() };
    [
        JoinCall::Request(Box::new(request)).to_bytes(),
        JoinCall::Reveal(JoinReveal { token, nonce: [1; 32] }).to_bytes(),
        JoinAnswer::Opened(opened).to_bytes(),
        JoinAnswer::Admitted(Box::new(admitted)).to_bytes(),
        sites.to_bytes(),
        invite.to_line().into_bytes(),
    ]
}

/// What members and coordinator say before a key epoch begins.
fn consenting() -> [Vec<u8>; 5] {
    let LogMessage::RosterProposed(proposed) = &entries()[0].message else { unreachable!("the first entry") };
    let (membership, signing) = (proposed.roster.membership(), SigningKey::from_seed(&[5; 32]).unwrap());
    let (digest, party) = (membership.digest(), proposed.roster.members()[0].party);
    let binding = NonceBinding::new(&signing, digest, party, &[6; 32]);
    let nonce = Nonce { membership: digest, party, bytes: [6; 32] };
    let sealing = proposed.roster.members()[0].sealing.clone();
    let approval = Approval::new(&signing, (Epoch(1), party), digest, Digest([8; 32]), sealing);
    let proposal = Proposal {
        epoch: Epoch(1),
        membership,
        plan: "[experiment]".to_owned(),
        base: Some(Base { epoch: Epoch(1), model: Digest([8; 32]) }),
    };
    let standing = Standing {
        proposal,
        bindings: vec![binding.clone()],
        nonces: vec![nonce.clone()],
        approved: proposed.roster.parties(),
        stage: Stage::Open,
    };
    [
        ConsentCall::Bind(binding).to_bytes(),
        ConsentCall::Reveal(nonce).to_bytes(),
        ConsentCall::Approve(Box::new(approval)).to_bytes(),
        ConsentAnswer::Standing(Box::new(standing)).to_bytes(),
        ConsentAnswer::Epochs(vec![Epoch(1), Epoch(2)]).to_bytes(),
    ]
}

/// Valid encodings of many types.
pub(crate) fn valid() -> &'static [Vec<u8>] {
    &VALID
}

/// `[type, low, high, ..]`: the bytes after it if the number is 0, else that valid encoding, edited.
pub(super) fn run(input: &[u8]) {
    let [kind, low, high, rest @ ..] = input else { return };
    let mut bytes = rest.to_vec();
    if let Some(number) = usize::from(u16::from_le_bytes([*low, *high])).checked_sub(1) {
        bytes.clone_from(&VALID[number % VALID.len()]);
        edit(&mut bytes, rest);
    }
    READINGS[usize::from(*kind) % READINGS.len()](&bytes);
}
