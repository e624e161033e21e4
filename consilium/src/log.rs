//! The program's log: what its parts tell about their work, as text or as JSON lines. Off unless it is asked for.
//!
//! Nothing here keeps a secret out of the log: no part may tell one. A simulated run can show that none does, because
//! it knows all secrets and searches its log file for them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;

use clap::Args;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, writer::BoxMakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::output::Format;

/// The crates of this program: a level without a target speaks of them.
const OWN: [&str; 20] = [
    "bench",
    "client",
    "consilium",
    "coordinator",
    "datasets",
    "experiment",
    "he_agg",
    "he_gpu",
    "he_infer",
    "he_train",
    "imaging",
    "metrics",
    "more",
    "pacs",
    "portal",
    "privacy",
    "protocol",
    "remedy",
    "report",
    "simulation",
];

/// Flags of the log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log: off, error, warn, info, debug or trace, and levels of single parts, as in info,protocol::net=debug.
    ///
    /// A level alone is that of Consilium's own crates; libraries tell their warnings at most. With --format json or
    /// jsonl each line is a JSON object.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "off",
        default_value_if("log_file", clap::builder::ArgPredicate::IsPresent, "info")
    )]
    pub log: LogFilter,
    /// Where to log: appended to this file, readable by its owner alone, instead of standard error.
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

impl LogArgs {
    /// Whether lines of the log go to standard error, where nothing else may redraw.
    pub fn is_on_standard_error(&self) -> bool {
        self.log_file.is_none() && self.log.is_on()
    }

    /// The file that is logged to, if there is one.
    pub fn file(&self) -> Option<PathBuf> {
        self.log_file.clone().filter(|_| self.log.is_on())
    }

    /// Starts the log, before anything else works.
    ///
    /// # Errors
    /// [`LogError`] where the file cannot be opened.
    pub fn start(&self, format: Format) -> Result<(), LogError> {
        if !self.log.is_on() {
            return Ok(());
        }
        let writer = match &self.log_file {
            Some(path) => BoxMakeWriter::new(Mutex::new(open(path)?)),
            None => BoxMakeWriter::new(std::io::stderr),
        };
        let lines = fmt::layer().with_writer(writer).with_ansi(false);
        let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
            Format::Text => lines.with_filter(self.log.0.clone()).boxed(),
            Format::Json | Format::Jsonl => lines.json().flatten_event(true).with_filter(self.log.0.clone()).boxed(),
        };
        tracing_subscriber::registry().with(lines).try_init().map_err(|_| LogError::Started)
    }
}

/// Parts of the program and the level that each tells.
#[derive(Debug, Clone)]
pub struct LogFilter(Targets);

impl LogFilter {
    fn is_on(&self) -> bool {
        self.0.iter().any(|(_, level)| level != LevelFilter::OFF)
    }
}

impl FromStr for LogFilter {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        let level = |word: &str| -> Result<LevelFilter, LogError> {
            // The library also takes numbers, which no help names.
            match word.trim() {
                "off" => Ok(LevelFilter::OFF),
                "error" => Ok(LevelFilter::ERROR),
                "warn" => Ok(LevelFilter::WARN),
                "info" => Ok(LevelFilter::INFO),
                "debug" => Ok(LevelFilter::DEBUG),
                "trace" => Ok(LevelFilter::TRACE),
                other => Err(LogError::Level { found: other.to_owned() }),
            }
        };
        let (mut parts, mut all) = (Vec::new(), LevelFilter::OFF);
        for item in text.split(',') {
            match item.split_once('=') {
                Some((target, word)) => parts.push((target.trim().to_owned(), level(word)?)),
                None => all = level(item)?,
            }
        }
        let own = OWN.map(|name| (name.to_owned(), all));
        let targets = Targets::new().with_default(all.min(LevelFilter::WARN)).with_targets(own).with_targets(parts);
        Ok(Self(targets))
    }
}

fn open(path: &Path) -> Result<File, LogError> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened.map_err(|source| LogError::Open { path: path.to_owned(), source })
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// No level of this name.
    #[error("{found:?} is no level; off, error, warn, info, debug and trace are")]
    Level {
        /// As given.
        found: String,
    },
    /// The file cannot be written.
    #[error("cannot open the log {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// Somebody has started one in this process before.
    #[error("this process logs already")]
    Started,
}

impl remedy::Explained for LogError {
    fn code(&self) -> &'static str {
        "log"
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Level { .. } | Self::Started => Some("--log".to_owned()),
            Self::Open { .. } => Some("--log-file".to_owned()),
        }
    }

    fn remedy(&self) -> std::borrow::Cow<'static, str> {
        match self {
            Self::Level { .. } => "name one of these levels, for instance --log info".into(),
            Self::Open { .. } => "name a file in a folder that exists and that you may write to".into(),
            Self::Started => "start the program anew".into(),
        }
    }

    fn exit(&self) -> remedy::Exit {
        match self {
            Self::Open { source, .. } => remedy::Exit::of_io(source),
            Self::Level { .. } | Self::Started => remedy::Exit::BadInput,
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn enabled(filter: &str, target: &str, level: Level) -> bool {
        filter.parse::<LogFilter>().expect("a filter").0.would_enable(target, &level)
    }

    #[test]
    fn a_level_alone_is_that_of_our_own_crates() {
        assert!(enabled("debug", "protocol::net::server", Level::DEBUG));
        assert!(!enabled("debug", "protocol::net::server", Level::TRACE));
        assert!(enabled("debug", "quinn::connection", Level::WARN));
        assert!(!enabled("debug", "quinn::connection", Level::INFO));
        assert!(!enabled("error", "quinn::connection", Level::WARN));
    }

    #[test]
    fn a_part_has_the_level_that_is_named_for_it_wherever_it_stands() {
        for filter in ["info,protocol::net=trace", "protocol::net=trace,info", "info, protocol::net = trace"] {
            assert!(enabled(filter, "protocol::net::server", Level::TRACE), "{filter}");
            assert!(!enabled(filter, "protocol::round", Level::DEBUG), "{filter}");
            assert!(enabled(filter, "protocol::round", Level::INFO), "{filter}");
        }
        assert!(enabled("quinn=debug", "quinn", Level::DEBUG));
        assert!(!enabled("quinn=debug", "client", Level::ERROR));
    }

    #[test]
    fn off_is_off_and_what_is_no_level_is_refused() {
        assert!(!"off".parse::<LogFilter>().expect("a filter").is_on());
        assert!("off,client=warn".parse::<LogFilter>().expect("a filter").is_on());
        for wrong in ["", "loud", "info,", "client=", "client=loud", "5"] {
            assert!(matches!(wrong.parse::<LogFilter>(), Err(LogError::Level { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn our_own_crates_are_those_of_the_workspace() {
        let manifest = include_str!("../../Cargo.toml");
        let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).expect("members");
        let mut names: Vec<String> = members.split('"').skip(1).step_by(2).map(|name| name.replace('-', "_")).collect();
        names.sort();
        assert_eq!(names, OWN);
    }
}
