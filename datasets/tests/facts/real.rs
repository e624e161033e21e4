//! Public data sets, where `CONSILIUM_TEST_DATA` names the folder that holds them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use datasets::{LoadOptions, Partition, Samples, SplitFractions, load};

/// The data set's path, or `None` with a line that says so.
fn data(name: &str) -> Option<PathBuf> {
    let path =
        std::env::var_os("CONSILIUM_TEST_DATA").map(|root| PathBuf::from(root).join(name)).filter(|path| path.exists());
    if path.is_none() {
        println!("skipped: CONSILIUM_TEST_DATA does not hold {name}");
    }
    path
}

fn counts(data: &datasets::Dataset) -> (usize, usize, usize) {
    (data.train.len(), data.validation.len(), data.test.len())
}

fn sixty_four() -> LoadOptions {
    let split = SplitFractions { train: 0.7, validation: 0.1, test: 0.2 };
    LoadOptions { height: 64, width: 64, split, ..LoadOptions::default() }
}

#[test]
fn pneumoniamnist_has_its_official_counts() {
    let Some(path) = data("pneumoniamnist/pneumoniamnist.npz") else { return };
    let classes = vec!["normal".to_owned(), "pneumonia".to_owned()];
    let data = load(&path, None, &LoadOptions { classes, ..LoadOptions::default() }).unwrap();
    assert_eq!(counts(&data), (4708, 524, 624));
    assert_eq!(data.train.class_counts(2), [1214, 3494]);
    assert_eq!(data.validation.class_counts(2), [135, 389]);
    assert_eq!(data.test.class_counts(2), [234, 390]);
}

#[test]
fn mnist_has_its_official_counts() {
    let Some(path) = data("mnist") else { return };
    let data = load(&path, None, &LoadOptions::default()).unwrap();
    assert_eq!((data.train.len() + data.validation.len(), data.test.len()), (60000, 10000));
    assert_eq!(data.test.class_counts(10), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    let share = data.validation.len() as f64 / 60000.0;
    assert!((share - 0.125).abs() < 1e-3, "{share}");
}

#[test]
fn kidney_series_stay_whole_in_parts_and_hospitals() {
    let Some(path) = data("kidney_ct") else { return };
    let data = load(&path, None, &sixty_four()).unwrap();
    println!("{}", data.description);
    assert_eq!(data.classes, ["Cyst", "Normal", "Stone", "Tumor"]);
    let parts = [&data.train, &data.validation, &data.test];
    assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 640);
    let series = |part: &Samples| part.groups.iter().copied().collect::<BTreeSet<u32>>();
    assert_eq!(parts.iter().map(|part| series(part).len()).sum::<usize>(), 44);
    assert_eq!(parts.iter().flat_map(|part| series(part)).collect::<BTreeSet<u32>>().len(), 44);
    for part in parts {
        assert!(part.class_counts(4).iter().all(|count| *count > 0), "{:?}", part.class_counts(4));
    }
    let shares = Partition::ByColumn.assign(&data.train, 5, 1).unwrap();
    let owned: usize = shares.iter().map(|share| data.train.select(share).group_count()).sum();
    assert_eq!(owned, data.train.group_count());
}

#[test]
fn mednist_is_split_in_proportion() {
    let Some(path) = data("mednist64") else { return };
    let data = load(&path, None, &sixty_four()).unwrap();
    assert_eq!(counts(&data), (2100, 300, 600));
    assert_eq!(data.classes.len(), 6);
    assert_eq!(data.test.class_counts(6), [100; 6]);
}

#[test]
fn blood_cells_keep_colour_and_their_test_folder() {
    let Some(path) = data("blood_cells") else { return };
    let data = load(&path, None, &LoadOptions { channels: 3, ..sixty_four() }).unwrap();
    assert_eq!(counts(&data), (700, 100, 200));
    assert_eq!(data.shape(), (3, 64, 64));
    let channel = |index: usize| data.train.images.index_axis(ndarray::Axis(1), index).mean().unwrap();
    assert!((channel(0) - channel(1)).abs() > 0.01, "colour is not grey");
}
