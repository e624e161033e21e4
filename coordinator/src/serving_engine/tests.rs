//! Stored queries evaluated on the processor, on a device, and on one that fails or is wrong.

use std::path::Path;

use he_agg::aggregation::{Flooding, MemoryLedger, VaultSecret};
use he_agg::ckks::Encoder;
use he_agg::multiparty::{
    Collective, GateHolder, GateSecret, Gated, PlaneCommitment, PlaneDigests, PlaneDraw, PlaneKey, PlaneMaker,
    PlaneSeed, plane_coins,
};
use he_agg::{Preset, Stream};
use he_infer::{ImageShape, LayerSpec, Network, PixelRange, PlaneQuestion};
use ndarray::Array3;
use protocol::message::KeySet;
use protocol::store::Journal;

use super::*;
use crate::compute::faulty::{Ear, Fault, FaultyHost};
use crate::observer::Step;

const SEED: [u8; 32] = [7; 32];

/// All that one holder of the whole key has made: keys, a model, its gate key and five stored queries.
struct Holder {
    program: Arc<Program>,
    keys: Arc<EvaluationKeys>,
    model: EncryptedModel,
    queries: Stored,
}

/// Bodies that lie in the coordinator's folder.
type Stored = Vec<(BlobId, Vec<u8>)>;

fn asker() -> PartyId {
    PartyId::new(1).unwrap()
}

impl Holder {
    fn program() -> Program {
        let network = Network::new(
            ImageShape::new(1, 6, 6),
            vec![LayerSpec::conv(2, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(3)],
        );
        Program::compile(&network.unwrap(), Preset::Inf13.params()).unwrap()
    }

    fn parameters(program: &Program) -> Vec<f32> {
        (0..program.network().parameter_count()).map(|at| (at % 7) as f32 / 10.0 - 0.3).collect()
    }

    /// Keys, a model, and the gate key stored; with the gate secret, no query yet.
    fn without_queries(program: Program) -> (Self, GateSecret) {
        let mut stream = Stream::from_seed([42; 32]);
        let all = Collective::new(Crs::new(Preset::Inf13, SEED), 1, program.key_plan(), &mut stream).unwrap();
        let (secret, gate_key) = all.gate(1, program.gate_limbs(), &mut stream).unwrap();
        let Collective { public, keys, .. } = all;
        let model = EncryptedModel::encrypt(&program, &Self::parameters(&program), &public, &mut stream).unwrap();
        let queries = vec![(BlobId::ceremony(BlobKind::GateKey, Some(asker()), 0), gate_key.to_bytes())];
        (Self { program: Arc::new(program), keys, model, queries }, secret)
    }

    fn new() -> Self {
        let (mut made, secret) = Self::without_queries(Self::program());
        let (program, crs) = (Arc::clone(&made.program), Crs::new(Preset::Inf13, SEED));
        let encoder = Encoder::new(Preset::Inf13).unwrap();
        let (vault, mut ledger) =
            (VaultSecret::from_bytes([1; 32]), MemoryLedger::new(Flooding::secure(40, 1).unwrap()));
        let mut holder = GateHolder { secret: &secret, crs: &crs, vault: &vault, ledger: &mut ledger };
        for counter in 1..=5 {
            for part in 0..program.inputs() as u32 {
                let pixels: Vec<f64> = (0..36).map(|at| f64::from(at * counter % 11) / 11.0).collect();
                let plain = encoder.encode(&pixels, program.input_scale(), program.input_limbs()).unwrap();
                let id = BlobId::query(BlobKind::Query, query(counter), Some(asker()), part);
                let gated = holder.encrypt(Gated::Query, query(counter).0, part, &[plain]).unwrap().remove(0);
                made.queries.push((id, gated.to_bytes()));
            }
        }
        made
    }

    fn engine(&self, folder: &Path) -> ServingEngine {
        let journal = Arc::new(Journal::open(&folder.join("journal.sqlite")).unwrap());
        let bodies = Arc::new(Bodies::open(&folder.join("spool"), journal).unwrap());
        for (id, bytes) in &self.queries {
            bodies.put(id, bytes).unwrap();
        }
        ServingEngine {
            bodies,
            program: Arc::clone(&self.program),
            crs: Crs::new(Preset::Inf13, SEED),
            keys: self.keys.upload(&he_agg::backend::Cpu::new(Preset::Inf13.params())).unwrap(),
            model: self.model.clone(),
            gate_keys: Mutex::default(),
            planes: None,
            on_device: None,
        }
    }

    /// The same holder, whose two questions are made of planes.
    fn with_planes() -> Self {
        let range = PixelRange::new(0.0, 1.0).unwrap();
        let (mut made, secret) = Self::without_queries(Self::program().with_planes(range));
        let (program, crs) = (Arc::clone(&made.program), Crs::new(Preset::Inf13, SEED));
        let mut stream = Stream::from_seed([43; 32]);
        let key = PlaneKey::generate(&secret, &crs, program.input_limbs(), &mut stream).unwrap();
        let (pool, groups) = ([5; 32], u32::try_from(program.plane_groups(2)).unwrap());
        let maker = PlaneMaker::new(&key, &crs).unwrap();
        let digests = PlaneDigests::of_pool(&maker, &pool, groups, &|| ()).unwrap();
        let bound = PlaneCommitment { key: key.clone(), coin: [6; 32], digests }.to_bytes();
        let coins = plane_coins(&crs, [bound.each_ref().map(Vec::as_slice)]);
        let draw = PlaneDraw::from_digest(&coins, Preset::Inf13, 1, groups);
        for (index, body) in (0..).zip(bound) {
            made.queries.push((BlobId::ceremony(BlobKind::Planes, Some(asker()), index), body));
        }
        for counter in 1..=2 {
            let seeds = program.plane_seeds(&pool, &program.planes_of(u64::from(counter) - 1, &draw).unwrap());
            let image = Array3::from_elem((1, 6, 6), counter as f32 / 4.0);
            let turns = program.plane_turns(&[image.view()], &seeds).unwrap();
            let planes = |seeds: &[PlaneSeed; 4]| seeds.each_ref().map(|seed| maker.encrypt(seed).unwrap());
            let question = PlaneQuestion { planes: seeds.iter().map(planes).collect(), turns };
            for (part, body) in (0..).zip(question.to_bytes()) {
                made.queries.push((BlobId::query(BlobKind::Query, query(counter), Some(asker()), part), body));
            }
        }
        made
    }
}

/// The results of both questions that are made of planes.
fn evaluated_of_planes(holder: &Holder, folder: &Path) -> [Result<BodyRoot, String>; 2] {
    let mut engine = holder.engine(folder);
    let all = [asker()].into_iter().collect();
    engine.planes = Some(Planes::load(&engine.bodies, &engine.program, &engine.crs, all).unwrap());
    [1, 2].map(|counter| {
        let result = engine.result_of(query(counter), asker()).and_then(|result| engine.store(query(counter), &result));
        result.map_err(|error| error.to_string())
    })
}

#[test]
fn a_question_is_evaluated_only_if_it_is_made_of_the_planes_that_stayed_closed_for_it() {
    let holder = Holder::with_planes();
    let folder = || tempfile::tempdir().unwrap();
    let honest = evaluated_of_planes(&holder, folder().path());
    assert!(honest.iter().all(Result::is_ok) && honest[0] != honest[1], "{honest:?}");
    let place = |counter, part| {
        let id = BlobId::query(BlobKind::Query, query(counter), Some(asker()), part);
        holder.queries.iter().position(|(of, _)| *of == id).unwrap()
    };
    let refuses = |change: &dyn Fn(&mut Stored)| {
        let mut other = Holder::with_planes();
        change(&mut other.queries);
        let [first, second] = evaluated_of_planes(&other, folder().path());
        assert_eq!(second, honest[1], "the other is answered");
        assert!(first.as_ref().is_err_and(|error| error.contains("query")), "{first:?}");
    };
    refuses(&|queries| queries[place(1, 0)].1 = queries[place(2, 0)].1.clone());
    refuses(&|queries| queries[place(1, 3)].1 = queries[place(1, 2)].1.clone());
    refuses(&|queries| queries[place(1, 4)].1.truncate(100));
    refuses(&|queries| queries[place(1, 1)].1.truncate(100));
    // Any turns are a question.
    let mut turned = Holder::with_planes();
    turned.queries[place(1, 4)].1.fill(27);
    let [first, second] = evaluated_of_planes(&turned, folder().path());
    assert!(first.is_ok() && first != honest[0] && second == honest[1]);
}

#[test]
fn planes_that_are_none_are_named_by_their_hospital() {
    let mut holder = Holder::with_planes();
    let id = BlobId::ceremony(BlobKind::Planes, Some(asker()), 0);
    let key = holder.queries.iter().position(|(of, _)| *of == id).unwrap();
    holder.queries[key].1.truncate(100);
    let folder = tempfile::tempdir().unwrap();
    let engine = holder.engine(folder.path());
    let error =
        Planes::load(&engine.bodies, &engine.program, &engine.crs, [asker()].into_iter().collect()).err().unwrap();
    assert!(error.to_string().contains("planes of questions"), "{error}");
}

fn query(counter: u32) -> QueryId {
    QueryId::new(asker(), u64::from(counter))
}

/// What came of a batch, by query: the root of the result, or why there is none; and all bytes moved.
type Results = (Vec<(QueryId, Result<BodyRoot, String>)>, Moved);

fn evaluate(engine: &ServingEngine) -> Results {
    let batch: Vec<Evaluation> = (1..=5)
        .map(|counter| {
            let body = BodyRoot::default();
            Evaluation { query: query(counter), asker: asker(), body }
        })
        .collect();
    let done = Mutex::new((Vec::new(), Moved::default()));
    engine.evaluate(&batch, |one| {
        let mut done = done.lock().unwrap();
        assert!(one.ms >= 0.0);
        done.0.push((one.query, one.result.map_err(|error| error.to_string())));
        done.1 += one.moved;
    });
    let (mut results, moved) = done.into_inner().unwrap();
    results.sort_by_key(|(query, _)| *query);
    (results, moved)
}

/// The same batch in a new folder, with a device or without.
fn evaluated(holder: &Holder, device: Option<(&Compute, &Arc<Ear>)>) -> Results {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = holder.engine(folder.path());
    if let Some((compute, ear)) = device {
        let observer: Arc<dyn Observer> = Arc::clone(ear) as _;
        engine.load_on(compute, &observer);
    }
    evaluate(&engine)
}

#[test]
fn a_device_gives_the_processors_results_whatever_happens_to_it() {
    let holder = Holder::new();
    let (expected, nothing) = evaluated(&holder, None);
    assert_eq!((expected.len(), nothing), (5, Moved::default()));
    assert!(expected.iter().all(|(_, result)| result.is_ok()), "{expected:?}");
    // Five queries are two groups, and each group is one download.
    let faults = [
        (Fault::None, None),
        (Fault::Lost(0), Some("unplugged")),
        (Fault::Lost(1), Some("unplugged")),
        (Fault::Full(0), Some("no room")),
        (Fault::Full(1), Some("no room")),
        (Fault::Wrong(0), Some("its result of query 1-1 is not the processor's")),
    ];
    for (fault, warning) in faults {
        let (host, ear) = (FaultyHost::new(fault), Arc::new(Ear::default()));
        let compute = host.chosen();
        let (found, moved) = evaluated(&holder, Some((&compute, &ear)));
        assert_eq!(found, expected, "{fault:?}");
        let warnings = ear.given_up();
        match warning {
            Some(text) => assert!(warnings.len() == 1 && warnings[0].contains(text), "{fault:?}: {warnings:?}"),
            None => {
                assert!(warnings.is_empty() && compute.worker().is_some());
                assert!(moved.to > 0 && moved.from > 0 && moved.from < moved.to, "{moved:?}");
                let loaded = |step: &Step| matches!(step, Step::Loaded { moved, .. } if moved.to > 0);
                assert!(ear.0.lock().unwrap().iter().any(loaded));
            }
        }
    }
}

#[test]
fn a_query_of_another_shape_fails_alone_and_costs_no_device() {
    let mut holder = Holder::new();
    let of_third = holder.queries.iter().position(|(id, _)| id.round == query(3).0).unwrap();
    let (limbs, scale) = (holder.program.input_limbs() - 1, holder.program.input_scale());
    let short = GatedCiphertext::zero(Preset::Inf13, limbs, scale).unwrap().to_bytes();
    for bad in [short, b"no ciphertext".to_vec()] {
        holder.queries[of_third].1 = bad;
        let (expected, _) = evaluated(&holder, None);
        let refused = expected.iter().filter(|(_, result)| result.is_err());
        assert_eq!(refused.map(|(query, _)| *query).collect::<Vec<_>>(), [query(3)]);
        let (compute, ear) = (FaultyHost::new(Fault::None).chosen(), Arc::new(Ear::default()));
        let (found, _) = evaluated(&holder, Some((&compute, &ear)));
        assert_eq!(found, expected);
        assert!(ear.given_up().is_empty() && compute.worker().is_some());
    }
}

/// What it would lift is another hospital's, under another label.
#[test]
fn a_gate_key_of_another_hospital_is_not_taken_for_the_askers() {
    let holder = Holder::new();
    let (crs, mut stream) = (Crs::new(Preset::Inf13, SEED), Stream::from_seed([9; 32]));
    let two = Collective::new(crs.clone(), 2, holder.program.key_plan(), &mut stream).unwrap();
    for party in 1..=2 {
        let (_, key) = two.gate(party, holder.program.gate_limbs(), &mut stream).unwrap();
        let (id, stored) = (BlobId::ceremony(BlobKind::GateKey, PartyId::new(2), 0), key.to_bytes());
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(&folder.path().join("journal.sqlite")).unwrap());
        let bodies = Bodies::open(&folder.path().join("spool"), journal).unwrap();
        bodies.put(&id, &stored).unwrap();
        let found =
            serving_keys::gate_key(&bodies, (KeySet::Serving, &crs), PartyId::new(2).unwrap()).map(|key| key.asker());
        match found {
            Ok(asker) => assert_eq!((asker, party), (2, 2)),
            Err(error) => assert!(party == 1 && error.to_string().contains("gate key"), "{error}"),
        }
    }
}

/// Adding them up as if they were of the program that is served would give keys of nothing.
#[test]
fn keys_of_a_training_are_not_added_up_where_no_plan_has_a_head() {
    let (program, planned) = (Holder::program(), serving_keys::planned);
    assert!(matches!(planned(&program, None, KeySet::Training), Err(CoordinatorError::NoHead)));
    assert_eq!(planned(&program, None, KeySet::Serving).unwrap(), program.planned_keys());
}
