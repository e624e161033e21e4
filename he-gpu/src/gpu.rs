//! The backend.

use crate::adapter::{DeviceKind, OpenError, Probed, Traffic};
use crate::conversion::Conversion;
use crate::device::{Device, probe};
use crate::engine::{Engine, Inner, Sum, Transform};
use crate::kernels::{NEGATIVE, NONE};
use crate::plans::{Divide, Kept, Lift};
use crate::poly::GpuPoly;
use crate::tables::{number, numbers, scale};
use cubecl::CubeElement;
use cubecl::bytes::Bytes;
use he_agg::backend::{Backend, Basis, Division, GadgetTerm, Outcome, Quotient, TensorTerm};
use he_agg::ring::{Automorphism, Coeff, Domain, Eval, Poly};
use he_agg::{Limb, Params};
use std::fmt;
use std::sync::Arc;

/// Words of polynomials that are copied to the device at once: a transfer passes through a buffer
/// of its size in the processor's memory.
const TRANSFER_WORDS: usize = 1 << 23;

/// A GPU that computes with the polynomials of one parameter set.
///
/// A clone is the same one. Work is issued in the order of calls, from whatever threads, and calls
/// do not wait for it; only [`Backend::download`] and [`Gpu::synchronise`] do.
#[derive(Clone)]
pub struct Gpu {
    shared: Arc<Shared>,
}

struct Shared {
    params: &'static Params,
    engine: Engine,
    /// Per prime of Q: P in Montgomery form.
    special_products: Vec<u32>,
    lifts: Kept<usize, Lift>,
    divisions: Kept<(Basis, usize), Divide>,
    conversions: Kept<(Basis, Basis, Basis), Conversion>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("adapter", self.adapter()).field("preset", &self.shared.params.preset).finish()
    }
}

impl Gpu {
    /// The best device of this machine, with the constants of `params`.
    ///
    /// # Errors
    /// [`OpenError`] if there is none or it cannot be used.
    pub fn open(params: &'static Params) -> Result<Self, OpenError> {
        let device = Device::open()?;
        // A rasteriser takes seconds to compile what a GPU needs unrolled.
        let unroll = device.adapter().kind != DeviceKind::Software;
        let engine = Engine::new(device, params, unroll)
            .map_err(|error| OpenError::Unusable { reason: error.to_string(), found: probe() })?;
        let product = |limb: &Limb| {
            let modulus = limb.modulus();
            let reduced = params.p.iter().map(|p| modulus.reduce_u64(u64::from(p.modulus().value())));
            modulus.to_montgomery(reduced.fold(1, |product, p| modulus.mul(product, p)))
        };
        let special_products = params.q.iter().map(product).collect();
        let (lifts, divisions, conversions) = Default::default();
        Ok(Self { shared: Arc::new(Shared { params, engine, special_products, lifts, divisions, conversions }) })
    }

    /// The device it computes on.
    pub fn adapter(&self) -> &Probed {
        self.shared.engine.device().adapter()
    }

    /// What has crossed the border between processor and device so far.
    pub fn traffic(&self) -> Traffic {
        self.shared.engine.traffic()
    }

    /// Waits until the device has done all work issued so far.
    ///
    /// # Errors
    /// [`he_agg::backend::BackendError`] if it was lost.
    pub fn synchronise(&self) -> Outcome<()> {
        self.shared.engine.device().synchronise()
    }

    fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    fn n(&self) -> usize {
        self.shared.params.n
    }

    /// A polynomial of unspecified content.
    fn unset<D: Domain>(&self, rows: usize) -> Outcome<GpuPoly<D>> {
        Ok(GpuPoly::new(Arc::new(self.engine().room(rows * self.n())?), 0, rows, self.n()))
    }

    /// As many polynomials as there are items.
    fn unset_all<D: Domain, T>(&self, rows: usize, items: &[T]) -> Outcome<Vec<GpuPoly<D>>> {
        items.iter().map(|_| self.unset(rows)).collect()
    }

    /// `COUNT` polynomials per item, one behind the other.
    fn unset_groups<const COUNT: usize, T>(&self, rows: usize, items: &[T]) -> Outcome<Vec<[GpuPoly<Eval>; COUNT]>> {
        let group = |_| {
            let region = Arc::new(self.engine().room(COUNT * rows * self.n())?);
            Ok(std::array::from_fn(|i| GpuPoly::new(region.clone(), i * rows * self.n(), rows, self.n())))
        };
        items.iter().map(group).collect()
    }

    /// Inverse transforms of some rows of each polynomial: place, prime and scale.
    fn inverse_rows(&self, rows: &[(usize, u32, [u32; 4])], polys: &[&GpuPoly<Eval>]) -> Outcome<Vec<GpuPoly<Coeff>>> {
        let out = self.unset_all(rows.len(), polys)?;
        let mut tasks = Vec::with_capacity(rows.len() * polys.len());
        for (from, to) in polys.iter().zip(&out) {
            for (row, (place, prime, scale)) in rows.iter().enumerate() {
                tasks.push((Transform { prime: *prime, from: from.address(*place), to: to.address(row) }, *scale));
            }
        }
        self.engine().inverse(&tasks)?;
        Ok(out)
    }

    fn quotient_rows(&self, rows: &[[u32; 4]], items: &[Quotient<'_, Self>]) -> Outcome<Vec<GpuPoly<Eval>>> {
        let out = self.unset_all(rows.len(), items)?;
        let dividend_rows = rows.iter().map(|row| row[1] as usize + 1).max().unwrap_or(0);
        let arguments = |(item, to): (&Quotient<'_, Self>, &GpuPoly<Eval>)| {
            let Division { x, addend, automorphism } = &item.division;
            [
                to.start(rows.len()),
                x.start(dividend_rows),
                item.remainder.start(rows.len()),
                addend.map_or(NONE, |addend| addend.start(rows.len())),
                automorphism.map_or(1, |automorphism| automorphism.exponent() as u32),
            ]
        };
        let arguments: Vec<_> = items.iter().zip(&out).map(arguments).collect();
        self.engine().quotients(rows, &arguments)?;
        Ok(out)
    }

    /// A sum per list of terms, `COUNT` words each.
    fn add_up<D: Domain, const COUNT: usize>(
        &self,
        basis: &Basis,
        terms: impl Iterator<Item = Vec<[u32; COUNT]>>,
        issue: impl Fn(&Engine, &[u32], &[Sum]) -> Outcome<()>,
    ) -> Outcome<Vec<GpuPoly<D>>> {
        let primes = numbers(self.params(), basis);
        let (mut out, mut items) = (Vec::new(), Vec::new());
        for terms in terms {
            let sum = self.unset(primes.len())?;
            items.push(Sum { to: sum.start(primes.len()), terms: terms.as_flattened().to_vec() });
            out.push(sum);
        }
        issue(self.engine(), &primes, &items)?;
        Ok(out)
    }
}

impl Backend for Gpu {
    type Poly<D: Domain> = GpuPoly<D>;

    fn params(&self) -> &'static Params {
        self.shared.params
    }

    fn upload<D: Domain>(&self, polys: &[&Poly<D>]) -> Outcome<Vec<GpuPoly<D>>> {
        let mut out = Vec::with_capacity(polys.len());
        let mut rest = polys;
        while let Some(first) = rest.first() {
            assert!(first.n() == self.n(), "a polynomial has another degree");
            // A run of polynomials of one shape goes in one transfer.
            let words = first.residues().len();
            let run = rest.iter().take_while(|poly| poly.residues().len() == words);
            let (run, others) = rest.split_at(run.take((TRANSFER_WORDS / words).max(1)).count());
            let residues: Vec<u32> = run.iter().flat_map(|poly| poly.residues()).copied().collect();
            out.extend(GpuPoly::split(self.engine().upload(residues)?, first.limbs(), self.n()));
            rest = others;
        }
        Ok(out)
    }

    fn download<D: Domain>(&self, polys: &[&GpuPoly<D>]) -> Outcome<Vec<Poly<D>>> {
        let parts: Vec<_> = polys.iter().map(|poly| poly.part()).collect();
        let residues = self.engine().download(&parts)?;
        let poly = |(poly, bytes): (&&GpuPoly<D>, Bytes)| {
            let mut out = Poly::zero(self.n(), poly.limbs());
            out.residues_mut().copy_from_slice(u32::from_bytes(&bytes));
            out
        };
        Ok(polys.iter().zip(residues).map(poly).collect())
    }

    fn truncate<D: Domain>(&self, poly: &mut GpuPoly<D>, limbs: usize) {
        poly.truncate(limbs);
    }

    fn forward(&self, basis: &Basis, polys: Vec<GpuPoly<Coeff>>) -> Outcome<Vec<GpuPoly<Eval>>> {
        let primes = numbers(self.params(), basis);
        let mut tasks = Vec::with_capacity(primes.len() * polys.len());
        let (mut out, mut sources) = (Vec::with_capacity(polys.len()), Vec::new());
        for poly in polys {
            let from: Vec<u32> = (0..primes.len()).map(|row| poly.address(row)).collect();
            let result = match poly.reuse(primes.len()) {
                Ok(result) => result,
                Err(shared) => {
                    // It keeps its place until the work is issued.
                    sources.push(shared);
                    self.unset(primes.len())?
                }
            };
            let task = |(row, from): (usize, u32)| Transform { prime: primes[row], from, to: result.address(row) };
            tasks.extend(from.into_iter().enumerate().map(task));
            out.push(result);
        }
        self.engine().forward(&tasks)?;
        Ok(out)
    }

    fn inverse(
        &self,
        basis: &Basis,
        rows: &Basis,
        factors: &[u32],
        polys: &[&GpuPoly<Eval>],
    ) -> Outcome<Vec<GpuPoly<Coeff>>> {
        let params = self.params();
        let primes = numbers(params, rows);
        assert!(factors.len() == primes.len(), "one factor for every row");
        let row = |(row, limb): (usize, &Limb)| {
            (rows.row_in(basis, params, row), primes[row], scale(limb, params.n, factors[row]))
        };
        let rows: Vec<_> = rows.limbs(params).enumerate().map(row).collect();
        self.inverse_rows(&rows, polys)
    }

    fn convert(
        &self,
        basis: &Basis,
        from: &Basis,
        to: &Basis,
        scaled: &[&GpuPoly<Coeff>],
    ) -> Outcome<Vec<GpuPoly<Coeff>>> {
        let params = self.params();
        let key = (basis.clone(), from.clone(), to.clone());
        let table = self.shared.conversions.get(key, |(basis, from, to)| {
            let source = |(row, limb): (usize, &Limb)| (from.row_in(basis, params, row) as u32, limb.clone());
            let mut table = Conversion::new(from.limbs(params).enumerate().map(source).collect());
            let targets = to.limbs(params).zip(numbers(params, to)).enumerate();
            targets.for_each(|(row, (limb, prime))| table.convert_to(row as u32, prime, limb));
            table
        });
        let rows = to.len(params);
        let out = self.unset_all(rows, scaled)?;
        let items: Vec<_> = scaled
            .iter()
            .zip(&out)
            .map(|(from, to)| (0, [to.start(rows), from.start(basis.len(params)), NONE]))
            .collect();
        self.engine().conversions(&[&table], &items)?;
        Ok(out)
    }

    fn sum<D: Domain>(&self, basis: &Basis, lists: &[&[&GpuPoly<D>]]) -> Outcome<Vec<GpuPoly<D>>> {
        let rows = basis.len(self.params());
        let terms = lists.iter().map(|list| list.iter().map(|poly| [poly.start(rows)]).collect());
        self.add_up(basis, terms, Engine::sums)
    }

    fn subtract<D: Domain>(&self, basis: &Basis, pairs: &[[&GpuPoly<D>; 2]]) -> Outcome<Vec<GpuPoly<D>>> {
        let rows = basis.len(self.params());
        let terms = pairs.iter().map(|[left, right]| vec![[left.start(rows)], [right.start(rows) | NEGATIVE]]);
        self.add_up(basis, terms, Engine::sums)
    }

    fn multiply_accumulate(&self, basis: &Basis, sums: &[&[[&GpuPoly<Eval>; 2]]]) -> Outcome<Vec<GpuPoly<Eval>>> {
        let rows = basis.len(self.params());
        let terms = sums.iter().map(|sum| sum.iter().map(|pair| pair.map(|poly| poly.start(rows))).collect());
        self.add_up(basis, terms, Engine::product_sums)
    }

    fn tensor(&self, basis: &Basis, sums: &[Vec<TensorTerm<'_, Self>>]) -> Outcome<Vec<[GpuPoly<Eval>; 3]>> {
        let primes = numbers(self.params(), basis);
        let out: Vec<[GpuPoly<Eval>; 3]> = self.unset_groups(primes.len(), sums)?;
        let words = |term: &TensorTerm<'_, Self>| {
            let ([x0, x1], [y0, y1]) = (term.left, term.right);
            [x0, x1, y0, y1].map(|poly| poly.start(primes.len()))
        };
        let item = |(terms, to): (&Vec<TensorTerm<'_, Self>>, &[GpuPoly<Eval>; 3])| Sum {
            to: to[0].start(primes.len()),
            terms: terms.iter().flat_map(words).collect(),
        };
        let items: Vec<Sum> = sums.iter().zip(&out).map(item).collect();
        self.engine().tensor_sums(&primes, &items)?;
        Ok(out)
    }

    fn automorphism(&self, basis: &Basis, items: &[(&GpuPoly<Eval>, &Automorphism)]) -> Outcome<Vec<GpuPoly<Eval>>> {
        let rows = basis.len(self.params());
        let out = self.unset_all(rows, items)?;
        let item = |((x, automorphism), to): (&(&GpuPoly<Eval>, &Automorphism), &GpuPoly<Eval>)| {
            [to.start(rows), x.start(rows), automorphism.exponent() as u32]
        };
        let items: Vec<_> = items.iter().zip(&out).map(item).collect();
        self.engine().automorphisms(rows, &items)?;
        Ok(out)
    }

    fn quotient(
        &self,
        basis: &Basis,
        keep: usize,
        factors: &[u32],
        items: &[Quotient<'_, Self>],
    ) -> Outcome<Vec<GpuPoly<Eval>>> {
        let (params, kept) = (self.params(), Basis::ordinary(0..keep));
        assert!(factors.len() == keep, "one factor for every row");
        let row = |(row, limb): (usize, &Limb)| {
            let factor = limb.shoup(factors[row]);
            [number(params, false, row), kept.row_in(basis, params, row) as u32, factor.value, factor.quotient]
        };
        let rows: Vec<_> = kept.limbs(params).enumerate().map(row).collect();
        self.quotient_rows(&rows, items)
    }

    fn gadget_product(&self, limbs: usize, items: &[GadgetTerm<'_, Self>]) -> Outcome<Vec<[GpuPoly<Eval>; 2]>> {
        let (params, specials) = (self.params(), self.params().p.len());
        let primes = numbers(params, &Basis::extended(limbs));
        let row = |(row, prime): (usize, &u32)| match row.checked_sub(specials) {
            Some(own) => [*prime, self.shared.special_products[own], own as u32],
            None => [*prime, 0, NONE],
        };
        let rows: Vec<_> = primes.iter().enumerate().map(row).collect();
        let out: Vec<[GpuPoly<Eval>; 2]> = self.unset_groups(rows.len(), items)?;
        let item = |(item, to): (&GadgetTerm<'_, Self>, &[GpuPoly<Eval>; 2])| {
            let pairs = item.key.pairs();
            assert!(item.digits.len() <= pairs.len(), "a key has fewer digits than the polynomial");
            let term =
                |(digit, [b, a]): (&GpuPoly<Eval>, &[GpuPoly<Eval>; 2])| [digit, b, a].map(|x| x.start(rows.len()));
            Inner {
                to: to[0].start(rows.len()),
                terms: item.digits.iter().zip(pairs).map(term).collect(),
                own: item.own.map_or([NONE; 2], |own| own.map(|poly| poly.start(limbs))),
            }
        };
        let items: Vec<Inner> = items.iter().zip(&out).map(item).collect();
        self.engine().inner_products(&rows, &items)?;
        Ok(out)
    }

    /// All digits of all polynomials in one conversion, which copies the rows that are a digit's
    /// own, and one transform of the others.
    fn lift(&self, limbs: usize, polys: &[&GpuPoly<Eval>]) -> Outcome<Vec<Vec<GpuPoly<Eval>>>> {
        let params = self.params();
        let lift = self.shared.lifts.get(limbs, |limbs| Lift::new(params, *limbs));
        let rows = lift.scales.iter().enumerate();
        let rows: Vec<_> = rows.map(|(row, scale)| (row, number(params, false, row), *scale)).collect();
        let scaled = self.inverse_rows(&rows, polys)?;
        let extended = Basis::extended(limbs).len(params);
        let lifted: Vec<Vec<GpuPoly<Eval>>> =
            polys.iter().map(|_| self.unset_all(extended, &lift.tables)).collect::<Outcome<_>>()?;
        let (mut conversions, mut transforms) = (Vec::new(), Vec::new());
        for ((x, scaled), digits) in polys.iter().zip(&scaled).zip(&lifted) {
            for (number, digit) in digits.iter().enumerate() {
                conversions.push((number, [digit.start(extended), scaled.start(limbs), x.start(limbs)]));
                let transform = |(row, prime): &(usize, u32)| Transform {
                    prime: *prime,
                    from: digit.address(*row),
                    to: digit.address(*row),
                };
                transforms.extend(lift.converted[number].iter().map(transform));
            }
        }
        let tables: Vec<&Conversion> = lift.tables.iter().collect();
        self.engine().conversions(&tables, &conversions)?;
        self.engine().forward(&transforms)?;
        Ok(lifted)
    }

    fn divide(&self, basis: &Basis, keep: usize, items: Vec<Division<'_, Self>>) -> Outcome<Vec<GpuPoly<Eval>>> {
        let params = self.params();
        let divide =
            self.shared.divisions.get((basis.clone(), keep), |(basis, keep)| Divide::new(params, basis, *keep));
        let dividends: Vec<_> = items.iter().map(|item| item.x).collect();
        let scaled = self.inverse_rows(&divide.dropped, &dividends)?;
        let remainders: Vec<GpuPoly<Eval>> = self.unset_all(keep, &items)?;
        let pairs = || scaled.iter().zip(&remainders);
        let conversions: Vec<_> =
            pairs().map(|(from, to)| (0, [to.start(keep), from.start(divide.dropped.len()), NONE])).collect();
        self.engine().conversions(&[&divide.table], &conversions)?;
        let transform = |poly: &GpuPoly<Eval>, row: usize| {
            let at = poly.address(row);
            Transform { prime: number(params, false, row), from: at, to: at }
        };
        let transforms: Vec<_> =
            remainders.iter().flat_map(|poly| (0..keep).map(move |row| transform(poly, row))).collect();
        self.engine().forward(&transforms)?;
        let items: Vec<_> =
            items.into_iter().zip(&remainders).map(|(division, remainder)| Quotient { division, remainder }).collect();
        self.quotient_rows(&divide.rows, &items)
    }
}
