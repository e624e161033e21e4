//! What readers and generators are told.

use super::*;

#[test]
fn grey_levels_stay_as_they_are() {
    let options = parse(IMAGES).unwrap().load_options().unwrap();
    assert_eq!((options.mean, options.std, options.height, options.width, options.channels), (0.0, 1.0, 28, 28, 1));
    assert_eq!(
        (options.classes, options.seed, options.max_samples),
        (["a", "b", "c"].map(str::to_owned).to_vec(), 42, None)
    );
    let most = with(IMAGES, "partition = \"iid\"", "max-samples = 70").load_options().unwrap();
    assert_eq!(most.max_samples, Some(70));
    let colour = with(IMAGES, "width = 28", "width = 30, channels = 3").load_options().unwrap();
    assert_eq!((colour.width, colour.channels), (30, 3));
}

#[test]
fn chosen_labels_keep_the_names_that_the_files_have() {
    let chosen = with(IMAGES, "classes = [\"a\", \"b\", \"c\"]", "classes = [\"a\", \"b\"]\nlabels = [255, 0]");
    let HeadData::Images(images) = chosen.data() else { panic!("no images") };
    assert_eq!((&images.labels, images.classes.len(), chosen.classes()), (&Some(vec![255, 0]), 2, 1));
    assert!(chosen.load_options().unwrap().classes.is_empty());
}

#[test]
fn only_images_are_read_and_only_those_of_a_generator_drawn() {
    let (images, readings) = (parse(IMAGES).unwrap(), parse(READINGS).unwrap());
    assert!(images.generator().is_none() && readings.generator().is_none());
    assert!(readings.load_options().is_none());
    let text = replaced(IMAGES, "\"npz\"", "\"phantom\"");
    let text = replaced(&text, "[\"a\", \"b\", \"c\"]", "[\"normal\", \"cyst\", \"tumour\"]");
    let drawn = with(&text, "[head]", "[data.simulate.phantom]\npatients-per-hospital = 7\n[head]");
    let Some(Generator::Phantom(spec)) = drawn.generator() else { panic!("no phantom") };
    assert_eq!((spec.hospitals, spec.patients_per_hospital, spec.height), (5, 7, 28));
    assert_eq!((spec.mean, spec.std, spec.seed), (0.0, 1.0, 42));
    let HeadData::Images(images) = drawn.data() else { panic!("no images") };
    assert!(matches!(images.generated, Some(Generated::Phantom(own)) if own.patients_per_hospital == 7));
}

#[test]
fn two_classes_take_one_column_and_rows_fill_a_ciphertext() {
    let of = |count: usize| {
        let names: Vec<String> = (0..count).map(|class| format!("\"{class}\"")).collect();
        let found = with(IMAGES, "\"a\", \"b\", \"c\"", &names.join(", "));
        (found.classes(), found.head().recipe.rows_per_group)
    };
    assert_eq!([of(2), of(3), of(4), of(5), of(9), of(16)].map(|found| found.0), [1, 3, 4, 5, 9, 16]);
    assert_eq!(
        [of(2), of(3), of(4), of(5), of(9), of(16)].map(|found| found.1),
        [8_192, 2_048, 2_048, 1_024, 512, 512]
    );
}

#[test]
fn fewer_features_than_are_usual_are_all_kept() {
    let text = replaced(IMAGES, "height = 28, width = 28", "height = 16, width = 17");
    let pixels = with(&text, "[head]", "[head]\nfeatures = \"pixels\"");
    assert_eq!(pixels.head().dimension, 8 * 8 + 1);
    let whitened = with(READINGS, "[head]", "[head]\nwhiten = \"pooled\"");
    assert_eq!((whitened.head().dimension, whitened.head().whitened), (221, true));
}

#[test]
fn formats_are_those_of_networks_and_one_more() {
    assert_eq!(schema::FORMATS, [networks::FORMATS, &[schema::CIRCULATION]].concat());
}
