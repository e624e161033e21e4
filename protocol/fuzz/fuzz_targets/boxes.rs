//! Sealed boxes and keys at rest: only untouched bytes open.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol_fuzz::run;

fuzz_target!(|input: &[u8]| run("boxes", input));
