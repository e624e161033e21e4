//! Hospitals that train a head together, and their coordinator, in one process.
//!
//! Every object travels as bytes, without a network and a disk. Keys come from a fixed seed and the ledgers are in
//! memory: nothing here is secret, and at the end the head is opened with everybody's secrets, to see what it became.

use std::collections::BTreeMap;
use std::time::Instant;

use he_agg::Stream;
use he_agg::aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret};
use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, Encoder, EvaluationKeys, Evaluator, GatedCiphertext, Plaintext};
use he_agg::multiparty::{
    BlindedRefresh, Collective, Crs, GateHolder, GateKey, GateLabel, GateSecret, Gated, HolderKey, OpeningPermit,
    Quorum, REFRESH_MESSAGE_LOG2, RefreshContext, RefreshEmbedding, RefreshKeys, RefreshPermit, RefreshRequest,
    RefreshShare, RefreshSum, RefreshTarget, Refreshed, ServingKeyShare,
};
use he_train::encrypted::{HeadProgram, TrainingGroup};
use ndarray::Array2;
use rayon::prelude::*;

use super::task::Rows;
use crate::{consortium::Consortium, error::BenchError};

/// Statistical security of the flooding, bits, and the refreshes it is made for.
const REFRESH_BITS: u32 = 48;
const REFRESHES: u64 = 1 << 12;

/// The key that a refresh leads to, with everybody's gate of it.
pub(super) struct Target {
    pub(super) crs: Crs,
    pub(super) limbs: usize,
    pub(super) embedding: RefreshEmbedding,
    /// Of hospital 1, 2, ...
    pub(super) secrets: Vec<GateSecret>,
    pub(super) gates: Vec<GateKey>,
    /// Of the target's ring.
    pub(super) evaluator: Evaluator,
}

/// What one hospital has.
struct Hospital {
    points: ServingKeyShare,
    pairs: BTreeMap<u16, MaskKey>,
    vault: VaultSecret,
    ledger: MemoryLedger,
}

/// All of them, and the keys that they made.
pub(super) struct Hospitals {
    pub(super) keys: Collective,
    /// The key itself, fresh.
    own: Target,
    quorum: Quorum,
    flooding: Flooding,
    group: MaskKey,
    members: Vec<Hospital>,
}

/// What a refresh took, in seconds: of the slowest hospital, since they are on machines of their own.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct RefreshTimes {
    /// A share and a mask.
    pub(super) share: f64,
    /// Opening what is flooded.
    pub(super) open: f64,
    /// The coordinator's sums and lifts.
    pub(super) join: f64,
    /// All of it in one process.
    pub(super) here: f64,
    /// Bytes that one decryptor sends.
    pub(super) bytes: usize,
}

/// What uploading took.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct UploadTimes {
    /// Seconds of all hospitals together.
    pub(super) encrypt: f64,
    /// Seconds of the coordinator.
    pub(super) lift: f64,
    /// Of all hospitals.
    pub(super) bytes: usize,
}

impl Hospitals {
    /// Runs the ceremony of so many hospitals, who deal their secrets and make a gate each.
    pub(super) fn new(program: &HeadProgram, hospitals: u16, stream: &mut Stream) -> Result<Self, BenchError> {
        let preset = program.preset();
        let keys = Collective::new(Crs::new(preset, stream.seed()), hospitals, &program.key_plan(), stream)?;
        let quorum = Quorum { threshold: Consortium::threshold(hospitals), parties: hospitals };
        let flooding = Flooding::secure(REFRESH_BITS, REFRESHES)?;
        let held = keys.deal(quorum.threshold, stream)?;
        let epoch = keys.crs.epoch();
        let halves: Vec<(u16, [u8; 32])> = (1..=hospitals).map(|party| (party, stream.seed())).collect();
        let named: Vec<(u16, &[u8; 32])> = halves.iter().map(|(party, half)| (*party, half)).collect();
        let group = MaskKey::group(&epoch, &named);
        let (mut members, mut secrets, mut gates) = (Vec::new(), Vec::new(), Vec::new());
        for (own, points) in named.iter().zip(held) {
            let (gate, key) = keys.gate(own.0, program.top_limbs(), stream)?;
            let others = named.iter().filter(|other| other.0 != own.0);
            let pairs = others.map(|other| (other.0, MaskKey::pair(&epoch, *own, *other))).collect();
            let (vault, ledger) = (VaultSecret::from_bytes(stream.seed()), MemoryLedger::new(flooding));
            members.push(Hospital { points, pairs, vault, ledger });
            secrets.push(gate);
            gates.push(key);
        }
        let (crs, limbs, embedding) = (keys.crs.clone(), program.top_limbs(), RefreshEmbedding::SameRing);
        let own = Target { crs, limbs, embedding, secrets, gates, evaluator: Evaluator::new(preset)? };
        Ok(Self { keys, own, quorum, flooding, group, members })
    }

    /// The evaluation keys, which the coordinator trains with.
    pub(super) fn take_keys(&mut self) -> EvaluationKeys {
        std::mem::replace(&mut self.keys.keys, EvaluationKeys::new(self.keys.crs.preset()))
    }

    /// How many they are.
    pub(super) fn count(&self) -> u16 {
        self.quorum.parties
    }

    /// Decryptors of a refresh.
    pub(super) fn threshold(&self) -> u16 {
        self.quorum.threshold
    }

    /// Encrypts every group at its hospital, and lifts it at the coordinator.
    pub(super) fn upload(
        &mut self,
        program: &HeadProgram,
        rows: &Rows,
        owners: &[u16],
        mut seen: impl FnMut(usize),
    ) -> Result<(Vec<TrainingGroup<Cpu>>, UploadTimes), BenchError> {
        let encoder = Encoder::new(program.preset())?;
        let (mut groups, mut times) = (Vec::with_capacity(owners.len()), UploadTimes::default());
        for (group, &owner) in owners.iter().enumerate() {
            seen(group);
            let started = Instant::now();
            let mut plain = program.encode_features(&encoder, rows.features.view(), group)?;
            let labels = program.encode_labels(&encoder, rows.labels.view(), group)?;
            let number = group as u64;
            let blocks = plain.len() as u32;
            let mut sent = self.encrypt(owner, (number, 0), &plain)?;
            plain.clear();
            sent.extend(self.encrypt(owner, (number, blocks), &[labels])?);
            times.encrypt += started.elapsed().as_secs_f64();
            times.bytes += sent.iter().map(Vec::len).sum::<usize>();
            let started = Instant::now();
            let lift = |(part, bytes): (u32, &Vec<u8>)| -> Result<Ciphertext, BenchError> {
                let label = GateLabel { what: Gated::Feature, asker: owner, number, part };
                let gated = GatedCiphertext::from_bytes(bytes, program.preset())?;
                Ok(self.own.evaluator.lift(&gated, &self.own.crs, label, &self.own.gates[usize::from(owner) - 1])?)
            };
            let parts: Vec<_> = (0..).zip(&sent).collect();
            let mut features = parts.into_par_iter().map(lift).collect::<Result<Vec<_>, _>>()?;
            times.lift += started.elapsed().as_secs_f64();
            if let Some(labels) = features.pop() {
                groups.push(TrainingGroup { features, labels });
            }
        }
        Ok((groups, times))
    }

    fn encrypt(
        &mut self,
        owner: u16,
        (number, first): (u64, u32),
        plain: &[Plaintext],
    ) -> Result<Vec<Vec<u8>>, BenchError> {
        let place = usize::from(owner) - 1;
        let (secret, Hospital { vault, ledger, .. }) = (&self.own.secrets[place], &mut self.members[place]);
        let mut holder = GateHolder { secret, crs: &self.own.crs, vault, ledger };
        let gated = holder.encrypt(Gated::Feature, number, first, plain)?;
        Ok(gated.iter().map(GatedCiphertext::to_bytes).collect())
    }

    /// Refreshes the packages of a step.
    pub(super) fn refresh(
        &mut self,
        step: usize,
        packages: &[Ciphertext],
    ) -> Result<(Vec<Ciphertext>, RefreshTimes), BenchError> {
        refresh(&mut self.members, (&self.keys.crs, self.quorum, self.flooding, &self.group), &self.own, step, packages)
    }

    /// Refreshes packages under another key.
    pub(super) fn refresh_to(
        &mut self,
        target: &Target,
        step: usize,
        packages: &[Ciphertext],
    ) -> Result<(Vec<Ciphertext>, RefreshTimes), BenchError> {
        refresh(&mut self.members, (&self.keys.crs, self.quorum, self.flooding, &self.group), target, step, packages)
    }

    /// The weights of packages, read with everybody's secrets.
    pub(super) fn open(
        &self,
        program: &HeadProgram,
        keys: &EvaluationKeys,
        packages: &[Ciphertext],
        stream: &mut Stream,
    ) -> Result<Array2<f64>, BenchError> {
        let (holder, encoder) = (HolderKey::of_all(&self.keys.secrets)?, Encoder::new(program.preset())?);
        // Not as hospitals refresh: that happens once, and goes to whoever serves.
        let refreshed = |package| holder.refresh(package, (&self.keys.public, program.top_limbs()), stream);
        let packages: Vec<Ciphertext> = packages.iter().map(refreshed).collect::<Result<_, _>>()?;
        let tree = program.tree();
        let read = |vector: &Ciphertext| -> Result<Vec<f64>, BenchError> {
            let mut slots = encoder.decode(&holder.decrypt(vector)?)?;
            slots.iter_mut().for_each(|value| *value /= tree.capacity() as f64);
            Ok(slots)
        };
        let vectors = tree.unpack(&self.own.evaluator, keys, &packages)?;
        let vectors = vectors.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(program.layout().weights_of(&vectors, program.classes()))
    }
}

/// What a refresh is under: the key, who takes part, how they flood, and the key that all of them have.
type Under<'a> = (&'a Crs, Quorum, Flooding, &'a MaskKey);

fn refresh(
    members: &mut [Hospital],
    under: Under<'_>,
    target: &Target,
    step: usize,
    packages: &[Ciphertext],
) -> Result<(Vec<Ciphertext>, RefreshTimes), BenchError> {
    let (mut fresh, mut times) = (Vec::with_capacity(packages.len()), RefreshTimes::default());
    let started = Instant::now();
    for (part, package) in (0..).zip(packages) {
        // Steps are at most 4,096.
        fresh.push(refresh_one(members, under, target, (step as u32, part), package, &mut times)?);
    }
    times.here = started.elapsed().as_secs_f64();
    Ok((fresh, times))
}

fn refresh_one(
    members: &mut [Hospital],
    (crs, quorum, flooding, group): Under<'_>,
    target: &Target,
    (step, part): (u32, u32),
    package: &Ciphertext,
    times: &mut RefreshTimes,
) -> Result<Ciphertext, BenchError> {
    let refreshed = RefreshTarget::new(&target.crs, target.limbs, target.embedding)?;
    // Whoever is next opens: it need not decrypt.
    let opener = (step % u32::from(quorum.parties)) as u16 + 1;
    let message_log2 = REFRESH_MESSAGE_LOG2;
    let request = RefreshRequest { program: [0; 32], step, attempt: 0, part, opener, flooding, message_log2 };
    let set: Vec<u16> = (1..=quorum.threshold).collect();
    let context = RefreshContext::new(crs, quorum, request, package.clone(), refreshed, &set)?;
    let (mut sum, mut masks, mut slowest) = (RefreshSum::new(&context), Vec::new(), 0.0f64);
    for party in &set {
        let started = Instant::now();
        let place = usize::from(*party) - 1;
        let Hospital { points, pairs, vault, ledger } = &mut members[place];
        let permit = RefreshPermit::claim(ledger, &context)?;
        let mut gate = GateHolder { secret: &target.secrets[place], crs: &target.crs, vault, ledger };
        let keys = RefreshKeys { key: points, pairs, group, vault };
        let (share, mask) = RefreshShare::generate(permit, &context, keys, &mut gate)?;
        let (share, mask) = (share.to_bytes(), mask.to_bytes());
        slowest = slowest.max(started.elapsed().as_secs_f64());
        times.bytes = share.len() + mask.len();
        sum.absorb(&RefreshShare::from_bytes(&share, &context)?)?;
        masks.push((*party, mask));
    }
    times.share += slowest;
    let blinded = sum.finish()?.to_bytes();
    let started = Instant::now();
    let place = usize::from(opener) - 1;
    let Hospital { vault, ledger, .. } = &mut members[place];
    let blinded = BlindedRefresh::from_bytes(&blinded, &context)?;
    let permit = OpeningPermit::claim(ledger, &context, &blinded)?;
    let mut gate = GateHolder { secret: &target.secrets[place], crs: &target.crs, vault, ledger };
    let opened = blinded.open(permit, &context, group, &mut gate)?.to_bytes();
    times.open += started.elapsed().as_secs_f64();
    let started = Instant::now();
    let (preset, key) = (target.crs.preset(), |party: u16| &target.gates[usize::from(party) - 1]);
    let mut fresh = Refreshed::new(target.evaluator, &context)?;
    for (party, mask) in &masks {
        fresh.absorb_mask(&GatedCiphertext::from_bytes(mask, preset)?, key(*party))?;
    }
    fresh.absorb_opening(&GatedCiphertext::from_bytes(&opened, preset)?, key(opener))?;
    let fresh = fresh.finish()?;
    times.join += started.elapsed().as_secs_f64();
    Ok(fresh)
}
