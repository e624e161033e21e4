//! The ladder of checks as a process: all well, and one thing after the other broken. And a site whose disk is full.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

const RUNGS: [&str; 11] =
    ["name", "network", "certificate", "clock", "membership", "vault", "disk", "device", "data", "training", "crypto"];
const FAILED: i32 = 1;
const CONNECTION: i32 = 2;
const BAD_INPUT: i32 = 4;
const REFUSED: i32 = 5;
const STORAGE_FULL: i32 = 7;
/// One grey pixel.
const PNG: &[u8] = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\
    \x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\x00\x00\x00\x0a\x49\x44\x41\x54\x78\xda\x63\x68\x00\x00\x00\
    \x82\x00\x81\xda\x45\x08\x3b\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

/// A coordinator in service, and room for sites.
struct Consortium {
    place: tempfile::TempDir,
    address: String,
    server: Option<Child>,
}

impl Consortium {
    fn open() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        // Free a moment ago; nobody else listens on the loopback device of a test.
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut consortium = Self { place, address: format!("127.0.0.1:{port}"), server: None };
        consortium.serve("coordinator");
        consortium
    }

    /// Sets a coordinator up in a folder and serves it, all at the same address.
    fn serve(&mut self, folder: &str) {
        self.stop();
        let address = self.address.clone();
        self.done(&["coordinator", "init", "--folder", folder, "--address", &address, "--listen", &address]);
        let mut server = command(self.place.path(), &["coordinator", "serve", "--folder", folder]);
        let mut server = server.stderr(Stdio::piped()).spawn().expect("up");
        let mut line = String::new();
        BufReader::new(server.stderr.take().expect("piped")).read_line(&mut line).expect("a line");
        assert!(line.starts_with("listening on"), "{line}");
        self.server = Some(server);
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill().and_then(|()| server.wait());
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command(self.place.path(), arguments).stderr(Stdio::piped()).output().expect("the program starts")
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn invite(&self, name: &str) -> String {
        self.done(&["coordinator", "invite", name])
    }

    fn member(&self, site: &str) {
        let invite = self.invite(site);
        let arguments = ["hospital", "join", &invite, "--organisation", site, "--folder", site];
        let mut joining = command(self.place.path(), &arguments).stderr(Stdio::piped()).spawn().expect("up");
        let mut log = BufReader::new(joining.stderr.take().expect("piped")).lines();
        let words = log.by_ref().map(|line| line.expect("a line")).find(|line| line.starts_with("    "));
        self.done(&["coordinator", "approve", site, "--words", words.expect("words").trim()]);
        assert_eq!(joining.wait().expect("ended").code(), Some(0));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn check(&self, arguments: &[&str]) -> Checked {
        Checked::of(&self.run(&[&["hospital", "check", "--format", "json"], arguments].concat()))
    }
}

impl Drop for Consortium {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A ladder as a program reads it.
struct Checked {
    rungs: Vec<Value>,
    exit: Option<i32>,
}

impl Checked {
    fn of(output: &Output) -> Self {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut value: Value = serde_json::from_slice(&output.stdout).expect(&told);
        let Value::Array(rungs) = value["data"].take() else { unreachable!("{value}") };
        let names: Vec<&str> = rungs.iter().filter_map(|rung| rung["rung"].as_str()).collect();
        assert_eq!(names, RUNGS);
        assert!(rungs.iter().all(|rung| rung["ms"].is_u64()), "{rungs:?}");
        Self { rungs, exit: output.status.code() }
    }

    fn rung(&self, name: &str) -> &Value {
        self.rungs.iter().find(|rung| rung["rung"] == name).expect("a rung")
    }

    /// Asserts how a rung ended, and that it says this.
    fn is(&self, name: &str, result: &str, found: &str) {
        let rung = self.rung(name);
        assert_eq!(rung["result"], result, "{rung}");
        assert!(rung["found"].as_str().is_some_and(|text| text.contains(found)), "{rung}");
        assert_eq!(rung["do"].is_string(), result == "failed" || result == "warning", "{rung}");
    }

    /// Asserts the code and which rungs failed.
    fn failed(&self, exit: i32, names: &[&str]) {
        let failed = self.rungs.iter().filter(|rung| rung["result"] == "failed");
        let failed: Vec<&str> = failed.filter_map(|rung| rung["rung"].as_str()).collect();
        assert_eq!((self.exit, failed.as_slice()), (Some(exit), names), "{:#?}", self.rungs);
    }
}

fn command(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    command.current_dir(place).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

#[test]
fn a_member_with_images_and_a_plan_climbs_to_the_top() {
    let consortium = Consortium::open();
    let sites = ["a", "b", "c", "d", "e"];
    sites.into_iter().for_each(|site| consortium.member(site));
    for class in ["normal", "pneumonia"] {
        let folder = consortium.path("images").join(class);
        fs::create_dir_all(&folder).expect("a folder");
        (0..60).for_each(|number| fs::write(folder.join(format!("{number}.png")), PNG).expect("written"));
    }
    let before = consortium.check(&["--folder", "a"]);
    before.is("data", "warning", "no data set is named");
    before.is("training", "skipped", "needs a plan");
    consortium.done(&["hospital", "data", "add", "cxr", "images", "--folder", "a"]);
    consortium.check(&["--folder", "a"]).is("data", "passed", "no plan is proposed yet");

    let plan = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/consortium.toml"));
    let plan = plan.expect("a plan").replace("format = \"npz\"", "format = \"image-folder\"");
    fs::write(consortium.path("plan.toml"), plan).expect("written");
    consortium.done(&["coordinator", "run", "plan.toml"]);
    // A service that has something to say and cannot write it down ends, and loses nothing.
    fill_the_disk(&consortium.path("a"));
    let full = consortium.run(&["hospital", "serve", "--folder", "a"]);
    let told = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(STORAGE_FULL), "{told}");
    assert!(told.contains("this site's disk is full") && told.contains("goes on where it was"), "{told}");
    make_room(&consortium.path("a"));

    let good = consortium.check(&["--folder", "a"]);
    good.failed(0, &[]);
    for (name, found) in [
        ("name", "127.0.0.1 is an address itself"),
        ("network", "a connection over quic stands after"),
        ("certificate", "this site's has 29 days left"),
        ("clock", "agrees with the coordinator's to the second"),
        ("membership", "a is one of 5 members"),
        ("vault", "opens with its passphrase"),
        ("device", "trains on"),
        ("data", "cxr: "),
        ("training", "s a local epoch"),
        ("crypto", "added exactly"),
    ] {
        good.is(name, "passed", found);
    }
    assert!(good.rung("disk")["found"].as_str().is_some_and(|text| text.contains("a synced write takes")));

    let named = fs::read_to_string(consortium.path("a/site.toml")).expect("the data set");
    fs::write(consortium.path("a/site.toml"), format!("[policy]\nrounds-max = 1\n{named}")).expect("written");
    let refused = consortium.check(&["--folder", "a"]);
    refused.is("data", "failed", "rounds-max");
    refused.failed(REFUSED, &["data"]);
    fs::write(consortium.path("a/site.toml"), named).expect("written");
    fs::rename(consortium.path("images"), consortium.path("elsewhere")).expect("moved");
    let gone = consortium.check(&["--folder", "a"]);
    gone.is("training", "skipped", "needs data");
    gone.failed(BAD_INPUT, &["data"]);
}

#[test]
fn what_is_broken_at_a_member_is_named_and_what_needs_it_is_skipped() {
    let mut consortium = Consortium::open();
    ["a", "b"].into_iter().for_each(|site| consortium.member(site));
    let check = |consortium: &Consortium| consortium.check(&["--folder", "a"]);
    let (site, secret) = (consortium.path("a"), consortium.path("a/passphrase"));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");

    mode(&secret, 0o644);
    let open = check(&consortium);
    open.is("vault", "warning", "a/passphrase has 644");
    open.failed(0, &[]);
    mode(&secret, 0o600);
    mode(&site, 0o755);
    check(&consortium).is("vault", "warning", "a has 755");
    mode(&site, 0o700);

    fs::rename(&secret, consortium.path("lost")).expect("moved");
    let closed = check(&consortium);
    closed.is("membership", "skipped", "needs vault");
    closed.is("certificate", "passed", "days left");
    closed.failed(FAILED, &["vault"]);
    fs::rename(consortium.path("lost"), &secret).expect("moved");

    let certificate = fs::read(site.join("certificate.pem")).expect("a certificate");
    fs::write(site.join("certificate.pem"), "none").expect("written");
    let own = check(&consortium);
    own.is("vault", "passed", "opens");
    own.failed(FAILED, &["certificate"]);
    fs::write(site.join("certificate.pem"), certificate).expect("written");

    // What stands in the way of the probe stops root as well.
    fs::create_dir(site.join("check.probe")).expect("a folder");
    let full = check(&consortium);
    full.is("membership", "skipped", "needs disk");
    assert_eq!(full.rung("disk")["result"], "failed");
    fs::remove_dir(site.join("check.probe")).expect("removed");

    consortium.done(&["coordinator", "revoke", "b", "--yes"]);
    consortium.check(&["--folder", "b"]).failed(REFUSED, &["membership"]);

    consortium.stop();
    let down = check(&consortium);
    down.is("network", "failed", "nothing listens at UDP port");
    for name in ["certificate", "clock", "membership"] {
        down.is(name, "skipped", "needs network");
    }
    down.is("vault", "passed", "opens");
    down.failed(CONNECTION, &["network"]);

    consortium.serve("stranger");
    let stranger = check(&consortium);
    stranger.is("network", "passed", "a server answers");
    stranger.is("certificate", "failed", "another authority");
    assert!(stranger.rung("certificate")["do"].as_str().is_some_and(|text| text.contains("intercepted")));
    stranger.is("membership", "skipped", "needs certificate");
    stranger.failed(REFUSED, &["certificate"]);
}

#[test]
fn before_joining_the_road_and_the_machine_are_checked() {
    let consortium = Consortium::open();
    let invite = consortium.invite("a");
    let mut child = command(consortium.place.path(), &["hospital", "check", "--invite", "-"]);
    let mut child = child.stdin(Stdio::piped()).spawn().expect("up");
    writeln!(child.stdin.take().expect("piped"), "{invite}").expect("written");
    let output = child.wait_with_output().expect("ended");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), text.lines().count()), (Some(0), 11), "{text}");
    assert!(text.contains("certificate  passed   the coordinator's is of the invitation's authority"), "{text}");
    assert!(text.contains("membership   skipped  needs a membership"), "{text}");
    assert!(!consortium.path("site").exists(), "a check makes no folder");
    consortium.member("b");

    let at = consortium.check(&["--address", &consortium.address]);
    at.is("network", "passed", "only an invitation can tell");
    at.is("certificate", "skipped", "--invite");
    at.failed(0, &[]);
    let nowhere = consortium.check(&["--address", "no-such-host.invalid:443"]);
    nowhere.is("name", "failed", "no-such-host.invalid cannot be found");
    nowhere.is("network", "skipped", "needs name");
    nowhere.failed(CONNECTION, &["name"]);
    let mut forged = invite.parse::<protocol::enrolment::Invite>().expect("an invitation");
    forged.authority = protocol::net::KeyFingerprint::from_bytes([1; 32]);
    consortium.check(&["--invite", &forged.to_line()]).failed(REFUSED, &["certificate"]);

    let none = consortium.run(&["hospital", "check"]);
    assert_eq!(none.status.code(), Some(BAD_INPUT));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no site has joined from this folder"));
}

/// A proxy that opens tunnels to one server, whatever is asked for, and keeps what was asked.
fn proxy_before(server: String) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address").to_string();
    let (asked, heard) = channel();
    std::thread::spawn(move || {
        for outer in listener.incoming() {
            let mut outer = outer.expect("a connection");
            let mut header = Vec::new();
            while !header.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                outer.read_exact(&mut byte).expect("a byte");
                header.push(byte[0]);
            }
            let _ = asked.send(String::from_utf8_lossy(&header).into_owned());
            outer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("written");
            let inner = TcpStream::connect(&server).expect("the coordinator");
            for (mut from, mut to) in [(&outer, &inner), (&inner, &outer)]
                .map(|(from, to)| (from.try_clone().expect("cloned"), to.try_clone().expect("cloned")))
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    (at, heard)
}

#[test]
fn the_proxy_of_the_environment_is_used_and_told_where_the_site_file_names_none() {
    let consortium = Consortium::open();
    let (at, asked) = proxy_before(consortium.address.clone());
    // Where no name server points: whoever reaches it went through the proxy.
    let mut invite = consortium.invite("a").parse::<protocol::enrolment::Invite>().expect("an invitation");
    invite.address = "coordinator.invalid:443".parse().expect("an address");
    let invite = invite.to_line();
    let check = |variables: &[(&str, &str)]| {
        let mut command = command(consortium.place.path(), &["hospital", "check", "--format", "json", "--invite"]);
        let variables = variables.iter().copied();
        let output = command.arg(&invite).envs(variables).stderr(Stdio::piped()).output().expect("it starts");
        Checked::of(&output)
    };
    let value = format!("http://anna:m%20on@{at}");
    let proxied = check(&[("HTTPS_PROXY", &value)]);
    proxied.is("network", "passed", &format!("through the proxy {at} that HTTPS_PROXY names"));
    proxied.is("certificate", "passed", "of the invitation's authority");
    proxied.failed(0, &[]);
    let request = asked.recv().expect("asked");
    assert!(request.starts_with("CONNECT coordinator.invalid:443 HTTP/1.1\r\n"), "{request}");
    // anna:m on
    assert!(request.contains("Proxy-Authorization: Basic YW5uYTptIG9u\r\n"), "{request}");

    let exempt = check(&[("HTTPS_PROXY", &value), ("NO_PROXY", "example,.invalid")]);
    exempt.is("name", "failed", "coordinator.invalid cannot be found");
    let tls = check(&[("https_proxy", "https://anna:moon@proxy.example:3128")]);
    tls.is("network", "skipped", "needs name");
    tls.is("name", "failed", "https_proxy: a proxy is spoken to in plain HTTP here");
    tls.failed(BAD_INPUT, &["name"]);
    assert!(!format!("{:?}", tls.rungs).contains("moon"));
    fs::create_dir(consortium.path("site")).expect("a folder");
    fs::write(consortium.path("site/site.toml"), "[network]\nproxy = \"none\"\n").expect("written");
    check(&[("HTTPS_PROXY", &value)]).is("name", "failed", "coordinator.invalid cannot be found");
    assert!(asked.try_recv().is_err(), "nobody else has asked it");
}

/// From now on nothing fits where a site writes down what it sends.
fn fill_the_disk(site: &Path) {
    let (sent, kept) = (site.join("sent"), site.join("kept"));
    fs::rename(&sent, &kept).expect("moved");
    fs::create_dir(&sent).expect("a folder");
    for log in fs::read_dir(&kept).expect("a folder") {
        std::os::unix::fs::symlink("/dev/full", sent.join(log.expect("an entry").file_name())).expect("linked");
    }
}

fn make_room(site: &Path) {
    fs::remove_dir_all(site.join("sent")).expect("removed");
    fs::rename(site.join("kept"), site.join("sent")).expect("moved");
}

#[test]
fn a_site_whose_disk_is_full_sends_nothing_and_ends_with_its_code() {
    let consortium = Consortium::open();
    consortium.member("a");
    let lines = consortium.done(&["hospital", "sent", "--folder", "a"]);
    fill_the_disk(&consortium.path("a"));
    let output = consortium.run(&["hospital", "status", "--folder", "a"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(STORAGE_FULL), "{told}");
    assert!(told.contains("nothing is sent that cannot be written down before"), "{told}");
    assert!(told.contains("free space on the disk"), "{told}");
    make_room(&consortium.path("a"));
    assert_eq!(consortium.done(&["hospital", "sent", "--folder", "a"]), lines, "nothing was lost");
    consortium.done(&["hospital", "status", "--folder", "a"]);
}
