//! The command line of Consilium: experiments, runs and reports.
//!
//! Start at [`cli`] for the verbs, at [`experiment`] for the TOML file, at [`federation`] for what a run does and at
//! [`report`] for what it leaves behind; [`bench`] measures the cryptography alone.

pub mod audit_verb;
pub mod bench;
pub mod cli;
pub mod counter;
pub mod demo;
pub mod driver_noise;
pub mod dropout;
pub mod error;
pub mod event;
pub mod exit;
pub mod experiment;
pub mod federation;
pub mod live;
pub mod options;
pub mod oracle;
pub mod output;
pub mod plan;
pub mod plan_verb;
pub mod prediction;
pub mod query_verb;
pub mod report;
pub mod run_folder;
pub mod run_verb;
pub mod serve_verb;
pub mod threads;
