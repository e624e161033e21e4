//! The command line: verbs, flags, and the one place where the program starts and ends.

use std::{ffi::OsString, io::IsTerminal, process::ExitCode};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    audit_verb::{self, AuditArgs},
    bench::{self, BenchArgs},
    demo::{self, DemoArgs},
    error::Error,
    exit::{self, Exit},
    live::Shown,
    output::{self, Done, Format},
    plan_verb::{self, PlanArgs},
    query_verb::{self, QueryArgs},
    run_verb::{self, RunArgs},
    serve_verb::{self, ServeArgs},
};

/// Encrypted federated training for hospitals.
#[derive(Debug, Parser)]
#[command(
    name = "consilium",
    version,
    about = "Hospitals train one model together; updates, sums and the finished model stay encrypted.",
    after_help = "Examples:\n  consilium demo\n  consilium plan configs/pneumonia.toml\n  consilium run configs/pneumonia.toml --data pneumoniamnist.npz\n  consilium serve runs/pneumonia\n  consilium query runs/pneumonia --hospital 2 scan.png\n  consilium audit recompute runs/pneumonia 2-17\n  consilium bench aggregate --parameters 1663370 --hospitals 10\n\nExit codes: 0 done, 1 failed, 2 connection, 3 quorum missed, 4 bad input, 5 refused, 6 not verified,\n7 storage full, 130 interrupted."
)]
pub struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Clone, Copy, Args)]
pub struct Global {
    /// How results are printed: for people, as one JSON object, or as JSON lines with events.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub format: Format,
    /// No colours; NO_COLOR in the environment does the same.
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl Global {
    /// The live view that fits this output.
    pub fn shown(self) -> Shown {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Shown::choose(self.format, !self.no_color && !forbidden && std::io::stderr().is_terminal())
    }
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
    /// Check an experiment and say what it would cost; nothing runs.
    Plan(PlanArgs),
    /// Time the cryptography on this machine, operation by operation.
    Bench(BenchArgs),
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Self::Demo(_) => "demo",
            Self::Run(_) => "run",
            Self::Serve(_) => "serve",
            Self::Query(_) => "query",
            Self::Audit(_) => "audit",
            Self::Plan(_) => "plan",
            Self::Bench(arguments) => arguments.what.name(),
        }
    }
}

/// The whole program: parses, runs, prints, and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = Cli::command().try_get_matches_from(arguments);
    let exit = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => {
            let result = dispatch(&cli);
            let (mut out, mut log) = (std::io::stdout().lock(), std::io::stderr().lock());
            output::finish(cli.verb.name(), cli.global.format, &result, &mut out, &mut log)
        }
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; the parser knows which.
            let _ = error.print();
            exit::of_parser(&error)
        }
    };
    ExitCode::from(exit.code())
}

fn dispatch(cli: &Cli) -> Result<Done, Error> {
    match &cli.verb {
        Verb::Demo(arguments) => demo::run(arguments, cli.global),
        Verb::Run(arguments) => run_verb::run(arguments, cli.global),
        Verb::Serve(arguments) => serve_verb::run(arguments, cli.global),
        Verb::Query(arguments) => query_verb::run(arguments),
        Verb::Audit(arguments) => audit_verb::run(arguments),
        Verb::Plan(arguments) => plan_verb::run(arguments),
        Verb::Bench(arguments) => bench::run(arguments, cli.global),
    }
}

impl Exit {
    /// The exit code of a command line, without running it; for tests.
    #[cfg(test)]
    fn of_parsing(arguments: &[&str]) -> Self {
        match Cli::try_parse_from(arguments) {
            Ok(_) => Self::Done,
            Err(error) => exit::of_parser(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
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
    fn every_audit_shows_an_example() {
        for verb in Cli::command().find_subcommand_mut("audit").expect("a verb").get_subcommands_mut() {
            let name = verb.get_name().to_owned();
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Example") && help.contains(&format!("consilium audit {name}")), "{name}: {help}");
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
        assert_eq!(Exit::of_parsing(&["consilium", "fly"]), Exit::BadInput);
        assert_eq!(Exit::of_parsing(&["consilium", "run"]), Exit::BadInput);
        assert_eq!(Exit::of_parsing(&["consilium", "demo", "--drop", "nobody"]), Exit::BadInput);
        assert_eq!(Exit::of_parsing(&["consilium"]), Exit::BadInput);
        assert_eq!(Exit::of_parsing(&["consilium", "plan", "--help"]), Exit::Done);
        assert_eq!(Exit::of_parsing(&["consilium", "--version"]), Exit::Done);
        assert_eq!(Exit::of_parsing(&["consilium", "bench"]), Exit::BadInput);
        assert_eq!(Exit::of_parsing(&["consilium", "bench", "he", "--repeat", "3", "--seconds", "1"]), Exit::BadInput);
        assert_eq!(Exit::of_parsing(&["consilium", "bench", "aggregate", "--hospitals", "x"]), Exit::BadInput);
        assert_eq!(Exit::of_parsing(&["consilium", "bench", "limit", "--format", "table"]), Exit::Done);
        assert_eq!(Exit::of_parsing(&["consilium", "demo", "--drop", "hospital-2@2:after-upload"]), Exit::Done);
    }
}
