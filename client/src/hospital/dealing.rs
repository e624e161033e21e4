//! What one hospital deals to another: Shamir points of both secrets, half of their mask key, a part of the group key,
//! the seed of its mask in the other's gate, what hides the points when they are checked.

use he_agg::aggregation::{KeyShare, LaneLayout};
use he_agg::dealing_check::{BlindingPoint, DealingCheck};
use he_agg::multiparty::{Crs, GateSeed, ServingKeyShare};
use protocol::codec::{DecodeError, Reader, Writer};
use protocol::limits::DEALING_PRIMES_MAX;
use zeroize::Zeroizing;

/// Largest point inside a dealing; a point of AGG14 has 860 KB.
const POINT_BYTES_MAX: usize = 4 << 20;

/// The contents of one sealed box.
pub(crate) struct Dealing {
    /// Point of the training secret.
    pub(crate) aggregation: KeyShare,
    /// Point of the serving secret.
    pub(crate) serving: ServingKeyShare,
    /// The dealer's half of the pair's mask key.
    pub(crate) pair_half: Zeroizing<[u8; 32]>,
    /// The dealer's part of the hospitals' group key, the same in all its boxes.
    pub(crate) group_part: Zeroizing<[u8; 32]>,
    /// Of the dealer's mask in the receiver's gate.
    pub(crate) gate_seed: GateSeed,
    /// Hides what the receiver shows of the points.
    pub(crate) blinding: BlindingPoint,
}

/// How dealings are checked under these keys.
pub(crate) fn check_of(layout: &LaneLayout, crs: &Crs) -> DealingCheck {
    DealingCheck::new(layout.params(), crs.preset().params())
}

impl Dealing {
    /// The plaintext of a box, to be sealed at once.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        writer.bytes(&self.aggregation.expose_bytes());
        writer.bytes(&self.serving.to_bytes());
        writer.array(&self.pair_half);
        writer.array(&self.group_part);
        writer.array(&self.gate_seed.expose_bytes());
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
        crs: &Crs,
        dealer: u16,
        receiver: u16,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut reader = Reader::new(bytes);
        let aggregation = KeyShare::from_bytes(reader.bytes("key share", POINT_BYTES_MAX)?, layout, &crs.epoch())?;
        let serving = ServingKeyShare::from_bytes(reader.bytes("serving key share", POINT_BYTES_MAX)?, crs)?;
        let (pair_half, group_part) = (Zeroizing::new(reader.array()?), Zeroizing::new(reader.array()?));
        let gate_seed = GateSeed::from_bytes(reader.array()?);
        let primes = reader.count("blinding", DEALING_PRIMES_MAX, 4)?;
        let blinding = (0..primes).map(|_| reader.u32()).collect::<Result<_, _>>()?;
        let blinding = BlindingPoint::from_values(Zeroizing::new(blinding), check_of(layout, crs))?;
        match reader.left() {
            0 => {}
            left => return Err(DecodeError::Trailing { left }.into()),
        }
        let named = (aggregation.dealer(), aggregation.receiver(), serving.holder());
        let dealt = serving.dealers().iter().eq([dealer]);
        if named != (dealer, receiver, receiver) || !dealt {
            return Err(DecodeError::Value { what: "dealer or receiver", value: u64::from(named.0) }.into());
        }
        Ok(Self { aggregation, serving, pair_half, group_part, gate_seed, blinding })
    }
}
