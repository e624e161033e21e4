//! What the tests of the gate share: a ceremony whose hospitals all have gate keys, and the lift
//! computed from its definition in big integers.

use crate::aggregation::{Flooding, MemoryLedger, VaultSecret};
use crate::ckks::{Ciphertext, GatedCiphertext, Plaintext, SwitchingKey, digit_limbs, extended_basis};
use crate::multiparty::ideal::{Ceremony, toy};
use crate::multiparty::{
    Gate, GateKey, GateLabel, GatePermit, GateSecret, GateSeed, GateShare, GateSum, Gated, KeyPlan,
};
use crate::params::{Params, Preset};
use crate::ring::{Eval, Limb, Poly};
use num_bigint::BigInt;

/// A ceremony with a gate and its key for every hospital.
pub(super) struct Gates {
    pub(super) c: Ceremony,
    pub(super) limbs: usize,
    /// By asker, then by maker.
    pub(super) seeds: Vec<Vec<GateSeed>>,
    pub(super) gates: Vec<Gate>,
    pub(super) secrets: Vec<GateSecret>,
    pub(super) keys: Vec<GateKey>,
}

impl Gates {
    /// Gates of `limbs` limbs; every message goes through its bytes.
    pub(super) fn new(params: &'static Params, parties: u16, limbs: usize) -> Self {
        Self::with_plan(params, parties, limbs, &KeyPlan::default())
    }

    /// The same beside other keys.
    pub(super) fn with_plan(params: &'static Params, parties: u16, limbs: usize, plan: &KeyPlan) -> Self {
        let c = Ceremony::run(params, parties, plan, false);
        let mut gates = Self { c, limbs, seeds: vec![], gates: vec![], secrets: vec![], keys: vec![] };
        for asker in 1..=parties {
            gates.seeds.push((0..parties).map(|_| GateSeed::generate(&mut gates.c.stream)).collect());
            let shares: Vec<_> = (1..=parties).map(|maker| gates.share(maker, asker)).collect();
            let gate = gates.sum(asker, &shares);
            gates.gates.push(gate);
            let secret = GateSecret::over(params, asker, &mut gates.c.stream).unwrap();
            gates.secrets.push(secret);
            let key = gates.key(asker, gates.gates.len() - 1);
            gates.keys.push(key);
        }
        gates
    }

    /// Over INF15-90's primes and a small ring.
    pub(super) fn small(parties: u16) -> Self {
        let params = toy(Preset::Inf15x90, 5);
        Self::new(params, parties, params.base_limbs + params.limbs_per_level)
    }

    pub(super) fn share(&mut self, maker: u16, asker: u16) -> GateShare {
        let seed = &self.seeds[usize::from(asker) - 1][usize::from(maker) - 1];
        let (c, limbs) = (&mut self.c, self.limbs);
        let secret = &c.secrets[usize::from(maker) - 1];
        let share = GateShare::generate(secret, &c.crs, asker, limbs, seed, &mut c.stream).unwrap();
        GateShare::from_bytes(&share.to_bytes(), &c.crs).unwrap()
    }

    pub(super) fn sum(&self, asker: u16, shares: &[GateShare]) -> Gate {
        let mut sum = GateSum::new(&self.c.crs, asker, self.limbs, shares.len() as u16).unwrap();
        shares.iter().for_each(|share| sum.absorb(share).unwrap());
        Gate::from_bytes(&sum.finish().unwrap().to_bytes(), &self.c.crs).unwrap()
    }

    /// A key of the asker from one of the gates.
    pub(super) fn key(&mut self, asker: u16, gate: usize) -> GateKey {
        let seeds = named(&self.seeds[usize::from(asker) - 1]);
        let secret = &self.secrets[usize::from(asker) - 1];
        let key = GateKey::generate(secret, &self.c.crs, &self.gates[gate], &seeds, &mut self.c.stream).unwrap();
        GateKey::from_bytes(&key.to_bytes(), &self.c.crs).unwrap()
    }

    pub(super) fn encode(&self, values: &[f64], limbs: usize) -> Plaintext {
        self.c.encoder.encode(values, self.c.params.scale(), limbs).unwrap()
    }

    pub(super) fn encrypt(&self, label: GateLabel, plaintext: &Plaintext) -> GatedCiphertext {
        let permit = GatePermit::claim(&mut ledger(), &self.c.crs, label, plaintext).unwrap();
        let vault = VaultSecret::from_bytes([label.asker as u8; 32]);
        self.secrets[usize::from(label.asker) - 1].encrypt(permit, &vault).unwrap()
    }

    pub(super) fn lift(&self, ciphertext: &GatedCiphertext, label: GateLabel) -> Ciphertext {
        let key = &self.keys[usize::from(label.asker) - 1];
        self.c.evaluator.lift(ciphertext, &self.c.crs, label, key).unwrap()
    }

    /// The phase of a ciphertext, centred.
    pub(super) fn phase(&self, ciphertext: &Ciphertext) -> Vec<BigInt> {
        integers(&self.c.decrypt(ciphertext).poly, &self.c.params.q[..ciphertext.limbs()])
    }
}

pub(super) fn ledger() -> MemoryLedger {
    MemoryLedger::new(Flooding::secure(40, 1).unwrap())
}

pub(super) fn named(seeds: &[GateSeed]) -> Vec<(u16, &GateSeed)> {
    (1..).zip(seeds).collect()
}

pub(super) fn query(asker: u16, number: u64) -> GateLabel {
    GateLabel { what: Gated::Query, asker, number, part: 0 }
}

pub(super) fn modulus(basis: &[Limb]) -> BigInt {
    basis.iter().map(|limb| BigInt::from(limb.modulus().value())).product()
}

/// The representative in [-m/2, m/2).
pub(super) fn centred(x: BigInt, m: &BigInt) -> BigInt {
    let x: BigInt = ((x % m) + m) % m;
    if &x * 2u32 >= *m { x - m } else { x }
}

/// The coefficients modulo the product of `basis`, centred: Chinese remainders one prime at a time.
pub(super) fn integers(poly: &Poly<Eval>, basis: &[Limb]) -> Vec<BigInt> {
    let mut poly = poly.clone();
    poly.truncate(basis.len());
    let poly = poly.into_coeff(basis);
    let whole = modulus(basis);
    let terms: Vec<BigInt> = basis
        .iter()
        .map(|limb| {
            let q = limb.modulus();
            let others = &whole / q.value();
            let residue = (&others % q.value()).iter_u32_digits().next().unwrap_or(0);
            others * q.inv(residue)
        })
        .collect();
    let one = |k: usize| centred(terms.iter().enumerate().map(|(i, term)| term * poly.limb(i)[k]).sum(), &whole);
    (0..poly.n()).map(one).collect()
}

/// Modulo X^N + 1.
pub(super) fn multiply(x: &[BigInt], y: &[BigInt]) -> Vec<BigInt> {
    let n = x.len();
    let mut out = vec![BigInt::from(0); n];
    for (i, x) in x.iter().enumerate() {
        for (j, y) in y.iter().enumerate() {
            if i + j < n { out[i + j] += x * y } else { out[i + j - n] -= x * y }
        }
    }
    out
}

/// <h(a), y> / P, rounded, for integers y_j modulo P Q.
pub(super) fn switched(params: &Params, limbs: usize, a: &Poly<Eval>, halves: &[Vec<BigInt>]) -> Vec<BigInt> {
    vec_sum(params, limbs, &[(a, halves)])
}

/// As [`switched`], of several inner products with one division.
pub(super) fn vec_sum(params: &Params, limbs: usize, terms: &[(&Poly<Eval>, &[Vec<BigInt>])]) -> Vec<BigInt> {
    let (special, whole) = (modulus(&params.p), modulus(&extended_basis(params, limbs)));
    let mut sum = vec![BigInt::from(0); params.n];
    for (a, halves) in terms {
        let a = integers(a, &params.q[..limbs]);
        for (digit, half) in halves.iter().enumerate() {
            let place = modulus(&params.q[digit_limbs(params, limbs, digit)]);
            let h: Vec<_> = a.iter().map(|x| centred(x.clone(), &place)).collect();
            sum.iter_mut().zip(multiply(&h, half)).for_each(|(sum, x)| *sum += x);
        }
    }
    let divided = |x: BigInt| {
        let x = centred(x, &whole);
        let rest = centred(x.clone(), &special);
        (x - rest) / &special
    };
    sum.into_iter().map(divided).collect()
}

/// Half `half` of every digit of a key, for ciphertexts of `limbs` limbs.
pub(super) fn halves(params: &Params, limbs: usize, key: &SwitchingKey, half: usize) -> Vec<Vec<BigInt>> {
    let basis = extended_basis(params, limbs);
    key.digits().take(limbs.div_ceil(params.alpha)).map(|pair| integers(&pair[half], &basis)).collect()
}

/// The largest distance of two polynomials modulo `basis`, as log2.
pub(super) fn distance_log2(x: &[BigInt], y: &[BigInt], basis: &[Limb]) -> f64 {
    let q = modulus(basis);
    let far = x.iter().zip(y).map(|(x, y)| centred(x - y, &q)).map(|d| if d < BigInt::from(0) { -d } else { d }).max();
    let far = far.unwrap_or_default();
    if far == BigInt::from(0) {
        return f64::NEG_INFINITY;
    }
    // The bits above a double's, then the double's own.
    let shift = far.bits().saturating_sub(53);
    let top = (&far >> shift).iter_u64_digits().next().unwrap_or(0);
    (top as f64).log2() + shift as f64
}
