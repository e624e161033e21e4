//! Against a real archive, Orthanc: what is stored is found, comes back as it was, and answers lie beside what they are
//! about. Skipped where no public data are, or no Orthanc, which is a failure with `CONSILIUM_TEST_ORTHANC=1`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test, and a skip is said")]

use std::collections::BTreeMap;
use std::time::Instant;

use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, OpenFileOptions};
use pacs::answer::{ClassProbability, NOT_A_DEVICE, Occasion, Picture, SecondaryCapture, Source, StructuredReport};
use pacs::{Archive, ArchiveError, Find, Scope, Uid};
use time::OffsetDateTime;

#[path = "archive/orthanc.rs"]
mod server;

use server::{Orthanc, files};

fn parsed(file: &[u8]) -> DefaultDicomObject {
    OpenFileOptions::new().from_reader(file).unwrap()
}

/// The values of the pixels as they are encoded, or all fragments of them.
fn pixels(object: &DefaultDicomObject) -> Vec<u8> {
    let element = object.element(tags::PIXEL_DATA).unwrap();
    match element.value().fragments() {
        Some(fragments) => fragments.concat(),
        None => element.to_bytes().unwrap().into_owned(),
    }
}

fn retrieved(archive: &Archive, scope: Scope<'_>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let sink = |file| {
        all.push(file);
        Ok::<(), ArchiveError>(())
    };
    let count = archive.retrieve(scope, sink).unwrap();
    assert_eq!(count, all.len());
    all
}

/// Stores every file and looks for it again, down to the pixels; those that were stored.
fn stored_and_found(archive: &Archive, files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, file) in files {
        let begun = Instant::now();
        let answer = match archive.store(std::slice::from_ref(file)) {
            Ok(answer) if answer.failed.is_empty() => answer,
            refused => {
                println!("{name}: not stored, {refused:?}");
                continue;
            }
        };
        let source = Source::of(file).unwrap();
        assert_eq!(answer.stored, [source.instance().clone()], "{name}");
        let (study, series, instance) = (source.study(), source.series(), source.instance());
        assert!(archive.series(study).unwrap().iter().any(|row| row.series == *series), "{name}");
        assert!(archive.instances(study, series).unwrap().iter().any(|row| row.instance == *instance), "{name}");
        let back = retrieved(archive, Scope::Instance(study, series, instance));
        assert_eq!(back.len(), 1, "{name}");
        let (sent, back) = (parsed(file), parsed(&back[0]));
        assert_eq!(sent.meta().transfer_syntax(), back.meta().transfer_syntax(), "{name}");
        assert!(pixels(&sent) == pixels(&back), "{name}: other pixels");
        println!("{name}: stored, found, and {} bytes of pixels back, {:?}", pixels(&sent).len(), begun.elapsed());
        names.push(name.clone());
    }
    names
}

/// Stores both objects of an answer and looks for them in the study of what was asked about.
fn answered(archive: &Archive, file: &[u8]) {
    let source = Source::of(file).unwrap();
    let before = archive.series(source.study()).unwrap().len();
    let probabilities = [("healthy", 0.25), ("gr\u{f6}\u{df}er", 0.75)];
    let classes = probabilities.map(|(class, probability)| ClassProbability { class: class.to_owned(), probability });
    let report = StructuredReport::new("chest \u{394}", &"ab".repeat(32), &classes).unwrap();
    let picture = Picture::rgb(3, 2, (0..18).collect()).unwrap();
    let capture = SecondaryCapture::new(picture, &["gr\u{f6}\u{df}er: 75 %".to_owned()]).unwrap();
    let occasions = [(); 2].map(|()| Occasion::at(OffsetDateTime::now_utc()).unwrap());
    let objects = [report.file(&source, &occasions[0]), capture.file(&source, &occasions[1])];
    let answer = archive.store(&objects).unwrap();
    assert!(answer.failed.is_empty() && answer.stored.len() == 2, "{answer:?}");
    let series = archive.series(source.study()).unwrap();
    assert_eq!(series.len(), before + 2);
    let modality = |uid: &Uid| series.iter().find(|row| row.series == *uid).unwrap().modality.clone().unwrap();
    assert_eq!(modality(&occasions[0].series), "SR");
    assert_eq!(modality(&occasions[1].series), "OT");
    for (occasion, sent) in occasions.iter().zip(&objects) {
        let rows = archive.instances(source.study(), &occasion.series).unwrap();
        assert_eq!(rows.iter().map(|row| &row.instance).collect::<Vec<_>>(), [&occasion.instance]);
        let back = retrieved(archive, Scope::Series(source.study(), &occasion.series));
        let (sent, back) = (parsed(sent), parsed(&back[0]));
        for tag in [tags::PATIENT_ID, tags::PATIENT_NAME, tags::STUDY_INSTANCE_UID, tags::SOP_CLASS_UID] {
            assert_eq!(sent.element(tag).unwrap().to_str().unwrap(), back.element(tag).unwrap().to_str().unwrap());
        }
        let said = format!("{:?}", (back.get(tags::CONTENT_SEQUENCE), back.get(tags::IMAGE_COMMENTS)));
        assert!(said.contains(NOT_A_DEVICE) && said.contains("gr\u{f6}\u{df}er"), "{said}");
    }
    println!("a report and a picture lie beside the image, in {} series", series.len());
}

#[test]
fn an_archive_gives_back_what_it_was_given_and_files_answers_beside_it() {
    let Some(files) = files() else { return };
    let begun = Instant::now();
    let orthanc = Orthanc::start();
    let archive = orthanc.ready();
    println!("Orthanc is ready, {:?}", begun.elapsed());
    let names = stored_and_found(&archive, &files);
    assert!(names.len() + 1 == files.len() && !names.contains(&"no_meta.dcm".to_owned()), "{names:?}");
    let broken = [&[0; 128][..], b"DICM", &[7; 99]].concat();
    let refused = archive.store(&[files["CT_small.dcm"].clone(), broken]);
    println!("a broken file after a good one: {refused:?}");
    assert!(match &refused {
        Ok(answer) => !answer.failed.is_empty(),
        Err(error) => matches!(error, ArchiveError::Refused { status: 400, .. }),
    });

    let patient = parsed(&files["CT_small.dcm"]).element(tags::PATIENT_ID).unwrap().to_str().unwrap().into_owned();
    let find = Find { patient_id: Some(patient), modality: Some("CT".to_owned()), ..Find::default() };
    let source = Source::of(&files["CT_small.dcm"]).unwrap();
    let rows = archive.studies(&find).unwrap();
    assert_eq!(rows.iter().map(|row| &row.study).collect::<Vec<_>>(), [source.study()]);
    assert_eq!(archive.studies(&Find { modality: Some("MG".to_owned()), ..find.clone() }).unwrap().len(), 0);
    let all = archive.studies(&Find::default()).unwrap();
    let first = archive.studies(&Find { limit: Some(2), ..Find::default() }).unwrap();
    let then = archive.studies(&Find { limit: Some(2), offset: 2, ..Find::default() }).unwrap();
    assert!(first == all[..2] && then == all[2..4]);

    answered(&archive, &files["CT_small.dcm"]);
    answered(&archive, &files["examples_rgb_color.dcm"]);

    let nowhere = archive.retrieve(Scope::Study(&Uid::of_random([7; 16])), |_| Ok::<(), ArchiveError>(()));
    println!("a study that is not there: {nowhere:?}");
    assert!(matches!(nowhere, Ok(0) | Err(ArchiveError::NotFound { .. })));
    let wrong = orthanc.archive("another").studies(&Find::default());
    assert!(matches!(wrong, Err(ArchiveError::NotSignedIn { .. })), "{wrong:?}");
    println!("all of it took {:?}", begun.elapsed());
}
