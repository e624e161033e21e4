//! Arithmetic modulo the prime 2^61 - 1, without branches.

/// Bits of the prime, all of them ones.
pub(crate) const BITS: u32 = 61;
/// 2^61 - 1.
pub(crate) const PRIME: u64 = (1 << BITS) - 1;

/// Of a product of two residues, or anything smaller.
#[inline(always)]
pub(crate) fn reduce(x: u128) -> u64 {
    // 2^61 is 1.
    less_once((x as u64 & PRIME) + (x >> BITS) as u64)
}

/// The sum of two residues.
#[inline(always)]
pub(crate) fn add(x: u64, y: u64) -> u64 {
    less_once(x + y)
}

/// The product of two residues.
#[inline(always)]
pub(crate) fn mul(x: u64, y: u64) -> u64 {
    reduce(u128::from(x) * u128::from(y))
}

/// `x^exponent`; the exponent is public.
pub(crate) fn pow(x: u64, mut exponent: usize) -> u64 {
    let (mut power, mut square) = (1, x);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = mul(power, square);
        }
        square = mul(square, square);
        exponent >>= 1;
    }
    power
}

/// Of anything below twice the prime.
#[inline(always)]
fn less_once(x: u64) -> u64 {
    let less = x.wrapping_sub(PRIME);
    less.wrapping_add(PRIME & 0u64.wrapping_sub(less >> 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;

    #[test]
    fn residues_are_those_of_the_remainder() {
        let mut stream = Stream::from_seed([1; 32]);
        let mut word = || u64::from(stream.next_u32()) << 32 | u64::from(stream.next_u32());
        let edges = [0, 1, 2, PRIME - 2, PRIME - 1];
        let all: Vec<u64> = edges.into_iter().chain((0..50).map(|_| word() % PRIME)).collect();
        let prime = u128::from(PRIME);
        for &x in &all {
            for &y in &all {
                assert_eq!(u128::from(add(x, y)), (u128::from(x) + u128::from(y)) % prime);
                assert_eq!(u128::from(mul(x, y)), u128::from(x) * u128::from(y) % prime);
            }
            let wide = u128::from(x) << 40 | 0xff_ffff;
            assert_eq!(u128::from(reduce(wide)), wide % prime);
            let expected = (0..13).fold(1u128, |power, _| power * u128::from(x) % prime);
            assert_eq!(u128::from(pow(x, 13)), expected);
        }
        assert_eq!((pow(0, 0), pow(5, 0), reduce(prime), less_once(PRIME)), (1, 1, 0, 0));
    }
}
