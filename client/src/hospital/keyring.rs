//! A hospital's keys of one epoch, in memory, and how they are made, kept in the vault and read back.

use std::collections::BTreeMap;

use he_agg::Stream;
use he_agg::aggregation::{AggregationSecret, Decryptor, LaneLayout, MaskKey, VaultSecret};
use he_agg::multiparty::{Crs, GateSecret, GateSeed, ServingKeyShare};
use protocol::codec::{DecodeError, Reader, Writer};
use protocol::ids::Digest;
use protocol::message::KeySet;
use zeroize::Zeroizing;

use super::dealing::{Dealing, DealtPoint};
use super::dealt_keys::{DealtKeys, DealtSet};
use super::error::{HospitalError, Step};
use super::key_crs::KeyCrs;
use super::plan::HospitalPlan;
use super::sealed::SealedError;
use crate::head::HeadSecrets;
use crate::vault::Vault;

/// The vault's record of an epoch's keys.
const RECORD: &str = "epoch-keys";
const PART_BYTES_MAX: usize = 8 << 20;
/// Of serving, and of training.
const SETS_MAX: usize = 2;

/// Every key of the newest epoch that this hospital keeps, one byte string each: the owner of the vault may look for
/// them where they must not be.
///
/// # Errors
/// [`SealedError`]; [`VaultError::NoRecord`](crate::vault::VaultError::NoRecord) before the ceremony dealt.
pub fn epoch_keys(vault: &Vault) -> Result<Vec<Vec<u8>>, SealedError> {
    let bytes = vault.get(RECORD)?;
    let parts =
        Parts::from_bytes(&bytes).map_err(|source| SealedError::Malformed { record: RECORD.to_owned(), source })?;
    let own = [&parts.seed, &parts.vault, &parts.group].into_iter().chain(parts.sets.iter().map(|set| &set.gate));
    let mut all: Vec<Vec<u8>> = own.map(|key| key.to_vec()).collect();
    let seeds = parts.sets.iter().flat_map(|set| &set.gate_seeds);
    all.extend(parts.pairs.iter().chain(seeds).map(|(_, key)| key.to_vec()));
    let points = parts.sets.iter().map(|set| &set.points);
    all.extend(parts.shares.iter().chain(points).map(|share| share.to_vec()));
    Ok(all)
}

/// All keys of one epoch.
pub(crate) struct Keyring {
    pub(crate) secret: AggregationSecret,
    pub(crate) decryptor: Decryptor,
    pub(crate) group: MaskKey,
    pub(crate) vault: VaultSecret,
    pub(crate) pairs: BTreeMap<u16, MaskKey>,
    pub(crate) serving: SetKeys,
    /// Where a head is trained.
    training: Option<SetKeys>,
}

/// Those of one set.
pub(crate) struct SetKeys {
    /// Point of the sum of all secrets.
    pub(crate) points: ServingKeyShare,
    /// What this hospital encrypts with: queries and its part of the published model, or features.
    pub(crate) gate: GateSecret,
    /// Of every hospital's mask in this one's gate.
    pub(crate) gate_seeds: BTreeMap<u16, GateSeed>,
}

/// The parts from which a keyring is built, as the vault keeps them.
struct Parts {
    seed: Zeroizing<[u8; 32]>,
    vault: Zeroizing<[u8; 32]>,
    group: Zeroizing<[u8; 32]>,
    pairs: Vec<(u16, Zeroizing<[u8; 32]>)>,
    shares: Vec<Zeroizing<Vec<u8>>>,
    /// That of serving first.
    sets: Vec<SetParts>,
}

/// The parts of one set.
struct SetParts {
    points: Zeroizing<Vec<u8>>,
    gate: Zeroizing<[u8; 32]>,
    gate_seeds: Vec<KeyOf>,
}

impl Keyring {
    /// Puts own keys and all opened dealings together and seals them in the vault. The same dealings give the same keys
    /// again, the secret behind errors and flooding included.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where dealings are doubled or missing; [`HospitalError::Vault`].
    pub(crate) fn assemble(
        own: &DealtKeys,
        dealings: Vec<(u16, Dealing)>,
        (plan, crs): (&HospitalPlan, &KeyCrs),
        vault: &Vault,
    ) -> Result<Self, HospitalError> {
        let step = "putting the keys together";
        let (layout, party) = (&plan.layout, plan.party.number());
        let epoch = crs.serving().epoch();
        let group_parts: Vec<(u16, &[u8; 32])> =
            dealings.iter().map(|(dealer, dealing)| (*dealer, &*dealing.group_part)).collect();
        let group = MaskKey::group(&epoch, &group_parts);
        let mut pairs = Vec::new();
        for (dealer, dealing) in dealings.iter().filter(|(dealer, _)| *dealer != party) {
            let Some(half) = own.pair_half(*dealer) else { continue };
            let key = MaskKey::pair(&epoch, (party, half), (*dealer, &dealing.pair_half));
            pairs.push((*dealer, key.expose_bytes()));
        }
        let shares = dealings.iter().map(|(_, dealing)| dealing.aggregation.expose_bytes()).collect();
        let mut points: Vec<(u16, Vec<DealtPoint>)> =
            dealings.into_iter().map(|(dealer, dealing)| (dealer, dealing.collective)).collect();
        let mut sets = Vec::new();
        // From the last set to the first.
        for set in [KeySet::Training, KeySet::Serving].into_iter().filter(|set| crs.of(*set).is_some()) {
            let of_set = points.iter_mut().filter_map(|(dealer, points)| Some((*dealer, points.pop()?))).collect();
            sets.insert(0, SetParts::assemble(own.of(set, step)?, of_set)?);
        }
        let (seed, vault_secret) = (own.secret.expose_seed(), own.ceremony().bytes("vault secret", &[]));
        let parts = Parts { seed, vault: vault_secret, group: group.expose_bytes(), pairs, shares, sets };
        vault.put(RECORD, &parts.to_bytes())?;
        Self::from_parts(&parts, layout, crs, party)
    }

    /// Reads the keys of an epoch back from the vault.
    ///
    /// # Errors
    /// [`HospitalError::Vault`] where there are none.
    pub(crate) fn load(plan: &HospitalPlan, crs: &KeyCrs, vault: &Vault) -> Result<Self, HospitalError> {
        let bytes = vault.get(RECORD)?;
        let parts = Parts::from_bytes(&bytes).step("reading the vault's keys")?;
        Self::from_parts(&parts, &plan.layout, crs, plan.party.number())
    }

    /// Those of one set.
    ///
    /// # Errors
    /// [`HospitalError::NoKeys`] of a training, where no head is trained.
    pub(crate) fn of(&self, set: KeySet, step: &'static str) -> Result<&SetKeys, HospitalError> {
        match set {
            KeySet::Serving => Ok(&self.serving),
            KeySet::Training => self.training.as_ref().ok_or(HospitalError::NoKeys { step }),
        }
    }

    /// What this hospital trains a head with; `None` where none is trained.
    pub(crate) fn into_head(self, party: u16) -> Option<HeadSecrets> {
        let Self { group, vault, pairs, serving, training, .. } = self;
        let SetKeys { points, gate, .. } = training?;
        Some(HeadSecrets { party, points, pairs, group, vault, gate, serving_gate: serving.gate })
    }

    /// Digest by which hospitals compare their group keys without showing them.
    pub(crate) fn group_digest(&self) -> Digest {
        let mut bytes = Zeroizing::new(b"consilium group key check v1".to_vec());
        bytes.extend_from_slice(self.group.expose_bytes().as_ref());
        Digest::of_bytes(&bytes)
    }

    fn from_parts(parts: &Parts, layout: &LaneLayout, crs: &KeyCrs, party: u16) -> Result<Self, HospitalError> {
        let step = "reading the keys of this epoch";
        let epoch = crs.serving().epoch();
        if parts.sets.len() != crs.all().count() {
            // Of another plan.
            return Err(HospitalError::NoKeys { step });
        }
        let mut sets = parts.sets.iter().zip(crs.all()).map(|(set, crs)| set.keys(crs, party));
        let key = |bytes: &Zeroizing<[u8; 32]>| MaskKey::from_bytes(**bytes);
        let vault = || VaultSecret::from_bytes(*parts.vault);
        let mut decryptor = Decryptor::new(layout.clone(), epoch, party, key(&parts.group), vault()).step(step)?;
        for share in &parts.shares {
            let share = he_agg::aggregation::KeyShare::from_bytes(share, layout, &epoch).step(step)?;
            decryptor.insert_share(share).step(step)?;
        }
        let mut pairs = BTreeMap::new();
        for (peer, bytes) in &parts.pairs {
            decryptor.insert_pair(*peer, key(bytes)).step(step)?;
            pairs.insert(*peer, key(bytes));
        }
        Ok(Self {
            secret: AggregationSecret::from_seed(layout.params(), epoch, *parts.seed),
            decryptor,
            group: key(&parts.group),
            vault: vault(),
            pairs,
            serving: sets.next().ok_or(HospitalError::NoKeys { step })??,
            training: sets.next().transpose()?,
        })
    }
}

impl SetParts {
    /// Of what every hospital dealt this one, in order of dealer.
    fn assemble(own: &DealtSet, dealt: Vec<(u16, DealtPoint)>) -> Result<Self, HospitalError> {
        let step = "putting the keys together";
        let gate_seeds = dealt.iter().map(|(dealer, point)| (*dealer, point.gate_seed.expose_bytes())).collect();
        let mut shares = dealt.into_iter().map(|(_, point)| point.share);
        let mut points = shares.next().ok_or(HospitalError::NoKeys { step })?;
        shares.try_for_each(|share| points.absorb(&share)).step(step)?;
        let gate = own.ceremony.bytes("gate secret", &[]);
        Ok(Self { points: points.to_bytes(), gate, gate_seeds })
    }

    fn keys(&self, crs: &Crs, party: u16) -> Result<SetKeys, HospitalError> {
        let step = "reading the keys of this epoch";
        Ok(SetKeys {
            points: ServingKeyShare::from_bytes(&self.points, crs).step(step)?,
            gate: GateSecret::generate(crs.preset(), party, &mut Stream::from_seed(*self.gate)).step(step)?,
            gate_seeds: self.gate_seeds.iter().map(|(of, seed)| (*of, GateSeed::from_bytes(**seed))).collect(),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.points);
        writer.array(&self.gate);
        writer.count(self.gate_seeds.len());
        for (dealer, seed) in &self.gate_seeds {
            writer.u16(*dealer);
            writer.array(seed);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let points = Zeroizing::new(reader.bytes("serving key share", PART_BYTES_MAX)?.to_vec());
        let gate = Zeroizing::new(reader.array()?);
        Ok(Self { points, gate, gate_seeds: keys_of(reader, "gate seeds")? })
    }
}

impl Parts {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        [&self.seed, &self.vault, &self.group].into_iter().for_each(|key| writer.array(key));
        writer.count(self.pairs.len());
        for (peer, key) in &self.pairs {
            writer.u16(*peer);
            writer.array(key);
        }
        writer.count(self.shares.len());
        self.shares.iter().for_each(|share| writer.bytes(share));
        writer.count(self.sets.len());
        self.sets.iter().for_each(|set| set.write(&mut writer));
        Zeroizing::new(writer.into_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let parties = protocol::limits::PARTIES_MAX;
        let mut reader = Reader::new(bytes);
        let mut key = || reader.array().map(Zeroizing::new);
        let (seed, vault, group) = (key()?, key()?, key()?);
        let pairs = keys_of(&mut reader, "mask keys")?;
        let count = reader.count("key shares", parties, 4)?;
        let shares = (0..count)
            .map(|_| Ok(Zeroizing::new(reader.bytes("key share", PART_BYTES_MAX)?.to_vec())))
            .collect::<Result<_, DecodeError>>()?;
        let count = reader.count("sets of keys", SETS_MAX, 4)?;
        let sets = (0..count).map(|_| SetParts::read(&mut reader)).collect::<Result<_, _>>()?;
        Ok(Self { seed, vault, group, pairs, shares, sets })
    }
}

/// A key of each of several hospitals.
type KeyOf = (u16, Zeroizing<[u8; 32]>);

fn keys_of(reader: &mut Reader<'_>, what: &'static str) -> Result<Vec<KeyOf>, DecodeError> {
    let count = reader.count(what, protocol::limits::PARTIES_MAX, 34)?;
    (0..count).map(|_| Ok((reader.u16()?, Zeroizing::new(reader.array()?)))).collect()
}
