//! What one hospital deals to another: Shamir points of all secrets, half of their mask key, a part of the group key,
//! the seeds of its masks in the other's gates, what hides the points when they are checked.

use he_agg::aggregation::{KeyShare, LaneLayout};
use he_agg::dealing_check::{BlindingPoint, DealingCheck};
use he_agg::multiparty::{GateSeed, ServingKeyShare};
use protocol::codec::{DecodeError, Reader, Writer};
use protocol::limits::DEALING_PRIMES_MAX;
use protocol::message::KeySet;
use zeroize::Zeroizing;

use super::key_crs::KeyCrs;

/// Largest point inside a dealing; a point of AGG14 has 860 KB.
const POINT_BYTES_MAX: usize = 4 << 20;

/// The contents of one sealed box.
pub(crate) struct Dealing {
    /// Point of the secret of updates.
    pub(crate) aggregation: KeyShare,
    /// Of every set of keys, that of serving first.
    pub(crate) collective: Vec<DealtPoint>,
    /// The dealer's half of the pair's mask key.
    pub(crate) pair_half: Zeroizing<[u8; 32]>,
    /// The dealer's part of the hospitals' group key, the same in all its boxes.
    pub(crate) group_part: Zeroizing<[u8; 32]>,
    /// Hides what the receiver shows of the points.
    pub(crate) blinding: BlindingPoint,
}

/// What belongs to one set of keys.
pub(crate) struct DealtPoint {
    /// Point of the secret.
    pub(crate) share: ServingKeyShare,
    /// Of the dealer's mask in the receiver's gate.
    pub(crate) gate_seed: GateSeed,
}

/// How dealings are checked under these keys.
pub(crate) fn check_of(layout: &LaneLayout, crs: &KeyCrs) -> DealingCheck {
    let check = DealingCheck::new(layout.params(), crs.serving().preset().params());
    match crs.of(KeySet::Training) {
        Some(training) => check.with_training(training.preset().params()),
        None => check,
    }
}

impl Dealing {
    /// The plaintext of a box, to be sealed at once.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        writer.bytes(&self.aggregation.expose_bytes());
        for point in &self.collective {
            writer.bytes(&point.share.to_bytes());
            writer.array(&point.gate_seed.expose_bytes());
        }
        writer.array(&self.pair_half);
        writer.array(&self.group_part);
        writer.count(self.blinding.expose().len());
        self.blinding.expose().iter().for_each(|value| writer.u32(*value));
        Zeroizing::new(writer.into_bytes())
    }

    /// Reads an opened box.
    ///
    /// # Errors
    /// What is malformed, or of another epoch, layout, dealer or receiver.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        layout: &LaneLayout,
        crs: &KeyCrs,
        dealer: u16,
        receiver: u16,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut reader = Reader::new(bytes);
        let epoch = crs.serving().epoch();
        let aggregation = KeyShare::from_bytes(reader.bytes("key share", POINT_BYTES_MAX)?, layout, &epoch)?;
        let mut collective = Vec::new();
        for crs in crs.all() {
            let share = ServingKeyShare::from_bytes(reader.bytes("serving key share", POINT_BYTES_MAX)?, crs)?;
            collective.push(DealtPoint { share, gate_seed: GateSeed::from_bytes(reader.array()?) });
        }
        let (pair_half, group_part) = (Zeroizing::new(reader.array()?), Zeroizing::new(reader.array()?));
        let primes = reader.count("blinding", DEALING_PRIMES_MAX, 4)?;
        let blinding = (0..primes).map(|_| reader.u32()).collect::<Result<_, _>>()?;
        let blinding = BlindingPoint::from_values(Zeroizing::new(blinding), check_of(layout, crs))?;
        match reader.left() {
            0 => {}
            left => return Err(DecodeError::Trailing { left }.into()),
        }
        let named = (aggregation.dealer(), aggregation.receiver());
        let is_of =
            |DealtPoint { share, .. }: &DealtPoint| share.holder() == receiver && share.dealers().iter().eq([dealer]);
        if named != (dealer, receiver) || !collective.iter().all(is_of) {
            return Err(DecodeError::Value { what: "dealer or receiver", value: u64::from(named.0) }.into());
        }
        Ok(Self { aggregation, collective, pair_half, group_part, blinding })
    }
}
