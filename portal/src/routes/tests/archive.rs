//! From the hospital's archive to a case, and its answer back to the archive.

use std::collections::BTreeSet;

use pacs::answer::Source;
use pacs::{Archive, Bounds, Credentials, Settings as Line};

use super::*;
use crate::archive::archive_bounds;

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../../pacs/tests/archive/invented.rs"]
pub(super) mod invented;
#[path = "../../../../pacs/tests/archive/orthanc.rs"]
mod orthanc;

use invented::server::{self, Server};
use invented::{Invented, Object, Study, image, not_taken};

fn study() -> Study {
    let object = |instance, frames| Object { instance, frames, file: image("1.2", "1.2.1", instance, 1, 10) };
    let objects = vec![object("1.2.1.1", 1), object("1.2.1.2", 3)];
    Study { study: "1.2", accession: "A1", patient: "PID4711", series: "1.2.1", objects }
}

fn opened(url: &str, credentials: Option<Credentials>, bounds: Bounds) -> Archive {
    Archive::open(&Line { address: url.to_owned(), credentials, bounds, ..Line::default() }).unwrap()
}

async fn house(url: &str) -> House {
    let archive = opened(url, None, Bounds { answer: Duration::from_millis(400), ..archive_bounds() });
    House::open_with(|settings| super::Settings { archive: Some(archive), ..settings }).await
}

/// The same, with a model that was measured on other images.
async fn house_of_other_images(url: &str) -> House {
    let archive = opened(url, None, archive_bounds());
    House::open_with(|settings| {
        let offer = Offer { figures: Some(asking::of_dark_images()), ..offer(&settings.hospital) };
        super::Settings { archive: Some(archive), offers: Arc::new(move || Ok(vec![offer.clone()])), ..settings }
    })
    .await
}

impl Browser<'_> {
    async fn search(&self, fields: &str) -> Reply {
        self.post("/archive", &format!("csrf={}&{fields}", self.csrf)).await
    }

    /// Chooses an image and asks about it; the case's path once it is answered.
    async fn asked_of_archive(&self, series: &str, instance: &str) -> String {
        let form = format!("csrf={}&model=3&reference=bed+7&instance={instance}", self.csrf);
        let draft = self.post(series, &form).await;
        assert_eq!(draft.status, 303, "{}", draft.text());
        let page = self.get(draft.location()).await.text();
        assert!(page.contains("Is this the scan?") && page.contains("bed 7"), "{page}");
        let path = draft.location().split('?').next().unwrap().to_owned();
        let form = format!("csrf={}&model=3&reference=bed+7&frame=1", self.csrf);
        let case = self.post(&format!("{path}/ask"), &form).await;
        assert_eq!(case.status, 303, "{}", case.text());
        self.page_with(case.location(), "The model answers").await;
        case.location().to_owned()
    }

    async fn store(&self, case: &str) -> Reply {
        self.post(&format!("{case}/store"), &format!("csrf={}", self.csrf)).await
    }
}

/// The path of the first link below `/archive/` on a page.
fn first_link(page: &str) -> String {
    let rest = page.split("href=\"/archive/").nth(1).unwrap_or_else(|| panic!("{page}"));
    format!("/archive/{}", rest.split('"').next().unwrap())
}

#[tokio::test]
async fn an_image_is_searched_chosen_asked_about_and_its_answer_stored_once() {
    let invented = Invented::of(vec![study()]);
    let house = house(&invented.server.url()).await;
    let _counter = counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]));
    let ada = house.browser("ada").await;
    assert!(ada.get("/new").await.text().contains("href=\"/archive\""));
    let found = ada.search("accession=A1&patient=PID4711&date=").await.text();
    assert!(found.contains("Doe, Jane") && found.contains("PID4711"), "{found}");
    let series = first_link(&ada.get(&first_link(&found)).await.text());
    let page = ada.get(&series).await.text();
    assert!(series == "/archive/1.2/1.2.1" && page.matches("name=\"instance\"").count() == 2, "{page}");
    let case = ada.asked_of_archive(&series, "1.2.1.1").await;

    let busy = server::answer("503 Service Unavailable", "text/plain", "busy");
    *invented.refusing.lock().unwrap() = vec![not_taken(0x0111), not_taken(0x0122), busy];
    for words in ["The archive failed", "The archive does not take the report"] {
        let failed = ada.store(&case).await;
        assert!(failed.status == 502 && failed.text().contains(words), "{}", failed.text());
    }
    assert!(ada.get(&case).await.text().contains("Store the answer in the archive"), "it can be tried again");
    // That it has the report already is what was wanted.
    assert_eq!((ada.store(&case).await.status, ada.store(&case).await.status), (303, 303));
    let page = ada.get(&case).await.text();
    assert!(page.contains("Stored in the archive by ada") && !page.contains("Store the answer"), "{page}");
    let heard = invented.server.heard();
    let sent: Vec<&String> = heard.iter().filter(|asked| asked.starts_with("POST")).collect();
    let names = |report: &str| -> BTreeSet<String> {
        let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect();
        report.split("2.25.").skip(1).map(digits).collect()
    };
    assert_eq!(sent.len(), 3, "once stored, nothing is sent");
    assert!(names(sent[0]) == names(sent[2]) && names(sent[0]).len() == 3, "the same report at each attempt");
    assert!(sent[1].contains("Doe^Jane") && sent[1].contains("1.2.1.1"), "patient and image are the archive's own");

    for name in ["portal.sqlite", "portal.sqlite-wal"] {
        let kept = std::fs::read(house.root().join("portal").join(name)).unwrap();
        let kept = String::from_utf8_lossy(&kept);
        assert!(!kept.contains("Jane") && !kept.contains("PID4711"), "{name} names a patient");
    }
}

#[tokio::test]
async fn a_report_of_an_image_unlike_the_others_says_so_in_the_archive_too() {
    for is_unlike in [true, false] {
        let invented = Invented::of(vec![study()]);
        let url = invented.server.url();
        let house = if is_unlike { house_of_other_images(&url).await } else { house(&url).await };
        let _counter = counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]));
        let ada = house.browser("ada").await;
        let case = ada.asked_of_archive("/archive/1.2/1.2.1", "1.2.1.1").await;
        assert_eq!(ada.store(&case).await.status, 303);
        let heard = invented.server.heard();
        let sent = heard.iter().find(|asked| asked.starts_with("POST")).unwrap();
        assert_eq!(sent.contains("does not look like those that the model was measured on"), is_unlike);
    }
}

#[tokio::test]
async fn a_page_says_what_an_archive_did_not_do_and_what_to_do() {
    let html = Server::with("200 OK", "text/html", "<html>sign in, PID4711</html>");
    let stranger = Server::with("401 Unauthorized", "text/plain", "");
    let silent = Server::answering(|_| std::thread::sleep(Duration::from_secs(1)));
    for (server, words) in [
        (&html, "What answers is not the archive"),
        (&stranger, "does not let this portal in"),
        (&silent, "did not answer in time"),
    ] {
        let house = house(&server.url()).await;
        let ada = house.browser("ada").await;
        let reply = ada.search("patient=PID4711").await;
        let page = reply.text();
        assert!(reply.status == 502 && page.contains(words) && !page.contains("PID4711"), "{page}");
        for path in ["/archive/1.2", "/archive/1.2/1.3"] {
            assert_eq!(ada.get(path).await.status, 502, "{path}");
        }
    }
    let invented = Invented::of(vec![study()]);
    let house = house(&invented.server.url()).await;
    let ada = house.browser("ada").await;
    let none = ada.search("accession=A9").await;
    assert!(none.status == 200 && none.text().contains("The archive has nothing of that kind"), "{}", none.text());
    for (form, words) in [("patient=", "Nothing to search for"), ("patient=47*", "cannot search for that")] {
        let reply = ada.search(form).await;
        assert!(reply.status == 400 && reply.text().contains(words), "{}", reply.text());
    }
    let form = |instance: &str| format!("csrf={}&model=3&instance={instance}", ada.csrf);
    let gone = ada.post("/archive/1.2/1.2.1", &form("1.2.1.9")).await;
    assert!(gone.status == 502 && gone.text().contains("does not have this image any more"), "{}", gone.text());
    assert_eq!(ada.post("/archive/1.2/1.2.1", &form("x")).await.status, 404);
}

#[tokio::test]
async fn so_many_ask_the_archive_at_a_time_and_an_image_of_it_takes_a_place_as_an_upload_does() {
    let slow = Server::answering(|_| std::thread::sleep(Duration::from_secs(2)));
    let house = house_of_other_images(&slow.url()).await;
    let ada = house.browser("ada").await;
    let one_more = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        ada.search("patient=1").await
    };
    let search = || ada.search("patient=1");
    let (one, two, three, four, beyond) = tokio::join!(search(), search(), search(), search(), one_more);
    assert!(beyond.status == 503 && beyond.text().contains("Too many cases wait"), "{}", beyond.text());
    assert_eq!([one, two, three, four].map(|reply| reply.status), [502; 4], "whoever had a place was answered");

    let invented = Invented::of(vec![study()]);
    let house = house_of_other_images(&invented.server.url()).await;
    let ada = house.browser("ada").await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(ada.begins_to_hand_in().await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let form = format!("csrf={}&model=3&instance=1.2.1.1", ada.csrf);
    let told = ada.post("/archive/1.2/1.2.1", &form).await;
    assert!(told.status == 503 && invented.retrievals() == 0, "{}", told.text());
}

#[tokio::test]
async fn an_object_that_is_no_image_or_does_not_say_whose_it_is_becomes_no_draft() {
    let mut study = study();
    study.objects[0].file.truncate(300);
    study.objects[1].file = [&[0; 128][..], b"DICM", &[7; 99]].concat();
    let invented = Invented::of(vec![study]);
    let house = house(&invented.server.url()).await;
    let ada = house.browser("ada").await;
    for (instance, status) in [("1.2.1.1", 422), ("1.2.1.2", 502)] {
        let form = format!("csrf={}&model=3&instance={instance}", ada.csrf);
        let reply = ada.post("/archive/1.2/1.2.1", &form).await;
        assert_eq!(reply.status, status, "{instance}: {}", reply.text());
    }
}

#[tokio::test]
async fn the_archive_is_for_clinicians_their_own_forms_and_sites_that_have_one() {
    let invented = Invented::of(vec![study()]);
    let open = house(&invented.server.url()).await;
    let (ada, odo) = (open.browser("ada").await, open.browser("odo").await);
    for path in ["/archive", "/archive/1.2", "/archive/1.2/1.2.1"] {
        assert_eq!(odo.get(path).await.status, 403, "{path}");
        assert_eq!(open.get(path).await.location(), format!("/sign-in?next={}", crate::visitor::escaped(path)));
        assert_eq!(ada.post(path, "csrf=0&patient=PID4711&model=3&instance=1.2.1.1").await.status, path_status(path));
    }
    assert_eq!(ada.post("/cases/1/store", "csrf=0").await.status, 403);
    assert_eq!(ada.store("/cases/1").await.status, 404, "no such case");
    assert_eq!(invented.server.heard().len(), 0, "nobody asked the archive");

    let without = House::open().await;
    let _counter = counter(&without.root(), Says::Logits(vec![0.0, 3.0, 1.0]));
    let ada = without.browser("ada").await;
    assert!(!ada.get("/new").await.text().contains("/archive"));
    assert_eq!((ada.get("/archive").await.status, ada.search("patient=1").await.status), (404, 404));
    let case = ada.asked(&picture()).await;
    let page = ada.page_with(&case, "The model answers").await;
    assert!(!page.contains("/store"), "{page}");
    assert_eq!(ada.store(&case).await.status, 404, "its image came from elsewhere");
}

/// A study's page has no form.
fn path_status(path: &str) -> u16 {
    if path == "/archive/1.2" { 405 } else { 403 }
}

#[tokio::test]
async fn an_answer_lies_beside_its_image_in_a_real_archive() {
    let Some(files) = orthanc::files() else { return };
    let orthanc = orthanc::Orthanc::start();
    let real = orthanc.ready();
    real.store(&[files["CT_small.dcm"].clone(), files["MR_small.dcm"].clone()]).unwrap();
    let source = Source::of(&files["CT_small.dcm"]).unwrap();
    let (user, password) = orthanc::USER;
    let archive = opened(&orthanc.url, Credentials::basic(user, password).ok(), archive_bounds());
    let house = House::open_with(|settings| super::Settings { archive: Some(archive), ..settings }).await;
    let _counter = counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]));
    let ada = house.browser("ada").await;
    let found = ada.search("patient=1CT1").await.text();
    assert!(found.contains("CompressedSamples") && found.contains("Studies found: 1"), "{found}");
    let series = first_link(&ada.get(&first_link(&found)).await.text());
    assert_eq!(series, format!("/archive/{}/{}", source.study(), source.series()));
    assert!(ada.get(&series).await.text().contains(source.instance().as_str()));
    let case = ada.asked_of_archive(&series, source.instance().as_str()).await;
    let stored = ada.store(&case).await;
    assert_eq!(stored.status, 303, "{}", stored.text());
    let series = real.series(source.study()).unwrap();
    let report = series.iter().find(|row| row.modality.as_deref() == Some("SR")).expect("a report");
    assert_eq!(real.instances(source.study(), &report.series).unwrap().len(), 1);
    assert!(ada.get(&case).await.text().contains("Stored in the archive by ada"));
    let wrong = opened(&orthanc.url, Credentials::basic(user, "another").ok(), archive_bounds());
    let house = House::open_with(|settings| super::Settings { archive: Some(wrong), ..settings }).await;
    let ada = house.browser("ada").await;
    assert!(ada.search("patient=1CT1").await.text().contains("does not let this portal in"));
}
