//! From a scan that is handed in to its answer.

use std::time::Instant;

use datasets::Normalisation;
use metrics::{ImageDistribution, ImageStatistics, PooledFigures, StatisticSums};
use ndarray::Array3;

use super::*;
use crate::answer::tests::figures;

/// Figures that were measured on 60 dark pictures of the demo's size, with levels from 0.1 to 0.25.
pub(super) fn of_dark_images() -> PooledFigures {
    let mut sums = StatisticSums::default();
    for level in 0..60 {
        let image = Array3::from_elem((1, 28, 28), -1.6 + level as f32 / 100.0);
        sums.add(&ImageStatistics::of(image.view(), Normalisation { mean: 0.5, std: 0.25 }));
    }
    PooledFigures { appearance: ImageDistribution::new(&sums), ..figures(0.8) }
}

impl Browser<'_> {
    /// The page at a path once it says this.
    pub(super) async fn page_with(&self, path: &str, words: &str) -> String {
        let since = Instant::now();
        loop {
            let page = self.get(path).await.text();
            if page.contains(words) {
                return page;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "{path} never says {words:?}: {page}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Hands one picture in and asks about it; the case's path.
    pub(super) async fn asked(&self, bytes: &[u8]) -> String {
        let draft = self.hand_in(&self.csrf, &[("C:\\scans\\<one>.png", bytes)]).await;
        assert_eq!(draft.status, 303, "{}", draft.text());
        let path = draft.location().split('?').next().unwrap().to_owned();
        let form = format!("csrf={}&model=3&reference=bed+7&frame=1", self.csrf);
        let case = self.post(&format!("{path}/ask"), &form).await;
        assert_eq!(case.status, 303, "{}", case.text());
        case.location().to_owned()
    }
}

#[tokio::test]
async fn a_scan_is_looked_at_asked_about_answered_and_found_again() {
    let house = House::open().await;
    let _counter = counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]));
    let ada = house.browser("ada").await;
    let draft = ada.hand_in(&ada.csrf, &[("one.png", &picture())]).await;
    let page = ada.get(draft.location()).await.text();
    assert!(
        page.contains("Is this the scan?") && page.contains("one.png · 16 × 16") && page.contains("bed 7"),
        "{page}"
    );
    let picture_path = page.split("id=\"picture\" src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let drawn = ada.get(&picture_path.replace("&amp;", "&")).await;
    assert_eq!((drawn.status, drawn.header("content-type")), (200, Some("image/png")));
    let case = ada.asked(&picture()).await;
    let page = ada.page_with(&case, "The model answers").await;
    for words in [
        "bed 7",
        "&lt;one&gt;.png",
        "84.4",
        "not measured",
        "2.33",
        "as question 1-7",
        "cd</code>",
        "Not a medical device",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("<one>"), "names are escaped");
    for part in ["picture.png", "left.png"] {
        let drawn = ada.get(&format!("{case}/{part}")).await;
        assert_eq!((drawn.status, &drawn.body[1..4]), (200, &b"PNG"[..]), "{part}");
    }
    let report = ada.get(&format!("{case}/fhir.json")).await;
    assert_eq!(report.header("content-type"), Some("application/fhir+json"));
    let report: serde_json::Value = serde_json::from_slice(&report.body).unwrap();
    assert_eq!(report["resourceType"], "DiagnosticReport");
    let found = ada.get("/cases?words=BED").await.text();
    assert!(found.contains(&format!("href=\"{case}\"")) && found.contains("Found: 1<"), "{found}");
    assert!(ada.get("/cases?words=bed+8").await.text().contains("Found: 0<"));
    let table = ada.get("/cases.csv").await.text();
    assert!(table.lines().nth(1).unwrap().contains(",answered,"), "{table}");
    assert_eq!(ada.get("/cases/99").await.status, 404);
}

#[tokio::test]
async fn a_scan_unlike_those_of_the_hospitals_is_warned_of_and_one_like_them_is_not() {
    let house = House::offering(|offer| Offer { figures: Some(of_dark_images()), ..offer }).await;
    let _counter = counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]));
    let ada = house.browser("ada").await;
    let dark = noise_png(&[43; 256]).unwrap();
    for (scan, is_unlike) in [(picture(), true), (dark, false)] {
        let draft = ada.hand_in(&ada.csrf, &[("one.png", &scan)]).await;
        let draft = ada.get(draft.location()).await.text();
        assert_eq!(draft.contains("does not look like"), is_unlike, "{draft}");
        let case = ada.asked(&scan).await;
        let page = ada.page_with(&case, "The model answers").await;
        assert_eq!(page.contains("does not look like"), is_unlike, "{page}");
        assert!(page.contains("compared with 60 test and validation images"), "{page}");
        assert!(page.contains("800 images of 250 patients or series"), "{page}");
        let list = ada.get("/cases").await.text();
        let row = list.split("<tr>").find(|row| row.contains(&format!("\"{case}\""))).unwrap();
        assert_eq!(row.contains("unlike the model"), is_unlike, "{row}");
        let report: serde_json::Value =
            serde_json::from_slice(&ada.get(&format!("{case}/fhir.json")).await.body).unwrap();
        assert_eq!(report["note"].as_array().unwrap().len(), 1 + usize::from(is_unlike), "{report}");
        let table = ada.get("/cases.csv").await.text();
        let at = table.lines().next().unwrap().split(',').position(|head| head == "unlike").unwrap();
        let distance: f64 = table.lines().nth(1).unwrap().split(',').nth(at).unwrap().parse().unwrap();
        assert_eq!(distance > 4.0, is_unlike, "{table}");
    }
}

#[tokio::test]
async fn what_happens_is_heard_while_it_happens() {
    let house = House::open().await;
    let _counter = slow_counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]), Duration::from_secs(2));
    let ada = house.browser("ada").await;
    let case = ada.asked(&picture()).await;
    // Ends when the case does.
    let heard = ada.get(&format!("{case}/events")).await.text();
    assert!(heard.contains("event: steps") && heard.trim_end().ends_with("event: done\ndata: done"), "{heard}");
    assert!(ada.get(&case).await.text().contains("The model answers"));
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_reason_and_nothing_is_lost() {
    let house = House::open().await;
    let ada = house.browser("ada").await;
    let case = ada.asked(&picture()).await;
    ada.page_with(&case, "service does not run").await;
    let _counter = counter(&house.root(), Says::No("the quota of this hospital is used up"));
    let case = ada.asked(&picture()).await;
    ada.page_with(&case, "The reason: the quota of this hospital is used up").await;
    assert_eq!(ada.get(&format!("{case}/fhir.json")).await.status, 404, "no answer, no report");
}

#[tokio::test]
async fn several_files_are_asked_about_together_and_a_bad_one_stops_no_other() {
    let house = House::open().await;
    let _counter = counter(&house.root(), Says::Logits(vec![5.0, 0.0, 0.0]));
    let ada = house.browser("ada").await;
    let (good, bad) = (picture(), b"<html>not a picture</html>".to_vec());
    let batch = ada.hand_in(&ada.csrf, &[("a.png", &good), ("b.png", &bad), ("c.png", &good)]).await;
    assert_eq!((batch.status, batch.location()), (303, "/cases?batch=1"), "{}", batch.text());
    let page = ada.page_with("/cases?batch=1", "3 of 3 done").await;
    assert!(page.contains("Found: 3<") && page.matches("98.7").count() == 2 && page.contains("The reason:"), "{page}");
    let table = ada.get("/cases.csv?batch=1").await.text();
    assert_eq!(
        (table.lines().count(), table.matches(",answered,").count(), table.matches(",refused,").count()),
        (4, 2, 1)
    );
    assert!(ada.get("/batches/1/events").await.text().contains("event: done"));
}

#[tokio::test]
async fn fewer_answers_than_images_of_a_question_answer_none_of_them() {
    let two = Experiment::parse("demo.toml", DEMO, &["publish.images=2".to_owned()]).unwrap();
    let house = House::offering(|offer| Offer { asked: Arc::new(AskedModel::of_network(&two)), ..offer }).await;
    let _counter = counter(&house.root(), Says::Logits(vec![5.0, 0.0, 0.0]));
    let ada = house.browser("ada").await;
    let batch = ada.hand_in(&ada.csrf, &[("a.png", &picture()), ("b.png", &picture())]).await;
    assert_eq!(batch.status, 303, "{}", batch.text());
    let page = ada.page_with("/cases?batch=1", "2 of 2 done").await;
    assert_eq!(page.matches("1 answers to 2 images").count(), 2, "{page}");
}

#[tokio::test]
async fn a_recorded_truth_counts_and_can_be_taken_back() {
    let house = House::open().await;
    let _counter = counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]));
    let ada = house.browser("ada").await;
    let case = ada.asked(&picture()).await;
    ada.page_with(&case, "The model answers").await;
    assert!(ada.get("/quality").await.text().contains("No case of this model"));
    let record = async |label: &str| {
        ada.post(&format!("{case}/label"), &format!("csrf={}&label={label}", ada.csrf)).await.status
    };
    assert_eq!(record("2").await, 303);
    assert!(ada.get(&case).await.text().contains("recorded by ada"));
    let page = ada.get("/quality").await.text();
    assert!(page.contains("Root mean square error") && page.contains("0.0"), "{page}");
    assert_eq!((record("3").await, record("x").await), (403, 403), "there is no such class");
    assert_eq!(record("").await, 303);
    assert!(ada.get("/quality").await.text().contains("No case of this model"));
}

#[tokio::test]
async fn what_is_no_scan_is_named_and_too_much_is_refused() {
    let house = House::open().await;
    let ada = house.browser("ada").await;
    let bad = ada.hand_in(&ada.csrf, &[("page.png", b"<html>")]).await;
    assert!(bad.status == 422 && bad.text().contains("page.png") && bad.text().contains("could not be read"));
    let none = ada.hand_in(&ada.csrf, &[]).await;
    assert!(none.status == 400 && none.text().contains("No scan came"));
    assert_eq!(ada.hand_in("", &[]).await.status, 403, "a form of nobody's");
    let many: Vec<(&str, &[u8])> = vec![("x.png", b"x"); 501];
    assert_eq!(ada.hand_in(&ada.csrf, &many).await.status, 413);
    let long = "x".repeat(1_025);
    let field = format!("--edge\r\nContent-Disposition: form-data; name=\"reference\"\r\n\r\n{long}\r\n--edge--\r\n");
    let multipart = format!("Cookie: {}\r\nContent-Type: multipart/form-data; boundary=edge\r\n", ada.cookie);
    let reply = house.request("POST /drafts", &multipart, field.as_bytes()).await;
    assert!(reply.status == 403 && reply.text().contains("not from your session"));
    let form = format!("name={}&password=x", "x".repeat(100_000));
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(house.request("POST /sign-in", kind, form.as_bytes()).await.status, 413);
    let headers = format!(
        "Cookie: {}\r\nContent-Type: multipart/form-data; boundary=edge\r\nContent-Length: 3221225472\r\n",
        ada.cookie
    );
    let mut line = TcpStream::connect(&house.address).await.unwrap();
    let head = format!("POST /drafts HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", house.address);
    line.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let heard = tokio::time::timeout(Duration::from_secs(10), line.read_to_string(&mut answer)).await;
    assert!(heard.is_ok() && answer.starts_with("HTTP/1.1 413") && answer.contains("too much at once"), "{answer}");
}

#[tokio::test]
async fn a_draft_is_nobody_elses() {
    let house = House::open().await;
    let (ada, other) = (house.browser("ada").await, house.browser("none").await);
    let draft = ada.hand_in(&ada.csrf, &[("one.png", &picture())]).await;
    let path = draft.location().split('?').next().unwrap().to_owned();
    assert_eq!(other.get(&format!("{path}/picture.png")).await.status, 403);
    let book = Book::open(&house.root()).unwrap();
    book.set_user(&User { name: "eve".into(), roles: Roles::of(&[Role::Clinician]) }, PASSWORD).unwrap();
    let eve = house.browser("eve").await;
    for there in ["/picture.png", "?model=3"] {
        assert_eq!(eve.get(&format!("{path}{there}")).await.status, 404, "{there}");
    }
    assert_eq!(eve.post(&format!("{path}/ask"), &format!("csrf={}&model=3", eve.csrf)).await.status, 404);
    assert_eq!(
        ada.post(&format!("{path}/ask"), &format!("csrf={}&model=4", ada.csrf)).await.status,
        409,
        "no such model"
    );
}

#[tokio::test]
async fn pictures_are_kept_only_where_the_site_says_so() {
    for keep in [false, true] {
        let house = House::open_with(|settings| Settings { keep_images: keep, ..settings }).await;
        let ada = house.browser("ada").await;
        let case = ada.asked(&picture()).await;
        let id = case.rsplit('/').next().unwrap().parse().unwrap();
        assert_eq!(Book::open(&house.root()).unwrap().picture(id).unwrap().is_some(), keep);
        assert_eq!(ada.get(&format!("{case}/picture.png")).await.status, 200, "in memory or in the book");
        ada.hand_in(&ada.csrf, &[("a.png", &picture()), ("b.png", &picture())]).await;
        ada.page_with("/cases?batch=1", "2 of 2 done").await;
        assert_eq!(Book::open(&house.root()).unwrap().picture(id + 2).unwrap().is_some(), keep, "of several as well");
    }
}

#[tokio::test]
async fn a_model_that_is_over_is_shown_and_not_asked() {
    let over = Some("version 2 has replaced it".to_owned());
    let house = House::offering(|offer| Offer { over, ..offer }).await;
    let book = Book::open(&house.root()).unwrap();
    book.set_user(&User { name: "eve".into(), roles: Roles::of(&[Role::Clinician]) }, PASSWORD).unwrap();
    let eve = house.browser("eve").await;
    assert!(eve.get("/new").await.text().contains("No model can be asked"));
    assert!(eve.get("/models").await.text().contains("version 2 has replaced it"));
    let csrf = eve.get("/cases").await.text();
    let csrf = csrf.split("name=\"csrf\" value=\"").nth(1).unwrap()[..64].to_owned();
    assert_eq!(eve.hand_in(&csrf, &[("x.png", &picture())]).await.status, 409);
}

#[tokio::test]
async fn what_an_earlier_process_left_waiting_is_said_to_have_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let book = Book::open(folder.path()).unwrap();
    let classes = ["a".to_owned(), "b".to_owned()];
    let case = crate::book::NewCase {
        owner: "ada",
        reference: "",
        file: "x.png",
        made_s: 0,
        offer: "3",
        model: "m",
        digest: "ab",
        classes: &classes,
        temperature: 1.0,
    };
    let id = book.add_cases(&[case]).unwrap().1[0];
    drop(Portal::open(settings(folder.path().to_path_buf())).await.unwrap());
    let reason = crate::desk::INTERRUPTED.to_owned();
    assert_eq!(book.case(id).unwrap().unwrap().state, crate::book::CaseState::Refused { reason });
}
