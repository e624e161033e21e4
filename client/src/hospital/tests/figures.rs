//! Rounds of figures: what all sites count, as a sum that nobody's own counts show in.

use std::sync::Mutex;

use metrics::{Evaluation, ImageDistribution, ImageStatistics, PooledFigures, StatisticSums, Trained};
use ndarray::Axis;

use super::super::images::HeldOut;
use super::super::sealed;
use super::*;

/// Hears figures.
#[derive(Default)]
struct Ear(Mutex<Vec<PooledFigures>>);

impl Observer for Ear {
    fn figures(&self, _: PartyId, figures: &PooledFigures) {
        self.0.lock().unwrap().push(figures.clone());
    }
    fn activity(&self, _: PartyId, _: Activity) {}
    fn timed(&self, _: PartyId, _: RoundId, _: Timed, _: Duration) {}
    fn switched(&self, _: PartyId, _: QueryId, _: Duration) {}
    fn trained(&self, _: PartyId, _: RoundId, _: f64, _: usize) {}
    fn refused(&self, _: PartyId, _: &str) {}
}

fn held_out(number: u16) -> HeldOut {
    HeldOut { validation: samples_of(number + 10, 10), test: samples_of(number + 20, 10) }
}

/// All sites after a round of training, with images that they did not train on.
fn trained() -> Consortium {
    let mut all = Consortium::with_keys();
    all.round(1);
    for site in &mut all.sites {
        site.held_out = Some(held_out(site.plan.party.number()));
    }
    all
}

fn count(all: &mut Consortium) -> (ShareBinding, Vec<Bytes>) {
    for site in &mut all.sites {
        assert!(site.count(RoundId(2)).unwrap());
    }
    all.sum_of_sealed(2)
}

fn open_figures(site: &mut Site, (binding, sums): &(ShareBinding, Vec<Bytes>)) -> Option<Digest> {
    site.open_sum(binding, RoundPurpose::Figures, sums).unwrap()
}

#[test]
fn the_opened_figures_are_those_of_all_images_together_and_the_model_stays() {
    let mut all = trained();
    let model = all.site(1).current.digest();
    let sum = count(&mut all);
    let figures: Vec<Digest> = all.sites.iter_mut().map(|site| open_figures(site, &sum).unwrap()).collect();
    assert!(figures.iter().all(|one| *one == figures[0]));
    let ear = Arc::new(Ear::default());
    all.site(1).observer = Arc::clone(&ear) as _;
    all.site(1).keep_figures(RoundId(2), figures[0]).unwrap();
    assert_eq!(all.site(1).current.digest(), model);
    let found = ear.0.lock().unwrap().pop().unwrap();

    // What one party with everybody's images would have found.
    let (mut images, mut labels) = (Array4::zeros((0, 1, 6, 6)), Vec::new());
    let mut sums = StatisticSums::default();
    for number in 1..=N {
        let HeldOut { validation, test } = held_out(number);
        for image in validation.images.outer_iter().chain(test.images.outer_iter()) {
            sums.add(&ImageStatistics::of(image, Normalisation { mean: 0.0, std: 1.0 }));
        }
        images.append(Axis(0), test.images.view()).unwrap();
        labels.extend(test.labels);
    }
    let site = all.site(1);
    let logits = site.trainer.predict(&site.current.parameters, &images).unwrap();
    let whole = Evaluation::new(logits.view(), &labels).unwrap();
    assert_eq!((found.hospitals, found.test_images, found.validation_images), (N, 30, 30));
    assert_eq!(found.confusion, whole.confusion.counts);
    let trained_on = (1..=N).map(|number| Trained::of(&all.site(number).data));
    let (images, groups) = trained_on.fold((0, 0), |(images, groups), it| (images + it.images, groups + it.groups));
    assert!(groups > 0 && images > 0, "{images} {groups}");
    assert_eq!((found.training_images, found.training_groups), (images, groups));
    let (auc, blur) = (found.classes[1].auc.value.unwrap(), found.classes[1].auc_blur.unwrap());
    assert!((auc - whole.auc[1].unwrap()).abs() <= blur + 1e-12, "{auc} {:?} {blur}", whole.auc);
    assert!(found.calibration.is_some());
    assert!(found.appearance.is_some() && found.appearance == ImageDistribution::new(&sums));
}

#[test]
fn kept_figures_are_told_again_after_any_restart_and_a_later_model() {
    let mut all = trained();
    let sum = count(&mut all);
    let figures = open_figures(all.site(1), &sum).unwrap();
    // A restart adopts the model of round 1 again, before the figures that it died with.
    let model = all.site(1).current.digest();
    all.restart(1);
    all.site(1).adopt(RoundId(1), model).unwrap();
    let told = |site: &mut Site| {
        let ear = Arc::new(Ear::default());
        site.observer = Arc::clone(&ear) as _;
        site.keep_figures(RoundId(2), figures).unwrap();
        ear.0.lock().unwrap().pop()
    };
    let first = told(all.site(1)).unwrap();
    all.restart(1);
    for name in all.site(1).vault.names().unwrap().iter().filter(|name| name.contains("opened")) {
        all.site(1).vault.remove(name).unwrap();
    }
    assert_eq!(told(all.site(1)), Some(first), "from the record that stays");
    all.site(1).vault.remove("epoch-1-figures").unwrap();
    assert_eq!(told(all.site(1)), None, "an older vault has none, and the site goes on");
}

#[test]
fn a_site_that_keeps_its_figures_counts_nothing_and_one_without_images_counts_zeros() {
    let mut all = trained();
    all.site(1).held_out = None;
    assert!(!all.site(1).count(RoundId(2)).unwrap());
    let none = || Samples::empty(1, 6, 6);
    all.site(1).held_out = Some(HeldOut { validation: none(), test: none() });
    let sum = count(&mut all);
    let figures = open_figures(all.site(2), &sum).unwrap();
    let ear = Arc::new(Ear::default());
    all.site(2).observer = Arc::clone(&ear) as _;
    all.site(2).keep_figures(RoundId(2), figures).unwrap();
    let found = ear.0.lock().unwrap().pop().unwrap();
    assert_eq!((found.hospitals, found.test_images), (N, 20));
}

#[test]
fn more_counts_than_the_rounds_ciphertexts_hold_are_not_sealed() {
    let mut all = trained();
    all.site(1).plan.terms.chunks = 0;
    assert!(matches!(all.site(1).count(RoundId(2)), Err(HospitalError::FiguresRoom { .. })));
    assert!(sealed::round_values(&all.site(1).vault, Epoch(1), RoundId(2)).is_err());
}

#[test]
fn counts_that_contradict_themselves_and_weights_are_rejected() {
    for change in [0, 1] {
        let mut all = trained();
        for site in &mut all.sites {
            assert!(site.count(RoundId(2)).unwrap());
        }
        let vault = Arc::clone(&all.site(3).vault);
        let mut values = sealed::round_values(&vault, Epoch(1), RoundId(2)).unwrap();
        match change {
            0 => values.values[0] += 1,
            _ => values.weight = 2,
        }
        sealed::put_values(&vault, Epoch(1), RoundId(2), &values).unwrap();
        let sum = all.sum_of_sealed(2);
        assert_eq!(open_figures(all.site(1), &sum), None, "change {change}");
    }
}
