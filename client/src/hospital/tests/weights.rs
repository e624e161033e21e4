//! What updates count for: the agreed classes, in the sum and in the published model, and never a number of images.

use std::sync::Mutex;

use super::super::sealed;
use super::*;

/// Hears what a site refuses.
#[derive(Default)]
struct Refusals(Mutex<Vec<String>>);

impl Observer for Refusals {
    fn activity(&self, _: PartyId, _: Activity) {}
    fn timed(&self, _: PartyId, _: RoundId, _: Timed, _: Duration) {}
    fn switched(&self, _: PartyId, _: QueryId, _: Duration) {}
    fn trained(&self, _: PartyId, _: RoundId, _: f64, _: usize) {}
    fn refused(&self, _: PartyId, reason: &str) {
        self.0.lock().unwrap().push(reason.to_owned());
    }
}

/// Sites with 4, 12 and 8 images, all weighed so.
fn unlike(weighting: Weighting) -> Consortium {
    let mut all = Consortium::with_keys();
    for (site, count) in all.sites.iter_mut().zip([4, 12, 8]) {
        site.data = samples_of(site.plan.party.number(), count);
        site.plan.weights = Weights::new(weighting, &membership());
    }
    all
}

/// Each site's clipped update of a round, from training again.
fn updates(all: &Consortium, round: u32) -> Vec<Vec<f64>> {
    let update = |site: &Site| {
        let (fit, clip) = (site.fit(round).unwrap(), f64::from(site.plan.clip));
        let old = site.current.parameters.iter();
        fit.parameters.iter().zip(old).map(|(new, old)| f64::from(new - old).clamp(-clip, clip)).collect()
    };
    all.sites.iter().map(update).collect()
}

/// A mean by these weights.
fn mean(updates: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let whole: f64 = weights.iter().sum();
    let of = |at: usize| updates.iter().zip(weights).map(|(update, weight)| update[at] * weight).sum::<f64>() / whole;
    (0..updates[0].len()).map(of).collect()
}

fn distance(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn moved(from: &[f32], to: &[f32]) -> Vec<f64> {
    from.iter().zip(to).map(|(from, to)| f64::from(*to) - f64::from(*from)).collect()
}

#[test]
fn a_round_gives_the_mean_by_the_agreed_classes_whatever_images_there_are() {
    // Each rounds by less than a step of its weight, clip / 32767 over 1/4 at most.
    let blur = 0.5 / 32_767.0 * 4.0;
    for (weighting, weights) in [(Weighting::Equal, [1.0; 3]), (Weighting::Declared, [0.5, 1.0, 0.25])] {
        let mut all = unlike(weighting);
        let (updates, base) = (updates(&all, 1), all.site(1).current.parameters.clone());
        all.round(1);
        let found = moved(&base, &all.site(1).current.parameters);
        assert!(distance(&found, &mean(&updates, &weights)) < blur, "{weighting:?}");
        let by_images = distance(&found, &mean(&updates, &[4.0, 12.0, 8.0]));
        assert!(by_images > 10.0 * blur, "{by_images} is too near to tell the means apart");
    }
}

#[test]
fn an_update_of_another_weight_voids_the_round_at_every_site() {
    for change in [|weight: u32| weight + 1, |weight: u32| weight / 2, |weight: u32| weight * 2] {
        let mut all = unlike(Weighting::Declared);
        for site in &mut all.sites {
            site.train(RoundId(1)).unwrap();
        }
        let vault = Arc::clone(&all.site(3).vault);
        let mut values = sealed::round_values(&vault, Epoch(1), RoundId(1)).unwrap();
        values.weight = change(values.weight);
        sealed::put_values(&vault, Epoch(1), RoundId(1), &values).unwrap();
        let (binding, sums) = all.sum_of_sealed(1);
        for site in &mut all.sites {
            let heard = Arc::new(Refusals::default());
            site.observer = Arc::clone(&heard) as _;
            assert_eq!(site.open_sum(&binding, RoundPurpose::Train, &sums).unwrap(), None);
            let heard = heard.0.lock().unwrap().pop().unwrap();
            assert!(heard.starts_with("the weights add up to "), "{heard}");
            assert!(sealed::opened_sums(&site.vault, Epoch(1), RoundId(1)).unwrap().is_empty());
        }
    }
}

#[test]
fn the_published_model_weighs_the_cohort_that_makes_it() {
    let mut all = unlike(Weighting::Declared);
    all.gates();
    all.round(1);
    // The final training step is that of the last round.
    let updates = updates(&all, terms().rounds);
    let base = all.site(1).current.parameters.clone();
    for (attempt, cohort, weights) in [(1, &[1, 2, 3][..], [0.5, 1.0, 0.25]), (2, &[1, 3][..], [0.5, 0.0, 0.25])] {
        let cohort: PartySet = cohort.iter().copied().map(party).collect();
        let mut whole = vec![0.0_f32; base.len()];
        for number in cohort.numbers() {
            let site = all.site(number);
            site.encrypt_contribution(Attempt(attempt), cohort).unwrap();
            let part = sealed::contribution(&site.vault, Epoch(1), Attempt(attempt)).unwrap();
            whole.iter_mut().zip(&part.parameters).for_each(|(sum, part)| *sum += part);
        }
        let found = distance(&moved(&base, &whole), &mean(&updates, &weights));
        assert!(found < 1e-6, "{found} in attempt {attempt}");
    }
}
