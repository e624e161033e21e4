//! Whole rounds against the plain integer sum.

use super::*;
use crate::aggregation::share;
use crate::ring::Poly;

#[test]
fn sums_equal_the_integer_sums_for_many_shapes_and_dropouts() {
    let mut stream = Stream::from_seed([11; 32]);
    let shapes: [(&'static Params, u16, u16, u32); 8] = [
        (&TOY13, 3, 2, 16),
        (&TOY13, 3, 3, 8),
        (&TOY13, 4, 3, 24),
        (&TOY13, 8, 6, 12),
        (&TOY13, 16, 11, 16),
        (&TOY13, 16, 9, 4),
        (&TOY14, 16, 11, 16),
        (&TOY14, 20, 14, 8),
    ];
    for (params, n, t, b) in shapes {
        for values in [Values::Random, Values::Max, Values::Min] {
            let mut epoch = Epoch::new(params, n, t, b, values);
            let least = usize::from(t.max(3));
            for (chunk, size) in [(0, usize::from(n)), (1, least)] {
                let s = draw(&mut stream, n, size);
                let t = draw(&mut stream, n, usize::from(t));
                epoch.check_round(chunk, &s, &t);
            }
        }
    }
}

#[test]
fn sixty_four_hospitals_fit_the_large_preset() {
    let mut stream = Stream::from_seed([12; 32]);
    let mut epoch = Epoch::new(&TOY14, 64, 43, 16, Values::Max);
    let (s, t) = (draw(&mut stream, 64, 64), draw(&mut stream, 64, 43));
    epoch.check_round(0, &s, &t);
}

#[test]
fn a_full_size_chunk_opens() {
    let mut epoch = Epoch::new(Preset::Agg13.params(), 5, 4, 16, Values::Random);
    epoch.check_round(9, &[1, 2, 4, 5], &[2, 3, 4, 5]);
}

#[test]
fn threshold_decryption_equals_decryption_under_the_secrets() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let (s, id) = ([1, 2, 3, 5], epoch.id(0));
    let context = epoch.context(id, &s, &[1, 3, 4, 5]);
    let sum = epoch.sum(&s, id);
    let shares = epoch.shares(&context);
    let blinded = BlindedSum::combine(&epoch.layout, &context, &sum, &shares).unwrap();
    let threshold = open(&epoch.layout, &context, &epoch.group, &blinded).unwrap();
    // Ideal decryption: the sum plus a times the summed secrets, plus the
    // blinding that `open` expects.
    let q = &TOY13.q;
    let mut secret = Poly::zero(TOY13.n, q.len());
    for &party in &s {
        secret.add_assign(epoch.hospitals[usize::from(party) - 1].secret.eval(), q);
    }
    secret.mul_assign(&id.common(&TOY13), q);
    let mut ideal = blinded.clone();
    ideal.y = sum.poly().clone();
    ideal.y.add_assign(&secret.into_coeff(q), q);
    ideal.y.add_assign(&share::blinding(&TOY13, &epoch.group, &context), q);
    let ideal = open(&epoch.layout, &context, &epoch.group, &ideal).unwrap();
    assert_eq!(ideal.values, threshold.values);
    // Only the encryption errors are left: |S| of at most 21.
    assert!(ideal.noise_max <= 4 * 21);
}

#[test]
fn golden_identities_are_stable() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let id = epoch.id(0);
    let context = epoch.context(id, &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let hex = |d: [u8; 32]| hex::encode(&d[..8]);
    let found = [hex(epoch.encrypt(1, id).identity()), hex(context.digest()), hex(epoch.share(1, &context).identity())];
    assert_eq!(found, GOLDEN);
}

/// Recorded once. A change means that stored bytes no longer reproduce, which
/// needs a new format version.
const GOLDEN: [&str; 3] = ["2bab17d4837d08ad", "0255c1b9de9f4dc4", "5072042abcee2e9e"];
