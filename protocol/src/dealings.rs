//! Whether what hospitals dealt lies on polynomials (K5), from what all receivers show of it.
//!
//! For every dealer each receiver shows the value of some random combination of its points, hidden by a blinding point
//! of the same box, modulo several primes. Of an honest dealer all of them lie on one polynomial of degree t-1. Where
//! they do not, either the dealer dealt something else or receivers show something else than they got; nobody else can
//! tell which, since the boxes are sealed. What the evidence supports is named, and no more:
//!
//! the dealer, and beside it the one receiver without whose value all others fit, where there is exactly one. Where a
//! receiver lies about everybody, every dealer is named and that receiver beside them, and whoever reads the log sees
//! why. Two receivers that lie can choose their values so that a third one's is the odd one: it is no more than named
//! beside the dealer.
//!
//! With t = n there is nothing to compare, with t = n-1 nobody's value is the odd one.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::ids::PartyId;
use crate::limits::{DEALING_PRIMES_MAX, PARTIES_MAX};
use crate::party_set::PartySet;

/// What one hospital shows of the points that it was dealt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealingCheck {
    /// The prime of each value of a dealer, the same for all: of both secrets, as often as they are combined.
    pub moduli: Vec<u32>,
    /// Of each dealer, in order, a value for each prime.
    pub values: Vec<Vec<u32>>,
}

impl Wire for DealingCheck {
    const BYTES_MIN: usize = 8;
    fn encode(&self, writer: &mut Writer) {
        writer.count(self.moduli.len());
        self.moduli.iter().for_each(|modulus| writer.u32(*modulus));
        writer.count(self.values.len());
        self.values.iter().flatten().for_each(|value| writer.u32(*value));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let primes = reader.count("primes of a dealing", DEALING_PRIMES_MAX, 4)?;
        let moduli = (0..primes).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
        let dealers = reader.count("dealers", PARTIES_MAX, 4 * primes)?;
        let of_dealer = |reader: &mut Reader<'_>| (0..primes).map(|_| reader.u32()).collect();
        let values = (0..dealers).map(|_| of_dealer(reader)).collect::<Result<_, _>>()?;
        Ok(Self { moduli, values })
    }
}

impl DealingCheck {
    /// Whether these are values of so many dealers: canonical, modulo numbers that differences of parties can be
    /// divided by, if they are prime.
    #[must_use]
    pub fn is_of(&self, dealers: usize) -> bool {
        let smallest = PARTIES_MAX as u32;
        let in_range = self.moduli.iter().all(|modulus| (smallest..1 << 31).contains(modulus));
        let is_whole = |values: &Vec<u32>| {
            values.len() == self.moduli.len() && values.iter().zip(&self.moduli).all(|(value, modulus)| value < modulus)
        };
        in_range && !self.moduli.is_empty() && self.values.len() == dealers && self.values.iter().all(is_whole)
    }
}

/// Whose dealing does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffDealings {
    /// Dealers whose points lie on no polynomial, as far as receivers say what they got.
    pub dealers: PartySet,
    /// Receivers without whose values alone those of one of these dealers would fit.
    pub receivers: PartySet,
}

impl OffDealings {
    /// Whether everything fits.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.dealers.is_empty()
    }

    /// Judges what all receivers show; each is of all dealers ([`DealingCheck::is_of`]) and has the same primes.
    #[must_use]
    pub fn of(checks: &BTreeMap<PartyId, DealingCheck>, threshold: usize) -> Self {
        let Some(first) = checks.values().next() else { return Self::default() };
        let primes: Vec<Field> = first.moduli.iter().map(|modulus| Field::new(*modulus)).collect();
        let mut off = Self::default();
        for (place, dealer) in checks.keys().enumerate() {
            let lies = |receivers: &dyn Fn(PartyId) -> bool| {
                let of = |at: usize| -> Vec<(u32, u32)> {
                    let kept = checks.iter().filter(|(party, _)| receivers(**party));
                    kept.map(|(party, check)| (u32::from(party.number()), check.values[place][at])).collect()
                };
                primes.iter().enumerate().all(|(at, field)| field.fits(of(at), threshold))
            };
            if lies(&|_| true) {
                continue;
            }
            let without: Vec<PartyId> =
                checks.keys().copied().filter(|left_out| lies(&|receiver| receiver != *left_out)).collect();
            // Of no more points than t any fit: then everybody could be the odd one.
            off.dealers.insert(*dealer);
            if let [only] = without[..] {
                off.receivers.insert(only);
            }
        }
        off
    }
}

/// Arithmetic modulo a prime below 2^31.
struct Field {
    modulus: u64,
    /// Of 1 and above, below the most parties.
    inverses: Vec<u64>,
}

impl Field {
    fn new(modulus: u32) -> Self {
        let modulus = u64::from(modulus);
        let inverse = |of: u64| {
            // Fermat's little theorem.
            let (mut base, mut exponent, mut power) = (of, modulus - 2, 1);
            while exponent > 0 {
                if exponent & 1 == 1 {
                    power = power * base % modulus;
                }
                base = base * base % modulus;
                exponent >>= 1;
            }
            power
        };
        Self { modulus, inverses: (1..PARTIES_MAX as u64).map(inverse).collect() }
    }

    /// Whether these points, ascending, lie on a polynomial of a degree below `threshold`: Newton's divided differences
    /// of that order are zero.
    fn fits(&self, points: Vec<(u32, u32)>, threshold: usize) -> bool {
        let mut differences: Vec<u64> = points.iter().map(|(_, value)| u64::from(*value)).collect();
        for order in 1..=threshold {
            for at in (order..points.len()).rev() {
                let apart = (points[at].0 - points[at - order].0) as usize;
                // Below 2^32, as an inverse is below 2^31.
                let rise = differences[at] + self.modulus - differences[at - 1];
                differences[at] = rise * self.inverses[apart - 1] % self.modulus;
            }
        }
        differences.iter().skip(threshold).all(|difference| *difference == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULI: [u32; 3] = [1_073_479_681, 1_072_496_641, 97];

    fn party(number: u16) -> PartyId {
        PartyId::new(number).unwrap()
    }

    /// What `n` receivers show of polynomials of degree t-1, power by power.
    fn shown(n: u16, t: u32) -> Vec<DealingCheck> {
        let value = |dealer: u16, receiver: u16, modulus: u32| {
            let modulus = u64::from(modulus);
            let power = |power: u32| (0..power).fold(1, |product, _| product * u64::from(receiver) % modulus);
            let term = |at: u32| u64::from(dealer) * u64::from(7 + at) * power(at) % modulus;
            u32::try_from((0..t).map(term).sum::<u64>() % modulus).unwrap()
        };
        let of = |receiver, dealer| MODULI.map(|modulus| value(dealer, receiver, modulus)).to_vec();
        let check = |receiver| DealingCheck {
            moduli: MODULI.to_vec(),
            values: (1..=n).map(|dealer| of(receiver, dealer)).collect(),
        };
        (1..=n).map(check).collect()
    }

    fn judged(checks: &[DealingCheck], t: usize) -> (Vec<u16>, Vec<u16>) {
        let off = OffDealings::of(&(1..).map(party).zip(checks.iter().cloned()).collect(), t);
        assert_eq!(off.is_none(), off == OffDealings::default());
        (off.dealers.numbers(), off.receivers.numbers())
    }

    /// Hospital `receiver` shows another value of what `dealer` dealt it.
    fn alter(checks: &mut [DealingCheck], dealer: usize, receiver: usize, prime: usize) {
        let value = &mut checks[receiver - 1].values[dealer - 1][prime];
        *value = (*value + 1) % MODULI[prime];
    }

    #[test]
    fn polynomials_of_the_right_degree_fit_and_no_others() {
        for (n, t) in [(2, 2), (3, 2), (5, 3), (5, 4), (16, 11), (64, 43)] {
            assert_eq!(judged(&shown(n, t), t as usize), (vec![], vec![]), "{n} {t}");
        }
        let all: Vec<u16> = (1..=5).collect();
        assert_eq!(judged(&shown(5, 4), 3).0, all, "of one degree too many");
    }

    #[test]
    fn a_dealer_is_named_and_the_one_receiver_beside_it_whose_value_is_off() {
        for prime in 0..MODULI.len() {
            let mut checks = shown(5, 3);
            alter(&mut checks, 2, 4, prime);
            assert_eq!(judged(&checks, 3), (vec![2], vec![4]), "prime {prime}");
            (0..2).for_each(|_| alter(&mut checks, 2, 1, prime));
            assert_eq!(judged(&checks, 3), (vec![2], vec![]), "two of five: nobody can tell which");
        }
        let mut checks = shown(5, 4);
        alter(&mut checks, 2, 4, 0);
        assert_eq!(judged(&checks, 4), (vec![2], vec![]), "of four points any fit");
        let mut checks = shown(3, 3);
        alter(&mut checks, 2, 1, 0);
        assert_eq!(judged(&checks, 3), (vec![], vec![]), "of three points any fit");
    }

    #[test]
    fn a_receiver_that_lies_is_named_beside_all_dealers_and_two_can_name_a_third() {
        let mut checks = shown(5, 3);
        (1..=5).for_each(|dealer| alter(&mut checks, dealer, 4, 0));
        assert_eq!(judged(&checks, 3), (vec![1, 2, 3, 4, 5], vec![4]));
        // A third difference of 1, 0, 0, 1 is zero.
        let mut checks = shown(5, 3);
        alter(&mut checks, 2, 1, 0);
        alter(&mut checks, 2, 4, 0);
        assert_eq!(judged(&checks, 3), (vec![2], vec![5]));
    }

    #[test]
    fn values_of_other_dealers_or_primes_are_none() {
        let good = &shown(5, 3)[0];
        assert!(good.is_of(5) && !good.is_of(4) && !good.is_of(6));
        let changed = |change: &dyn Fn(&mut DealingCheck)| {
            let mut check = good.clone();
            change(&mut check);
            check.is_of(5)
        };
        assert!(!changed(&|check| check.values[2][1] = MODULI[1]));
        assert!(!changed(&|check| check.values[2].truncate(1)));
        assert!(!changed(&|check| check.moduli[0] = 63));
        assert!(!changed(&|check| check.moduli[0] = 1 << 31));
        assert!(!changed(&|check| *check = DealingCheck { moduli: vec![], values: vec![vec![]; 5] }));
        let read = DealingCheck::from_bytes(&good.to_bytes());
        assert_eq!(read.as_ref(), Ok(good));
        let mut long = Writer::default();
        long.u32(DEALING_PRIMES_MAX as u32 + 1);
        assert!(DealingCheck::from_bytes(&long.into_bytes()).is_err());
    }
}
