//! Images that a site pulls from its picture archive, as a process: what it says where that does not work, and that
//! what it leaves is read as a data set.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed unwrap or a panic is a failed test, and a skip is said"
)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use datasets::LoadOptions;
use pacs::Find;
use serde_json::Value;

#[path = "../../pacs/tests/archive/orthanc.rs"]
mod orthanc;

const CONNECTION: i32 = 2;
const BAD_INPUT: i32 = 4;

/// A site that has joined, as far as this command looks.
fn site() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let site = place.path().join("site");
    fs::create_dir(&site).unwrap();
    let membership = r#"{"name":"st-anna","organisation":"St Anna","address":"127.0.0.1:1","certificate_until":1,
        "coordinator_key":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"}"#;
    fs::write(site.join("membership.json"), membership).unwrap();
    place
}

fn data(place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    command.current_dir(place).args(["hospital", "data"]).args(arguments).args(["--format", "json"]);
    command.output().unwrap()
}

/// Code, and what a program is told.
fn told(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let told = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"));
    (output.status.code().unwrap(), told)
}

fn refused(place: &Path, arguments: &[&str]) -> (i32, String) {
    let (exit, told) = told(&data(place, arguments));
    assert!(told["error"]["do"].as_str().is_some_and(|remedy| remedy.len() > 15), "{told}");
    (exit, told["error"]["code"].as_str().unwrap().to_owned())
}

#[test]
fn a_pull_that_cannot_begin_says_why_and_names_no_data_set() {
    let place = site();
    let place = place.path();
    fs::write(place.join("l.csv"), "study,label\n1.2,ill\n").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{closed}/dicom-web");
    let add = ["add", "cxr", "--labels", "l.csv"];
    let with = |more: &[&'static str]| [&add[..], more].concat();
    assert_eq!(refused(place, &add), (BAD_INPUT, "archive_address".to_owned()));
    assert_eq!(refused(place, &with(&["--dicomweb"])), (BAD_INPUT, "archive_address".to_owned()));
    let plain = with(&["--dicomweb", "http://archive.hospital/"]);
    assert_eq!(refused(place, &plain), (BAD_INPUT, "archive_address".to_owned()));
    let away = [&add[..], &["--dicomweb", nobody.as_str()]].concat();
    assert_eq!(refused(place, &away), (CONNECTION, "archive_unreachable".to_owned()));
    assert_eq!(refused(place, &["add", "../x", "--labels", "l.csv"]), (BAD_INPUT, "data_name".to_owned()));
    assert_eq!(refused(place, &["add", "cxr", "--labels", "none.csv"]).1, "archive_labels");
    assert_eq!(refused(place, &["pull", "cxr"]), (BAD_INPUT, "data_unknown".to_owned()));
    assert!(!place.join("site/site.toml").exists() && !place.join("x").exists());
    fs::write(place.join("x.npz"), "").unwrap();
    assert_eq!(told(&data(place, &["add", "cxr", "x.npz"])).0, 0);
    assert_eq!(refused(place, &add), (BAD_INPUT, "data_taken".to_owned()));
    assert_eq!(refused(place, &["pull", "cxr"]), (BAD_INPUT, "data_not_pulled".to_owned()));
    let both = data(place, &["add", "ct", "x.npz", "--labels", "l.csv"]);
    assert_eq!(both.status.code(), Some(BAD_INPUT), "images are in one place");
}

#[test]
fn studies_of_a_real_archive_become_a_data_set_that_is_read() {
    let Some(files) = orthanc::files() else { return };
    let orthanc = orthanc::Orthanc::start();
    let archive = orthanc.ready();
    for file in files.values() {
        // One of them is no file with a preamble.
        drop(archive.store(std::slice::from_ref(file)));
    }
    let studies = archive.studies(&Find::default()).unwrap();
    let line = |(place, study): (usize, &pacs::StudyRow)| format!("{},{}\n", study.study, ["ill", "well"][place % 2]);
    let table: String = studies.iter().enumerate().map(line).collect();
    let place = site();
    let (place, site) = (place.path(), place.path().join("site"));
    fs::write(place.join("l.csv"), format!("study,label\n{table}1.2.3.4,well\n")).unwrap();
    let named = |password: &str| {
        fs::write(site.join("secret.txt"), format!("{}:{password}\n", orthanc::USER.0)).unwrap();
        let text = format!("[pacs]\naddress = \"{}\"\ncredentials = \"secret.txt\"\n", orthanc.url);
        fs::write(site.join("site.toml"), text).unwrap();
    };
    named("another");
    let add = ["add", "cxr", "--dicomweb", orthanc.url.as_str(), "--labels", "l.csv"];
    assert_eq!(refused(place, &add), (CONNECTION, "archive_not_allowed".to_owned()));
    named(orthanc::USER.1);
    let (exit, first) = told(&data(place, &add));
    let pulled = &first["data"];
    println!("{pulled}");
    assert_eq!((exit, &pulled["missing"]), (0, &Value::from(vec![studies.len() + 2])));
    let films = pulled["skipped"].as_array().unwrap();
    assert!(films.iter().any(|skipped| skipped["why"].as_str().unwrap().contains("frames")), "{films:?}");
    let (exit, again) = told(&data(place, &["pull", "cxr"]));
    assert_eq!((exit, &again["data"]["fetched"]), (0, &Value::from(0)));
    assert_eq!(again["data"]["images"], pulled["images"]);
    assert_eq!(told(&data(place, &["add", "cxr", "--labels", "l.csv"])).0, 0, "the address of [pacs] is taken");
    let all = told(&data(place, &["list"])).1;
    let path = all["data"]["data_sets"][0]["path"].as_str().unwrap().to_owned();
    let set = datasets::load(Path::new(&path), None, &LoadOptions::default()).unwrap();
    println!("{}", set.description);
    let read = set.train.len() + set.validation.len() + set.test.len();
    assert_eq!(
        (read, set.classes.as_slice()),
        (pulled["images"].as_u64().unwrap() as usize, &["ill", "well"].map(String::from)[..])
    );
    assert!(set.description.contains("by patient or series"), "{}", set.description);
    let manifest = fs::read_to_string(Path::new(&path).join("manifest.csv")).unwrap();
    let patients = studies.iter().filter_map(|study| study.patient_id.as_deref()).filter(|patient| patient.len() > 3);
    for patient in patients {
        assert!(!manifest.contains(patient), "a patient stands in the manifest");
    }
}
