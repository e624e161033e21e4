//! From a case whose truth was recorded to an image that is trained on.

use std::collections::BTreeMap;

use datasets::Manifest;

use super::archive::invented::image;
use super::*;
use crate::corrections::{ClassImages, Corrected, CorrectedError, CorrectedModel, write_corrected};
use crate::error::PortalError;

/// Classes of the demo's model.
const CLASSES: [&str; 3] = ["normal", "cyst", "tumour"];

fn told(house: &House) -> Result<Corrected, PortalError> {
    let classes = CLASSES.map(String::from);
    let model = CorrectedModel { id: "3", digest: &"ab".repeat(32), classes: &classes };
    write_corrected(&house.root(), model, &folder(house))
}

fn folder(house: &House) -> PathBuf {
    house.root().join("data/cases")
}

/// Class and group of each file that the manifest names.
fn manifest(house: &House) -> BTreeMap<String, (String, String)> {
    let rows = Manifest::read(&folder(house).join("manifest.csv")).unwrap().rows;
    rows.into_iter().map(|row| (row.path.display().to_string(), (row.class, row.group.unwrap()))).collect()
}

async fn keeping() -> House {
    House::open_with(|settings| Settings { keep_images: true, ..settings }).await
}

/// A picture of its own.
fn shade(level: u8) -> Vec<u8> {
    noise_png(&(0..=255).map(|pixel: u8| pixel / 2 + level).collect::<Vec<u8>>()).unwrap()
}

impl Browser<'_> {
    /// Asks about a file in a window of its own, where it has one, and says what it is; the case's number.
    async fn judged(&self, (name, bytes): (&str, &[u8]), look: &str, class: usize) -> i64 {
        let draft = self.hand_in(&self.csrf, &[(name, bytes)]).await;
        assert_eq!(draft.status, 303, "{}", draft.text());
        let path = draft.location().split('?').next().unwrap().to_owned();
        let form = format!("csrf={}&model=3&reference={name}&frame=1{look}", self.csrf);
        let case = self.post(&format!("{path}/ask"), &form).await.location().to_owned();
        self.page_with(&case, "The model answers").await;
        let id = case.rsplit('/').next().unwrap().parse().unwrap();
        self.says(id, &class.to_string()).await;
        id
    }

    async fn says(&self, case: i64, class: &str) {
        let form = format!("csrf={}&label={class}", self.csrf);
        assert_eq!(self.post(&format!("/cases/{case}/label"), &form).await.status, 303);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn judged_cases_are_read_as_training_images_with_the_very_pixels_that_were_asked_about() {
    let house = keeping().await;
    let heard: Arc<Mutex<Vec<Vec<f32>>>> = Arc::default();
    let logits = Says::Logits(vec![0.0, 3.0, 1.0]);
    let _counter = hearing_counter(&house.root(), logits, Duration::ZERO, Arc::clone(&heard));
    let ada = house.browser("ada").await;
    let slice = |instance, level| image("1.2", "1.2.1", instance, 1, level);
    let files = [
        ("a.png", shade(0), "", 0),
        ("b.dcm", slice("1.2.1.1", 100), "&centre=120&width=100", 1),
        ("c.dcm", slice("1.2.1.2", 90), "&centre=120&width=100", 1),
        ("d.png", shade(9), "", 2),
    ];
    let mut ids = Vec::new();
    for (name, bytes, look, class) in &files {
        ids.push(ada.judged((name, bytes), look, *class).await);
    }
    ada.asked(&shade(20)).await;
    let corrected = told(&house).unwrap();
    let counts =
        [1, 2, 1].iter().zip(CLASSES).map(|(images, class)| ClassImages { class: class.into(), images: *images });
    let expected =
        Corrected { images: 4, written: 4, classes: counts.collect(), groups: 3, unnamed: 2, ..Corrected::default() };
    assert_eq!(corrected, expected, "the last case has no label");
    let slices = [&manifest(&house)[&format!("{}.png", ids[1])].1, &manifest(&house)[&format!("{}.png", ids[2])].1];
    assert_eq!(slices[0], slices[1], "of one study");
    let demo = Experiment::parse("demo.toml", DEMO, &[]).unwrap();
    let set = datasets::load(&folder(&house), None, &demo.load_options()).unwrap();
    assert!(set.classes == CLASSES && set.description.contains("by patient or series"), "{}", set.description);
    let heard = heard.lock().unwrap();
    let mut seen = 0;
    for part in [&set.train, &set.validation, &set.test] {
        for (place, name) in part.names.iter().enumerate() {
            let at = ids.iter().position(|id| *name == format!("{id}.png")).unwrap();
            assert_eq!(usize::from(part.labels[place]), files[at].3, "{name}");
            let read: Vec<f32> = part.images.index_axis(ndarray::Axis(0), place).iter().copied().collect();
            assert_eq!(read, heard[at], "{name}");
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
    let grey = |at: usize| heard[at].first().unwrap() * 0.25 + 0.5;
    assert!(grey(1) > 0.25 && grey(1) < 0.35 && grey(2) < grey(1), "the window is in the picture: {}", grey(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_call_adds_what_is_new_changes_what_changed_and_takes_out_what_was_taken_back() {
    let house = keeping().await;
    let _counter = slow_counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]), Duration::ZERO);
    let ada = house.browser("ada").await;
    let one = ada.judged(("a.png", &shade(0)), "", 0).await;
    let two = ada.judged(("b.png", &shade(1)), "", 1).await;
    assert_eq!((told(&house).unwrap().written, told(&house).unwrap().written), (2, 0));
    ada.says(one, "2").await;
    let three = ada.judged(("c.png", &shade(2)), "", 1).await;
    ada.says(two, "").await;
    let again = told(&house).unwrap();
    assert_eq!((again.images, again.written), (2, 1));
    let classes: Vec<(String, String)> = manifest(&house).into_iter().map(|(file, (class, _))| (file, class)).collect();
    assert_eq!(classes, [(format!("{one}.png"), "tumour".into()), (format!("{three}.png"), "cyst".into())]);
    assert!(!folder(&house).join(format!("{two}.png")).exists(), "nor does its picture stay");
    for case in [one, three] {
        ada.says(case, "").await;
    }
    let nothing = told(&house);
    let is_nothing = matches!(nothing, Err(PortalError::Corrected(CorrectedError::Nothing { labelled: 0, .. })));
    assert!(is_nothing, "{nothing:?}");
    assert!(manifest(&house).is_empty(), "what was taken back is not trained on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_without_a_picture_of_two_truths_or_with_a_damaged_one_are_named_and_left_out() {
    let house = keeping().await;
    let empty = tempfile::tempdir().unwrap();
    let classes = CLASSES.map(String::from);
    let model = CorrectedModel { id: "3", digest: "ab", classes: &classes };
    let none = write_corrected(empty.path(), model, &empty.path().join("data"));
    assert!(matches!(none, Err(PortalError::Corrected(CorrectedError::Nothing { labelled: 0, .. }))), "{none:?}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "looking makes nothing");
    let _counter = slow_counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]), Duration::ZERO);
    let ada = house.browser("ada").await;
    let gone = ada.judged(("a.png", &shade(0)), "", 0).await;
    let book = rusqlite::Connection::open(house.root().join("portal/portal.sqlite")).unwrap();
    book.execute("UPDATE cases SET picture = NULL", []).unwrap();
    let without = told(&house);
    let is_said = matches!(
        without,
        Err(PortalError::Corrected(CorrectedError::Nothing { labelled: 1, without_picture: 1, left_out: 0 }))
    );
    assert!(is_said && !folder(&house).exists(), "{without:?}");
    let [one, other] = [ada.judged(("b.png", &shade(1)), "", 0).await, ada.judged(("c.png", &shade(1)), "", 1).await];
    let damaged = ada.judged(("d.png", &shade(2)), "", 0).await;
    book.execute("UPDATE cases SET picture = x'00' WHERE id = ?1", [damaged]).unwrap();
    let [good, twin] = [ada.judged(("e.png", &shade(3)), "", 2).await, ada.judged(("f.png", &shade(3)), "", 2).await];
    let found = told(&house).unwrap();
    assert_eq!((found.without_picture, found.unreadable), (vec![gone], vec![damaged]));
    assert_eq!((found.contradictory, found.images, found.groups), (vec![one, other], 2, 1));
    let files: Vec<String> = manifest(&house).into_keys().collect();
    assert_eq!(files, [format!("{good}.png"), format!("{twin}.png")], "the same picture twice is one group");
    assert!(!folder(&house).join(format!("{one}.png")).exists());
}

#[tokio::test]
async fn more_cases_than_a_set_may_have_are_refused_before_anything_is_written() {
    let house = keeping().await;
    let book = rusqlite::Connection::open(house.root().join("portal/portal.sqlite")).unwrap();
    let (sql, most) = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
         INSERT INTO cases(owner, reference, file, made_s, offer, model, digest, classes, temperature, state, label)
         SELECT 'ada', '', '', 1, '3', 'kidney', ?1, '[]', 1.0, 'answered', 0 FROM n",
        crate::book::JUDGED_MAX as i64,
    );
    book.execute(sql, rusqlite::params!["ab".repeat(32), most]).unwrap();
    let full = told(&house);
    let is_full = matches!(full, Err(PortalError::Corrected(CorrectedError::Nothing { labelled: 100_000, .. })));
    assert!(is_full, "as many are looked at: {full:?}");
    book.execute(sql, rusqlite::params!["ab".repeat(32), 1]).unwrap();
    let beyond = told(&house);
    assert!(
        matches!(beyond, Err(PortalError::Corrected(CorrectedError::TooMany { cases_max: 100_000 }))),
        "{beyond:?}"
    );
    assert!(!folder(&house).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_quality_says_how_many_cases_can_be_trained_on_and_by_which_command() {
    for keeps in [true, false] {
        let house = House::open_with(|settings| Settings { keep_images: keeps, ..settings }).await;
        let _counter = slow_counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]), Duration::ZERO);
        let ada = house.browser("ada").await;
        assert!(!ada.get("/quality").await.text().contains("As training data"), "there is no case");
        ada.judged(("a.png", &shade(0)), "", 0).await;
        let page = ada.get("/quality").await.text();
        assert_eq!(page.contains("1 of these cases have a kept image"), keeps, "{page}");
        assert_eq!(page.contains("consilium hospital data add NAME --corrected 3<"), keeps, "{page}");
        assert_eq!(page.contains("Images of new cases are not kept here"), !keeps, "{page}");
        let book = rusqlite::Connection::open(house.root().join("portal/portal.sqlite")).unwrap();
        book.execute("UPDATE cases SET picture = NULL", []).unwrap();
        assert_eq!(ada.get("/quality").await.text().contains("No image of these cases was kept"), keeps);
    }
}
