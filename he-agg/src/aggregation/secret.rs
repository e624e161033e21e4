//! A hospital's secret of one epoch, and its Shamir shares.

use super::chunk_id::ChunkId;
use super::error::AggregationError;
use super::layout::LaneLayout;
use super::object::{self, Length};
use crate::params::Params;
use crate::ring::{Eval, Poly};
use crate::sampler;
use crate::stream::{Expander, Stream};
use crate::wire::Kind;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The ternary secret s_i of one hospital, one preset and one epoch.
///
/// It is expanded from a seed, the only part that a vault stores. The epoch
/// enters the expansion, so a seed used again gives an unrelated secret.
pub struct AggregationSecret {
    params: &'static Params,
    epoch: [u8; 32],
    seed: Zeroizing<[u8; 32]>,
    s: Zeroizing<Poly<Eval>>,
}

impl AggregationSecret {
    /// The secret that a seed gives in an epoch.
    pub fn from_seed(params: &'static Params, epoch: [u8; 32], seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let expander = Expander::with_context(&seed, "modeA/secret", params.preset, &[], &epoch);
        let values = sampler::ternary(&mut expander.sampler(0), params.n);
        let s = Zeroizing::new(Poly::from_signed(&values, &params.q).into_eval(&params.q));
        AggregationSecret { params, epoch, seed, s }
    }

    /// A secret from a fresh seed of the stream.
    pub fn generate(params: &'static Params, epoch: [u8; 32], stream: &mut Stream) -> Self {
        AggregationSecret::from_seed(params, epoch, stream.seed())
    }

    /// The seed, for the vault's file only.
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// The epoch it belongs to.
    pub fn epoch(&self) -> [u8; 32] {
        self.epoch
    }

    pub(super) fn eval(&self) -> &Poly<Eval> {
        &self.s
    }

    pub(super) fn params(&self) -> &'static Params {
        self.params
    }

    /// Deals the Shamir shares `S_i(j)`, j = 1 to n, where
    /// `S_i(Y) = s_i + sum of R_d Y^d` for d = 1 to t-1 with uniform `R_d`.
    ///
    /// Deterministic: dealing again after a crash gives the same shares.
    ///
    /// # Errors
    /// [`AggregationError::UnknownParty`].
    pub fn deal(&self, layout: &LaneLayout, dealer: u16) -> Result<Vec<KeyShare>, AggregationError> {
        layout.check_party(dealer)?;
        assert!(layout.params().digest() == self.params.digest(), "secret and layout have different parameters");
        let (parties, threshold) = (layout.parties(), layout.threshold());
        let (n, q) = (self.params.n, &self.params.q);
        let indices = [u64::from(parties), u64::from(threshold)];
        let dealing = Expander::with_context(&self.seed, "modeA/dealing", self.params.preset, &indices, &self.epoch);
        // Limb by limb, so that only t-1 limbs of coefficients live at a time.
        let limbs: Vec<Zeroizing<Vec<u32>>> = q
            .par_iter()
            .enumerate()
            .map(|(l, limb)| {
                let degree = usize::from(threshold) - 1;
                let mut coefficients = Zeroizing::new(vec![0u32; degree * n]);
                for (d, r) in coefficients.chunks_exact_mut(n).enumerate() {
                    let mut stream = dealing.stream(d as u32 + 1, limb.index());
                    stream.fill_uniform(limb.modulus().value(), r);
                }
                let mut points = Zeroizing::new(vec![0u32; usize::from(parties) * n]);
                for (j, point) in points.chunks_exact_mut(n).enumerate() {
                    let alpha = j as u32 + 1;
                    for r in coefficients.chunks_exact(n).rev() {
                        limb.add(point, r);
                        limb.mul_scalar(point, alpha);
                    }
                    limb.add(point, self.s.limb(l));
                }
                points
            })
            .collect();
        Ok((1..=parties)
            .map(|receiver| {
                let mut share = Zeroizing::new(Poly::zero(n, q.len()));
                let at = usize::from(receiver - 1) * n;
                for (l, points) in limbs.iter().enumerate() {
                    share.limb_mut(l).copy_from_slice(&points[at..at + n]);
                }
                KeyShare { params: self.params, epoch: self.epoch, dealer, receiver, threshold, share }
            })
            .collect())
    }
}

/// One Shamir point of a hospital's secret: t of them reveal it.
///
/// It leaves the dealer only inside a message sealed to its receiver.
pub struct KeyShare {
    params: &'static Params,
    epoch: [u8; 32],
    dealer: u16,
    receiver: u16,
    threshold: u16,
    share: Zeroizing<Poly<Eval>>,
}

impl KeyShare {
    /// The hospital whose secret is shared.
    pub fn dealer(&self) -> u16 {
        self.dealer
    }

    /// The hospital that holds this point; its number is the point.
    pub fn receiver(&self) -> u16 {
        self.receiver
    }

    /// The epoch it belongs to.
    pub fn epoch(&self) -> [u8; 32] {
        self.epoch
    }

    pub(crate) fn eval(&self) -> &Poly<Eval> {
        &self.share
    }

    /// The share in the clear: to be sealed to its receiver or put into its
    /// vault, and wiped.
    pub fn expose_bytes(&self) -> Zeroizing<Vec<u8>> {
        // The header's round and chunk carry the threshold and the receiver.
        let id = ChunkId {
            epoch: self.epoch,
            round: u32::from(self.threshold),
            attempt: 0,
            chunk: u32::from(self.receiver),
        };
        Zeroizing::new(object::write(Kind::KeyShare, self.params, &id, self.epoch, self.dealer, &self.share))
    }

    /// Reads and checks an opened share: parameters, epoch, threshold, party
    /// numbers, canonical residues.
    ///
    /// # Errors
    /// [`AggregationError`] naming the first fault.
    pub fn from_bytes(bytes: &[u8], layout: &LaneLayout, epoch: &[u8; 32]) -> Result<Self, AggregationError> {
        let (id, dealer, share) = object::read::<Eval>(bytes, Kind::KeyShare, Length::Ring(layout.params()))?;
        let share = Zeroizing::new(share);
        layout.check_party(dealer)?;
        let receiver = u16::try_from(id.chunk).unwrap_or(u16::MAX);
        layout.check_party(receiver)?;
        let threshold = layout.threshold();
        if id.epoch != *epoch || id.round != u32::from(threshold) || id.attempt != 0 {
            return Err(AggregationError::ForeignObject {
                object: "key share",
                round: id.round,
                attempt: id.attempt,
                chunk: id.chunk,
            });
        }
        Ok(KeyShare { params: layout.params(), epoch: *epoch, dealer, receiver, threshold, share })
    }
}
