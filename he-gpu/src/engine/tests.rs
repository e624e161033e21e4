//! Every kernel against the plain arithmetic of `he_agg`.

use super::*;
use crate::kernels::NONE;
use cubecl::CubeElement;
use he_agg::backend::{Backend, BackendError, Basis, Cpu};
use he_agg::ring::{Automorphism, Limb};
use he_agg::{Coeff, Eval, Expander, Poly, Preset};

/// The device; where there is none, the test says so and passes, unless one is asked for.
fn device() -> Option<Arc<Device>> {
    let opened = Device::open();
    if let Err(error) = &opened {
        assert!(std::env::var_os("CONSILIUM_TEST_GPU").is_none(), "{error}");
        eprintln!("skipped: {error}");
    }
    opened.ok()
}

fn engine(params: &Params) -> Option<Engine> {
    Some(Engine::new(device()?, params, false).unwrap())
}

/// Rows with zeros, the largest residues and random ones.
fn rows(params: &Params, count: usize, seed: u32) -> Vec<Vec<u32>> {
    let expander = Expander::new(&[7; 32], "test", params.preset, &[]);
    let basis: Vec<Limb> = all(params).into_iter().cycle().take(count).collect();
    let random = Poly::<Eval>::uniform(&expander, seed, params.n, &basis);
    let mut rows: Vec<Vec<u32>> = (0..count).map(|i| random.limb(i).to_vec()).collect();
    for (row, limb) in rows.iter_mut().zip(&basis) {
        let q = limb.modulus().value();
        (row[0], row[1], row[2], row[3]) = (0, q - 1, q - 1, 0);
    }
    rows[0].fill(0);
    rows[1].fill(basis[1].modulus().value() - 1);
    rows
}

fn all(params: &Params) -> Vec<Limb> {
    params.p.iter().chain(&params.q).cloned().collect()
}

fn upload(engine: &Engine, rows: &[Vec<u32>]) -> Region {
    engine.upload(rows.concat()).unwrap()
}

fn download(region: &Region) -> Vec<u32> {
    u32::from_bytes(&Region::read(&[(region, 0, region.words())]).unwrap()[0]).to_vec()
}

#[test]
fn transforms_equal_the_scalar_ones_at_every_degree() {
    let sizes = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map(|log_n| (log_n, false));
    for (log_n, unroll) in sizes.into_iter().chain([(8, true), (9, true), (10, true)]) {
        let params = Params::toy(Preset::Inf13, log_n);
        let Some(device) = device() else { return };
        let engine = Engine::new(device, &params, unroll).unwrap();
        let (n, limbs) = (params.n, all(&params));
        let mut expected = rows(&params, limbs.len() + 2, log_n);
        let from = upload(&engine, &expected);
        let to = engine.room(from.words()).unwrap();
        let task = |i: usize, from: &Region, to: &Region| Transform {
            prime: (i % limbs.len()) as u32,
            from: from.address(i * n),
            to: to.address(i * n),
        };
        let tasks: Vec<Transform> = (0..expected.len()).map(|i| task(i, &from, &to)).collect();
        engine.forward(&tasks).unwrap();
        // Back in place, each row with a factor of its own.
        let factor = |i: usize| [1, limbs[i % limbs.len()].modulus().value() - 1, 12_345][i % 3];
        let scaled = |i: usize| tables::scale(&limbs[i % limbs.len()], n, factor(i));
        let back = engine.room(from.words()).unwrap();
        let tasks: Vec<_> = (0..expected.len()).map(|i| (task(i, &from, &back), scaled(i))).collect();
        engine.inverse(&tasks).unwrap();
        let tasks: Vec<_> = (0..expected.len()).map(|i| (task(i, &from, &from), scaled(i))).collect();
        engine.inverse(&tasks).unwrap();
        let mut inverses = expected.clone();
        for (i, (row, inverse)) in expected.iter_mut().zip(&mut inverses).enumerate() {
            limbs[i % limbs.len()].forward(row);
            limbs[i % limbs.len()].inverse_scaled(inverse, factor(i));
        }
        assert!(download(&to) == expected.concat(), "forward, n = 2^{log_n}");
        assert!(download(&back) == inverses.concat(), "inverse, n = 2^{log_n}");
        assert!(download(&from) == inverses.concat(), "inverse in place, n = 2^{log_n}");
    }
}

/// Degrees for everything but transforms: below a workgroup, and with tiles.
const DEGREES: [u32; 2] = [4, 9];

/// `count` polynomials over all primes, with their limbs.
fn polys(params: &Params, count: u32) -> Vec<Vec<Vec<u32>>> {
    (0..count).map(|i| rows(params, params.p.len() + params.q.len(), i)).collect()
}

/// Uploads polynomials and gives their addresses, in one region.
fn place(engine: &Engine, polys: &[Vec<Vec<u32>>]) -> (Region, Vec<u32>) {
    let region = upload(engine, &polys.concat());
    let words = region.words() / polys.len();
    let addresses = (0..polys.len()).map(|i| region.address(i * words)).collect();
    (region, addresses)
}

#[test]
fn sums_equal_the_plain_ones_whatever_their_length() {
    for log_n in DEGREES {
        let params = Params::toy(Preset::Inf13, log_n);
        let Some(engine) = engine(&params) else { return };
        let (n, limbs) = (params.n, all(&params));
        let polys = polys(&params, 30);
        let (_region, at) = place(&engine, &polys);
        let primes: Vec<u32> = (0..limbs.len() as u32).collect();
        let words = limbs.len() * n;
        let counts = [1, 2, 5, 13, 30];
        let out = engine.room(5 * words * counts.len()).unwrap();
        let item = |i: usize, part: usize, width: usize, words_of: &dyn Fn(usize) -> Vec<u32>| {
            let terms: Vec<u32> = (0..counts[i]).flat_map(words_of).collect();
            assert_eq!(terms.len(), counts[i] * width);
            Sum { to: out.address((5 * i + part) * words), terms }
        };
        let next = |t: usize, step: usize| at[(7 * t + step) % at.len()];
        let sign = |t: usize| if t % 3 == 1 { kernels::NEGATIVE } else { 0 };
        let range = 0..counts.len();
        let sums: Vec<Sum> = range.clone().map(|i| item(i, 0, 1, &|t| vec![at[t] | sign(t)])).collect();
        engine.sums(&primes, &sums).unwrap();
        let products: Vec<Sum> = range.clone().map(|i| item(i, 1, 2, &|t| vec![at[t], next(t, 1)])).collect();
        engine.product_sums(&primes, &products).unwrap();
        let tensors = range.map(|i| item(i, 2, 4, &|t| vec![at[t], next(t, 1), next(t, 2), next(t, 3)]));
        engine.tensor_sums(&primes, &tensors.collect::<Vec<_>>()).unwrap();
        let found = download(&out);
        for (i, count) in counts.into_iter().enumerate() {
            for (row, limb) in limbs.iter().enumerate() {
                let mut expected = [(); 5].map(|()| vec![0; n]);
                for t in 0..count {
                    let x = |step: usize| &polys[(7 * t + step) % polys.len()][row][..];
                    let own = &polys[t][row];
                    if sign(t) == 0 {
                        limb.add(&mut expected[0], own)
                    } else {
                        limb.sub(&mut expected[0], own)
                    }
                    limb.mul_add(&mut expected[1], own, x(1));
                    limb.mul_add(&mut expected[2], own, x(2));
                    limb.mul_add(&mut expected[3], own, x(3));
                    limb.mul_add(&mut expected[3], x(1), x(2));
                    limb.mul_add(&mut expected[4], x(1), x(3));
                }
                for (part, expected) in expected.iter().enumerate() {
                    let from = (5 * i + part) * words + row * n;
                    assert!(&found[from..from + n] == expected, "{count} terms, row {row}, part {part}, n = {n}");
                }
            }
        }
    }
}

#[test]
fn inner_products_add_what_is_their_own_outside_of_p() {
    for log_n in DEGREES {
        let params = Params::toy(Preset::Inf14x30, log_n);
        let Some(engine) = engine(&params) else { return };
        let (n, limbs, specials) = (params.n, all(&params), params.p.len());
        let polys = polys(&params, 14);
        let (_region, at) = place(&engine, &polys);
        // Any factor does in place of P, also one that the sum just holds.
        let factor = |limb: &Limb| limb.modulus().value() - 1;
        let row = |row: usize| {
            if row < specials {
                [row as u32, 0, NONE]
            } else {
                [row as u32, factor(&limbs[row]), (row - specials) as u32]
            }
        };
        let rows: Vec<[u32; 3]> = (0..limbs.len()).map(row).collect();
        let terms: Vec<[u32; 3]> = (0..4).map(|t| [at[3 * t], at[3 * t + 1], at[3 * t + 2]]).collect();
        let words = 2 * limbs.len() * n;
        let out = engine.room(2 * words).unwrap();
        let own = [at[12], at[13]];
        let with = Inner { to: out.address(0), terms: terms.clone(), own };
        let without = Inner { to: out.address(words), terms, own: [NONE; 2] };
        engine.inner_products(&rows, &[with, without]).unwrap();
        let found = download(&out);
        for (item, half, row) in (0..2).flat_map(|i| (0..2).flat_map(move |h| (0..14).map(move |r| (i, h, r)))) {
            let limb = &limbs[row];
            let mut expected = vec![0; n];
            for t in 0..4 {
                limb.mul_add(&mut expected, &polys[3 * t][row], &polys[3 * t + 1 + half][row]);
            }
            if item == 0 && row >= specials {
                // Rows of own polynomials begin with the first prime of Q; here they are residues
                // of another prime, which only their being below 2^30 matters to.
                let own: Vec<u64> = polys[12 + half][row - specials].iter().map(|x| u64::from(*x)).collect();
                let own: Vec<u32> = own.into_iter().map(|x| limb.modulus().reduce_u64(x)).collect();
                limb.mul_scalar_add(&mut expected, &own, factor(limb));
            }
            limb.mul_scalar(&mut expected, limb.modulus().inv(limb.modulus().word().value));
            let from = item * words + (half * limbs.len() + row) * n;
            assert!(found[from..from + n] == expected, "item {item}, half {half}, row {row}, n = {n}");
        }
    }
}

#[test]
fn quotients_and_automorphisms_permute_as_the_plain_ones() {
    for log_n in DEGREES {
        let params = Params::toy(Preset::Inf13, log_n);
        let Some(engine) = engine(&params) else { return };
        let (n, limbs) = (params.n, all(&params));
        let polys = polys(&params, 3);
        let (_region, at) = place(&engine, &polys);
        let keep = 3;
        let first = params.p.len();
        let factor = |row: usize| limbs[first + row].shoup(limbs[first + row].modulus().value() - 1 - row as u32);
        let rows: Vec<[u32; 4]> = (0..keep)
            .map(|row| [(first + row) as u32, (first + row) as u32, factor(row).value, factor(row).quotient])
            .collect();
        let exponents = [1, 5, 25, 2 * n - 1, 2 * n - 5, 3];
        let out = engine.room(exponents.len() * (keep + limbs.len()) * n).unwrap();
        let to = |i: usize| out.address(i * keep * n);
        let turned = |i: usize| out.address((exponents.len() * keep + i * limbs.len()) * n);
        // Residues of other primes are as good, as long as they are below the row's own.
        let reduced: Vec<Vec<Vec<u32>>> = polys.iter().map(|poly| shift(poly, &limbs, first)).collect();
        let (_reduced_region, reduced_at) = place(&engine, &reduced);
        let addend = |i: usize| if i.is_multiple_of(2) { reduced_at[2] } else { NONE };
        let items: Vec<[u32; 5]> =
            (0..exponents.len()).map(|i| [to(i), at[0], reduced_at[1], addend(i), exponents[i] as u32]).collect();
        engine.quotients(&rows, &items).unwrap();
        let items: Vec<[u32; 3]> = (0..exponents.len()).map(|i| [turned(i), at[0], exponents[i] as u32]).collect();
        engine.automorphisms(limbs.len(), &items).unwrap();
        let found = download(&out);
        for (i, exponent) in exponents.into_iter().enumerate() {
            let automorphism = Automorphism::new(n, exponent);
            let mut permuted = vec![0; n];
            for row in 0..keep {
                let limb = &limbs[first + row];
                let mut expected = polys[0][first + row].clone();
                limb.sub_mul_scalar(&mut expected, &reduced[1][row], factor(row).value);
                if addend(i) != NONE {
                    limb.add(&mut expected, &reduced[2][row]);
                }
                automorphism.permute(&expected, &mut permuted);
                let from = (i * keep + row) * n;
                assert!(found[from..from + n] == permuted, "quotient, X^{exponent}, row {row}, n = {n}");
            }
            for (row, x) in polys[0].iter().enumerate() {
                automorphism.permute(x, &mut permuted);
                let from = (exponents.len() * keep + i * limbs.len() + row) * n;
                assert!(found[from..from + n] == permuted, "X^{exponent}, row {row}, n = {n}");
            }
        }
    }
}

/// Row `i` reduced modulo prime `first + i`.
fn shift(poly: &[Vec<u32>], limbs: &[Limb], first: usize) -> Vec<Vec<u32>> {
    let reduce = |(i, row): (usize, &Vec<u32>)| {
        let modulus = limbs[(first + i) % limbs.len()].modulus();
        row.iter().map(|x| modulus.reduce_u64(u64::from(*x))).collect()
    };
    poly.iter().enumerate().map(reduce).collect()
}

#[test]
fn conversions_equal_the_plain_ones_from_one_to_eleven_primes() {
    for log_n in DEGREES {
        let params: &'static Params = Box::leak(Box::new(Params::toy(Preset::Inf15x90, log_n)));
        let Some(engine) = engine(params) else { return };
        let (n, limbs, specials) = (params.n, all(params), params.p.len());
        let polys = polys(params, 2);
        let (_region, at) = place(&engine, &polys);
        // The first rows of P, then the others of Q, so that bases of the trait name them.
        for sources in [vec![6..7, 8..11, 13..15], vec![6..17, 17..20]] {
            let tables: Vec<Conversion> = sources
                .iter()
                .map(|rows| {
                    let mut table = Conversion::new(rows.clone().map(|row| (row as u32, limbs[row].clone())).collect());
                    for (row, limb) in limbs.iter().enumerate() {
                        if row % 7 == 3 {
                            table.copy_to(row as u32, (row / 2) as u32);
                        } else {
                            table.convert_to(row as u32, row as u32, limb);
                        }
                    }
                    table
                })
                .collect();
            let words = limbs.len() * n;
            let out = engine.room(sources.len() * words).unwrap();
            let items: Vec<(usize, [u32; 3])> =
                (0..sources.len()).map(|i| (i, [out.address(i * words), at[0], at[1]])).collect();
            engine.conversions(&tables.iter().collect::<Vec<_>>(), &items).unwrap();
            let found = download(&out);
            let poly = Poly::<Coeff>::from_residues(polys[0].concat(), n, &limbs).unwrap();
            let whole = Basis::extended(params.q.len());
            for (i, rows) in sources.iter().enumerate() {
                let from = Basis::ordinary(rows.start - specials..rows.end - specials);
                let expected = Cpu::new(params).convert(&whole, &from, &whole, &[&poly]).unwrap().remove(0);
                for row in 0..limbs.len() {
                    let wanted = if row % 7 == 3 { &polys[1][row / 2][..] } else { expected.limb(row) };
                    let from = i * words + row * n;
                    assert!(&found[from..from + n] == wanted, "{rows:?} to {row}, n = {n}");
                }
            }
        }
    }
}

#[test]
fn operands_may_lie_in_any_chunk_of_memory() {
    let params = Params::toy(Preset::Inf13, 9);
    let Some(device) = device() else { return };
    let (limbs, n) = (all(&params), params.n);
    let polys = polys(&params, 4);
    let words = limbs.len() * n;
    let memory = Memory::with_steps(device.clone(), [8 * words as u64; 4]);
    let engine = Engine::over(device, memory, &params, false).unwrap();
    let regions: Vec<Region> = polys.iter().map(|poly| upload(&engine, poly)).collect();
    // A result that is longer than a chunk gets a longer one.
    let (sum, tensor, turned) = (engine.room(words), engine.room(3 * words), engine.room(words));
    let (sum, tensor, turned) = (sum.unwrap(), tensor.unwrap(), turned.unwrap());
    let at: Vec<u32> = regions.iter().chain([&sum, &tensor, &turned]).map(|region| region.address(0)).collect();
    assert_eq!(at.iter().map(|at| at >> kernels::UNIT_BITS).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 3, 2]);
    let primes: Vec<u32> = (0..limbs.len() as u32).collect();
    engine.sums(&primes, &[Sum { to: at[4], terms: at[..4].to_vec() }]).unwrap();
    engine.tensor_sums(&primes, &[Sum { to: at[5], terms: at[..4].to_vec() }]).unwrap();
    let row = |row: usize| Transform { prime: row as u32, from: sum.address(row * n), to: turned.address(row * n) };
    engine.forward(&(0..limbs.len()).map(row).collect::<Vec<_>>()).unwrap();
    let (found, product, turned) = (download(&sum), download(&tensor), download(&turned));
    for (i, limb) in limbs.iter().enumerate() {
        let (mut expected, mut last) = (vec![0; n], vec![0; n]);
        polys.iter().for_each(|poly| limb.add(&mut expected, &poly[i]));
        limb.mul_add(&mut last, &polys[1][i], &polys[3][i]);
        assert!(found[i * n..(i + 1) * n] == expected, "sum, row {i}");
        assert!(product[2 * words + i * n..2 * words + (i + 1) * n] == last, "product, row {i}");
        limb.forward(&mut expected);
        assert!(turned[i * n..(i + 1) * n] == expected, "transform, row {i}");
    }
    drop(regions);
    // Room for one polynomial of two is free in two chunks now, but for three in none.
    assert!(engine.room(2 * words).is_ok());
    let full = engine.room(3 * words).err().unwrap();
    assert!(matches!(&full, BackendError::OutOfMemory { bytes, .. } if *bytes == 12 * words as u64), "{full}");
    let endless = engine.room(1 << 40).err().unwrap();
    assert!(matches!(endless, BackendError::OutOfMemory { .. }), "{endless}");
}
