//! Cases of the portal that become a data set of the site, as a process: what it says, what it names, and where it says
//! no.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap or a panic is a failed test")]

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output};

use datasets::LoadOptions;
use image::{GrayImage, ImageFormat, Luma};
use portal::Book;
use serde_json::{Value, json};

const BAD_INPUT: i32 = 4;
const MODEL: [&str; 2] = ["normal", "pneumonia"];

/// A site that has joined and has the published model of key epoch 3, as far as this command looks.
fn site() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let site = place.path().join("site");
    let epoch = site.join("epochs/3");
    fs::create_dir_all(&epoch).unwrap();
    let membership = r#"{"name":"st-anna","organisation":"St Anna","address":"127.0.0.1:1","certificate_until":1,
        "coordinator_key":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"}"#;
    fs::write(site.join("membership.json"), membership).unwrap();
    fs::write(epoch.join("plan.toml"), include_str!("../../configs/consortium.toml")).unwrap();
    fs::write(epoch.join("published"), "ab".repeat(32)).unwrap();
    place
}

fn data(place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    command.current_dir(place).args(["hospital", "data"]).args(arguments).args(["--format", "json"]);
    command.output().unwrap()
}

/// Code, and what a program is told.
fn told(place: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = data(place, arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let told = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"));
    (output.status.code().unwrap(), told)
}

fn refused(place: &Path, arguments: &[&str]) -> (i32, String) {
    let (exit, told) = told(place, arguments);
    assert!(told["error"]["do"].as_str().is_some_and(|remedy| remedy.len() > 15), "{told}");
    (exit, told["error"]["code"].as_str().unwrap().to_owned())
}

/// A case as the portal keeps it: answered, of this class, and perhaps with its picture of one grey.
fn case(place: &Path, class: usize, grey: Option<u8>) {
    drop(Book::open(&place.join("site")).unwrap());
    let book = rusqlite::Connection::open(place.join("site/portal/portal.sqlite")).unwrap();
    let picture = grey.map(|grey| {
        let mut png = Cursor::new(Vec::new());
        GrayImage::from_pixel(28, 28, Luma([grey])).write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    });
    let (digest, classes) = ("ab".repeat(32), json!(MODEL).to_string());
    book.execute(
        "INSERT INTO cases(owner, reference, file, made_s, offer, model, digest, classes, temperature, state, logits,
                           label, picture)
         VALUES ('ada', '', '', 1, '3', 'pneumonia', ?1, ?2, 1.0, 'answered', '[0.5, 1.0]', ?3, ?4)",
        rusqlite::params![digest, classes, class as i64, picture],
    )
    .unwrap();
}

#[test]
fn judged_cases_become_a_named_set_that_is_read_and_brought_up_to_date() {
    let place = site();
    let place = place.path();
    case(place, 0, Some(10));
    case(place, 1, Some(200));
    case(place, 1, None);
    let add = ["add", "cases", "--corrected", "3"];
    let (exit, first) = told(place, &add);
    let made = &first["data"];
    assert_eq!((exit, &made["images"], &made["written"], &made["groups"]), (0, &json!(2), &json!(2), &json!(2)));
    assert_eq!((&made["without_picture"], &made["model"], &made["name"]), (&json!([3]), &json!(3), &json!("cases")));
    assert_eq!(made["classes"][1], json!({"class": "pneumonia", "images": 1}));
    case(place, 0, Some(20));
    for again in [&add[..], &["pull", "cases"]] {
        let (exit, told) = told(place, again);
        assert_eq!((exit, &told["data"]["images"]), (0, &json!(3)), "{told}");
    }
    let listed = told(place, &["list"]).1;
    let set = &listed["data"]["data_sets"][0];
    assert_eq!((&set["name"], &set["corrected"]), (&json!("cases"), &json!(3)));
    let path = Path::new(set["path"].as_str().unwrap());
    assert!(path.ends_with("site/data/cases") && path.is_absolute(), "{path:?}");
    let options = LoadOptions { classes: MODEL.map(String::from).to_vec(), ..LoadOptions::default() };
    let read = datasets::load(path, None, &options).unwrap();
    let mut greys = Vec::new();
    for part in [&read.train, &read.validation, &read.test] {
        for (place, label) in part.labels.iter().enumerate() {
            greys.push((*label, (part.images[[place, 0, 0, 0]] * 0.25 + 0.5) * 255.0));
        }
    }
    greys.sort_by(|one, other| one.1.total_cmp(&other.1));
    let rounded: Vec<(u8, u8)> = greys.iter().map(|(label, grey)| (*label, grey.round() as u8)).collect();
    assert_eq!(rounded, [(0, 10), (0, 20), (1, 200)]);
    let site = fs::read_to_string(place.join("site/site.toml")).unwrap();
    assert!(site.contains("[data.cases]") && site.contains("corrected = 3"), "{site}");
    let text = Command::new(env!("CARGO_BIN_EXE_consilium"))
        .current_dir(place)
        .args(["hospital", "data", "pull", "cases"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("3 images (2 of class normal, 1 of class pneumonia)"), "{text}");
    assert!(text.contains("1 cases have no kept image: #3"), "{text}");
}

#[test]
fn what_cannot_become_a_set_is_said_and_nothing_is_named() {
    let place = site();
    let place = place.path();
    let add = ["add", "cases", "--corrected", "3"];
    assert_eq!(refused(place, &add), (BAD_INPUT, "corrected_cases".to_owned()), "nobody asked");
    case(place, 0, None);
    assert_eq!(refused(place, &add), (BAD_INPUT, "corrected_cases".to_owned()), "no image");
    assert_eq!(refused(place, &["add", "cases", "--corrected", "4"]), (BAD_INPUT, "no_model".to_owned()));
    assert_eq!(refused(place, &["add", "../x", "--corrected", "3"]), (BAD_INPUT, "data_name".to_owned()));
    case(place, 0, Some(10));
    fs::create_dir_all(place.join("site/data/mine/normal")).unwrap();
    let theirs = refused(place, &["add", "mine", "--corrected", "3"]);
    assert_eq!(theirs, (BAD_INPUT, "corrected_folder".to_owned()));
    assert!(!place.join("site/site.toml").exists() && !place.join("site/data/cases").exists());
    fs::write(place.join("x.npz"), "").unwrap();
    assert_eq!(told(place, &["add", "cases", "x.npz"]).0, 0);
    assert_eq!(refused(place, &add), (BAD_INPUT, "data_taken".to_owned()));
    assert!(!place.join("site/data/cases").exists() && !place.join("site/x").exists(), "nothing was written either");
    fs::remove_file(place.join("site/membership.json")).unwrap();
    assert_eq!(refused(place, &["add", "other", "--corrected", "3"]), (BAD_INPUT, "not_joined".to_owned()));
    for both in [&["add", "ct", "x.npz", "--corrected", "3"][..], &["add", "ct", "--corrected", "3", "--labels", "l"]] {
        assert_eq!(data(place, both).status.code(), Some(BAD_INPUT), "images come from one place");
    }
}
