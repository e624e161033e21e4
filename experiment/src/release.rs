//! How much flooding covers answers: from a certificate of the program, by the precision that is promised.

use he_agg::{
    Flooding,
    multiparty::{DecryptPolicy, ErrorBound},
};
use he_infer::{AdmissibleWeights, PixelRange, Program, WeightRange};

use super::{
    error::Conflict,
    settings::{DataPlan, Federation},
};

/// log2 of the deviation that flooding may give a logit.
const LOGIT_ERROR_LOG2: f64 = -8.0;
/// More statistical security than this is worth less than precision.
const SECURITY_MOST: u32 = 64;
/// Within what biases and betas are taken to lie before there is a model. Betas start at 1.
const OFFSET: f64 = 1.5;

/// How answers are released, and why so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Release {
    /// Statistical security s and the count tau of answers that it is sized for.
    pub flooding: Flooding,
    /// Bound on the error of every answer. A model that could exceed it is not published.
    pub bound: ErrorBound,
    /// Deviation that the flooding of all decryptors gives a logit.
    pub logit_error: f64,
    /// Largest logit that images and weights of the plan's ranges give.
    pub logit_max: f64,
    /// Pixels that may be asked about.
    pub pixels: PixelRange,
}

impl Release {
    /// The release of a program's answers by `threshold` of `hospitals`: as much security for `releases` answers as
    /// there is room for above their error and below the precision.
    ///
    /// # Errors
    /// A certificate that cannot be, or too little room.
    pub fn of(
        program: &Program,
        (pixels, weights): (PixelRange, AdmissibleWeights<'_>),
        (hospitals, threshold): (u16, u16),
        releases: u64,
    ) -> Result<Self, Conflict> {
        let certificate = program.certify(pixels, weights, hospitals).map_err(Conflict::Uncertified)?;
        let coefficients = program.output_period() * program.images();
        // A slot is the sum of 2 pi coefficients, two of each kind, with the flooding of every decryptor in each.
        let terms = 2.0 * coefficients as f64 * f64::from(threshold);
        let word = (f64::from(program.params().scale_bits()) + LOGIT_ERROR_LOG2 - 0.5 * terms.log2()).floor();
        let weak = |bound: f64| {
            let room = word - bound.ceil() - 0.5 * (24.0 * releases as f64).log2();
            let security = (2.0 * room).floor().max(0.0) as u32;
            Conflict::WeakFlooding { bound: bound.ceil().max(0.0) as u32, security, releases, hospitals }
        };
        let bound = certificate.bound().ok_or_else(|| weak(certificate.error_log2()))?;
        // The formula's v sqrt(N) is the norm, whatever N.
        let norm = f64::from(bound.norm_log2()).exp2();
        let flooding = Flooding::largest((SECURITY_MOST, releases), (1, norm), word.max(0.0) as u32)
            .map_err(|source| Conflict::Lanes(source.into()))?
            .ok_or_else(|| weak(certificate.error_log2()))?;
        let logit_error = terms.sqrt() * f64::from(flooding.word_bits(1, norm)).exp2() / program.output_scale();
        Ok(Self { flooding, bound, logit_error, logit_max: certificate.logit_max(), pixels })
    }

    /// Before there is a model, whose weights are within `gain` as [`Publish::gain`](super::Publish::gain) says.
    pub(super) fn of_plan(
        program: &Program,
        (data, federation): (&DataPlan, &Federation),
        gain: f64,
        releases: u64,
    ) -> Result<Self, Conflict> {
        let pixels = PixelRange::normalised(data.mean, data.std).map_err(Conflict::Uncertified)?;
        let weights = AdmissibleWeights::Within(WeightRange { gain, offset: OFFSET });
        let of = || Self::of(program, (pixels, weights), (federation.hospitals, federation.threshold), releases);
        // A file is read before the program knows with how many threads it computes, which the file says: the threads
        // of all others must not begin here.
        match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
            Ok(alone) => alone.install(of),
            Err(_) => of(),
        }
    }

    /// Bits that one answer of a program carries, at most, to whoever chose its result at will: what one honest
    /// decryptor's flooding leaves of the modulus. Everything where nothing floods.
    #[must_use]
    pub fn leak_bits_per_answer(&self, program: &Program) -> u64 {
        let (shape, params) = (program.answer_shape(), program.params());
        match self.policy().flooding_log2(params.preset) {
            Ok(Some(flooding)) => shape.capacity_bits(params, flooding).unwrap_or(u64::MAX),
            Ok(None) | Err(_) => u64::MAX,
        }
    }

    /// As decryptors take it.
    #[must_use]
    pub fn policy(&self) -> DecryptPolicy {
        DecryptPolicy::Flooded(self.flooding, self.bound)
    }
}

#[cfg(test)]
mod tests {
    use he_agg::Preset;

    use super::*;
    use crate::{DEMO, Experiment};

    fn demo(changes: &[&str]) -> Result<Experiment, String> {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        Experiment::parse("demo.toml", DEMO, &changes).map_err(|error| error.to_string())
    }

    fn release(changes: &[&str]) -> Release {
        demo(changes).expect("accepted").publish().release
    }

    #[test]
    fn security_is_what_error_and_precision_leave_room_for() {
        let plain = release(&[]);
        // The word of a share, as decryptors compute it, in a slot of 2 x 4 coefficients from four of them.
        let word = plain.policy().flooding_log2(Preset::Inf15x90).expect("room").expect("flooding");
        let deviation = |word: u32| 32f64.sqrt() * (f64::from(word) - 90.0).exp2();
        assert!((plain.logit_error / deviation(word) - 1.0).abs() < 1e-9, "{plain:?}");
        assert!(plain.logit_error <= (-8f64).exp2(), "{plain:?}");
        // One bit more and it would be exceeded.
        let more = Flooding::secure(plain.flooding.security() + 1, plain.flooding.releases()).expect("in range");
        let word = DecryptPolicy::Flooded(more, plain.bound).flooding_log2(Preset::Inf15x90).expect("room");
        assert!(deviation(word.expect("flooding")) > (-8f64).exp2());
        assert!((48..=60).contains(&plain.flooding.security()), "{plain:?}");
    }

    #[test]
    fn security_falls_with_releases_hospitals_and_range_and_never_exceeds_64() {
        let security = |changes: &[&str]| release(changes).flooding.security();
        let plain = security(&[]);
        assert!(security(&["publish.releases=1048576"]) < plain);
        assert!(security(&["federation.hospitals=64"]) < plain);
        assert!(security(&["publish.gain=0.7"]) < plain);
        assert!(security(&["data.normalise.std=0.2"]) < plain);
        assert_eq!(security(&["publish.releases=16", "publish.gain=0.01"]), 64);
    }

    #[test]
    fn a_plan_below_40_bits_is_refused_with_what_to_change() {
        let error = demo(&["publish.gain=4"]).expect_err("refused");
        assert!(error.contains("[publish] releases does not fit"), "{error}");
        assert!(error.contains("[model] layers: the error of an answer is only known to stay below 2^"), "{error}");
        assert!(error.contains("of flooding over 65536 releases and needs 40; lower publish.releases"), "{error}");
        // The last that is accepted and the first that is not.
        let fits = |gain: f64| demo(&[&format!("publish.gain={gain}")]).map(|plan| plan.publish().release);
        let last = (1..40).map(|step| 0.1 * f64::from(step)).take_while(|gain| fits(*gain).is_ok()).last();
        let last = fits(last.expect("some fit")).expect("accepted");
        assert!((40..44).contains(&last.flooding.security()), "{last:?}");
    }

    #[test]
    fn shipped_plans_have_so_many_bits_with_5_16_and_64_hospitals() {
        let of = |name: &str, hospitals: u16| {
            let path = format!("{}/../configs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            let changes = [format!("federation.hospitals={hospitals}")];
            let plan = Experiment::load(std::path::Path::new(&path), &changes);
            plan.map(|plan| plan.publish().release.flooding.security()).map_err(|error| error.to_string())
        };
        for (name, expected) in
            [("demo", [57, 53, 49]), ("breast", [55, 53, 49]), ("pneumonia", [57, 53, 49]), ("kidney", [51, 47, 43])]
        {
            assert_eq!([5, 16, 64].map(|hospitals| of(name, hospitals)), expected.map(Ok), "{name}");
        }
        // Ten classes, and units of 980 inputs.
        assert_eq!([5, 10, 16].map(|hospitals| of("mnist", hospitals)), [45, 43, 41].map(Ok));
        assert!(of("mnist", 64).is_err_and(|error| error.contains("leaves room for s = 37 bits")));
    }
}
