//! What the program can be asked to do, one file per verb: flags, the call, and the result for people and programs.

pub mod audit;
pub mod bench;
pub mod coordinator;
pub mod decode;
pub mod demo;
mod diagnosis;
pub(crate) mod head;
pub mod hospital;
pub mod plan;
pub mod query;
pub mod research;
pub mod run;
pub mod serve;
