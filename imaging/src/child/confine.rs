//! What a child process forbids itself before it reads a file.

use std::io;

use crate::limits::Limits;

/// Standard input, output and error, which are open already: nothing else can be opened.
#[cfg(unix)]
const FILES: u64 = 3;

/// Sets limits that this process cannot raise again: memory beyond what it takes now, time on a processor, no file, no
/// write to one, no core dump, which would hold the image.
#[cfg(unix)]
pub(super) fn confine(limits: &Limits) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let seconds = limits.time.as_secs().saturating_add(1);
    let memory = taken_bytes().saturating_add(limits.memory_bytes);
    for (resource, most) in [
        (Resource::As, memory),
        (Resource::Cpu, seconds),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, FILES),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Elsewhere nothing is read that cannot be contained.
#[cfg(not(unix))]
pub(super) fn confine(_: &Limits) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Address space that is taken already: programs map libraries and stacks before they begin. Where it cannot be told,
/// none: the limit is then the narrower one.
#[cfg(unix)]
fn taken_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|words| words.split(' ').next()?.parse::<u64>().ok());
    pages.unwrap_or_default().saturating_mul(rustix::param::page_size() as u64)
}
