//! A part of a question, composed of planes by public turns: for its evaluators, each for itself.
//!
//! ```text
//! y = (sum_b M_b plane_b) / p_0,   M_b = step 4^b (1 - 2i) i^(d_b) / 4 in used slots, encoded at p_0
//! x = y + conj(y) + middle         lifted to the collective secret, then conjugated
//! ```
//!
//! M_b is rounded to integers, which moves a slot by less than 2^-11 at the presets: a part of the message,
//! since it follows from the turns alone.

use crate::backend::{Backend, Digits, Divider, KeySwitch};
use crate::ckks::{Ciphertext, CkksError, Encoder, EvaluationKeys, Evaluator, check_key, only};
use crate::multiparty::key_material::epoch_mismatch;
use crate::multiparty::plane_bytes::{Origin, plane_basis};
use crate::multiparty::plane_levels::check_slots;
use crate::multiparty::{CeremonyError, Crs, GateKey, PLANES_PER_INPUT, Plane, PlaneLevels};
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};
use rayon::prelude::*;

/// `(1 - 2i) i^d`, by d.
const DIGITS: [(f64, f64); 4] = [(1.0, -2.0), (2.0, 1.0), (-1.0, 2.0), (-2.0, -1.0)];

/// What four planes of one asker come to, under its gate secret still.
pub struct PlaneSum {
    origin: Origin,
    parts: [Poly<Eval>; 2],
}

impl PlaneSum {
    /// Four planes, lowest digit first, turned as `turns` says of each slot.
    ///
    /// # Errors
    /// [`CeremonyError::Mismatch`] of askers or limbs, [`CeremonyError::Turns`] for another number of turns than
    /// slots.
    pub fn compose(
        planes: [&Plane; PLANES_PER_INPUT],
        turns: &[u8],
        levels: &PlaneLevels,
    ) -> Result<Self, CeremonyError> {
        let origin = planes[0].origin;
        let Origin { params, epoch, asker, limbs } = origin;
        for plane in planes {
            for (field, ours, theirs) in
                [("asker", asker, plane.asker()), ("limbs", limbs as u16, plane.limbs() as u16)]
            {
                if ours != theirs {
                    let (ours, theirs) = (u64::from(ours), u64::from(theirs));
                    return Err(CeremonyError::Mismatch { field, ours, theirs });
                }
            }
            if plane.origin.epoch != epoch {
                return Err(epoch_mismatch(plane.origin.epoch, epoch));
            }
        }
        for found in [turns.len(), levels.slots()] {
            check_slots(found, params.slots())?;
        }
        let (encoder, basis) = (Encoder::over(params), plane_basis(params, limbs));
        let weights: Vec<Poly<Eval>> = (0..PLANES_PER_INPUT)
            .into_par_iter()
            .map(|digit| weight(&encoder, params, limbs, (digit, turns), levels))
            .collect::<Result<_, _>>()?;
        let middle: Vec<f64> =
            levels.used().iter().map(|used| if *used { levels.middle() / 2.0 } else { 0.0 }).collect();
        let middle = encoder.encode(&middle, params.scale(), limbs)?;
        let half = |half: usize, addend: Option<&Poly<Eval>>| {
            let mut sum = Poly::<Eval>::zero(params.n, basis.len());
            for (weight, plane) in weights.iter().zip(planes) {
                sum.mul_add(weight, &plane.parts[half], &basis);
            }
            let mut rest = sum.limb(0).to_vec();
            let mut divider = Divider::by_first_special(params, limbs);
            divider.addend = addend;
            divider.apply(|index| sum.limb(index + 1), &mut rest)
        };
        let parts = [half(0, Some(&middle.poly)), half(1, None)];
        Ok(Self { origin, parts })
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.origin.params.preset
    }
}

/// M_b of one digit.
fn weight(
    encoder: &Encoder,
    params: &Params,
    limbs: usize,
    (digit, turns): (usize, &[u8]),
    levels: &PlaneLevels,
) -> Result<Poly<Eval>, CkksError> {
    let mut slots = vec![0.0; params.n];
    let (real, imaginary) = slots.split_at_mut(params.slots());
    let size = levels.step() * f64::from(1_u32 << (2 * digit)) / 4.0;
    let places = real.iter_mut().zip(imaginary).zip(turns).zip(levels.used());
    for (((real, imaginary), turns), _) in places.filter(|(_, used)| **used) {
        let (re, im) = DIGITS[usize::from(turns >> (2 * digit) & 3)];
        (*real, *imaginary) = (size * re, size * im);
    }
    let scale = f64::from(params.p[0].modulus().value());
    encoder.encode_complex(&mut slots, (scale, &[]), &plane_basis(params, limbs))
}

impl<B: Backend> Evaluator<B> {
    /// A composed part under the collective secret, at the preset's scale: two key switches.
    ///
    /// # Errors
    /// A key of another preset, epoch or asker, or trimmed below the planes; no key for conjugation.
    pub fn lift_planes(
        &self,
        sum: &PlaneSum,
        crs: &Crs,
        key: &GateKey<B>,
        keys: &EvaluationKeys<B>,
    ) -> Result<Ciphertext<B>, CeremonyError> {
        let Origin { params, epoch, asker, limbs } = sum.origin;
        self.check_preset(params.preset)?;
        key.check_epoch(crs)?;
        if epoch != crs.epoch() {
            return Err(epoch_mismatch(epoch, crs.epoch()));
        }
        if key.asker() != asker {
            let (ours, theirs) = (u64::from(asker), u64::from(key.asker()));
            return Err(CeremonyError::Mismatch { field: "asker", ours, theirs });
        }
        check_key(&key.key, limbs)?;
        let uploaded = self.backend.upload(&[&sum.parts[0], &sum.parts[1]]).map_err(CkksError::from)?;
        let [c0, c1] = &uploaded[..] else { return Err(CkksError::NoTerms.into()) };
        let (digits, addends) = (Digits::Of(c1), [Some(c0), None]);
        let switch = KeySwitch { digits, key: &key.key, own: None, addends, automorphism: None };
        let parts = only(self.backend.key_switch(limbs, limbs, &[switch]).map_err(CkksError::from)?)?;
        let half = Ciphertext { params, limbs, scale: params.scale(), parts: parts.into() };
        let conjugate = self.conjugate(&half, keys)?;
        Ok(only(self.add_all(vec![half], &[&conjugate])?)?)
    }
}
