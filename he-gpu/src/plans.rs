//! What key switching and division need to know about primes: computed once.

use crate::conversion::{Conversion, factor, product_without};
use crate::tables::{number, numbers, scale};
use he_agg::Params;
use he_agg::backend::Basis;
use he_agg::ring::Limb;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// How polynomials of so many limbs are lifted.
pub(crate) struct Lift {
    /// Of the inverse transform of each row.
    pub scales: Vec<[u32; 4]>,
    /// Of each digit, to the extended basis; its own rows are copied.
    pub tables: Vec<Conversion>,
    /// Per digit the rows that are not its own, with their primes.
    pub converted: Vec<Vec<(usize, u32)>>,
}

impl Lift {
    pub(crate) fn new(params: &Params, limbs: usize) -> Self {
        let extended = Basis::extended(limbs);
        let (mut scales, mut tables, mut converted) = (Vec::new(), Vec::new(), Vec::new());
        for start in (0..limbs).step_by(params.alpha.max(1)) {
            let own = start..(start + params.alpha.max(1)).min(limbs);
            let sources: Vec<(u32, Limb)> = own.clone().map(|row| (row as u32, params.q[row].clone())).collect();
            for i in 0..sources.len() {
                scales.push(scale(&sources[i].1, params.n, factor(&sources, i)));
            }
            let mut table = Conversion::new(sources);
            let mut rows = Vec::new();
            for (row, limb) in extended.limbs(params).enumerate() {
                match row.checked_sub(params.p.len()).filter(|row| own.contains(row)) {
                    Some(from) => table.copy_to(row as u32, from as u32),
                    None => {
                        table.convert_to(row as u32, row as u32, limb);
                        rows.push((row, row as u32));
                    }
                }
            }
            tables.push(table);
            converted.push(rows);
        }
        Self { scales, tables, converted }
    }
}

/// How polynomials over a basis are divided.
pub(crate) struct Divide {
    /// Per dropped row its place, its prime, and the scale of its inverse transform.
    pub dropped: Vec<(usize, u32, [u32; 4])>,
    /// From the dropped primes to those that stay.
    pub table: Conversion,
    /// Per row that stays: prime, row of the dividend, factor and quotient.
    pub rows: Vec<[u32; 4]>,
}

impl Divide {
    pub(crate) fn new(params: &Params, basis: &Basis, keep: usize) -> Self {
        let (dropped, kept) = (basis.beyond(keep), Basis::ordinary(0..keep));
        let sources: Vec<(u32, Limb)> =
            dropped.limbs(params).enumerate().map(|(row, limb)| (row as u32, limb.clone())).collect();
        let from = numbers(params, &dropped).into_iter().enumerate().map(|(row, prime)| {
            let scale = scale(&sources[row].1, params.n, factor(&sources, row));
            (dropped.row_in(basis, params, row), prime, scale)
        });
        let from = from.collect();
        let row = |(row, limb): (usize, &Limb)| {
            let modulus = limb.modulus();
            let inverse = limb.shoup(modulus.inv(product_without(&sources, None, modulus)));
            let place = kept.row_in(basis, params, row) as u32;
            [number(params, false, row), place, inverse.value, inverse.quotient]
        };
        let rows = kept.limbs(params).enumerate().map(row).collect();
        let mut table = Conversion::new(sources.clone());
        for (row, limb) in kept.limbs(params).enumerate() {
            table.convert_to(row as u32, number(params, false, row), limb);
        }
        Self { dropped: from, table, rows }
    }
}

/// Values that are computed on first use and kept.
pub(crate) struct Kept<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    pub(crate) fn get(&self, key: K, compute: impl FnOnce(&K) -> V) -> Arc<V> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.get(&key) {
            return value.clone();
        }
        let value = Arc::new(compute(&key));
        kept.insert(key, value.clone());
        value
    }
}
