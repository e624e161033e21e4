//! What a hospital has of the keys of a head.

use std::collections::BTreeMap;

use he_agg::aggregation::{MaskKey, VaultSecret};
use he_agg::multiparty::{GateSecret, ServingKeyShare};

/// One hospital's secrets of the key that a head is trained under, and its gate of the key that it is served under.
pub struct HeadSecrets {
    /// The hospital, from 1.
    pub party: u16,
    /// Its points of everybody's secret.
    pub points: ServingKeyShare,
    /// Shared with every other hospital.
    pub pairs: BTreeMap<u16, MaskKey>,
    /// Of all hospitals.
    pub group: MaskKey,
    /// Where its noise comes from.
    pub vault: VaultSecret,
    /// Of the key that is trained under.
    pub gate: GateSecret,
    /// Of the key that is served under.
    pub serving_gate: GateSecret,
}
