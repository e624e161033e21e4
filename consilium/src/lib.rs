//! The command line of Consilium: experiments, runs and reports.
//!
//! Start at [`cli`] for the verbs, at [`experiment`] for the TOML file, at [`federation`] for what a run does and at
//! [`report`] for what it leaves behind; [`bench`] measures the cryptography alone.

pub mod audit_verb;
pub mod bench;
pub mod cli;
pub mod demo;
pub mod error;
pub mod exit;
pub mod live;
pub mod output;
pub mod plan;
pub mod plan_verb;
pub mod prediction;
pub mod query_verb;
pub mod run_verb;
pub mod serve_verb;
