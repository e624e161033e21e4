//! The constants of all primes, in one buffer.

use he_agg::Params;
use he_agg::backend::Basis;
use he_agg::ring::Limb;

/// Words of a prime before its roots: q, q^-1 mod 2^32, 2^32 mod q with its quotient.
pub(crate) const PRIME_WORDS: u32 = 8;

/// Transforms to evaluations: the first of the two lists of roots.
pub(crate) const FORWARD: u32 = 0;
/// Transforms to coefficients: the second.
pub(crate) const INVERSE: u32 = 1;

/// Words of a prime with its roots.
pub(crate) const fn prime_length(log_n: u32) -> u32 {
    PRIME_WORDS + (4 << log_n)
}

/// The number in the table of a prime of P, or of Q.
pub(crate) fn number(params: &Params, special: bool, index: usize) -> u32 {
    (if special { index } else { params.p.len() + index }) as u32
}

/// The numbers of the primes of a basis, in the order of rows.
pub(crate) fn numbers(params: &Params, basis: &Basis) -> Vec<u32> {
    let specials = (0..basis.specials(params)).map(|index| number(params, true, index));
    specials.chain(basis.ordinary_primes().map(|index| number(params, false, index))).collect()
}

/// For every prime, those of P first: [`PRIME_WORDS`] words, then for each direction N powers
/// psi^bitrev(k) and their N quotients.
pub(crate) fn constants(params: &Params) -> Vec<u32> {
    let n = params.n;
    let mut words = Vec::with_capacity((params.p.len() + params.q.len()) * (PRIME_WORDS as usize + 4 * n));
    for limb in params.p.iter().chain(&params.q) {
        let modulus = limb.modulus();
        words.extend([modulus.value(), modulus.inverse_word(), modulus.word().value, modulus.word().quotient]);
        words.extend([0; PRIME_WORDS as usize - 4]);
        roots(limb, n, limb.root(), &mut words);
        roots(limb, n, modulus.inv(limb.root()), &mut words);
    }
    words
}

/// What the last inverse stage multiplies with: sums by N^-1 and the canonical `factor`,
/// differences by the stage's root psi^-(N/2) as well; each with its quotient.
pub(crate) fn scale(limb: &Limb, n: usize, factor: u32) -> [u32; 4] {
    let modulus = limb.modulus();
    let sum = modulus.mul(modulus.inv(n as u32), factor);
    let difference = modulus.mul(sum, modulus.pow(modulus.inv(limb.root()), n as u64 / 2));
    let [sum, difference] = [sum, difference].map(|factor| modulus.shoup(factor));
    [sum.value, sum.quotient, difference.value, difference.quotient]
}

fn roots(limb: &Limb, n: usize, psi: u32, words: &mut Vec<u32>) {
    let modulus = limb.modulus();
    let shift = usize::BITS - n.trailing_zeros();
    let first = words.len();
    words.resize(first + 2 * n, 0);
    let (values, quotients) = words[first..].split_at_mut(n);
    let mut power = 1;
    for k in 0..n {
        let place = k.reverse_bits() >> shift;
        values[place] = power;
        quotients[place] = modulus.shoup(power).quotient;
        power = modulus.mul(power, psi);
    }
}
