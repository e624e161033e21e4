//! A hospital without cryptography: what it has computed, on disk and in memory.

use std::collections::BTreeSet;

use protocol::blob::BlobKind;
use protocol::dealings::DealingCheck;
use protocol::facts::{Fact, KeySum, SumChecked};
use protocol::hospital::{HospitalInput, HospitalMachine, HospitalOutput, PlanesOf, ProofOf, ShareBinding};
use protocol::message::{KeyStep, RoundPurpose};
use protocol::{BodyRoot, Digest, QueryId, RoundId};

use crate::cast::{N, body, digest, key_share};

/// A body's list, by what its upload says.
pub(crate) type Bodies = (BlobKind, u64, u32);

/// What one hospital has computed: on disk, and in memory until the process ends.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) number: u16,
    pub(crate) facts: Vec<Fact>,
    pub(crate) stored: BTreeSet<Bodies>,
    pub(crate) passing: BTreeSet<Bodies>,
    pub(crate) values: BTreeSet<RoundId>,
    pub(crate) candidates: BTreeSet<(RoundId, Digest)>,
    pub(crate) model: Digest,
    pub(crate) figures: Option<Digest>,
    /// The ceremony's secret and boxes are gone.
    pub(crate) ceremony_is_over: bool,
    /// Sums of serving keys that this process computes with.
    pub(crate) sums: BTreeSet<KeyStep>,
    /// Sums of rotation keys and of the model, to evaluate with: on disk.
    pub(crate) has_model: bool,
    /// Queries that this process has evaluated.
    pub(crate) results: BTreeSet<QueryId>,
}

impl Site {
    pub(crate) fn new(number: u16) -> Self {
        Self {
            number,
            facts: Vec::new(),
            stored: BTreeSet::new(),
            passing: BTreeSet::new(),
            values: BTreeSet::new(),
            candidates: BTreeSet::new(),
            model: digest("model 0"),
            figures: None,
            ceremony_is_over: false,
            sums: BTreeSet::new(),
            has_model: false,
            results: BTreeSet::new(),
        }
    }

    /// The same folder under a new process.
    pub(crate) fn after_a_crash(&self) -> Self {
        let (passing, sums, results) = Default::default();
        Self { passing, sums, results, ..self.clone() }
    }

    /// Does what it is asked, which must be possible with what is there.
    pub(crate) fn carry_out(&mut self, output: &HospitalOutput) -> Option<HospitalInput> {
        let number = self.number;
        match output {
            HospitalOutput::Persist(fact) => {
                self.facts.push(fact.clone());
                None
            }
            HospitalOutput::Upload { kind, number, attempt, .. } => {
                let bodies = (*kind, *number, *attempt);
                assert!(self.stored.contains(&bodies) || self.passing.contains(&bodies), "{bodies:?} are not at hand");
                None
            }
            HospitalOutput::DealKeys { .. } => {
                assert!(!self.ceremony_is_over);
                self.stored.insert((BlobKind::Dealing, 0, 0));
                let boxes = (1..=N).map(|to| digest(&format!("box {number} {to}"))).collect();
                Some(HospitalInput::Dealt { boxes, size_bytes: 500 })
            }
            HospitalOutput::OpenDealings { .. } => Some(HospitalInput::DealingsOpened { group: digest("group") }),
            HospitalOutput::CheckDealings { factors } => Some(combined(*factors)),
            HospitalOutput::ServingKeysComplete => {
                (self.ceremony_is_over, _) = (true, self.stored.remove(&(BlobKind::Dealing, 0, 0)));
                None
            }
            HospitalOutput::AddShares { step, shares, sum, .. } => {
                assert!(!self.ceremony_is_over && shares.len() == usize::from(N), "shares of {step:?} may be gone");
                self.sums.insert(*step);
                Some(HospitalInput::SumAdded { step: *step, sum: *sum })
            }
            HospitalOutput::CheckProofs { proofs, sum, .. } => Some(self.check_proofs(proofs, *sum)),
            HospitalOutput::CheckPlanes { planes, sum } => Some(self.check_planes(planes, *sum)),
            HospitalOutput::FetchSum { step, sum } => {
                let is_known = |fact: &Fact| *fact == Fact::KeySum(KeySum { step: *step, sum: *sum });
                assert!(self.facts.iter().any(is_known), "nobody here added up {step:?}");
                self.sums.insert(*step);
                None
            }
            HospitalOutput::MakeServingShare { step } => {
                // All but the sums of round one are on disk.
                let is_there =
                    |input| self.sums.contains(&input) || (input != KeyStep::RelinRoundOne && self.knows(input));
                assert!(step.input().is_none_or(is_there), "computed on nothing");
                let is_of_relin = matches!(step, KeyStep::RelinRoundTwo | KeyStep::RelinMasks | KeyStep::RelinAnswers);
                assert!(!is_of_relin || is_there(KeyStep::RelinRoundOne), "{step:?} is made without its sums");
                assert!(!self.ceremony_is_over, "the secret behind the share of {step:?} is gone");
                self.passing.insert((step.blob_kind(), 0, 0));
                Some(HospitalInput::ServingShareMade { step: *step, body: key_share(*step, number) })
            }
            HospitalOutput::Train { round, base_model, .. } => {
                assert_eq!(*base_model, self.model, "round {round} starts from another model than the site has");
                self.values.insert(*round);
                Some(HospitalInput::Trained { round: *round })
            }
            HospitalOutput::Encrypt { round, attempt } => {
                assert!(self.values.contains(round), "nothing is sealed for round {round}");
                self.stored.insert((BlobKind::UpdateChunk, u64::from(round.0), attempt.0));
                let body = body(&format!("update {round} {attempt} {number}"));
                Some(HospitalInput::Encrypted { round: *round, attempt: *attempt, body })
            }
            HospitalOutput::ReleaseShares(binding) => {
                let (round, attempt) = (binding.round, binding.attempt);
                self.stored.insert((BlobKind::Share, u64::from(round.0), attempt.0));
                let body = body(&format!("share {number} {}", binding.digest()));
                Some(HospitalInput::SharesMade { round, attempt, body })
            }
            HospitalOutput::CheckSum { binding, updates, shares, chunks } => {
                assert!(updates.len() == usize::from(N) && shares.len() == usize::from(N) && chunks.len() == 1);
                Some(HospitalInput::SumChecked { round: binding.round, attempt: binding.attempt })
            }
            HospitalOutput::OpenSum { binding, purpose, chunks } => Some(self.open_sum(binding, *purpose, chunks)),
            HospitalOutput::AdoptModel { round, model } => {
                assert!(self.model == *model || self.candidates.contains(&(*round, *model)), "no candidate is sealed");
                self.model = *model;
                self.candidates.retain(|candidate| *candidate == (*round, *model) || candidate.0 > *round);
                None
            }
            HospitalOutput::KeepFigures { round, figures } => {
                let is_sealed = self.candidates.contains(&(*round, *figures));
                assert!(self.figures == Some(*figures) || is_sealed, "no figures are sealed");
                self.figures = Some(*figures);
                None
            }
            HospitalOutput::EncryptPublish { attempt, model, .. } => {
                assert_eq!(*model, self.model);
                assert!(self.knows(KeyStep::GateKey), "encrypted under no key");
                self.passing.insert((BlobKind::PublishChunk, 0, attempt.0));
                let body = body(&format!("publish {number}"));
                Some(HospitalInput::PublishEncrypted { attempt: *attempt, body })
            }
            HospitalOutput::CheckModel { .. } | HospitalOutput::Evaluate { .. } | HospitalOutput::ReleaseSwitch(_) => {
                Some(self.serve(output))
            }
            HospitalOutput::Refuse { .. } | HospitalOutput::Stop { .. } => panic!("{output:?}"),
            _ => None,
        }
    }

    fn open_sum(&mut self, binding: &ShareBinding, purpose: RoundPurpose, chunks: &[Digest]) -> HospitalInput {
        let checked = Fact::SumChecked(SumChecked { round: binding.round, attempt: binding.attempt });
        assert!(self.facts.contains(&checked), "opened before it was added up");
        let model = match purpose {
            RoundPurpose::Train => Digest::of("model", &chunks.to_vec()),
            RoundPurpose::Figures | RoundPurpose::Moments => Digest::of("figures", &chunks.to_vec()),
        };
        self.candidates.insert((binding.round, model));
        HospitalInput::SumOpened { round: binding.round, attempt: binding.attempt, model: Some(model) }
    }

    fn check_proofs(&self, proofs: &[ProofOf], sum: BodyRoot) -> HospitalInput {
        let step = KeyStep::RelinAnswers;
        assert!(!self.ceremony_is_over && proofs.len() == usize::from(N) - 1, "openings may be gone");
        assert!(self.sums.contains(&KeyStep::RelinRoundOne) && self.knows(KeyStep::RelinMasks));
        for proof in proofs {
            let share = |step| key_share(step, proof.party.number());
            let shares = [KeyStep::RelinRoundOne, KeyStep::RelinRoundTwo, step].map(share);
            let is_own = proof.party.number() == self.number;
            assert!(!is_own && [proof.first, proof.second, proof.answers] == shares);
        }
        HospitalInput::SumAdded { step, sum }
    }

    fn check_planes(&self, planes: &[PlanesOf], sum: BodyRoot) -> HospitalInput {
        let step = KeyStep::PlaneOpenings;
        assert!(!self.ceremony_is_over && planes.len() == usize::from(N) - 1, "openings may be gone");
        assert!(self.knows(KeyStep::GateKey) && self.knows(KeyStep::Planes), "checked against nothing");
        for it in planes {
            let share = |step| key_share(step, it.party.number());
            assert!(it.party.number() != self.number);
            assert_eq!(it.seeds, share(step));
        }
        HospitalInput::SumAdded { step, sum }
    }

    fn knows(&self, step: KeyStep) -> bool {
        self.facts.iter().any(|fact| matches!(fact, Fact::KeySum(sum) if sum.step == step))
    }

    /// Work with the published model.
    fn serve(&mut self, output: &HospitalOutput) -> HospitalInput {
        let number = self.number;
        match output {
            HospitalOutput::CheckModel { attempt, contributions, .. } => {
                assert_eq!(contributions.len(), usize::from(N));
                self.has_model = true;
                HospitalInput::ModelAdded { attempt: *attempt }
            }
            HospitalOutput::Evaluate { head, .. } => {
                let needed = [KeyStep::GateKey, KeyStep::Galois, KeyStep::RelinRoundTwo];
                assert!(self.has_model && needed.into_iter().all(|step| self.knows(step)));
                self.results.insert(head.query);
                HospitalInput::Evaluated { query: head.query, result: body("result") }
            }
            HospitalOutput::ReleaseSwitch(binding) => {
                let query = binding.query;
                assert!(self.results.contains(&query), "a share of a result that this process did not compute");
                self.stored.insert((BlobKind::SwitchShare, query.0, 0));
                let body = body(&format!("switch share {number} {}", binding.digest()));
                HospitalInput::SwitchMade { query, body }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What every hospital shows of its dealings: constants are polynomials of every degree.
fn combined(factors: Digest) -> HospitalInput {
    let values = vec![vec![u32::from(factors.0[0])]; usize::from(N)];
    HospitalInput::DealingsCombined { check: DealingCheck { moduli: vec![1_073_479_681], values } }
}

/// Feeds one input and all answers that its work gives; `seen` hears every output before it is carried out.
pub(crate) fn feed(
    machine: &mut HospitalMachine,
    site: &mut Site,
    input: HospitalInput,
    seen: &mut dyn FnMut(&Site, &HospitalOutput),
) {
    let mut inputs = vec![input];
    while let Some(input) = inputs.pop() {
        for output in machine.on(0, input) {
            seen(site, &output);
            inputs.extend(site.carry_out(&output));
        }
    }
}
