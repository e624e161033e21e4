//! A share in a refresh and the blinded sum of shares: refused, or read and written alike.
#![no_main]

use he_agg_fuzz::run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| run("refresh", input));
