//! A coordinator that names keys, model and results: sites evaluate with what they added up, and release what they
//! computed, or nothing.

use he_agg::Stream;
use he_agg::ckks::{Ciphertext, GatedCiphertext};
use he_agg::multiparty::{
    EvaluationKeys, GaloisKey, GaloisKeyShare, GaloisKeySum, GateKey, R2, RelinIntermediate, RelinearizationKey,
    ServingSecret,
};
use he_infer::{EncryptedExecutor, EncryptedModel, Program};
use ndarray::Array3;
use protocol::blob::ListId;
use protocol::drive::hospital::Parts;
use protocol::facts::{KeySum, ModelChecked};
use protocol::hospital::SwitchBinding;
use protocol::message::{KeySet, QueryHead};

use super::super::key_sums::{gate_keys, relinearisation};
use super::key_sums::other_key;
use super::*;

const ATTEMPT: Attempt = Attempt(1);
const MODEL: Parts = Parts::Model(ATTEMPT);
const ROTATIONS: Parts = Parts::Rotations(KeySet::Serving);

/// Each part of a sum, with what every hospital brings to it.
type Brought = Vec<Vec<(PartyId, Bytes)>>;

fn root_of_all(bodies: &[Bytes]) -> BodyRoot {
    let digests: Vec<Digest> = bodies.iter().map(|body| Digest::of_bytes(body)).collect();
    BodyRoot::of(&digests, bodies.iter().map(|body| body.len() as u64).sum())
}

pub(super) fn crs() -> Crs {
    Crs::new(Preset::Inf13, seed().0)
}

/// What all hospitals bring to a list, part by part.
fn brought(sites: &[Site], parts: Parts, count: usize) -> Brought {
    let body = |site: &Site, index| {
        let party = site.plan.party;
        (party, site.outbox.get(&parts.of(party).body(index)).unwrap())
    };
    (0..count as u32).map(|index| sites.iter().map(|site| body(site, index)).collect()).collect()
}

fn adds(site: &mut Site, parts: Parts, brought: &Brought) {
    for (index, bodies) in (0..).zip(brought) {
        site.add_parts(parts, index, bodies).unwrap();
    }
}

/// What an honest coordinator makes of the rotation keys' shares.
fn rotations(sites: &[Site], brought: &Brought) -> Vec<Bytes> {
    let program = &sites[0].plan.program;
    let plan = program.key_plan().normalised(Preset::Inf13).unwrap();
    let sum = |((steps, limbs), shares): ((usize, usize), &Vec<(PartyId, Bytes)>)| {
        let mut sum = GaloisKeySum::new(&crs(), steps as i32, limbs, N).unwrap();
        for (_, share) in shares {
            sum.absorb(&GaloisKeyShare::from_bytes(share, &crs()).unwrap()).unwrap();
        }
        Bytes::from(sum.finish().unwrap().to_bytes(&crs()))
    };
    plan.into_iter().zip(brought).map(sum).collect()
}

fn gate_key(bytes: &[u8]) -> GateKey {
    GateKey::from_bytes(bytes, &crs()).unwrap()
}

fn gated(body: &[u8]) -> GatedCiphertext {
    GatedCiphertext::from_bytes(body, Preset::Inf13).unwrap()
}

/// What an honest coordinator makes of the contributions.
fn model(program: &Program, brought: &Brought, gates: &[Bytes]) -> Vec<Bytes> {
    let of = |maker: usize| brought.iter().map(|parts| gated(&parts[maker].1)).collect::<Vec<_>>();
    let (parts, keys): (Vec<_>, Vec<_>) = (0..gates.len()).map(|maker| (of(maker), gate_key(&gates[maker]))).unzip();
    let contributions: Vec<_> = parts.iter().map(Vec::as_slice).zip(&keys).collect();
    let model = EncryptedModel::lift(program, &crs(), u64::from(ATTEMPT.0), &contributions).unwrap();
    model.into_slots().iter().map(|slot| Bytes::from(slot.to_bytes())).collect()
}

/// Everything that a coordinator holds to serve.
pub(super) struct Serving {
    pub(super) all: Consortium,
    gates: Vec<Bytes>,
    relinearisation: Bytes,
    rotations: Vec<Bytes>,
    model: Vec<Bytes>,
    contributions: Brought,
}

fn states(site: &Site, fact: &Fact) {
    site.journal.append(&site.record(FACTS), &fact.to_bytes()).unwrap();
}

impl Serving {
    /// Three sites that have added up everything, and stated it.
    pub(super) fn new() -> Self {
        let mut all = Consortium::with_keys();
        let list = all.gates();
        Self::of(all, list)
    }

    /// The same of sites that have their gate keys, and planes where they have any.
    pub(super) fn of(mut all: Consortium, list: BodyRoot) -> Self {
        let gates: Vec<Bytes> = all.shares(KeyStep::GateKey).into_iter().map(|(_, key)| key).collect();
        for site in &mut all.sites {
            states(site, &Fact::KeySum(KeySum { step: KeyStep::GateKey, sum: list }));
        }
        let first = all.shares(KeyStep::RelinRoundOne);
        let first = all.sum_of(KeyStep::RelinRoundOne, &first);
        all.adds(KeyStep::RelinRoundOne);
        let second = all.shares(KeyStep::RelinRoundTwo);
        let limbs = all.sites[0].plan.program.key_plan().relin_limbs;
        let mut sum = RelinKeySum::<R2>::new(&crs(), limbs, N).unwrap();
        for (_, share) in &second {
            sum.absorb(&RelinKeyShare::<R2>::from_bytes(share, &crs()).unwrap()).unwrap();
        }
        let key = sum.finish(&RelinIntermediate::from_bytes(&first, &crs()).unwrap()).unwrap().to_bytes(&crs());
        let relinearisation = Bytes::from(key);
        let count = shares_of_rotations(&mut all);
        let shares = brought(&all.sites, ROTATIONS, count);
        let rotations = rotations(&all.sites, &shares);
        let (relin, galois) = (root_of(&relinearisation), root_of_all(&rotations));
        for site in &mut all.sites {
            assert_eq!(add(site, KeyStep::RelinRoundTwo, &second, relin), None);
            adds(site, ROTATIONS, &shares);
            assert_eq!(site.finish_sum(KeyStep::Galois, galois).unwrap(), None);
        }
        all.round(1);
        for site in &mut all.sites {
            site.encrypt_contribution(ATTEMPT, everyone()).unwrap();
        }
        let contributions = brought(&all.sites, MODEL, all.sites[0].plan.program.weights().len());
        let model = model(&all.sites[0].plan.program, &contributions, &gates);
        for site in &mut all.sites {
            adds(site, MODEL, &contributions);
            let digest = root_of_all(&model).root;
            assert_eq!(site.finish_model(ATTEMPT, digest).unwrap(), None);
            for (step, sum) in [(KeyStep::RelinRoundTwo, relin), (KeyStep::Galois, galois)] {
                states(site, &Fact::KeySum(KeySum { step, sum }));
            }
            let program = Digest(site.plan.program.digest());
            states(site, &Fact::ModelChecked(ModelChecked { attempt: ATTEMPT, model: digest, program }));
        }
        Self { all, gates, relinearisation, rotations, model, contributions }
    }

    /// What the coordinator's own evaluation gives.
    pub(super) fn result(&self, asker: PartyId, question: &Question) -> BodyRoot {
        let program = &self.all.sites[0].plan.program;
        let mut keys = EvaluationKeys::new(Preset::Inf13);
        keys.set_relinearization(RelinearizationKey::from_bytes(&self.relinearisation, &crs()).unwrap()).unwrap();
        for key in &self.rotations {
            keys.insert_rotation(GaloisKey::from_bytes(key, &crs()).unwrap()).unwrap();
        }
        let weights = self.model.iter().map(|body| Ciphertext::from_bytes(body, Preset::Inf13).unwrap()).collect();
        let model = EncryptedModel::new(program, weights).unwrap();
        let executor = EncryptedExecutor::new(program, &keys).unwrap();
        let parts: Vec<_> = question.parts.iter().map(|part| gated(part)).collect();
        let (number, key) = (asker.number(), gate_key(&self.gates[usize::from(asker.number()) - 1]));
        let image = executor.lift_query(&parts, &crs(), (number, question.head.query.0), &key).unwrap();
        root_of(&executor.run_all(&model, &image).unwrap().to_bytes())
    }

    fn model_digest(&self) -> Digest {
        root_of_all(&self.model).root
    }

    /// Hospital 2 asks; what it sends.
    pub(super) fn ask(&mut self, counter: u64) -> Question {
        let (model, asker) = (self.model_digest(), party(2));
        let site = self.all.site(2);
        let query = QueryId::new(asker, counter);
        let image = Array3::from_elem((1, 6, 6), 0.1 + counter as f32 / 10.0);
        let prepared = site.prepare_query(query, &[image]).unwrap();
        let get = |id: &BlobId| site.outbox.get(id).unwrap();
        let place = |index| BlobId::query(BlobKind::Query, query, Some(asker), index);
        let parts = (0..prepared.body.count).map(|index| get(&place(index))).collect();
        let program = Digest(site.plan.program.digest());
        Question { head: QueryHead { query, program, model, body: prepared.body }, parts }
    }
}

pub(super) struct Question {
    pub(super) head: QueryHead,
    pub(super) parts: Vec<Bytes>,
}

impl Question {
    pub(super) fn at(&self, site: &mut Site) -> Result<BodyRoot, HospitalError> {
        site.evaluate(party(2), &self.head, &self.parts)
    }

    pub(super) fn binding(&self, result: BodyRoot) -> SwitchBinding {
        SwitchBinding {
            epoch: Epoch(1),
            query: self.head.query,
            asker: party(2),
            input: self.head.body.root,
            program: self.head.program,
            model: self.head.model,
            result,
            decryptors: everyone(),
        }
    }
}

/// All make their shares of the rotation keys; how many.
fn shares_of_rotations(all: &mut Consortium) -> usize {
    let counts = all.sites.iter_mut().map(|site| site.serving_share(KeyStep::Galois).unwrap().count);
    counts.last().unwrap() as usize
}

fn share_of(site: &Site, query: QueryId) -> Result<Bytes, HospitalError> {
    site.outbox.get(&BlobId::query(BlobKind::SwitchShare, query, Some(site.plan.party), 0))
}

#[test]
fn rotation_keys_are_added_up_and_none_of_the_coordinators_own_are_taken() {
    let mut all = Consortium::with_keys();
    let count = shares_of_rotations(&mut all);
    let shares = brought(&all.sites, ROTATIONS, count);
    let keys = rotations(&all.sites, &shares);
    let announced = root_of_all(&keys);
    let mut forged = keys;
    forged.swap(0, 1);
    let site = all.site(1);
    adds(site, ROTATIONS, &shares);
    assert_eq!(site.finish_sum(KeyStep::Galois, root_of_all(&forged)).unwrap(), Some(Reject::SumDiffers));
    let held = |site: &Site| site.holdings.digests(ROTATIONS.sum()).unwrap().len();
    assert_eq!(held(site), 0, "nothing of it is kept");
    adds(site, ROTATIONS, &shares);
    assert_eq!((site.finish_sum(KeyStep::Galois, announced).unwrap(), held(site)), (None, count));
    // Shares that are none, another hospital's, of another rotation, of fewer hospitals, in part or out of order.
    let site = all.site(2);
    let mut refused = |change: &dyn Fn(&mut Brought)| {
        let mut other = shares.clone();
        change(&mut other);
        adds(site, ROTATIONS, &other);
        assert_eq!(site.finish_sum(KeyStep::Galois, announced).unwrap(), Some(Reject::BadKeyShare));
        assert_eq!(held(site), 0);
    };
    refused(&|all| all[1][2].1 = all[1][2].1.slice(1..));
    refused(&|all| all[1][2].1 = all[1][0].1.clone());
    refused(&|all| all[1][0].1 = all[0][0].1.clone());
    refused(&|all| drop(all[1].pop()));
    refused(&|all| drop(all.pop()));
    refused(&|all| all.push(all[0].clone()));
    for index in [0, 2, 1].into_iter().chain(3..count as u32) {
        site.add_parts(ROTATIONS, index, &shares[index as usize]).unwrap();
    }
    assert_eq!(site.finish_sum(KeyStep::Galois, announced).unwrap(), Some(Reject::BadKeyShare), "out of order");
    site.add_parts(ROTATIONS, 0, &shares[0]).unwrap();
    site.add_parts(ROTATIONS, 2, &shares[2]).unwrap();
    assert_eq!(site.finish_sum(KeyStep::Galois, announced).unwrap(), Some(Reject::BadKeyShare));
    assert_eq!(site.finish_sum(KeyStep::Galois, announced).unwrap(), Some(Reject::BadKeyShare), "nothing was added");
}

/// In a large consortium a site adds what it drew.
#[test]
fn rotation_keys_that_were_not_drawn_are_taken_as_announced_if_they_are_the_programs() {
    let mut all = Consortium::with_keys();
    let count = shares_of_rotations(&mut all);
    let shares = brought(&all.sites, ROTATIONS, count);
    let keys = rotations(&all.sites, &shares);
    let makers = [party(1), party(2), party(3)];
    let site = all.site(1);
    let (steps, limbs) = site.rotations(KeySet::Serving)[1];
    let mut ends = |keys: &[Bytes]| {
        site.add_parts(ROTATIONS, 0, &shares[0]).unwrap();
        for (index, key) in (1..).zip(&keys[1..]) {
            site.take_part(ROTATIONS, index, &makers, key).unwrap();
        }
        let end = site.finish_sum(KeyStep::Galois, root_of_all(keys)).unwrap();
        (end, site.holdings.digests(ROTATIONS.sum()).unwrap().len())
    };
    let other = |change: &dyn Fn(&mut Vec<Bytes>)| {
        let mut other = keys.clone();
        change(&mut other);
        other
    };
    // One that was drawn is added up, whatever was announced.
    assert_eq!(ends(&other(&|keys| keys[0] = keys[1].clone())), (Some(Reject::SumDiffers), 0));
    // Of another rotation, of other limbs, none at all.
    let mut trimmed = GaloisKeySum::new(&crs(), steps, limbs - 1, 1).unwrap();
    let secret = ServingSecret::generate(Preset::Inf13, 1, &mut Stream::from_seed([3; 32])).unwrap();
    let share = GaloisKeyShare::generate(&secret, &crs(), steps, limbs - 1, &mut Stream::from_seed([4; 32]));
    trimmed.absorb(&share.unwrap()).unwrap();
    let trimmed = Bytes::from(trimmed.finish().unwrap().to_bytes(&crs()));
    for wrong in [
        other(&|keys| keys.swap(1, 2)),
        other(&|keys| keys[1] = keys[1].slice(1..)),
        other(&|keys| keys[1] = trimmed.clone()),
    ] {
        assert_eq!(ends(&wrong), (Some(Reject::BadKeyShare), 0));
    }
    assert_eq!(ends(&keys), (None, count));
}

/// Nobody's contribution decides a second half: whoever alters one makes the phase a function of the secret.
#[test]
fn weights_that_were_not_drawn_are_taken_if_their_second_half_is_the_contributors() {
    let mut serving = Serving::new();
    let (contributions, model) = (serving.contributions.clone(), serving.model.clone());
    let site = serving.all.site(1);
    let everybody = [party(1), party(2), party(3)];
    let mut ends = |model: &[Bytes], makers: &[PartyId]| {
        site.add_parts(MODEL, 0, &contributions[0]).unwrap();
        for (index, weight) in (1..).zip(&model[1..]) {
            site.take_part(MODEL, index, makers, weight).unwrap();
        }
        site.finish_model(ATTEMPT, root_of_all(model).root).unwrap()
    };
    assert_eq!(ends(&model, &everybody), None);
    let altered = |of: usize, change: &dyn Fn(&mut [u8])| {
        let mut other = model.clone();
        let mut bytes = other[of].to_vec();
        change(&mut bytes);
        other[of] = bytes.into();
        other
    };
    let half = model[1].len() / 2;
    // A first half of somebody's choice is a plaintext that it chose: which is why others draw it.
    assert_eq!(ends(&altered(1, &|bytes| bytes[half - 64] ^= 1), &everybody), None);
    assert_eq!(ends(&altered(1, &|bytes| bytes[half + 64] ^= 1), &everybody), Some(Reject::BadContribution));
    assert_eq!(ends(&altered(0, &|bytes| bytes[half - 64] ^= 1), &everybody), Some(Reject::ModelSumDiffers), "drawn");
    // Of fewer contributors, of another weight, none at all.
    assert_eq!(ends(&model, &everybody[..2]), Some(Reject::BadContribution));
    let mut swapped = model.clone();
    swapped.swap(1, 2);
    assert_eq!(ends(&swapped, &everybody), Some(Reject::BadContribution));
    let mut cut = model.clone();
    cut[1] = cut[1].slice(1..);
    assert_eq!(ends(&cut, &everybody), Some(Reject::BadContribution));
}

#[test]
fn a_model_that_is_one_hospitals_contribution_alone_is_refused_and_the_sum_is_taken() {
    let mut serving = Serving::new();
    let (own, contributions) = (serving.model_digest(), serving.contributions.clone());
    let one: Vec<Bytes> = contributions.iter().map(|parts| parts[0].1.clone()).collect();
    let site = serving.all.site(1);
    adds(site, MODEL, &contributions);
    assert_eq!(site.finish_model(ATTEMPT, root_of_all(&one).root).unwrap(), Some(Reject::ModelSumDiffers));
    adds(site, MODEL, &contributions);
    assert_eq!(site.finish_model(Attempt(2), own).unwrap(), Some(Reject::BadContribution), "of another attempt");
    // A part of another level than the program wants there is none.
    let limbs = |parts: &[(PartyId, Bytes)]| gated(&parts[0].1).limbs();
    let other = contributions.iter().position(|parts| limbs(parts) != limbs(&contributions[0])).unwrap();
    let mut wrong = contributions.clone();
    wrong[0][1].1 = contributions[other][1].1.clone();
    for wrong in [wrong, contributions[..1].to_vec()] {
        adds(site, MODEL, &wrong);
        assert_eq!(site.finish_model(ATTEMPT, own).unwrap(), Some(Reject::BadContribution));
    }
    adds(site, MODEL, &contributions);
    assert_eq!(site.finish_model(ATTEMPT, own).unwrap(), None);
}

#[test]
fn a_site_computes_what_the_coordinator_computes_and_releases_that_alone() {
    let mut serving = Serving::new();
    let question = serving.ask(1);
    let expected = serving.result(party(2), &question);
    let other = serving.ask(2);
    let asker = serving.all.opening[1].sealing_key().clone();
    for number in 1..=N {
        let site = serving.all.site(number);
        let (query, asker, heard) = (question.head.query, &asker, Arc::new(Evaluated::default()));
        site.observer = heard.clone();
        let early = site.release_switch(&question.binding(expected), asker);
        assert!(matches!(early, Err(HospitalError::NotEvaluated { .. })));
        let result = question.at(site).unwrap();
        assert_eq!(result, expected, "site {number}");
        let foreign = other.at(site).unwrap();
        // Another query's result, and one that nobody computed: (0, 2^k) reads the serving secret.
        for named in [foreign, root_of(b"(0, 2^k)")] {
            let refused = site.release_switch(&question.binding(named), asker);
            assert!(matches!(refused, Err(HospitalError::ResultDiffers { .. })));
            assert!(share_of(site, query).is_err(), "nothing of it exists");
        }
        let counted = [&question, &other].map(|it| (it.head.query, it.head.body.size_bytes));
        assert_eq!(*heard.0.lock().unwrap(), counted, "site {number} counts its own evaluations");
        let own = site.evaluations.result(&question.binding(expected)).unwrap();
        assert_eq!(root_of(&own.to_bytes()), expected);
    }
    // A process that comes back evaluates again, to the same bytes.
    serving.all.restart(1);
    let site = serving.all.site(1);
    site.restore_keys(seed()).unwrap();
    assert_eq!(question.at(site).unwrap(), expected);
    assert!(site.evaluations.result(&question.binding(expected)).is_ok());
}

#[test]
fn a_query_that_cannot_be_evaluated_says_why_and_releases_nothing() {
    let mut serving = Serving::new();
    let mut question = serving.ask(1);
    let (head, parts) = (question.head.clone(), question.parts.clone());
    let site = serving.all.site(1);
    let mut refused = |question: &Question, why: &str| match question.at(site) {
        Err(error @ HospitalError::NotEvaluated { .. }) => {
            assert_eq!(error.unreleased(), Some(Reject::EvaluationFailed));
            assert!(error.to_string().contains(why), "{error}");
        }
        other => panic!("{other:?}"),
    };
    question.head.model = Digest([9; 32]);
    refused(&question, "for a model that was not added up here");
    question.head = head;
    question.parts[0] = parts[0].slice(1..);
    refused(&question, "hospital-2 sent");
    question.parts.clear();
    refused(&question, "hospital-2 sent");
    question.parts = parts;
    // A sum that was damaged on this site's disk is not computed with.
    let model = site.holdings.digests(MODEL.sum()).unwrap();
    let name = hex::encode(model[0].0);
    let file = serving.all.root(1).join("sums").join(&name[..2]).join(&name[2..]);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[1..]).unwrap();
    serving.all.restart(1);
    let site = serving.all.site(1);
    site.restore_keys(seed()).unwrap();
    assert!(matches!(question.at(site), Err(HospitalError::NotEvaluated { .. })));
    std::fs::write(&file, &whole).unwrap();
    question.at(site).unwrap();
}

/// Holdings that are whole, and not those that this site stated it had added up.
#[test]
fn sums_that_are_not_on_record_are_not_computed_with() {
    for list in [gate_keys(KeySet::Serving), relinearisation(KeySet::Serving), ROTATIONS.sum(), MODEL.sum()] {
        let mut serving = Serving::new();
        let question = serving.ask(1);
        let site = serving.all.site(1);
        let other: ListId =
            if list == relinearisation(KeySet::Serving) { ROTATIONS.sum() } else { relinearisation(KeySet::Serving) };
        let wrong: Vec<_> = site.holdings.digests(other).unwrap().into_iter().map(|digest| (digest, 0)).collect();
        site.holdings.keep(list, &wrong).unwrap();
        site.gates.keep(0);
        assert!(matches!(question.at(site), Err(HospitalError::NotEvaluated { .. })), "{list:?}");
    }
}

/// A gate key of the asker's that serves the program, and is not the one that it signed for.
#[test]
fn a_gate_key_that_is_not_on_record_lifts_nothing() {
    let mut serving = Serving::new();
    let question = serving.ask(1);
    let site = serving.all.site(1);
    let other = other_key(2, site.plan.program.gate_limbs());
    let held: Vec<_> =
        site.holdings.digests(gate_keys(KeySet::Serving)).unwrap().into_iter().map(|digest| (digest, 0)).collect();
    let mut wrong = held.clone();
    wrong[1] = site.holdings.write(&other).unwrap();
    for (list, is_right) in [(wrong, false), (held, true)] {
        site.holdings.keep(gate_keys(KeySet::Serving), &list).unwrap();
        site.gates.keep(0);
        assert_eq!(question.at(site).is_ok(), is_right);
    }
}

/// Whoever evaluates another's query holds its bytes, and may ask them as a question of its own: sites lift them by the
/// name and the number of whoever asks, under which they are noise (`he_agg`'s gate attacks decrypt it).
#[test]
fn another_hospitals_query_asked_again_is_lifted_by_the_name_and_number_of_who_asks() {
    let mut serving = Serving::new();
    let mut question = serving.ask(1);
    let own = serving.result(party(2), &question);
    assert_eq!(question.at(serving.all.site(1)).unwrap(), own);
    question.head.query = QueryId::new(party(3), 1);
    let copied = serving.result(party(3), &question);
    let site = serving.all.site(1);
    assert_eq!(site.evaluate(party(3), &question.head, &question.parts).unwrap(), copied);
    question.head.query = QueryId::new(party(2), 2);
    let moved = question.at(site).unwrap();
    assert_eq!(moved, serving.result(party(2), &question));
    assert!(own != copied && own != moved && copied != moved);
}

/// One `a`, one plaintext: whoever had two would see their difference.
#[test]
fn a_number_is_asked_once_and_the_same_images_under_it_give_the_same_bytes() {
    let mut serving = Serving::new();
    let question = serving.ask(1);
    assert_eq!(serving.ask(1).parts, question.parts);
    let site = serving.all.site(2);
    let other = Array3::from_elem((1, 6, 6), 0.9);
    assert!(matches!(site.prepare_query(question.head.query, &[other]), Err(HospitalError::Crypto { .. })));
}
