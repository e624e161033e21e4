//! The frozen parameter sets.
//!
//! Seven presets, each a ring degree and a split of one prime list into the
//! special modulus P, the base of Q and the levels of Q. Every preset's
//! modulus is compared with its security limit at compile time.

use crate::error::Error;
use crate::ring::Limb;
use crate::ring::primes::{NON_RESIDUES, PRIMES, log2_product_upper};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// A named parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Preset {
    /// Training rounds of up to 16 hospitals.
    Agg13 = 1,
    /// Training rounds of up to 64 hospitals.
    Agg14 = 2,
    /// Small CKKS set for fast tests; depth 4 at scale 2^30.
    Inf13 = 3,
    /// CKKS, depth 8 at scale 2^30; only where the receiver holds the key.
    Inf14x30 = 4,
    /// CKKS, depth 7 at scale 2^60.
    Inf15x60 = 5,
    /// CKKS, depth 5 at scale 2^90; the default for threshold release.
    Inf15x90 = 6,
    /// CKKS, depth 8 at scale 2^30, to train on ciphertexts: the hospitals refresh them, and release none.
    Trn14 = 7,
}

/// What defines a preset; all other fields of [`Params`] follow.
struct Shape {
    preset: Preset,
    log_n: u32,
    special: usize,
    base: usize,
    levels: usize,
    limbs_per_level: usize,
    alpha: usize,
}

impl Shape {
    const fn limbs(&self) -> usize {
        self.special + self.base + self.levels * self.limbs_per_level
    }
}

const SHAPES: [Shape; 7] = [
    shape(Preset::Agg13, 13, 0, 7, (0, 0), 0),
    shape(Preset::Agg14, 14, 0, 14, (0, 0), 0),
    shape(Preset::Inf13, 13, 1, 2, (4, 1), 1),
    shape(Preset::Inf14x30, 14, 4, 2, (8, 1), 3),
    shape(Preset::Inf15x60, 15, 6, 3, (7, 2), 5),
    shape(Preset::Inf15x90, 15, 6, 4, (5, 3), 5),
    shape(Preset::Trn14, 14, 3, 3, (8, 1), 3),
];

const fn shape(
    preset: Preset,
    log_n: u32,
    special: usize,
    base: usize,
    (levels, limbs_per_level): (usize, usize),
    alpha: usize,
) -> Shape {
    Shape { preset, log_n, special, base, levels, limbs_per_level, alpha }
}

/// Largest `log2(QP)` for 128-bit classical security with a ternary secret
/// and error deviation 3.2; zero where no limit is known.
///
/// Source: Bossuat et al., "Security Guidelines for Implementing Homomorphic
/// Encryption", ePrint 2024/463.
pub const fn security_limit(n: usize) -> u32 {
    match n {
        4096 => 106,
        8192 => 214,
        16384 => 430,
        32768 => 868,
        65536 => 1747,
        _ => 0,
    }
}

const _: () = {
    let mut i = 0;
    while i < SHAPES.len() {
        let limit = security_limit(1 << SHAPES[i].log_n) as u64;
        assert!(log2_product_upper(SHAPES[i].limbs()) <= limit << 16, "a preset exceeds its security limit");
        i += 1;
    }
};

static TABLES: [LazyLock<Params>; 7] = [
    LazyLock::new(|| Params::from_shape(&SHAPES[0])),
    LazyLock::new(|| Params::from_shape(&SHAPES[1])),
    LazyLock::new(|| Params::from_shape(&SHAPES[2])),
    LazyLock::new(|| Params::from_shape(&SHAPES[3])),
    LazyLock::new(|| Params::from_shape(&SHAPES[4])),
    LazyLock::new(|| Params::from_shape(&SHAPES[5])),
    LazyLock::new(|| Params::from_shape(&SHAPES[6])),
];

impl Preset {
    /// Every preset, in the order of its wire number.
    pub const ALL: [Preset; 7] = [
        Preset::Agg13,
        Preset::Agg14,
        Preset::Inf13,
        Preset::Inf14x30,
        Preset::Inf15x60,
        Preset::Inf15x90,
        Preset::Trn14,
    ];

    /// The checked parameters with their transform tables, built on first use.
    pub fn params(self) -> &'static Params {
        &TABLES[self as usize - 1]
    }

    /// The number that stands for this preset on the wire, from 1.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The preset of a wire number.
    pub fn from_number(number: u8) -> Option<Self> {
        Preset::ALL.into_iter().find(|p| p.number() == number)
    }

    /// The name used in configurations and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Preset::Agg13 => "AGG13",
            Preset::Agg14 => "AGG14",
            Preset::Inf13 => "INF13",
            Preset::Inf14x30 => "INF14-30",
            Preset::Inf15x60 => "INF15-60",
            Preset::Inf15x90 => "INF15-90",
            Preset::Trn14 => "TRN14",
        }
    }

    /// Whether answers may be released under it. What is trained under [`Preset::Trn14`] is refreshed, never released:
    /// its last refresh is under a serving key.
    pub const fn releases(self) -> bool {
        matches!(self, Preset::Inf13 | Preset::Inf14x30 | Preset::Inf15x60 | Preset::Inf15x90)
    }

    /// Whether its ciphertexts may be refreshed. No preset is for both: a release and a refresh of the same numbers
    /// would cost one unit of an epoch's flooding between them.
    pub const fn refreshes(self) -> bool {
        matches!(self, Preset::Trn14)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Preset::ALL.into_iter().find(|p| p.name() == name).ok_or(Error::UnknownPreset)
    }
}

/// One parameter set with the transform tables of its primes.
///
/// The fields are public for reading; the only instances are the presets'.
#[derive(Debug)]
pub struct Params {
    /// The preset these are.
    pub preset: Preset,
    /// Ring degree N, a power of two.
    pub n: usize,
    /// Limbs of Q: the base first, then one group per level.
    pub q: Vec<Limb>,
    /// Limbs of the special modulus P; empty for the AGG presets.
    pub p: Vec<Limb>,
    /// Primes per key-switching digit; 0 for the AGG presets.
    pub alpha: usize,
    /// Limbs of Q that remain at the lowest level.
    pub base_limbs: usize,
    /// Limbs dropped by one rescaling; 0 for the AGG presets.
    pub limbs_per_level: usize,
    digest: [u8; 32],
}

impl Params {
    fn from_shape(shape: &Shape) -> Self {
        let n = 1 << shape.log_n;
        let limb = |i: usize| Limb::new(i as u32, PRIMES[i], NON_RESIDUES[i], n);
        let p: Vec<Limb> = (0..shape.special).map(limb).collect();
        let q: Vec<Limb> = (shape.special..shape.limbs()).map(limb).collect();
        let mut hash = Sha256::new();
        hash.update(b"he-agg/params/v1");
        hash.update([shape.preset.number()]);
        for field in [n, shape.special, shape.base, shape.levels, shape.limbs_per_level, shape.alpha] {
            hash.update((field as u64).to_le_bytes());
        }
        for limb in p.iter().chain(&q) {
            hash.update(limb.modulus().value().to_le_bytes());
            hash.update(limb.root().to_le_bytes());
        }
        Params {
            preset: shape.preset,
            n,
            q,
            p,
            alpha: shape.alpha,
            base_limbs: shape.base,
            limbs_per_level: shape.limbs_per_level,
            digest: hash.finalize().into(),
        }
    }

    /// The same shape over a smaller ring. For tests: it has no security.
    #[doc(hidden)]
    pub fn toy(preset: Preset, log_n: u32) -> Self {
        let shape = &SHAPES[preset as usize - 1];
        Params::from_shape(&Shape { log_n, ..*shape })
    }

    /// `log2` of the scale.
    pub fn scale_bits(&self) -> u32 {
        30 * self.limbs_per_level as u32
    }

    /// The nominal CKKS scale: 2^30, 2^60 or 2^90; 1 for the AGG presets.
    pub fn scale(&self) -> f64 {
        f64::from(self.scale_bits()).exp2()
    }

    /// Rescalings that a fresh ciphertext allows.
    pub fn depth(&self) -> usize {
        (self.q.len() - self.base_limbs).checked_div(self.limbs_per_level).unwrap_or(0)
    }

    /// Complex slots of a ciphertext, N/2.
    pub fn slots(&self) -> usize {
        self.n / 2
    }

    /// `log2(QP)`.
    pub fn log_qp(&self) -> f64 {
        self.p.iter().chain(&self.q).map(|limb| f64::from(limb.modulus().value()).log2()).sum()
    }

    /// `log2` of the product of the first `limbs` primes of Q.
    pub fn log_q(&self, limbs: usize) -> f64 {
        self.q[..limbs].iter().map(|limb| f64::from(limb.modulus().value()).log2()).sum()
    }

    /// The largest `log2(QP)` for 128-bit classical security at this degree.
    pub fn limit(&self) -> u32 {
        security_limit(self.n)
    }

    /// SHA-256 over everything that defines the arithmetic.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The basis of `Q_limbs P`: the first `limbs` primes of Q, then all of P.
    pub fn qp(&self, limbs: usize) -> Vec<Limb> {
        self.q[..limbs].iter().chain(&self.p).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_the_published_shape() {
        let expected = [
            ("AGG13", 8192, 7, 0, 0, 209.97, 214),
            ("AGG14", 16384, 14, 0, 0, 419.89, 430),
            ("INF13", 8192, 6, 1, 4, 209.97, 214),
            ("INF14-30", 16384, 10, 4, 8, 419.89, 430),
            ("INF15-60", 32768, 17, 6, 7, 689.73, 868),
            ("INF15-90", 32768, 19, 6, 5, 749.68, 868),
            ("TRN14", 16384, 11, 3, 8, 419.89, 430),
        ];
        for (name, n, q, p, depth, log_qp, limit) in expected {
            let params = name.parse::<Preset>().unwrap().params();
            assert_eq!(params.preset.to_string(), name);
            assert_eq!((params.n, params.q.len(), params.p.len()), (n, q, p));
            assert_eq!((params.depth(), params.limit()), (depth, limit));
            assert!((params.log_qp() - log_qp).abs() < 0.006, "{name}");
            assert!(params.log_qp() <= f64::from(limit));
        }
        assert_eq!("agg13".parse::<Preset>(), Err(Error::UnknownPreset));
    }

    #[test]
    fn special_primes_come_first_in_the_frozen_list() {
        let params = Preset::Inf14x30.params();
        assert_eq!(params.p[0].modulus().value(), PRIMES[0]);
        assert_eq!(params.q[0].modulus().value(), PRIMES[4]);
        assert_eq!(params.scale(), 2f64.powi(30));
        let digests: std::collections::BTreeSet<_> = Preset::ALL.iter().map(|p| p.params().digest()).collect();
        assert_eq!(digests.len(), Preset::ALL.len());
    }
}
