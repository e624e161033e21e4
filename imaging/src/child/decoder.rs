//! The parent's side.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::wire::{self, Prefix, Request};
use super::{error_form, scan_form};
use crate::dicom::at_most;
use crate::error::{Ending, ImagingError, Quantity};
use crate::limits::Limits;
use crate::scan::Scan;

/// How long a child that stopped writing may take to end, so that its end can be told.
const END_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at whether it has ended.
const END_LOOK: Duration = Duration::from_millis(5);

/// A program that decodes one file in a process of its own: one that does nothing but [`super::serve`].
#[derive(Clone, Debug)]
pub struct Decoder {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// What a child wrote.
enum Answer {
    Scan(Box<Scan>),
    Refused(ImagingError),
    /// It stopped before it was through.
    Ends(u64),
    /// It makes no sense from here on.
    Unreadable(u64),
}

impl Decoder {
    /// A program and its arguments.
    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// Decodes a file. The child has an empty environment and nowhere to say anything but its answer, of which no more
    /// is read than the limits allow; it is killed at the deadline, and this process goes on whatever becomes of it.
    ///
    /// # Errors
    /// [`ImagingError`]: what the child refused, or [`ImagingError::TooLong`], [`ImagingError::Crashed`] (an abort
    /// among them, which is also how memory ends that a library asked for), [`ImagingError::Start`],
    /// [`ImagingError::Answer`].
    pub fn decode(&self, bytes: &[u8], limits: &Limits) -> Result<Scan, ImagingError> {
        at_most(Quantity::FileBytes, bytes.len() as u64, limits.bytes_max)?;
        let started = Instant::now();
        let start = |source| ImagingError::Start { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A group of its own: whatever the program starts ends with it, and holds no pipe open.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(start)?;
        match child.stdin.take().zip(child.stdout.take()) {
            Some(pipes) => converse(&mut child, pipes, bytes, limits, started),
            None => {
                end(&mut child);
                Err(ImagingError::Crashed { ending: Ending::Unknown })
            }
        }
    }
}

/// Writes and reads at once, since a child may answer before it has read everything, until its time is over.
fn converse(
    child: &mut Child,
    (stdin, stdout): (ChildStdin, ChildStdout),
    bytes: &[u8],
    limits: &Limits,
    started: Instant,
) -> Result<Scan, ImagingError> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || ask(stdin, bytes, limits));
        scope.spawn(move || sender.send(read(stdout, limits)));
        let answer = receiver.recv_timeout(limits.time.saturating_sub(started.elapsed()));
        let ended_itself = matches!(answer, Ok(Answer::Ends(_))) && ends_soon(child);
        // Ends both threads as well: their pipes have no other end any more.
        let status = end(child).filter(|_| ended_itself);
        match answer {
            Err(_) => Err(ImagingError::TooLong { limit: limits.time }),
            Ok(Answer::Scan(scan)) => Ok(*scan),
            Ok(Answer::Refused(error)) => Err(error),
            Ok(Answer::Unreadable(offset)) => Err(ImagingError::Answer { offset }),
            Ok(Answer::Ends(offset)) => Err(match status {
                Some(status) => of_status(status, limits, offset),
                None => ImagingError::Answer { offset },
            }),
        }
    })
}

/// A child that has ended or refuses to read is told by its answer.
fn ask(mut stdin: ChildStdin, bytes: &[u8], limits: &Limits) {
    let request = Request { limits: *limits, file_bytes: bytes.len() as u64 };
    let _ = stdin.write_all(&request.bytes()).and_then(|()| stdin.write_all(bytes));
}

/// Reads an answer: its prefix, then as much as that says and the limits allow, then the end.
fn read(mut stdout: ChildStdout, limits: &Limits) -> Answer {
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>, count: u64| {
        let before = bytes.len() as u64;
        let has_room = usize::try_from(count).is_ok_and(|count| bytes.try_reserve_exact(count).is_ok());
        has_room && (&mut stdout).take(count).read_to_end(bytes).is_ok() && bytes.len() as u64 - before == count
    };
    if !more(&mut bytes, Prefix::BYTES as u64) {
        return Answer::Ends(bytes.len() as u64);
    }
    let Some(prefix) = Prefix::read(&bytes, limits) else { return Answer::Unreadable(0) };
    let (mut head, mut pixels) = (Vec::new(), Vec::new());
    if !more(&mut head, prefix.head_bytes) || !more(&mut pixels, prefix.pixel_bytes) {
        return Answer::Ends((Prefix::BYTES + head.len() + pixels.len()) as u64);
    }
    let end = Prefix::BYTES as u64 + prefix.head_bytes + prefix.pixel_bytes;
    if more(&mut bytes, 1) {
        return Answer::Unreadable(end);
    }
    let read = match prefix.kind {
        wire::SCAN => scan_form::read(&head, pixels, limits).map(|scan| Answer::Scan(Box::new(scan))),
        _ => error_form::read(&head).map(Answer::Refused),
    };
    read.unwrap_or_else(|at| Answer::Unreadable(Prefix::BYTES as u64 + at))
}

/// Whether it ends by itself. It stays where it is, dead or alive, so that its number is nobody else's.
fn ends_soon(child: &mut Child) -> bool {
    let deadline = Instant::now() + END_WAIT;
    loop {
        match has_ended(child) {
            false if Instant::now() < deadline => thread::sleep(END_LOOK),
            ended => return ended,
        }
    }
}

#[cfg(unix)]
fn has_ended(child: &Child) -> bool {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(Pid::from_child(child)), options), Ok(None))
}

#[cfg(not(unix))]
fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// Ends it and all that it started, and says how it ended, if by itself before that. To be called once: the number of a
/// child that was waited for may be another's.
fn end(child: &mut Child) -> Option<ExitStatus> {
    #[cfg(unix)]
    let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(child), rustix::process::Signal::KILL);
    let _ = child.kill();
    child.wait().ok()
}

fn of_status(status: ExitStatus, limits: &Limits, offset: u64) -> ImagingError {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match rustix::process::Signal::from_named_raw(signal) {
            Some(rustix::process::Signal::XCPU) => ImagingError::TooLong { limit: limits.time },
            _ => ImagingError::Crashed { ending: Ending::Signal(signal) },
        };
    }
    match status.code() {
        Some(0) => ImagingError::Answer { offset },
        Some(code) => ImagingError::Crashed { ending: Ending::Code(code) },
        None => ImagingError::Crashed { ending: Ending::Unknown },
    }
}
