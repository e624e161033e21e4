//! The files of heads that are shipped.

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn shipped(name: &str) -> HeadExperiment {
    HeadExperiment::load(&folder().join(format!("{name}.toml")), &[]).unwrap_or_else(|error| panic!("{error}"))
}

const DIGITS: Recipe = Recipe {
    loss: HeadLoss::OneVersusRest { degree: 13, range: 24.0 },
    steps: 28,
    rows_per_group: 512,
    groups_per_batch: 8,
    learning_rate: 0.6,
    late_rate: 0.2,
    momentum: 0.9,
    weight_decay: 1e-3,
};

#[test]
fn every_shipped_head_has_the_recipe_of_its_task() {
    let (fixed, pixels, legendre) = (HeadFeatures::Fixed, HeadFeatures::Pixels, HeadFeatures::Legendre);
    let pair = Recipe { rows_per_group: 8_192, ..DIGITS };
    let readings = Recipe {
        loss: HeadLoss::Squared,
        steps: 12,
        groups_per_batch: 16,
        learning_rate: 0.75,
        late_rate: 0.75,
        momentum: 0.45,
        weight_decay: 0.0,
        ..DIGITS
    };
    let three_eight = Recipe { steps: 16, groups_per_batch: 2, learning_rate: 0.3, late_rate: 0.1, ..pair };
    let expected = [
        ("head-mnist", fixed, 256, true, 10, DIGITS),
        ("head-three-eight", pixels, 128, true, 1, three_eight),
        ("head-pneumonia", fixed, 128, true, 1, Recipe { steps: 25, groups_per_batch: 1, ..pair }),
        ("head-circulation", legendre, 220, false, 10, readings),
        ("head-angiography", fixed, 256, true, 6, Recipe { rows_per_group: 1_024, groups_per_batch: 4, ..DIGITS }),
    ];
    for (name, features, dimension, whitened, classes, recipe) in expected {
        let found = shipped(name);
        let train = HeadTraining::Encrypted;
        let head = Head { train, features, backbone: None, dimension, whitened, recipe, refresh_bits: 48 };
        assert_eq!((found.head(), found.classes()), (&head, classes), "{name}");
        assert_eq!((found.hospitals(), found.threshold(), found.queries(), found.seed()), (5, 4, 5, 1), "{name}");
        assert_eq!((found.name(), found.model_name()), (name, name));
        assert_eq!(parse(&found.resolved()).unwrap().resolved(), found.resolved(), "{name}");
        // What is accepted is what ciphertexts hold and serving takes.
        let program = HeadProgram::new(he_agg::Preset::Trn14, recipe, (5_000, dimension), classes).unwrap();
        HeadTransfer::new(&program).unwrap();
    }
    let mut names: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let heads = names.iter().filter(|path| matches!(Described::load(path, &[]), Ok(Described::Head(_))));
    // And the plan for a consortium, which trains the head of pneumonia.
    assert_eq!(heads.count(), expected.len() + 1);
    let (consortium, own) = (shipped("consortium-head"), shipped("head-pneumonia"));
    let recipe = Recipe { groups_per_batch: 8, ..own.head().recipe };
    assert_eq!(consortium.head(), &Head { recipe, ..own.head().clone() });
    for path in names {
        assert!(std::fs::read_to_string(&path).unwrap().contains("consilium "), "{path:?} does not say how it is run");
    }
}

#[test]
fn every_shipped_head_has_the_data_of_its_task() {
    let images = |name: &str| match shipped(name).data() {
        HeadData::Images(images) => images.clone(),
        HeadData::Circulation(_) => panic!("{name}"),
    };
    let whole = SplitFractions { train: 1.0, validation: 0.0, test: 0.0 };
    let fifth = SplitFractions { train: 0.8, validation: 0.0, test: 0.2 };
    let (mnist, three_eight) = (images("head-mnist"), images("head-three-eight"));
    assert_eq!((mnist.format, mnist.classes.len(), &mnist.labels, mnist.split), (DataFormat::Idx, 10, &None, whole));
    assert_eq!((three_eight.format, three_eight.split), (DataFormat::Idx, whole));
    assert_eq!((three_eight.classes, three_eight.labels), (vec!["three".into(), "eight".into()], Some(vec![3, 8])));
    let pneumonia = images("head-pneumonia");
    assert_eq!((pneumonia.format, pneumonia.split), (DataFormat::Npz, SplitFractions::default()));
    for images in [mnist, pneumonia] {
        assert_eq!((images.height, images.width, images.channels, images.partition), (28, 28, 1, Partition::Iid));
    }
    let circulation = HeadCirculation { candidates: CirculationSpec::default().candidates, split: fifth };
    assert_eq!(shipped("head-circulation").data(), &HeadData::Circulation(circulation));
    let angiography = shipped("head-angiography");
    let Some(Generator::Angiography(spec)) = angiography.generator() else { panic!("no angiograms") };
    assert_eq!((spec.hospitals, spec.patients_per_hospital, spec.views_per_patient), (5, 1_200, 1));
    assert_eq!((spec.height, spec.width, spec.split, spec.contrast), (64, 64, fifth, true));
    assert_eq!(images("head-angiography").partition, Partition::Iid);
}
