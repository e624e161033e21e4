//! A hospital's keys of one epoch, in memory, and how they are made, kept in the vault and read back.

use std::collections::BTreeMap;

use he_agg::Stream;
use he_agg::aggregation::{AggregationSecret, Decryptor, LaneLayout, MaskKey, VaultSecret};
use he_agg::multiparty::{Crs, GateSecret, GateSeed, ServingKeyShare, ServingSecret};
use protocol::codec::{Reader, Writer};
use protocol::ids::Digest;
use zeroize::Zeroizing;

use super::ceremony_secret::CeremonySecret;
use super::dealing::{Dealing, check_of};
use super::error::{HospitalError, Step};
use super::sealed::SealedError;
use crate::vault::Vault;

/// The vault's record of an epoch's keys.
const RECORD: &str = "epoch-keys";
const PART_BYTES_MAX: usize = 8 << 20;

/// A hospital's own keys before the others' dealings arrived. All of it follows from the ceremony's secret, so that a
/// process that comes back has the same.
pub(crate) struct DealtKeys {
    pub(crate) secret: AggregationSecret,
    pub(crate) serving: ServingSecret,
    pub(crate) ceremony: CeremonySecret,
    pair_halves: Vec<Zeroizing<[u8; 32]>>,
    /// Of this hospital's mask in every hospital's gate, in order.
    pub(crate) gate_seeds: Vec<GateSeed>,
}

impl DealtKeys {
    /// Both secrets, a half of the mask key of every pair, and the seeds of the masks in all gates.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where layout and preset do not fit.
    pub(crate) fn derive(layout: &LaneLayout, ceremony: CeremonySecret, party: u16) -> Result<Self, HospitalError> {
        let crs = ceremony.crs();
        let seed = ceremony.bytes("aggregation secret", &[]);
        let secret = AggregationSecret::from_seed(layout.params(), crs.epoch(), *seed);
        let mut stream = ceremony.stream("serving secret", &[]);
        let serving = ServingSecret::generate(crs.preset(), party, &mut stream).step("making the serving secret")?;
        let receivers = 1..=layout.parties();
        let pair_halves = receivers.map(|receiver| ceremony.bytes("pair half", &receiver.to_le_bytes())).collect();
        let askers = 1..=layout.parties();
        let gate_seed = |asker: u16| GateSeed::from_bytes(*ceremony.bytes("gate seed", &asker.to_le_bytes()));
        let gate_seeds = askers.map(gate_seed).collect();
        Ok(Self { secret, serving, ceremony, pair_halves, gate_seeds })
    }

    /// One dealing per receiver 1..=n.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where layout and preset do not fit.
    pub(crate) fn dealings(&self, layout: &LaneLayout, party: u16) -> Result<Vec<Dealing>, HospitalError> {
        let step = "dealing keys";
        let (parties, threshold) = (layout.parties(), layout.threshold());
        let group_part = self.ceremony.bytes("group part", &[]);
        let points = self.secret.deal(layout, party).step(step)?;
        let shape = [threshold.to_le_bytes(), parties.to_le_bytes()].concat();
        let mut stream = self.ceremony.stream("serving points", &shape);
        let serving_points =
            self.serving.share_points(self.ceremony.crs(), threshold, parties, &mut stream).step(step)?;
        let mut stream = self.ceremony.stream("blinding", &shape);
        let blinding = check_of(layout, self.ceremony.crs()).deal_blinding(threshold, parties, &mut stream);
        let halves = self.pair_halves.iter().cloned();
        let gate_seeds = self.gate_seeds.iter().map(|seed| GateSeed::from_bytes(*seed.expose_bytes()));
        Ok(points
            .into_iter()
            .zip(serving_points)
            .zip(halves.zip(gate_seeds).zip(blinding))
            .map(|((aggregation, serving), ((pair_half, gate_seed), blinding))| Dealing {
                aggregation,
                serving,
                pair_half,
                group_part: group_part.clone(),
                gate_seed,
                blinding,
            })
            .collect())
    }
}

/// Every key of the newest epoch that this hospital keeps, one byte string each: the owner of the vault may look for
/// them where they must not be.
///
/// # Errors
/// [`SealedError`]; [`VaultError::NoRecord`](crate::vault::VaultError::NoRecord) before the ceremony dealt.
pub fn epoch_keys(vault: &Vault) -> Result<Vec<Vec<u8>>, SealedError> {
    let bytes = vault.get(RECORD)?;
    let parts =
        Parts::from_bytes(&bytes).map_err(|source| SealedError::Malformed { record: RECORD.to_owned(), source })?;
    let own = [&parts.seed, &parts.vault, &parts.group, &parts.gate];
    let mut all: Vec<Vec<u8>> = own.map(|key| key.to_vec()).to_vec();
    all.extend(parts.pairs.iter().chain(&parts.gate_seeds).map(|(_, key)| key.to_vec()));
    all.extend(parts.shares.iter().map(|share| share.to_vec()));
    all.push(parts.serving.to_vec());
    Ok(all)
}

/// All keys of one epoch.
pub(crate) struct Keyring {
    pub(crate) secret: AggregationSecret,
    pub(crate) decryptor: Decryptor,
    pub(crate) group: MaskKey,
    pub(crate) vault: VaultSecret,
    pub(crate) pairs: BTreeMap<u16, MaskKey>,
    /// Point of the sum of all serving secrets.
    pub(crate) serving: ServingKeyShare,
    /// What this hospital encrypts queries and its part of the published model with.
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
    serving: Zeroizing<Vec<u8>>,
    gate: Zeroizing<[u8; 32]>,
    gate_seeds: Vec<(u16, Zeroizing<[u8; 32]>)>,
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
        layout: &LaneLayout,
        party: u16,
        vault: &Vault,
    ) -> Result<Self, HospitalError> {
        let step = "putting the keys together";
        let crs = own.ceremony.crs();
        let epoch = crs.epoch();
        let group_parts: Vec<(u16, &[u8; 32])> =
            dealings.iter().map(|(dealer, dealing)| (*dealer, &*dealing.group_part)).collect();
        let group = MaskKey::group(&epoch, &group_parts);
        let mut pairs = Vec::new();
        for (dealer, dealing) in dealings.iter().filter(|(dealer, _)| *dealer != party) {
            let Some(half) = own.pair_halves.get(usize::from(*dealer) - 1) else { continue };
            let key = MaskKey::pair(&epoch, (party, half), (*dealer, &dealing.pair_half));
            pairs.push((*dealer, key.expose_bytes()));
        }
        let mut serving: Option<ServingKeyShare> = None;
        let (mut shares, mut gate_seeds) = (Vec::new(), Vec::new());
        for (dealer, dealing) in dealings {
            gate_seeds.push((dealer, dealing.gate_seed.expose_bytes()));
            shares.push(dealing.aggregation.expose_bytes());
            match &mut serving {
                None => serving = Some(dealing.serving),
                Some(sum) => sum.absorb(&dealing.serving).step(step)?,
            }
        }
        let serving = serving.ok_or(HospitalError::NoKeys { step })?;
        let parts = Parts {
            seed: own.secret.expose_seed(),
            vault: own.ceremony.bytes("vault secret", &[]),
            group: group.expose_bytes(),
            pairs,
            shares,
            serving: serving.to_bytes(),
            gate: own.ceremony.bytes("gate secret", &[]),
            gate_seeds,
        };
        vault.put(RECORD, &parts.to_bytes())?;
        Self::from_parts(&parts, layout, crs, party)
    }

    /// Reads the keys of an epoch back from the vault.
    ///
    /// # Errors
    /// [`HospitalError::Vault`] where there are none.
    pub(crate) fn load(layout: &LaneLayout, crs: &Crs, party: u16, vault: &Vault) -> Result<Self, HospitalError> {
        let bytes = vault.get(RECORD)?;
        let parts = Parts::from_bytes(&bytes).step("reading the vault's keys")?;
        Self::from_parts(&parts, layout, crs, party)
    }

    /// Digest by which hospitals compare their group keys without showing them.
    pub(crate) fn group_digest(&self) -> Digest {
        let mut bytes = Zeroizing::new(b"consilium group key check v1".to_vec());
        bytes.extend_from_slice(self.group.expose_bytes().as_ref());
        Digest::of_bytes(&bytes)
    }

    fn from_parts(parts: &Parts, layout: &LaneLayout, crs: &Crs, party: u16) -> Result<Self, HospitalError> {
        let step = "reading the keys of this epoch";
        let epoch = crs.epoch();
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
            serving: ServingKeyShare::from_bytes(&parts.serving, crs).step(step)?,
            gate: GateSecret::generate(crs.preset(), party, &mut Stream::from_seed(*parts.gate)).step(step)?,
            gate_seeds: parts.gate_seeds.iter().map(|(of, seed)| (*of, GateSeed::from_bytes(**seed))).collect(),
        })
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
        writer.bytes(&self.serving);
        writer.array(&self.gate);
        writer.count(self.gate_seeds.len());
        for (dealer, seed) in &self.gate_seeds {
            writer.u16(*dealer);
            writer.array(seed);
        }
        Zeroizing::new(writer.into_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, protocol::codec::DecodeError> {
        let parties = protocol::limits::PARTIES_MAX;
        let mut reader = Reader::new(bytes);
        let mut key = || reader.array().map(Zeroizing::new);
        let (seed, vault, group) = (key()?, key()?, key()?);
        let pairs = keys_of(&mut reader, "mask keys")?;
        let count = reader.count("key shares", parties, 4)?;
        let shares = (0..count)
            .map(|_| Ok(Zeroizing::new(reader.bytes("key share", PART_BYTES_MAX)?.to_vec())))
            .collect::<Result<_, protocol::codec::DecodeError>>()?;
        let serving = Zeroizing::new(reader.bytes("serving key share", PART_BYTES_MAX)?.to_vec());
        let gate = Zeroizing::new(reader.array()?);
        let gate_seeds = keys_of(&mut reader, "gate seeds")?;
        Ok(Self { seed, vault, group, pairs, shares, serving, gate, gate_seeds })
    }
}

/// A key of each of several hospitals.
type KeyOf = (u16, Zeroizing<[u8; 32]>);

fn keys_of(reader: &mut Reader<'_>, what: &'static str) -> Result<Vec<KeyOf>, protocol::codec::DecodeError> {
    let count = reader.count(what, protocol::limits::PARTIES_MAX, 34)?;
    (0..count).map(|_| Ok((reader.u16()?, Zeroizing::new(reader.array()?)))).collect()
}
