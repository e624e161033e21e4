//! The one secret from which a hospital makes everything random of an epoch's key ceremony.
//!
//! It is sealed before its first use, so a process that comes back makes the same keys and shares. Every use has a
//! stream of its own, named by the step and by what goes into it: other inputs never meet the same noise. It is bound
//! to the epoch seed, which all hospitals fix together, and removed when all keys exist.

use he_agg::multiparty::Crs;
use he_agg::{Expander, Stream};
use protocol::codec::{DecodeError, Reader, Writer};
use protocol::ids::Digest;
use protocol::message::KeySet;
use zeroize::Zeroizing;

use super::error::{HospitalError, Step};
use super::sealed::SealedError;
use crate::vault::Vault;

/// The record's name within its epoch.
pub(super) const RECORD: &str = "ceremony";

/// The secret of one epoch, as one set of keys is made of it.
pub(crate) struct CeremonySecret {
    secret: Zeroizing<[u8; 32]>,
    crs: Crs,
    seed: Digest,
    set: KeySet,
}

impl CeremonySecret {
    /// The epoch's secret, drawn and sealed at the first call.
    ///
    /// # Errors
    /// [`HospitalError::OtherCeremony`] where keys were made for another epoch seed before, [`HospitalError::Vault`].
    pub(super) fn begin(
        vault: &Vault,
        record: &str,
        preset: he_agg::Preset,
        seed: Digest,
    ) -> Result<Self, HospitalError> {
        if let Some(known) = Self::load(vault, record, preset)? {
            let same = known.seed == seed;
            return if same { Ok(known) } else { Err(HospitalError::OtherCeremony { what: "epoch seed" }) };
        }
        let secret = Zeroizing::new(Stream::from_os().step("drawing the ceremony's secret")?.seed());
        let mut writer = Writer::default();
        writer.array(&secret);
        writer.array(&seed.0);
        vault.put(record, &Zeroizing::new(writer.into_bytes()))?;
        Ok(Self { secret, crs: Crs::new(preset, seed.0), seed, set: KeySet::Serving })
    }

    /// The epoch's secret, if its ceremony began here and is not over.
    ///
    /// # Errors
    /// [`HospitalError::Vault`].
    pub(super) fn load(vault: &Vault, record: &str, preset: he_agg::Preset) -> Result<Option<Self>, HospitalError> {
        if !vault.contains(record) {
            return Ok(None);
        }
        let bytes = vault.get(record)?;
        let (secret, seed) =
            decode(&bytes).map_err(|source| SealedError::Malformed { record: record.to_owned(), source })?;
        Ok(Some(Self { secret, crs: Crs::new(preset, seed.0), seed, set: KeySet::Serving }))
    }

    /// The same secret for the keys that a head is trained under, of this parameter set.
    pub(super) fn of_training(&self, preset: he_agg::Preset) -> Self {
        let (crs, set) = (Crs::new(preset, self.seed.0), KeySet::Training);
        Self { secret: self.secret.clone(), crs, seed: self.seed, set }
    }

    /// The epoch seed that it is bound to.
    pub(super) fn seed(&self) -> Digest {
        self.seed
    }

    /// The common randomness that belongs to it.
    pub(crate) fn crs(&self) -> &Crs {
        &self.crs
    }

    /// The randomness of one step with one input. `purpose` names the step; `inputs` are all bytes on which the result
    /// depends besides the keys.
    pub(crate) fn stream(&self, purpose: &str, inputs: &[u8]) -> Stream {
        let context = [self.seed.0, Digest::of_bytes(inputs).0].concat();
        let purpose = match self.set {
            KeySet::Serving => format!("ceremony/{purpose}"),
            KeySet::Training => format!("ceremony/training/{purpose}"),
        };
        Expander::with_context(&self.secret, &purpose, self.crs.preset(), &[], &context).sampler(0)
    }

    /// 32 bytes of one step with one input.
    pub(crate) fn bytes(&self, purpose: &str, inputs: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.stream(purpose, inputs).seed())
    }
}

type Contents = (Zeroizing<[u8; 32]>, Digest);

fn decode(bytes: &[u8]) -> Result<Contents, DecodeError> {
    let mut reader = Reader::new(bytes);
    let contents = (Zeroizing::new(reader.array()?), Digest(reader.array()?));
    match reader.left() {
        0 => Ok(contents),
        left => Err(DecodeError::Trailing { left }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use he_agg::Preset;

    fn vault(folder: &tempfile::TempDir) -> Vault {
        Vault::for_tests(&folder.path().join("vault"))
    }

    fn begin(vault: &Vault, seed: u8) -> Result<CeremonySecret, HospitalError> {
        CeremonySecret::begin(vault, RECORD, Preset::Inf13, Digest([seed; 32]))
    }

    #[test]
    fn the_secret_is_drawn_once_and_bound_to_the_epoch_seed() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(&folder);
        assert!(CeremonySecret::load(&vault, RECORD, Preset::Inf13).unwrap().is_none());
        let first = *begin(&vault, 1).unwrap().bytes("step", b"input");
        assert_eq!(*begin(&vault, 1).unwrap().bytes("step", b"input"), first);
        let read = CeremonySecret::load(&vault, RECORD, Preset::Inf13).unwrap().unwrap();
        assert_eq!(*read.bytes("step", b"input"), first);
        assert!(matches!(begin(&vault, 2), Err(HospitalError::OtherCeremony { what: "epoch seed" })));
        vault.put(RECORD, &[0; 65]).unwrap();
        assert!(matches!(begin(&vault, 1), Err(HospitalError::Sealed(SealedError::Malformed { .. }))));
    }

    #[test]
    fn steps_inputs_seeds_and_sites_never_share_noise() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders.each_ref().map(vault);
        let bytes = |vault: &Vault, purpose, inputs: &[u8]| *begin(vault, 1).unwrap().bytes(purpose, inputs);
        let mut seen = std::collections::BTreeSet::from([
            bytes(&one, "step", b"input"),
            bytes(&one, "step", b"inpus"),
            bytes(&one, "steq", b"input"),
            bytes(&other, "step", b"input"),
        ]);
        // The same secret under another epoch seed, as after a restored backup.
        let mut record = one.get(RECORD).unwrap().to_vec();
        record[32..].fill(2);
        one.put(RECORD, &record).unwrap();
        seen.insert(*begin(&one, 2).unwrap().bytes("step", b"input"));
        // Another set of keys, even if its parameters were the same.
        for preset in [Preset::Inf13, Preset::Trn14] {
            seen.insert(*begin(&other, 1).unwrap().of_training(preset).bytes("step", b"input"));
        }
        assert_eq!(seen.len(), 7);
    }
}
