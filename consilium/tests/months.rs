//! A month in a minute: a coordinator and a site in service while their clocks are moved on, by libfaketime.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
/// The library that moves clocks; `None`, with a printed line, where it is not installed.
fn library() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let found = folders.iter().map(|folder| Path::new(folder).join("faketime/libfaketime.so.1")).find(|it| it.exists());
    if found.is_none() {
        eprintln!("skipped: libfaketime is not installed");
    }
    found
}

struct Place {
    folder: tempfile::TempDir,
    library: PathBuf,
    processes: Vec<Child>,
}

impl Place {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        // The clock on the wall moves, the one that waits are counted on does not.
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", self.folder.path().join("clock"));
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }

    /// Moves every clock, those of running processes too.
    fn later(&self, days: u32) {
        fs::write(self.folder.path().join("clock"), format!("+{days}d\n")).expect("written");
    }

    fn serve(&mut self, arguments: &[&str]) {
        let child = self.command(arguments).spawn().expect("the program starts");
        self.processes.push(child);
    }

    fn json(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = self.command(&[arguments, &["--format", "json"]].concat()).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => Ok(serde_json::from_str::<Value>(&text).expect("JSON")["data"].take()),
            _ => Err(text),
        }
    }

    fn until(&self, what: &str, mut happened: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !happened(self) {
            assert!(started.elapsed() < PATIENCE, "{what} did not happen");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn certificate_until(&self, site: &str) -> String {
        let text = fs::read_to_string(self.folder.path().join(site).join("membership.json")).expect("a member");
        serde_json::from_str::<Value>(&text).expect("JSON")["certificate_until"].to_string()
    }

    fn join(&mut self, site: &str) {
        let (mut child, words) = self.asks(site);
        self.json(&["coordinator", "approve", site, "--words", &words]).expect("a member");
        assert_eq!(child.wait().expect("ended").code(), Some(0));
    }

    /// A site that waits, and the words that it reads aloud.
    fn asks(&mut self, site: &str) -> (Child, String) {
        let invite = self.json(&["coordinator", "invite", site]).expect("an invitation")["invite"].clone();
        let invite = invite.as_str().expect("a line");
        let mut joining = self.command(&["hospital", "join", invite, "--organisation", "Clinic", "--folder", site]);
        let log = fs::File::create(self.folder.path().join(format!("{site}.log"))).expect("a file");
        let child = joining.stderr(log).spawn().expect("the program starts");
        let words = |place: &Self| {
            let text = fs::read_to_string(place.folder.path().join(format!("{site}.log"))).unwrap_or_default();
            text.lines().find_map(|line| line.strip_prefix("    ").map(str::to_owned))
        };
        self.until("six words", |place| words(place).is_some());
        let words = words(self).expect("words");
        (child, words)
    }

    /// Carries requests to the authority's folder, types these lines there, and carries back what was signed.
    fn signed(&self, typed: &str) -> Result<Value, String> {
        self.json(&["coordinator", "requests", "requests"])?;
        let arguments = ["coordinator", "sign", "requests", "--to", "certificates", "--folder", "safe"];
        let mut command = self.command(&arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
        child.stdin.take().expect("piped").write_all(typed.as_bytes()).expect("typed");
        match child.wait().expect("ended").code() {
            Some(0) => self.json(&["coordinator", "admit", "certificates"]),
            code => Err(format!("{code:?}")),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for child in &mut self.processes {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

#[test]
fn certificates_are_renewed_in_service_and_a_site_that_slept_through_is_told() {
    let Some(library) = library() else { return };
    let mut place = Place { folder: tempfile::tempdir().expect("a folder"), library, processes: Vec::new() };
    place.later(0);
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    place.json(&["coordinator", "init", "--address", &address, "--listen", &address]).expect("set up");
    place.serve(&["coordinator", "serve"]);
    place.until("a coordinator in service", |place| place.json(&["coordinator", "status"]).is_ok());
    place.join("awake");
    place.join("asleep");
    place.serve(&["hospital", "serve", "--folder", "awake"]);
    let first = place.certificate_until("awake");

    // Not before half of its time: nothing is renewed on day 14.
    place.later(14);
    place.until("a member that is heard on day 14", |place| {
        place.json(&["hospital", "status", "--folder", "asleep"]).is_ok()
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(place.certificate_until("awake"), first);

    // On day 16 the site in service renews, and so does the coordinator, in the same process.
    place.later(16);
    place.until("a renewal", |place| place.certificate_until("awake") != first);

    // On day 31 both first certificates have ended. The one who was awake is heard by the same coordinator's process.
    place.later(31);
    place.until("a member that is heard on day 31", |place| {
        place.json(&["hospital", "status", "--folder", "awake"]).is_ok()
    });
    let late = place.json(&["hospital", "status", "--folder", "asleep"]).expect_err("its certificate has ended");
    assert!(late.contains("not valid at this time"), "{late}");

    // The operator invites it back: the same keys, words on the telephone, and it is heard again.
    assert!(place.json(&["coordinator", "invite", "awake"]).is_err(), "its certificate is valid");
    let key = |place: &Place| fs::read(place.folder.path().join("asleep/vault/tls-key.sealed")).expect("a key");
    let before = key(&place);
    place.join("asleep");
    assert_eq!(key(&place), before);
    place.json(&["hospital", "status", "--folder", "asleep"]).expect("a member again");
}

#[test]
fn an_authority_that_is_kept_offline_lets_sites_in_and_renews_them_by_files_that_people_carry() {
    let Some(library) = library() else { return };
    let mut place = Place { folder: tempfile::tempdir().expect("a folder"), library, processes: Vec::new() };
    place.later(0);
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    place.json(&["coordinator", "authority", "--folder", "safe"]).expect("an authority");
    assert!(place.json(&["coordinator", "authority", "--folder", "safe"]).is_err(), "its key is never replaced");
    let init = ["coordinator", "init", "--address", &address, "--listen", &address];
    place.json(&[init.as_slice(), &["--authority", "safe/authority.pem"]].concat()).expect("set up");
    let keys: Vec<_> = fs::read_dir(place.folder.path().join("coordinator/vault")).expect("a vault").collect();
    assert!(keys.into_iter().all(|key| key.expect("a key").file_name() != "authority-key.sealed"));
    let unsigned = place.json(&["coordinator", "serve"]).expect_err("no certificate yet");
    assert!(unsigned.contains("\"not_signed\""), "{unsigned}");

    // The coordinator's words first; without them nothing is signed.
    let words = place.json(&["coordinator", "requests", "requests"]).expect("requests")["words"].clone();
    assert_eq!(place.signed("abandon abandon abandon abandon abandon abandon\n"), Err("Some(6)".to_owned()));
    place.signed(&format!("{}\n", words.as_str().expect("words"))).expect("signed");
    place.serve(&["coordinator", "serve"]);
    place.until("a coordinator in service", |place| place.json(&["coordinator", "status"]).is_ok());

    // A site is let in by its words, typed where the authority is and nowhere else.
    let (mut child, words) = place.asks("st-anna");
    let here = place.json(&["coordinator", "approve", "st-anna", "--words", &words]).expect_err("no key here");
    assert!(here.contains("\"authority_elsewhere\""), "{here}");
    assert_eq!(place.signed("\n").expect("none was heard")["sites"], Value::Array(Vec::new()));
    let admitted = place.signed(&format!("{words}\n")).expect("signed");
    assert_eq!(admitted["sites"][0]["name"], "st-anna");
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    let first = place.certificate_until("st-anna");

    // On day 210 more than half of the time is over: nobody types anything, and the site takes what was signed.
    place.later(210);
    place.until("a member that is heard on day 210", |place| {
        place.json(&["hospital", "status", "--folder", "st-anna"]).is_ok()
    });
    let none = place.json(&["hospital", "renew", "--folder", "st-anna"]).expect_err("nothing was signed");
    assert!(none.contains("\"not_renewed\""), "{none}");
    place.signed("").expect("signed");
    place.json(&["hospital", "renew", "--folder", "st-anna"]).expect("renewed");
    assert_ne!(place.certificate_until("st-anna"), first);

    // On day 405 both first certificates have ended; the same process shows the coordinator's second one.
    place.later(405);
    place.until("a member that is heard on day 405", |place| {
        place.json(&["hospital", "status", "--folder", "st-anna"]).is_ok()
    });
}
