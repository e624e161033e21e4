//! The command line: verbs, flags, and the one place where the program starts and ends.

use std::{ffi::OsString, process::ExitCode};

use bench::BenchArgs;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use remedy::Explained;

use crate::{
    error::Error,
    exit,
    global::Global,
    memory,
    output::{self, Done},
    verbs::{
        self, audit::AuditArgs, coordinator::CoordinatorArgs, demo::DemoArgs, hospital::HospitalArgs, plan::PlanArgs,
        query::QueryArgs, research::ResearchArgs, run::RunArgs, serve::ServeArgs,
    },
};

/// Encrypted federated training for hospitals.
#[derive(Debug, Parser)]
#[command(
    name = "consilium",
    version,
    about = "Hospitals train one model together; updates, sums and the finished model stay encrypted.",
    after_help = include_str!("help/consilium.txt")
)]
pub struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a whole encrypted federation on this machine: no data, no configuration, about a minute.
    Demo(DemoArgs),
    /// Run the experiment of a file with the real protocol and encryption, on this machine.
    Run(RunArgs),
    /// Serve the encrypted models of finished runs until stopped.
    Serve(ServeArgs),
    /// Ask a served model for the diagnosis of an image; it leaves the hospital encrypted.
    Query(QueryArgs),
    /// Check what a coordinator did, from its folder and without a secret.
    Audit(AuditArgs),
    /// Set up a consortium's coordinator and admit sites to it.
    Coordinator(CoordinatorArgs),
    /// Join a consortium as a hospital.
    Hospital(HospitalArgs),
    /// Check an experiment and say what it would cost; nothing runs.
    Plan(PlanArgs),
    /// Time the cryptography on this machine, operation by operation.
    Bench(BenchArgs),
    /// Show what is never used: a scheme of the literature that hides nothing.
    Research(ResearchArgs),
    /// Decode one image from standard input within limits: what the portal starts for each file that a browser sends.
    #[command(hide = true, after_help = include_str!("help/decode.txt"))]
    Decode,
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Self::Demo(_) => "demo",
            Self::Run(_) => "run",
            Self::Serve(_) => "serve",
            Self::Query(_) => "query",
            Self::Audit(_) => "audit",
            Self::Coordinator(arguments) => arguments.name(),
            Self::Hospital(arguments) => arguments.name(),
            Self::Plan(_) => "plan",
            Self::Bench(arguments) => arguments.what.name(),
            Self::Research(arguments) => arguments.name(),
            Self::Decode => "decode",
        }
    }
}

/// The whole program: parses, runs, prints, and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = Cli::command().try_get_matches_from(arguments);
    let exit = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        // Nothing else is done in a process that is to be confined.
        Ok(Cli { verb: Verb::Decode, .. }) => return verbs::decode::run(),
        Ok(cli) => {
            // Where it cannot be had, everything works, and some of it slower.
            let _ = memory::keep();
            let started = cli.global.log.start(cli.global.format).map_err(Error::from);
            let result = started.and_then(|()| logged(&cli));
            let (mut out, mut log) = (std::io::stdout().lock(), std::io::stderr().lock());
            output::finish(cli.verb.name(), (cli.global.format, cli.global.colours()), &result, &mut out, &mut log)
        }
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; the parser knows which.
            let _ = error.print();
            exit::of_parser(&error)
        }
    };
    ExitCode::from(exit.code())
}

/// Does what was asked, with its beginning and its end in the log.
fn logged(cli: &Cli) -> Result<Done, Error> {
    let verb = cli.verb.name();
    tracing::info!(verb, version = env!("CARGO_PKG_VERSION"), "started");
    let result = dispatch(cli);
    match &result {
        Ok(done) => tracing::info!(verb, exit = done.exit.code(), "ended"),
        Err(error) => tracing::error!(verb, exit = error.exit().code(), %error, "ended"),
    }
    result
}

fn dispatch(cli: &Cli) -> Result<Done, Error> {
    match &cli.verb {
        Verb::Demo(arguments) => verbs::demo::run(arguments, &cli.global),
        Verb::Run(arguments) => verbs::run::run(arguments, &cli.global),
        Verb::Serve(arguments) => verbs::serve::run(arguments, &cli.global),
        Verb::Query(arguments) => verbs::query::run(arguments),
        Verb::Audit(arguments) => verbs::audit::run(arguments),
        Verb::Coordinator(arguments) => verbs::coordinator::run(arguments, cli.global.format),
        Verb::Hospital(arguments) => verbs::hospital::run(arguments),
        Verb::Plan(arguments) => verbs::plan::run(arguments),
        Verb::Bench(arguments) => verbs::bench::run(arguments, &cli.global),
        Verb::Research(arguments) => verbs::research::run(arguments, &cli.global),
        // Ended before anything is logged.
        Verb::Decode => Ok(Done { text: String::new(), data: serde_json::Value::Null, exit: remedy::Exit::Done }),
    }
}

#[cfg(test)]
mod tests {
    use remedy::Exit;

    use super::*;

    /// The exit code of a command line, without running it.
    fn parsed(arguments: &[&str]) -> Exit {
        Cli::try_parse_from(arguments).map_or_else(|error| exit::of_parser(&error), |_| Exit::Done)
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// Whoever reads such a flag gets the other's value, and the program ends in a panic.
    #[test]
    fn no_action_has_a_flag_with_the_name_of_one_that_it_inherits() {
        fn walk(command: &clap::Command, inherited: &[String]) {
            let of = |is_global| {
                let all = command.get_arguments().filter(move |flag| flag.is_global_set() == is_global);
                all.map(|flag| flag.get_id().to_string())
            };
            let own: Vec<String> = of(true).chain(of(false)).collect();
            assert!(own.iter().all(|flag| !inherited.contains(flag)), "{}: {own:?}", command.get_name());
            let inherited: Vec<String> = inherited.iter().cloned().chain(of(true)).collect();
            command.get_subcommands().for_each(|verb| walk(verb, &inherited));
        }
        walk(&Cli::command(), &[]);
    }

    #[test]
    fn every_measurement_shows_an_example() {
        for verb in Cli::command().find_subcommand_mut("bench").expect("a verb").get_subcommands_mut() {
            let name = verb.get_name().to_owned();
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Example") && help.contains(&format!("consilium bench {name}")), "{name}: {help}");
        }
    }

    #[test]
    fn every_action_of_a_verb_shows_an_example() {
        for group in ["audit", "coordinator", "hospital", "research"] {
            for verb in Cli::command().find_subcommand_mut(group).expect("a verb").get_subcommands_mut() {
                let name = verb.get_name().to_owned();
                let (help, example) = (verb.render_long_help().to_string(), format!("consilium {group} {name}"));
                assert!(help.contains("Example") && help.contains(&example), "{name}: {help}");
            }
        }
    }

    #[test]
    fn every_verb_shows_an_example() {
        for verb in Cli::command().get_subcommands_mut() {
            let name = verb.get_name().to_owned();
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Example") && help.contains(&format!("consilium {name}")), "{name}: {help}");
        }
    }

    #[test]
    fn wrong_arguments_are_bad_input_and_help_is_fine() {
        assert_eq!(parsed(&["consilium", "fly"]), Exit::BadInput);
        assert_eq!(parsed(&["consilium", "run"]), Exit::BadInput);
        assert_eq!(parsed(&["consilium", "demo", "--drop", "nobody"]), Exit::BadInput);
        assert_eq!(parsed(&["consilium"]), Exit::BadInput);
        assert_eq!(parsed(&["consilium", "plan", "--help"]), Exit::Done);
        assert_eq!(parsed(&["consilium", "--version"]), Exit::Done);
        assert_eq!(parsed(&["consilium", "bench"]), Exit::BadInput);
        assert_eq!(parsed(&["consilium", "bench", "he", "--repeat", "3", "--seconds", "1"]), Exit::BadInput);
        assert_eq!(parsed(&["consilium", "bench", "aggregate", "--hospitals", "x"]), Exit::BadInput);
        assert_eq!(parsed(&["consilium", "bench", "limit", "--format", "table"]), Exit::Done);
        assert_eq!(parsed(&["consilium", "demo", "--drop", "hospital-2@2:after-upload"]), Exit::Done);
    }
}
