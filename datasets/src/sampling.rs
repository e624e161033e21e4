//! Reproducible draws for splits, partitions and phantoms.
//!
//! xoshiro256++ seeded by splitmix64: quick, the same on every machine, and **for simulation only**.
//! Its state is readable from its output; keys, masks and noise take their randomness elsewhere.
//! Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47 (2021).

/// A stream of draws that depends on nothing but its seed.
#[derive(Debug, Clone)]
pub struct Sampler {
    state: [u64; 4],
}

impl Sampler {
    /// The stream of `seed` and a `stream` number; different numbers give unrelated streams.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut z = splitmix(&mut { seed }) ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        Sampler { state: std::array::from_fn(|_| splitmix(&mut z)) }
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..bound, without bias (Lemire, ACM TOMACS 29, 2019). A bound of 0 gives 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound == 0 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.bits()) * u128::from(bound);
            if wide as u64 >= threshold {
                return (wide >> 64) as usize;
            }
        }
    }

    /// Normal with mean 0 and standard deviation 1 (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Gamma with the given shape, above 0, and scale 1 (Marsaglia and Tsang, ACM TOMS 26, 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let u = 1.0 - self.unit();
            return self.gamma(shape + 1.0) * u.powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// `count` shares that sum to 1, symmetric Dirichlet with concentration `alpha` above 0.
    pub fn dirichlet(&mut self, alpha: f64, count: usize) -> Vec<f64> {
        let mut shares: Vec<f64> = (0..count).map(|_| self.gamma(alpha)).collect();
        let sum: f64 = shares.iter().sum();
        if sum > 0.0 {
            shares.iter_mut().for_each(|share| *share /= sum);
        } else if count > 0 {
            // For a tiny alpha every draw may underflow; the limit law puts all on one.
            shares[self.below(count)] = 1.0;
        }
        shares
    }

    /// Puts `items` into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_first_outputs() {
        // Reference outputs of Vigna's splitmix64.c for seed 1234567.
        let mut state = 1_234_567;
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected, std::array::from_fn::<u64, 3, _>(|_| splitmix(&mut state)));
    }

    #[test]
    fn xoshiro_gives_the_published_first_outputs() {
        // Reference outputs of xoshiro256plusplus.c for the state 1, 2, 3, 4.
        let mut sampler = Sampler { state: [1, 2, 3, 4] };
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!(expected, std::array::from_fn::<u64, 4, _>(|_| sampler.bits()));
    }

    #[test]
    fn moments_are_those_of_the_laws() {
        let mut sampler = Sampler::new(3, 0);
        let count = 40_000;
        let mean = |draws: &[f64]| draws.iter().sum::<f64>() / draws.len() as f64;
        let normal: Vec<f64> = (0..count).map(|_| sampler.normal()).collect();
        let squares: Vec<f64> = normal.iter().map(|x| x * x).collect();
        assert!(mean(&normal).abs() < 0.02 && (mean(&squares) - 1.0).abs() < 0.03);
        for shape in [0.3, 1.0, 4.0] {
            let gamma: Vec<f64> = (0..count).map(|_| sampler.gamma(shape)).collect();
            // Mean and variance of a gamma law are both its shape.
            let m = mean(&gamma);
            let v = mean(&gamma.iter().map(|x| (x - m).powi(2)).collect::<Vec<_>>());
            assert!((m / shape - 1.0).abs() < 0.05 && (v / shape - 1.0).abs() < 0.1, "{shape}: {m} {v}");
        }
    }

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        assert_eq!(Sampler::new(1, 2).bits(), Sampler::new(1, 2).bits());
        assert_ne!(Sampler::new(1, 2).bits(), Sampler::new(1, 3).bits());
        assert_ne!(Sampler::new(1, 2).bits(), Sampler::new(2, 2).bits());
    }

    #[test]
    fn tiny_alpha_still_sums_to_one() {
        let shares = Sampler::new(5, 0).dirichlet(1e-6, 4);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
