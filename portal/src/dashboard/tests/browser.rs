//! The dashboard in a real browser, as a hospital's pages are walked through.

use fantoccini::Locator;

use super::*;
use crate::routes::tests::browser::{Walk, driver};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_watches_the_consortium() {
    let Some(driver) = driver() else { return };
    let place = Place::open().await;
    let walk = Walk::begin(&driver, place.folder.path(), &place.address).await;
    walk.go("/").await;
    walk.sees("consilium coordinator user add").await;
    walk.looks("dashboard-sign-in").await;
    walk.types("#name", "anna").await;
    walk.types("#password", PASSWORD).await;
    walk.click("main button").await;
    walk.sees("How the consortium stands").await;
    walk.sees("Live: this page follows").await;
    walk.looks("dashboard").await;
    // What a reader has opened stays open while the page follows.
    walk.click("#d-rounds summary").await;
    place.status.lock().unwrap()["epochs"][1]["now"]["step"] = "publishing".into();
    walk.sees("publishing").await;
    let open = walk.client.find(Locator::Css("#d-rounds[open]")).await;
    assert!(open.is_ok(), "the table is open");
    walk.looks("dashboard-table").await;
    walk.go("/?epoch=5").await;
    walk.sees("its officer's approval").await;
    walk.looks("dashboard-proposed").await;
    walk.go("/").await;
    walk.click(".who form:first-child button").await;
    walk.sees("Wie es um das Konsortium steht").await;
    walk.looks("dashboard-german").await;
    Book::of_coordinator(place.folder.path()).unwrap().remove_user("anna").unwrap();
    walk.sees("Anmelden").await;
    walk.client.close().await.unwrap();
}
