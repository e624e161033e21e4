//! One suite for all backends: every operation on it gives the bits of [`Cpu`].
//!
//! [`Cpu`] itself is compared with the plain loops, instruction set by instruction set, in
//! [`crate::simd`]. Operands are uniform residues and the extreme ones, 0 and q - 1; batches mix
//! them, and hold operands with more rows than the operation reads.

use super::{Backend, Basis, Cpu, Digits, Division, GadgetTerm, KeySwitch, Outcome, Quotient, TensorTerm};
use crate::ckks::{SwitchingKey, digit_count, digit_limbs};
use crate::params::Params;
use crate::ring::{Automorphism, Coeff, Domain, Eval, Poly};
use crate::stream::Expander;

/// Every operation at the degree and the primes of the backend's parameters. Presets without
/// special primes have transforms and sums only.
///
/// # Errors
/// Those of the backend. A difference asserts and names the operation.
pub fn compare<B: Backend>(backend: &B) -> Outcome<()> {
    let suite = Suite { backend, cpu: Cpu::new(backend.params()), params: backend.params() };
    let top = suite.params.q.len();
    suite.transfers()?;
    suite.transforms(top)?;
    suite.sums::<Coeff>(top)?;
    suite.sums::<Eval>(1)?;
    if suite.params.p.is_empty() {
        return Ok(());
    }
    suite.products(top)?;
    suite.automorphisms(top)?;
    for limbs in levels(suite.params) {
        suite.conversions(limbs)?;
        suite.gadget_products(limbs)?;
        suite.divisions(limbs)?;
        suite.key_switches(limbs)?;
    }
    Ok(())
}

/// The lowest level, one in the middle whose last digit is not full, and the top.
fn levels(params: &Params) -> Vec<usize> {
    let top = params.q.len();
    let mut levels = vec![1, (params.alpha + 1).min(top), top];
    levels.dedup();
    levels
}

struct Suite<'b, B: Backend> {
    backend: &'b B,
    cpu: Cpu,
    params: &'static Params,
}

impl<B: Backend> Suite<'_, B> {
    /// Polynomials over `basis`: the first all zero, the second all q - 1, the others uniform.
    fn polys<D: Domain>(&self, label: &'static str, count: u32, basis: &Basis) -> Vec<Poly<D>> {
        let limbs: Vec<_> = basis.limbs(self.params).cloned().collect();
        let expander = Expander::new(&[5; 32], label, self.params.preset, &[]);
        let poly = |index| match index {
            0 => Poly::zero(self.params.n, limbs.len()),
            1 => {
                let mut poly = Poly::zero(self.params.n, limbs.len());
                poly.par_limbs(&limbs, |_, limb, x| x.fill(limb.modulus().value() - 1));
                poly
            }
            _ => Poly::uniform(&expander, index, self.params.n, &limbs),
        };
        (0..count).map(poly).collect()
    }

    fn upload<D: Domain>(&self, polys: &[Poly<D>]) -> Outcome<Vec<B::Poly<D>>> {
        self.backend.upload(&polys.iter().collect::<Vec<_>>())
    }

    fn same<D: Domain>(&self, operation: &str, found: &[B::Poly<D>], expected: &[Poly<D>]) -> Outcome<()> {
        let found = self.backend.download(&found.iter().collect::<Vec<_>>())?;
        assert_eq!(found.len(), expected.len(), "{operation}: results");
        for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(found.limbs(), expected.limbs(), "{operation}: limbs of result {number}");
            for limb in 0..found.limbs() {
                let differs = found.limb(limb).iter().zip(expected.limb(limb)).position(|(x, y)| x != y);
                let n = self.params.n;
                assert!(differs.is_none(), "{operation}: N = {n}, result {number}, limb {limb}, position {differs:?}");
            }
        }
        Ok(())
    }

    fn transfers(&self) -> Outcome<()> {
        let top = self.params.q.len();
        let polys = self.polys::<Eval>("transfer", 3, &Basis::ordinary(0..top));
        let mut there = self.upload(&polys)?;
        self.same("upload and download", &there, &polys)?;
        for limbs in [1, top.div_ceil(2), top] {
            let copies: Vec<_> = there.iter().map(|there| self.backend.prefix(there, limbs)).collect();
            let mut short = polys.clone();
            short.iter_mut().for_each(|short| short.truncate(limbs));
            self.same("prefix", &copies, &short)?;
        }
        self.same("what a prefix was taken of", &there, &polys)?;
        for (there, limbs) in there.iter_mut().zip([1, top, top.div_ceil(2)]) {
            self.backend.truncate(there, limbs);
        }
        let mut short = polys;
        for (short, limbs) in short.iter_mut().zip([1, top, top.div_ceil(2)]) {
            short.truncate(limbs);
        }
        self.same("truncate", &there, &short)
    }

    fn transforms(&self, limbs: usize) -> Outcome<()> {
        let basis = if self.params.p.is_empty() { Basis::ordinary(0..limbs) } else { Basis::extended(limbs) };
        let coefficients = self.polys::<Coeff>("coefficients", 4, &basis);
        let found = self.backend.forward(&basis, self.upload(&coefficients)?)?;
        self.same("forward", &found, &self.cpu.forward(&basis, coefficients)?)?;
        let values = self.polys::<Eval>("values", 4, &basis);
        let there = self.upload(&values)?;
        for rows in [basis.clone(), basis.beyond(limbs - 1), Basis::ordinary(0..1)] {
            let factor = |(index, limb): (usize, &crate::ring::Limb)| limb.modulus().value() - 1 - index as u32;
            let factors: Vec<u32> = rows.limbs(self.params).enumerate().map(factor).collect();
            let found = self.backend.inverse(&basis, &rows, &factors, &there.iter().collect::<Vec<_>>())?;
            let expected = self.cpu.inverse(&basis, &rows, &factors, &values.iter().collect::<Vec<_>>())?;
            self.same("inverse", &found, &expected)?;
        }
        Ok(())
    }

    fn sums<D: Domain>(&self, limbs: usize) -> Outcome<()> {
        let polys = self.polys::<D>("terms", 9, &Basis::ordinary(0..self.params.q.len()));
        let there = self.upload(&polys)?;
        let basis = Basis::ordinary(0..limbs);
        let ranges = [0..9, 1..2, 1..9, 0..1];
        let found: Vec<Vec<_>> = ranges.iter().map(|range| there[range.clone()].iter().collect()).collect();
        let expected: Vec<Vec<_>> = ranges.iter().map(|range| polys[range.clone()].iter().collect()).collect();
        let found = self.backend.sum(&basis, &found.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let expected = self.cpu.sum(&basis, &expected.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        self.same("sum", &found, &expected)?;
        let added = self.backend.add(&basis, there[..2].to_vec(), &[&there[1], &there[2]])?;
        self.same("add", &added, &self.cpu.add(&basis, polys[..2].to_vec(), &[&polys[1], &polys[2]])?)?;
        // A result of one batch beside polynomials of another.
        let mixed = self.backend.subtract(&basis, &[[&found[0], &there[1]], [&there[0], &there[1]]])?;
        let plain = self.cpu.subtract(&basis, &[[&expected[0], &polys[1]], [&polys[0], &polys[1]]])?;
        self.same("subtract", &mixed, &plain)
    }

    fn products(&self, top: usize) -> Outcome<()> {
        let polys = self.polys::<Eval>("factors", 8, &Basis::ordinary(0..top));
        let there = self.upload(&polys)?;
        for limbs in [top, 1] {
            let basis = Basis::ordinary(0..limbs);
            let picks: [Vec<[usize; 2]>; 3] =
                [vec![[1, 1]], (0..19).map(|i| [i % 8, (3 * i + 1) % 8]).collect(), vec![[1, 1]; 17]];
            let found = pairs::<B>(&there, &picks);
            let found: Vec<_> = found.iter().map(Vec::as_slice).collect();
            let expected = pairs::<Cpu>(&polys, &picks);
            let expected: Vec<_> = expected.iter().map(Vec::as_slice).collect();
            let found = self.backend.multiply_accumulate(&basis, &found)?;
            self.same("multiply_accumulate", &found, &self.cpu.multiply_accumulate(&basis, &expected)?)?;
            let found = self.backend.tensor(&basis, &tensor_terms::<B>(&there, &picks))?;
            let expected = self.cpu.tensor(&basis, &tensor_terms::<Cpu>(&polys, &picks))?;
            let expected: Vec<_> = expected.into_iter().flatten().collect();
            self.same("tensor", &found.into_iter().flatten().collect::<Vec<_>>(), &expected)?;
        }
        Ok(())
    }

    fn automorphisms(&self, top: usize) -> Outcome<()> {
        let (n, basis) = (self.params.n, Basis::ordinary(0..top));
        let polys = self.polys::<Eval>("turned", 4, &basis);
        let there = self.upload(&polys)?;
        let turns = [5, 2 * n - 1, 3, 1].map(|k| Automorphism::new(n, k));
        let found = self.backend.automorphism(&basis, &there.iter().zip(&turns).collect::<Vec<_>>())?;
        let expected = self.cpu.automorphism(&basis, &polys.iter().zip(&turns).collect::<Vec<_>>())?;
        self.same("automorphism", &found, &expected)
    }

    fn conversions(&self, limbs: usize) -> Outcome<()> {
        let params = self.params;
        let (basis, extended) = (Basis::extended(limbs), Basis::extended(params.q.len()));
        // Extreme residues are the edges of the overflow count.
        let polys = self.polys::<Coeff>("scaled", 5, &basis);
        let there = self.upload(&polys)?;
        let digits = (0..digit_count(params, limbs)).map(|digit| Basis::ordinary(digit_limbs(params, limbs, digit)));
        for from in digits.chain([basis.beyond(limbs), basis.beyond(limbs.saturating_sub(params.limbs_per_level))]) {
            let found = self.backend.convert(&basis, &from, &extended, &there.iter().collect::<Vec<_>>())?;
            let expected = self.cpu.convert(&basis, &from, &extended, &polys.iter().collect::<Vec<_>>())?;
            self.same("convert", &found, &expected)?;
        }
        Ok(())
    }

    /// A key of uniform polynomials that serves `limbs` limbs, here and there.
    fn key(&self, limbs: usize) -> Outcome<(SwitchingKey, SwitchingKey<B>)> {
        let digits = digit_count(self.params, limbs);
        let mut halves = self.polys::<Eval>("key", 2 * digits as u32 + 1, &Basis::extended(limbs)).into_iter().skip(1);
        let pairs = (0..digits).filter_map(|_| Some([halves.next()?, halves.next()?])).collect();
        let key = SwitchingKey::new(self.params, limbs, pairs);
        let there = key.upload(self.backend)?;
        Ok((key, there))
    }

    fn gadget_products(&self, limbs: usize) -> Outcome<()> {
        let count = digit_count(self.params, limbs);
        let digits = self.polys::<Eval>("digits", 2 * count as u32, &Basis::extended(limbs));
        let own = self.polys::<Eval>("own", 3, &Basis::ordinary(0..self.params.q.len()));
        let (key, key_there) = self.key(self.params.q.len())?;
        let (digits_there, own_there) = (self.upload(&digits)?, self.upload(&own)?);
        let item = |part: usize| if part == 0 { None } else { Some([part, 3 - part]) };
        let there = [0, 1].map(|part| GadgetTerm::<B> {
            digits: &digits_there[part * count..(part + 1) * count],
            key: &key_there,
            own: item(part).map(|pair| pair.map(|i| &own_there[i])),
        });
        let here = [0, 1].map(|part| GadgetTerm::<Cpu> {
            digits: &digits[part * count..(part + 1) * count],
            key: &key,
            own: item(part).map(|pair| pair.map(|i| &own[i])),
        });
        let found = self.backend.gadget_product(limbs, &there)?.into_iter().flatten().collect::<Vec<_>>();
        let expected = self.cpu.gadget_product(limbs, &here)?.into_iter().flatten().collect::<Vec<_>>();
        self.same("gadget_product", &found, &expected)
    }

    fn divisions(&self, limbs: usize) -> Outcome<()> {
        let (params, n) = (self.params, self.params.n);
        let turn = Automorphism::new(n, 5);
        let addends = self.polys::<Eval>("addends", 4, &Basis::ordinary(0..params.q.len()));
        let addends_there = self.upload(&addends)?;
        let mut cases = vec![(Basis::extended(limbs), limbs)];
        if limbs > params.limbs_per_level {
            let keep = limbs - params.limbs_per_level;
            cases.extend([(Basis::extended(limbs), keep), (Basis::ordinary(0..limbs), keep)]);
        }
        for (basis, keep) in cases {
            let polys = self.polys::<Eval>("dividends", 4, &basis);
            let there = self.upload(&polys)?;
            let wants = [(false, false), (true, false), (false, true), (true, true)];
            let found = divisions::<B>(&there, &addends_there, &turn, wants);
            let expected = divisions::<Cpu>(&polys, &addends, &turn, wants);
            let found = self.backend.divide(&basis, keep, found)?;
            self.same("divide", &found, &self.cpu.divide(&basis, keep, expected)?)?;
            let remainders = self.polys::<Eval>("remainders", 4, &Basis::ordinary(0..keep));
            let remainders_there = self.upload(&remainders)?;
            let factors: Vec<u32> = params.q[..keep].iter().map(|limb| limb.modulus().value() / 3).collect();
            let found = quotients(divisions::<B>(&there, &addends_there, &turn, wants), &remainders_there);
            let expected = quotients(divisions::<Cpu>(&polys, &addends, &turn, wants), &remainders);
            let found = self.backend.quotient(&basis, keep, &factors, &found)?;
            self.same("quotient", &found, &self.cpu.quotient(&basis, keep, &factors, &expected)?)?;
        }
        Ok(())
    }

    fn key_switches(&self, limbs: usize) -> Outcome<()> {
        let params = self.params;
        let polys = self.polys::<Eval>("switched", 4, &Basis::ordinary(0..limbs));
        let there = self.upload(&polys)?;
        let (key, key_there) = self.key(limbs)?;
        let turn = Automorphism::new(params.n, 5);
        let lifted_there = self.backend.lift(limbs, &there.iter().collect::<Vec<_>>())?;
        let lifted = self.cpu.lift(limbs, &polys.iter().collect::<Vec<_>>())?;
        for (found, expected) in lifted_there.iter().zip(&lifted) {
            self.same("lift", found, expected)?;
        }
        let mut keeps = vec![limbs];
        keeps.extend(limbs.checked_sub(params.limbs_per_level).filter(|keep| *keep > 0));
        for keep in keeps {
            let found =
                self.backend.key_switch(limbs, keep, &switches::<B>(&there, &lifted_there, &key_there, &turn))?;
            let expected = self.cpu.key_switch(limbs, keep, &switches::<Cpu>(&polys, &lifted, &key, &turn))?;
            let expected: Vec<_> = expected.into_iter().flatten().collect();
            self.same("key_switch", &found.into_iter().flatten().collect::<Vec<_>>(), &expected)?;
        }
        Ok(())
    }
}

/// Pairs of polynomials by number.
fn pairs<'p, B: Backend>(polys: &'p [B::Poly<Eval>], picks: &[Vec<[usize; 2]>]) -> Vec<Vec<[&'p B::Poly<Eval>; 2]>> {
    picks.iter().map(|terms| terms.iter().map(|pair| pair.map(|i| &polys[i])).collect()).collect()
}

fn tensor_terms<'p, B: Backend>(polys: &'p [B::Poly<Eval>], picks: &[Vec<[usize; 2]>]) -> Vec<Vec<TensorTerm<'p, B>>> {
    let count = polys.len();
    let term = |[x, y]: &[usize; 2]| TensorTerm {
        left: [&polys[*x], &polys[(x + 1) % count]],
        right: [&polys[*y], &polys[(y + 5) % count]],
    };
    picks.iter().map(|terms| terms.iter().map(term).collect()).collect()
}

/// One division per polynomial, with an addend and an automorphism where wanted.
fn divisions<'p, B: Backend>(
    polys: &'p [B::Poly<Eval>],
    addends: &'p [B::Poly<Eval>],
    turn: &'p Automorphism,
    wants: [(bool, bool); 4],
) -> Vec<Division<'p, B>> {
    let one = |((x, addend), (added, turned)): ((&'p _, &'p _), (bool, bool))| Division {
        x,
        addend: added.then_some(addend),
        automorphism: turned.then_some(turn),
    };
    polys.iter().zip(addends).zip(wants).map(one).collect()
}

fn quotients<'p, B: Backend>(divisions: Vec<Division<'p, B>>, remainders: &'p [B::Poly<Eval>]) -> Vec<Quotient<'p, B>> {
    divisions.into_iter().zip(remainders).map(|(division, remainder)| Quotient { division, remainder }).collect()
}

/// Switches of fresh and of lifted polynomials, with everything that may be asked of them.
fn switches<'p, B: Backend>(
    polys: &'p [B::Poly<Eval>],
    lifted: &'p [Vec<B::Poly<Eval>>],
    key: &'p SwitchingKey<B>,
    turn: &'p Automorphism,
) -> Vec<KeySwitch<'p, B>> {
    let one = |index: usize| KeySwitch {
        digits: if index % 2 == 1 { Digits::Lifted(&lifted[index]) } else { Digits::Of(&polys[index]) },
        key,
        own: (index == 2).then(|| [&polys[0], &polys[1]]),
        addends: if index < 2 { [Some(&polys[2]), None] } else { [Some(&polys[0]), Some(&polys[3])] },
        automorphism: (index != 2).then_some(turn),
    };
    (0..polys.len()).map(one).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::params::Preset;

    /// The processor's plain operations under the composed ones.
    #[derive(Clone, Copy)]
    pub(crate) struct Composed(pub(crate) Cpu);

    impl Backend for Composed {
        type Poly<D: Domain> = Poly<D>;

        fn params(&self) -> &'static Params {
            self.0.params()
        }

        fn upload<D: Domain>(&self, polys: &[&Poly<D>]) -> Outcome<Vec<Poly<D>>> {
            self.0.upload(polys)
        }

        fn download<D: Domain>(&self, polys: &[&Poly<D>]) -> Outcome<Vec<Poly<D>>> {
            self.0.download(polys)
        }

        fn truncate<D: Domain>(&self, poly: &mut Poly<D>, limbs: usize) {
            self.0.truncate(poly, limbs);
        }

        fn forward(&self, basis: &Basis, polys: Vec<Poly<Coeff>>) -> Outcome<Vec<Poly<Eval>>> {
            self.0.forward(basis, polys)
        }

        fn inverse(&self, b: &Basis, rows: &Basis, factors: &[u32], x: &[&Poly<Eval>]) -> Outcome<Vec<Poly<Coeff>>> {
            self.0.inverse(b, rows, factors, x)
        }

        fn convert(&self, b: &Basis, from: &Basis, to: &Basis, x: &[&Poly<Coeff>]) -> Outcome<Vec<Poly<Coeff>>> {
            self.0.convert(b, from, to, x)
        }

        fn sum<D: Domain>(&self, basis: &Basis, lists: &[&[&Poly<D>]]) -> Outcome<Vec<Poly<D>>> {
            self.0.sum(basis, lists)
        }

        fn subtract<D: Domain>(&self, basis: &Basis, pairs: &[[&Poly<D>; 2]]) -> Outcome<Vec<Poly<D>>> {
            self.0.subtract(basis, pairs)
        }

        fn multiply_accumulate(&self, basis: &Basis, sums: &[&[[&Poly<Eval>; 2]]]) -> Outcome<Vec<Poly<Eval>>> {
            self.0.multiply_accumulate(basis, sums)
        }

        fn tensor(&self, basis: &Basis, sums: &[Vec<TensorTerm<'_, Self>>]) -> Outcome<Vec<[Poly<Eval>; 3]>> {
            let retyped = |terms: &Vec<TensorTerm<'_, Self>>| {
                let sum = terms.iter().map(|term| TensorTerm { left: term.left, right: term.right }).collect();
                self.0.tensor(basis, &[sum])
            };
            Ok(sums.iter().map(retyped).collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
        }

        fn automorphism(&self, basis: &Basis, items: &[(&Poly<Eval>, &Automorphism)]) -> Outcome<Vec<Poly<Eval>>> {
            self.0.automorphism(basis, items)
        }

        fn quotient(
            &self,
            b: &Basis,
            keep: usize,
            f: &[u32],
            items: &[Quotient<'_, Self>],
        ) -> Outcome<Vec<Poly<Eval>>> {
            let one = |item: &Quotient<'_, Self>| {
                let Division { x, addend, automorphism } = item.division;
                self.0.quotient(
                    b,
                    keep,
                    f,
                    &[Quotient { division: Division { x, addend, automorphism }, remainder: item.remainder }],
                )
            };
            Ok(items.iter().map(one).collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
        }

        fn gadget_product(&self, limbs: usize, items: &[GadgetTerm<'_, Self>]) -> Outcome<Vec<[Poly<Eval>; 2]>> {
            let one = |item: &GadgetTerm<'_, Self>| {
                let key = item.key.download(self)?;
                self.0.gadget_product(limbs, &[GadgetTerm { digits: item.digits, key: &key, own: item.own }])
            };
            Ok(items.iter().map(one).collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
        }
    }

    #[test]
    fn composed_operations_give_the_bits_of_the_fused_ones() {
        for preset in [Preset::Agg13, Preset::Inf13, Preset::Inf14x30, Preset::Inf15x90] {
            for log_n in [4, 8, 11] {
                let params = Box::leak(Box::new(Params::toy(preset, log_n)));
                compare(&Composed(Cpu::new(params))).unwrap();
            }
        }
    }
}
