//! A site's folder before an auditor: which epoch, whose words, and that nothing in it changes.

use privacy::NoisyStep;
use protocol::RoundId;
use protocol::codec::Wire;
use protocol::facts::Fact;
use protocol::heads::Seen;
use protocol::ids::{Attempt, Digest};
use protocol::membership::{Membership, Seat};
use protocol::message::{HospitalMessage, KeyStep, ManifestSignature, ServingShareHead};
use protocol::signature::SigningKey;
use protocol::weight::WeightClass;

use super::*;
use crate::hospital::facts_name;
use crate::privacy_ledger::{Allowance, Budget, PrivacyLedger, Spending};

const TEXT: &str = include_str!("../../../configs/consortium.toml");

fn head(step: KeyStep, number: u8) -> HospitalMessage {
    let body = BodyRoot::of(&[Digest([number; 32])], 10);
    HospitalMessage::ServingShareHead(ServingShareHead { step, body })
}

fn sign(key: &SigningKey, body: HospitalMessage) -> SignedMessage {
    SignedMessage::sign(key, PartyId::new(2).unwrap(), Epoch(4), 1, Seen::nothing(), body)
}

/// A site whose key signs as member `place` of five in key epoch 4, where it signed `words`.
fn site(place: usize, words: impl Fn(&SigningKey) -> Vec<SignedMessage>) -> (tempfile::TempDir, SigningKey) {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path();
    let key = Vault::open_beside(site).unwrap().signing_key().unwrap();
    let root = epoch_folder(site, Epoch(4));
    fs::create_dir_all(&root).unwrap();
    Vault::open_beside(&root).unwrap();
    models::note_plan(&root, TEXT).unwrap();
    let seat = |number: usize| {
        let other = SigningKey::from_seed(&[number as u8; 32]).unwrap().verifying_key();
        Seat {
            name: format!("site {number}"),
            organisation: format!("Clinic {number}"),
            weight: WeightClass::ONE,
            verifying: if number == place { key.verifying_key() } else { other },
            tls_key: Digest([number as u8; 32]),
        }
    };
    let coordinator = SigningKey::from_seed(&[99; 32]).unwrap().verifying_key();
    earlier::note_members(&root, &Membership { threshold: 4, coordinator, seats: (1..=5).map(seat).collect() })
        .unwrap();
    let journal = Journal::open(&root.join("journal.sqlite")).unwrap();
    for message in words(&key) {
        journal.append(&facts_name(Epoch(4)), &Fact::Sent(message).to_bytes()).unwrap();
    }
    drop(journal);
    (folder, key)
}

#[test]
fn the_words_are_the_journals_and_the_logs_and_whose_key_did_not_sign_them_is_told() {
    let stranger = SigningKey::from_seed(&[77; 32]).unwrap();
    let signature = ManifestSignature { round: RoundId(1), attempt: Attempt(1), manifest: Digest([1; 32]) };
    let words = |key: &SigningKey| {
        [
            sign(key, head(KeyStep::Gate, 1)),
            sign(&stranger, head(KeyStep::Galois, 2)),
            sign(key, HospitalMessage::ManifestSignature(signature.clone())),
        ]
        .to_vec()
    };
    let (folder, key) = site(2, words);
    let mut own = OwnAudit::open(folder.path(), None).unwrap();
    assert_eq!((own.epoch(), own.party()), (Epoch(4), PartyId::new(2).unwrap()));
    assert_eq!(own.coordinator(), SigningKey::from_seed(&[99; 32]).unwrap().verifying_key());
    let mut told = 0;
    let found = own.run(None, |_| told += 1).unwrap();
    let is = |found: &[Finding]| -> Vec<(Object, bool, Option<bool>)> {
        found.iter().map(|it| (it.object.clone(), it.is_own, it.holds())).collect()
    };
    let share = |step| Object::KeyShare(step);
    let journal = [(share(KeyStep::Gate), true, None), (share(KeyStep::Galois), false, Some(false))];
    assert_eq!((is(&found), told), (journal.to_vec(), 2), "heads of something, and no other words");
    // The log has one word that the journal lacks, and one that both have.
    let log = [sign(&key, head(KeyStep::Gate, 1)), sign(&key, head(KeyStep::Gate, 9))];
    let found = own.run(Some(&log), |_| ()).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[2].signed, BodyRoot::of(&[Digest([9; 32])], 10));
    // Another epoch's word is none of this one.
    let early =
        SignedMessage::sign(&key, PartyId::new(2).unwrap(), Epoch(3), 1, Seen::nothing(), head(KeyStep::GateKey, 1));
    let found = own.run(Some(&[early]), |_| ()).unwrap();
    assert_eq!(found[2].holds(), Some(false));
    drop(own);
    let names = fs::read_dir(epoch_folder(folder.path(), Epoch(4))).unwrap();
    let left = names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("audit"));
    assert_eq!(left.count(), 0, "nothing of the audit stays");
}

#[test]
fn an_epoch_that_the_site_has_not_or_is_no_member_of_is_named() {
    let (folder, _) = site(9, |_| Vec::new());
    let none = OwnAudit::open(folder.path(), Some(Epoch(3))).err().unwrap();
    assert!(none.to_string().contains("it has 4") && none.exit() == Exit::BadInput, "{none}");
    let stranger = OwnAudit::open(folder.path(), Some(Epoch(4))).err().unwrap();
    assert!(matches!(stranger, OwnAuditError::NoMember { epoch: Epoch(4) }), "{stranger}");
    let empty = tempfile::tempdir().unwrap();
    let nothing = OwnAudit::open(empty.path(), None).err().unwrap();
    assert!(nothing.to_string().contains("it has none"), "{nothing}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "looking makes nothing");
}

#[test]
fn what_was_charged_is_read_from_a_copy_that_an_audit_may_write_to() {
    let folder = tempfile::tempdir().unwrap();
    let [site, first, second] = ["site", "first", "second"].map(|name| folder.path().join(name));
    for folder in [&site, &first, &second] {
        fs::create_dir(folder).unwrap();
    }
    // A site that never charged for anything has a list of nothing, and gets none of its own.
    let none = patients(&site, &first).unwrap();
    assert!(PrivacyLedger::open(&none.ledger).unwrap().rows().is_empty() && !site.join(LEDGER_FILE).exists());
    let spending = |number: u8| {
        let (run, values) = (Digest([1; 32]), Digest([number; 32]));
        Spending { run, epoch: Epoch(4), round: 1, values, step: NoisyStep::new(0.1, 2.0).ok(), steps: 5 }
    };
    let allowed = Allowance { plan: Budget { epsilon: 9.0, delta: 1e-5 }, site: None };
    PrivacyLedger::open(&site.join(LEDGER_FILE)).unwrap().charge(&spending(7), allowed).unwrap();
    let copied = patients(&site, &second).unwrap();
    let mut copy = PrivacyLedger::open(&copied.ledger).unwrap();
    assert!(copy.is_charged(Digest([7; 32])) && copied.ledger.starts_with(&second));
    copy.charge(&spending(8), allowed).unwrap();
    assert_eq!(PrivacyLedger::open(&site.join(LEDGER_FILE)).unwrap().rows().len(), 1);
}
