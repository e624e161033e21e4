//! What hospitals upload is looked at before it counts, and no part of another step or attempt is one of this.

use he_agg::aggregation::{Flooding, MemoryLedger, VaultSecret};
use he_agg::ckks::{Encoder, GatedCiphertext};
use he_agg::multiparty::{
    Collective, GaloisKeyShare, GateHolder, Gated, KeyPlan, R1, R2, RelinIntermediate, RelinKeyShare,
};
use he_agg::{Preset, Stream};
use he_train::{HeadLoss, Recipe};
use ndarray::Array2;
use protocol::ids::Epoch;
use protocol::message::KeyStep;
use protocol::store::Journal;
use tempfile::TempDir;

use super::*;

const SEED: [u8; 32] = [7; 32];
const ROWS: usize = 8_192;

fn party() -> PartyId {
    PartyId::new(1).unwrap()
}

/// A coordinator of one hospital, whose group of rows is stored, and all keys.
struct Case {
    _folder: TempDir,
    parts: TrainingParts,
    of: Training,
}

impl Case {
    fn new() -> Self {
        let recipe = Recipe {
            loss: HeadLoss::Squared,
            steps: 2,
            rows_per_group: ROWS,
            groups_per_batch: 1,
            learning_rate: 0.5,
            late_rate: 0.5,
            momentum: 0.5,
            weight_decay: 0.0,
        };
        let flooding = Flooding::secure(48, 1 << 12).unwrap();
        let plan = HeadPlan::new(Preset::Trn14, recipe, (3, 1), flooding).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(&folder.path().join("journal.sqlite")).unwrap());
        let bodies = Arc::new(Bodies::open(&folder.path().join("spool"), journal).unwrap());
        let mut stream = Stream::from_seed([9; 32]);
        let planned = plan.training_keys();
        let all = Collective::new(Crs::new(Preset::Trn14, SEED), 1, &KeyPlan::default(), &mut stream).unwrap();
        let (secret, gate) = all.gate(1, planned.gate_limbs, &mut stream).unwrap();
        let (crs, own) = (&all.crs, &all.secrets[0]);
        let parties: PartySet = std::iter::once(party()).collect();
        let put = |step: KeyStep, index, bytes: Vec<u8>| bodies.put(&step.body(Some(party()), index), &bytes).unwrap();
        let add = |step| serving_keys::aggregate(&bodies, &planned, parties, Digest(SEED), step).unwrap();
        put(KeyStep::TrainingGateKey, 0, gate.to_bytes());
        let (share, mask) = RelinKeyShare::<R1>::generate(own, crs, planned.plan.relin_limbs, &mut stream).unwrap();
        put(KeyStep::TrainingRelinRoundOne, 0, share.to_bytes());
        add(KeyStep::TrainingRelinRoundOne);
        let sums = bodies.get(&KeyStep::TrainingRelinRoundOne.body(None, 0)).unwrap();
        let sums = RelinIntermediate::from_bytes(&sums, crs).unwrap();
        let share = RelinKeyShare::<R2>::generate(own, mask, &sums, &mut stream).unwrap();
        put(KeyStep::TrainingRelinRoundTwo, 0, share.to_bytes());
        add(KeyStep::TrainingRelinRoundTwo);
        for (index, (steps, limbs)) in (0..).zip(planned.rotations().unwrap()) {
            let share = GaloisKeyShare::generate(own, crs, steps, limbs, &mut stream).unwrap();
            put(KeyStep::TrainingGalois, index, share.to_bytes());
        }
        add(KeyStep::TrainingGalois);
        let served = plan.serving_keys();
        let serving = Collective::new(Crs::new(served.preset, SEED), 1, &KeyPlan::default(), &mut stream).unwrap();
        let (_, gate) = serving.gate(1, served.gate_limbs, &mut stream).unwrap();
        put(KeyStep::GateKey, 0, gate.to_bytes());
        let (vault, mut ledger) = (VaultSecret::from_bytes([5; 32]), MemoryLedger::new(flooding));
        let (program, encoder) = (plan.of_one_row(), Encoder::new(Preset::Trn14).unwrap());
        let value = |(row, column): (usize, usize)| ((row * 31 + column * 17) % 23) as f64 / 11.0 - 1.0;
        let features = Array2::from_shape_fn((ROWS, 3), value);
        let mut plain = program.encode_features(&encoder, features.view(), 0).unwrap();
        plain.push(program.encode_labels(&encoder, Array2::ones((ROWS, 1)).view(), 0).unwrap());
        let mut holder = GateHolder { secret: &secret, crs, vault: &vault, ledger: &mut ledger };
        for (index, gated) in (0..).zip(holder.encrypt(Gated::Feature, 0, 0, &plain).unwrap()) {
            bodies.put(&ListId::features(party()).body(index), &GatedCiphertext::to_bytes(&gated)).unwrap();
        }
        let of = Training { epoch_seed: Digest(SEED), groups: vec![(party(), 1)], rows: ROWS as u64, done: Vec::new() };
        let quorum = Quorum { threshold: 1, parties: 1 };
        Self { _folder: folder, parts: TrainingParts { bodies, plan: Arc::new(plan), quorum, parties }, of }
    }
}

fn binding(step: StepId, attempt: Attempt, packages: BodyRoot) -> RefreshBinding {
    let decryptors = std::iter::once(party()).collect();
    RefreshBinding { epoch: Epoch(1), program: Digest::default(), step, attempt, packages, decryptors, opener: party() }
}

#[test]
fn features_of_another_shape_are_named_by_their_hospital() {
    let Case { parts, _folder, .. } = Case::new();
    let (list, count) = (ListId::features(party()), u32::try_from(parts.plan.group_bodies()).unwrap());
    parts.inspect(list, count).unwrap();
    let none = parts.inspect(ListId::features(PartyId::new(2).unwrap()), count);
    assert!(matches!(none, Err(CoordinatorError::BodyMissing { .. })), "{none:?}");
    let other = ListId::features(PartyId::new(3).unwrap());
    for index in 0..count {
        parts.bodies.put(&other.body(index), &parts.bodies.get(&list.body(count - 1 - index)).unwrap()).unwrap();
    }
    let swapped = parts.inspect(other, count);
    let is_named = matches!(&swapped, Err(CoordinatorError::Malformed { what: "features", maker, .. })
        if maker == "hospital-3");
    assert!(is_named, "{swapped:?}");
}

#[test]
fn steps_are_taken_where_a_training_stands_and_no_part_of_another_counts() {
    let Case { parts, of, _folder } = Case::new();
    assert_eq!(parts.program(&of).unwrap(), Digest(parts.plan.program(ROWS, 1).unwrap().digest()));
    assert!(parts.program(&Training { rows: ROWS as u64 + 1, ..of.clone() }).is_err());
    let mut engine = TrainingEngine::open(parts.clone(), &of).unwrap();
    let taken = |engine: &mut TrainingEngine| match engine.run(HeadTask::Take { step: StepId::FIRST }).unwrap() {
        JobResult::Taken(taken) => taken,
        other => panic!("{other:?}"),
    };
    let first = taken(&mut engine);
    assert_eq!((first.step, first.attempt, first.packages.count), (StepId::FIRST, Attempt::FIRST, 1));
    let again = TrainingEngine::open(parts.clone(), &of);
    assert_eq!(taken(&mut again.unwrap()), first, "another process leaves the same");
    // Which training, and where it stands.
    let next = StepId(2);
    assert!(engine.is_at(&of, StepId::FIRST) && engine.is_at(&of, next));
    assert!(!engine.is_at(&of, StepId(0)));
    for other in [
        Training { rows: 5, ..of.clone() },
        Training { epoch_seed: Digest([8; 32]), ..of.clone() },
        Training { groups: vec![(party(), 2)], ..of.clone() },
    ] {
        assert!(!engine.is_at(&other, StepId::FIRST));
    }
    engine.catch_up(&of, StepId::FIRST).unwrap();
    assert!(engine.catch_up(&of, next).is_err(), "its first step is refreshed nowhere");
    // A part that is none, and of another step, attempt or hospital.
    let asked = binding(StepId::FIRST, Attempt::FIRST, first.packages);
    let place = |kind, step, attempt, party| ListId::of_step(kind, step, Attempt(attempt), party);
    let share = place(BlobKind::RefreshShare, StepId::FIRST, 1, Some(party()));
    parts.bodies.put(&share.body(0), b"no share").unwrap();
    assert!(!engine.is_fit(share, Some(asked)).unwrap());
    for other in [
        place(BlobKind::RefreshShare, next, 1, Some(party())),
        place(BlobKind::RefreshShare, StepId::FIRST, 2, Some(party())),
        place(BlobKind::RefreshShare, StepId::FIRST, 1, None),
        place(BlobKind::RefreshZero, next, 1, Some(party())),
    ] {
        let binding = (other.kind != BlobKind::RefreshZero).then_some(asked);
        assert!(!engine.is_fit(other, binding).unwrap(), "{other:?}");
    }
    assert_eq!(
        [HeadTask::Take { step: next }, HeadTask::Join(asked), HeadTask::Blind(asked)].map(|it| step_of(&it)),
        [next, StepId::FIRST, StepId::FIRST]
    );
}
