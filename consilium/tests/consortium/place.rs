//! Everything that the test has in one folder, and what people do there.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use image::GrayImage;
use serde_json::Value;

use crate::PLAN;

pub(crate) const SITES: [&str; 4] = ["east", "north", "south", "west"];
/// Longest wait for anything, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(240);

/// In the site file of a site whose folder alone opens nothing.
const PASSPHRASE_ELSEWHERE: &str = "[vault]\npassphrase = \"../late.passphrase\"\n";

/// Serves a copy of the folder `$2` from a disk without room, and orders something that has to be stored.
const FULL_DISK: &str = r#"
mkdir full && mount -t tmpfs -o "size=$(($(du -sm "$2" | cut -f1) + 8))m" tmpfs full || exit 77
cp -a "$2/." full/
timeout 100 "$1" coordinator serve --folder full 2> full.log & service=$!
until grep -q 'is served' full.log; do kill -0 "$service" || exit 78; sleep 0.1; done
cat /dev/zero > full/filler 2> filled.log
! "$1" coordinator stop --epoch 1 --folder full || exit 79
wait "$service"
"#;

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// What a site was invited with: north counts for half.
pub(crate) fn weight(site: &str) -> &'static str {
    if site == "north" { "1/2" } else { "1" }
}

/// Everything in one folder: a coordinator, four sites, their images.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    processes: Vec<(String, Child)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), processes: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        command
    }

    /// The data of a verb that succeeds.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["data"].take()
    }

    /// Code and words of a refusal.
    pub(crate) fn refused(&self, arguments: &[&str], exit: i32) -> String {
        let output = self.run(arguments);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {text}");
        assert!(text.contains("\n  do: "), "{text}");
        text
    }

    /// Starts a service whose lines go to a file.
    pub(crate) fn serve(&mut self, name: &str, arguments: &[&str]) {
        let log = File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).expect("a file");
        let mut command = self.command(arguments);
        command.stdout(log.try_clone().expect("a handle")).stderr(log);
        self.processes.push((name.to_owned(), command.spawn().expect("the program starts")));
    }

    pub(crate) fn serve_coordinator(&mut self) {
        self.serve("coordinator", &["coordinator", "serve"]);
    }

    pub(crate) fn serve_site(&mut self, site: &str) {
        self.serve(site, &["hospital", "serve", "--folder", site]);
    }

    /// Ends a process as a power cut would.
    pub(crate) fn kill(&mut self, name: &str) {
        let place = self.processes.iter().position(|(known, _)| known == name).expect("it runs");
        let (_, mut child) = self.processes.remove(place);
        child.kill().and_then(|()| child.wait()).expect("killed");
    }

    /// Has a process stand still, or go on.
    pub(crate) fn signal(&self, name: &str, signal: &str) {
        let (_, child) = self.processes.iter().find(|(known, _)| known == name).expect("it runs");
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// Waits until something has happened.
    pub(crate) fn until(&mut self, what: &str, mut happened: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !happened(self) {
            let logs: Vec<_> = ["coordinator"].iter().chain(&SITES).map(|name| (name, self.log(name))).collect();
            assert!(started.elapsed() < PATIENCE, "{what} did not happen: {logs:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn until_told(&mut self, name: &str, line: &str) {
        self.until(&format!("{name}: {line}"), |place| place.log(name).contains(line));
    }

    pub(crate) fn enrol(&mut self) {
        // Free a moment ago; nobody else listens on the loopback device of a test.
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        self.json(&["coordinator", "init", "--address", &address, "--listen", &address]);
        let settings = self.path("coordinator/coordinator.toml");
        let text = fs::read_to_string(&settings).expect("settings");
        let pages = "[dashboard]\nlisten = \"127.0.0.1:0\"\n";
        fs::write(&settings, format!("{text}metrics = \"127.0.0.1:0\"\n{pages}")).expect("written");
        self.serve_coordinator();
        self.until_told("coordinator", "listening on");
        SITES.into_iter().for_each(|site| self.asks_to_join(site));
        SITES.into_iter().for_each(|site| self.is_let_in(site));
        (0..).zip(SITES).for_each(|(number, site)| self.goes_into_service(site, number));
    }

    fn asks_to_join(&mut self, site: &str) {
        let mut invite = self.json(&["coordinator", "invite", site, "--weight", weight(site)]);
        assert_eq!(invite["weight"], weight(site));
        let invite = invite["invite"].take().as_str().expect("a line").to_owned();
        let join = ["hospital", "join", &invite, "--organisation", "Clinic", "--folder", site];
        self.serve(&format!("{site}.join"), &join);
    }

    fn is_let_in(&mut self, site: &str) {
        let name = format!("{site}.join");
        self.until_told(&name, "\n    ");
        let log = self.log(&name);
        let words = log.lines().find_map(|line| line.strip_prefix("    ")).expect("words").to_owned();
        self.json(&["coordinator", "approve", site, "--words", &words]);
        self.until_told(&name, "joined as");
    }

    fn goes_into_service(&mut self, site: &str, number: u8) {
        pictures(&self.path(&format!("{site}.images")), number);
        self.json(&["hospital", "data", "add", "x", &format!("{site}.images"), "--folder", site]);
        self.serve_site(site);
    }

    /// A hospital that was not there when the first version was trained.
    pub(crate) fn one_joins_later(&mut self) {
        let (folder, secret) = (self.path("late"), self.path("late.passphrase"));
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("site.toml"), PASSPHRASE_ELSEWHERE).expect("written");
        fs::write(&secret, "nobody at home\n").expect("written");
        let mut invite = self.json(&["coordinator", "invite", "late"]);
        let invite = invite["invite"].take().as_str().expect("a line").to_owned();
        let join = ["hospital", "join", &invite, "--organisation", "Clinic", "--folder", "late"];
        assert!(self.refused(&join, 4).contains("late.passphrase: everybody on this machine may read or change it"));
        assert!(!folder.join("vault").exists(), "nothing is made that everybody could open");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("set");
        self.asks_to_join("late");
        self.is_let_in("late");
        self.goes_into_service("late", 4);
        assert!(!folder.join("passphrase").exists());
    }

    /// What a site's people write into its file, its images aside.
    pub(crate) fn site_file(&self, site: &str, rules: &str) {
        let images = format!("[data.x]\npath = \"../{site}.images\"\n");
        fs::write(self.path(&format!("{site}/site.toml")), format!("{rules}{images}")).expect("written");
    }

    /// Where site.toml names models, its service lets no other be asked; it reads that when its part begins.
    pub(crate) fn asks_only_models_that_its_rules_name(&mut self) {
        let published = fs::read_to_string(self.path("late/epochs/2/published")).expect("a digest");
        let asks = ["hospital", "predict", "late.images/bright/0.png", "--folder", "late"];
        for (models, said) in
            [("0".repeat(64).as_str(), "this site's policy does not let model"), (published.trim(), "")]
        {
            self.site_file("late", &format!("{PASSPHRASE_ELSEWHERE}[policy]\nmodels = [\"{models}\"]\n"));
            self.kill("late");
            self.serve_site("late");
            self.until("a counter of late", |place| {
                let asked = place.run(&asks);
                if said.is_empty() { asked.status.success() } else { told(&asked).contains(said) }
            });
        }
        assert_eq!(self.predict("late", &[])["class"], "bright");
    }

    /// It lacks the model from which the second version goes on, and says so; a member gives it, sealed for it alone.
    pub(crate) fn the_model_is_handed_over(&mut self) {
        self.until_told("late", "which this site does not hold");
        let stands =
            |place: &Self| place.json(&["hospital", "status", "--folder", "late"])["epochs"][0]["stands"].clone();
        assert_eq!(stands(self), "lacks-model");
        self.json(&["hospital", "handover", "request", "asked", "--folder", "late"]);
        self.json(&["hospital", "handover", "give", "asked", "--to", "given", "--folder", "north"]);
        self.until("a key of south", |place| place.path("south/epochs/2/vault/opening-key.sealed").exists());
        let elsewhere = ["hospital", "handover", "take", "given", "--folder", "south"];
        assert!(self.refused(&elsewhere, 6).contains("does not open"), "it is for another");
        self.json(&["hospital", "handover", "take", "given", "--folder", "late"]);
        let sent = self.run(&["hospital", "sent", "--what", "model handed over", "--folder", "north"]);
        let sent = String::from_utf8_lossy(&sent.stdout).into_owned();
        assert!(sent.contains("of key epoch 1, sealed for late, in a file"), "{sent}");
        assert_eq!(stands(self), "waiting");
        // Its service would see the model half a minute later.
        self.kill("late");
        self.serve_site("late");
    }

    /// An approval of the membership, typed on a terminal of its own.
    pub(crate) fn typed(&self, site: &str, line: &str) -> Output {
        let mut child = self.on_terminal(site, "");
        writeln!(child.stdin.take().expect("piped"), "{line}").expect("typed");
        child.wait_with_output().expect("ended")
    }

    pub(crate) fn on_terminal(&self, site: &str, flag: &str) -> Child {
        let program = env!("CARGO_BIN_EXE_consilium");
        let line = format!("{program} hospital approve membership {flag} --folder {site}");
        let mut command = Command::new("script");
        command.current_dir(self.folder.path()).args(["-qfec", &line, "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of util-linux, is installed")
    }

    /// The officers' telephone call: the first site's reads aloud.
    pub(crate) fn approve_membership(&self, sites: &[&str]) {
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
    pub(crate) fn figures(&self, name: &str) -> String {
        let log = self.log(name);
        let line = log.lines().rev().find_map(|line| line.strip_prefix("figures at http://")).expect("figures");
        let mut stream = TcpStream::connect(line.trim_end_matches("/metrics")).expect("connected");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        text
    }

    /// A copy made while the coordinator serves is a coordinator's folder; none is ever overwritten.
    pub(crate) fn back_up(&self) {
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
    pub(crate) fn go_on_from_the_copy(&mut self) {
        self.signal("coordinator", "TERM");
        let at = self.processes.iter().position(|(known, _)| known == "coordinator").expect("it runs");
        let ended = self.processes.remove(at).1.wait().expect("ended");
        assert_eq!(ended.code(), Some(0), "a service stops in order");
        self.ends_on_a_full_disk("copy");
        fs::remove_dir_all(self.path("coordinator")).expect("removed");
        fs::rename(self.path("copy"), self.path("coordinator")).expect("renamed");
        self.serve_coordinator();
        self.until("a model that is served from the copy", |place| {
            let status = place.run(&["coordinator", "status", "--format", "json"]).stdout;
            let status: Value = serde_json::from_slice(&status).unwrap_or_default();
            status["data"]["epochs"][0]["now"]["serving"] == true
        });
    }

    /// A coordinator whose own records find no room ends with the code of a full disk, and has told nobody what it
    /// could not store: the folder that was copied goes on.
    fn ends_on_a_full_disk(&self, folder: &str) {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", FULL_DISK, "sh", env!("CARGO_BIN_EXE_consilium"), folder]);
        let output = command.current_dir(self.folder.path()).stdin(Stdio::null()).output().expect("unshare starts");
        let (said, log) = (told(&output), self.log("full"));
        match output.status.code() {
            Some(77) => skip("no file system can be mounted here: no coordinator is tried on a full disk"),
            code => assert_eq!(code, Some(7), "{said} {log}"),
        }
        assert!(log.contains("no space is left") && log.contains("it goes on where it was"), "{log}");
    }

    /// A second version by those who are left, from the model of the first: other members, so their officers compare
    /// again.
    pub(crate) fn propose_the_second(&self) {
        fs::write(self.path("second.toml"), PLAN.replace("rounds = 3", "rounds = 1")).expect("written");
        let wider = PLAN.replace("height = 16, width = 16", "height = 18, width = 18");
        fs::write(self.path("wider.toml"), wider).expect("written");
        let other = ["coordinator", "run", "wider.toml", "--from", "1", "--given", "late"];
        assert!(self.refused(&other, 4).contains("the plan's network has"));
        let late = self.refused(&["coordinator", "run", "second.toml", "--from", "1"], 4);
        assert!(late.contains("late took no part in key epoch 1"), "{late}");
        let second = self.json(&["coordinator", "run", "second.toml", "--from", "1", "--given", "late"]);
        assert_eq!((&second["epoch"], &second["members"], &second["from"]), (&2.into(), &4.into(), &1.into()));
        let terms = self.json(&["hospital", "terms", "--folder", "east"]);
        assert_eq!(terms["from"]["epoch"], 1, "{terms}");
    }

    /// Outside its hours a site trains nothing and says so; it helps others as always, and trains when it may.
    pub(crate) fn a_site_waits_for_its_hours(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() / 60;
        let time = |ahead: u64| format!("{:02}:{:02}", (now + ahead) / 60 % 24, (now + ahead) % 60);
        let hours = format!("{}-{} UTC", time(120), time(180));
        self.site_file("south", &format!("[policy]\nhours = \"{hours}\"\n"));
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
            awaited.len() == 1
                && awaited[0]["name"] == "south"
                && awaited[0]["doing"]["waits_s"].is_u64()
                && awaited[0]["since_s"].is_u64()
        });
        assert_eq!(self.predict("north", &["--epoch", "1"])["class"], "bright", "all three have a share in it");
        assert!(!self.path("north/epochs/2/published").exists());
        self.site_file("south", "");
        self.kill("south");
        self.serve_site("south");
    }

    /// A member that was put out after it had approved: no ceremony waits for it.
    pub(crate) fn nothing_begins_with_a_member_that_was_put_out(&mut self) {
        fs::write(self.path("third.toml"), PLAN.replace("rounds = 3", "rounds = 2")).expect("written");
        self.json(&["coordinator", "run", "third.toml"]);
        self.approve_terms("east");
        self.until("east's approval", |place| {
            place.figures("coordinator").contains("consilium_members_approved{epoch=\"3\"} 1")
        });
        self.json(&["coordinator", "revoke", "east", "--yes"]);
        ["late", "north", "south"].into_iter().for_each(|site| self.approve_terms(site));
        self.until_told("coordinator", "key epoch 3: cannot begin: east is a member no more");
    }

    /// No count of images in a plan, and no class that there is not.
    pub(crate) fn weights_are_classes_and_nothing_else(&self) {
        let old = PLAN.replace("weights = \"declared\"", "sample-cap = 64");
        fs::write(self.path("old.toml"), old).expect("written");
        assert!(self.refused(&["coordinator", "run", "old.toml"], 4).contains("sample-cap: unknown key"));
        let unknown = self.run(&["coordinator", "invite", "late", "--weight", "1/3"]);
        assert_eq!(unknown.status.code(), Some(4));
        assert!(told(&unknown).contains("there are 1, 1/2, 1/4, 1/8 and 1/16"), "{}", told(&unknown));
    }

    /// The operator and every officer read the class with which a site was invited.
    pub(crate) fn weights_are_shown_to_whoever_approves(&self) {
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
    pub(crate) fn sent_by_north(&self) {
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

    pub(crate) fn approve_terms(&self, site: &str) {
        let terms = self.json(&["hospital", "terms", "--folder", site])["terms"].as_str().expect("a digest").to_owned();
        self.json(&["hospital", "approve", "terms", &terms, "--folder", site]);
    }

    pub(crate) fn predict(&self, site: &str, more: &[&str]) -> Value {
        let image = format!("{site}.images/bright/0.png");
        self.json(&[&["hospital", "predict", &image, "--folder", site], more].concat())["answers"][0].take()
    }

    /// Whoever approves again with other images trains on those, also where the others are in memory already.
    pub(crate) fn images_approved_last_are_taken(&mut self, site: &str) {
        let other = format!("{site}.other");
        pictures(&self.path(&other), 5);
        for class in ["dark", "bright"] {
            for number in 10..20 {
                fs::remove_file(self.path(&format!("{other}/{class}/{number}.png"))).expect("it was there");
            }
        }
        self.json(&["hospital", "data", "add", "other", &other, "--folder", site]);
        let terms = self.json(&["hospital", "terms", "--folder", site])["terms"].as_str().expect("a digest").to_owned();
        self.json(&["hospital", "approve", "terms", &terms, "--data", "other", "--folder", site]);
        self.until_told(site, "approved here, waiting for members");
        self.json(&["hospital", "approve", "terms", &terms, "--data", "x", "--folder", site]);
        self.json(&["hospital", "data", "remove", "other", "--folder", site]);
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
pub(crate) fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Dark and bright pictures in a folder per class, other ones at every site.
pub(crate) fn pictures(folder: &Path, site: u8) {
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
