//! Every kernel against the plain arithmetic of `he_agg`.

use super::*;
use he_agg::ring::Limb;
use he_agg::{Eval, Expander, Poly, Preset};

fn engine(params: &Params) -> Engine {
    Engine::new(Device::open().unwrap(), params, false).unwrap()
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
    let words = rows.concat();
    let region = engine.room(words.len()).unwrap();
    region.write(&words).unwrap();
    region
}

fn download(region: &Region) -> Vec<u32> {
    Region::read(&[(region, 0, region.words())]).unwrap().remove(0)
}

#[test]
fn transforms_equal_the_scalar_ones_at_every_degree() {
    for log_n in [12, 4, 5, 6, 7, 8, 9, 10, 11, 13] {
        let params = Params::toy(Preset::Inf13, log_n);
        let (engine, n, limbs) = (engine(&params), params.n, all(&params));
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
