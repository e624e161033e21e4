//! Features of images: what a head is trained on, and what it is asked about. A hospital computes them of each image by
//! itself, with nothing of anybody's data in it.

mod backbone;
mod error;

use datasets::{Dataset, Samples};
use experiment::{HeadData, HeadExperiment, HeadFeatures, HeadImages};
use he_infer::{ImageShape, InputError};
use he_train::{CosineFilters, HeadLoss};
use ndarray::{Array2, Array3, ArrayView4, Axis, s};

use self::backbone::Backbone;
pub use self::error::FeaturesError;
use crate::hospital::SiteRows;

/// Makes the features that a head's file says, of images of its form.
pub struct ImageFeatures {
    how: How,
    images: HeadImages,
    /// Columns of the labels.
    columns: usize,
    /// What a row's label is in the columns of other classes.
    other: f64,
}

enum How {
    Pixels,
    Cosine(CosineFilters),
    Backbone(Box<Backbone>),
}

impl ImageFeatures {
    /// What a file describes.
    ///
    /// # Errors
    /// [`FeaturesError::NoImages`] where its data are none; of a model's file.
    pub fn new(experiment: &HeadExperiment) -> Result<Self, FeaturesError> {
        let HeadData::Images(images) = experiment.data() else {
            return Err(FeaturesError::NoImages { format: experiment.format() });
        };
        let how = match (experiment.head().features, &experiment.head().backbone) {
            (HeadFeatures::Pixels, _) => How::Pixels,
            (HeadFeatures::Backbone, Some(path)) => How::Backbone(Box::new(Backbone::load(path, images)?)),
            // Images have no properties of which there could be polynomials, and a backbone is a file: others are
            // refused.
            _ => How::Cosine(CosineFilters::fitting(images.height, images.width)),
        };
        // A head that is fitted to numbers tells one of two classes by the sign of one.
        let is_signed = experiment.head().recipe.loss == HeadLoss::Squared && images.classes.len() == 2;
        let other = if is_signed { -1.0 } else { 0.0 };
        Ok(Self { how, images: images.clone(), columns: experiment.classes(), other })
    }

    /// Channels, height and width of an image.
    #[must_use]
    pub fn shape(&self) -> ImageShape {
        ImageShape::new(self.images.channels, self.images.height, self.images.width)
    }

    /// Features of an image, before whitening.
    #[must_use]
    pub fn count(&self) -> usize {
        let HeadImages { channels, height, width, .. } = self.images;
        match &self.how {
            How::Pixels => (height / 2) * (width / 2),
            How::Cosine(filters) => filters.dimension(channels, height, width),
            How::Backbone(backbone) => backbone.count(),
        }
    }

    /// For people: how they are made.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.how {
            How::Pixels => "means of two by two pixels".to_owned(),
            How::Cosine(_) => "public cosine filters, rectified and averaged".to_owned(),
            How::Backbone(backbone) => backbone.text(),
        }
    }

    /// Those of a data set's labels that the head is to tell apart, numbered anew in their order; all where the file
    /// chooses none.
    #[must_use]
    pub fn chosen(&self, data: Dataset) -> Dataset {
        match &self.images.labels {
            Some(labels) => chosen(data, labels, &self.images.classes),
            None => data,
        }
    }

    /// What a head is trained on, of images whose labels are numbers of its classes: features, and a column a class, or
    /// one for the second of two.
    ///
    /// # Errors
    /// [`FeaturesError::Image`] for an image that is none.
    pub fn rows(&self, samples: &Samples) -> Result<SiteRows, FeaturesError> {
        let first = usize::from(self.images.classes.len() == 2);
        let labels = Array2::from_shape_fn((samples.len(), self.columns), |(row, column)| {
            if usize::from(samples.labels[row]) == first + column { 1.0 } else { self.other }
        });
        Ok(SiteRows { features: self.of_images(samples.images.view())?, labels })
    }

    /// Features of an image (channels x height x width, not normalised), as a picture of one row: what a head is asked
    /// about.
    ///
    /// # Errors
    /// As [`ImageFeatures::rows`].
    pub fn question(&self, image: Array3<f32>) -> Result<Array3<f32>, FeaturesError> {
        let features = self.of_images(image.insert_axis(Axis(0)).view())?;
        Ok(features.mapv(|feature| feature as f32).insert_axis(Axis(0)))
    }

    fn of_images(&self, images: ArrayView4<'_, f32>) -> Result<Array2<f64>, InputError> {
        match &self.how {
            How::Pixels => Ok(averaged(images)),
            How::Cosine(filters) => Ok(filters.features(images)),
            How::Backbone(backbone) => backbone.features(images),
        }
    }
}

/// Means of two by two pixels of the first channel.
fn averaged(images: ArrayView4<'_, f32>) -> Array2<f64> {
    let (count, _, height, width) = images.dim();
    let across = width / 2;
    Array2::from_shape_fn((count, height / 2 * across), |(row, feature)| {
        let (y, x) = (2 * (feature / across), 2 * (feature % across));
        let block = images.slice(s![row, 0, y..y + 2, x..x + 2]);
        block.iter().map(|pixel| f64::from(*pixel)).sum::<f64>() / 4.0
    })
}

/// The samples of some labels, numbered anew in their order.
fn chosen(data: Dataset, labels: &[u8], classes: &[String]) -> Dataset {
    let place = |label: &u8| labels.iter().position(|own| own == label);
    let of = |samples: &Samples| {
        let wanted: Vec<usize> = (0..samples.len()).filter(|row| place(&samples.labels[*row]).is_some()).collect();
        let mut chosen = samples.select(&wanted);
        // There are at most 16 of them.
        chosen.labels.iter_mut().for_each(|label| *label = place(label).unwrap_or_default() as u8);
        chosen
    };
    let [train, validation, test] = [&data.train, &data.validation, &data.test].map(of);
    Dataset { classes: classes.to_vec(), train, validation, test, ..data }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    const PAIR: &str = "[experiment]\nname = \"x\"\n[federation]\nhospitals = 3\n[data]\nformat = \"npz\"\n\
                        classes = [\"b\", \"a\"]\nlabels = [5, 2]\n\
                        image = { height = 16, width = 16, channels = 1 }\n[head]\nfeatures = \"pixels\"\n";

    fn features(changes: &[&str]) -> ImageFeatures {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        let experiment = HeadExperiment::parse("x.toml", PAIR, &changes).unwrap_or_else(|error| panic!("{error}"));
        ImageFeatures::new(&experiment).unwrap()
    }

    fn samples(labels: &[u8]) -> Samples {
        let shape = (labels.len(), 1, 2, 2);
        Samples {
            images: Array4::from_shape_fn(shape, |(row, _, y, x)| (row * 4 + y * 2 + x) as f32 / 100.0),
            labels: labels.to_vec(),
            groups: (0..labels.len() as u32).collect(),
            sites: vec![1; labels.len()],
            names: vec![String::new(); labels.len()],
        }
    }

    #[test]
    fn chosen_labels_are_classes_in_the_order_that_is_written() {
        let parts = [&[5, 1, 2, 2][..], &[], &[2, 7, 5]].map(samples);
        let [train, validation, test] = parts;
        let classes = (0..8).map(|class| class.to_string()).collect();
        let data = Dataset { classes, train, validation, test, description: String::new() };
        let features = features(&[]);
        let chosen = features.chosen(data);
        assert_eq!((chosen.classes.join(" "), &chosen.train.labels[..]), ("b a".to_owned(), &[0, 1, 1][..]));
        assert_eq!((&chosen.test.labels[..], chosen.test.images[[1, 0, 0, 0]]), (&[1, 0][..], 0.08));
        let rows = features.rows(&chosen.train).unwrap();
        // One number says which of two classes; features are means of two by two pixels.
        assert_eq!((rows.labels.dim(), rows.labels.as_slice().unwrap()), ((3, 1), &[0.0, 1.0, 1.0][..]));
        let mean = |row: usize| (0..4).map(|pixel| f64::from((4 * row + pixel) as f32 / 100.0)).sum::<f64>() / 4.0;
        assert_eq!(rows.features.as_slice().unwrap(), [mean(0), mean(2), mean(3)]);
        let asked = features.question(chosen.train.images.index_axis(Axis(0), 1).to_owned()).unwrap();
        assert_eq!((asked.dim(), asked[[0, 0, 0]]), ((1, 1, 1), mean(2) as f32));
    }

    #[test]
    fn one_of_two_classes_is_a_sign_where_a_head_is_fitted_to_numbers() {
        let labels = |change: &str| features(&[change]).rows(&samples(&[0, 1])).unwrap().labels;
        assert_eq!(labels("head.loss=squared").as_slice().unwrap(), [-1.0, 1.0]);
        assert_eq!(labels("head.loss=one-vs-rest").as_slice().unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn each_of_three_classes_has_a_column_of_its_own() {
        let of_three = features(&["data.classes=[\"a\", \"b\", \"c\"]", "data.labels=[5, 2, 7]"]);
        let labels = of_three.rows(&samples(&[2, 0, 1])).unwrap().labels;
        assert_eq!(labels, ndarray::array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
    }

    #[test]
    fn features_are_named_as_what_they_are() {
        assert_eq!(features(&[]).text(), "means of two by two pixels");
        let fixed = features(&["head.features=fixed"]).text();
        assert!(fixed.contains("cosine filters"), "{fixed}");
    }

    #[test]
    fn as_many_features_come_of_an_image_as_were_counted_before() {
        for (changes, expected) in [
            (&["data.image={ height = 17, width = 18, channels = 1 }"][..], 8 * 9),
            (&["data.image={ height = 16, width = 18, channels = 3 }", "head.features=fixed"], 2 * 12 * 3 * 5 * 6),
        ] {
            let features = features(changes);
            let ImageShape { channels, height, width } = features.shape();
            let images = Samples { images: Array4::ones((2, channels, height, width)), ..samples(&[0, 1]) };
            let rows = features.rows(&images).unwrap();
            assert_eq!((features.count(), rows.features.dim()), (expected, (2, expected)), "{changes:?}");
        }
    }

    #[test]
    fn means_of_pixels_go_across_before_they_go_down() {
        let level = |(_, _, y, x): (usize, usize, usize, usize)| (6 * y + x) as f32;
        let wide = Array4::from_shape_fn((1, 1, 4, 6), level);
        // Of the first pixel, its right, lower and lower right neighbour: 0, 1, 6 and 7 more.
        let expected = [0.0, 2.0, 4.0, 12.0, 14.0, 16.0].map(|first| first + 3.5);
        assert_eq!(averaged(wide.view()).as_slice().unwrap(), expected);
    }

    #[test]
    fn readings_of_patients_are_no_images() {
        let text = "[experiment]\nname = \"x\"\n[data]\nformat = \"circulation\"\n[head]\nloss = \"squared\"\n";
        let experiment = HeadExperiment::parse("x.toml", text, &[]).unwrap_or_else(|error| panic!("{error}"));
        let refused = ImageFeatures::new(&experiment).map(drop);
        assert!(matches!(refused, Err(FeaturesError::NoImages { format: "circulation" })), "{refused:?}");
    }
}
