//! A coordinator and its sites as processes: invited, compared by words, admitted, put out; and everything that a
//! person gets wrong on the way.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const CONNECTION: i32 = 2;
const BAD_INPUT: i32 = 4;
const REFUSED: i32 = 5;
const NOT_VERIFIED: i32 = 6;

/// A folder with a coordinator and room for sites.
struct Consortium {
    place: tempfile::TempDir,
    server: Option<Child>,
}

impl Consortium {
    fn open() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        // Free a moment ago; nobody else listens on the loopback device of a test.
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let made = consilium(place.path(), &["coordinator", "init", "--address", &address, "--listen", &address]);
        assert_eq!(made.status.code(), Some(0), "{}", told(&made));
        let mut consortium = Self { place, server: None };
        consortium.serve();
        consortium
    }

    fn serve(&mut self) {
        let mut child =
            command(self.place.path(), &["coordinator", "serve"]).stderr(Stdio::piped()).spawn().expect("up");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line).expect("a line");
        assert!(line.starts_with("listening on"), "{line}");
        self.server = Some(child);
    }

    fn stop(&mut self) {
        let Some(mut child) = self.server.take() else { return };
        let pid = child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert_eq!(child.wait().expect("ended").code(), Some(0), "a service stops in order");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        consilium(self.place.path(), arguments)
    }

    /// The data of a verb that succeeds.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", told(&output));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["data"].take()
    }

    fn invite(&self, name: &str) -> String {
        self.json(&["coordinator", "invite", name])["invite"].as_str().expect("a line").to_owned()
    }

    fn join(&self, invite: &str, site: &str) -> Joining {
        Joining::start(self.place.path(), invite, site, &format!("Clinic {site}"))
    }

    fn standing(&self, site: &str) -> Value {
        let found = self.json(&["coordinator", "sites"]);
        let mut rows = found["sites"].as_array().expect("rows").iter();
        rows.find(|row| row["name"] == site).map(|row| row["standing"].clone()).unwrap_or_default()
    }

    fn member(&self, name: &str) {
        let joining = self.join(&self.invite(name), name);
        self.json(&["coordinator", "approve", name, "--words", &joining.words]);
        assert_eq!(joining.ended(), Some(0));
    }
}

impl Drop for Consortium {
    fn drop(&mut self) {
        if let Some(mut child) = self.server.take() {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// A site that waits for the operator.
struct Joining {
    child: Child,
    words: String,
    /// Open as long as the site may write to it.
    _log: BufReader<std::process::ChildStderr>,
}

impl Joining {
    /// The line goes through standard input, as it should.
    fn start(place: &Path, invite: &str, site: &str, organisation: &str) -> Self {
        let arguments = ["hospital", "join", "-", "--organisation", organisation, "--folder", site];
        let mut child = command(place, &arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("up");
        writeln!(child.stdin.take().expect("piped"), "{invite}").expect("written");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        let words = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).expect("a line"), 0, "{site} ended: {said}");
            if let Some(words) = line.strip_prefix("    ") {
                break words.trim().to_owned();
            }
            said.push_str(&line);
        };
        assert_eq!(words.split(' ').count(), 6, "{words}");
        Self { child, words, _log: log }
    }

    fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("ended").code()
    }

    fn kill(mut self) -> String {
        self.child.kill().and_then(|()| self.child.wait()).expect("killed");
        std::mem::take(&mut self.words)
    }
}

impl Drop for Joining {
    /// A test that fails leaves nobody waiting.
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn command(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    command.current_dir(place).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn consilium(place: &Path, arguments: &[&str]) -> Output {
    command(place, arguments).stderr(Stdio::piped()).output().expect("the program starts")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Code and words of a refusal.
fn refusal(output: &Output, exit: i32) -> String {
    let text = told(output);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    assert!(text.contains("error: ") && text.contains("\n  do: "), "{text}");
    text
}

#[test]
fn sites_join_by_words_see_each_other_and_are_put_out() {
    let mut consortium = Consortium::open();
    let invite = consortium.invite("st-anna");
    assert_eq!(consortium.standing("st-anna"), "invited");
    let joining = consortium.join(&invite, "st-anna");
    assert_eq!(consortium.standing("st-anna"), "asked");
    let wrong = consortium.run(&["coordinator", "approve", "st-anna", "--words", "zoo zoo zoo zoo zoo zoo"]);
    assert!(refusal(&wrong, NOT_VERIFIED).contains("the words are not those of st-anna"));

    // Interrupted and taken up again: the same keys, the same words.
    let words = joining.kill();
    let joining = consortium.join(&invite, "st-anna");
    assert_eq!(joining.words, words);
    // The coordinator's restart ends nothing either.
    consortium.stop();
    consortium.serve();
    consortium.json(&["coordinator", "approve", "st-anna", "--words", &words.to_uppercase()]);
    assert_eq!(joining.ended(), Some(0));
    consortium.member("st-olaf");

    let [anna, olaf] = ["st-anna", "st-olaf"].map(|site| consortium.json(&["hospital", "status", "--folder", site]));
    assert_eq!((&anna["digest"], &anna["sites"]), (&olaf["digest"], &olaf["sites"]));
    assert_eq!(anna["sites"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&anna["sites"][1]["name"], &anna["sites"][1]["organisation"]),
        (&Value::from("st-olaf"), &Value::from("Clinic st-olaf"))
    );

    let unsure = consortium.run(&["coordinator", "revoke", "st-anna"]);
    assert!(refusal(&unsure, BAD_INPUT).contains("nothing has changed"));
    assert_eq!(consortium.standing("st-anna"), "member");
    consortium.json(&["coordinator", "weigh", "st-anna", "1/4"]);
    assert_eq!(consortium.json(&["coordinator", "sites"])["sites"][0]["weight"], "1/4");
    let stranger = consortium.run(&["coordinator", "weigh", "st-else", "1/4"]);
    assert_eq!(stranger.status.code(), Some(BAD_INPUT));
    consortium.json(&["coordinator", "revoke", "st-anna", "--yes"]);
    assert_eq!(consortium.standing("st-anna"), "revoked");
    let out = consortium.run(&["hospital", "status", "--folder", "st-anna"]);
    assert!(refusal(&out, REFUSED).contains("does not count this site among its members"));
    let stays = consortium.json(&["hospital", "status", "--folder", "st-olaf"]);
    assert_eq!(stays["sites"].as_array().map(Vec::len), Some(1));

    consortium.stop();
    refusal(&consortium.run(&["hospital", "status", "--folder", "st-olaf"]), CONNECTION);
}

/// What a signal does to a service: code and whether it ended by itself, while nobody answers it.
fn signalled(child: &mut Child, signal: &str) -> Option<i32> {
    Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    // Far below the two minutes for which a site tries to reach its coordinator.
    for _ in 0..300 {
        if let Some(status) = child.try_wait().expect("waited") {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    child.kill().and_then(|()| child.wait()).expect("killed");
    None
}

#[test]
fn services_end_when_they_are_told_to_whatever_they_wait_for() {
    let mut consortium = Consortium::open();
    consortium.member("st-anna");
    let mut coordinator = consortium.server.take().expect("in service");
    assert_eq!(signalled(&mut coordinator, "-INT"), Some(130));
    for (signal, exit) in [("-TERM", 0), ("-INT", 130)] {
        let mut serve = command(consortium.place.path(), &["hospital", "serve", "--folder", "st-anna"]);
        let mut site = serve.stderr(Stdio::piped()).spawn().expect("up");
        let mut line = String::new();
        let mut log = BufReader::new(site.stderr.take().expect("piped"));
        log.read_line(&mut line).expect("a line");
        assert!(line.contains("serves at"), "{line}");
        // It looks for its coordinator, which is gone.
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(signalled(&mut site, signal), Some(exit));
    }
}

/// Two that are started over a socket that was left behind; that they want one port is the lesser trouble.
#[test]
fn of_two_services_of_one_folder_one_serves_and_the_other_says_why_it_does_not() {
    let mut consortium = Consortium::open();
    let mut killed = consortium.server.take().expect("in service");
    killed.kill().and_then(|()| killed.wait()).expect("killed");
    assert!(consortium.place.path().join("coordinator/control/control.sock").exists(), "left behind");
    let start = || {
        let mut serve = command(consortium.place.path(), &["coordinator", "serve"]);
        serve.stderr(Stdio::piped()).spawn().expect("up")
    };
    let mut both = [start(), start()];
    let loser = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        both.iter_mut().position(|child| child.try_wait().expect("waited").is_some())
    });
    let [one, other] = both;
    let (lost, serves) = if loser == Some(0) { (one, other) } else { (other, one) };
    consortium.server = Some(serves);
    let told = refusal(&lost.wait_with_output().expect("ended"), CONNECTION);
    assert!(told.contains("another process serves here") && told.contains("or use another folder"), "{told}");
    // The other may still be on its way.
    let answers = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        consortium.run(&["coordinator", "status"]).status.success()
    });
    assert!(answers);
}

#[test]
fn a_site_that_has_just_joined_gets_no_second_certificate() {
    let consortium = Consortium::open();
    consortium.member("st-anna");
    let told = refusal(&consortium.run(&["hospital", "renew", "--folder", "st-anna"]), REFUSED);
    assert!(told.contains("not so soon again") && told.contains("do: wait a while"), "{told}");
}

/// Private keys lie sealed in the site's own folder, and what the coordinator stores opens none of them.
#[test]
fn keys_are_born_at_the_site_and_the_token_is_stored_nowhere() {
    let consortium = Consortium::open();
    let invite = consortium.invite("st-anna");
    let joining = consortium.join(&invite, "st-anna");
    consortium.json(&["coordinator", "approve", "st-anna", "--words", &joining.words]);
    assert_eq!(joining.ended(), Some(0));
    let site = consortium.place.path().join("st-anna");
    for key in ["tls-key", "signing-key"] {
        assert!(site.join(format!("vault/{key}.sealed")).exists());
    }
    let token = invite.parse::<protocol::enrolment::Invite>().expect("an invitation").token;
    let token = protocol::codec::Wire::to_bytes(&token);
    let mut files = 0;
    for folder in ["coordinator", "st-anna"] {
        for entry in fs::read_dir(consortium.place.path().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let bytes = fs::read(&path).expect("read");
                files += 1;
                assert!(!bytes.windows(token.len()).any(|window| window == token), "{}", path.display());
                assert!(!bytes.windows(12).any(|window| window == b"PRIVATE KEY "), "{}", path.display());
            }
        }
    }
    assert!(files >= 7, "{files} files were searched");
}

#[test]
fn whoever_comes_second_with_an_invitation_is_refused_and_keeps_nothing() {
    let consortium = Consortium::open();
    let invite = consortium.invite("st-anna");
    let joining = consortium.join(&invite, "st-anna");
    let thief = ["hospital", "join", &invite, "--organisation", "Clinic st-anna", "--folder", "thief"];
    assert!(refusal(&consortium.run(&thief), REFUSED).contains("somebody else has used this invitation"));
    let left = fs::read_dir(consortium.place.path().join("thief")).expect("a folder").map(|it| it.expect("read"));
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["sent"], "nothing half-enrolled, but what left the building is on record");
    // The first one's words are what they were.
    consortium.json(&["coordinator", "approve", "st-anna", "--words", &joining.words]);
    assert_eq!(joining.ended(), Some(0));
    let again = ["hospital", "join", &invite, "--organisation", "x", "--folder", "st-anna"];
    assert!(refusal(&consortium.run(&again), BAD_INPUT).contains("a member already"));
    let taken = consortium.run(&["coordinator", "invite", "st-anna"]);
    assert!(refusal(&taken, BAD_INPUT).contains("st-anna is a member already"));
}

#[test]
fn invitations_that_are_none_leave_no_trace() {
    let consortium = Consortium::open();
    let join = |line: &str| consortium.run(&["hospital", "join", line, "--organisation", "x", "--folder", "new"]);
    let invite = consortium.invite("st-anna");
    let altered = format!("{}q", &invite[..invite.len() - 1]);
    let altered = if altered == invite { format!("{}p", &invite[..invite.len() - 1]) } else { altered };
    assert!(refusal(&join(&altered), BAD_INPUT).contains("damaged or incomplete"));
    let nameless = consortium.run(&["hospital", "join", &invite, "--organisation", "a\u{1b}[2Jb", "--folder", "new"]);
    assert!(refusal(&nameless, BAD_INPUT).contains("organisation"));

    // Whole, and of a coordinator that never made it: another authority, another token.
    let parsed = || invite.parse::<protocol::enrolment::Invite>().expect("an invitation");
    let mut forged = parsed();
    forged.authority = protocol::net::KeyFingerprint::from_bytes([1; 32]);
    assert!(refusal(&join(&forged.to_line()), CONNECTION).contains("another authority"));
    let mut unknown = parsed();
    unknown.token = protocol::enrolment::Token::new([1; 16]);
    assert!(refusal(&join(&unknown.to_line()), REFUSED).contains("did not make this invitation"));
    let mut old = parsed();
    old.expires_s = 1_000;
    let mut elsewhere = parsed();
    elsewhere.address = "no-such-host.invalid:443".parse().expect("an address");
    assert!(refusal(&join(&elsewhere.to_line()), CONNECTION).contains("no-such-host.invalid"));
    fs::remove_dir_all(consortium.place.path().join("new")).expect("keys for another try");
    assert!(refusal(&join(&old.to_line()), BAD_INPUT).contains("has expired"));
    assert!(!consortium.place.path().join("new").exists());
}

#[test]
fn a_coordinators_folder_is_made_once_and_found_or_named() {
    let place = tempfile::tempdir().expect("a folder");
    let none = consilium(place.path(), &["coordinator", "sites"]);
    assert!(refusal(&none, BAD_INPUT).contains("no coordinator was set up here"));
    let init = ["coordinator", "init", "--address", "consilium.example:443"];
    assert_eq!(consilium(place.path(), &init).status.code(), Some(0));
    assert!(refusal(&consilium(place.path(), &init), BAD_INPUT).contains("was set up here already"));
    let settings = place.path().join("coordinator/coordinator.toml");
    fs::write(&settings, "address = \"consilium.example\"\nlisten = \"127.0.0.1:1\"\n").expect("written");
    let wrong = refusal(&consilium(place.path(), &["coordinator", "sites"]), BAD_INPUT);
    assert!(wrong.contains("coordinator.toml: address: \"consilium.example\" is no host and port"), "{wrong}");
    let flag = consilium(place.path(), &["coordinator", "init", "--address", "consilium.example"]);
    assert_eq!(flag.status.code(), Some(BAD_INPUT));
}

#[test]
fn a_member_that_is_excluded_takes_nobody_back_in_who_was_left_out() {
    let consortium = Consortium::open();
    for name in ["east", "north", "south", "west"] {
        consortium.member(name);
    }
    let plan = include_str!("../../configs/consortium.toml");
    fs::write(consortium.place.path().join("plan.toml"), plan).expect("written");
    let proposed = consortium.json(&["coordinator", "run", "plan.toml"]);
    assert_eq!((&proposed["epoch"], &proposed["members"]), (&1.into(), &4.into()));
    let second = consortium.json(&["coordinator", "exclude", "west"]);
    assert_eq!((&second["epoch"], &second["members"]), (&2.into(), &3.into()));
    assert!(refusal(&consortium.run(&["coordinator", "exclude", "west"]), BAD_INPUT).contains("west"));
    // Two are too few: west stays out, though it is a member.
    assert!(refusal(&consortium.run(&["coordinator", "exclude", "south"]), BAD_INPUT).contains("2 members"));
    let status = consortium.json(&["coordinator", "status"]);
    let stage = |epoch: u32| {
        let rows = status["epochs"].as_array().expect("rows");
        rows.iter().find(|row| row["epoch"] == epoch).map(|row| row["stage"].clone()).expect("the epoch")
    };
    assert_eq!(stage(1), "over");
    assert_ne!(stage(2), "over", "what is refused ends nothing");
    let from = ["coordinator", "run", "plan.toml", "--from", "2"];
    assert!(refusal(&consortium.run(&from), BAD_INPUT).contains("west took no part in key epoch 2"));
    // A revoked one can be excluded from an epoch that still has it.
    consortium.json(&["coordinator", "revoke", "west", "--yes"]);
    let third = consortium.json(&["coordinator", "exclude", "west", "--epoch", "1"]);
    assert_eq!((&third["epoch"], &third["members"]), (&3.into(), &3.into()));
}
