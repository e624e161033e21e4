//! Certificates, keys and names in text: refused or read, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol_fuzz::run;

fuzz_target!(|input: &[u8]| run("credentials", input));
