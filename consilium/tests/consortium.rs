//! A consortium as processes, from the proposal to the diagnosis: officers on terminals, a hospital and the coordinator
//! killed in the middle, a member put out, a second version beside the first.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use image::GrayImage;
use serde_json::Value;

const SITES: [&str; 4] = ["east", "north", "south", "west"];
/// Longest wait for anything, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(240);

/// What a site was invited with: north counts for half.
fn weight(site: &str) -> &'static str {
    if site == "north" { "1/2" } else { "1" }
}

/// Everything in one folder: a coordinator, four sites, their images.
struct Place {
    folder: tempfile::TempDir,
    processes: Vec<(String, Child)>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), processes: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        command
    }

    /// The data of a verb that succeeds.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["data"].take()
    }

    /// Code and words of a refusal.
    fn refused(&self, arguments: &[&str], exit: i32) -> String {
        let output = self.run(arguments);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {text}");
        assert!(text.contains("\n  do: "), "{text}");
        text
    }

    /// Starts a service whose lines go to a file.
    fn serve(&mut self, name: &str, arguments: &[&str]) {
        let log = File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).expect("a file");
        let mut command = self.command(arguments);
        command.stdout(log.try_clone().expect("a handle")).stderr(log);
        self.processes.push((name.to_owned(), command.spawn().expect("the program starts")));
    }

    fn serve_coordinator(&mut self) {
        self.serve("coordinator", &["coordinator", "serve"]);
    }

    fn serve_site(&mut self, site: &str) {
        self.serve(site, &["hospital", "serve", "--folder", site]);
    }

    /// Ends a process as a power cut would.
    fn kill(&mut self, name: &str) {
        let place = self.processes.iter().position(|(known, _)| known == name).expect("it runs");
        let (_, mut child) = self.processes.remove(place);
        child.kill().and_then(|()| child.wait()).expect("killed");
    }

    /// Has a process stand still, or go on.
    fn signal(&self, name: &str, signal: &str) {
        let (_, child) = self.processes.iter().find(|(known, _)| known == name).expect("it runs");
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// Waits until something has happened.
    fn until(&mut self, what: &str, mut happened: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !happened(self) {
            let logs: Vec<_> = ["coordinator"].iter().chain(&SITES).map(|name| (name, self.log(name))).collect();
            assert!(started.elapsed() < PATIENCE, "{what} did not happen: {logs:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn until_told(&mut self, name: &str, line: &str) {
        self.until(&format!("{name}: {line}"), |place| place.log(name).contains(line));
    }

    fn enrol(&mut self) {
        // Free a moment ago; nobody else listens on the loopback device of a test.
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        self.json(&["coordinator", "init", "--address", &address, "--listen", &address]);
        let settings = self.path("coordinator/coordinator.toml");
        let text = fs::read_to_string(&settings).expect("settings");
        fs::write(&settings, format!("{text}metrics = \"127.0.0.1:0\"\n")).expect("written");
        self.serve_coordinator();
        self.until_told("coordinator", "listening on");
        let mut joining = Vec::new();
        for site in SITES {
            let mut invite = self.json(&["coordinator", "invite", site, "--weight", weight(site)]);
            assert_eq!(invite["weight"], weight(site));
            let invite = invite["invite"].take().as_str().expect("a line").to_owned();
            self.serve(
                &format!("{site}.join"),
                &["hospital", "join", &invite, "--organisation", "Clinic", "--folder", site],
            );
            joining.push(site);
        }
        for site in joining {
            let name = format!("{site}.join");
            self.until_told(&name, "\n    ");
            let log = self.log(&name);
            let words = log.lines().find_map(|line| line.strip_prefix("    ")).expect("words").to_owned();
            self.json(&["coordinator", "approve", site, "--words", &words]);
            self.until_told(&name, "joined as");
        }
        for (number, site) in (0..).zip(SITES) {
            pictures(&self.path(&format!("{site}.images")), number);
            self.json(&["hospital", "data", "add", "x", &format!("{site}.images"), "--folder", site]);
            self.serve_site(site);
        }
    }

    /// An approval of the membership, typed on a terminal of its own.
    fn typed(&self, site: &str, line: &str) -> Output {
        let mut child = self.on_terminal(site, "");
        writeln!(child.stdin.take().expect("piped"), "{line}").expect("typed");
        child.wait_with_output().expect("ended")
    }

    fn on_terminal(&self, site: &str, flag: &str) -> Child {
        let program = env!("CARGO_BIN_EXE_consilium");
        let line = format!("{program} hospital approve membership {flag} --folder {site}");
        let mut command = Command::new("script");
        command.current_dir(self.folder.path()).args(["-qfec", &line, "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of util-linux, is installed")
    }

    /// The officers' telephone call: the first site's reads aloud.
    fn approve_membership(&self, sites: &[&str]) {
        let reader = File::create(self.path("reader")).expect("a file");
        let program = env!("CARGO_BIN_EXE_consilium");
        let line = format!("{program} hospital approve membership --read-aloud --folder {}", sites[0]);
        let mut command = Command::new("script");
        command.current_dir(self.folder.path()).args(["-qfec", &line, "/dev/null"]);
        let mut reading = command.stdin(Stdio::piped()).stdout(reader).spawn().expect("script is installed");
        let started = Instant::now();
        let words = loop {
            let text = fs::read_to_string(self.path("reader")).expect("a file");
            if let Some(words) = text.lines().find_map(|line| line.strip_prefix("    ")) {
                break words.trim().to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "no words: {text}");
            std::thread::sleep(Duration::from_millis(100));
        };
        for site in &sites[1..] {
            let typed = self.typed(site, &words.to_uppercase());
            assert_eq!(typed.status.code(), Some(0), "{}", String::from_utf8_lossy(&typed.stdout));
        }
        let shown = fs::read_to_string(self.path("reader")).expect("a file");
        assert!(shown.contains("north                weight 1/2"), "{shown}");
        writeln!(reading.stdin.take().expect("piped"), "all match").expect("typed");
        let ended = reading.wait().expect("ended");
        assert_eq!(ended.code(), Some(0), "{}", fs::read_to_string(self.path("reader")).expect("a file"));
    }

    /// What the newest process of this name shows to Prometheus.
    fn figures(&self, name: &str) -> String {
        let log = self.log(name);
        let line = log.lines().rev().find_map(|line| line.strip_prefix("figures at http://")).expect("figures");
        let mut stream = TcpStream::connect(line.trim_end_matches("/metrics")).expect("connected");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        text
    }

    /// A copy made while the coordinator serves is a coordinator's folder; none is ever overwritten.
    fn back_up(&self) {
        let models = self.json(&["coordinator", "models"]);
        assert_eq!((&models["models"][0]["epoch"], &models["models"][0]["stage"]), (&1.into(), &"served".into()));
        self.json(&["coordinator", "backup", "copy"]);
        assert_eq!(self.json(&["coordinator", "models", "--folder", "copy"]), models);
        let sites = |folder: &str| self.json(&["coordinator", "sites", "--folder", folder]);
        assert_eq!(sites("copy"), sites("coordinator"));
        let (copied, bodies) =
            (files(&self.path("copy/epochs/1/spool")), files(&self.path("coordinator/epochs/1/spool")));
        assert!(copied > 0 && copied == bodies, "{copied} of {bodies}");
        let mode = fs::metadata(self.path("copy")).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "it holds keys");
        assert!(self.refused(&["coordinator", "backup", "copy"], 4).contains("exists already"));
    }

    /// The folder is lost, and the copy serves in its place: nothing has happened since it was made.
    fn go_on_from_the_copy(&mut self) {
        self.signal("coordinator", "TERM");
        let at = self.processes.iter().position(|(known, _)| known == "coordinator").expect("it runs");
        let ended = self.processes.remove(at).1.wait().expect("ended");
        assert_eq!(ended.code(), Some(0), "a service stops in order");
        fs::remove_dir_all(self.path("coordinator")).expect("removed");
        fs::rename(self.path("copy"), self.path("coordinator")).expect("renamed");
        self.serve_coordinator();
        self.until("a model that is served from the copy", |place| {
            let status = place.run(&["coordinator", "status", "--format", "json"]).stdout;
            let status: Value = serde_json::from_slice(&status).unwrap_or_default();
            status["data"]["epochs"][0]["now"]["serving"] == true
        });
    }

    /// A second version by those who are left, from the model of the first: other members, so their officers compare
    /// again.
    fn propose_the_second(&self) {
        fs::write(self.path("second.toml"), PLAN.replace("rounds = 3", "rounds = 1")).expect("written");
        let wider = PLAN.replace("height = 16, width = 16", "height = 18, width = 18");
        fs::write(self.path("wider.toml"), wider).expect("written");
        let other = ["coordinator", "run", "wider.toml", "--from", "1"];
        assert!(self.refused(&other, 4).contains("the plan's network has"));
        let second = self.json(&["coordinator", "run", "second.toml", "--from", "1"]);
        assert_eq!((&second["epoch"], &second["members"], &second["from"]), (&2.into(), &3.into(), &1.into()));
        let terms = self.json(&["hospital", "terms", "--folder", "east"]);
        assert_eq!(terms["from"]["epoch"], 1, "{terms}");
    }

    /// Outside its hours a site trains nothing and says so; it helps others as always, and trains when it may.
    fn a_site_waits_for_its_hours(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() / 60;
        let time = |ahead: u64| format!("{:02}:{:02}", (now + ahead) / 60 % 24, (now + ahead) % 60);
        let hours = format!("{}-{} UTC", time(120), time(180));
        fs::write(self.path("south/site.toml"), format!("[policy]\nhours = \"{hours}\"\n")).expect("written");
        self.kill("south");
        self.serve_site("south");
        assert_eq!(self.json(&["hospital", "policy", "--folder", "south"])["hours"], hours.as_str());
        self.until("training that waits", |place| {
            let status = place.json(&["hospital", "status", "--folder", "south"]);
            let second = status["epochs"].as_array().expect("rows").iter().find(|row| row["epoch"] == 2);
            second
                .and_then(|row| row["trains_from"].as_str())
                .is_some_and(|at| at.ends_with(&format!("{} UTC", time(120))))
        });
        self.until("a coordinator that waits for nobody else", |place| {
            let status = place.json(&["coordinator", "status"]);
            let awaited = status["epochs"][1]["now"]["awaited"].as_array().expect("rows");
            awaited.len() == 1 && awaited[0]["name"] == "south" && awaited[0]["doing"]["waits_s"].is_u64()
        });
        assert_eq!(self.predict("north", &["--epoch", "1"])["class"], "bright", "all three have a share in it");
        assert!(!self.path("north/epochs/2/published").exists());
        fs::remove_file(self.path("south/site.toml")).expect("removed");
        self.kill("south");
        self.serve_site("south");
    }

    /// A member that was put out after it had approved: no ceremony waits for it.
    fn nothing_begins_with_a_member_that_was_put_out(&mut self) {
        fs::write(self.path("third.toml"), PLAN.replace("rounds = 3", "rounds = 2")).expect("written");
        self.json(&["coordinator", "run", "third.toml"]);
        self.approve_terms("east");
        self.until("east's approval", |place| {
            place.figures("coordinator").contains("consilium_members_approved{epoch=\"3\"} 1")
        });
        self.json(&["coordinator", "revoke", "east", "--yes"]);
        ["north", "south"].into_iter().for_each(|site| self.approve_terms(site));
        self.until_told("coordinator", "key epoch 3: cannot begin: east is a member no more");
    }

    /// No count of images in a plan, and no class that there is not.
    fn weights_are_classes_and_nothing_else(&self) {
        let old = PLAN.replace("weights = \"declared\"", "sample-cap = 64");
        fs::write(self.path("old.toml"), old).expect("written");
        assert!(self.refused(&["coordinator", "run", "old.toml"], 4).contains("sample-cap: unknown key"));
        let unknown = self.run(&["coordinator", "invite", "late", "--weight", "1/3"]);
        assert_eq!(unknown.status.code(), Some(4));
        assert!(told(&unknown).contains("there are 1, 1/2, 1/4, 1/8 and 1/16"), "{}", told(&unknown));
    }

    /// The operator and every officer read the class with which a site was invited.
    fn weights_are_shown_to_whoever_approves(&self) {
        let sites = self.json(&["coordinator", "sites"]);
        let members = self.json(&["hospital", "terms", "--folder", "east"]);
        for list in [&sites["sites"], &members["members"]] {
            let shown: Vec<_> =
                list.as_array().expect("rows").iter().map(|row| (&row["name"], &row["weight"])).collect();
            let [names, weights] = [SITES.map(Value::from), SITES.map(weight).map(Value::from)];
            assert_eq!(shown, names.iter().zip(&weights).collect::<Vec<_>>());
        }
        let told = self.run(&["hospital", "terms", "--folder", "east"]).stdout;
        let told = String::from_utf8_lossy(&told);
        assert!(
            told.contains("weighs them by these classes") && told.contains("north                weight 1/2 "),
            "{told}"
        );
    }

    /// What left north's building has a name, all of it.
    fn sent_by_north(&self) {
        let sent = self.json(&["hospital", "sent", "--totals", "--folder", "north"]);
        let kinds: Vec<&str> =
            sent["totals"].as_array().expect("rows").iter().filter_map(|row| row["what"].as_str()).collect();
        for kind in [
            "encrypted update or figures",
            "encrypted question",
            "decryption share of a sum",
            "approval of members and terms",
        ] {
            assert!(kinds.contains(&kind), "{kinds:?}");
        }
        assert!(!kinds.contains(&"something else"), "{kinds:?}");
    }

    fn approve_terms(&self, site: &str) {
        let terms = self.json(&["hospital", "terms", "--folder", site])["terms"].as_str().expect("a digest").to_owned();
        self.json(&["hospital", "approve", "terms", &terms, "--folder", site]);
    }

    fn predict(&self, site: &str, more: &[&str]) -> Value {
        let image = format!("{site}.images/bright/0.png");
        self.json(&[&["hospital", "predict", &image, "--folder", site], more].concat())["answers"][0].take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (_, child) in &mut self.processes {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// Files below a folder.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Dark and bright pictures in a folder per class, other ones at every site.
fn pictures(folder: &Path, site: u8) {
    for (class, base) in [("dark", 30), ("bright", 200)] {
        let folder = folder.join(class);
        fs::create_dir_all(&folder).expect("a folder");
        for number in 0..20_u8 {
            let level = |x: u32, y: u32| base + site * 3 + number + (x as u8 * 7 + y as u8 * 5) % 11;
            let picture = GrayImage::from_fn(16, 16, |x, y| image::Luma([level(x, y)]));
            picture.save(folder.join(format!("{number}.png"))).expect("saved");
        }
    }
}

const PLAN: &str = r#"
[experiment]
name = "brightness"

[federation]
rounds = 3
patience = "60s"                       # far longer than a site needs to notice that its coordinator has died
weights = "declared"
attempts-ahead = 1

[data]
format = "image-folder"
classes = ["dark", "bright"]
image = { height = 16, width = 16, channels = 1 }
split = { train = 0.7, validation = 0.1, test = 0.2, by = "slice" }

[model]
layers = [{ type = "dense", units = 2 }]

[train]
learning-rate = 0.05
local-epochs = 2
batch-size = 8

[encryption]
preset = "AGG13"

[publish]
name = "brightness"
preset = "INF15-90"
release = "threshold"
figures = "pooled"
"#;

#[test]
fn a_consortium_trains_survives_and_serves_two_versions() {
    let mut place = Place::new();
    place.enrol();
    fs::write(place.path("plan.toml"), PLAN).expect("written");

    // What a person gets wrong before anything begins.
    place.weights_are_classes_and_nothing_else();
    assert!(place.refused(&["hospital", "terms", "--folder", "east"], 4).contains("nothing is proposed"));
    let proposed = place.json(&["coordinator", "run", "plan.toml"]);
    assert_eq!((&proposed["epoch"], &proposed["members"], &proposed["threshold"]), (&1.into(), &4.into(), &3.into()));
    place.weights_are_shown_to_whoever_approves();
    assert!(place.refused(&["coordinator", "run", "plan.toml", "--from", "1"], 4).contains("no model to go on from"));
    assert!(place.refused(&["hospital", "approve", "membership", "--folder", "east"], 4).contains("no terminal"));
    let wrong = place.typed("west", "zoo zoo zoo zoo zoo zoo");
    assert_eq!(wrong.status.code(), Some(6), "{}", String::from_utf8_lossy(&wrong.stdout));
    let digest = "0".repeat(64);
    let other = ["hospital", "approve", "terms", &digest, "--folder", "east"];
    assert!(place.refused(&other, 4).contains("proposes other terms"));
    fs::write(place.path("west/site.toml"), "[policy]\nrounds-max = 2\n").expect("written");
    let terms = place.json(&["hospital", "terms", "--folder", "west"])["terms"].as_str().expect("a digest").to_owned();
    let strict = ["hospital", "approve", "terms", &terms, "--folder", "west"];
    assert!(place.refused(&strict, 5).contains("rounds-max"));

    // The site file approves these terms beforehand, so that this site's officer has only the members to approve; but
    // another of its rules still forbids the plan, whoever approved it.
    let metrics = "metrics = \"127.0.0.1:0\"";
    let rules = |rounds: u32| format!("{metrics}\n[policy]\nrounds-max = {rounds}\nterms = [\"{terms}\"]\n");
    for rounds in [2, 3] {
        fs::write(place.path("west/site.toml"), rules(rounds)).expect("written");
        place.kill("west");
        place.serve_site("west");
        if rounds == 2 {
            place.approve_membership(&SITES);
            place.until_told("west", "cannot take part: the plan has 3 rounds, this site's policy allows 2");
            assert!(place.figures("west").contains("consilium_site_state{epoch=\"1\",state=\"hindered\"} 1\n"));
        }
    }
    for site in &SITES[..3] {
        assert!(!place.log("coordinator").contains("begins"), "nothing before everybody's consent");
        place.approve_terms(site);
    }

    // A hospital and the coordinator lose their power in the middle.
    place.until_told("coordinator", "all keys exist");
    place.until_told("coordinator", "round 1 begins");
    place.kill("south");
    place.serve_site("south");
    place.until_told("coordinator", "round 1 closed");
    place.kill("coordinator");
    place.serve_coordinator();
    place.until_told("coordinator", "is served");
    let status = place.json(&["coordinator", "status"]);
    let now = &status["epochs"][0]["now"];
    assert_eq!((&now["closed"], &now["serving"]), (&3.into(), &true.into()), "{status}");

    let figures = place.figures("coordinator");
    for line in ["consilium_rounds_closed{epoch=\"1\"} 3", "consilium_members_live{epoch=\"1\"} 4"] {
        assert!(figures.lines().any(|found| found == line), "{line}: {figures}");
    }
    place.back_up();
    place.go_on_from_the_copy();

    place.until("a model at north", |place| place.path("north/epochs/1/published").exists());
    let answer = place.predict("north", &[]);
    assert_eq!(answer["class"], "bright", "{answer}");
    // All sites have 40 pictures, a fifth of them to test with, and read the same sum of what they counted.
    let models = SITES.map(|site| place.json(&["hospital", "models", "--folder", site])["models"][0]["figures"].take());
    let [figures, others @ ..] = &models;
    assert_eq!((&figures["hospitals"], &figures["test_images"]), (&4.into(), &32.into()), "{figures}");
    assert!(others.iter().all(|other| other == figures), "{models:?}");
    place.sent_by_north();

    // A member is put out: its service ends by itself, the others go on.
    place.json(&["coordinator", "revoke", "west", "--yes"]);
    place.until("the end of west", |place| place.log("west").contains("does not count this site among its members"));
    place.until("a campaign without west", |place| {
        let status = place.json(&["coordinator", "status"]);
        let live = status["epochs"][0]["now"]["live"].as_array().expect("names").clone();
        live.len() == 3 && !live.contains(&"west".into())
    });
    assert_eq!(place.predict("east", &[])["class"], "bright");

    place.propose_the_second();
    place.approve_membership(&SITES[..3]);
    SITES[..3].iter().for_each(|site| place.approve_terms(site));
    place.a_site_waits_for_its_hours();
    place.until("a second model", |place| place.path("north/epochs/2/published").exists());
    for epoch in ["1", "2"] {
        assert_eq!(place.predict("north", &["--epoch", epoch])["class"], "bright", "version {epoch}");
    }
    // A site that cannot hear the last word of an epoch finds out that it is over, and asks the version that is left.
    place.signal("south", "STOP");
    place.json(&["coordinator", "stop", "--epoch", "1", "--end", "version 2 has replaced it"]);
    place.until_told("north", "over: version 2 has replaced it");
    place.signal("south", "CONT");
    place.until_told("south", "key epoch 1: over: ");
    assert_eq!(place.predict("south", &[])["class"], "bright");
    place.nothing_begins_with_a_member_that_was_put_out();
}
