//! `consilium query`: an image that looks unlike those of a run's hospitals is warned of, by what they added up.

use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use datasets::{LoadOptions, read_picture};
use experiment::{DEMO, Experiment};
use image::GrayImage;
use metrics::{Answers, ImageStatistics, PooledFigures, StatisticSums, Tally, Trained};
use ndarray::Array2;
use serde_json::{Value, json};

/// A picture in shades around a level.
fn picture(path: &Path, level: u8, number: u8) {
    let shade = |x: u32, y: u32| level.saturating_add(number % 7).saturating_add(((x * 3 + y * 5) % 23) as u8);
    GrayImage::from_fn(64, 64, |x, y| image::Luma([shade(x, y)])).save(path).expect("saved");
}

/// What hospitals with so many dark pictures have added up.
fn figures(folder: &Path, options: &LoadOptions, images: u8) -> PooledFigures {
    let mut sums = StatisticSums::default();
    for number in 0..images {
        let path = folder.join("measured.png");
        picture(&path, 20, number);
        let image = read_picture(&path, options).expect("a picture");
        sums.add(&ImageStatistics::of(image.view(), options.normalisation()));
    }
    let (logits, labels) = (Array2::zeros((usize::from(images), 3)), vec![0; usize::from(images)]);
    let none = Array2::zeros((0, 3));
    let test = Answers { logits: logits.view(), labels: &labels };
    let validation = Answers { logits: none.view(), labels: &[] };
    let trained = Trained { images: 100, groups: 20 };
    PooledFigures::new(&Tally::count(3, validation, test, &sums, trained).expect("a tally"), 3)
}

/// Answers one question at the counter of a hospital's folder.
fn counter(hospital: &Path) -> JoinHandle<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(hospital.join("counter")).expect("a folder");
    let listener = UnixListener::bind(hospital.join("counter/ask.sock")).expect("a socket");
    thread::spawn(move || {
        let (line, _) = listener.accept().expect("somebody asks");
        let mut line = BufReader::new(line);
        let mut head = String::new();
        line.read_line(&mut head).expect("a line");
        let head: Value = serde_json::from_str(&head).expect("JSON");
        let levels: u64 = head["shape"].as_array().expect("a shape").iter().filter_map(Value::as_u64).product();
        let mut image = vec![0; usize::try_from(levels * 4).expect("an image")];
        line.read_exact(&mut image).expect("the image");
        let reply = json!({
            "query": "1-7", "logits": [[0.0, 3.0, 1.0]], "total_ms": 840.0, "encrypt_ms": 20.0, "decrypt_ms": 2.0,
            "query_bytes": 2_334_792, "reply_bytes": 5_120,
        });
        line.get_mut().write_all(format!("{reply}\n").as_bytes()).expect("told");
    })
}

#[test]
fn an_image_unlike_those_of_the_runs_hospitals_is_warned_of() {
    let place = tempfile::tempdir().expect("a folder");
    let run = place.path().join("run");
    let experiment = Experiment::parse("demo.toml", DEMO, &[]).expect("the demo is valid");
    simulation::run_folder::create(Some(run.clone()), &experiment, "test").expect("created");
    let scan = place.path().join("scan.png");
    let asked = |level: u8| {
        picture(&scan, level, 3);
        let answering = counter(&run.join("hospital-1"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
        let output = command.arg("query").arg(&run).arg(&scan).output().expect("it starts");
        answering.join().expect("answered");
        fs::remove_dir_all(run.join("hospital-1/counter")).expect("removed");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let plain = asked(220);
    assert!(!plain.contains("warning") && !plain.contains("this model"), "nobody has added anything up: {plain}");
    let figures = figures(place.path(), &experiment.load_options(), 90);
    let report = json!({"final": {"pooled": figures}});
    fs::write(run.join("report.json"), report.to_string()).expect("written");
    let bright = asked(220);
    assert!(bright.contains("warning: it does not look like") && bright.contains("this model: "), "{bright}");
    let dark = asked(20);
    assert!(!dark.contains("warning") && dark.contains("on 90 test images of 3 hospitals"), "{dark}");
}
