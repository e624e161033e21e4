//! The release ledger, cut off at every write: never two values under one name, never a unit given away.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use client::ledger::DiskLedger;
use he_agg::aggregation::{Claim, Flooding, LedgerKey, ReleaseLedger, Use};
use protocol::store::Journal;

const RELEASES: u64 = 1000;
const EPOCH: [u8; 32] = [3; 32];
/// A frame of SQLite's write-ahead log: its header and one page, after the log's own header.
const FRAME_BYTES: usize = 24 + 4096;
const LOG_HEADER_BYTES: usize = 32;
/// Set for the process that is to be killed.
const VICTIM: &str = "CONSILIUM_LEDGER_VICTIM";

fn open(folder: &Path) -> DiskLedger {
    let journal = Arc::new(Journal::open(&folder.join("journal.sqlite")).unwrap());
    DiskLedger::open(journal, "training", Flooding::secure(40, RELEASES).unwrap()).unwrap()
}

/// Claim number `n` of a history: shares and encryptions of a few chunks over a few attempts.
fn claim(n: u32) -> (LedgerKey, [u8; 32]) {
    let purpose = if n.is_multiple_of(2) { Use::Encrypt } else { Use::Share };
    let key = LedgerKey { purpose, epoch: EPOCH, round: 1, attempt: n / 8, chunk: n / 2 % 4 };
    (key, [n as u8 + 1; 32])
}

/// What a dishonest coordinator would like released instead.
const OTHER: [u8; 32] = [0xff; 32];

/// Asks for another value under every name: claims that had returned keep theirs, and the next one, cut off, is the old
/// or the new value for ever.
fn check_after_crash(folder: &Path, returned: u32) {
    let mut ledger = open(folder);
    let spent = RELEASES - ledger.left();
    let units = |claims: u32| -> u64 {
        let keys = (0..claims).map(|n| (claim(n).0.attempt, claim(n).0.chunk));
        keys.collect::<BTreeSet<_>>().len() as u64
    };
    assert!((units(returned)..=units(returned + 1)).contains(&spent), "{spent} units charged for {returned} claims");
    for n in 0..returned {
        let (key, value) = claim(n);
        assert_eq!(ledger.claim(&key, OTHER).unwrap(), Claim::Stored(value), "claim {n} of {returned}");
    }
    assert_eq!(RELEASES - ledger.left(), spent, "asking again is not charged");
    let (key, value) = claim(returned);
    let settled = ledger.claim(&key, OTHER).unwrap();
    assert!(settled == Claim::Stored(value) || settled == Claim::Stored(OTHER));
    drop(ledger);
    let mut again = open(folder);
    assert_eq!(again.claim(&key, value).unwrap(), settled, "a second value for claim {returned}");
    assert_eq!(RELEASES - again.left(), units(returned + 1));
}

/// A power cut tears the log anywhere; what was synced before a claim returned is there.
#[test]
fn a_log_torn_at_any_write_keeps_every_returned_claim_and_settles_the_last_one() {
    const CLAIMS: u32 = 6;
    let source = tempfile::tempdir().unwrap();
    let log = source.path().join("journal.sqlite-wal");
    let mut ledger = open(source.path());
    // Bytes of the log when claim n - 1 had returned.
    let mut ends = vec![std::fs::metadata(&log).unwrap().len() as usize];
    for n in 0..CLAIMS {
        let (key, value) = claim(n);
        assert_eq!(ledger.claim(&key, value).unwrap(), Claim::Stored(value));
        ends.push(std::fs::metadata(&log).unwrap().len() as usize);
    }
    // The ledger stays open: closing it would fold the log into the file.
    let (file, log) = (std::fs::read(source.path().join("journal.sqlite")).unwrap(), std::fs::read(&log).unwrap());
    assert!(ends.windows(2).all(|pair| pair[0] < pair[1]) && ends.last() == Some(&log.len()));

    let frames = (0..).map(|frame| LOG_HEADER_BYTES + frame * FRAME_BYTES).take_while(|&at| at < log.len());
    // Before a frame, within its header, within its page and one byte short of it.
    let cuts = frames.flat_map(|at| [at, at + 23, at + FRAME_BYTES / 2, at + FRAME_BYTES - 1]);
    let mut tried = 0;
    for (number, cut) in cuts.filter(|cut| (ends[0]..log.len()).contains(cut)).enumerate() {
        let returned = ends.iter().rposition(|&end| end <= cut).unwrap() as u32;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("journal.sqlite"), &file).unwrap();
        let mut torn = log[..cut].to_vec();
        if number % 2 == 1 {
            // Blocks that were allocated but not written, or belong to another file.
            torn.resize(log.len(), 0xa5);
        }
        std::fs::write(folder.path().join("journal.sqlite-wal"), &torn).unwrap();
        check_after_crash(folder.path(), returned);
        tried += 1;
    }
    assert!(tried > 4 * CLAIMS, "{tried} cuts");
    drop(ledger);
}

/// The victim of the test below: claims one after the other, and tells when each has returned.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(VICTIM) else { return };
    let mut ledger = open(Path::new(&folder));
    for n in 0..200 {
        let (key, value) = claim(n);
        assert_eq!(ledger.claim(&key, value).unwrap(), Claim::Stored(value));
        println!("\nreturned {n}");
    }
}

#[test]
fn a_process_killed_between_two_claims_or_within_one_leaves_no_second_value() {
    for kill_after in [0, 1, 2, 7] {
        let folder = tempfile::tempdir().unwrap();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--nocapture"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let numbers = |line: String| line.strip_prefix("returned ").and_then(|n| n.parse::<u32>().ok());
        let last = lines.by_ref().map_while(Result::ok).filter_map(numbers).find(|&n| n >= kill_after).unwrap();
        victim.kill().unwrap();
        victim.wait().unwrap();
        // It may have gone on before the signal came; what it said is what counts.
        let last = lines.map_while(Result::ok).filter_map(numbers).last().unwrap_or(last);
        assert!(last < 199, "the victim must not have finished");
        let mut ledger = open(folder.path());
        for n in 0..=last {
            let (key, value) = claim(n);
            assert_eq!(ledger.claim(&key, OTHER).unwrap(), Claim::Stored(value), "claim {n} of {last}");
        }
        drop(ledger);
        // At most one claim beyond the last word was on its way.
        let beyond = (last + 1..last + 4).filter(|&n| {
            let (key, value) = claim(n);
            open(folder.path()).claim(&key, OTHER).unwrap() == Claim::Stored(value)
        });
        assert!(beyond.count() <= 1);
    }
}
