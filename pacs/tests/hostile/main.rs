//! Archives that are none, are broken, or mean harm: each thing that can go wrong is an error of its own that says
//! where and what to do, and never whom it was about.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use pacs::{Archive, ArchiveError, Bounds, Credentials, Find, MultipartFault, Scope, Settings, Uid};
use remedy::Explained;

mod answers;
mod server;
mod trust;

use server::Server;

const JSON: &str = "application/dicom+json";
const PARTS: &str = "multipart/related; type=\"application/dicom\"; boundary=b";
/// What must stand in no error.
const PATIENT: &str = "4711-Miller";

fn bounds() -> Bounds {
    Bounds {
        connect: Duration::from_millis(700),
        answer: Duration::from_millis(700),
        retrieval: Duration::from_millis(700),
        head_bytes_max: 4096,
        answer_bytes_max: 10_000,
        part_bytes_max: 1000,
        retrieval_bytes_max: 10_000,
        rows_max: 3,
        parts_max: 2,
    }
}

fn archive(url: &str) -> Archive {
    let credentials = Some(Credentials::basic("officer", "hunter2").unwrap());
    let settings = Settings { address: url.to_owned(), credentials, bounds: bounds(), ..Settings::default() };
    Archive::open(&settings).unwrap()
}

fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

/// Searches for a patient, in vain, and looks at what the error says.
fn search(url: &str) -> ArchiveError {
    let find = Find { patient_id: Some(PATIENT.to_owned()), ..Find::default() };
    let error = archive(url).studies(&find).unwrap_err();
    says_enough_and_no_more(&error);
    error
}

/// Retrieves a study in vain: the error, and how many objects came before it.
fn retrieve(url: &str) -> (ArchiveError, usize) {
    let mut count = 0;
    let sink = |_| {
        count += 1;
        Ok::<(), ArchiveError>(())
    };
    let error = archive(url).retrieve(Scope::Study(&uid("1.2")), sink).unwrap_err();
    says_enough_and_no_more(&error);
    (error, count)
}

/// A DICOM file as far as anybody looks.
fn file(content: &[u8]) -> Vec<u8> {
    [&[0; 128][..], b"DICM", content].concat()
}

fn store(url: &str) -> ArchiveError {
    let error = archive(url).store(&[file(b"")]).unwrap_err();
    says_enough_and_no_more(&error);
    error
}

fn says_enough_and_no_more(error: &ArchiveError) {
    let place = error.place().unwrap();
    assert!(place.contains("http") && place.contains("/studies"), "{place}");
    assert!(!error.code().is_empty() && error.remedy().len() > 20 && error.exit().code() > 0);
    let mut all = format!("{error} {error:?} {place} {}", error.remedy());
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        all += &format!(" {deeper} {deeper:?}");
        source = deeper.source();
    }
    for secret in ["Miller", "4711", "hunter2", "officer", "b2ZmaWNlcj"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[test]
fn an_archive_that_does_not_answer_is_given_up() {
    let silent = Server::answering(|_| thread::sleep(Duration::from_millis(1500)));
    let begun = Instant::now();
    assert!(matches!(search(&silent.url()), ArchiveError::TimedOut { within, .. } if within == bounds().answer));
    assert!(begun.elapsed() < Duration::from_millis(1400));
    assert!(matches!(store(&silent.url()), ArchiveError::TimedOut { .. }));
    assert!(matches!(retrieve(&silent.url()).0, ArchiveError::TimedOut { .. }));
}

#[test]
fn an_archive_that_takes_no_connection_is_given_up_earlier() {
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    // Whoever waits to be accepted, until nobody more may wait.
    let waiting = (0..5000).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok());
    let waiting: Vec<TcpStream> = waiting.collect();
    let connect = Duration::from_millis(300);
    let bounds = Bounds { connect, answer: Duration::from_secs(20), ..bounds() };
    let settings = Settings { address: format!("http://{address}"), bounds, ..Settings::default() };
    let refused = Archive::open(&settings).unwrap().studies(&Find::default());
    assert!(matches!(refused, Err(ArchiveError::TimedOut { within, .. }) if within == connect), "{refused:?}");
    drop(waiting);
}

#[test]
fn an_answer_that_trickles_is_given_up_at_the_same_deadline() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nContent-Length: 5000\r\n\r\n");
    let slow = Server::answering(move |stream| {
        drop(stream.write_all(head.as_bytes()));
        for _ in 0..15 {
            thread::sleep(Duration::from_millis(100));
            if stream.write_all(b" ").is_err() {
                return;
            }
        }
    });
    let begun = Instant::now();
    assert!(matches!(search(&slow.url()), ArchiveError::TimedOut { .. }));
    assert!(begun.elapsed() < Duration::from_millis(1400));
}

#[test]
fn nobody_there_is_said_as_such() {
    let port = {
        let gone = Server::saying("");
        gone.port()
    };
    assert!(matches!(search(&format!("http://127.0.0.1:{port}/x")), ArchiveError::Unreachable { .. }));
    let settings =
        Settings { address: "http://archive.invalid".to_owned(), allow_plain_http: true, ..Settings::default() };
    let unknown = Archive::open(&settings).unwrap().studies(&Find::default());
    assert!(matches!(unknown, Err(ArchiveError::Unreachable { .. })), "{unknown:?}");
}

#[test]
fn what_speaks_something_else_is_told_from_what_stops_speaking() {
    assert!(matches!(search(&Server::saying("220 mail ESMTP\r\n\r\n").url()), ArchiveError::NotHttp { .. }));
    assert!(matches!(search(&Server::saying("").url()), ArchiveError::Cut { .. }));
    assert!(matches!(search(&Server::saying("HTTP/1.1 200 O").url()), ArchiveError::Cut { .. }));
}

#[test]
fn endless_headers_are_not_read_to_their_end() {
    let endless = Server::answering(|stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nX: "));
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert!(matches!(search(&endless.url()), ArchiveError::LongHead { bytes_max: 4096, .. }));
    let long =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nX: {}\r\nContent-Length: 2\r\n\r\n[]", "x".repeat(5000));
    assert!(matches!(search(&Server::saying(long).url()), ArchiveError::LongHead { .. }));
    let many = Server::answering(|stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
        while stream.write_all(b"X: y\r\n").is_ok() {}
    });
    // The library counts headers too, and has one word for all that breaks its rules.
    assert!(matches!(search(&many.url()), ArchiveError::LongHead { .. } | ArchiveError::NotHttp { .. }));
}

#[test]
fn an_endless_body_is_not_read_to_its_end() {
    for head in ["", "Transfer-Encoding: chunked\r\n", "Content-Length: 99999999999\r\n"] {
        let is_chunked = head.starts_with('T');
        let start = format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\n{head}\r\n");
        let endless = Server::answering(move |stream| {
            drop(stream.write_all(start.as_bytes()));
            let piece = if is_chunked { format!("1000\r\n{}\r\n", " ".repeat(0x1000)) } else { " ".repeat(0x1000) };
            while stream.write_all(piece.as_bytes()).is_ok() {}
        });
        assert!(matches!(search(&endless.url()), ArchiveError::TooLong { bytes_max: 10_000, .. }), "{head}");
    }
    let start = format!("HTTP/1.1 200 OK\r\nContent-Type: {PARTS}\r\n\r\n");
    let parts = Server::answering(move |stream| {
        drop(stream.write_all(start.as_bytes()));
        drop(stream.write_all(b"--b\r\n\r\n"));
        while stream.write_all(&[0; 4096]).is_ok() {}
    });
    let (error, count) = retrieve(&parts.url());
    assert!(
        matches!(error, ArchiveError::Multipart { fault: MultipartFault::PartLong { part: 1, .. }, .. }),
        "{error}"
    );
    assert_eq!(count, 0);
}

#[test]
fn statuses_say_who_has_to_do_something() {
    let of = |status: &str| search(&Server::with(status, "text/html", "<html>4711-Miller").url());
    assert!(matches!(of("401 Who"), ArchiveError::NotSignedIn { .. }));
    assert!(matches!(of("403 Forbidden"), ArchiveError::NotAllowed { .. }));
    assert!(matches!(of("404 Not Found"), ArchiveError::NotFound { status: 404, .. }));
    assert!(matches!(of("410 Gone"), ArchiveError::NotFound { status: 410, .. }));
    assert!(matches!(of("406 Not Acceptable"), ArchiveError::Refused { status: 406, .. }));
    assert!(matches!(of("409 Conflict"), ArchiveError::Refused { status: 409, .. }));
    assert!(matches!(of("500 Oh"), ArchiveError::Failing { status: 500, .. }));
    assert!(matches!(of("503 Busy"), ArchiveError::Failing { status: 503, .. }));
    assert!(matches!(of("699 What"), ArchiveError::Refused { status: 699, .. }));
    assert!(matches!(store(&Server::with("401 Who", "text/html", "").url()), ArchiveError::NotSignedIn { .. }));
    assert!(matches!(retrieve(&Server::with("404 No", "text/html", "").url()).0, ArchiveError::NotFound { .. }));
}

#[test]
fn no_redirection_is_followed_and_no_credentials_go_along() {
    let other = Server::with("200 OK", JSON, "[]");
    for status in ["301 Moved", "302 Found", "307 Later", "308 Moved"] {
        let away = format!("{}/studies?PatientID={PATIENT}", other.url());
        let moved = Server::saying(format!("HTTP/1.1 {status}\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n"));
        let error = search(&moved.url());
        assert!(matches!(&error, ArchiveError::Moved { to, .. } if to == "http://127.0.0.1"), "{error:?}");
        assert!(matches!(store(&moved.url()), ArchiveError::Moved { .. }));
        assert_eq!(moved.heard().len(), 2);
    }
    assert!(other.heard().is_empty());
    let within =
        Server::saying(format!("HTTP/1.1 302 Found\r\nLocation: /sign-in?{PATIENT}\r\nContent-Length: 0\r\n\r\n"));
    assert!(matches!(search(&within.url()), ArchiveError::Moved { to, .. } if to == "another path of it"));
    let long = format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", "x".repeat(999));
    assert!(matches!(search(&Server::saying(long).url()), ArchiveError::Moved { to, .. } if to.len() < 110));
    let nowhere = Server::saying("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(search(&nowhere.url()), ArchiveError::Moved { to, .. } if to == "nowhere"));
}

#[test]
fn a_variable_of_the_environment_sends_nothing_elsewhere() {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "credentials_are_sent_with_what_is_asked_for"]);
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"] {
        again.env(variable, "http://127.0.0.1:9");
    }
    let said = again.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("1 passed"), "{said:?}");
}

#[test]
fn credentials_are_sent_with_what_is_asked_for() {
    let own = Server::with("200 OK", JSON, "[]");
    archive(&own.url()).studies(&Find::default()).unwrap();
    let heard = own.heard().concat().to_ascii_lowercase();
    assert!(heard.starts_with("get /dicom-web/studies?limit=3&"), "{heard}");
    assert!(heard.contains("authorization: basic b2zmawnlcjpodw50zxiy\r\n"), "{heard}");
    assert!(heard.contains("user-agent: consilium\r\n"), "{heard}");
    assert!(heard.contains("accept: application/dicom+json\r\n"), "{heard}");
}
