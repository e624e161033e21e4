//! The site's own rules, which win over whatever is proposed to it.

use experiment::Policy;
use protocol::ids::Digest;

use crate::plan::Plan;
use crate::privacy_ledger::Budget;

/// Probability that more was spent than the site file says, where it does not say how likely that may be.
pub const DELTA: f64 = 1e-5;

/// Why a site's policy refuses a plan: each names the line of `[policy]` in the site file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyRefusal {
    /// Sums of too few.
    #[error("the plan adds up {have} hospitals or more, this site's policy wants {least} (min-cohort)")]
    Cohort {
        /// The plan's.
        have: u16,
        /// The site's.
        least: u16,
    },
    /// Too many rounds.
    #[error("the plan has {have} rounds, this site's policy allows {most} (rounds-max)")]
    Rounds {
        /// The plan's.
        have: u32,
        /// The site's.
        most: u32,
    },
    /// Too few images.
    #[error("this site has {have} training images, its policy wants {least} before it takes part (images-min)")]
    Images {
        /// The site's.
        have: usize,
        /// Its rule.
        least: usize,
    },
    /// A plan that shows patients.
    #[error("the plan does not hide patients, and this site's policy wants it to (privacy-min)")]
    Unhidden,
    /// A plan that hides patients, of a site that does not say how many it has.
    #[error(
        "the plan hides patients, and this site does not say how many it has: write a round number of its training \
         patients as declared-patients"
    )]
    Undeclared,
    /// Other parameters.
    #[error("the plan uses {preset}, this site's policy allows {} (presets)", allowed.join(", "))]
    Preset {
        /// The plan's.
        preset: &'static str,
        /// The site's.
        allowed: Vec<String>,
    },
}

/// Whether a site with so many training images may take part in a plan.
///
/// # Errors
/// [`PolicyRefusal`], the first rule that refuses.
pub fn check(policy: &Policy, plan: &Plan, images: usize) -> Result<(), PolicyRefusal> {
    let have = plan.least_added();
    if let Some(least) = policy.min_cohort.filter(|least| have < *least) {
        return Err(PolicyRefusal::Cohort { have, least });
    }
    let rounds = plan.rounds();
    if let Some(most) = policy.rounds_max.filter(|most| rounds > *most) {
        return Err(PolicyRefusal::Rounds { have: rounds, most });
    }
    if let Some(least) = policy.images_min.filter(|least| images < *least) {
        return Err(PolicyRefusal::Images { have: images, least });
    }
    let is_hidden = plan.privacy().is_some();
    if !is_hidden && policy.privacy_min.as_deref() == Some("local") {
        return Err(PolicyRefusal::Unhidden);
    }
    if is_hidden && policy.declared_patients.is_none() {
        return Err(PolicyRefusal::Undeclared);
    }
    for preset in plan.presets() {
        if !policy.presets.is_empty() && !policy.presets.iter().any(|allowed| allowed == preset) {
            return Err(PolicyRefusal::Preset { preset, allowed: policy.presets.clone() });
        }
    }
    Ok(())
}

/// What all trainings together may cost this site's patients.
#[must_use]
pub fn budget(policy: &Policy) -> Option<Budget> {
    policy.max_epsilon.map(|epsilon| Budget { epsilon, delta: policy.max_delta.unwrap_or(DELTA) })
}

/// Whether the site file approves terms of this digest, so that no officer has to.
#[must_use]
pub fn approves(policy: &Policy, terms: Digest) -> bool {
    policy.terms.contains(&terms.to_string())
}

/// Whether this site's people may ask this published model.
#[must_use]
pub fn may_ask(models: &[String], model: Digest) -> bool {
    models.is_empty() || models.contains(&model.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = include_str!("../../configs/consortium.toml");

    #[test]
    fn a_head_is_one_round_and_a_parameter_set_more() {
        let head = include_str!("../../configs/consortium-head.toml");
        let plan = Plan::of_consortium("plan", head, 5).unwrap();
        let refused = |policy: Policy| check(&policy, &plan, 100).err();
        let without = ["AGG13", "INF15-90"].map(str::to_owned).to_vec();
        let expected = PolicyRefusal::Preset { preset: "TRN14", allowed: without.clone() };
        assert_eq!(refused(Policy { presets: without, ..Policy::default() }), Some(expected));
        assert_eq!(refused(Policy { rounds_max: Some(1), min_cohort: Some(4), ..Policy::default() }), None);
        let few = refused(Policy { min_cohort: Some(5), ..Policy::default() });
        assert_eq!(few, Some(PolicyRefusal::Cohort { have: 4, least: 5 }));
    }

    #[test]
    fn each_rule_refuses_what_it_names_and_nothing_else() {
        let plan = Plan::of_consortium("plan", PLAN, 5).unwrap();
        let refused = |policy: Policy| check(&policy, &plan, 100).err();
        assert_eq!(refused(Policy::default()), None);
        assert_eq!(
            refused(Policy {
                min_cohort: Some(4),
                rounds_max: Some(10_000),
                images_min: Some(100),
                ..Policy::default()
            }),
            None
        );
        assert_eq!(
            refused(Policy { min_cohort: Some(5), ..Policy::default() }),
            Some(PolicyRefusal::Cohort { have: 4, least: 5 })
        );
        let rounds = plan.rounds();
        assert_eq!(refused(Policy { rounds_max: Some(rounds), ..Policy::default() }), None);
        assert_eq!(
            refused(Policy { rounds_max: Some(rounds - 1), ..Policy::default() }),
            Some(PolicyRefusal::Rounds { have: rounds, most: rounds - 1 })
        );
        assert_eq!(
            refused(Policy { images_min: Some(101), ..Policy::default() }),
            Some(PolicyRefusal::Images { have: 100, least: 101 })
        );
        let names = plan.presets();
        let both = Policy { presets: names.iter().map(|name| (*name).to_owned()).collect(), ..Policy::default() };
        assert_eq!(refused(both), None);
        for name in &names {
            let presets = vec![(*name).to_owned()];
            let other = if *name == names[0] { names[1] } else { names[0] };
            let refusal = PolicyRefusal::Preset { preset: other, allowed: presets.clone() };
            assert_eq!(refused(Policy { presets, ..Policy::default() }), Some(refusal));
        }
    }

    #[test]
    fn terms_are_approved_by_their_whole_digest() {
        let terms = Digest([0xab; 32]);
        let policy = |text: &str| Policy { terms: vec![text.to_owned()], ..Policy::default() };
        assert!(approves(&policy(&"ab".repeat(32)), terms));
        assert!(!approves(&policy(&"ab".repeat(31)), terms) && !approves(&Policy::default(), terms));
    }

    #[test]
    fn people_may_ask_every_model_or_those_that_are_named() {
        let [named, other] = [Digest([1; 32]), Digest([2; 32])];
        let models = [named.to_string()];
        assert!(may_ask(&[], named) && may_ask(&models, named) && !may_ask(&models, other));
    }

    #[test]
    fn a_site_may_want_its_patients_hidden_and_has_to_say_how_many_there_are() {
        let hidden = PLAN.replacen(
            "[publish]",
            "[privacy]\nmode = \"local\"\nepsilon = 8.0\nclass-prior = [0.26, 0.74]\n[publish]",
            1,
        );
        let unused = ["local-epochs", "batch-size", "gradient-clip"];
        let is_used = |line: &&str| !unused.iter().any(|key| line.starts_with(key));
        let hidden = hidden.lines().filter(is_used).collect::<Vec<_>>().join("\n");
        let [plain, hidden] = [PLAN, &hidden].map(|text| Plan::of_consortium("plan", text, 5).unwrap());
        let wants = |word: &str| Policy { privacy_min: Some(word.to_owned()), ..Policy::default() };
        assert_eq!(check(&wants("local"), &plain, 9).err(), Some(PolicyRefusal::Unhidden));
        assert_eq!(check(&wants("off"), &plain, 9), Ok(()));
        assert_eq!(check(&wants("local"), &hidden, 9).err(), Some(PolicyRefusal::Undeclared));
        assert_eq!(check(&Policy { declared_patients: Some(900), ..wants("local") }, &hidden, 9), Ok(()));
        assert_eq!(budget(&Policy::default()), None);
        let bound = |max_delta| budget(&Policy { max_epsilon: Some(3.0), max_delta, ..Policy::default() });
        assert_eq!(bound(None), Some(Budget { epsilon: 3.0, delta: 1e-5 }));
        assert_eq!(bound(Some(1e-6)), Some(Budget { epsilon: 3.0, delta: 1e-6 }));
    }
}
