//! The dashboard as a browser meets it, fed with a status as a coordinator says it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::book::{Role, Roles, User};
use crate::routes::tests::{PASSWORD, Reply, request};

mod browser;
mod doors;
mod shown;

/// A dashboard, and what the coordinator says.
struct Place {
    folder: tempfile::TempDir,
    address: String,
    status: Arc<Mutex<Value>>,
    task: JoinHandle<()>,
}

fn settings(folder: PathBuf, status: Arc<Mutex<Value>>) -> Settings {
    let look = move || match status.lock().unwrap().clone() {
        Value::Null => Err("the books cannot be read".into()),
        status => Ok(status),
    };
    Settings { coordinator: folder, listen: "127.0.0.1:0".parse().unwrap(), certificate: None, look: Arc::new(look) }
}

impl Place {
    async fn open() -> Self {
        Self::open_with(Duration::ZERO).await
    }

    /// Whoever looks within `fresh` sees what the one before saw.
    async fn open_with(fresh: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_path_buf();
        let book = Book::of_coordinator(&root).unwrap();
        for (name, roles) in [("olga", &[Role::Operator][..]), ("anna", &[Role::Auditor]), ("ada", &[Role::Clinician])]
        {
            book.set_user(&User { name: name.into(), roles: Roles::of(roles) }, PASSWORD).unwrap();
        }
        let status = Arc::new(Mutex::new(status()));
        let mut dashboard = Dashboard::open(settings(root, Arc::clone(&status))).await.unwrap();
        Arc::get_mut(&mut dashboard.state).unwrap().fresh = fresh;
        let url = dashboard.url().unwrap();
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let task = tokio::spawn(async move { dashboard.run(std::future::pending()).await.unwrap() });
        Self { folder, address, status, task }
    }

    async fn get(&self, path: &str, cookie: &str) -> Reply {
        request(&self.address, &format!("GET {path}"), &format!("Cookie: {cookie}\r\n"), b"").await
    }

    async fn post(&self, path: &str, headers: &str, form: &str) -> Reply {
        let headers = format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}");
        request(&self.address, &format!("POST {path}"), &headers, form.as_bytes()).await
    }

    async fn sign_in(&self, name: &str, password: &str) -> Reply {
        let form = format!("name={name}&password={}&next=%2F", password.replace(' ', "+"));
        self.post("/sign-in", "", &form).await
    }

    /// The session's cookie.
    async fn signed_in(&self, name: &str) -> String {
        let reply = self.sign_in(name, PASSWORD).await;
        assert_eq!((reply.status, reply.location()), (303, "/"), "{}", reply.text());
        reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    /// Follows the page; whoever is signed in by this cookie.
    async fn followed(&self, path: &str, cookie: &str) -> TcpStream {
        let mut line = TcpStream::connect(&self.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
        line.write_all(head.as_bytes()).await.unwrap();
        line
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads until these words have come.
async fn heard(line: &mut TcpStream, words: &str) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4_096]);
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while !text.contains(words) {
        let read = tokio::time::timeout_at(until, line.read(&mut piece)).await;
        let read = read.unwrap_or_else(|_| panic!("no {words:?} in {text}")).unwrap();
        assert!(read > 0, "it ended without {words:?}: {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    text
}

fn round(number: u32, seconds: f64, ended: Option<&str>, why: Option<&str>) -> Value {
    let shares = [0.62, 0.05, 0.08, 0.2, 0.05].map(|share| share * seconds);
    let parts = ["updates", "cohort", "acceptance", "shares", "check"];
    let took: Vec<_> =
        parts.iter().zip(shares).map(|(part, seconds)| json!({"part": part, "seconds": seconds})).collect();
    let bytes = ended.is_some().then(|| 41_000_000 + u64::from(number % 5) * 900_000);
    json!({
        "round": number, "purpose": if number == 21 { "figures" } else { "train" },
        "began_at_s": 1_795_183_387 + number * 60, "seconds": ended.map(|_| seconds), "took": took,
        "part": if ended.is_none() { json!("shares") } else { Value::Null }, "attempts": 1 + number / 7 % 2,
        "cohort": 4 - number / 9 % 2, "ended": ended, "why": why,
        "received_bytes": bytes, "sent_bytes": bytes.map(|bytes| bytes / 2),
    })
}

/// A consortium of five in its third key epoch.
fn status() -> Value {
    let mut rounds: Vec<Value> =
        (1..=20).map(|number| round(number, 34.0 + f64::from(number * 7 % 11), Some("closed"), None)).collect();
    rounds[8] = round(9, 61.0, Some("void"), Some("2 complete updates, 3 needed"));
    rounds.push(round(21, 12.0, None, None));
    let names = ["charite", "heidelberg", "lmu", "st-anna", "uke"];
    let site = |(place, name): (usize, &&str)| {
        json!({
            "name": name, "live": place != 3, "heard_at_s": if place == 4 { Value::Null } else { json!(1_795_190_000) },
            "received_bytes": 210_000_000 + place * 31_000_000, "sent_bytes": 94_000_000, "asked": 3 * place,
        })
    };
    json!({
        "coordinator": "consilium.example:443", "since_s": 1_795_183_000, "at_s": 1_795_190_100,
        "bytes": {"received": 1_234_000_000_u64, "sent": 567_000_000}, "older": 2,
        "epochs": [
            {"epoch": 3, "stage": "over", "members": 5, "threshold": 3, "names": names, "approved": names, "history": {
                "orders": [{"order": "end", "at_s": 1_795_000_000, "reason": "epoch 4 <b>replaces</b> it"}],
                "models": [{"name": "pneumonia", "model": "ab".repeat(32), "sites": names, "at_s": 1_794_900_000}],
            }},
            {"epoch": 4, "stage": "open", "members": 5, "threshold": 3, "names": names, "approved": names,
             "rounds": 20, "failed": null,
             "limits": {"answers_max": 2_000, "asked_per_site_max": 400, "leak_bits_per_answer": 7,
                        "leak_bits_max": 7_000},
             "now": {
                "step": "round 21, shares", "closed": 19, "paused": null, "serving": false, "published": null,
                "answers": 18, "pending": 2, "disk": null,
                "sites": names.iter().enumerate().map(site).collect::<Vec<_>>(),
                "awaited": [
                    {"name": "lmu", "doing": {"done": 7, "of": 12}, "lease_s": 51, "since_s": 9},
                    {"name": "st-anna", "doing": "idle", "lease_s": 0, "since_s": 75},
                    {"name": "uke", "doing": {"waits_s": 5_400}, "lease_s": 60, "since_s": 2},
                ],
             },
             "history": {
                "rounds": rounds,
                "orders": [
                    {"order": "stop", "at_s": 1_795_184_000, "reason": null},
                    {"order": "resume", "at_s": 1_795_185_000, "reason": null},
                    {"order": "publish", "at_s": null, "reason": null},
                ],
                "models": [],
                "log": {"entries": 214, "head": "3f".repeat(32), "signed_entry": 212,
                        "signed_by": ["charite", "heidelberg", "lmu"]},
                "inference": {"answered": 17, "failed": 1, "timed": 17, "p50_ms": 2_340, "p95_ms": 4_810},
             }},
            {"epoch": 5, "stage": "proposed", "members": 5, "threshold": 3, "names": names, "approved": ["lmu"]},
        ],
    })
}
