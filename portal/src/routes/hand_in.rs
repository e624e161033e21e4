//! Files that are handed in: one becomes a draft that is looked at first, several or an archive are asked about at
//! once.

use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::multipart::MultipartError;
use axum::extract::{Multipart, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use imaging::{Ending, ImagingError, Limits, Scan};
use ndarray::Array3;
use tokio::sync::OwnedSemaphorePermit;

use crate::book::{NewCase, Role};
use crate::desk::Reserved;
use crate::notice::Notice;
use crate::offer::Offer;
use crate::routes::drafts::offer;
use crate::routes::prepared::Prepared;
use crate::scan::{Look, drawable};
use crate::server::State;
use crate::texts::Language;
use crate::visitor::{Visitor, escaped};

/// Pictures that are handed in together.
pub(crate) const PICTURES_MAX: usize = 500;
/// Bytes of one picture.
const PICTURE_BYTES_MAX: u64 = 256 << 20;
/// Bytes of all pictures of an archive, unpacked.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// A request waits so long for others with files.
const PLACE_WAIT: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(30) };
/// And may then take so long to arrive.
const UPLOAD_WAIT: Duration = if cfg!(test) { Duration::from_secs(6) } else { Duration::from_secs(300) };
/// Bytes of a field that is no file.
const FIELD_BYTES_MAX: usize = 1 << 10;

/// A file that came.
struct Handed {
    name: String,
    bytes: Vec<u8>,
}

/// What a form brought.
#[derive(Default)]
struct Brought {
    csrf: String,
    model: String,
    reference: String,
    files: Vec<Handed>,
}

pub(super) async fn hand_in(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    multipart: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<Response, Notice> {
    let language = visitor.language;
    visitor.must_be(Role::Clinician)?;
    let place = upload_place(&state, language).await?;
    let reading = read(multipart.map_err(|_| Notice::Form(language))?, &visitor);
    let brought = tokio::time::timeout(UPLOAD_WAIT, reading).await.map_err(|_| Notice::TooSlow(language))??;
    let offer = offer(&state, &visitor, &brought.model).await?;
    let Brought { reference, mut files, .. } = brought;
    match files.len() {
        0 => Err(Notice::NoFile(language)),
        1 if !is_archive(&files[0].bytes) => {
            let Handed { name, bytes } = files.remove(0);
            let scan = decoded(&state, bytes).await;
            let scan = scan.map_err(|error| Notice::NoImage(language, name.clone(), error.to_string()))?;
            let owner = &visitor.visit.user.name;
            let id = state.drafts.keep(owner, &name, scan, None, Instant::now()).map_err(|error| {
                tracing::error!(%error, "a draft cannot be kept");
                Notice::Broken(language)
            })?;
            let (model, reference) = (escaped(&offer.id), escaped(&reference));
            Ok(Redirect::to(&format!("/drafts/{id}?model={model}&reference={reference}")).into_response())
        }
        _ => {
            let files = tokio::task::spawn_blocking(move || unpacked(files, UNPACKED_BYTES_MAX)).await;
            let files = files.map_err(|_| Notice::Broken(language))?;
            let files = files.map_err(|(name, found)| Notice::NoImage(language, name, found))?;
            let batch = ask_all(&state, &visitor, &offer, &reference, files, place)?;
            let there = batch.map_or_else(|| "/cases".to_owned(), |batch| format!("/cases?batch={batch}"));
            Ok(Redirect::to(&there).into_response())
        }
    }
}

/// A place among those whose files are in memory.
pub(super) async fn upload_place(state: &State, language: Language) -> Result<OwnedSemaphorePermit, Notice> {
    let place = tokio::time::timeout(PLACE_WAIT, Arc::clone(&state.uploading).acquire_owned()).await;
    place.map_err(|_| Notice::Busy(language))?.map_err(|_| Notice::Busy(language))
}

/// Reads a form; its word comes first, so that nothing is kept of a form that nobody here handed out.
async fn read(mut multipart: Multipart, visitor: &Visitor) -> Result<Brought, Notice> {
    let language = visitor.language;
    let broken = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Notice::TooLarge(language),
        _ => Notice::Form(language),
    };
    let mut brought = Brought::default();
    while let Some(mut field) = multipart.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let file = field.file_name().map(last_part);
        if let Some(file) = file {
            visitor.must_know(&brought.csrf)?;
            let bytes = field.bytes().await.map_err(broken)?.to_vec();
            if bytes.is_empty() && file.is_empty() {
                continue;
            }
            if brought.files.len() >= PICTURES_MAX {
                return Err(Notice::TooLarge(language));
            }
            brought.files.push(Handed { name: file, bytes });
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            text.extend_from_slice(&chunk);
            if text.len() > FIELD_BYTES_MAX {
                return Err(Notice::Form(language));
            }
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        match name.as_str() {
            "csrf" => brought.csrf = text,
            "model" => brought.model = text,
            "reference" => brought.reference = text,
            _ => {}
        }
    }
    visitor.must_know(&brought.csrf)?;
    Ok(brought)
}

/// A file's name without its folders, as some browsers send them.
fn last_part(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// The files, and instead of an archive those in it, which have so many bytes at most. What is wrong with an archive is
/// said with its name.
fn unpacked(files: Vec<Handed>, mut left: u64) -> Result<Vec<Handed>, (String, String)> {
    let mut all = Vec::new();
    for file in files {
        if !is_archive(&file.bytes) {
            all.push(file);
            continue;
        }
        let wrong = |found: String| (file.name.clone(), found);
        let mut archive = zip::ZipArchive::new(Cursor::new(&file.bytes)).map_err(|error| wrong(error.to_string()))?;
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(|error| wrong(error.to_string()))?;
            let name = last_part(entry.name());
            if entry.is_dir() || name.is_empty() || name.starts_with('.') || entry.name().starts_with("__MACOSX/") {
                continue;
            }
            if all.len() >= PICTURES_MAX {
                return Err(wrong(format!("holds more than {PICTURES_MAX} pictures")));
            }
            let mut bytes = Vec::new();
            // What an archive says of its sizes is not believed.
            let most = PICTURE_BYTES_MAX.min(left);
            entry.take(most + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
            if bytes.len() as u64 > most {
                return Err(wrong(format!("unpacks to more than {most} bytes")));
            }
            left -= bytes.len() as u64;
            all.push(Handed { name, bytes });
        }
    }
    if all.len() > PICTURES_MAX {
        let found = format!("{} pictures, {PICTURES_MAX} are taken together", all.len());
        return Err((String::new(), found));
    }
    Ok(all)
}

/// Decodes a file in a process of its own, when its turn comes.
pub(super) async fn decoded(state: &State, bytes: Vec<u8>) -> Result<Scan, ImagingError> {
    let decode = Arc::clone(&state.decode);
    let decoded = state.on_image(move || decode(&bytes, &limits()).and_then(drawable)).await;
    decoded.unwrap_or(Err(ImagingError::Crashed { ending: Ending::Unknown }))
}

/// Less than a file of training images may ask for: this comes from a browser.
fn limits() -> Limits {
    Limits { bytes_max: PICTURE_BYTES_MAX, ..Limits::default() }
}

/// Notes a case for each file and asks about them in the background; the batch's number.
fn ask_all(
    state: &Arc<State>,
    visitor: &Visitor,
    offer: &Offer,
    reference: &str,
    files: Vec<Handed>,
    place: OwnedSemaphorePermit,
) -> Result<Option<i64>, Notice> {
    let language = visitor.language;
    if files.is_empty() {
        return Err(Notice::NoFile(language));
    }
    let reserved = state.desk.reserve(files.len()).ok_or(Notice::Busy(language))?;
    let new = |file| NewCase::of(offer, &visitor.visit.user.name, reference, file);
    let cases: Vec<NewCase<'_>> = files.iter().map(|file: &Handed| new(file.name.as_str())).collect();
    let (batch, ids) = state.book.add_cases(&cases).map_err(Notice::book(language))?;
    let cases = ids.into_iter().zip(files).collect();
    tokio::spawn(decode_and_ask(Arc::clone(state), offer.clone(), cases, reserved, place));
    Ok(batch)
}

/// Decodes one file after the other and asks about as many together as the model takes. The place among those who hand
/// files in is given back when none of them is in memory any more.
async fn decode_and_ask(
    state: Arc<State>,
    offer: Offer,
    cases: Vec<(i64, Handed)>,
    mut reserved: Reserved,
    _place: OwnedSemaphorePermit,
) {
    let together = offer.asked.together.max(1);
    let mut ready = Vec::new();
    for (id, file) in cases {
        match prepared(&state, &offer, id, file.bytes).await {
            Ok(input) => ready.push((id, input)),
            Err(found) => {
                drop(reserved.some(1));
                if let Err(error) = state.book.note_refusal(id, &found) {
                    tracing::error!(%error, "what came of a case cannot be noted");
                }
                state.desk.tell();
            }
        }
        if ready.len() == together {
            let places = reserved.some(ready.len());
            state.desk.ask(&offer, std::mem::take(&mut ready), places);
        }
    }
    if !ready.is_empty() {
        let places = reserved.some(ready.len());
        state.desk.ask(&offer, ready, places);
    }
}

/// What the model takes of a file of several, as its own window shows it; why there is nothing to take, in words.
async fn prepared(state: &State, offer: &Offer, id: i64, bytes: Vec<u8>) -> Result<Array3<f32>, String> {
    let scan = decoded(state, bytes).await.map_err(|error| error.to_string())?;
    let offer = offer.clone();
    let prepared = state.on_image(move || Prepared::of(&scan, Look::default(), &offer)).await;
    let prepared = prepared.ok_or("the thread that draws it has ended")?.map_err(|error| error.to_string())?;
    prepared.ok_or("it has no frame")?.keep(state, id).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(entries: &[(&str, usize)]) -> Handed {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, length) in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(&vec![7; *length]).unwrap();
        }
        Handed { name: "all.zip".into(), bytes: writer.finish().unwrap().into_inner() }
    }

    #[test]
    fn an_archive_gives_its_pictures_by_their_last_names() {
        let brought = vec![
            Handed { name: "x.png".into(), bytes: vec![1] },
            archive(&[("a/b.png", 3), ("__MACOSX/b.png", 1), ("a/.hidden", 1), ("c.dcm", 2)]),
        ];
        let files = unpacked(brought, 6).unwrap();
        let found: Vec<(&str, usize)> = files.iter().map(|file| (file.name.as_str(), file.bytes.len())).collect();
        assert_eq!(found, [("x.png", 1), ("b.png", 3), ("c.dcm", 2)]);
        assert_eq!(last_part("C:\\scans\\one.png"), "one.png");
    }

    #[test]
    fn an_archive_of_too_many_or_of_none_is_refused_with_its_name() {
        let names: Vec<String> = (0..=PICTURES_MAX).map(|number| format!("{number}.png")).collect();
        let entries: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let (name, found) = unpacked(vec![archive(&entries)], 1_000).err().unwrap();
        assert!(name == "all.zip" && found.contains("500"), "{found}");
        let torn = Handed { bytes: archive(&[("a", 9)]).bytes[..40].to_vec(), name: "torn.zip".into() };
        assert_eq!(unpacked(vec![torn], 9).err().unwrap().0, "torn.zip");
    }

    #[test]
    fn an_archive_unpacks_to_no_more_than_is_allowed_whatever_it_says_of_its_sizes() {
        let two = || vec![archive(&[("a", 600), ("b", 500)])];
        let (name, found) = unpacked(two(), 1_099).err().unwrap();
        assert!(name == "all.zip" && found.contains("more than 499 bytes"), "{found}");
        assert_eq!(unpacked(two(), 1_100).unwrap().len(), 2);
    }
}
