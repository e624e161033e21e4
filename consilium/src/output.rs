//! How results leave the program: text for people, one JSON envelope or a stream of JSON lines for programs.

use std::io::Write;

use protocol::text::shown;
use remedy::Explained;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{error::Error, exit::Exit, live::red};

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    #[value(alias = "table")]
    Text,
    /// One JSON object at the end; for a measurement, one per row.
    Json,
    /// JSON lines: events while running, the same object at the end.
    Jsonl,
}

/// What a verb hands back.
#[derive(Debug)]
pub struct Done {
    /// The result for people, without a last newline.
    pub text: String,
    /// The result for programs; null if `text` already is in the form that was asked for, as a measurement's rows are.
    /// What its entry `warning` says, people read before and after `text`, in red.
    pub data: Value,
    /// [`Exit::Done`], or what a finished run found to be wrong.
    pub exit: Exit,
}

#[derive(Serialize)]
struct Envelope<'a> {
    schema: u32,
    command: &'a str,
    status: &'a str,
    exit: u8,
    data: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// Writes the result, in colours or without: data to `out`, errors for people to `log`. Returns the exit code of the
/// process.
pub fn finish(
    command: &str,
    (format, colours): (Format, bool),
    result: &Result<Done, Error>,
    out: &mut dyn Write,
    log: &mut dyn Write,
) -> Exit {
    let exit = match result {
        Ok(done) => done.exit,
        Err(error) => error.exit(),
    };
    let written = match (format, result) {
        // Names, plans and reasons in it may have come from the other side.
        (Format::Text, Ok(done)) => match done.data["warning"].as_str().map(shown) {
            Some(warning) => {
                let warning = if colours { red(&warning) } else { warning.into_owned() };
                writeln!(out, "{warning}\n{}\n{warning}", shown(&done.text))
            }
            None => writeln!(out, "{}", shown(&done.text)),
        },
        (Format::Text, Err(error)) => {
            writeln!(log, "error: {}\n  do: {}", shown(&error.to_string()), shown(&error.remedy()))
        }
        (_, Ok(done)) if done.data.is_null() => writeln!(out, "{}", done.text),
        (Format::Json, _) => envelope(command, exit, result, |envelope| serde_json::to_string_pretty(envelope))
            .and_then(|text| writeln!(out, "{text}")),
        (Format::Jsonl, _) => envelope(command, exit, result, |envelope| serde_json::to_string(envelope))
            .and_then(|text| writeln!(out, "{text}")),
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => exit,
        // Whoever closed the pipe has what it wanted; a full disk is another matter.
        Err(source) if source.kind() == std::io::ErrorKind::BrokenPipe => exit,
        Err(source) => Error::Output(source).exit(),
    }
}

/// Writes one of many results: to programs in a line of its own, whichever of their two forms they asked for.
///
/// # Errors
/// What the stream says, also that nobody reads it.
pub fn look(command: &str, format: Format, done: Done, out: &mut dyn Write) -> std::io::Result<()> {
    match format {
        Format::Text => writeln!(out, "{}", shown(&done.text))?,
        Format::Json | Format::Jsonl => {
            let text = envelope(command, done.exit, &Ok(done), |envelope| serde_json::to_string(envelope))?;
            writeln!(out, "{text}")?;
        }
    }
    out.flush()
}

/// The text of the envelope, its keys in the order that people read them in.
fn envelope(
    command: &str,
    exit: Exit,
    result: &Result<Done, Error>,
    write: impl Fn(&Envelope<'_>) -> serde_json::Result<String>,
) -> std::io::Result<String> {
    let (data, error) = match result {
        Ok(done) => (&done.data, None),
        Err(error) => {
            let (code, what, remedy) = (error.code(), error.to_string(), error.remedy());
            (&Value::Null, Some(json!({"code": code, "where": error.place(), "what": what, "do": remedy})))
        }
    };
    let envelope = Envelope { schema: 1, command, status: exit.status(), exit: exit.code(), data, error };
    write(&envelope).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment::Experiment;
    use protocol::verifier::{Author, VerifyError};
    use protocol::{PartyId, Reject};

    fn printed(format: Format, result: &Result<Done, Error>) -> (String, String, Exit) {
        let (mut out, mut log) = (Vec::new(), Vec::new());
        let exit = finish("plan", (format, false), result, &mut out, &mut log);
        (String::from_utf8(out).expect("text"), String::from_utf8(log).expect("text"), exit)
    }

    #[test]
    fn a_result_is_one_envelope() {
        let done = Done { text: "fine".to_owned(), data: json!({"depth": 5}), exit: Exit::Done };
        let (out, log, exit) = printed(Format::Json, &Ok(done));
        let value: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(value, json!({"schema": 1, "command": "plan", "status": "done", "exit": 0, "data": {"depth": 5}}));
        assert_eq!((log.as_str(), exit), ("", Exit::Done));
    }

    #[test]
    fn each_of_many_results_is_a_line_to_programs() {
        for format in [Format::Json, Format::Jsonl] {
            let mut out = Vec::new();
            for step in 1..3 {
                let done = Done { text: String::new(), data: json!({"step": step, "of": [1]}), exit: Exit::Done };
                look("status", format, done, &mut out).unwrap();
            }
            let text = String::from_utf8(out).unwrap();
            let steps: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            assert_eq!(steps.iter().map(|step| &step["data"]["step"]).collect::<Vec<_>>(), [1, 2]);
        }
        let mut out = Vec::new();
        let done = Done { text: "a\u{1b}[2J".to_owned(), data: Value::Null, exit: Exit::Done };
        look("status", Format::Text, done, &mut out).unwrap();
        assert_eq!(out, "a\u{fffd}[2J\n".as_bytes());
    }

    #[test]
    fn nothing_that_others_wrote_rewrites_the_terminal() {
        let done = Done { text: "site\u{1b}[2J\nnext".to_owned(), data: Value::Null, exit: Exit::Done };
        assert_eq!(printed(Format::Text, &Ok(done)).0, "site\u{fffd}[2J\nnext\n");
        let error = Error::Words("a\u{1b}b".parse::<protocol::enrolment::Words>().expect_err("no words"));
        assert!(!printed(Format::Text, &Err(error)).1.contains('\u{1b}'));
        let error = Error::NotConfirmed { what: "\u{202e}x".to_owned(), instead: "" };
        assert!(printed(Format::Text, &Err(error)).1.starts_with("error: \u{fffd}x"));
    }

    #[test]
    fn a_warning_stands_first_and_last_and_is_red_where_there_are_colours() {
        let done = || Done { text: "fine".to_owned(), data: json!({"warning": "NO\u{7}T"}), exit: Exit::Done };
        assert_eq!(printed(Format::Text, &Ok(done())).0, "NO\u{fffd}T\nfine\nNO\u{fffd}T\n");
        let (mut out, mut log) = (Vec::new(), Vec::new());
        finish("research more", (Format::Text, true), &Ok(done()), &mut out, &mut log);
        let red = "\u{1b}[1;31mNO\u{fffd}T\u{1b}[0m";
        assert_eq!(String::from_utf8(out).expect("text"), format!("{red}\nfine\n{red}\n"));
        let value: Value = serde_json::from_str(&printed(Format::Json, &Ok(done())).0).expect("JSON");
        assert_eq!(value["data"]["warning"], "NO\u{7}T");
    }

    #[test]
    fn what_is_in_the_right_form_gets_no_envelope() {
        for format in [Format::Json, Format::Jsonl] {
            let done = Done { text: "{\"op\":1}\n{\"op\":2}".to_owned(), data: Value::Null, exit: Exit::Done };
            let (out, log, exit) = printed(format, &Ok(done));
            assert_eq!((out.as_str(), log.as_str(), exit), ("{\"op\":1}\n{\"op\":2}\n", "", Exit::Done));
        }
    }

    #[test]
    fn a_log_that_breaks_a_rule_names_its_entry_and_its_author_in_both_forms() {
        for (author, name) in [
            (Author::Coordinator, "the coordinator"),
            (Author::Hospital(PartyId::new(3).expect("a party")), "hospital-3"),
        ] {
            let error = || Error::Audit(VerifyError { index: 17, author, reject: Reject::CommitmentBroken }.into());
            let (out, _, exit) = printed(Format::Json, &Err(error()));
            let value: Value = serde_json::from_str(&out).expect("JSON");
            assert_eq!(
                (value["error"]["where"].as_str(), exit.code()),
                (Some(&*format!("entry 17 of the log, {name}")), 6)
            );
            let (_, log, _) = printed(Format::Text, &Err(error()));
            assert!(
                log.contains("entry 17") && log.contains(name) && log.contains("does not match its commitment"),
                "{log}"
            );
        }
    }

    #[test]
    fn an_error_names_place_and_remedy_in_both_forms() {
        let error =
            || Error::Experiment(Experiment::parse("x.toml", "[experiment]\nnmae = \"a\"\n", &[]).expect_err("typo"));
        let (out, _, exit) = printed(Format::Jsonl, &Err(error()));
        assert_eq!(out.lines().count(), 1);
        let value: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(exit, Exit::BadInput);
        assert_eq!((&value["status"], &value["exit"]), (&json!("bad-input"), &json!(4)));
        assert_eq!(value["error"]["code"], "experiment_invalid");
        assert!(value["error"]["where"].as_str().is_some_and(|place| place.starts_with("x.toml")));
        let (out, log, _) = printed(Format::Text, &Err(error()));
        assert_eq!(out, "");
        assert!(log.starts_with("error: x.toml"), "{log}");
        assert!(log.contains("\n  do: "), "{log}");
    }
}
