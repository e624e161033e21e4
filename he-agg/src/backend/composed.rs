//! The fused operations in terms of the plain ones: what a backend gets that has nothing better.

use super::{Backend, Basis, Digits, Division, GadgetTerm, KeySwitch, Outcome, Quotient};
use crate::ckks::{BaseConversion, digit_count, digit_limbs, product_without};
use crate::params::Params;
use crate::ring::{Domain, Eval, Limb};

/// The primes of `basis`, and the factors by which residues modulo them have to be multiplied
/// before they are converted.
fn conversion_factors(params: &Params, basis: &Basis) -> Vec<u32> {
    let limbs: Vec<Limb> = basis.limbs(params).cloned().collect();
    let conversion = BaseConversion::new(&limbs);
    (0..limbs.len()).map(|row| conversion.factor(row)).collect()
}

/// 1/D modulo each of the first `keep` primes of Q, where D is the product of `dropped`.
fn inverses(params: &Params, dropped: &Basis, keep: usize) -> Vec<u32> {
    let dropped: Vec<Limb> = dropped.limbs(params).cloned().collect();
    let inverse = |limb: &Limb| limb.modulus().inv(product_without(&dropped, None, limb.modulus()));
    params.q[..keep].iter().map(inverse).collect()
}

pub(super) fn add<B: Backend, D: Domain>(
    backend: &B,
    basis: &Basis,
    left: &[B::Poly<D>],
    right: &[&B::Poly<D>],
) -> Outcome<Vec<B::Poly<D>>> {
    let pairs: Vec<_> = left.iter().zip(right).map(|(left, right)| [left, *right]).collect();
    backend.sum(basis, &pairs.iter().map(<[_; 2]>::as_slice).collect::<Vec<_>>())
}

pub(super) fn lift<B: Backend>(
    backend: &B,
    limbs: usize,
    polys: &[&B::Poly<Eval>],
) -> Outcome<Vec<Vec<B::Poly<Eval>>>> {
    let (params, basis, extended) = (backend.params(), Basis::ordinary(0..limbs), Basis::extended(limbs));
    let digits: Vec<Basis> =
        (0..digit_count(params, limbs)).map(|digit| Basis::ordinary(digit_limbs(params, limbs, digit))).collect();
    let factors: Vec<u32> = digits.iter().flat_map(|digit| conversion_factors(params, digit)).collect();
    let scaled = backend.inverse(&basis, &basis, &factors, polys)?;
    let scaled: Vec<_> = scaled.iter().collect();
    let mut lifted: Vec<_> = polys.iter().map(|_| Vec::with_capacity(digits.len())).collect();
    for digit in &digits {
        let converted = backend.forward(&extended, backend.convert(&basis, digit, &extended, &scaled)?)?;
        lifted.iter_mut().zip(converted).for_each(|(digits, digit)| digits.push(digit));
    }
    Ok(lifted)
}

pub(super) fn divide<B: Backend>(
    backend: &B,
    basis: &Basis,
    keep: usize,
    items: Vec<Division<'_, B>>,
) -> Outcome<Vec<B::Poly<Eval>>> {
    let (params, dropped, kept) = (backend.params(), basis.beyond(keep), Basis::ordinary(0..keep));
    let dividends: Vec<_> = items.iter().map(|item| item.x).collect();
    let scaled = backend.inverse(basis, &dropped, &conversion_factors(params, &dropped), &dividends)?;
    let scaled: Vec<_> = scaled.iter().collect();
    let remainders = backend.forward(&kept, backend.convert(&dropped, &dropped, &kept, &scaled)?)?;
    let items: Vec<_> =
        items.into_iter().zip(&remainders).map(|(division, remainder)| Quotient { division, remainder }).collect();
    backend.quotient(basis, keep, &inverses(params, &dropped, keep), &items)
}

/// What the lifted digits and products of the key switches that run together may take: 512 MiB.
const TOGETHER_WORDS: usize = 1 << 27;

pub(super) fn key_switch<B: Backend>(
    backend: &B,
    limbs: usize,
    keep: usize,
    items: &[KeySwitch<'_, B>],
) -> Outcome<Vec<[B::Poly<Eval>; 2]>> {
    let params = backend.params();
    let words = (digit_count(params, limbs) + 2) * Basis::extended(limbs).len(params) * params.n;
    let groups =
        items.chunks((TOGETHER_WORDS / words).max(1)).map(|items| switch_together(backend, limbs, keep, items));
    Ok(groups.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
}

fn switch_together<B: Backend>(
    backend: &B,
    limbs: usize,
    keep: usize,
    items: &[KeySwitch<'_, B>],
) -> Outcome<Vec<[B::Poly<Eval>; 2]>> {
    let fresh: Vec<_> =
        items.iter().filter_map(|item| if let Digits::Of(x) = item.digits { Some(x) } else { None }).collect();
    let fresh = backend.lift(limbs, &fresh)?;
    let mut fresh = fresh.iter().map(Vec::as_slice);
    let terms: Vec<_> = items
        .iter()
        .filter_map(|item| {
            let digits = match item.digits {
                Digits::Of(_) => fresh.next()?,
                Digits::Lifted(digits) => digits,
            };
            Some(GadgetTerm { digits, key: item.key, own: item.own })
        })
        .collect();
    let products = backend.gadget_product(limbs, &terms)?;
    let divisions = products.iter().zip(items).flat_map(|(product, item)| {
        [0, 1].map(|half| Division { x: &product[half], addend: item.addends[half], automorphism: item.automorphism })
    });
    let mut halves = backend.divide(&Basis::extended(limbs), keep, divisions.collect())?.into_iter();
    Ok(std::iter::from_fn(|| Some([halves.next()?, halves.next()?])).collect())
}
