//! Decoding in a child process: what a child does to itself, and what becomes of a parent whose child hangs, floods,
//! lies, crashes or eats. The children are shells and this program itself, which has a `main` of its own for it; that
//! answers `--list` and names of tests as the usual one does.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "either is a failed test")]
#![expect(clippy::print_stdout, reason = "a harness says which tests it has and has run")]

use std::io::{self, Read};
use std::time::{Duration, Instant};

use imaging::{Decoder, Ending, ImagingError, Limits, Problem, Quantity, Scan, serve};
use rustix::process::{Resource, getrlimit};

#[path = "dicom/writer.rs"]
mod writer;

use writer::Image;

const TESTS: &[(&str, fn())] = &[
    ("a_child_decodes_what_this_process_does", a_child_decodes_what_this_process_does),
    ("what_a_child_refuses_arrives_as_it_is", what_a_child_refuses_arrives_as_it_is),
    (
        "a_child_has_forbidden_itself_everything_before_it_reads",
        a_child_has_forbidden_itself_everything_before_it_reads,
    ),
    ("a_child_that_eats_memory_ends_and_the_parent_goes_on", a_child_that_eats_memory_ends_and_the_parent_goes_on),
    ("a_child_that_hangs_is_killed_with_all_it_started", a_child_that_hangs_is_killed_with_all_it_started),
    ("a_flood_and_a_lie_are_read_no_further_than_needed", a_flood_and_a_lie_are_read_no_further_than_needed),
    ("a_child_that_crashes_is_told_by_its_end", a_child_that_crashes_is_told_by_its_end),
    ("a_child_sees_no_environment_and_its_words_go_nowhere", a_child_sees_no_environment_and_its_words_go_nowhere),
    ("a_program_that_is_not_there_is_an_error", a_program_that_is_not_there_is_an_error),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--child", role] => return child(role),
        words if words.contains(&"--list") && words.contains(&"--ignored") => return,
        words if words.contains(&"--list") => {
            return TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        _ => {}
    }
    let names: Vec<&&str> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let is_exact = words.contains(&"--exact");
    let is_wanted = |name: &str| {
        names.is_empty() || names.iter().any(|wanted| if is_exact { **wanted == name } else { name.contains(**wanted) })
    };
    for (name, test) in TESTS.iter().filter(|(name, _)| is_wanted(name)) {
        // One that fails panics, and so ends this program with an error.
        test();
        println!("test {name} ... ok");
    }
}

/// What this program does as a child.
fn child(role: &str) {
    let input = io::stdin().lock();
    let served = match role {
        "serve" => serve(input, io::stdout()),
        _ => serve(Doing { role, heads: 1, input }, io::stdout()),
    };
    if served.is_err() {
        std::process::exit(5);
    }
}

/// Input that does something else once the request has been read: what runs then is confined already.
struct Doing<'a, R> {
    role: &'a str,
    heads: usize,
    input: R,
}

impl<R: Read> Read for Doing<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.heads > 0 {
            self.heads -= 1;
            return self.input.read(into);
        }
        match self.role {
            "eat" => {
                let mut eaten: Vec<Vec<u8>> = Vec::new();
                // A gigabyte, which is four times what is allowed.
                while eaten.len() < 1 << 10 {
                    eaten.push(vec![1; 1 << 20]);
                }
                std::process::exit(6)
            }
            "look" => {
                let now = |resource| getrlimit(resource);
                let is_closed = std::fs::File::open("/dev/null").is_err();
                let fixed = [(Resource::Cpu, 8), (Resource::Fsize, 0), (Resource::Core, 0), (Resource::Nofile, 3)];
                let is_fixed = fixed
                    .into_iter()
                    .all(|(resource, most)| now(resource).current == Some(most) && now(resource).maximum == Some(most));
                let memory = now(Resource::As);
                let is_bounded = memory.maximum.is_some_and(|most| most > 1 << 28) && memory.current == memory.maximum;
                std::process::exit(if is_closed && is_fixed && is_bounded { 42 } else { 43 })
            }
            _ => std::process::exit(44),
        }
    }
}

fn own(role: &str) -> Decoder {
    Decoder::new(std::env::current_exe().unwrap(), ["--child", role])
}

fn shell(script: &str) -> Decoder {
    Decoder::new("/bin/sh", ["-c", script])
}

fn limits() -> Limits {
    Limits { time: Duration::from_secs(20), memory_bytes: 1 << 28, ..Limits::default() }
}

fn a_child_decodes_what_this_process_does() {
    let files = [
        Image { rows: 300, columns: 400, ..Image::grey12(vec![0x12; 240_000]) }.file(),
        Image { photometric: "RGB", samples: 3, bits: [8, 8, 7], ..Image::grey12(vec![9; 12]) }.file(),
    ];
    for file in files {
        let here = Scan::decode(&file, &limits()).unwrap();
        let there = own("serve").decode(&file, &limits()).unwrap();
        assert_eq!(there, here);
        let patient = Limits { time: Duration::MAX, ..limits() };
        assert_eq!(own("serve").decode(&file, &patient).unwrap(), here);
        assert!(there.identity().is_some_and(|identity| identity.patient_id == "4711"));
    }
}

fn what_a_child_refuses_arrives_as_it_is() {
    let refused = |file: &[u8], limits: Limits| own("serve").decode(file, &limits).unwrap_err();
    assert!(matches!(refused(b"<!doctype html>", limits()), ImagingError::UnknownFormat));
    assert!(matches!(refused(b"", limits()), ImagingError::UnknownFormat));
    let short = Image::grey12(vec![0; 7]).file();
    assert!(matches!(refused(&short, limits()), ImagingError::Truncated { has: 7, expected: 8 }));
    let many = Image { frames: "99999", ..Image::grey12(vec![0; 8]) }.file();
    assert!(matches!(refused(&many, limits()), ImagingError::TooLarge { quantity: Quantity::Frames, .. }));
    let cut = &short[..200];
    assert!(matches!(refused(cut, limits()), ImagingError::Structure { problem: Problem::Ends, .. }));
    let memory = Limits { memory_bytes: 100, ..limits() };
    assert!(matches!(refused(&[0; 1000], memory), ImagingError::TooMuchMemory { limit: 100 }));
    let long = Limits { bytes_max: 100, ..limits() };
    assert!(matches!(refused(&[0; 1000], long), ImagingError::TooLarge { quantity: Quantity::FileBytes, .. }));
}

fn a_child_has_forbidden_itself_everything_before_it_reads() {
    let limits = Limits { time: Duration::from_secs(7), ..limits() };
    let outcome = own("look").decode(&[0; 100_000], &limits);
    assert!(matches!(outcome, Err(ImagingError::Crashed { ending: Ending::Code(42) })), "{outcome:?}");
}

fn a_child_that_eats_memory_ends_and_the_parent_goes_on() {
    let outcome = own("eat").decode(&[0; 100_000], &limits());
    // The allocator's last word is an abort.
    assert!(matches!(outcome, Err(ImagingError::Crashed { ending: Ending::Signal(6) })), "{outcome:?}");
    a_child_decodes_what_this_process_does();
}

fn a_child_that_hangs_is_killed_with_all_it_started() {
    let limits = Limits { time: Duration::from_millis(300), ..limits() };
    let file = vec![0; 10 << 20];
    let before = Instant::now();
    for decoder in [
        Decoder::new("/bin/sleep", ["60"]),
        shell("sleep 60 & sleep 60"),
        shell("cat >/dev/null; sleep 60"),
        shell("sleep 60 & exit 3"),
    ] {
        let outcome = decoder.decode(&file, &limits);
        assert!(matches!(outcome, Err(ImagingError::TooLong { limit }) if limit == limits.time), "{outcome:?}");
    }
    // One that answers nothing and closes its output, but stays.
    let outcome = shell("exec >&-; sleep 60").decode(&file, &limits);
    assert!(matches!(outcome, Err(ImagingError::Answer { offset: 0 })), "{outcome:?}");
    assert!(before.elapsed() < Duration::from_secs(20));
}

fn a_flood_and_a_lie_are_read_no_further_than_needed() {
    let file = vec![0; 10 << 20];
    // Magic, version, kind, then both lengths.
    let prefix = |kind: u8, head: u8, head_top: u8| {
        format!("printf 'CIMG\\001\\00{kind}\\{head:03o}\\0\\0\\0\\0\\0\\0\\{head_top:03o}\\0\\0\\0\\0\\0\\0\\0\\0'")
    };
    let cases = [
        ("exec cat /dev/zero".to_owned(), 0),
        ("echo hello".to_owned(), 6),
        ("echo '<html><body>no scan, but long enough</body></html>'".to_owned(), 0),
        // A head of petabytes, and one of ten bytes that is none.
        (prefix(1, 0, 16), 0),
        (format!("{}; printf 0123456789", prefix(1, 10, 0)), 23),
        (format!("{}; printf 0123456789", prefix(2, 10, 0)), 23),
        (format!("{}; printf 01234", prefix(2, 10, 0)), 27),
        // More than was announced.
        (format!("{}; exec cat /dev/zero", prefix(2, 10, 0)), 32),
    ];
    for (script, expected) in cases {
        let outcome = shell(&script).decode(&file, &limits());
        assert!(
            matches!(outcome, Err(ImagingError::Answer { offset }) if offset == expected),
            "{script}: {outcome:?}, not {expected}"
        );
    }
}

fn a_child_that_crashes_is_told_by_its_end() {
    let file = vec![0; 10 << 20];
    let ending = |script: &str| match shell(script).decode(&file, &limits()) {
        Err(ImagingError::Crashed { ending }) => ending,
        outcome => panic!("{script}: {outcome:?}"),
    };
    assert_eq!(ending("exit 3"), Ending::Code(3));
    assert_eq!(ending("cat >/dev/null; kill -SEGV $$"), Ending::Signal(11));
    assert_eq!(ending("printf CIMG; kill -KILL $$"), Ending::Signal(9));
    // A child that is handed less than it was promised decodes none of it.
    let this = std::env::current_exe().unwrap();
    let script = format!("head -c 1000 | {} --child serve", this.display());
    assert_eq!(ending(&script), Ending::Code(5));
    let outcome = shell("kill -XCPU $$").decode(&file, &limits());
    assert!(matches!(outcome, Err(ImagingError::TooLong { .. })), "{outcome:?}");
}

fn a_child_sees_no_environment_and_its_words_go_nowhere() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let outcome = shell("[ -z \"$CARGO_MANIFEST_DIR\" ] && exit 8; exit 9").decode(b"", &limits());
    assert!(matches!(outcome, Err(ImagingError::Crashed { ending: Ending::Code(8) })), "{outcome:?}");
    let outcome = shell("head -c 10000000 /dev/zero >&2; exit 7").decode(b"", &limits());
    assert!(matches!(outcome, Err(ImagingError::Crashed { ending: Ending::Code(7) })), "{outcome:?}");
}

fn a_program_that_is_not_there_is_an_error() {
    let outcome = Decoder::new("/nowhere/at/all", [""; 0]).decode(b"", &limits());
    assert!(matches!(outcome, Err(ImagingError::Start { .. })), "{outcome:?}");
}
