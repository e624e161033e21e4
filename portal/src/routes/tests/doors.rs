//! Who is let in, and what is refused at the door.

use super::*;

#[tokio::test]
async fn nobody_sees_a_page_without_signing_in_and_comes_back_to_it_afterwards() {
    let house = House::open().await;
    for path in ["/", "/new", "/cases", "/cases/1", "/models", "/quality", "/sent", "/cases.csv", "/cases/1/fhir.json"]
    {
        let reply = house.get(path).await;
        assert_eq!(reply.status, 303, "{path}");
        assert!(reply.location().starts_with("/sign-in?next=%2F"), "{}", reply.location());
    }
    let page = house.get("/sign-in?next=%2Fcases%2F7").await.text();
    assert!(page.contains("name=\"next\" value=\"/cases/7\""), "{page}");
    let elsewhere = house.get("/sign-in?next=%2F%2Felsewhere.example").await.text();
    assert!(elsewhere.contains("name=\"next\" value=\"/\"") && !elsewhere.contains("elsewhere.example"));
    assert_eq!(house.request("POST /drafts", "", b"").await.status, 401);
    assert_eq!(house.get("/nothing").await.status, 404);
}

#[tokio::test]
async fn a_wrong_password_is_told_and_locks_after_five() {
    let house = House::open().await;
    for _ in 0..5 {
        let reply = house.sign_in("ada", "wrong wrong wrong").await;
        assert_eq!((reply.status, reply.header("set-cookie")), (401, None));
        assert!(reply.text().contains("Name or password is wrong"));
    }
    let locked = house.sign_in("ada", PASSWORD).await;
    assert_eq!(locked.status, 429);
    assert!(locked.text().contains("tried in vain too often") && locked.header("retry-after").is_some());
}

#[tokio::test]
async fn a_cookie_is_for_this_host_alone_and_no_script_reads_it() {
    let house = House::open().await;
    let cookie = house.sign_in("ada", PASSWORD).await.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("consilium=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let page = house.get("/sign-in").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    assert!(page.header("strict-transport-security").is_none(), "there is no TLS to insist on");
    let text = page.text();
    assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("style="), "{text}");
}

#[tokio::test]
async fn a_role_reaches_its_pages_and_no_others() {
    let house = House::open().await;
    let (ada, odo, none) = (house.browser("ada").await, house.browser("odo").await, house.browser("none").await);
    for path in ["/new", "/cases", "/models", "/quality", "/cases.csv"] {
        let statuses = [ada.get(path).await.status, odo.get(path).await.status, none.get(path).await.status];
        assert_eq!(statuses, [200, 403, 403], "{path}");
    }
    let statuses = [ada.get("/sent").await.status, odo.get("/sent").await.status, none.get("/sent").await.status];
    assert_eq!(statuses, [403, 200, 403]);
    for path in [
        "/cases/1",
        "/cases/1/events",
        "/cases/1/picture.png",
        "/cases/1/left.png",
        "/cases/1/fhir.json",
        "/batches/1/events",
    ] {
        assert_eq!(odo.get(path).await.status, 403, "{path}");
    }
    assert_eq!(odo.hand_in(&odo.csrf, &[("x.png", &picture())]).await.status, 403);
}

#[tokio::test]
async fn a_form_of_another_session_or_of_another_site_does_nothing() {
    let house = House::open().await;
    let (ada, other) = (house.browser("ada").await, house.browser("ada").await);
    assert_ne!(ada.csrf, other.csrf);
    for csrf in ["", &other.csrf] {
        assert_eq!(ada.hand_in(csrf, &[("x.png", &picture())]).await.status, 403, "{csrf}");
        for path in ["/drafts/x/ask", "/cases/1/label", "/sign-out"] {
            let reply = ada.post(path, &format!("csrf={csrf}&model=3&label=0")).await;
            assert!(reply.status == 403 && reply.text().contains("not from your session"), "{path}");
        }
    }
    let form = format!("csrf={}", ada.csrf);
    for foreign in
        ["Origin: http://elsewhere.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]
    {
        let headers =
            format!("Cookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n{foreign}\r\n", ada.cookie);
        let reply = house.request("POST /sign-out", &headers, form.as_bytes()).await;
        assert!(reply.status == 403 && reply.text().contains("Another site"), "{foreign}");
    }
    assert_eq!(ada.get("/new").await.status, 200, "still signed in");
    assert_eq!(ada.post("/sign-out", &form).await.status, 303);
    assert_eq!(ada.get("/new").await.status, 303);
    assert_eq!(other.get("/new").await.status, 200, "the other tab's session is its own");
}

#[tokio::test]
async fn a_session_ends_with_its_user_its_password_and_its_roles() {
    let house = House::open().await;
    let book = Book::open(&house.root()).unwrap();
    let ada = house.browser("ada").await;
    book.set_user(&User { name: "ada".into(), roles: Roles::of(&[Role::Clinician]) }, "another password").unwrap();
    assert_eq!(ada.get("/new").await.status, 303);
    assert_eq!(ada.hand_in(&ada.csrf, &[("x.png", &picture())]).await.status, 401);
    let odo = house.browser("odo").await;
    book.remove_user("odo").unwrap();
    assert_eq!(odo.get("/sent").await.status, 303);
}

#[tokio::test]
async fn pages_speak_the_browsers_language_and_the_chosen_one() {
    let house = House::open().await;
    let german = house.request("GET /sign-in", "Accept-Language: de-AT,de;q=0.9\r\n", b"").await.text();
    assert!(german.contains("<html lang=\"de\">") && german.contains("Kennwort"));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let chosen = house.request("POST /language", form, b"language=de").await;
    assert_eq!(chosen.header("set-cookie").unwrap().split(';').next(), Some("consilium-language=de"));
    let page = house.request("GET /sign-in", "Cookie: consilium-language=de\r\n", b"").await.text();
    assert!(page.contains("<html lang=\"de\">"));
}

#[tokio::test]
async fn only_this_machine_is_let_in_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        hospital: folder.path().to_path_buf(),
        listen: "0.0.0.0:0".parse().unwrap(),
        certificate: None,
        keep_images: false,
        offers: Arc::new(|| Ok(Vec::new())),
        decode: Arc::new(Scan::decode),
        archive: None,
    };
    assert!(matches!(Portal::open(settings).await, Err(crate::PortalError::Plain(_))));
}

/// A certificate for this machine, made for one test: its authority, and the files of chain and key.
fn certificate(folder: &Path) -> (rustls::pki_types::CertificateDer<'static>, crate::Certificate) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = crate::Certificate { chain: folder.join("chain.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.chain, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    (cert.der().clone(), files)
}

#[tokio::test]
async fn with_a_certificate_the_portal_speaks_tls_alone_and_its_cookie_never_leaves_it() {
    let files = tempfile::tempdir().unwrap();
    let (trusted, certificate) = certificate(files.path());
    let house = House::open_with(|settings| Settings { certificate: Some(certificate), ..settings }).await;
    let address = house.address.trim_start_matches("https://").to_owned();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let line = TcpStream::connect(&address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut line = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, line).await.unwrap();
    let form = format!("name=ada&password={}", PASSWORD.replace(' ', "+"));
    let head = format!(
        "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    line.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = line.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.starts_with("__Host-consilium=") && cookie.ends_with("; SameSite=Strict; Secure"), "{cookie}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), plain.read_to_end(&mut heard)).await;
    assert!(!String::from_utf8_lossy(&heard).contains("HTTP/1.1 200"), "in the clear there is no page");
}

#[tokio::test]
async fn a_certificate_without_its_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, files) = certificate(folder.path());
    std::fs::write(&files.key, "no key").unwrap();
    let (chain, hospital) = (files.chain.clone(), folder.path().to_path_buf());
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: Some(files),
        keep_images: false,
        offers: Arc::new(|| Ok(Vec::new())),
        decode: Arc::new(Scan::decode),
        archive: None,
        hospital,
    };
    let refused = Portal::open(settings).await;
    assert!(matches!(refused, Err(crate::PortalError::Certificate { path, .. }) if path == chain));
}

#[tokio::test]
async fn what_is_silent_is_let_go_and_what_comes_beyond_the_places_is_closed() {
    let house = House::open().await;
    let mut silent = Vec::new();
    for _ in 0..crate::connections::CONNECTIONS_MAX {
        silent.push(TcpStream::connect(&house.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut beyond = TcpStream::connect(&house.address).await.unwrap();
    let _ = beyond.write_all(b"GET /sign-in HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = beyond.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    // Nothing is heard on any of them, until the portal ends them.
    for line in &mut silent {
        let ended = tokio::time::timeout(Duration::from_secs(20), line.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "it is held for ever");
    }
    assert_eq!(house.get("/sign-in").await.status, 200);
}

#[tokio::test]
async fn slow_uploads_hold_no_place_for_ever_and_others_are_told_meanwhile() {
    let house = House::open().await;
    let ada = house.browser("ada").await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(ada.begins_to_hand_in().await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = ada.hand_in(&ada.csrf, &[("x.png", &picture())]).await;
    assert!(told.status == 503 && told.text().contains("Too many cases wait"), "{}", told.text());
    for line in &mut slow {
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(20), line.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("took too long to arrive"), "{answer}");
    }
    assert_eq!(ada.hand_in(&ada.csrf, &[("x.png", &picture())]).await.status, 303);
}

#[tokio::test]
async fn one_portal_at_a_time_serves_a_folder_and_takes_nothing_from_the_other() {
    let house = House::open().await;
    let second = Portal::open(settings(house.root())).await;
    assert!(matches!(second, Err(crate::PortalError::Busy(folder)) if folder == house.root()));
    let free = tempfile::tempdir().unwrap();
    drop(Portal::open(settings(free.path().to_path_buf())).await.unwrap());
    assert!(Portal::open(settings(free.path().to_path_buf())).await.is_ok(), "the lock goes with its process");
}
