//! The images, as the proposed plan wants them, and how fast its network trains on them here.

use std::time::{Duration, Instant};

use datasets::{Dataset, Samples};
use experiment::{Experiment, Policy};
use protocol::consent::Stage;
use remedy::{Exit, Explained};

use super::finding::{Finding, Grade};
use crate::consent::{ConsentBook, ConsentError, Council};
use crate::data_sets::{DataSet, DataSets};
use crate::enrolment::Member;
use crate::plan::{HeadCampaign, NetworkPlan, Plan, PlanError};
use crate::policy;
use crate::train::{FitProgress, TrainDevice, TrainError, Trainer};

/// A class with fewer training images teaches little.
const IMAGES_OF_A_CLASS_MIN: usize = 10;
/// Batches that are timed. The first one warms up and does not count.
const BATCHES: usize = 4;
/// Images whose features are timed, at most.
const IMAGES_TIMED: usize = 64;

/// The newest proposal that is not over.
pub(super) struct Proposed {
    plan: Plan,
    /// The data set that the officer chose, where one has.
    data: Option<String>,
}

/// What to train on.
pub(super) struct Fitting {
    plan: Plan,
    train: Samples,
}

/// Looks what is proposed to this site.
pub(super) async fn proposed(member: &Member) -> Result<Option<Proposed>, ConsentError> {
    let book = ConsentBook::open(member.root())?;
    let council = Council { member, book: &book };
    for epoch in council.epochs().await?.into_iter().rev() {
        let seen = council.look(epoch).await?;
        if seen.standing.stage != Stage::Over {
            let data = book.terms(seen.standing.proposal.epoch, seen.terms.digest())?;
            return Ok(Some(Proposed { plan: seen.plan, data }));
        }
    }
    Ok(None)
}

/// Reads every data set: with a plan as that wants it, without one, or where nobody could be asked for it, as it is.
pub(super) fn data(
    root: &std::path::Path,
    proposed: Option<&Result<Option<Proposed>, ConsentError>>,
    policy: &Policy,
) -> (Finding, Option<Fitting>) {
    let sets = match DataSets::load(root) {
        Ok(sets) => sets,
        Err(error) => return (Finding::of(&error), None),
    };
    if sets.all().is_empty() {
        return (Finding::warning("no data set is named", "`consilium hospital data add NAME PATH` names one"), None);
    }
    match proposed {
        None => (browsed(&sets), None),
        Some(Ok(Some(proposed))) => fitted(&sets, proposed, policy),
        Some(Ok(None)) => (browsed(&sets).and(Finding::passed("no plan is proposed yet")), None),
        Some(Err(error)) => (browsed(&sets).and(Finding::of(error)), None),
    }
}

fn browsed(sets: &DataSets) -> Finding {
    let browse = |set: &DataSet| match set.browse() {
        Ok(dataset) => Finding::passed(told(&set.name, &dataset)),
        Err(error) => unreadable(&set.name, &PlanError::Data(error)),
    };
    all(sets.all().iter().map(browse))
}

/// The set that is meant has to fit; of others it is only told.
fn fitted(sets: &DataSets, proposed: &Proposed, policy: &Policy) -> (Finding, Option<Fitting>) {
    let meant = match sets.find(proposed.data.as_deref()) {
        Ok(set) => Some(set.name.clone()),
        // Several, and the officer has not chosen: one that fits is enough.
        Err(_) if proposed.data.is_none() => None,
        Err(error) => return (Finding::of(&error), None),
    };
    let (mut findings, mut fitting) = (Vec::new(), None);
    for set in sets.all() {
        let (finding, train) = judged(set, &proposed.plan, policy);
        let is_meant = meant.as_ref().is_none_or(|name| *name == set.name);
        if is_meant && fitting.is_none() && finding.grade != Grade::Failed {
            fitting = train.map(|train| Fitting { plan: proposed.plan.clone(), train });
        }
        findings.push((is_meant, finding));
    }
    let found = fitting.is_some();
    let soften = |(is_meant, finding): (bool, Finding)| match finding.grade {
        Grade::Failed if !is_meant || (meant.is_none() && found) => {
            Finding::warning(finding.found, finding.remedy.unwrap_or_default())
        }
        _ => finding,
    };
    (all(findings.into_iter().map(soften)), fitting)
}

fn judged(set: &DataSet, plan: &Plan, policy: &Policy) -> (Finding, Option<Samples>) {
    let dataset = match set.read(plan) {
        Ok(dataset) => dataset,
        Err(error) => return (unreadable(&set.name, &error), None),
    };
    let counts = dataset.train.class_counts(dataset.classes.len());
    let amount =
        amount(&dataset.classes, &counts, plan.network().map_or(1, |plan| plan.experiment().train().batch_size));
    let mut finding = Finding { found: told(&set.name, &dataset), ..Finding::passed("") };
    finding = amount.map_or(finding.clone(), |few| finding.and(few));
    if let Err(refusal) = policy::check(policy, plan, dataset.train.len()) {
        let remedy = "ask the operator for another plan; the site's own rules stand in its site.toml";
        finding = finding.and(Finding::failed(refusal.to_string(), remedy, Exit::Refused));
    }
    (finding, Some(dataset.train))
}

/// Too few images to train well on.
fn amount(classes: &[String], counts: &[usize], batch: usize) -> Option<Finding> {
    let all: usize = counts.iter().sum();
    let remedy = "add images, or ask the operator whether so few are welcome";
    if all < batch {
        return Some(Finding::warning(format!("{all} images do not fill one batch of {batch}"), remedy));
    }
    let (class, count) = classes.iter().zip(counts).min_by_key(|(_, count)| **count)?;
    let is_few = *count < IMAGES_OF_A_CLASS_MIN;
    is_few.then(|| Finding::warning(format!("only {count} training images of class {class}"), remedy))
}

fn unreadable(name: &str, error: &PlanError) -> Finding {
    Finding::failed(format!("{name}: {error}"), error.remedy(), error.exit())
}

fn told(name: &str, dataset: &Dataset) -> String {
    let counts = dataset.train.class_counts(dataset.classes.len());
    let classes: Vec<String> =
        dataset.classes.iter().zip(counts).map(|(class, count)| format!("{class} {count}")).collect();
    format!(
        "{name}: {} training ({}), {} validation, {} test images",
        dataset.train.len(),
        classes.join(", "),
        dataset.validation.len(),
        dataset.test.len()
    )
}

fn all(findings: impl Iterator<Item = Finding>) -> Finding {
    findings.reduce(Finding::and).unwrap_or_else(|| Finding::passed("no data set"))
}

/// Trains a few batches from the plan's initial model and says how long an epoch takes; of a head, how long features
/// take, since the coordinator trains it.
pub(super) fn training(fitting: &Fitting, device: TrainDevice) -> Finding {
    match &fitting.plan {
        Plan::Network(plan) => of_network(plan, &fitting.train, device),
        Plan::Head(campaign) => of_head(campaign, &fitting.train),
    }
}

fn of_head(campaign: &HeadCampaign, train: &Samples) -> Finding {
    let Some(features) = campaign.features() else { return Finding::passed("its rows are no images") };
    let few: Vec<usize> = (0..train.len().min(IMAGES_TIMED)).collect();
    let started = Instant::now();
    match features.rows(&train.select(&few)) {
        Ok(rows) => {
            let each = started.elapsed().as_secs_f64() / few.len().max(1) as f64;
            let (count, all) = (rows.features.ncols(), each * train.len() as f64);
            Finding::passed(format!("{count} features of an image, about {all:.1} s for all; training is encrypted"))
        }
        Err(error) => Finding::of(&PlanError::Features(error)),
    }
}

fn of_network(plan: &NetworkPlan, train: &Samples, device: TrainDevice) -> Finding {
    let experiment = plan.experiment();
    let batch = experiment.train().batch_size;
    match timed(experiment, train, device) {
        Ok(step) => {
            let steps = train.len().div_ceil(batch);
            let epoch = step * u32::try_from(steps).unwrap_or(u32::MAX);
            let deadline = experiment.federation().round_deadline;
            paced(step, epoch, epoch * u32::try_from(experiment.local_epochs()).unwrap_or(u32::MAX), deadline)
        }
        Err(error) => Finding::of(&PlanError::Train(error)),
    }
}

/// The time of one step: the middle one of those after the first.
fn timed(experiment: &Experiment, train: &Samples, device: TrainDevice) -> Result<Duration, TrainError> {
    let settings = experiment.train().clone();
    let few: Vec<usize> = (0..train.len().min(BATCHES * settings.batch_size)).collect();
    let rate = settings.learning_rate;
    let trainer = Trainer::on(device, experiment.network(), settings)?;
    let start = trainer.initial_parameters(experiment.seed());
    let (mut last, mut steps) = (Instant::now(), Vec::new());
    let mut note = |_: FitProgress| {
        steps.push(last.elapsed());
        last = Instant::now();
    };
    trainer.fit(&start, &train.select(&few), 1, rate, experiment.seed(), &mut note)?;
    let mut counted = if steps.len() > 1 { steps.split_off(1) } else { steps };
    counted.sort();
    counted.get(counted.len() / 2).copied().ok_or(TrainError::NoSamples)
}

fn paced(step: Duration, epoch: Duration, round: Duration, deadline: Duration) -> Finding {
    let found = format!("{:.0} ms a step, about {:.1} s a local epoch", step.as_secs_f64() * 1e3, epoch.as_secs_f64());
    // The rest of a round is encryption, upload and the others.
    if round > deadline / 2 {
        let (all, most) = (round.as_secs(), deadline.as_secs());
        let slow = format!("{found}; {all} s a round, which ends after {most} s");
        return Finding::warning(slow, "train on a faster machine or a GPU, or ask the operator for longer rounds");
    }
    Finding::passed(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = include_str!("../../../configs/consortium.toml");
    /// One grey pixel.
    const PNG: &[u8] = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\
        \x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\x00\x00\x00\x0a\x49\x44\x41\x54\x78\xda\x63\x68\x00\
        \x00\x00\x82\x00\x81\xda\x45\x08\x3b\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

    fn names() -> Vec<String> {
        ["normal", "pneumonia"].map(str::to_owned).to_vec()
    }

    /// One grey pixel, as many times in each class as given.
    fn images(folder: &std::path::Path, counts: [usize; 2]) -> DataSet {
        let path = folder.join("images");
        for (class, count) in names().iter().zip(counts) {
            std::fs::create_dir_all(path.join(class)).unwrap();
            for number in 0..count {
                std::fs::write(path.join(class).join(format!("{number}.png")), PNG).unwrap();
            }
        }
        DataSet { name: "cxr".to_owned(), path, share: None, labels: None, dicomweb: None, corrected: None }
    }

    #[test]
    fn few_images_warn_below_a_batch_and_below_ten_of_a_class() {
        let warns = |counts: [usize; 2]| amount(&names(), &counts, 32).map(|finding| finding.found);
        assert_eq!(warns([10, 22]), None);
        assert!(warns([10, 21]).unwrap().contains("31 images do not fill one batch of 32"));
        assert!(warns([9, 100]).unwrap().contains("only 9 training images of class normal"));
        assert!(warns([100, 0]).unwrap().contains("only 0 training images of class pneumonia"));
    }

    #[test]
    fn a_round_that_takes_more_than_half_its_time_warns() {
        let second = Duration::from_secs(1);
        let grade = |round| paced(second, second, round, 10 * second).grade;
        assert_eq!(grade(5 * second), Grade::Passed);
        assert_eq!(grade(5 * second + Duration::from_millis(1)), Grade::Warning);
        let found = paced(Duration::from_millis(40), 2 * second, second, 10 * second).found;
        assert_eq!(found, "40 ms a step, about 2.0 s a local epoch");
    }

    #[test]
    fn a_data_set_that_is_gone_fails_and_none_at_all_warns() {
        let site = tempfile::tempdir().unwrap();
        let (none, _) = data(site.path(), None, &Policy::default());
        assert_eq!(none.grade, Grade::Warning);
        let set = images(site.path(), [1, 1]);
        DataSets::default().add(site.path(), set.clone()).unwrap();
        std::fs::remove_dir_all(&set.path).unwrap();
        let (gone, fitting) = data(site.path(), None, &Policy::default());
        assert_eq!((gone.grade, gone.exit), (Grade::Failed, Exit::BadInput));
        assert!(gone.found.starts_with("cxr: ") && fitting.is_none(), "{gone:?}");
    }

    fn proposed(changes: &[(&str, &str)], data: Option<&str>) -> Option<Result<Option<Proposed>, ConsentError>> {
        let mut text = PLAN.replace("format = \"npz\"", "format = \"image-folder\"");
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let plan = Plan::of_consortium("plan", &text, 5).unwrap();
        Some(Ok(Some(Proposed { plan, data: data.map(str::to_owned) })))
    }

    #[test]
    fn a_head_is_not_trained_here_and_its_features_are_tried() {
        let site = tempfile::tempdir().unwrap();
        DataSets::default().add(site.path(), images(site.path(), [30, 30])).unwrap();
        let head = include_str!("../../../configs/consortium-head.toml").replace("\"npz\"", "\"image-folder\"");
        let plan = Plan::of_consortium("plan", &head, 5).unwrap();
        let proposed = Some(Ok(Some(Proposed { plan, data: None })));
        let (finding, fitting) = data(site.path(), proposed.as_ref(), &Policy::default());
        assert_eq!(finding.grade, Grade::Passed, "{finding:?}");
        let tried = training(&fitting.unwrap(), TrainDevice::cpu());
        assert!(tried.grade == Grade::Passed && tried.found.contains("384 features of an image"), "{tried:?}");
    }

    #[test]
    fn images_are_counted_by_class_and_a_plan_trains_on_them() {
        let site = tempfile::tempdir().unwrap();
        DataSets::default().add(site.path(), images(site.path(), [40, 40])).unwrap();
        let look = |proposed, policy: &Policy| data(site.path(), proposed, policy);
        let (seen, _) = look(None, &Policy::default());
        assert!(seen.grade == Grade::Passed && seen.found.contains("normal "), "{seen:?}");
        let (unplanned, none) = look(Some(&Ok(None)), &Policy::default());
        assert!(unplanned.found.contains("no plan is proposed yet") && none.is_none(), "{unplanned:?}");
        let plan = proposed(&[], None);
        let (finding, fitting) = look(plan.as_ref(), &Policy::default());
        assert_eq!(finding.grade, Grade::Passed, "{finding:?}");
        let trained = training(&fitting.unwrap(), TrainDevice::cpu());
        assert!(trained.grade == Grade::Passed && trained.found.contains("a local epoch"), "{trained:?}");

        let strict = Policy { images_min: Some(1_000), ..Policy::default() };
        let (refused, _) = look(plan.as_ref(), &strict);
        assert_eq!((refused.grade, refused.exit), (Grade::Failed, Exit::Refused));
        assert!(refused.found.contains("images-min"), "{refused:?}");
        let large = proposed(&[("batch-size = 32", "batch-size = 512")], None);
        let (few, _) = look(large.as_ref(), &Policy::default());
        assert!(few.grade == Grade::Warning && few.found.contains("one batch of 512"), "{few:?}");
    }

    #[test]
    fn the_set_that_the_officer_chose_has_to_fit_and_another_one_only_warns() {
        let site = tempfile::tempdir().unwrap();
        let mut sets = DataSets::default();
        let good = images(site.path(), [40, 40]);
        let gone = DataSet { name: "gone".to_owned(), ..images(&site.path().join("other"), [1, 1]) };
        for set in [&good, &gone] {
            sets.add(site.path(), set.clone()).unwrap();
        }
        std::fs::remove_dir_all(&gone.path).unwrap();
        for (chosen, grade) in [(Some("gone"), Grade::Failed), (Some("cxr"), Grade::Warning), (None, Grade::Warning)] {
            let (finding, fitting) = data(site.path(), proposed(&[], chosen).as_ref(), &Policy::default());
            assert_eq!((finding.grade, fitting.is_some()), (grade, grade == Grade::Warning), "{chosen:?}: {finding:?}");
        }
        let (unknown, _) = data(site.path(), proposed(&[], Some("lost")).as_ref(), &Policy::default());
        assert!(unknown.grade == Grade::Failed && unknown.found.contains("no data set is named lost"), "{unknown:?}");
    }
}
