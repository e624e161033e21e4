//! What a site and the coordinator say to each other before the site has a certificate.

use super::invite::Token;
use super::words::Words;
use crate::codec::{DecodeError, Reader, Wire, Writer, wire_enum, wire_struct};
use crate::ids::Digest;
use crate::limits::NAME_BYTES_MAX;
use crate::net::{CredentialError, KeyFingerprint, PeerName, TlsKey, TlsPublicKey};
use crate::reject::numbered_refusals;
use crate::signature::{Signature, SignatureError, SigningKey, VerifyingKey};

/// Kind of a frame with a [`JoinCall`], and of its answer.
pub const JOIN: u16 = 1;
/// Kind of a member's question who the members are, and of its answer.
pub const SITES: u16 = 0x0100;
/// Frame kind with which a member asks for a certificate that lasts longer; no content, answered by [`Admitted`].
pub const RENEW: u16 = 0x0102;
/// Frame kind with which a member asks what time it is; no content, answered by seconds since 1970 as a `u64`.
pub const TIME: u16 = 0x0103;
/// The coordinator's name in its certificate.
pub const COORDINATOR: &str = "coordinator";
/// Longest PEM text of a certificate: ours have about 700 characters.
pub const CERTIFICATE_BYTES_MAX: usize = 4_096;

/// A site and its public keys, as the others see it. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name in the invitation and the certificate.
    pub name: PeerName,
    /// Who that is, for people: 1..=64 bytes.
    pub organisation: String,
    /// For its certificates.
    pub tls: TlsPublicKey,
    /// Verifies its messages.
    pub verifying: VerifyingKey,
}

impl Wire for Site {
    const BYTES_MIN: usize = 4 + 4 + 32 + 32;
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.name.as_str().as_bytes());
        writer.bytes(self.organisation.as_bytes());
        self.tls.encode(writer);
        self.verifying.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = reader.text("name of a site", PeerName::LEN_MAX)?;
        let length = name.len() as u64;
        let name = PeerName::new(&name).map_err(|_| DecodeError::Value { what: "length of a name", value: length })?;
        let organisation = reader.text("organisation", NAME_BYTES_MAX)?;
        if !is_organisation(&organisation) {
            return Err(DecodeError::Text { what: "organisation" });
        }
        Ok(Self { name, organisation, tls: TlsPublicKey::decode(reader)?, verifying: VerifyingKey::decode(reader)? })
    }
}

/// A site that asks to be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applicant {
    /// Who asks, and with which keys.
    pub site: Site,
    /// [`nonce_commitment`] of the nonce that it will reveal.
    pub commitment: Digest,
}
wire_struct!(Applicant { site: Site, commitment: Digest });

/// Whether a text can be shown as a site's organisation: 1..=64 bytes, all of which show themselves.
#[must_use]
pub fn is_organisation(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(crate::text::hides)
}

/// An applicant with the token of its invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// From the invitation.
    pub token: Token,
    /// Who asks.
    pub applicant: Applicant,
}
wire_struct!(JoinRequest { token: Token, applicant: Applicant });

impl JoinRequest {
    fn signed_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(b"consilium join request v1");
        self.encode(&mut writer);
        writer.into_bytes()
    }

    /// Signs with both private keys: each proves that it is held by the one who asks.
    ///
    /// # Errors
    /// [`CredentialError::Issue`] when the library refuses.
    pub fn sign(self, tls: &TlsKey, signing: &SigningKey) -> Result<SignedJoinRequest, CredentialError> {
        let bytes = self.signed_bytes();
        Ok(SignedJoinRequest { by_tls: tls.sign(&bytes)?, by_signing: signing.sign(&bytes), request: self })
    }
}

/// A request with the proofs that its keys are the sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedJoinRequest {
    /// What is asked.
    pub request: JoinRequest,
    by_tls: Signature,
    by_signing: Signature,
}
wire_struct!(SignedJoinRequest { request: JoinRequest, by_tls: Signature, by_signing: Signature });

impl SignedJoinRequest {
    /// Checks both proofs.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self) -> Result<(), SignatureError> {
        let bytes = self.request.signed_bytes();
        let Site { tls, verifying, .. } = &self.request.applicant.site;
        tls.verify(&bytes, &self.by_tls)?;
        verifying.verify(&bytes, &self.by_signing)
    }
}

/// Opens the commitment of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReveal {
    /// From the invitation.
    pub token: Token,
    /// The nonce.
    pub nonce: [u8; 32],
}
wire_struct!(JoinReveal { token: Token, nonce: [u8; 32] });

/// What a site says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinCall {
    /// These keys ask to be admitted; may be repeated as it is.
    Request(Box<SignedJoinRequest>),
    /// This was committed to.
    Reveal(JoinReveal),
    /// Whether it is admitted by now.
    Ask(Token),
}
wire_enum!(JoinCall { 0 => Request(Box<SignedJoinRequest>), 1 => Reveal(JoinReveal), 2 => Ask(Token) });

/// The coordinator's half of what the words are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Drawn for this request, after its commitment came.
    pub nonce: [u8; 32],
    /// Verifies entries of the coordinator's log.
    pub coordinator: VerifyingKey,
}
wire_struct!(Opened { nonce: [u8; 32], coordinator: VerifyingKey });

/// What an admitted site takes home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Its certificate, PEM.
    pub certificate: String,
    /// The authority's, PEM.
    pub authority: String,
    /// The end of its certificate, in seconds since 1970.
    pub until_s: u64,
}

impl Wire for Admitted {
    const BYTES_MIN: usize = 4 + 4 + 8;
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.certificate.as_bytes());
        writer.bytes(self.authority.as_bytes());
        writer.u64(self.until_s);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            certificate: reader.text("certificate", CERTIFICATE_BYTES_MAX)?,
            authority: reader.text("authority's certificate", CERTIFICATE_BYTES_MAX)?,
            until_s: reader.u64()?,
        })
    }
}

/// What the coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAnswer {
    /// To a request.
    Opened(Opened),
    /// The operator has not approved yet.
    Waiting(()),
    /// It is a member.
    Admitted(Box<Admitted>),
}
wire_enum!(JoinAnswer { 0 => Opened(Opened), 1 => Waiting(()), 2 => Admitted(Box<Admitted>) });

/// What a site shows of its nonce before it hears the coordinator's.
#[must_use]
pub fn nonce_commitment(nonce: &[u8; 32]) -> Digest {
    Digest::of("consilium join nonce v1", nonce)
}

/// All members, by name: what a member hears when it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sites {
    /// Ascending by name, at most 64.
    pub sites: Vec<Site>,
}
wire_struct!(Sites { sites: Vec<Site> });

impl Sites {
    /// What two sites compare to know that they were told of the same members with the same keys.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium sites v1", self)
    }
}

/// What both sides read aloud: name, organisation, keys, authority, log key and both nonces, as each has them.
#[must_use]
pub fn words(applicant: &Applicant, authority: KeyFingerprint, opened: &Opened, nonce: &[u8; 32]) -> Words {
    let mut writer = Writer::default();
    writer.bytes(b"consilium join words v1");
    applicant.encode(&mut writer);
    writer.array(authority.bytes());
    opened.encode(&mut writer);
    writer.array(nonce);
    Words::of(Digest::of_bytes(&writer.into_bytes()))
}

numbered_refusals! {
    /// Why a site is not admitted. The numbers are wire format: they are never reused.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
    JoinReject {
    /// No such token.
    1 UnknownInvite "the coordinator did not make this invitation, or has withdrawn it; ask for another";
    /// Too late.
    2 InviteExpired "the invitation has expired; ask for another";
    /// Other keys came first.
    3 InviteUsed "somebody else has used this invitation: tell the operator at once, then ask for another";
    /// The name is a member's.
    4 NameTaken "a site of this name is a member already; ask for an invitation with another name";
    /// The name is not the invitation's.
    5 NameDiffers "the request names another site than the invitation";
    /// A proof or the nonce does not fit.
    6 BadProof "a signature or the revealed nonce does not fit the request";
    /// Not a message of this protocol.
    7 Malformed "the coordinator cannot read the request; the older side needs an upgrade";
    /// Reveal or question before the request.
    8 OutOfTurn "no request of this invitation is known; start again with the same invitation";
    /// The coordinator cannot store it now.
    9 Storage "the coordinator cannot store anything now; try again later";
    /// The operator took it back.
    10 Revoked "the operator has revoked this site";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organisation_is_text_that_shows_as_it_is() {
        for good in ["St Anna", "Universit\u{e4}tsklinik", "\u{75c5}\u{9662}", &"x".repeat(64)] {
            assert!(is_organisation(good), "{good:?}");
        }
        let hidden =
            ["a\u{1b}[2J", "a\nb", "St\u{200b}Anna", "\u{202e}annA tS", "a\u{2028}b", "\u{2066}a", "\u{feff}a"];
        for bad in hidden.into_iter().chain(["", "  ", &"x".repeat(65)]) {
            assert!(!is_organisation(bad), "{bad:?}");
        }
    }

    #[test]
    fn every_refusal_has_its_own_number() {
        for reject in JoinReject::ALL {
            assert_eq!(JoinReject::from_code(reject.code()), Some(*reject));
        }
        assert_eq!(JoinReject::from_code(0), None);
    }
}
