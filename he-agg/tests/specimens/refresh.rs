//! The objects of a refresh under TRN14 by two hospitals.

use he_agg::Preset;
use he_agg::Stream;
use he_agg::aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret};
use he_agg::ckks::{Encoder, GatedCiphertext};
use he_agg::multiparty::{
    BlindedRefresh, Crs, GateHolder, GateSecret, OpeningPermit, PublicKeyShare, PublicKeySum, Quorum, RefreshContext,
    RefreshEmbedding, RefreshKeys, RefreshPermit, RefreshRequest, RefreshShare, RefreshSum, RefreshTarget,
    ServingSecret,
};
use std::collections::BTreeMap;

const PARTIES: u16 = 2;

/// A refresh of zeros, whose bytes owe nothing to a platform's sine, by both hospitals; the first opens.
pub(crate) struct Refresh {
    pub(crate) context: RefreshContext,
    /// Of the second hospital.
    pub(crate) share: RefreshShare,
    pub(crate) mask: GatedCiphertext,
    pub(crate) blinded: BlindedRefresh,
    pub(crate) opening: GatedCiphertext,
}

impl Refresh {
    pub(crate) fn new() -> Self {
        let (preset, mut stream) = (Preset::Trn14, Stream::from_seed([0x72; 32]));
        let (params, crs) = (preset.params(), Crs::new(preset, [7; 32]));
        let secrets: Vec<_> =
            (1..=PARTIES).map(|party| ServingSecret::generate(preset, party, &mut stream).unwrap()).collect();
        let mut sum = PublicKeySum::new(&crs, PARTIES).unwrap();
        for secret in &secrets {
            sum.absorb(&PublicKeyShare::generate(secret, &crs, &mut stream).unwrap()).unwrap();
        }
        let zeros = Encoder::new(preset).unwrap().encode(&[], 20f64.exp2(), params.base_limbs).unwrap();
        let ciphertext = sum.finish().unwrap().encrypt(&zeros, &mut stream).unwrap();
        let mut points = secrets[0].share_points(&crs, PARTIES, PARTIES, &mut stream).unwrap();
        for (held, dealt) in
            points.iter_mut().zip(secrets[1].share_points(&crs, PARTIES, PARTIES, &mut stream).unwrap())
        {
            held.absorb(&dealt).unwrap();
        }
        let flooding = Flooding::secure(48, 1 << 12).unwrap();
        let request =
            RefreshRequest { program: [3; 32], step: 5, attempt: 1, part: 2, opener: 1, flooding, message_log2: 39 };
        let target = RefreshTarget::new(&crs, params.q.len(), RefreshEmbedding::SameRing).unwrap();
        let quorum = Quorum { threshold: PARTIES, parties: PARTIES };
        let context = RefreshContext::new(&crs, quorum, request, ciphertext, target, &[1, 2]).unwrap();

        let group = MaskKey::from_bytes([0x47; 32]);
        let gates: Vec<_> =
            (1..=PARTIES).map(|party| GateSecret::generate(preset, party, &mut stream).unwrap()).collect();
        let vaults = [0x61, 0x62].map(|byte| VaultSecret::from_bytes([byte; 32]));
        let mut made = Vec::new();
        for (at, key) in points.iter().enumerate() {
            let (mut ledger, vault) = (MemoryLedger::new(flooding), &vaults[at]);
            let pairs = BTreeMap::from([(PARTIES - at as u16, MaskKey::from_bytes([0x55; 32]))]);
            let permit = RefreshPermit::claim(&mut ledger, &context).unwrap();
            let mut gate = GateHolder { secret: &gates[at], crs: &crs, vault, ledger: &mut ledger };
            let keys = RefreshKeys { key, pairs: &pairs, group: &group, vault };
            made.push(RefreshShare::generate(permit, &context, keys, &mut gate).unwrap());
        }
        let mut sum = RefreshSum::new(&context);
        made.iter().for_each(|(share, _)| sum.absorb(share).unwrap());
        let blinded = sum.finish().unwrap();
        let mut ledger = MemoryLedger::new(flooding);
        let permit = OpeningPermit::claim(&mut ledger, &context, &blinded).unwrap();
        let mut gate = GateHolder { secret: &gates[0], crs: &crs, vault: &vaults[0], ledger: &mut ledger };
        let opening = blinded.open(permit, &context, &group, &mut gate).unwrap();
        let (share, mask) = made.swap_remove(1);
        Self { context, share, mask, blinded, opening }
    }

    /// Every object of its own kind under its name.
    pub(crate) fn objects(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![("refresh-share", self.share.to_bytes().to_vec()), ("blinded-refresh", self.blinded.to_bytes())]
    }
}
