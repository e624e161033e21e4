//! Terms, rules and stands in words.

use client::consent::Seen;
use client::plan::{HeadCampaign, Plan};
use client::policy::budget;
use client::privacy_ledger::Budget;
use client::service::NotedStand;
use experiment::{Experiment, Policy, Weighting};
use protocol::party_set::PartySet;

use super::Matter;
use crate::notice::key;
use crate::texts::Language;

/// What the members agree on, one sentence each.
pub(super) fn terms(language: Language, seen: &Seen) -> Vec<String> {
    match &seen.plan {
        Plan::Network(plan) => of_network(language, seen, plan.experiment()),
        Plan::Head(campaign) => of_head(language, seen, campaign),
    }
}

fn of_head(language: Language, seen: &Seen, campaign: &HeadCampaign) -> Vec<String> {
    let fill = |key: &'static str, values: &[&dyn ToString]| {
        let values: Vec<String> = values.iter().map(|value| value.to_string()).collect();
        language.fill(key, &values.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut all = Vec::new();
    if let Ok(asked) = seen.plan.asked() {
        let [_, height, width] = asked.shape();
        let size = format!("{width} × {height}");
        all.push(fill(key!("office.terms.images"), &[&size, &asked.classes.join(", ")]));
    }
    let (experiment, membership) = (campaign.experiment(), &seen.standing.proposal.membership);
    let (head, threshold) = (experiment.head(), membership.threshold);
    let [sums, training, serving] = campaign.presets().map(|preset| preset.name());
    all.push(fill(key!("office.terms.head"), &[&head.dimension, &head.recipe.steps]));
    all.push(language.say("office.terms.head.left").to_owned());
    all.push(fill(key!("office.terms.who"), &[&membership.seats.len(), &threshold]));
    all.push(match head.whitened {
        true => fill(key!("office.terms.head.sum"), &[&campaign.least_added()]),
        false => fill(key!("office.terms.head.count"), &[&campaign.least_added()]),
    });
    all.push(fill(key!("office.terms.head.refresh"), &[&threshold]));
    all.push(fill(key!("office.terms.head.presets"), &[&sums, &training, &serving]));
    all.push(fill(key!("office.terms.publish"), &[&experiment.model_name(), &seen.terms.queries_per_asker_max]));
    all.push(fill(key!("office.terms.leak.none"), &[&seen.terms.leak_bits_per_answer]));
    all.push(language.say("office.terms.no-figures").to_owned());
    all.push(language.say("office.terms.head.no-noise").to_owned());
    all
}

fn of_network(language: Language, seen: &Seen, experiment: &Experiment) -> Vec<String> {
    let (federation, publish, encryption) = (experiment.federation(), experiment.publish(), experiment.encryption());
    let membership = &seen.standing.proposal.membership;
    let image = experiment.network().image();
    let size = format!("{} × {}", image.width, image.height);
    let fill = |key: &'static str, value: &dyn ToString| language.fill(key, &[&value.to_string()]);
    let pair = |key: &'static str, one: &dyn ToString, other: &dyn ToString| {
        language.fill(key, &[&one.to_string(), &other.to_string()])
    };
    let (members, threshold) = (membership.seats.len(), membership.threshold);
    let mut all = vec![
        pair(key!("office.terms.images"), &size, &experiment.data().classes.join(", ")),
        match experiment.privacy() {
            None => pair(key!("office.terms.rounds"), &federation.rounds, &experiment.local_epochs()),
            Some(privacy) => pair(key!("office.terms.rounds.noisy"), &federation.rounds, &privacy.local_steps),
        },
    ];
    if let Some(base) = seen.standing.proposal.base {
        all.push(pair(key!("office.terms.base"), &base.epoch, &base.model));
    }
    all.push(pair(key!("office.terms.who"), &members, &threshold));
    all.push(fill("office.terms.cohort", &federation.min_cohort.max(federation.threshold)));
    all.push(pair(key!("office.terms.clip"), &encryption.clip, &encryption.lane_bits));
    all.push(match federation.weights {
        Weighting::Equal => language.say("office.terms.equal").to_owned(),
        Weighting::Declared => language.say("office.terms.declared").to_owned(),
    });
    all.push(pair(key!("office.terms.presets"), &encryption.preset.name(), &publish.preset.name()));
    all.push(pair(key!("office.terms.publish"), &publish.name, &publish.quota));
    all.push(match publish.leak_bits {
        Some(most) => pair(key!("office.terms.leak"), &experiment.leak_bits_per_answer(), &most),
        None => fill("office.terms.leak.none", &experiment.leak_bits_per_answer()),
    });
    all.push(match publish.figures {
        true => language.say("office.terms.figures").to_owned(),
        false => language.say("office.terms.no-figures").to_owned(),
    });
    match experiment.privacy() {
        None => all.push(language.say("office.terms.no-noise").to_owned()),
        Some(privacy) => {
            all.push(pair(key!("office.terms.noise"), &privacy.epsilon, &privacy.delta));
            all.push(language.say(key!("office.terms.noise.not")).to_owned());
            all.push(match publish.final_step {
                true => language.say(key!("office.terms.last-step")).to_owned(),
                false => language.say(key!("office.terms.no-last-step")).to_owned(),
            });
        }
    }
    all
}

/// The hospital's own rules, one sentence each.
pub(super) fn policy(language: Language, policy: &Policy, keeps: bool) -> Vec<String> {
    let Policy { min_cohort, rounds_max, images_min, presets, terms, models, share_figures, hours, .. } = policy;
    let (declared, epsilon) = (policy.declared_patients.map(|it| it.to_string()), budget(policy));
    let limit = |value: Option<String>, some: &'static str, none: &'static str| match value {
        Some(value) => language.fill(some, &[&value]),
        None => language.say(none).to_owned(),
    };
    let list = |list: &[String]| Some(list.join(", ")).filter(|text| !text.is_empty());
    let mut all = vec![
        limit(min_cohort.map(|it| it.to_string()), key!("office.policy.cohort"), key!("office.policy.cohort.none")),
        limit(rounds_max.map(|it| it.to_string()), key!("office.policy.rounds"), key!("office.policy.rounds.none")),
        limit(images_min.map(|it| it.to_string()), key!("office.policy.images"), key!("office.policy.images.none")),
        limit(declared, key!("office.policy.patients"), key!("office.policy.patients.none")),
        match epsilon {
            Some(Budget { epsilon, delta }) => {
                language.fill(key!("office.policy.epsilon"), &[&epsilon.to_string(), &delta.to_string()])
            }
            None => language.say(key!("office.policy.epsilon.none")).to_owned(),
        },
        match policy.privacy_min.as_deref() {
            Some("local") => language.say(key!("office.policy.hidden")).to_owned(),
            _ => language.say(key!("office.policy.hidden.none")).to_owned(),
        },
        limit(list(presets), key!("office.policy.presets"), key!("office.policy.presets.none")),
        limit(list(models), key!("office.policy.models"), key!("office.policy.models.none")),
        limit(hours.map(|it| it.to_string()), key!("office.policy.hours"), key!("office.policy.hours.none")),
        limit(list(terms), key!("office.policy.terms"), key!("office.policy.terms.none")),
    ];
    all.push(match share_figures {
        Some(false) => language.say("office.policy.figures.kept").to_owned(),
        _ => language.say("office.policy.figures.shared").to_owned(),
    });
    all.push(match keeps {
        true => language.say("office.policy.audit.kept").to_owned(),
        false => language.say("office.policy.audit.erased").to_owned(),
    });
    all
}

/// How the hospital stands in a key epoch, and whether somebody has to act.
pub(super) fn stand(language: Language, matter: &Matter) -> (String, bool) {
    let names = |members: &[u16]| {
        let parties: PartySet = members.iter().filter_map(|number| protocol::ids::PartyId::new(*number)).collect();
        matter.seen.standing.proposal.membership.names(parties).join(", ")
    };
    match &matter.stand {
        None => (language.say("office.stand.unknown").to_owned(), true),
        Some(NotedStand::AwaitsMembers { members }) => {
            (language.fill("office.stand.members", &[&names(members)]), false)
        }
        Some(NotedStand::AwaitsOfficer) => (language.say("office.stand.officer").to_owned(), true),
        Some(NotedStand::AwaitsApprovals { members }) => {
            (language.fill("office.stand.approvals", &[&names(members)]), false)
        }
        Some(NotedStand::TakesPart) => (language.say("office.stand.part").to_owned(), false),
        Some(NotedStand::Hindered { reason }) => (language.fill("office.stand.hindered", &[reason]), true),
        Some(NotedStand::Over { reason }) => (language.fill("office.stand.over", &[reason]), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_about_patients_are_told_whether_they_are_set_or_not() {
        let told = |language, of: &Policy| policy(language, of, false).join("\n");
        let unset = told(Language::English, &Policy::default());
        for text in ["takes no part in plans that hide them", "no bound of its own", "without noise as well"] {
            assert!(unset.contains(text), "{text}: {unset}");
        }
        let set = Policy {
            declared_patients: Some(900),
            max_epsilon: Some(3.5),
            max_delta: Some(1e-6),
            privacy_min: Some("local".to_owned()),
            ..Policy::default()
        };
        let english = told(Language::English, &set);
        for text in ["about 900 patients", "ε = 3.5 together, at δ = 0.000001", "only in trainings with noise"] {
            assert!(english.contains(text), "{text}: {english}");
        }
        assert!(told(Language::German, &set).contains("ε = 3.5 kosten, bei δ = 0.000001"));
    }
}
