//! Who is let in, and that nobody changes anything.

use super::*;

#[tokio::test]
async fn without_a_session_there_is_no_page_and_no_event() {
    let place = Place::open().await;
    for (path, next) in [("/", "%2F"), ("/?epoch=4", "%2F%3Fepoch%3D4"), ("/events", "%2Fevents")] {
        let reply = place.get(path, "").await;
        assert_eq!((reply.status, reply.location()), (303, format!("/sign-in?next={next}").as_str()), "{path}");
    }
    let page = place.get("/sign-in", "").await;
    assert!(page.text().contains("consilium coordinator user add") && !page.text().contains("charite"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
    assert_eq!(place.sign_in("anna", "wrong wrong wrong").await.status, 401);
}

#[tokio::test]
async fn a_name_is_locked_after_five_failures() {
    let place = Place::open().await;
    for _ in 0..5 {
        assert_eq!(place.sign_in("anna", "wrong wrong wrong").await.status, 401);
    }
    let locked = place.sign_in("anna", PASSWORD).await;
    assert_eq!(locked.status, 429);
    assert!(locked.header("retry-after").is_some());
    assert_eq!(place.sign_in("olga", PASSWORD).await.status, 303, "another name is not");
}

#[tokio::test]
async fn operators_and_auditors_look_and_others_of_the_book_do_not() {
    let place = Place::open().await;
    for (name, words) in [("olga", "signed in as an operator"), ("anna", "signed in as an auditor")] {
        let page = place.get("/", &place.signed_in(name).await).await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains(words) && page.text().contains("charite"), "{}", page.text());
    }
    let clinician = place.signed_in("ada").await;
    for path in ["/", "/events"] {
        let page = place.get(path, &clinician).await;
        assert_eq!(page.status, 403);
        assert!(!page.text().contains("charite"), "{}", page.text());
    }
}

#[tokio::test]
async fn nothing_on_the_page_changes_anything() {
    let place = Place::open().await;
    let auditor = place.signed_in("anna").await;
    let page = place.get("/", &auditor).await.text();
    let forms: Vec<&str> = page.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(forms, ["/language", "/sign-out"]);
    for path in ["/", "/events", "/orders", "/stop"] {
        let reply = place.post(path, &format!("Cookie: {auditor}\r\n"), "epoch=4").await;
        assert!([404, 405].contains(&reply.status), "{path}: {}", reply.status);
    }
}

#[tokio::test]
async fn signing_out_takes_the_word_of_the_session_from_this_very_place() {
    let place = Place::open().await;
    let cookie = place.signed_in("anna").await;
    let page = place.get("/", &cookie).await.text();
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).map(|rest| rest[..64].to_owned()).unwrap();
    let own = format!("Cookie: {cookie}\r\nOrigin: http://{}\r\n", place.address);
    let foreign = format!("Cookie: {cookie}\r\nOrigin: http://elsewhere.example\r\n");
    assert_eq!(place.post("/sign-out", &own, "csrf=0").await.status, 403);
    assert_eq!(place.post("/sign-out", &foreign, &format!("csrf={csrf}")).await.status, 403);
    assert_eq!(place.get("/", &cookie).await.status, 200, "still signed in");
    assert_eq!(place.post("/sign-out", &own, &format!("csrf={csrf}")).await.status, 303);
    assert_eq!(place.get("/", &cookie).await.status, 303);
}

#[tokio::test]
async fn whoever_looks_changes_their_own_password_and_nothing_else() {
    let place = Place::open().await;
    let cookie = place.signed_in("anna").await;
    let page = place.get("/account", &cookie).await.text();
    assert!(page.contains("You are signed in as anna") && page.contains("/assets/dashboard.css"), "{page}");
    assert!(!page.contains("http-equiv=\"refresh\"") && !page.contains("dashboard.js"), "nobody's typing is lost");
    let csrf = &page.split("name=\"csrf\" value=\"").nth(1).unwrap()[..64];
    let own = format!("Cookie: {cookie}\r\nOrigin: http://{}\r\n", place.address);
    let form =
        format!("csrf={csrf}&current={}&new=another+password&again=another+password", PASSWORD.replace(' ', "+"));
    let changed = place.post("/account", &own, &form).await;
    assert_eq!((changed.status, changed.location()), (303, "/account?changed=1"), "{}", changed.text());
    let fresh = changed.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!((place.get("/", &fresh).await.status, place.get("/", &cookie).await.status), (200, 303));
    assert!(place.get("/", &fresh).await.text().contains("signed in as an auditor"), "the role stays");
    assert_eq!(place.sign_in("anna", PASSWORD).await.status, 401);
}

#[tokio::test]
async fn other_machines_are_let_in_with_a_certificate_alone_and_one_process_serves_a_folder() {
    let free = tempfile::tempdir().unwrap();
    let with = |listen: &str| Settings {
        listen: listen.parse().unwrap(),
        ..settings(free.path().to_path_buf(), Arc::new(Mutex::new(status())))
    };
    assert!(matches!(Dashboard::open(with("0.0.0.0:0")).await, Err(PortalError::Plain(_))));
    let _first = Dashboard::open(with("127.0.0.1:0")).await.unwrap();
    assert!(matches!(Dashboard::open(with("127.0.0.1:0")).await, Err(PortalError::Busy(_))));
}

#[tokio::test]
async fn the_page_follows_what_changes_and_ends_with_its_user() {
    let place = Place::open().await;
    let cookie = place.signed_in("anna").await;
    let mut line = place.followed("/events", &cookie).await;
    heard(&mut line, "round 21, shares").await;
    place.status.lock().unwrap()["epochs"][1]["now"]["step"] = "publishing".into();
    heard(&mut line, "publishing").await;
    // What cannot be read for a moment ends nothing.
    let good = std::mem::replace(&mut *place.status.lock().unwrap(), Value::Null);
    assert_eq!(place.get("/", &cookie).await.status, 500);
    *place.status.lock().unwrap() = good;
    place.status.lock().unwrap()["epochs"][1]["now"]["step"] = "serving".into();
    heard(&mut line, "serving").await;
    Book::of_coordinator(place.folder.path()).unwrap().remove_user("anna").unwrap();
    heard(&mut line, "event: over").await;
    // And with the session, also where it was ended in another window.
    let cookie = place.signed_in("olga").await;
    let mut line = place.followed("/events", &cookie).await;
    heard(&mut line, "event: page").await;
    let page = place.get("/", &cookie).await.text();
    let csrf = &page.split("name=\"csrf\" value=\"").nth(1).unwrap()[..64];
    let headers = format!("Cookie: {cookie}\r\nOrigin: http://{}\r\n", place.address);
    assert_eq!(place.post("/sign-out", &headers, &format!("csrf={csrf}")).await.status, 303);
    heard(&mut line, "event: over").await;
}

#[tokio::test]
async fn whoever_looks_within_a_moment_sees_what_the_one_before_saw() {
    let place = Place::open_with(Duration::from_secs(3_600)).await;
    let cookie = place.signed_in("anna").await;
    assert!(place.get("/", &cookie).await.text().contains("round 21, shares"));
    // The books are not read again, so that they cannot be read does no harm.
    *place.status.lock().unwrap() = Value::Null;
    assert!(place.get("/", &cookie).await.text().contains("round 21, shares"));
    heard(&mut place.followed("/events", &cookie).await, "round 21, shares").await;
}

#[tokio::test]
async fn so_many_follow_at_a_time_and_places_come_back() {
    let place = Place::open().await;
    let cookie = place.signed_in("anna").await;
    let mut lines = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        let mut line = place.followed("/events", &cookie).await;
        heard(&mut line, "event: page").await;
        lines.push(line);
    }
    let beyond = place.get("/events", &cookie).await;
    assert_eq!(beyond.status, 503);
    assert_eq!(place.get("/", &cookie).await.status, 200, "the page itself is there");
    drop(lines);
    for attempt in 0.. {
        let mut line = place.followed("/events", &cookie).await;
        if heard(&mut line, "\r\n\r\n").await.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(attempt < 50, "a browser that is gone holds its place");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
