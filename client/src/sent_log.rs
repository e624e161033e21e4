//! What left the building: one line for everything that was sent, written down before it was sent.
//!
//! A file for each month in the folder `sent` of a site, and numbered ones after it where a month has more than one
//! holds: time (UTC), key epoch, what, details, bytes, separated by tabs, for whoever has to show it, with `consilium
//! hospital sent` or any other program. Nothing in it is a secret, and nothing of it is ever deleted by this program.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::blob::{BlobId, BlobKind, ListId};
use protocol::codec::Wire;
use protocol::consent::{CONSENT, ConsentCall};
use protocol::enrolment::{RENEW, SITES, TIME, seconds};
use protocol::exchange::Call;
use protocol::message::HospitalMessage;
use protocol::net::{BoxFuture, Frame, NetError};
use protocol::store;
use protocol::store::no_space_left;
use time::OffsetDateTime;

use crate::hospital::Transport;

/// Questions after news are counted for so long before they get a line: they hold a progress count, or how long
/// training waits for this site's hours, and nothing else. A process that is killed loses the count since then.
const QUESTIONS_PER_LINE: Duration = Duration::from_secs(3600);
/// Wait before a line is tried again that the disk did not take; nothing is sent meanwhile.
const AGAIN: Duration = Duration::from_secs(1);

/// Bytes of one file; the next line begins another.
const FILE_BYTES_MAX: u64 = if cfg!(test) { 64 } else { 64 << 20 };

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Seconds since 1970.
    pub at_s: u64,
    /// The key epoch, 0 for what belongs to none.
    pub epoch: u32,
    /// What it was, in words.
    pub what: String,
    /// Which of it.
    pub detail: String,
    /// Bytes of it, without those of the transport.
    pub bytes: u64,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}\t{}\t{}", utc(self.at_s), self.epoch, self.what, self.detail, self.bytes)
    }
}

impl Sent {
    /// Where a line should be; as old as the one before.
    fn unreadable(at_s: u64, path: &Path, number: usize) -> Self {
        let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let (what, detail) = ("a line that cannot be read".to_owned(), format!("line {number} of {file}"));
        Self { at_s, epoch: 0, what, detail, bytes: 0 }
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        let (at_s, epoch, what, detail, bytes) = (next()?, next()?, next()?, next()?, next()?);
        Some(Self {
            at_s: seconds_of(at_s)?,
            epoch: epoch.parse().ok()?,
            what: what.to_owned(),
            detail: detail.to_owned(),
            bytes: bytes.parse().ok()?,
        })
    }
}

/// Where a body belongs, as a line's details say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) round: u64,
    pub(crate) attempt: u32,
    pub(crate) part: u32,
}

impl Place {
    fn of(id: &BlobId) -> Self {
        Self { round: id.round, attempt: id.attempt, part: id.index }
    }

    /// Of a line's details; `None` where they say something else.
    pub(crate) fn parse(detail: &str) -> Option<Self> {
        let words: Vec<&str> = detail.split(' ').collect();
        match words[..] {
            ["round", round, "attempt", attempt, "part", part] => {
                Some(Self { round: round.parse().ok()?, attempt: attempt.parse().ok()?, part: part.parse().ok()? })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {} attempt {} part {}", self.round, self.attempt, self.part)
    }
}

/// The book of one site.
pub struct SentLog {
    folder: PathBuf,
    questions: Mutex<Questions>,
}

#[derive(Default)]
struct Questions {
    since: Option<SystemTime>,
    count: u64,
    bytes: u64,
}

impl SentLog {
    /// The book of the site in this folder.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self { folder: root.join("sent"), questions: Mutex::default() }
    }

    /// Writes a line; on disk when it returns.
    ///
    /// # Errors
    /// What the file system says; then nothing may be sent.
    pub fn write(&self, sent: &Sent) -> io::Result<()> {
        if !self.folder.exists() {
            fs::create_dir_all(&self.folder)?;
            sync(self.folder.parent().unwrap_or(&self.folder))?;
        }
        let month = utc(sent.at_s).chars().take(7).collect::<String>();
        // Several programs may write at a time: then one file is a little longer, and nothing is lost.
        let newest = self.files()?.into_iter().rev().find(|(of, ..)| *of == month);
        let path = match newest {
            Some((_, number, path)) if fs::metadata(&path)?.len() >= FILE_BYTES_MAX => {
                self.folder.join(format!("{month}.{}.log", number.saturating_add(1)))
            }
            Some((.., path)) => path,
            None => self.folder.join(format!("{month}.log")),
        };
        let is_new = !path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        // What a full disk or a power cut left of the last line must not swallow this one.
        let end = if is_torn(&file)? { "\n" } else { "" };
        file.write_all(format!("{end}{sent}\n").as_bytes())?;
        file.sync_data()?;
        if is_new { sync(&self.folder) } else { Ok(()) }
    }

    /// All lines, oldest first. What is no line is shown as such: what was cut short by a full disk or a crash was not
    /// sent, but whoever reads this cannot know why it is none. The end of the newest file without a line's end is left
    /// out, which a program may be writing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read(&self) -> io::Result<Vec<Sent>> {
        let mut all = Vec::new();
        for (.., path) in self.files()? {
            let bytes = fs::read(&path)?;
            let text = String::from_utf8_lossy(&bytes);
            for (number, line) in (1..).zip(text.split_inclusive('\n')) {
                let whole = line.strip_suffix('\n');
                match Sent::parse(whole.unwrap_or(line)) {
                    Some(sent) => all.push(sent),
                    None if whole.is_some() => {
                        let at_s = all.last().map_or(0, |before| before.at_s);
                        all.push(Sent::unreadable(at_s, &path, number));
                    }
                    None => {}
                }
            }
        }
        Ok(all)
    }

    /// The files, oldest first: month, number, path.
    fn files(&self) -> io::Result<Vec<(String, u32, PathBuf)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let Some(stem) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log")) else { continue };
            // Whatever else somebody has put there is read as a month's only file.
            let numbered = stem.rsplit_once('.').and_then(|(month, number)| Some((month, number.parse().ok()?)));
            let (month, number) = numbered.unwrap_or((stem, 1));
            files.push((month.to_owned(), number, path));
        }
        files.sort();
        Ok(files)
    }

    /// Counts a question after news; the line that is due for those so far.
    fn question(&self, bytes: u64, now: SystemTime) -> Option<Sent> {
        // A panic elsewhere leaves counts behind, which are still right.
        let mut asked = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        asked.count += 1;
        asked.bytes += bytes;
        let since = *asked.since.get_or_insert(now);
        let is_due = now.duration_since(since).is_ok_and(|age| age >= QUESTIONS_PER_LINE);
        is_due.then(|| std::mem::take(&mut *asked).line(now))
    }
}

impl Drop for SentLog {
    /// Questions that have no line yet get one when the program ends in good order.
    fn drop(&mut self) {
        let asked = std::mem::take(self.questions.get_mut().unwrap_or_else(PoisonError::into_inner));
        if asked.count > 0
            && let Err(error) = self.write(&asked.line(SystemTime::now()))
        {
            tracing::error!(%error, "the last questions after news could not be written down");
        }
    }
}

impl Questions {
    fn line(self, now: SystemTime) -> Sent {
        let what = "questions after news".to_owned();
        Sent { at_s: seconds(now), epoch: 0, what, detail: self.count.to_string(), bytes: self.bytes }
    }
}

/// What a site sends before it is a member: its name, organisation and public keys, then a nonce.
///
/// # Errors
/// What the file system says; then nothing may be sent.
pub(crate) fn record_joining(root: &Path, detail: &str, bytes: usize) -> io::Result<()> {
    let (at_s, what) = (seconds(SystemTime::now()), "request to join".to_owned());
    SentLog::of(root).write(&Sent { at_s, epoch: 0, what, detail: detail.to_owned(), bytes: bytes as u64 })
}

/// A site's line to the coordinator, on which nothing leaves before it is written down.
pub struct Recorded {
    inner: Arc<dyn Transport>,
    log: Arc<SentLog>,
}

impl Recorded {
    /// Writes down what goes through `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, log: SentLog) -> Self {
        Self { inner, log: Arc::new(log) }
    }

    /// Writes a line down, however long that takes; a full disk is told.
    async fn record(&self, sent: Sent) -> Result<(), NetError> {
        loop {
            let (log, line) = (Arc::clone(&self.log), sent.clone());
            match tokio::task::spawn_blocking(move || log.write(&line)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(source)) if no_space_left(&source) => return Err(NetError::Unrecorded { source }),
                Ok(Err(error)) => {
                    let folder = self.log.folder.display().to_string();
                    tracing::error!(%error, folder, "nothing is sent before it is written down");
                }
                Err(error) => tracing::error!(%error, "nothing is sent before it is written down"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Transport for Recorded {
    fn call(&self, request: Frame) -> BoxFuture<'_, Result<Frame, NetError>> {
        Box::pin(async move {
            let now = SystemTime::now();
            let bytes = (request.header.len() + request.body.len()) as u64;
            let due = match described(&request) {
                Some((epoch, what, detail)) => {
                    Some(Sent { at_s: seconds(now), epoch, what: what.to_owned(), detail, bytes })
                }
                None => self.log.question(bytes, now),
            };
            if let Some(sent) = due {
                self.record(sent).await?;
            }
            self.inner.call(request).await
        })
    }
}

/// What a request carries: key epoch, what, which; `None` for a question after news, which says nothing of this site.
fn described(request: &Frame) -> Option<(u32, &'static str, String)> {
    let none = String::new;
    match request.kind {
        SITES => return Some((0, "question who the members are", none())),
        RENEW => return Some((0, "request for a longer certificate", none())),
        TIME => return Some((0, "question what time it is", none())),
        CONSENT => return consent(&request.header),
        _ => {}
    }
    let Ok((epoch, call)) = Call::from_frame(request) else {
        return Some((0, "something else", format!("kind {}", request.kind)));
    };
    let (what, detail) = match call {
        Call::Poll { .. } => return None,
        // Part after part of what everybody adds up: hundreds of questions that say no more than the first.
        Call::Get { id } if matches!(id.kind, BlobKind::Galois | BlobKind::PublishChunk | BlobKind::RelinAnswer) => {
            return None;
        }
        // In every round, of everybody.
        Call::Get { id: BlobId { kind, .. } } | Call::List { list: ListId { kind, .. } }
            if matches!(kind, BlobKind::UpdateChunk | BlobKind::Share) =>
        {
            return None;
        }
        Call::List { list } => ("request for what others sent", format!("{:?}, digests", list.kind)),
        Call::Get { id } => ("request for what others sent", format!("{:?} {}", id.kind, id.index)),
        Call::Post(message) => (signed(&message.body), none()),
        Call::Put { id, .. } => (body(id.kind), Place::of(&id).to_string()),
    };
    Some((epoch.0, what, detail))
}

fn consent(header: &[u8]) -> Option<(u32, &'static str, String)> {
    let (epoch, what) = match ConsentCall::from_bytes(header) {
        Ok(ConsentCall::Epochs(()) | ConsentCall::Ask(_)) => return None,
        Ok(ConsentCall::Bind(_)) => (0, "promise of a nonce"),
        Ok(ConsentCall::Reveal(_)) => (0, "nonce for the words that officers compare"),
        Ok(ConsentCall::Approve(approval)) => (approval.epoch.0, "approval of members and terms"),
        Err(_) => (0, "something else"),
    };
    Some((epoch, what, String::new()))
}

fn signed(message: &HospitalMessage) -> &'static str {
    match message {
        HospitalMessage::Refusal(_) | HospitalMessage::Leaving(_) => "refusal or farewell",
        HospitalMessage::UpdateHead(_)
        | HospitalMessage::ShareHead(_)
        | HospitalMessage::PublishHead(_)
        | HospitalMessage::FeaturesHead(_)
        | HospitalMessage::ZeroHead(_)
        | HospitalMessage::RefreshHead(_)
        | HospitalMessage::OpeningHead(_) => "signed digest of what follows",
        HospitalMessage::QueryHead(_) => "question to the model, its digest",
        HospitalMessage::ModelVote(_) => "vote for a model",
        _ => "signed message",
    }
}

pub(crate) fn body(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Dealing => "sealed key points",
        BlobKind::Gate | BlobKind::GateKey | BlobKind::RelinRoundOne | BlobKind::RelinRoundTwo | BlobKind::Galois => {
            "share of a public key"
        }
        BlobKind::RelinMasks | BlobKind::RelinAnswer => "proof of a share of a public key",
        BlobKind::Planes => "encrypted random planes, by digest",
        BlobKind::PlaneOpening => "seeds of opened planes",
        BlobKind::Feature => "encrypted features and labels",
        BlobKind::RefreshZero => "zeros for another attempt at a refresh, encrypted",
        BlobKind::RefreshShare => "shares in a refresh",
        BlobKind::RefreshMask => "masks of a refresh, encrypted",
        BlobKind::RefreshSum => "sums of a refresh",
        BlobKind::RefreshOpening => "what was opened in a refresh, encrypted",
        // A round of figures sends its counts in the same form.
        BlobKind::UpdateChunk => "encrypted update or figures",
        BlobKind::Share => "decryption share of a sum",
        BlobKind::PublishChunk => "encrypted part of the model",
        BlobKind::Query => "encrypted question",
        BlobKind::SwitchShare => "share of an answer",
        BlobKind::SumChunk | BlobKind::QueryResult => "something else",
    }
}

/// Whether the last line of a file has no end.
fn is_torn(file: &fs::File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != [b'\n'])
}

/// A folder's list of files reaches the disk.
fn sync(folder: &Path) -> io::Result<()> {
    store::sync_folder(folder).map_err(|fault| fault.source)
}

/// `2026-11-22 20:30:11`, in UTC, of seconds since 1970; the beginning of 1970 for what is no time.
#[must_use]
pub fn utc(at_s: u64) -> String {
    let at = i64::try_from(at_s).ok().and_then(|it| OffsetDateTime::from_unix_timestamp(it).ok());
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// The inverse of [`utc`].
fn seconds_of(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u8>().ok();
    let year: i32 = text.get(..4)?.parse().ok()?;
    let month = time::Month::try_from(number(5..7)?).ok()?;
    let date = time::Date::from_calendar_date(year, month, number(8..10)?).ok()?;
    let time = time::Time::from_hms(number(11..13)?, number(14..16)?, number(17..19)?).ok()?;
    u64::try_from(time::PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp()).ok()
}

#[cfg(test)]
mod tests;
