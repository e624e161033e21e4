//! Levels, scales and keys of a program.
//!
//! A linear layer encodes its weights at Delta * q_group / scale(x), so that after rescaling by
//! the dropped group of primes the scale is Delta again; a quadratic layer leaves
//! scale(x)^2 / q_group, and the next weights absorb it.

use std::collections::BTreeMap;

use he_agg::Params;
use he_agg::multiparty::KeyPlan;

use crate::program::WeightSlot;
use crate::step::Step;

/// What planning adds to the steps.
pub(crate) struct Plan {
    pub(crate) input_limbs: usize,
    pub(crate) output_scale: f64,
    pub(crate) key_plan: KeyPlan,
}

/// Fills in limbs and scales of steps and weights; there must be at most `params.depth()` steps.
pub(crate) fn plan(params: &Params, steps: &mut [Step], weights: &mut [WeightSlot]) -> Plan {
    let per_level = params.limbs_per_level;
    let input_limbs = params.base_limbs + per_level * steps.len();
    let mut limbs = input_limbs;
    let mut scale = params.scale();
    let mut relin_limbs = 0;
    let mut rotations: BTreeMap<i32, usize> = BTreeMap::new();
    let mut need = |rotation: i32, limbs: usize| {
        if rotation != 0 {
            let most = rotations.entry(rotation).or_insert(limbs);
            *most = limbs.max(*most);
        }
    };
    for step in steps {
        let group: f64 =
            params.q[limbs - per_level..limbs].iter().map(|limb| f64::from(limb.modulus().value())).product();
        relin_limbs = relin_limbs.max(limbs);
        let after = limbs - per_level;
        match step {
            Step::Linear(step) => {
                step.limbs = limbs;
                for weight in step.terms().map(|term| term.weight) {
                    weights[weight].limbs = limbs;
                    weights[weight].scale = params.scale() * group / scale;
                }
                scale = params.scale();
                for bias in step.outputs.iter().map(|output| output.bias) {
                    weights[bias].limbs = after;
                    weights[bias].scale = scale;
                }
                for rotation in step.shifts.iter().chain(&step.babies) {
                    need(*rotation, limbs);
                }
                if step.giants() > 1 {
                    need(step.giant, limbs);
                }
                for fold in &step.folds {
                    need(*fold, after);
                }
            }
            Step::Quadratic(step) => {
                step.limbs = limbs;
                for beta in &step.betas {
                    weights[*beta].limbs = limbs;
                    weights[*beta].scale = scale;
                }
                scale = scale * scale / group;
            }
        }
        limbs = after;
    }
    Plan { input_limbs, output_scale: scale, key_plan: KeyPlan { relin_limbs, rotations, conjugation_limbs: 0 } }
}
