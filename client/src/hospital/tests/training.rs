//! A head at three sites: keys of a set of its own, rows that are counted together, features of others.

use std::collections::BTreeMap;

use he_train::encrypted::HeadPlan;
use he_train::{HeadLoss, MomentLanes, Moments, Recipe, Whitening};
use ndarray::{Array2, Array3};
use protocol::blob::ListId;
use protocol::dealings::{DealingCheck, OffDealings};
use protocol::facts::KeySum;
use protocol::hospital::HospitalInput;
use protocol::ids::StepId;
use protocol::message::{FeaturesHead, HospitalMessage, KeySet, OpeningHead, RefreshHead, ZeroHead};

use super::super::images::SiteRows;
use super::super::own_audit::{Again, Object};
use super::super::sealed;
use super::own_audit::{again, audited, audited_with};
use super::*;

const ROWS: usize = 8;
const ROUND: RoundId = RoundId(1);

fn head() -> PlannedHead {
    let recipe = Recipe {
        loss: HeadLoss::Squared,
        steps: 1,
        rows_per_group: 8_192,
        groups_per_batch: 1,
        learning_rate: 0.05,
        late_rate: 0.05,
        momentum: 0.9,
        weight_decay: 0.0,
    };
    let plan = HeadPlan::new(Preset::Trn14, recipe, (3, 1), Flooding::secure(48, 1 << 12).unwrap()).unwrap();
    PlannedHead { plan: Arc::new(plan), moments: MomentLanes::new(2, 16, 1 << 20, N).unwrap(), is_whitened: true }
}

fn rows(number: u16) -> SiteRows {
    let value = |row: usize, column: usize| ((row * 31 + column * 17 + usize::from(number) * 7) % 23) as f64 / 11.0;
    SiteRows {
        features: Array2::from_shape_fn((ROWS, 2), |(row, column)| value(row, column)),
        labels: Array2::from_shape_fn((ROWS, 1), |(row, _)| value(row, 5)),
    }
}

/// Three sites with keys and rows of a head.
fn consortium() -> Consortium {
    let head = head();
    let program = head.plan.transfer().program().clone();
    let mut all = Consortium::of(program, 0, Some(head)).dealt();
    for site in &mut all.sites {
        site.rows = Some(rows(site.plan.party.number()));
    }
    all
}

/// All have added their rows up, and kept the sum.
fn counted() -> (Consortium, ShareBinding) {
    counted_by(consortium())
}

fn counted_by(mut all: Consortium) -> (Consortium, ShareBinding) {
    for site in &mut all.sites {
        site.sum_moments(ROUND).unwrap();
        // A second time there is nothing to do: what was sealed is what is encrypted.
        let rows = site.rows.take();
        site.sum_moments(ROUND).unwrap();
        site.rows = rows;
    }
    let (binding, sums) = all.sum_of_sealed(ROUND.0);
    let mut opened = all.sites.iter_mut().map(|site| site.open_sum(&binding, RoundPurpose::Moments, &sums).unwrap());
    let opened: Vec<Digest> = opened.by_ref().map(Option::unwrap).collect();
    assert!(opened.iter().all(|one| *one == opened[0]));
    for site in &mut all.sites {
        site.keep_figures(ROUND, opened[0]).unwrap();
        site.keep_figures(ROUND, opened[0]).unwrap();
    }
    (all, binding)
}

fn features(site: &mut Site) -> FeaturesHead {
    match site.encrypt_features().unwrap() {
        HospitalInput::FeaturesMade(head) => head,
        other => panic!("{other:?}"),
    }
}

fn is_unfit(answer: HospitalInput) -> bool {
    matches!(answer, HospitalInput::Untrainable { reject: Reject::FeaturesUnfit })
}

#[test]
fn rows_are_counted_together_and_features_are_the_same_after_a_restart() {
    let (mut all, _) = counted();
    let made = features(all.site(1));
    let bodies = all.site(1).head("test").unwrap().plan.group_bodies() as u32;
    assert_eq!((made.groups, made.rows, made.body.count), (1, (3 * ROWS) as u64, bodies));
    all.restart(1);
    all.site(1).restore_keys(seed()).unwrap();
    all.site(1).rows = Some(rows(1));
    assert_eq!(features(all.site(1)), made);
    // Other rows under the same numbers would show the difference.
    all.site(1).rows = Some(rows(9));
    assert!(matches!(all.site(1).encrypt_features(), Err(HospitalError::Crypto { .. })));
    assert_ne!(features(all.site(2)).body, made.body);
}

#[test]
fn rows_that_no_head_can_be_trained_on_are_refused_and_named_in_the_sites_own_log() {
    let (mut all, _) = counted();
    let site = all.site(1);
    let fine = rows(1);
    for (features, labels) in [
        (fine.features.clone(), Array2::zeros((ROWS, 2))),
        (fine.features.clone(), Array2::zeros((ROWS - 1, 1))),
        // Thousands of times what all others have.
        (&fine.features * 1e5 + 1e5, fine.labels.clone()),
    ] {
        site.rows = Some(SiteRows { features, labels });
        assert!(is_unfit(site.encrypt_features().unwrap()));
    }
    // One such row, or one of no numbers, does not keep the others from training.
    let mut strange = fine.features.clone();
    strange.row_mut(1).fill(1e5);
    strange[[4, 0]] = f64::NAN;
    site.rows = Some(SiteRows { features: strange, labels: fine.labels.clone() });
    assert_eq!(features(site).groups, 1);
    site.rows = None;
    assert!(matches!(site.encrypt_features(), Err(HospitalError::NoRows { .. })));
    // The keys are there, and nobody has counted anything.
    let mut early = consortium();
    assert!(matches!(early.site(1).encrypt_features(), Err(HospitalError::NoKeys { .. })));
    early.site(1).rows = None;
    assert!(matches!(early.site(1).sum_moments(ROUND), Err(HospitalError::NoRows { .. })));
    early.site(1).rows = Some(SiteRows { features: Array2::from_elem((1, 2), 17.0), labels: Array2::zeros((1, 1)) });
    assert!(matches!(early.site(1).sum_moments(ROUND), Err(HospitalError::Crypto { .. })));
}

#[test]
fn a_question_is_whitened_as_the_rows_of_all_were() {
    let (mut all, _) = counted();
    let every: Vec<SiteRows> = (1..=N).map(rows).collect();
    let views: Vec<_> = every.iter().map(|rows| rows.features.view()).collect();
    let together = ndarray::concatenate(ndarray::Axis(0), &views).unwrap();
    let question = |row: usize| Array3::from_shape_fn((1, 1, 2), |(_, _, column)| together[[row, column]] as f32);
    let expected = Whitening::new(&Moments::of(&together), 3).apply(&together);
    let site = all.site(2);
    let found = site.whitened(&[question(3), question(20)]).unwrap().into_owned();
    for (row, found) in [3, 20].into_iter().zip(found) {
        assert_eq!(found.dim(), (1, 1, 3));
        for (found, expected) in found.iter().zip(expected.row(row)) {
            assert!((f64::from(*found) - expected).abs() < 1e-2, "{found} {expected}");
        }
    }
    let wrong = site.whitened(&[Array3::zeros((1, 1, 3))]).map(drop);
    assert!(matches!(wrong, Err(HospitalError::Features { found: 3, expected: 2 })), "{wrong:?}");
    // What is unlike all rows gets no answer.
    let query = QueryId::new(party(2), 1);
    let far = site.prepare_query(query, &[Array3::from_elem((1, 1, 2), 1e3)]).map(drop);
    assert!(matches!(far, Err(HospitalError::FeatureBeyond { .. })), "{far:?}");
    assert!(site.prepare_query(query, &[question(3)]).is_ok());
    // Whoever has not heard of the sum does not know how.
    let early = consortium().site(1).whitened(&[question(3)]).map(drop);
    assert!(matches!(early, Err(HospitalError::NoKeys { .. })), "{early:?}");
}

#[test]
fn an_auditor_has_features_made_again_of_the_images_that_are_there() {
    let (mut all, _) = counted();
    let made = features(all.site(1));
    let head = HospitalMessage::FeaturesHead(made);
    let audit = |name, rows| again(&mut audited_with(&all, name, rows), &head).unwrap();
    assert_eq!(audit("same", Some(rows(1))), Again::Made(Object::of(&head)[0].1));
    for (name, rows) in [("other", Some(rows(9))), ("none", None)] {
        assert!(matches!(audit(name, rows), Again::NotKept(_)), "{name}");
    }
    let (step, attempt, binding, body) = (StepId(1), Attempt(2), Digest([1; 32]), BodyRoot::default());
    let masks = BodyRoot::of(&[Digest([2; 32])], 7);
    let share = RefreshHead { step, attempt, binding, shares: body, masks };
    let share = HospitalMessage::RefreshHead(Box::new(share));
    let opening = OpeningHead { step, attempt, binding, sums: Digest([3; 32]), body };
    let zeros = HospitalMessage::ZeroHead(ZeroHead { step, attempt, body });
    let names: Vec<String> = [&share, &HospitalMessage::OpeningHead(opening), &zeros]
        .into_iter()
        .flat_map(Object::of)
        .map(|(object, body)| format!("{object}: {} bytes", body.size_bytes))
        .collect();
    let expected = ["refresh shares: 0", "refresh masks: 7", "opening: 0", "zeros: 0"].map(|it| {
        let (what, bytes) = it.split_once(": ").unwrap();
        format!("{what} of step 1, attempt 2: {bytes} bytes")
    });
    assert_eq!(names, expected);
    let found = again(&mut audited(&all, "refresh"), &share).unwrap();
    assert!(matches!(found, Again::NotKept(why) if why.contains("every decryptor")), "{found:?}");
}

#[test]
fn a_sum_that_no_rows_have_is_not_voted_for_and_one_that_was_not_opened_is_not_kept() {
    let (mut all, binding) = counted();
    let site = all.site(1);
    let values = site.head("test").unwrap().moments.values();
    assert_eq!(site.seal_moments(&binding, vec![0; values], 3).unwrap(), None);
    let lost = site.keep_moments(RoundId(2), Digest([9; 32]));
    assert!(matches!(lost, Err(HospitalError::ModelLost { .. })));
    assert_eq!(sealed::figures(&site.vault, Epoch(1)).unwrap().unwrap().sums.len(), values);
}

/// Shares of every hospital's gate of a training, added up and made keys of.
fn gates(all: &mut Consortium) {
    all.shares(KeyStep::TrainingGate);
    for number in 1..=N {
        let shares = all.gate_in(KeyStep::TrainingGate, number);
        assert_eq!(add(all.site(number), KeyStep::TrainingGate, &shares, BodyRoot::default()), None);
    }
    let keys = all.shares(KeyStep::TrainingGateKey);
    let sum = list_of_all(&keys);
    for site in &mut all.sites {
        assert_eq!(add(site, KeyStep::TrainingGateKey, &keys, sum), None);
        let fact = Fact::KeySum(KeySum { step: KeyStep::TrainingGateKey, sum });
        site.journal.append(&site.record(FACTS), &fact.to_bytes()).unwrap();
    }
}

#[test]
fn features_of_all_are_taken_up_in_order_and_none_that_are_no_features() {
    let mut all = consortium();
    gates(&mut all);
    let (mut all, _) = counted_by(all);
    let sent: Vec<Vec<Bytes>> = (1..=N)
        .map(|number| {
            let count = features(all.site(number)).body.count;
            let bodies = (0..count).map(|index| ListId::features(party(number)).body(index));
            bodies.map(|id| all.site(number).outbox.get(&id).unwrap()).collect()
        })
        .collect();
    let site = all.site(1);
    let groups: Vec<(PartyId, u32)> = (1..=N).map(|number| (party(number), 1)).collect();
    let take = |site: &mut Site, numbers: &[u16]| {
        for number in numbers {
            let taken = site.add_features(party(*number), 0, &sent[usize::from(*number) - 1]).unwrap();
            assert_eq!(taken, None, "of {number}");
        }
    };
    let rows = 3 * ROWS as u64;
    // One too few, and in another order: what was taken up before the lower number is forgotten.
    for numbers in [&[][..], &[1, 2], &[2, 3, 1]] {
        take(site, numbers);
        assert!(is_unfit(site.prepare_training(&groups, rows).unwrap()), "{numbers:?}");
    }
    // More rows than places.
    take(site, &[1, 2, 3]);
    assert!(is_unfit(site.prepare_training(&groups, 3 * 8_192 + 1).unwrap()));
    // Whatever is wrong with one, nothing is left of the others.
    take(site, &[1, 2]);
    let mut short = sent[2].clone();
    short.pop();
    let swapped: Vec<Bytes> = sent[2].iter().rev().cloned().collect();
    for wrong in [short, swapped, vec![Bytes::from_static(b"none"); sent[2].len()]] {
        assert_eq!(site.add_features(party(3), 0, &wrong).unwrap(), Some(Reject::FeaturesUnfit));
        assert!(is_unfit(site.prepare_training(&groups[..2], rows).unwrap()));
    }
    // With all of them, it is the keys that are missing here.
    take(site, &[1, 2, 3]);
    assert!(matches!(site.prepare_training(&groups, rows), Err(HospitalError::BodyMissing { .. })));
}

#[test]
fn gate_keys_of_a_training_are_its_own_and_those_on_record() {
    let mut all = consortium();
    let serving = all.gates();
    gates(&mut all);
    let site = all.site(1);
    let own = |site: &Site, set: KeySet| site.holdings.digests(set.list(BlobKind::GateKey)).unwrap();
    assert_ne!(own(site, KeySet::Serving), own(site, KeySet::Training));
    let key = site.gate_key(KeySet::Training, party(2)).unwrap();
    assert_eq!((key.asker(), key.limbs()), (2, site.plan.keys_of(KeySet::Training, "test").unwrap().gate_limbs));
    // Those of serving are on disk, and nothing on record says that they are what all signed for.
    let refused = site.gate_key(KeySet::Serving, party(2)).map(drop);
    assert!(matches!(refused, Err(HospitalError::BodyMissing { .. })), "{refused:?}");
    let fact = Fact::KeySum(KeySum { step: KeyStep::GateKey, sum: serving });
    site.journal.append(&site.record(FACTS), &fact.to_bytes()).unwrap();
    assert_eq!(site.gate_key(KeySet::Serving, party(2)).unwrap().asker(), 2);
}

#[test]
fn a_point_of_the_trainings_secret_that_is_off_names_its_dealer() {
    let mut all = consortium();
    let factors = Digest([0x0f; 32]);
    let shown = |all: &Consortium| -> BTreeMap<PartyId, DealingCheck> {
        let check = |site: &Site| match site.check_dealings(factors).unwrap() {
            HospitalInput::DealingsCombined { check } => (site.plan.party, check),
            other => panic!("{other:?}"),
        };
        all.sites.iter().map(check).collect()
    };
    let honest = shown(&all);
    assert!(honest.values().all(|check| check.is_of(usize::from(N))));
    assert!(OffDealings::of(&honest, 2).is_none());
    let record = all.site(3).vault.get("epoch-1-dealt-by-2").unwrap();
    let length = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap()) as usize;
    // The point of updates, that of serving with the seed of its gate, that of training.
    let serving = 4 + length(0);
    let training = serving + 4 + length(serving) + 32;
    let mut other = record.to_vec();
    other[training + 4 + 200] ^= 1;
    all.site(3).vault.put("epoch-1-dealt-by-2", &other).unwrap();
    assert_eq!(OffDealings::of(&shown(&all), 2).dealers.numbers(), [2]);
    // The point of training alone is another dealer's: of the same length, at the same place.
    let others = all.site(3).vault.get("epoch-1-dealt-by-1").unwrap();
    let mut foreign = record.to_vec();
    let end = training + 4 + length(training);
    foreign[training..end].copy_from_slice(&others[training..end]);
    let site = all.site(3);
    let crs = site.key_crs("test").unwrap();
    let read = |bytes: &[u8]| super::super::dealing::Dealing::from_bytes(bytes, &site.plan.layout, crs, 2, 3).is_ok();
    assert!(read(&record) && !read(&foreign));
    // A dealing whose point is another hospital's, or for another one, is none.
    for (dealer, receiver) in [(1, 3), (2, 1)] {
        let site = all.site(3);
        let read = super::super::dealing::Dealing::from_bytes(
            &record,
            &site.plan.layout,
            site.key_crs("test").unwrap(),
            dealer,
            receiver,
        );
        assert!(read.is_err(), "by {dealer} for {receiver}");
    }
}

#[test]
fn without_a_head_there_are_no_keys_of_a_training() {
    let mut all = Consortium::with_keys();
    let site = all.site(1);
    for step in [KeyStep::TrainingGate, KeyStep::TrainingRelinRoundOne, KeyStep::TrainingGalois] {
        assert!(matches!(site.serving_share(step), Err(HospitalError::NoKeys { .. })), "{step}");
        assert!(matches!(site.add_share(step, party(2), &[]), Err(HospitalError::NoKeys { .. })), "{step}");
    }
    assert!(matches!(site.encrypt_features(), Err(HospitalError::NoKeys { .. })));
    // Keys of a plan with a head are none of one without.
    let mut all = consortium();
    all.restart(1);
    let site = all.site(1);
    site.plan.head = None;
    assert!(matches!(site.restore_keys(seed()), Err(HospitalError::NoKeys { .. })));
    site.plan.head = Some(head());
    site.restore_keys(seed()).unwrap();
}
