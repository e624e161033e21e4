//! An archive of studies that a test makes up: it is searched, gives its objects, and notes what it is given.

use std::io::Write;
use std::sync::{Arc, Mutex};

#[path = "../hostile/server.rs"]
pub(crate) mod server;

use server::{Server, answer};

const JSON: &str = "application/dicom+json";

/// An object of a series.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) instance: &'static str,
    /// As a search says it; nothing if 0.
    pub(crate) frames: u32,
    /// What comes when it is retrieved.
    pub(crate) file: Vec<u8>,
}

/// A study of one series.
#[derive(Clone)]
pub(crate) struct Study {
    pub(crate) study: &'static str,
    pub(crate) accession: &'static str,
    pub(crate) patient: &'static str,
    pub(crate) series: &'static str,
    pub(crate) objects: Vec<Object>,
}

/// The archive.
pub(crate) struct Invented {
    pub(crate) server: Server,
    /// How often a retrieval fails from now on, with the status that it fails with.
    pub(crate) failing: Arc<Mutex<Option<(&'static str, usize)>>>,
    /// What it says next to those who store, the last first; that it has the object, if there is nothing more.
    pub(crate) refusing: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Invented {
    pub(crate) fn of(studies: Vec<Study>) -> Self {
        let failing = Arc::new(Mutex::new(None));
        let (fails, refusing) = (Arc::clone(&failing), Arc::new(Mutex::new(Vec::new())));
        let refuses = Arc::clone(&refusing);
        let server = Server::hearing(move |asked, stream| {
            let target = asked.split(' ').nth(1).unwrap_or_default();
            let target = target.strip_prefix("/dicom-web").unwrap_or_default();
            let said = match asked.starts_with("POST") {
                true => stored(&mut refuses.lock().unwrap()),
                false => said(&studies, target, &mut fails.lock().unwrap()),
            };
            drop(stream.write_all(&said));
        });
        Self { server, failing, refusing }
    }

    /// How many objects it was asked for.
    pub(crate) fn retrievals(&self) -> usize {
        self.server.heard().iter().filter(|asked| asked.starts_with("GET") && asked.contains("/instances/")).count()
    }
}

fn said(studies: &[Study], target: &str, failing: &mut Option<(&'static str, usize)>) -> Vec<u8> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let wanted = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key));
    let study = |uid: &str| studies.iter().find(|study| study.study == uid);
    let rows = |rows: Vec<String>| answer("200 OK", JSON, format!("[{}]", rows.join(",")));
    match parts.as_slice() {
        ["studies"] => {
            let is_found = |study: &&Study| {
                wanted("StudyInstanceUID=").is_none_or(|uid| uid == study.study)
                    && wanted("AccessionNumber=").is_none_or(|number| number == study.accession)
                    && wanted("PatientID=").is_none_or(|patient| patient == study.patient)
            };
            rows(studies.iter().filter(is_found).map(Study::row).collect())
        }
        ["studies", uid, "series"] => {
            let row = |study: &Study| format!("{{{},{}}}", value("0020000E", study.series), value("00080060", "DX"));
            rows(study(uid).into_iter().map(row).collect())
        }
        ["studies", uid, "series", _, "instances"] => {
            let objects = study(uid).map(|study| study.objects.clone()).unwrap_or_default();
            rows(objects.iter().map(Object::row).collect())
        }
        ["studies", uid, "series", _, "instances", instance] => {
            if let Some((status, times @ 1..)) = failing {
                *times -= 1;
                return answer(status, "text/plain", "busy");
            }
            let objects = study(uid).map(|study| study.objects.clone()).unwrap_or_default();
            match objects.iter().find(|object| object.instance == *instance) {
                Some(object) => {
                    let head = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n".as_slice();
                    let body = [head, &object.file, b"\r\n--b--\r\n"].concat();
                    answer("200 OK", "multipart/related; type=\"application/dicom\"; boundary=b", body)
                }
                None => answer("404 Not Found", "text/plain", ""),
            }
        }
        _ => answer("404 Not Found", "text/plain", ""),
    }
}

/// What it says of an object that it did not take, with a reason's number.
pub(crate) fn not_taken(reason: u16) -> Vec<u8> {
    let reason = format!("\"00081197\":{{\"Value\":[{reason}]}}");
    answer("409 Conflict", JSON, format!("{{\"00081198\":{{\"Value\":[{{{reason}}}]}}}}"))
}

/// What it says of an object that it was given.
fn stored(refusing: &mut Vec<Vec<u8>>) -> Vec<u8> {
    if let Some(said) = refusing.pop() {
        return said;
    }
    let body = format!("{{\"00081199\":{{\"Value\":[{{{}}}]}}}}", value("00081155", "1.9"));
    answer("200 OK", JSON, body)
}

impl Study {
    fn row(&self) -> String {
        let [study, accession, patient] =
            [("0020000D", self.study), ("00080050", self.accession), ("00100020", self.patient)]
                .map(|(tag, text)| value(tag, text));
        let name = r#""00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]}"#;
        format!("{{{study},{accession},{patient},{name}}}")
    }
}

impl Object {
    fn row(&self) -> String {
        let frames =
            if self.frames == 0 { String::new() } else { format!(",\"00280008\":{{\"Value\":[{}]}}", self.frames) };
        format!("{{{}{frames}}}", value("00080018", self.instance))
    }
}

fn value(tag: &str, text: &str) -> String {
    if text.is_empty() { format!("\"{tag}\":{{}}") } else { format!("\"{tag}\":{{\"Value\":[\"{text}\"]}}") }
}

/// A grey image of 2 x 2 as a DICOM file, with the patient whom it shows.
pub(crate) fn image(study: &str, series: &str, instance: &str, frames: u16, level: u8) -> Vec<u8> {
    let number = |number: u16| number.to_le_bytes().to_vec();
    let text = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        bytes
    };
    let class = "1.2.840.10008.5.1.4.1.1.7";
    let meta = [element(2, 0x10, b"UI", &text("1.2.840.10008.1.2.1"))].concat();
    let pixels = vec![level; 4 * usize::from(frames)];
    let pixels = [&[0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0][..], &(pixels.len() as u32).to_le_bytes(), &pixels].concat();
    let data = [
        element(0x08, 0x16, b"UI", &text(class)),
        element(0x08, 0x18, b"UI", &text(instance)),
        element(0x10, 0x10, b"PN", &text("Doe^Jane")),
        element(0x20, 0x0d, b"UI", &text(study)),
        element(0x20, 0x0e, b"UI", &text(series)),
        element(0x28, 0x02, b"US", &number(1)),
        element(0x28, 0x04, b"CS", &text("MONOCHROME2 ")),
        element(0x28, 0x08, b"IS", &text(&format!("{frames} "))),
        element(0x28, 0x10, b"US", &number(2)),
        element(0x28, 0x11, b"US", &number(2)),
        element(0x28, 0x100, b"US", &number(8)),
        element(0x28, 0x101, b"US", &number(8)),
        element(0x28, 0x102, b"US", &number(7)),
        element(0x28, 0x103, b"US", &number(0)),
        pixels,
    ];
    let length = element(2, 0, b"UL", &(meta.len() as u32).to_le_bytes());
    [&[0; 128][..], b"DICM", &length, &meta, &data.concat()].concat()
}

fn element(group: u16, tag: u16, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let length = value.len() as u16;
    [&group.to_le_bytes()[..], &tag.to_le_bytes(), vr, &length.to_le_bytes(), value].concat()
}
