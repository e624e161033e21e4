//! A month in a minute: a coordinator and a site in service while their clocks are moved on, by libfaketime.

use std::fs;
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
        let invite = self.json(&["coordinator", "invite", site]).expect("an invitation")["invite"].clone();
        let invite = invite.as_str().expect("a line");
        let mut joining = self.command(&["hospital", "join", invite, "--organisation", "Clinic", "--folder", site]);
        let log = fs::File::create(self.folder.path().join(format!("{site}.log"))).expect("a file");
        let mut child = joining.stderr(log).spawn().expect("the program starts");
        let words = |place: &Self| {
            let text = fs::read_to_string(place.folder.path().join(format!("{site}.log"))).unwrap_or_default();
            text.lines().find_map(|line| line.strip_prefix("    ").map(str::to_owned))
        };
        self.until("six words", |place| words(place).is_some());
        let words = words(self).expect("words");
        self.json(&["coordinator", "approve", site, "--words", &words]).expect("a member");
        assert_eq!(child.wait().expect("ended").code(), Some(0));
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
