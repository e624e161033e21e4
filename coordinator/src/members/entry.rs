//! Entries of the book, as they are stored.

use protocol::codec::{DecodeError, Reader, Wire, Writer};
use protocol::enrolment::{Applicant, CERTIFICATE_BYTES_MAX, Opened};
use protocol::net::PeerName;

pub(super) struct Invited {
    pub(super) name: PeerName,
    pub(super) expires_s: u64,
}

pub(super) struct Asked {
    pub(super) applicant: Applicant,
    pub(super) opened: Opened,
}

pub(super) struct Member {
    pub(super) applicant: Applicant,
    pub(super) certificate: String,
    pub(super) until_s: u64,
}

impl Wire for Invited {
    const BYTES_MIN: usize = 4 + 8;
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.name.as_str().as_bytes());
        writer.u64(self.expires_s);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = reader.text("name of a site", PeerName::LEN_MAX)?;
        let name = PeerName::new(&name).map_err(|_| DecodeError::Text { what: "name of a site" })?;
        Ok(Self { name, expires_s: reader.u64()? })
    }
}

impl Wire for Asked {
    const BYTES_MIN: usize = Applicant::BYTES_MIN + Opened::BYTES_MIN;
    fn encode(&self, writer: &mut Writer) {
        self.applicant.encode(writer);
        self.opened.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { applicant: Applicant::decode(reader)?, opened: Opened::decode(reader)? })
    }
}

impl Wire for Member {
    const BYTES_MIN: usize = Applicant::BYTES_MIN + 4 + 8;
    fn encode(&self, writer: &mut Writer) {
        self.applicant.encode(writer);
        writer.bytes(self.certificate.as_bytes());
        writer.u64(self.until_s);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let applicant = Applicant::decode(reader)?;
        let certificate = reader.text("certificate", CERTIFICATE_BYTES_MAX)?;
        Ok(Self { applicant, certificate, until_s: reader.u64()? })
    }
}
