//! The parties of a head's training, in one process.
//!
//! They are those of a consortium, and every object travels between them as bytes; but there is no network and no disk,
//! one process holds all secrets, and the ledgers are in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use client::head::{HeadSecrets, HeadSite};
use he_agg::aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret};
use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, Encoder, Evaluator};
use he_agg::multiparty::{Collective, Crs, GateKey, GateSecret, HolderKey, KeyPlan, Quorum};
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, HeadTransfer, RefreshTerms, TrainingGroup, lift_group};
use ndarray::Array2;

use super::data::Rows;
use super::error::HeadRunError;
use super::sight::Sight;

/// The refreshes that flooding is made for: those of a key.
pub const REFRESHES: u64 = 1 << 12;

/// A key of all hospitals, with everybody's gate of it.
pub(super) struct Keyed {
    pub(super) keys: Collective,
    pub(super) gates: Arc<[GateKey]>,
    pub(super) evaluator: Evaluator,
}

impl Keyed {
    /// What joins the parts of a refresh to this key.
    pub(super) fn joining(&self) -> (Arc<[GateKey]>, Evaluator) {
        (Arc::clone(&self.gates), self.evaluator)
    }

    fn new(
        preset: Preset,
        hospitals: u16,
        (plan, limbs): (&KeyPlan, usize),
        stream: &mut Stream,
    ) -> Result<(Self, Vec<GateSecret>), HeadRunError> {
        let keys = Collective::new(Crs::new(preset, stream.seed()), hospitals, plan, stream)?;
        let gates = (1..=hospitals).map(|party| keys.gate(party, limbs, stream));
        let (secrets, gates): (_, Vec<_>) = gates.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        Ok((Self { keys, gates: gates.into(), evaluator: Evaluator::new(preset)? }, secrets))
    }
}

/// All hospitals, and the keys that they made.
pub(super) struct Hospitals {
    pub(super) training: Keyed,
    pub(super) serving: Keyed,
    pub(super) terms: RefreshTerms,
    /// Of hospital 1, 2, ...
    pub(super) sites: Vec<HeadSite<MemoryLedger>>,
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
    /// Deals every hospital's secrets, and makes the keys that a head is trained and served under; those for questions
    /// only where some are asked.
    pub(super) fn new(
        (program, transfer): (&HeadProgram, &HeadTransfer),
        (quorum, refresh_bits): (Quorum, u32),
        is_asked: bool,
        stream: &mut Stream,
    ) -> Result<Self, HeadRunError> {
        let hospitals = quorum.parties;
        let limbs = program.top_limbs();
        let (training, gates) = Keyed::new(program.preset(), hospitals, (&program.key_plan(), limbs), stream)?;
        let plan = if is_asked { transfer.joint_key_plan() } else { KeyPlan::default() };
        let limbs = transfer.package_limbs();
        let (serving, serving_gates) = Keyed::new(Preset::Inf15x90, hospitals, (&plan, limbs), stream)?;
        let flooding = Flooding::secure(refresh_bits, REFRESHES)?;
        let held = training.keys.deal(quorum.threshold, stream)?;
        let epoch = training.keys.crs.epoch();
        let halves: Vec<(u16, [u8; 32])> = (1..=hospitals).map(|party| (party, stream.seed())).collect();
        let named: Vec<(u16, &[u8; 32])> = halves.iter().map(|(party, half)| (*party, half)).collect();
        let terms = RefreshTerms { crs: training.keys.crs.clone(), quorum, flooding, program: program.digest() };
        let gates = gates.into_iter().zip(serving_gates);
        let mut sites = Vec::with_capacity(usize::from(hospitals));
        for ((own, points), (gate, serving_gate)) in named.iter().zip(held).zip(gates) {
            let others = named.iter().filter(|other| other.0 != own.0);
            let pairs: BTreeMap<u16, MaskKey> =
                others.map(|other| (other.0, MaskKey::pair(&epoch, *own, *other))).collect();
            let (group, vault) = (MaskKey::group(&epoch, &named), VaultSecret::from_bytes(stream.seed()));
            let secrets = HeadSecrets { party: own.0, points, pairs, group, vault, gate, serving_gate };
            sites.push(HeadSite::new(secrets, terms.clone(), MemoryLedger::new(flooding)));
        }
        Ok(Self { training, serving, terms, sites })
    }

    /// Encrypts every group at its hospital, and lifts it at the coordinator.
    pub(super) fn upload(
        &mut self,
        program: &HeadProgram,
        rows: &Rows,
        owners: &[u16],
        (sight, mut seen): (&mut Sight, impl FnMut(u16, usize)),
    ) -> Result<(Vec<TrainingGroup<Cpu>>, UploadTimes), HeadRunError> {
        let encoder = Encoder::new(program.preset())?;
        let Keyed { keys, gates, evaluator } = &self.training;
        let (mut groups, mut times) = (Vec::with_capacity(owners.len()), UploadTimes::default());
        for (group, &owner) in owners.iter().enumerate() {
            seen(owner, owners[..group].iter().filter(|other| **other == owner).count());
            let place = usize::from(owner) - 1;
            let started = Instant::now();
            let mut plain = program.encode_features(&encoder, rows.features.view(), group)?;
            plain.push(program.encode_labels(&encoder, rows.labels.view(), group)?);
            let number = group as u64;
            let sent = self.sites[place].encrypt(number, &plain)?;
            drop(plain);
            times.encrypt += started.elapsed().as_secs_f64();
            times.bytes += sent.iter().map(Vec::len).sum::<usize>();
            sight.look_at_all("an upload", &sent);
            let started = Instant::now();
            groups.push(lift_group(program, evaluator, (&keys.crs, &gates[place]), number, &sent)?);
            times.lift += started.elapsed().as_secs_f64();
        }
        Ok((groups, times))
    }

    /// The weights of packages, read with everybody's secrets.
    pub(super) fn open(
        &self,
        program: &HeadProgram,
        packages: &[Ciphertext],
        stream: &mut Stream,
    ) -> Result<Array2<f64>, HeadRunError> {
        let Keyed { keys, evaluator, .. } = &self.training;
        let (holder, encoder) = (HolderKey::of_all(&keys.secrets)?, Encoder::new(program.preset())?);
        // Not as hospitals refresh: that happens once, and goes to whoever serves.
        let refreshed = |package| holder.refresh(package, (&keys.public, program.top_limbs()), stream);
        let packages: Vec<Ciphertext> = packages.iter().map(refreshed).collect::<Result<_, _>>()?;
        let tree = program.tree();
        let read = |vector: &Ciphertext| -> Result<Vec<f64>, HeadRunError> {
            let mut slots = encoder.decode(&holder.decrypt(vector)?)?;
            slots.iter_mut().for_each(|value| *value /= tree.capacity() as f64);
            Ok(slots)
        };
        let vectors = tree.unpack(evaluator, &keys.keys, &packages)?;
        let vectors = vectors.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(program.layout().weights_of(&vectors, program.classes()))
    }
}
