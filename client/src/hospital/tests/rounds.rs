//! Training rounds under kills: the same ciphertexts, and the adopted model whatever came between.

use protocol::drive::{Store, Stream};
use protocol::facts::Revealed;
use protocol::store::{Journal, StoreError};

use super::super::{facts_name, sealed};
use super::*;

fn update(site: &Site, round: u32) -> Bytes {
    let place = BlobId::round(BlobKind::UpdateChunk, RoundId(round), Attempt::FIRST, Some(site.plan.party), 0);
    site.outbox.get(&place).unwrap()
}

#[test]
fn an_interrupted_encryption_is_made_again_to_the_same_bytes() {
    let mut all = Consortium::with_keys();
    all.site(1).train(RoundId(1)).unwrap();
    let (root, twin) = all.twin(1, "twin");
    let mut twin = reopened(twin, &root);
    twin.restore_keys(seed()).unwrap();
    // The twin is killed after every step; training again must not draw other values.
    twin.train(RoundId(1)).unwrap();
    let first = all.site(1).encrypt(RoundId(1), Attempt::FIRST).unwrap();
    assert_eq!(twin.encrypt(RoundId(1), Attempt::FIRST).unwrap(), first);
    assert_eq!(update(&twin, 1), update(&all.sites[0], 1));
    let spent = twin.training_ledger.left();
    twin = reopened(twin, &root);
    twin.restore_keys(seed()).unwrap();
    assert_eq!(twin.encrypt(RoundId(1), Attempt::FIRST).unwrap(), first);
    assert_eq!(twin.training_ledger.left(), spent, "a repeat costs nothing");
    // Other values under the same claim are refused, whoever put them there.
    let mut other = sealed::round_values(&twin.vault, Epoch(1), RoundId(1)).unwrap();
    other.values[0] ^= 1;
    sealed::put_values(&twin.vault, Epoch(1), RoundId(1), &other).unwrap();
    assert!(matches!(twin.encrypt(RoundId(1), Attempt::FIRST), Err(HospitalError::Crypto { .. })));
    assert_eq!(update(&twin, 1), update(&all.sites[0], 1));
}

#[test]
fn the_sealed_integers_of_all_sites_add_up_to_the_sealed_sums() {
    let mut all = Consortium::with_keys();
    let (binding, sums) = all.sum(1);
    let base = all.site(1).current.digest();
    let model = all.site(1).open_sum(&binding, RoundPurpose::Train, &sums).unwrap().unwrap();
    let values: Vec<_> =
        all.sites.iter().map(|site| sealed::round_values(&site.vault, Epoch(1), RoundId(1)).unwrap()).collect();
    let opened = sealed::opened_sums(&all.sites[0].vault, Epoch(1), RoundId(1)).unwrap();
    let [opened] = &opened[..] else { panic!("{} sums", opened.len()) };
    assert_eq!((opened.base, opened.model, opened.cohort), (base, model, everyone()));
    assert_eq!(opened.weight_sum, values.iter().map(|one| u64::from(one.weight)).sum::<u64>());
    assert!(opened.sums.iter().any(|sum| *sum != 0));
    for (at, sum) in opened.sums.iter().enumerate() {
        assert_eq!(*sum, values.iter().map(|one| i64::from(one.values[at])).sum::<i64>(), "lane {at}");
    }
}

#[test]
fn training_begins_with_the_model_that_it_is_to_go_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let program = Arc::new(program());
    let site = |name: &str, start: Option<Vec<f32>>| {
        let root = folder.path().join(name);
        let vault = Arc::new(Vault::for_tests(&root.join("vault")));
        let plan = HospitalPlan { start: start.map(Arc::new), ..plan(1, &program) };
        open(&root, vault, plan).unwrap().current.parameters
    };
    let own = site("own", None);
    let other: Vec<f32> = own.iter().map(|value| value + 0.5).collect();
    assert_eq!(site("other", Some(other.clone())), other);
}

#[test]
fn a_site_killed_between_the_adoption_and_the_model_comes_back_with_the_model() {
    let mut all = Consortium::with_keys();
    let first = all.round(1);
    let (binding, sums) = all.sum(2);
    let model = all.site(1).open_sum(&binding, RoundPurpose::Train, &sums).unwrap().unwrap();
    // Killed before the fact: the old model, and the candidate is at hand.
    all.restart(1);
    assert_eq!(all.site(1).current.digest(), first);
    state_adoption(&all.sites[0], 2, model);
    // Killed right after it.
    all.restart(1);
    assert_eq!(all.site(1).current.digest(), model);
    // The machine asks again, as often as it likes.
    for _ in 0..2 {
        all.site(1).adopt(RoundId(2), model).unwrap();
        all.restart(1);
        assert_eq!(all.site(1).current.digest(), model);
    }
    let [round_1, round_2] = [1, 2].map(|round| sealed::opened_sums(&all.sites[0].vault, Epoch(1), RoundId(round)));
    assert!(round_1.unwrap().is_empty() && round_2.unwrap().len() == 1, "only the adopted round's sums stay");
}

#[test]
fn a_candidate_is_adopted_after_a_restart_and_a_model_without_sums_never() {
    let mut all = Consortium::with_keys();
    let (binding, sums) = all.sum(1);
    let model = all.site(1).open_sum(&binding, RoundPurpose::Train, &sums).unwrap().unwrap();
    all.restart(1);
    let before = all.site(1).current.digest();
    let lost = all.site(1).adopt(RoundId(1), Digest([8; 32]));
    assert!(matches!(lost, Err(HospitalError::ModelLost { .. })));
    // Sums that give another model than their name says, here because the approved clip changed meanwhile.
    all.site(1).plan.clip = 0.25;
    assert!(matches!(all.site(1).adopt(RoundId(1), model), Err(HospitalError::ModelLost { .. })));
    assert_eq!(all.site(1).current.digest(), before);
    all.site(1).plan.clip = 0.5;
    all.site(1).adopt(RoundId(1), model).unwrap();
    assert_eq!(all.site(1).current.digest(), model);
}

#[test]
fn a_new_key_epoch_begins_with_the_model_that_the_last_one_adopted() {
    let mut all = Consortium::with_keys();
    let (binding, sums) = all.sum(1);
    let model = all.site(1).open_sum(&binding, RoundPurpose::Train, &sums).unwrap().unwrap();
    state_adoption(&all.sites[0], 1, model);
    all.site(1).plan.epoch = Epoch(3);
    all.restart(1);
    assert_eq!(all.site(1).current.digest(), model);
}

#[test]
fn a_vault_from_before_the_vote_is_noticed() {
    let mut all = Consortium::with_keys();
    let (binding, sums) = all.sum(1);
    let model = all.site(1).open_sum(&binding, RoundPurpose::Train, &sums).unwrap().unwrap();
    state_adoption(&all.sites[0], 1, model);
    let root = all.root(1);
    let Site { vault, plan, .. } = all.sites.remove(0);
    vault.remove(&format!("epoch-1-round-1-opened-{model}")).unwrap();
    let error = open(&root, vault, plan).err().unwrap();
    assert!(matches!(error, HospitalError::ModelLost { round: RoundId(1), .. }), "{error}");
    assert!(error.to_string().contains("older backup"));
}

#[test]
fn a_full_disk_is_found_in_every_error_that_it_can_cause() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let fault = || protocol::store::FileFault { action: "write", path: PathBuf::from("spool"), source: full() };
    let journal = || protocol::store::JournalError::NoSpace { path: PathBuf::from("journal"), action: "record a fact" };
    let permit: he_agg::aggregation::PermitError<protocol::store::JournalError> =
        he_agg::aggregation::PermitError::Ledger(journal());
    let errors: [HospitalError; 6] = [
        StoreError::from(fault()).into(),
        crate::vault::VaultError::from(fault()).into(),
        sealed::SealedError::from(crate::vault::VaultError::from(fault())).into(),
        journal().into(),
        HospitalError::crypto("encrypting")(Box::new(permit)),
        HospitalError::Io { action: "create", path: PathBuf::from("site"), source: full() },
    ];
    for error in errors {
        assert!(error.no_space_left(), "{error}");
    }
    assert!(!HospitalError::NoKeys { step: "x" }.no_space_left());
    assert!(!HospitalError::crypto("x")(Box::new(std::fmt::Error)).no_space_left());
}

#[test]
fn what_the_others_hear_of_a_share_is_what_was_wrong_with_their_request() {
    use he_agg::aggregation::{LedgerKey, PermitError, TauExhausted, Use};
    use protocol::Reject;
    type Permit = PermitError<protocol::store::JournalError>;
    let key = LedgerKey { purpose: Use::Share, epoch: [0; 32], round: 1, attempt: 1, chunk: 0 };
    let journal = protocol::store::JournalError::NoSpace { path: PathBuf::from("journal"), action: "record a fact" };
    let of = |permit: Permit| HospitalError::crypto("making decryption shares")(Box::new(permit)).unreleased();
    assert_eq!(of(Permit::Conflict { key }), Some(Reject::AlreadyReleased));
    assert_eq!(of(Permit::Exhausted(TauExhausted { limit: 4 })), Some(Reject::BudgetSpent));
    assert_eq!(HospitalError::crypto("x")(Box::new(std::fmt::Error)).unreleased(), Some(Reject::BodyDiffers));
    // This site's own fault is nobody's refusal: its process ends, and goes on there.
    assert_eq!(of(Permit::Ledger(journal)), None);
    assert_eq!(HospitalError::NoKeys { step: "x" }.unreleased(), None);
}

#[test]
fn what_a_round_revealed_stands_where_the_next_key_epoch_looks() {
    let all = Consortium::with_keys();
    let site = &all.sites[0];
    let fact = Fact::Revealed(Revealed { round: RoundId(1), base_model: Digest([9; 32]), cohort: everyone() });
    site.store().append(Stream::Facts, &fact.to_bytes()).unwrap();
    let journal = Journal::open(&all.root(1).join("journal.sqlite")).unwrap();
    assert_eq!(journal.read(&facts_name(Epoch(1)), 0, 10).unwrap(), [fact.to_bytes()]);
}
