//! An authority that is kept on a machine of its own: files go there and back, by people's hands.

use std::path::Path;
use std::time::SystemTime;

use client::vault::Vault;
use coordinator::registrar::{Heard, Registrar};
use protocol::enrolment::{SIGNING_FILE_BYTES_MAX, SignedCertificates, SigningFileError, SigningRequests, Words};
use protocol::net::{AuthorityCertificate, Usage};
use protocol::store::write_beside;
use serde_json::json;

use super::office::{AUTHORITY, Office, OfficeError, new_authority, read, read_authority};
use super::{ask, date};
use crate::{carried, error::Error, exit::Exit, output::Done};

/// The book of what an authority has signed.
const BOOK: &str = "signed.sqlite";

/// Makes an authority that is to be kept offline.
pub(super) fn make(folder: &Path) -> Result<Done, Error> {
    // A vault alone is what an interrupted try leaves. A coordinator's folder has an authority as well.
    if folder.join(AUTHORITY).exists() {
        return Err(OfficeError::AuthorityExists { folder: folder.to_path_buf() }.into());
    }
    let vault = Vault::open_beside(folder).map_err(OfficeError::Vault)?;
    let key = new_authority(folder, &vault)?.certificate().key_fingerprint().to_string();
    let path = folder.join(AUTHORITY);
    Ok(Done {
        text: format!(
            "{}: an authority, {key}\nnext: take {} to the coordinator's machine, and there `consilium coordinator \
             init --authority FILE --address HOST:PORT`; keep this folder and a copy of it where no network is",
            folder.display(),
            path.display()
        ),
        data: json!({"folder": folder, "authority": key, "certificate": path}),
        exit: Exit::Done,
    })
}

/// The certificate of an authority that is kept elsewhere.
pub(super) fn certificate(path: &Path) -> Result<AuthorityCertificate, OfficeError> {
    AuthorityCertificate::from_pem(&read(path)?)
        .map_err(|error| OfficeError::Damaged { path: path.to_path_buf(), found: error.to_string() })
}

/// Writes what waits for a signature.
pub(super) fn requests(office: &Office, to: &Path) -> Result<Done, Error> {
    let keys = office.keys()?;
    let requests = office.members.requests(&office.host, keys, SystemTime::now())?;
    let words = keys.words(office.host.authority_key).to_string();
    write_beside(to, &requests.to_file()).map_err(OfficeError::File)?;
    let admissions: Vec<&str> = requests.admissions.iter().map(|one| one.applicant.site.name.as_str()).collect();
    let renewals: Vec<&str> = requests.renewals.iter().map(|site| site.name.as_str()).collect();
    let mut lines = vec![format!("{}: for `consilium coordinator sign` on the authority's machine", to.display())];
    lines.push(format!("the coordinator's own certificate; its words, where they are asked for:\n\n    {words}\n"));
    for (what, names) in [("to be let in", &admissions), ("to be renewed", &renewals)] {
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    }
    let data = json!({"file": to, "words": words, "admissions": admissions, "renewals": renewals});
    Ok(Done { text: lines.join("\n"), data, exit: Exit::Done })
}

/// Signs what people have heard, on the authority's machine.
pub(super) fn sign(folder: &Path, file: &Path, to: &Path) -> Result<Done, Error> {
    if !folder.join(AUTHORITY).exists() {
        return Err(OfficeError::NoAuthority { folder: folder.to_path_buf() }.into());
    }
    let own = certificate(&folder.join(AUTHORITY))?;
    let vault = Vault::reopen_beside(folder).map_err(OfficeError::Vault)?;
    let registrar = Registrar::open(&folder.join(BOOK), read_authority(&own, &vault)?)?;
    let requests = read_as(file, SigningRequests::from_file)?;
    let unheard = registrar.unheard(&requests)?;
    let mut heard = Heard::default();
    if unheard.coordinator {
        let question = "the six words that `consilium coordinator requests` printed on the coordinator's machine: ";
        heard.coordinator = Some(typed(&ask(question)?)?);
    }
    for admission in unheard.sites {
        let site = &admission.applicant.site;
        let question =
            format!("the six words that {} ({}) reads aloud; none to leave it out: ", site.name, site.organisation);
        let line = ask(&question)?;
        if !line.is_empty() {
            heard.sites.insert(admission.token, typed(&line)?);
        }
    }
    let now = SystemTime::now();
    let signed = registrar.sign(&requests, &heard, now)?;
    write_beside(to, &signed.to_file()).map_err(OfficeError::File)?;
    let mut names = Vec::new();
    for site in &signed.sites {
        let issued = own.verify(&site.certificate, Usage::Client, now).map_err(OfficeError::Credential)?;
        names.push(issued.name.to_string());
    }
    let of = if names.is_empty() { "no site".to_owned() } else { names.join(", ") };
    let text =
        format!("{}: signed for the coordinator and {of}; take it to `consilium coordinator admit`", to.display());
    Ok(Done { text, data: json!({"file": to, "sites": names}), exit: Exit::Done })
}

/// Takes what the authority signed.
pub(super) fn admit(office: &Office, file: &Path) -> Result<Done, Error> {
    let now = SystemTime::now();
    // Refused here where nothing has to be carried.
    office.keys()?;
    let signed = read_as(file, SignedCertificates::from_file)?;
    let mut own = office.check_certificate(&signed.coordinator, now)?;
    let taken = office.members.take(&signed, office.certificate(), now)?;
    // An older file takes no time away.
    match office.identity() {
        Ok((shown, _)) if shown.validity().until_s >= own => own = shown.validity().until_s,
        _ => office.keep_certificate(&signed.coordinator)?,
    }
    let own = date(own);
    let mut lines = vec![format!("the coordinator's certificate is valid until {own}")];
    let mut rows = Vec::new();
    for (name, until_s) in taken {
        let until = date(until_s);
        lines.push(format!("{name} is a member, its certificate is valid until {until}"));
        rows.push(json!({"name": name.as_str(), "certificate_until": until}));
    }
    Ok(Done { text: lines.join("\n"), data: json!({"certificate_until": own, "sites": rows}), exit: Exit::Done })
}

fn typed(line: &str) -> Result<Words, Error> {
    line.parse().map_err(Error::Words)
}

fn read_as<T>(path: &Path, read: impl Fn(&[u8]) -> Result<T, SigningFileError>) -> Result<T, Error> {
    let bytes = carried::read(path, SIGNING_FILE_BYTES_MAX)?;
    Ok(read(&bytes).map_err(|source| OfficeError::Carried { path: path.to_path_buf(), source })?)
}
