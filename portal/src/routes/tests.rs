//! The portal as a browser meets it: requests in, pages out, a counter that answers like a hospital's.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use experiment::{AskedModel, DEMO, Experiment};
use imaging::Scan;
use protocol::local::Local;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::book::{Book, Role, Roles, User};
use crate::offer::Offer;
use crate::scan::noise_png;
use crate::server::{Portal, Settings};

mod account;
mod archive;
mod asking;
pub(crate) mod browser;
mod corrections;
mod doors;
mod office;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A portal, and who uses it.
struct House {
    folder: tempfile::TempDir,
    address: String,
    task: JoinHandle<()>,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }
}

/// A signed-in browser.
struct Browser<'a> {
    house: &'a House,
    cookie: String,
    csrf: String,
}

fn offer(folder: &Path) -> Offer {
    Offer {
        id: "3".into(),
        asked: Arc::new(AskedModel::of_network(&Experiment::parse("demo.toml", DEMO, &[]).unwrap())),
        figures: None,
        digest: "ab".repeat(32),
        counter: folder.to_path_buf(),
        over: None,
    }
}

/// A portal of this hospital on any free port, with nothing to ask.
fn settings(hospital: PathBuf) -> Settings {
    Settings {
        hospital,
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: None,
        keep_images: false,
        offers: Arc::new(|| Ok(Vec::new())),
        decode: Arc::new(Scan::decode),
        archive: None,
    }
}

impl House {
    async fn open() -> Self {
        Self::open_with(|settings| settings).await
    }

    /// With another offer than the usual one.
    async fn offering(change: impl FnOnce(Offer) -> Offer) -> Self {
        Self::open_with(|settings| {
            let offer = change(offer(&settings.hospital));
            Settings { offers: Arc::new(move || Ok(vec![offer.clone()])), ..settings }
        })
        .await
    }

    async fn open_with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_path_buf();
        let book = Book::open(&root).unwrap();
        for (name, roles) in [("ada", &[Role::Clinician][..]), ("odo", &[Role::Officer]), ("none", &[])] {
            book.set_user(&User { name: name.into(), roles: Roles::of(roles) }, PASSWORD).unwrap();
        }
        let of = offer(&root);
        let settings = Settings { offers: Arc::new(move || Ok(vec![of.clone()])), ..settings(root) };
        let portal = Portal::open(change(settings)).await.unwrap();
        let address = portal
            .url()
            .unwrap()
            .trim_start_matches("http://")
            .trim_start_matches("https://")
            .trim_end_matches('/')
            .to_owned();
        let task = tokio::spawn(async move { portal.run(std::future::pending()).await.unwrap() });
        Self { folder, address, task }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    async fn request(&self, head: &str, headers: &str, body: &[u8]) -> Reply {
        request(&self.address, head, headers, body).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.request(&format!("GET {path}"), "", b"").await
    }

    async fn sign_in(&self, name: &str, password: &str) -> Reply {
        let form = format!("name={name}&password={}&next=%2Fcases", password.replace(' ', "+"));
        self.request("POST /sign-in", "Content-Type: application/x-www-form-urlencoded\r\n", form.as_bytes()).await
    }

    async fn browser(&self, name: &str) -> Browser<'_> {
        let reply = self.sign_in(name, PASSWORD).await;
        assert_eq!((reply.status, reply.location()), (303, "/cases"), "{}", reply.text());
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let mut browser = Browser { house: self, cookie, csrf: String::new() };
        let page = browser.get("/new").await.text();
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).map(|rest| rest[..64].to_owned());
        browser.csrf = csrf.unwrap_or_default();
        browser
    }
}

/// One request, written as a browser writes it.
pub(crate) async fn request(host: &str, head: &str, headers: &str, body: &[u8]) -> Reply {
    let mut line = TcpStream::connect(host).await.unwrap();
    let length = body.len();
    let head =
        format!("{head} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    // The portal may answer, and hang up, before it has read everything.
    let _ = line.write_all(head.as_bytes()).await;
    let _ = line.write_all(body).await;
    let mut bytes = Vec::new();
    let _ = line.read_to_end(&mut bytes).await;
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let mut body = bytes[at + 4..].to_vec();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        body = whole(&body);
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head, body }
}

impl Drop for House {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Browser<'_> {
    async fn get(&self, path: &str) -> Reply {
        self.house.request(&format!("GET {path}"), &format!("Cookie: {}\r\n", self.cookie), b"").await
    }

    async fn post(&self, path: &str, fields: &str) -> Reply {
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let headers = format!("Cookie: {}\r\n{kind}\r\nOrigin: http://{}\r\n", self.cookie, self.house.address);
        self.house.request(&format!("POST {path}"), &headers, fields.as_bytes()).await
    }

    /// Hands something in and never comes to its end.
    async fn begins_to_hand_in(&self) -> TcpStream {
        let mut line = TcpStream::connect(&self.house.address).await.unwrap();
        let head = format!(
            "POST /drafts HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\nCookie: {}\r\n\
             Content-Type: multipart/form-data; boundary=edge\r\n\r\n--edge\r\n",
            self.cookie
        );
        line.write_all(head.as_bytes()).await.unwrap();
        line
    }

    /// Hands files in.
    async fn hand_in(&self, csrf: &str, files: &[(&str, &[u8])]) -> Reply {
        let mut body = Vec::new();
        for (name, value) in [("csrf", csrf), ("model", "3"), ("reference", "bed 7")] {
            let part = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        for (name, bytes) in files {
            let head = format!("--edge\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--edge--\r\n");
        let headers = format!("Cookie: {}\r\nContent-Type: multipart/form-data; boundary=edge\r\n", self.cookie);
        self.house.request("POST /drafts", &headers, &body).await
    }
}

/// Joins the pieces of a chunked body.
fn whole(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let Ok(length) = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16) else { break };
        let Some(piece) = rest.get(end + 2..end + 2 + length).filter(|_| length > 0) else { break };
        body.extend_from_slice(piece);
        rest = &rest[end + 4 + length..];
    }
    body
}

/// What a counter is told to say.
#[derive(Clone)]
enum Says {
    /// These logits, with all steps before them.
    Logits(Vec<f64>),
    /// No.
    No(&'static str),
}

/// A counter in a hospital's folder that answers each question alike.
fn counter(folder: &Path, says: Says) -> JoinHandle<()> {
    slow_counter(folder, says, Duration::from_millis(150))
}

/// The same, and its last step takes so long.
fn slow_counter(folder: &Path, says: Says, takes: Duration) -> JoinHandle<()> {
    hearing_counter(folder, says, takes, Arc::default())
}

/// The same, and keeps what it was asked about, in order.
fn hearing_counter(folder: &Path, says: Says, takes: Duration, heard: Arc<Mutex<Vec<Vec<f32>>>>) -> JoinHandle<()> {
    let socket = Local::open(&folder.join("counter"), "ask.sock").unwrap();
    tokio::spawn(async move {
        loop {
            let line = socket.accept().await.unwrap();
            let (says, heard) = (says.clone(), Arc::clone(&heard));
            tokio::spawn(async move {
                let mut line = BufReader::new(line);
                let mut head = String::new();
                line.read_line(&mut head).await.unwrap();
                let head: serde_json::Value = serde_json::from_str(&head).unwrap();
                let count = |name: usize| head["shape"][name].as_u64().unwrap();
                let levels = count(0) * count(1) * count(2) * head["images"].as_u64().unwrap();
                let mut image = vec![0; levels as usize * 4];
                line.read_exact(&mut image).await.unwrap();
                let level = |four: &[u8]| f32::from_le_bytes(four.try_into().unwrap());
                heard.lock().unwrap().push(image.chunks_exact(4).map(level).collect());
                let envelope =
                    r#"{"stage":"encrypted","query":"1-7","bytes":2334792,"digest":"cd","sample":"00ff00ff"}"#;
                for (step, at_ms) in [("{\"stage\":\"encrypting\"}", 1), (envelope, 30), ("{\"stage\":\"sent\"}", 90)] {
                    let text = format!("{{\"step\":{step},\"at_ms\":{at_ms}}}\n");
                    line.get_mut().write_all(text.as_bytes()).await.unwrap();
                }
                tokio::time::sleep(takes).await;
                let end = match says {
                    Says::Logits(logits) => format!(
                        "{{\"query\":\"1-7\",\"logits\":[{logits:?}],\"total_ms\":840,\"encrypt_ms\":20,\
                         \"decrypt_ms\":2,\"query_bytes\":2334792,\"reply_bytes\":5120}}\n"
                    ),
                    Says::No(why) => format!("{{\"error\":\"{why}\"}}\n"),
                };
                line.get_mut().write_all(end.as_bytes()).await.unwrap();
            });
        }
    })
}

/// A small grey picture.
fn picture() -> Vec<u8> {
    noise_png(&(0..=255).collect::<Vec<u8>>()).unwrap()
}
