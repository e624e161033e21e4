//! What the coordinator makes of parts that hospitals send.

use std::sync::Arc;

use client::head::HeadDecryptor;
use he_agg::multiparty::Quorum;
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, HeadRun, HeadTransfer, RefreshGoal};
use he_train::{HeadLoss, Recipe};
use ndarray::Array2;

use super::*;
use crate::head::data::Rows;
use crate::head::hospitals::Hospitals;

const ROWS: usize = 8_192;

fn last(table: &mut Table) -> Option<TrainingInput> {
    match table.waiting.pop_back() {
        Some(Event::Coordinator(input)) => Some(*input),
        _ => None,
    }
}

#[test]
fn parts_that_are_none_are_found_when_they_come() {
    let recipe = Recipe {
        loss: HeadLoss::Squared,
        steps: 1,
        rows_per_group: ROWS,
        groups_per_batch: 1,
        learning_rate: 0.5,
        late_rate: 0.5,
        momentum: 0.9,
        weight_decay: 0.0,
    };
    let value = |row: usize, column: usize| ((row * 31 + column * 17) % 23) as f64 / 11.0 - 1.0;
    let rows = Rows {
        features: Array2::from_shape_fn((ROWS, 3), |(row, column)| value(row, column)),
        labels: Array2::from_shape_fn((ROWS, 1), |(row, _)| value(row, 0)),
    };
    let program = Arc::new(HeadProgram::new(Preset::Trn14, recipe, rows.features.dim(), 1).unwrap());
    let (transfer, mut stream) = (HeadTransfer::new(&program).unwrap(), Stream::from_seed([3; 32]));
    let quorum = Quorum { threshold: 2, parties: 3 };
    let mut parties = Hospitals::new((&program, &transfer), (quorum, 48), false, &mut stream).unwrap();
    let mut sight = Sight::of(&rows, ROWS);
    let (groups, _) = parties.upload(&program, &rows, &[1], (&mut sight, |_, _| {})).unwrap();
    let groups: Arc<[_]> = groups.into();
    let sites = std::mem::take(&mut parties.sites);
    let (training, serving) = (&parties.training, &parties.serving);
    let next = RefreshGoal::next_step(&program, training.keys.crs.clone(), training.joining());
    let goal = RefreshGoal::serving(&transfer, serving.keys.crs.clone(), serving.joining());
    let run = || {
        HeadRun::new(Arc::clone(&program), training.evaluator, Arc::clone(&training.keys.keys), Arc::clone(&groups))
            .unwrap()
    };
    let terms = TrainingTerms {
        program: Digest(program.digest()),
        served: Digest::default(),
        steps: 1,
        packages: 1,
        attempts_max: 8,
        refresh_deadline_ms: u64::MAX,
    };
    let signers = Signers::new(3, 2).unwrap();
    let decryptors = sites.into_iter().map(|site| HeadDecryptor::new(site, run(), next.clone(), goal.clone()));
    let seats = decryptors.map(|decryptor| Seat::new(decryptor, &signers.0, terms.clone()).unwrap()).collect();
    let coordinator = HeadCoordinator::new(parties.terms.clone(), run(), next.clone(), goal.clone());
    let mut table = Table::new(signers, &terms, coordinator, seats, Vec::new());
    table.step(&mut sight).unwrap();
    assert_eq!(table.verified.numbers(), [1, 2, 3]);
    assert!(matches!(table.step(&mut sight), Err(HeadRunError::StandsStill)), "there is no other step");

    let (step, party) = (StepId::FIRST, PartyId::new(1).unwrap());
    let zeros = table.seats[0].decryptor.zeros(0, 1).unwrap();
    table.shelf.put((BlobKind::RefreshZero, step, Attempt(1), Some(party)), zeros);
    let attempt = Attempt(1);
    let kinds = [BlobKind::RefreshZero, BlobKind::RefreshShare, BlobKind::RefreshMask, BlobKind::RefreshOpening];
    for kind in kinds {
        let place = (kind, step, attempt, Some(party));
        let honest = table.shelf.list(place).to_vec();
        let body = BodyRoot::of_bodies(&honest);
        let comes = |body| TrainingOutput::AwaitBodies { kind, step, attempt, party, body };
        table.coordinate(comes(body), &mut sight).unwrap();
        assert!(matches!(last(&mut table), Some(TrainingInput::BodiesComplete { .. })), "{kind:?}");
        table.coordinate(comes(BodyRoot::default()), &mut sight).unwrap();
        assert!(matches!(last(&mut table), Some(TrainingInput::Unfit { .. })), "{kind:?}: not what was signed");
        let body = table.shelf.put(place, vec![honest[0][1..].to_vec()]);
        table.coordinate(comes(body), &mut sight).unwrap();
        assert!(matches!(last(&mut table), Some(TrainingInput::Unfit { .. })), "{kind:?}: damaged");
    }
    // The coordinator's own kind is no hospital's.
    let kind = BlobKind::RefreshSum;
    let body = table.shelf.put((kind, step, attempt, Some(party)), vec![vec![1]]);
    table.coordinate(TrainingOutput::AwaitBodies { kind, step, attempt, party, body }, &mut sight).unwrap();
    assert!(matches!(last(&mut table), Some(TrainingInput::Unfit { .. })));
    // Without anybody's word on it there is no head.
    table.verified = PartySet::EMPTY;
    assert!(matches!(table.finished(), Err(HeadRunError::StandsStill)));
}
