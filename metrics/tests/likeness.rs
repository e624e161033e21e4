//! Real images of other organs and machines are told from those that a model was measured on.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests stop at the first surprise")]

use std::path::{Path, PathBuf};

use datasets::{LoadOptions, Samples, load};
use metrics::{ImageDistribution, ImageStatistics, StatisticSums};

/// So many of a set are measured, so many others are asked about.
const MEASURED: usize = 300;

fn data() -> Option<PathBuf> {
    let found = std::env::var_os("CONSILIUM_TEST_DATA").map(PathBuf::from);
    if found.is_none() {
        println!("skipped: CONSILIUM_TEST_DATA is not set");
    }
    found
}

struct Set {
    name: String,
    images: Vec<ImageStatistics>,
}

fn statistics(name: &str, samples: &Samples, keep: impl Fn(u8) -> bool, options: &LoadOptions) -> Set {
    let kept = samples.images.outer_iter().zip(&samples.labels).filter(|(_, label)| keep(**label));
    let images = kept.map(|(image, _)| ImageStatistics::of(image, options.normalisation())).collect();
    Set { name: name.to_owned(), images }
}

/// Six kinds of picture of one archive are six sets.
fn sets(root: &Path) -> Vec<Set> {
    let options = LoadOptions { max_samples: Some(800), seed: 3, ..LoadOptions::default() };
    let mut all = Vec::new();
    for name in
        ["pneumoniamnist/pneumoniamnist.npz", "breastmnist/breastmnist.npz", "mnist", "kidney_ct", "blood_cells"]
    {
        let dataset = load(&root.join(name), None, &options).unwrap();
        all.push(statistics(name, &dataset.train, |_| true, &options));
    }
    let dataset = load(&root.join("mednist64"), None, &LoadOptions { max_samples: None, ..options.clone() }).unwrap();
    for (label, class) in (0u8..).zip(&dataset.classes) {
        all.push(statistics(class, &dataset.train, |found| found == label, &options));
    }
    all
}

fn share(of: &[ImageStatistics], measured: &ImageDistribution) -> f64 {
    of.iter().filter(|image| measured.compare(image).unwrap().is_unlike).count() as f64 / of.len() as f64
}

/// `cargo test -p metrics --test likeness -- --nocapture` prints the table.
#[test]
fn images_of_something_else_are_unlike_and_others_of_the_same_are_not() {
    let Some(root) = data() else { return };
    let all = sets(&root);
    // Chest radiographs of two archives are the same kind of picture.
    let is_chest = |set: &Set| set.name == "CXR" || set.name.starts_with("pneumonia");
    let (mut found, mut mistaken) = (Vec::new(), Vec::new());
    for set in &all {
        // Neighbours in an archive are alike, so every second image is measured.
        let every_second = |first: usize| set.images.iter().copied().skip(first).step_by(2);
        let measured: Vec<ImageStatistics> = every_second(0).take(MEASURED).collect();
        let others: Vec<ImageStatistics> = every_second(1).collect();
        let mut sums = StatisticSums::default();
        measured.iter().for_each(|image| sums.add(image));
        let distribution = ImageDistribution::new(&sums).unwrap();
        let own = 100.0 * share(&others, &distribution);
        mistaken.push(own / 100.0);
        let mut line = format!("{:<34} of {:>3}: {own:>4.1} % of its own;", set.name, measured.len());
        for other in &all {
            if other.name != set.name && !(is_chest(other) && is_chest(set)) {
                found.push(share(&other.images, &distribution));
                line += &format!(" {} {:.0} %", other.name.split('/').next().unwrap(), 100.0 * found[found.len() - 1]);
            }
        }
        println!("{line}");
    }
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    let least = found.iter().copied().fold(1.0, f64::min);
    println!(
        "unlike: {:.1} % of others (least {:.0} %), {:.1} % of its own",
        100.0 * mean(&found),
        100.0 * least,
        100.0 * mean(&mistaken)
    );
    assert!(mean(&found) > 0.96 && least > 0.1, "{found:?}");
    assert!(mean(&mistaken) < 0.03 && mistaken.iter().all(|share| *share < 0.06), "{mistaken:?}");
}
