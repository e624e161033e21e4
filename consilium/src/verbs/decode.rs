//! `consilium decode`: one image in, its pixels out, in a process that confines itself first.

use std::process::ExitCode;

/// Serves one request on standard input and output. There is nobody to tell why it failed: whoever started it reads
/// its answer and its exit code and nothing else.
pub(crate) fn run() -> ExitCode {
    match imaging::serve(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
