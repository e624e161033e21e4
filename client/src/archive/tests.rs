//! [`pull`] from an archive that a test makes up, and who is told a password.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use datasets::LoadOptions;
use pacs::ArchiveError;
use remedy::{Exit, Explained};

use super::*;

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../pacs/tests/archive/invented.rs"]
mod invented;

use invented::server::Server;
use invented::{Invented, Object, Study, image};

/// Two studies of one patient and one of another, with a film and a report among their objects.
fn studies() -> Vec<Study> {
    let object =
        |study, series, instance, level| Object { instance, frames: 0, file: image(study, series, instance, 1, level) };
    let film = |frames, instance| Object { instance, frames, file: image("1.2", "1.2.1", instance, 3, 9) };
    let mut report = image("1.2", "1.2.1", "1.2.1.5", 1, 0);
    report.truncate(report.len() - 16);
    let first = vec![
        object("1.2", "1.2.1", "1.2.1.1", 10),
        object("1.2", "1.2.1", "1.2.1.2", 20),
        film(3, "1.2.1.3"),
        film(0, "1.2.1.4"),
        Object { instance: "1.2.1.5", frames: 0, file: report },
    ];
    let study = |study, accession, patient, series, objects| Study { study, accession, patient, series, objects };
    vec![
        study("1.2", "A1", "PID4711", "1.2.1", first),
        study("1.3", "A2", "PID4711", "1.3.1", vec![object("1.3", "1.3.1", "1.3.1.1", 30)]),
        study("1.4", "A3", "", "1.4.1", vec![object("1.4", "1.4.1", "1.4.1.1", 40)]),
    ]
}

struct Place {
    folder: tempfile::TempDir,
    invented: Invented,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), invented: Invented::of(studies()) }
    }

    fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    fn pull(&self, table: &str, limits: Limits) -> Result<Pulled, PullError> {
        let path = self.folder.path().join("labels.csv");
        fs::write(&path, table).unwrap();
        let labels = Labels::read(&path).unwrap();
        let archive = open_at(self.folder.path(), Some(&self.invented.server.url()), Limits::bounds()).unwrap();
        pull(&archive, &self.images(), &labels, &limits, &mut |_| {})
    }

    fn pulled(&self, table: &str) -> Pulled {
        self.pull(table, Limits::default()).unwrap()
    }
}

const TABLE: &str = "accession,label\nA1,ill\nA2,well\nA3,well\nA9,well\n";

#[test]
fn images_of_a_table_are_pulled_once_and_read_and_name_nobody() {
    let place = Place::new();
    let pulled = place.pulled(TABLE);
    assert_eq!((pulled.images, pulled.patients, pulled.fetched, &pulled.missing), (4, 2, 6, &vec![5]));
    let why = |instance: &str| {
        pulled.skipped.iter().find(|skipped| skipped.instance == instance).map(|skipped| (skipped.line, &*skipped.why))
    };
    let film = "3 frames, one is read; save the one that is meant as an object of its own";
    assert_eq!((why("1.2.1.3"), why("1.2.1.4")), (Some((2, film)), Some((2, film))));
    assert!(why("1.2.1.5").is_some() && pulled.skipped.len() == 3, "{pulled:?}");
    assert_eq!(place.invented.retrievals(), 6, "a film that the search tells of is not fetched");

    let manifest = fs::read_to_string(place.images().join("manifest.csv")).unwrap();
    assert!(!manifest.contains("PID4711") && !manifest.contains("1.2"), "{manifest}");
    let all = fs::read_to_string(place.images().join("pulled.csv")).unwrap();
    assert!(!all.contains("PID4711") && !all.contains("Doe"), "{all}");
    let options = LoadOptions { height: 2, width: 2, ..LoadOptions::default() };
    let rows = datasets::Manifest::read(&place.images().join("manifest.csv")).unwrap().rows;
    let levels: Vec<(String, f32)> = rows
        .iter()
        .map(|row| {
            let image = datasets::read_picture(&place.images().join(&row.path), &options).unwrap();
            (row.class.clone(), image[[0, 0, 0]])
        })
        .collect();
    assert_eq!(levels.iter().map(|(class, _)| class.as_str()).collect::<Vec<_>>(), ["ill", "ill", "well", "well"]);
    assert!(rows[0].group == rows[2].group && rows[0].group != rows[3].group);

    let again = place.pulled(TABLE);
    assert_eq!((again.images, again.fetched, again.skipped.len()), (4, 0, 3));
    assert_eq!(place.invented.retrievals(), 6);
    // A file that somebody broke is fetched again, and nothing else.
    fs::write(place.images().join(&rows[0].path), "torn").unwrap();
    assert_eq!((place.pulled(TABLE).fetched, place.invented.retrievals()), (1, 7));
    assert_eq!(place.pulled("study,label\n1.3,ill\n").images, 1, "what the table no longer means is no part");
}

#[test]
fn what_was_fetched_before_an_archive_failed_counts_when_it_goes_on() {
    let place = Place::new();
    *place.invented.failing.lock().unwrap() = Some(("200 OK", 1));
    let error = place.pull(TABLE, Limits::default()).unwrap_err();
    assert!(matches!(&error, PullError::Archive(ArchiveError::Media { .. })), "{error}");
    assert!(error.remedy().contains("root of the DICOMweb services") && error.exit() == Exit::Failed);
    assert!(!place.images().join("manifest.csv").exists());
    place.pulled("accession,label\nA1,ill\n");
    let before = place.invented.retrievals();
    *place.invented.failing.lock().unwrap() = Some(("401 Unauthorized", 1));
    let error = place.pull(TABLE, Limits::default()).unwrap_err();
    assert!(matches!(&error, PullError::Archive(ArchiveError::NotSignedIn { .. })), "{error}");
    assert_eq!((error.exit(), error.code()), (Exit::Connection, "archive_not_allowed"));
    let manifest = fs::read_to_string(place.images().join("manifest.csv")).unwrap();
    assert_eq!(manifest.lines().count(), 3, "the earlier manifest stays: {manifest}");
    assert_eq!((place.pulled(TABLE).fetched, place.invented.retrievals()), (2, before + 3));
}

#[test]
fn a_series_and_a_patient_of_the_table_go_before_the_archives() {
    let place = Place::new();
    let pulled = place.pulled("study,series,label,patient\n1.2,1.2.9,ill,p\n1.3,1.3.1,ill,p\n1.4,,well,p\n");
    assert_eq!((pulled.images, pulled.patients, pulled.missing), (2, 1, vec![2]));
}

#[test]
fn a_table_that_means_too_much_or_nothing_or_two_things_is_refused() {
    let place = Place::new();
    let limited = |limits: Limits| place.pull(TABLE, limits).unwrap_err();
    let all = Limits::default();
    assert!(matches!(limited(Limits { objects_max: 5, ..all }), PullError::TooManyObjects { objects_max: 5 }));
    assert!(matches!(limited(Limits { bytes_max: 700, ..all }), PullError::TooManyBytes { bytes_max: 700 }));
    assert!(matches!(limited(Limits { time: Duration::ZERO, ..all }), PullError::TooLong { .. }));
    let two = place.pull("study,label\n1.2,ill\n1.3,ill\n1.2,well\n", all).unwrap_err();
    assert!(matches!(two, PullError::TwoLabels { line: 4, earlier: 2 }), "{two}");
    assert_eq!(place.pulled("study,label\n1.3,ill\n1.3,ill\n").images, 1, "the same twice is said once");
    let nothing = place.pull("accession,label\nA8,ill\nA9,ill\n", all).unwrap_err();
    assert!(matches!(nothing, PullError::Nothing { lines: 2, missing: 2, skipped: 0 }), "{nothing}");
}

#[test]
fn an_object_of_another_study_or_of_none_is_left_out() {
    let mut all = studies();
    all[1].objects[0].file = [&[0; 128][..], b"DICM", &[7; 99]].concat();
    let place = Place { folder: tempfile::tempdir().unwrap(), invented: Invented::of(all.clone()) };
    let pulled = place.pulled("study,label\n1.3,ill\n1.4,ill\n");
    assert_eq!((pulled.images, pulled.skipped.len()), (1, 1));
    // Its pixels could be read, and of which study it is could not.
    let switching = image("1.9", "1.3.1", "1.3.1.1", 1, 1);
    let place_of_name = switching.windows(8).position(|window| window == b"Doe^Jane").unwrap();
    all[1].objects[0].file = switching;
    all[1].objects[0].file[place_of_name..place_of_name + 3].copy_from_slice(b"\x1b$B");
    let place = Place { folder: tempfile::tempdir().unwrap(), invented: Invented::of(all.clone()) };
    let pulled = place.pulled("study,label\n1.3,ill\n1.4,ill\n");
    assert_eq!((pulled.images, pulled.skipped.len()), (1, 1));
    all[1].objects[0].file = image("1.9", "1.3.1", "1.3.1.1", 1, 1);
    let place = Place { folder: tempfile::tempdir().unwrap(), invented: Invented::of(all) };
    let error = place.pull("study,label\n1.3,ill\n", Limits::default()).unwrap_err();
    assert!(matches!(error, PullError::Archive(ArchiveError::NotAsked { .. })), "{error}");
}

#[test]
fn a_password_is_told_to_the_archive_of_the_site_file_and_to_no_other() {
    let site = tempfile::tempdir().unwrap();
    let [own, other] = [(); 2].map(|()| Server::with("200 OK", "application/dicom+json", "[]"));
    fs::write(site.path().join("secret.txt"), "ada:hunter2\n").unwrap();
    let set = |more: &str| {
        let text = format!("[pacs]\naddress = \"{}\"\n{more}", own.url());
        fs::write(site.path().join("site.toml"), text).unwrap();
    };
    assert!(open(site.path(), Bounds::default()).unwrap().is_none());
    let missing = open_at(site.path(), None, Bounds::default()).err().unwrap();
    assert!(matches!(missing, AccessError::NoAddress) && missing.exit() == Exit::BadInput);
    set("credentials = \"secret.txt\"\n");
    for address in [None, Some(own.url() + "/"), Some(other.url())] {
        let archive = open_at(site.path(), address.as_deref(), Bounds::default()).unwrap();
        archive.studies(&pacs::Find::default()).unwrap();
    }
    open(site.path(), Bounds::default()).unwrap().unwrap().studies(&pacs::Find::default()).unwrap();
    let told = |server: &Server| server.heard().iter().filter(|head| head.contains("Basic YWRhOmh1bnRlcjI=")).count();
    assert_eq!((told(&own), own.heard().len(), told(&other), other.heard().len()), (3, 3, 0, 1));
    set("credentials = \"secret.txt\"\ntoken = \"secret.txt\"\n");
    assert!(matches!(open(site.path(), Bounds::default()), Err(AccessError::Both)));
    set("token = \"none.txt\"\n");
    assert!(matches!(open(site.path(), Bounds::default()), Err(AccessError::Secret { .. })));
    fs::write(site.path().join("site.toml"), "[pacs]\naddress = \"http://archive.hospital/\"\n").unwrap();
    assert!(matches!(open(site.path(), Bounds::default()), Err(AccessError::Archive(ArchiveError::Address { .. }))));
    fs::write(site.path().join("site.toml"), "[pacs]\nallow-plain-http = true\naddress = \"http://a.b/\"\n").unwrap();
    assert!(open(site.path(), Bounds::default()).unwrap().is_some());
    assert!(open_at(site.path(), Some("http://c.d/"), Bounds::default()).is_err(), "allowed for one address");
    // Whom the hospital trusts holds for all of its addresses.
    fs::write(site.path().join("site.toml"), "[pacs]\nca = \"none.pem\"\naddress = \"https://a.b/\"\n").unwrap();
    let unread = open_at(site.path(), Some("https://c.d/"), Bounds::default()).err();
    assert!(matches!(unread, Some(AccessError::Archive(ArchiveError::CaFile { .. }))));
}
