//! Bundles of a site that took part in the beginning of a key epoch.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;

use protocol::codec::Wire;
use protocol::consent::{Nonce, NonceBinding, Proposal, Stage, Standing, Step, next};
use protocol::facts::Fact;
use protocol::heads::Seen as Head;
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::limits::SEALING_KEY_BYTES;
use protocol::log::{LogEntry, LogWriter};
use protocol::membership::{Membership, Seat};
use protocol::message::{
    HospitalMessage, LogMessage, RosterProposed, RosterSignature, RosterSigned, SignedMessage, Stop,
};
use protocol::party_set::PartySet;
use protocol::roster::{Member, Roster};
use protocol::sealed::SealingKey;
use protocol::signature::SigningKey;
use protocol::store::Journal;
use protocol::weight::WeightClass;
use remedy::{Exit, Explained};
use zip::write::SimpleFileOptions;

use super::*;
use crate::consent::{Approvable, ConsentBook, Seen, note};
use crate::hospital::facts_name;
use crate::log_copy::LogCopy;
use crate::sent_log::{Sent, SentLog};
use crate::service::epoch_folder;

mod crossed;

const TEXT: &str = include_str!("../../../configs/consortium.toml");
const EPOCH: Epoch = Epoch(4);
const MEMBERS: u16 = 5;

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn key(number: u16) -> SigningKey {
    SigningKey::from_seed(&[number as u8; 32]).unwrap()
}

/// The proposal as site `number` sees it, with everybody's promises and nonces.
fn seen(number: u16) -> Seen {
    seen_of(number, EPOCH, "Clinic")
}

/// The same of another key epoch, or of members that are called otherwise.
fn seen_of(number: u16, epoch: Epoch, clinic: &str) -> Seen {
    let seat = |number: u16| Seat {
        name: format!("site-{number}"),
        organisation: format!("{clinic} {number}"),
        weight: WeightClass::ONE,
        verifying: key(number).verifying_key(),
        tls_key: Digest([number as u8; 32]),
    };
    let coordinator = key(99).verifying_key();
    let membership = Membership { threshold: 4, coordinator, seats: (1..=MEMBERS).map(seat).collect() };
    let digest = membership.digest();
    let bytes = |number: u16| [number as u8; 32];
    let standing = Standing {
        proposal: Proposal { epoch, membership, plan: TEXT.to_owned(), base: None },
        bindings: (1..=MEMBERS).map(|it| NonceBinding::new(&key(it), digest, party(it), &bytes(it))).collect(),
        nonces: (1..=MEMBERS).map(|it| Nonce { membership: digest, party: party(it), bytes: bytes(it) }).collect(),
        approved: PartySet::EMPTY,
        stage: Stage::Proposed,
    };
    let own = NonceBinding::new(&key(number), digest, party(number), &bytes(number));
    let Step::Compare(_, words) = next(&standing, party(number), &own).unwrap() else { panic!("no words") };
    Seen { words: Some(words), ..Seen::of(party(number), standing).unwrap() }
}

fn sign(number: u16, sequence: u64, seen: Head, body: HospitalMessage) -> SignedMessage {
    SignedMessage::sign(&key(number), party(number), EPOCH, sequence, seen, body)
}

/// A log of two entries that all signed, and one in which its coordinator gives up for this reason.
fn log(seen: &Seen, reason: &str) -> (Vec<LogEntry>, Vec<SignedMessage>) {
    let membership = &seen.standing.proposal.membership;
    let member = |(number, seat): (u16, &Seat)| Member {
        party: party(number),
        name: seat.name.clone(),
        organisation: seat.organisation.clone(),
        weight: seat.weight,
        verifying: seat.verifying,
        sealing: SealingKey::from_bytes(&vec![number as u8; SEALING_KEY_BYTES]).unwrap(),
        tls_key: seat.tls_key,
    };
    let members = (1..).zip(&membership.seats).map(member).collect();
    let roster = Roster::new(EPOCH, membership.threshold, seen.terms.parameters, membership.coordinator, members);
    let (roster, mut writer) = (roster.unwrap(), LogWriter::new(key(99)));
    let first = writer.append(LogMessage::RosterProposed(RosterProposed { roster: roster.clone() }));
    let head = Head { entries: 1, head: first.digest() };
    let word = HospitalMessage::RosterSignature(RosterSignature { roster: roster.digest() });
    let signatures: Vec<_> = (1..=MEMBERS).map(|number| sign(number, 1, head, word.clone())).collect();
    let second = writer.append(LogMessage::RosterSigned(RosterSigned { signatures: signatures.clone() }));
    let third = writer.append(LogMessage::Stop(Stop { reason: reason.to_owned() }));
    (vec![first, second, third], signatures)
}

/// The folder of site `number`, which approved, read a log and signed what is in it.
fn site(number: u16, reason: &str) -> tempfile::TempDir {
    let (folder, seen) = (tempfile::tempdir().unwrap(), seen(number));
    let root = folder.path();
    note(root, &seen).unwrap();
    let book = ConsentBook::open(root).unwrap();
    book.approve_membership(&seen, seen.words.unwrap(), "odo").unwrap();
    book.approve_terms(&seen, &seen.terms.digest().to_string(), "cxr", "odo").unwrap();
    // Of which this key epoch's file says nothing.
    let (earlier, others) = (seen_of(number, Epoch(3), "Clinic"), seen_of(number, EPOCH, "Hospital"));
    book.approve_terms(&earlier, &earlier.terms.digest().to_string(), "cxr", "eve").unwrap();
    book.approve_membership(&others, others.words.unwrap(), "eve").unwrap();
    let folder_of_epoch = epoch_folder(root, EPOCH);
    fs::create_dir_all(&folder_of_epoch).unwrap();
    let (entries, signatures) = log(&seen, reason);
    let mut copy = LogCopy::open(&folder_of_epoch, key(99).verifying_key()).unwrap();
    entries.iter().for_each(|entry| copy.take(entry).unwrap());
    let journal = Journal::open(&folder_of_epoch.join("journal.sqlite")).unwrap();
    let own = signatures[usize::from(number) - 1].clone();
    journal.append(&facts_name(EPOCH), &Fact::Sent(own).to_bytes()).unwrap();
    let sent = SentLog::of(root);
    for (epoch, what, bytes) in [(0, "request to join", 70), (4, "signed message", 900), (3, "signed message", 1)] {
        sent.write(&Sent { at_s: 1_795_000_000, epoch, what: what.into(), detail: String::new(), bytes }).unwrap();
    }
    folder
}

/// The bundle of a site, as a file beside it.
fn bundle(site: &tempfile::TempDir) -> PathBuf {
    let path = site.path().join("bundle.zip");
    assert_eq!(bundled_epochs(site.path()).unwrap(), [EPOCH]);
    let written = write_file(site.path(), EPOCH, &path).unwrap();
    assert_eq!((written.epoch, written.entries, written.lines), (EPOCH, 3, 2));
    assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());
    path
}

/// The parts of a bundle.
fn parts(path: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let read = |name: String| {
        let mut bytes = Vec::new();
        archive.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

/// A bundle whose part was changed; where `hides` is set, the manifest as well, as whoever wants to hide it would.
fn changed(path: &std::path::Path, part: &str, hides: bool, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let mut all = parts(path);
    let bytes = all.iter_mut().find(|(name, _)| name == part).map(|(_, bytes)| bytes).unwrap();
    change(bytes);
    let (length, sha256) = (bytes.len() as u64, Digest::of_bytes(bytes).to_string());
    let (_, manifest) = all.iter_mut().find(|(name, _)| name == MANIFEST).unwrap();
    if hides && part != MANIFEST {
        let mut named: Manifest = serde_json::from_slice(manifest).unwrap();
        let entry = named.parts.iter_mut().find(|it| it.name == part).unwrap();
        (entry.bytes, entry.sha256) = (length, sha256);
        *manifest = serde_json::to_vec(&named).unwrap();
    }
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in all {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    let changed = path.with_file_name("changed.zip");
    fs::write(&changed, zip.finish().unwrap().into_inner()).unwrap();
    changed
}

#[test]
fn a_bundle_says_who_did_what_and_nothing_in_it_contradicts_the_rest() {
    let site = site(2, "done");
    let path = bundle(&site);
    let seen = seen(2);
    let found = inspect(&path, Some(seen.membership)).unwrap();
    assert_eq!(found.findings, []);
    assert_eq!((found.name.as_str(), found.organisation.as_str(), found.party), ("site-2", "Clinic 2", party(2)));
    assert_eq!((found.epoch, found.heads.len(), found.rounds), (EPOCH, 3, 0));
    assert_eq!((found.membership, found.terms, found.words), (seen.membership, seen.terms.digest(), seen.words));
    let vouched: Vec<_> = (1..=MEMBERS).map(|number| (format!("site-{number}"), 1)).collect();
    assert_eq!(found.vouched, vouched);
    let approvals: Vec<_> = found.approvals.iter().map(|it| (it.what, it.by.as_str())).collect();
    assert_eq!(approvals, [(Approvable::Membership, "odo"), (Approvable::Terms, "odo")]);
    assert_eq!(found.lines, 2, "what was sent in another key epoch is another bundle's");
    assert_eq!(found.totals["signed message"], (1, 900));
    let again = site.path().join("again.zip");
    write(site.path(), EPOCH, fs::File::create(&again).unwrap()).unwrap();
    let without_time = |path| parts(path).into_iter().filter(|(name, _)| name != MANIFEST).collect::<Vec<_>>();
    assert_eq!(without_time(&path), without_time(&again));
    let names: Vec<String> = parts(&path).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [EXPLAINED, PLAN, APPROVALS, SENT, PROPOSAL, SIGNED, LOG, MANIFEST]);
}

#[test]
fn nothing_is_made_of_a_key_epoch_of_which_nothing_is_here() {
    let site = site(1, "done");
    let nowhere = |epoch| write(site.path(), epoch, Cursor::new(Vec::new()));
    assert!(matches!(nowhere(Epoch(7)), Err(BundleError::NoEpoch { epoch: Epoch(7), .. })));
    fs::remove_file(epoch_folder(site.path(), EPOCH).join("log")).unwrap();
    assert!(matches!(nowhere(EPOCH), Err(BundleError::NoEpoch { .. })));
    assert!(bundled_epochs(site.path()).unwrap().is_empty());
    let path = site.path().join("bundle.zip");
    assert!(matches!(write_file(site.path(), EPOCH, &path), Err(BundleError::NoEpoch { .. })));
    let left: Vec<_> = fs::read_dir(site.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("bundle")), "{left:?}");
}

#[test]
fn whatever_was_changed_is_found_also_with_a_manifest_that_hides_it() {
    let site = site(2, "done");
    let path = bundle(&site);
    let flip = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 1;
        bytes[at] ^= 1;
    };
    for part in [EXPLAINED, PLAN, APPROVALS, SENT, PROPOSAL, SIGNED, LOG] {
        let refused = inspect(&changed(&path, part, false, flip), None).unwrap_err();
        assert!(matches!(refused, BundleError::Altered { part: named, .. } if named == part), "{part}: {refused}");
        assert_eq!(refused.exit(), Exit::Verification);
        let longer = inspect(&changed(&path, part, false, |bytes| bytes.push(b'\n')), None).unwrap_err();
        assert!(matches!(longer, BundleError::Altered { part: named, .. } if named == part), "{part}: {longer}");
    }
    let hidden = |part, change: &dyn Fn(&mut Vec<u8>)| inspect(&changed(&path, part, true, change), None);
    assert!(matches!(hidden(PLAN, &flip), Err(BundleError::Part { part: PLAN, .. })));
    assert!(matches!(hidden(APPROVALS, &flip), Err(BundleError::Part { part: APPROVALS, .. })));
    // A signature at the end of the log.
    let refused = hidden(LOG, &flip).unwrap_err();
    assert!(matches!(&refused, BundleError::Log { source, .. } if source.index == 2), "{refused}");
    assert!(refused.place().is_some_and(|place| place.contains("entry 2 of the log")));
    // A log of other members, by the same coordinator.
    let (entries, _) = log(&seen_of(2, EPOCH, "Hospital"), "done");
    let foreign = entries.iter().flat_map(crate::records::record).collect::<Vec<u8>>();
    let refused = hidden(LOG, &|bytes| bytes.splice(16.., foreign.clone()).for_each(drop)).unwrap_err();
    assert!(matches!(&refused, BundleError::Log { source, .. } if source.index == 0), "{refused}");
    // The site's own signature: nobody else has its key.
    assert_eq!(hidden(SIGNED, &flip).unwrap().findings, [Finding::NotOwn { messages: 1 }]);
    // Nobody approved; nothing was sent that can be read.
    let none = |bytes: &mut Vec<u8>| *bytes = b"[]".to_vec();
    let both = [Finding::NotApproved(Approvable::Membership), Finding::NotApproved(Approvable::Terms)];
    assert_eq!(hidden(APPROVALS, &none).unwrap().findings, both);
    let of_another =
        |bytes: &mut Vec<u8>| *bytes = String::from_utf8_lossy(bytes).replace("\"epoch\": 4", "\"epoch\": 3").into();
    assert_eq!(hidden(APPROVALS, &of_another).unwrap().findings, both[1..], "the terms of another key epoch");
    let torn = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1);
    assert_eq!(hidden(SENT, &torn).unwrap().findings, [Finding::Unreadable { lines: 1 }]);
    // Another site's proposal, plan or name.
    let other = self::site(3, "done");
    let theirs = parts(&bundle(&other)).into_iter().find(|(name, _)| name == PROPOSAL).unwrap().1;
    let refused = hidden(PROPOSAL, &|bytes| *bytes = theirs.clone()).unwrap_err();
    assert!(matches!(refused, BundleError::Part { part: PROPOSAL, .. }), "{refused}");
}

#[test]
fn a_manifest_is_one_and_names_no_more_than_is_read() {
    let site = site(2, "done");
    let path = bundle(&site);
    let with = |from: &'static str, to: &'static str| {
        let change = move |bytes: &mut Vec<u8>| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            assert!(text.contains(from), "{from}");
            *bytes = text.replace(from, to).into_bytes();
        };
        inspect(&changed(&path, MANIFEST, false, change), None).unwrap_err()
    };
    assert!(matches!(with("\"schema\": 1", "\"schema\": 2"), BundleError::NoBundle { .. }));
    assert!(matches!(with("\"epoch\": 4", "\"epoch\": 5"), BundleError::Part { part: PROPOSAL, .. }));
    assert!(matches!(with("\"party\": 2", "\"party\": 3"), BundleError::Part { part: PROPOSAL, .. }));
    assert!(matches!(with("site-2", "site-3"), BundleError::Part { part: PROPOSAL, .. }));
    assert!(matches!(with("\"sent.tsv\"", "\"elsewhere\""), BundleError::Part { part: SENT, .. }));
    let huge = format!("\"bytes\": {}", parts(&path).iter().find(|(name, _)| name == PLAN).unwrap().1.len());
    let huge: &'static str = Box::leak(huge.into_boxed_str());
    assert!(matches!(with(huge, "\"bytes\": 99999999"), BundleError::Part { part: PLAN, .. }));
    let nothing = site.path().join("nothing.zip");
    assert!(matches!(inspect(&nothing, None), Err(BundleError::Read { .. })));
    fs::write(&nothing, "nothing").unwrap();
    assert!(matches!(inspect(&nothing, None), Err(BundleError::NoBundle { .. })));
}

#[test]
fn members_are_those_that_the_auditor_knows_from_elsewhere() {
    let site = site(2, "done");
    let path = bundle(&site);
    let refused = inspect(&path, Some(Digest([1; 32]))).unwrap_err();
    let BundleError::OtherMembers { found, .. } = &refused else { panic!("{refused}") };
    assert_eq!((*found, refused.exit()), (seen(2).membership, Exit::Verification));
}

#[test]
fn two_sites_that_were_shown_two_logs_find_it_out() {
    let [one, same, forked] = [site(1, "done"), site(2, "done"), site(3, "no money")];
    let [one, same, forked] = [&one, &same, &forked].map(|site| inspect(&bundle(site), None).unwrap());
    assert_eq!(compare(&one, &same), Common::Entries(3));
    assert_eq!((compare(&one, &forked), compare(&forked, &same)), (Common::Forked(2), Common::Forked(2)));
    let mut shorter = one.clone();
    shorter.heads.truncate(2);
    assert_eq!(compare(&shorter, &forked), Common::Entries(2), "as far as both go");
    for change in [|it: &mut Inspection| it.epoch = Epoch(5), |it: &mut Inspection| it.membership = Digest([1; 32])] {
        let mut other = one.clone();
        change(&mut other);
        assert_eq!(compare(&one, &other), Common::Nothing);
    }
}

#[test]
fn a_copy_of_a_log_holds_what_its_coordinator_signed_and_goes_on_after_a_crash() {
    let (folder, seen) = (tempfile::tempdir().unwrap(), seen(1));
    let (entries, _) = log(&seen, "done");
    let coordinator = key(99).verifying_key();
    let open = || LogCopy::open(folder.path(), coordinator).unwrap();
    let kept = || crate::log_copy::read(folder.path()).unwrap().map(|(_, entries)| entries);
    assert_eq!(kept(), None);
    let mut copy = open();
    assert_eq!(kept(), Some(0));
    copy.take(&entries[1]).unwrap();
    assert_eq!(kept(), Some(0), "a gap");
    copy.take(&entries[0]).unwrap();
    copy.take(&entries[0]).unwrap();
    let mut foreign = LogWriter::new(key(98));
    assert!(foreign.follow(&entries[0]));
    copy.take(&foreign.next(LogMessage::Stop(Stop { reason: "eve".to_owned() }))).unwrap();
    assert_eq!(kept(), Some(1), "once, and nobody else's");
    copy.take(&entries[1]).unwrap();
    // A crash in the middle of an entry: what is torn is not read, and written again.
    let path = folder.path().join("log");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(kept(), Some(1));
    let mut copy = open();
    entries.iter().for_each(|entry| copy.take(entry).unwrap());
    assert_eq!(kept(), Some(3));
    assert!(fs::read(&path).unwrap().starts_with(&whole), "the same bytes again");
    // What somebody changed is not gone on from.
    let mut altered = fs::read(&path).unwrap();
    let at = whole.len() - 1;
    altered[at] ^= 1;
    fs::write(&path, &altered).unwrap();
    open();
    assert_eq!(kept(), Some(1));
    fs::write(&path, b"another file, as it seems").unwrap();
    open();
    assert_eq!(kept(), Some(0));
}

#[test]
fn a_site_that_has_not_begun_needs_no_approvals() {
    let site = tempfile::tempdir().unwrap();
    note(site.path(), &seen(2)).unwrap();
    let folder = epoch_folder(site.path(), EPOCH);
    fs::create_dir_all(&folder).unwrap();
    LogCopy::open(&folder, key(99).verifying_key()).unwrap();
    let path = site.path().join("bundle.zip");
    write_file(site.path(), EPOCH, &path).unwrap();
    let found = inspect(&path, None).unwrap();
    assert_eq!((found.findings, found.heads.len(), found.things.len()), (vec![], 0, 0));
}

#[test]
fn records_are_of_one_kind_of_file_and_no_longer_than_any() {
    let magic: &Magic = b"consilium-test1\n";
    let of = |bytes: &[u8]| crate::records::Records::of(magic, bytes).next::<Digest>();
    let whole = [magic.as_slice(), &crate::records::record(&Digest([7; 32]))].concat();
    assert_eq!(of(&whole), Ok(Some(Digest([7; 32]))));
    assert_eq!((of(&whole[..whole.len() - 1]), of(&whole[..10])), (Ok(None), Ok(None)), "torn");
    let other = [b"consilium-test2\n".as_slice(), &whole[16..]].concat();
    assert!(of(&other).is_err_and(|found| found.contains("begins like another file")));
    let long = [magic.as_slice(), &u32::MAX.to_le_bytes(), &[0; 64]].concat();
    assert!(of(&long).is_err_and(|found| found.contains("longer than any")));
}

#[test]
fn a_copy_of_a_log_has_a_bound_and_says_once_that_it_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::new(key(99));
    let mut copy = LogCopy::open(folder.path(), key(99).verifying_key()).unwrap();
    let mut refused = 0;
    for _ in 0..400 {
        let entry = writer.append(LogMessage::Stop(Stop { reason: "x".repeat(200) }));
        refused += usize::from(copy.take(&entry).is_err());
    }
    let (_, kept) = crate::log_copy::read(folder.path()).unwrap().unwrap();
    assert!(refused == 1 && (50..400).contains(&kept), "{refused}, {kept}");
    assert!(fs::metadata(folder.path().join("log")).unwrap().len() <= 64 << 10);
}
