//! Lines of what left, before it leaves, whatever becomes of the disk.

use bytes::Bytes;
use protocol::blob::BlobId;
use protocol::consent::Nonce;
use protocol::ids::{Attempt, Digest, Epoch, PartyId, RoundId};
use protocol::lease::Doing;

use super::*;

/// A line that says what was on disk when a call went out.
struct Echo {
    root: PathBuf,
    seen: Mutex<Vec<usize>>,
}

impl Transport for Echo {
    fn call(&self, request: Frame) -> BoxFuture<'_, Result<Frame, NetError>> {
        self.seen.lock().unwrap().push(SentLog::of(&self.root).read().unwrap().len());
        Box::pin(async move { Ok(request) })
    }
}

fn update(index: u32) -> Frame {
    let id = BlobId::round(BlobKind::UpdateChunk, RoundId(3), Attempt(2), None, index);
    Call::Put { id, body: Bytes::from_static(b"ciphertext") }.into_frame(Epoch(1))
}

#[tokio::test]
async fn everything_has_its_line_before_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let echo = Arc::new(Echo { root: folder.path().to_path_buf(), seen: Mutex::default() });
    let recorded = Recorded::new(Arc::clone(&echo) as _, SentLog::of(folder.path()));
    recorded.call(update(0)).await.unwrap();
    recorded.call(update(1)).await.unwrap();
    recorded.call(Frame::new(SITES, Vec::new(), Vec::new())).await.unwrap();
    recorded.call(Frame::new(0x7777, vec![1; 9], Vec::new())).await.unwrap();
    recorded.call(Frame::new(TIME, Vec::new(), Vec::new())).await.unwrap();
    assert_eq!(*echo.seen.lock().unwrap(), [1, 2, 3, 4, 5]);
    let lines = SentLog::of(folder.path()).read().unwrap();
    let first = &lines[0];
    assert_eq!((first.epoch, first.what.as_str()), (1, "encrypted update or figures"));
    assert_eq!(first.detail, "round 3 attempt 2 part 0");
    assert_eq!(first.bytes, 4 + BlobId::BYTES as u64 + 10);
    assert_eq!((lines[3].what.as_str(), lines[3].bytes), ("something else", 9), "even what nobody knows");
    assert_eq!(lines[4].what, "question what time it is");
}

#[tokio::test]
async fn questions_are_counted_and_get_a_line_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let log = SentLog::of(folder.path());
    let (start, hour) = (SystemTime::now(), Duration::from_secs(3600));
    assert_eq!(log.question(10, start), None);
    assert_eq!(log.question(10, start + hour / 2), None);
    let line = log.question(10, start + hour).unwrap();
    assert_eq!((line.detail.as_str(), line.bytes), ("3", 30));
    assert_eq!(log.question(10, start + hour), None, "counted anew");
    let poll = Call::Poll { next: 0, doing: Doing::Idle }.into_frame(Epoch(1));
    assert_eq!(described(&poll), None);
    let asked = |kind| {
        let id = BlobId::round(kind, RoundId(3), Attempt(1), PartyId::new(2), 0);
        let list = protocol::blob::ListId::of(&id);
        [Call::Get { id }, Call::List { list }].map(|call| described(&call.into_frame(Epoch(1))))
    };
    assert_eq!(asked(BlobKind::UpdateChunk), [None, None], "of everybody in every round");
    assert_eq!(asked(BlobKind::Share), [None, None]);
    assert!(asked(BlobKind::Query).iter().all(Option::is_some));
    let of = |call: &ConsentCall| described(&Frame::new(CONSENT, call.to_bytes(), Vec::new()));
    assert_eq!((of(&ConsentCall::Epochs(())), of(&ConsentCall::Ask(Epoch(1)))), (None, None));
    let nonce = Nonce { membership: Digest([1; 32]), party: PartyId::new(1).unwrap(), bytes: [2; 32] };
    assert!(of(&ConsentCall::Reveal(nonce)).is_some(), "what carries something has its own line");
}

#[test]
fn questions_without_a_line_get_one_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    drop(SentLog::of(folder.path()));
    assert!(SentLog::of(folder.path()).read().unwrap().is_empty());
    let log = SentLog::of(folder.path());
    log.question(10, SystemTime::now());
    log.question(11, SystemTime::now());
    drop(log);
    let lines = SentLog::of(folder.path()).read().unwrap();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((line.what.as_str(), line.detail.as_str(), line.bytes), ("questions after news", "2", 21));
}

#[tokio::test]
async fn nothing_leaves_while_it_cannot_be_written_down() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be: no line can be written.
    fs::write(folder.path().join("sent"), b"").unwrap();
    let echo = Arc::new(Echo { root: folder.path().join("else"), seen: Mutex::default() });
    let recorded = Recorded::new(Arc::clone(&echo) as _, SentLog::of(folder.path()));
    let call = recorded.call(update(0));
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    assert!(echo.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("sent").join(format!("{}.log", &utc(seconds(SystemTime::now()))[..7]));
    fs::create_dir(folder.path().join("sent")).unwrap();
    std::os::unix::fs::symlink("/dev/full", full).unwrap();
    let echo = Arc::new(Echo { root: folder.path().join("else"), seen: Mutex::default() });
    let recorded = Recorded::new(Arc::clone(&echo) as _, SentLog::of(folder.path()));
    let error = recorded.call(update(0)).await.unwrap_err();
    assert!(matches!(&error, NetError::Unrecorded { .. }) && !error.is_transient(), "{error}");
    assert!(crate::hospital::HospitalError::from(error).no_space_left());
    assert!(echo.seen.lock().unwrap().is_empty());
}

#[test]
fn a_line_is_read_as_it_was_written_and_a_torn_one_is_not() {
    let sent = Sent { at_s: 1_795_379_411, epoch: 2, what: "a b".to_owned(), detail: String::new(), bytes: 7 };
    assert_eq!(sent.to_string(), "2026-11-22 20:30:11\t2\ta b\t\t7");
    assert_eq!(Sent::parse(&sent.to_string()), Some(sent.clone()));
    for torn in ["2026-11-22 20:3", "2026-11-22 20:30:11\t2\ta b", "2026-11-22 20:30:11\t2\ta b\t", ""] {
        assert_eq!(Sent::parse(torn), None, "{torn}");
    }
    let folder = tempfile::tempdir().unwrap();
    let log = SentLog::of(folder.path());
    log.write(&sent).unwrap();
    log.write(&Sent { at_s: sent.at_s + 30 * 24 * 3600, ..sent }).unwrap();
    let mut files: Vec<_> =
        fs::read_dir(folder.path().join("sent")).unwrap().map(|it| it.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["2026-11.log", "2026-12.log"]);
}

#[test]
fn a_line_after_a_torn_one_stands_by_itself_and_what_is_none_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let log = SentLog::of(folder.path());
    let sent = Sent { at_s: 1_795_379_411, epoch: 2, what: "a b".to_owned(), detail: String::new(), bytes: 7 };
    log.write(&sent).unwrap();
    let path = folder.path().join("sent/2026-11.log");
    let append = |bytes: &[u8]| {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(bytes).unwrap();
    };
    append(b"2026-11-22 20:3");
    assert_eq!(log.read().unwrap(), std::slice::from_ref(&sent), "it may be on its way");
    log.write(&sent).unwrap();
    append(b"\xff\xfe rotten\n");
    log.write(&sent).unwrap();
    let lines = log.read().unwrap();
    assert_eq!([&lines[0], &lines[2], &lines[4]], [&sent; 3]);
    let unreadable = |number: usize| (sent.at_s, format!("line {number} of 2026-11.log"));
    let told = |line: &Sent| (line.at_s, line.detail.clone());
    assert_eq!([told(&lines[1]), told(&lines[3])], [unreadable(2), unreadable(4)]);
    assert!(lines[1].what.contains("cannot be read") && lines.len() == 5);
}

#[test]
fn a_month_of_many_lines_has_numbered_files_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = SentLog::of(folder.path());
    let line = |number: u64| Sent {
        at_s: 1_795_379_411 + number,
        epoch: 2,
        what: "a b".to_owned(),
        detail: number.to_string(),
        bytes: 7,
    };
    let lines: Vec<Sent> = (0..40).map(line).collect();
    lines.iter().for_each(|line| log.write(line).unwrap());
    let files = log.files().unwrap();
    assert!(files.len() > 10, "past the number that sorts wrongly as text: {}", files.len());
    assert_eq!(files[0].2.file_name().unwrap(), "2026-11.log");
    assert_eq!(files[11].2.file_name().unwrap(), "2026-11.12.log");
    assert!(files.iter().all(|(.., path)| fs::metadata(path).unwrap().len() < FILE_BYTES_MAX + 64));
    assert_eq!(SentLog::of(folder.path()).read().unwrap(), lines, "all of them, in order");
}
