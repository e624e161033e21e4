//! The samplers against their exact distributions, by their public interface alone.
//!
//! Seeds are fixed, so a run is repeatable; the bounds are those of six
//! deviations, so another seed, or another order of drawing, passes as well.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a failed helper fails its test, and prints the figures")]

use he_agg::sampler::{ERROR_MAX, centred_binomial, flooding, ternary};
use he_agg::{Expander, Preset, Stream};

const DRAWS: usize = 1_000_000;
/// Deviations by which a statistic may be off.
const SIGMAS: f64 = 6.0;

fn stream(seed: u8) -> Stream {
    Stream::from_seed([seed; 32])
}

/// Pearson's statistic must be within six deviations of its mean: too large is
/// another distribution, too small is no random draw.
fn assert_chi_square(name: &str, found: &[u64], probabilities: &[f64]) {
    assert_eq!(found.len(), probabilities.len());
    let total = found.iter().sum::<u64>() as f64;
    let sum: f64 = probabilities.iter().sum();
    assert!((sum - 1.0).abs() < 1e-9, "{name}: probabilities add up to {sum}");
    let chi: f64 = found.iter().zip(probabilities).map(|(&n, p)| (n as f64 - total * p).powi(2) / (total * p)).sum();
    let freedom = (found.len() - 1) as f64;
    let deviation = (2.0 * freedom).sqrt();
    println!("{name}: chi-square {chi:.1} at {freedom} degrees of freedom");
    assert!((chi - freedom).abs() < SIGMAS * deviation, "{name}: {chi} at {freedom} degrees of freedom");
}

/// Counts of values in `low..=high`, with both tails merged until every cell
/// expects at least 20 of the draws.
fn assert_pmf(name: &str, values: impl Iterator<Item = i64>, low: i64, pmf: &[f64], draws: usize) {
    let mut counts = vec![0u64; pmf.len()];
    for value in values {
        counts[usize::try_from(value - low).unwrap()] += 1;
    }
    let enough = |p: f64| p * draws as f64 >= 20.0;
    let first = (0..pmf.len()).find(|&i| enough(pmf[..=i].iter().sum())).unwrap();
    let last = (0..pmf.len()).rfind(|&i| enough(pmf[i..].iter().sum())).unwrap();
    let merge = |cells: &[f64]| -> Vec<f64> {
        let mut merged = vec![cells[..=first].iter().sum::<f64>()];
        merged.extend_from_slice(&cells[first + 1..last]);
        merged.push(cells[last..].iter().sum());
        merged
    };
    let found: Vec<f64> = counts.iter().map(|&n| n as f64).collect();
    let found: Vec<u64> = merge(&found).into_iter().map(|n| n as u64).collect();
    assert_chi_square(name, &found, &merge(pmf));
}

/// Mean and the 2nd, 3rd and 4th central moments.
fn moments(values: &[f64]) -> [f64; 4] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let central = |k: i32| values.iter().map(|x| (x - mean).powi(k)).sum::<f64>() / n;
    [mean, central(2), central(3), central(4)]
}

/// Neighbours at the first few distances are uncorrelated: deviation 1/sqrt N.
fn assert_uncorrelated(name: &str, values: &[f64]) {
    let [mean, variance, ..] = moments(values);
    for lag in [1, 2, 3, 6, 12, 16] {
        let products = values.iter().zip(&values[lag..]).map(|(x, y)| (x - mean) * (y - mean));
        let correlation = products.sum::<f64>() / variance / (values.len() - lag) as f64;
        assert!(correlation.abs() < SIGMAS / (values.len() as f64).sqrt(), "{name}, lag {lag}: {correlation}");
    }
}

/// C(n, k), exact below 2^53.
fn binomial(n: u32, k: u32) -> f64 {
    (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1))
}

#[test]
fn errors_have_the_exact_centred_binomial_distribution() {
    let errors = centred_binomial(&mut stream(1), DRAWS);
    let reach = i64::from(ERROR_MAX);
    assert_eq!(reach, 21);
    // C(42, 21 + k) / 2^42.
    let pmf: Vec<f64> = (0..=42).map(|k| binomial(42, k) / 42f64.exp2()).collect();
    assert_pmf("errors", errors.iter().copied(), -reach, &pmf, DRAWS);
    let values: Vec<f64> = errors.iter().map(|&e| e as f64).collect();
    let [mean, variance, third, fourth] = moments(&values);
    let n = DRAWS as f64;
    assert!(mean.abs() < SIGMAS * (10.5 / n).sqrt(), "{mean}");
    assert!((variance / 10.5 - 1.0).abs() < SIGMAS * (2.0 / n).sqrt(), "{variance}");
    assert!((third / 10.5f64.powf(1.5)).abs() < SIGMAS * (6.0 / n).sqrt(), "{third}");
    // Excess kurtosis of a binomial at one half: -2/42.
    let excess = fourth / variance.powi(2) - 3.0;
    assert!((excess + 2.0 / 42.0).abs() < SIGMAS * (24.0 / n).sqrt(), "{excess}");
    assert_uncorrelated("errors", &values);
}

#[test]
fn ternary_secrets_are_uniform_alone_and_in_triples() {
    let secret = ternary(&mut stream(2), DRAWS);
    assert_pmf("ternary", secret.iter().copied(), -1, &[1.0 / 3.0; 3], DRAWS);
    let mut triples = vec![0u64; 27];
    for triple in secret.chunks_exact(3) {
        triples[triple.iter().fold(0, |index, &x| 3 * index + (x + 1) as usize)] += 1;
    }
    assert_chi_square("ternary triples", &triples, &[1.0 / 27.0; 27]);
    assert_uncorrelated("ternary", &secret.iter().map(|&x| x as f64).collect::<Vec<_>>());
}

/// The distribution of the sum of twelve uniforms on [0, 1), x in [0, 12].
fn irwin_hall(x: f64) -> f64 {
    if x > 6.0 {
        return 1.0 - irwin_hall(12.0 - x);
    }
    let factorial: f64 = (1..=12).map(f64::from).product();
    let terms = (0..=12u32).filter(|&k| f64::from(k) < x).map(|k| {
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        sign * binomial(12, k) * (x - f64::from(k)).powi(12)
    });
    terms.sum::<f64>() / factorial
}

#[test]
fn flooding_is_the_sum_of_twelve_uniforms_of_the_stated_deviation() {
    // The words of the presets (40, 54), the widest narrow word, two wide ones.
    for (seed, bits) in [(3, 40), (4, 54), (5, 64), (6, 65), (7, 74)] {
        let z = flooding(&mut stream(seed), bits, DRAWS);
        assert_eq!(z.len(), DRAWS);
        assert!(z.iter().all(|z| z.unsigned_abs() < 6u128 << bits));
        let unit = f64::from(bits).exp2();
        let values: Vec<f64> = z.iter().map(|&z| z as f64 / unit).collect();
        let [mean, variance, third, fourth] = moments(&values);
        let n = DRAWS as f64;
        let sigma = variance.sqrt();
        println!("flooding {bits}: sigma {sigma:.5}, excess kurtosis {:.4}", fourth / variance.powi(2) - 3.0);
        assert!(mean.abs() < SIGMAS / n.sqrt(), "{bits}: mean {mean}");
        // Six deviations of the estimate are 0.4 %, inside the 1 % that the analysis needs.
        assert!((sigma - 1.0).abs() < SIGMAS / (2.0 * n).sqrt(), "{bits}: sigma {sigma}");
        assert!(third.abs() < SIGMAS * (6.0 / n).sqrt(), "{bits}: third moment {third}");
        // -6/5 for one uniform, a twelfth of it for twelve, 0 for a Gaussian.
        let excess = fourth / variance.powi(2) - 3.0;
        assert!((excess + 0.1).abs() < SIGMAS * (24.0 / n).sqrt(), "{bits}: excess kurtosis {excess}");
        // Cells of a quarter deviation from -4 to 4, and the tails.
        let edges: Vec<f64> = (-16..=16).map(|k| f64::from(k) / 4.0).collect();
        let mut counts = vec![0u64; edges.len() + 1];
        values.iter().for_each(|&x| counts[edges.partition_point(|&edge| edge <= x)] += 1);
        let below: Vec<f64> = edges.iter().map(|&edge| irwin_hall(edge + 6.0)).collect();
        let mut cells = vec![below[0]];
        cells.extend(below.windows(2).map(|pair| pair[1] - pair[0]));
        cells.push(1.0 - below[below.len() - 1]);
        assert_chi_square(&format!("flooding {bits}"), &counts, &cells);
        // Even the lowest byte is uniform: no bit is left without noise.
        let mut low = vec![0u64; 256];
        z.iter().for_each(|z| low[z.rem_euclid(256) as usize] += 1);
        assert_chi_square(&format!("flooding {bits}, low byte"), &low, &[1.0 / 256.0; 256]);
        assert_uncorrelated(&format!("flooding {bits}"), &values);
    }
}

#[test]
fn flooding_of_small_words_has_the_exact_discrete_distribution() {
    for bits in [1, 2, 5] {
        // Twelve-fold convolution of the uniform word, six times mirrored.
        let word = 1usize << bits;
        let mut pmf = vec![1.0];
        for _ in 0..12 {
            let mut next = vec![0.0; pmf.len() + word - 1];
            for (i, p) in pmf.iter().enumerate() {
                next[i..i + word].iter_mut().for_each(|cell| *cell += p / word as f64);
            }
            pmf = next;
        }
        let z = flooding(&mut stream(10 + bits as u8), bits, DRAWS);
        let low = -6 * (word as i64 - 1);
        assert_pmf(&format!("flooding of {bits} bits"), z.iter().map(|&z| z as i64), low, &pmf, DRAWS);
    }
    assert!(flooding(&mut stream(20), 0, 100).iter().all(|&z| z == 0));
}

#[test]
fn residues_are_uniform_modulo_every_kind_of_prime() {
    let params = Preset::Inf15x90.params();
    // The largest and the smallest prime in use, and two between.
    let (p, q) = (&params.p, &params.q);
    for (seed, limb) in [(30, &p[0]), (31, &p[5]), (32, &q[9]), (33, &q[18])] {
        let prime = limb.modulus().value();
        let mut residues = vec![0u32; DRAWS];
        stream(seed).fill_uniform(prime, &mut residues);
        assert!(residues.iter().all(|&x| x < prime));
        let part = |x: u32, cells: u64| (u64::from(x) * cells / u64::from(prime)) as usize;
        // High bits, low bits, neighbours, and the residues that a sampler
        // which reduces instead of rejecting would hit twice as often.
        let mut high = vec![0u64; 512];
        let mut low = vec![0u64; 256];
        let mut pairs = vec![0u64; 256];
        residues.iter().for_each(|&x| high[part(x, 512)] += 1);
        residues.iter().for_each(|&x| low[(x & 255) as usize] += 1);
        residues.chunks_exact(2).for_each(|pair| pairs[16 * part(pair[0], 16) + part(pair[1], 16)] += 1);
        assert_chi_square(&format!("high bits mod {prime}"), &high, &[1.0 / 512.0; 512]);
        assert_chi_square(&format!("low bits mod {prime}"), &low, &[1.0 / 256.0; 256]);
        assert_chi_square(&format!("pairs mod {prime}"), &pairs, &[1.0 / 256.0; 256]);
        let fold = (1u32 << 30) - prime;
        let below_fold = residues.iter().filter(|&&x| x < fold).count() as f64;
        let expected = DRAWS as f64 * f64::from(fold) / f64::from(prime);
        assert!((below_fold - expected).abs() < SIGMAS * expected.sqrt(), "{below_fold} against {expected}");
        let values: Vec<f64> = residues.iter().map(|&x| f64::from(x) / f64::from(prime)).collect();
        assert_uncorrelated(&format!("residues mod {prime}"), &values);
    }
}

#[test]
fn residues_of_any_length_are_uniform_from_the_first_to_the_last() {
    let prime = Preset::Agg13.params().q[0].modulus().value();
    for length in [1, 2, 1023, 1024, 1025] {
        let rounds = 40_000 / length + 2_000;
        let (mut first, mut last) = (vec![0u64; 16], vec![0u64; 16]);
        let mut source = stream(40);
        let mut out = vec![0u32; length];
        for _ in 0..rounds {
            Stream::from_seed(source.seed()).fill_uniform(prime, &mut out);
            let cell = |x: u32| (u64::from(x) * 16 / u64::from(prime)) as usize;
            first[cell(out[0])] += 1;
            last[cell(out[length - 1])] += 1;
        }
        assert_chi_square(&format!("first of {length}"), &first, &[1.0 / 16.0; 16]);
        assert_chi_square(&format!("last of {length}"), &last, &[1.0 / 16.0; 16]);
    }
}

#[test]
fn streams_of_neighbouring_limbs_polynomials_and_purposes_are_unrelated() {
    let expander = Expander::new(&[9; 32], "test", Preset::Agg13, &[1, 2, 3]);
    let other = Expander::new(&[9; 32], "test", Preset::Agg13, &[1, 2, 4]);
    let streams =
        [expander.stream(0, 0), expander.stream(0, 1), expander.stream(1, 0), expander.sampler(0), other.stream(0, 0)];
    let prime = Preset::Agg13.params().q[0].modulus().value();
    let columns: Vec<Vec<f64>> = streams
        .into_iter()
        .map(|mut stream| {
            let mut out = vec![0u32; 200_000];
            stream.fill_uniform(prime, &mut out);
            out.iter().map(|&x| f64::from(x) / f64::from(prime) - 0.5).collect()
        })
        .collect();
    for (i, x) in columns.iter().enumerate() {
        for y in &columns[..i] {
            let covariance = x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / x.len() as f64;
            assert!((12.0 * covariance).abs() < SIGMAS / (x.len() as f64).sqrt(), "{covariance}");
        }
    }
}
