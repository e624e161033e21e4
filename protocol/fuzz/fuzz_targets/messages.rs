//! Every wire encoding: refused, or read and written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol_fuzz::run;

fuzz_target!(|input: &[u8]| run("messages", input));
