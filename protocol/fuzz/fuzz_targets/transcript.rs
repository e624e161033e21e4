//! Transcripts of a dishonest coordinator against the log reader and the verifier.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol_fuzz::run;

fuzz_target!(|input: &[u8]| run("transcript", input));
