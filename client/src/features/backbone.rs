//! Features by the convolutions of a trained model.

use std::path::Path;

use experiment::{FEATURES_MAX, HeadImages};
use he_infer::{ImageShape, InputError};
use ndarray::{Array2, ArrayView4};
use protocol::ids::Digest;
use rayon::prelude::*;

use super::error::FeaturesError;
use crate::model_file::ModelFile;

/// A model that every hospital has in the clear: nothing of it is secret, and nothing of it is trained further.
pub(super) struct Backbone {
    model: ModelFile,
    /// Of its bytes.
    digest: Digest,
}

impl Backbone {
    /// Reads a file of `consilium bench train` for images of this form.
    ///
    /// # Errors
    /// [`FeaturesError::Backbone`]; [`FeaturesError::BackboneImages`] for a network that takes other images;
    /// [`FeaturesError::ManyFeatures`].
    pub(super) fn load(path: &Path, images: &HeadImages) -> Result<Self, FeaturesError> {
        let fault = |source| FeaturesError::Backbone { path: path.to_owned(), source: Box::new(source) };
        let model = ModelFile::read(path).map_err(fault)?;
        let (expected, found) =
            (model.heading().network.image(), ImageShape::new(images.channels, images.height, images.width));
        if found != expected {
            return Err(FeaturesError::BackboneImages { path: path.to_owned(), expected, found });
        }
        let values = model.heading().network.convolved_len();
        if values > FEATURES_MAX {
            return Err(FeaturesError::ManyFeatures { path: path.to_owned(), found: values, most: FEATURES_MAX });
        }
        let digest = Digest::of_bytes(&model.to_bytes().map_err(fault)?);
        Ok(Self { model, digest })
    }

    /// For people: whose they are.
    pub(super) fn text(&self) -> String {
        let (name, digest) = (&self.model.heading().name, hex::encode(&self.digest.0[..8]));
        format!("convolutions of the model {name} (SHA-256 {digest}...), square roots of both signs")
    }

    /// How many there are of an image.
    pub(super) fn count(&self) -> usize {
        self.model.heading().network.convolved_len()
    }

    /// A row of features an image. Their square roots, with their signs: squares of squares would be far apart.
    ///
    /// # Errors
    /// [`InputError`] for an image that is none.
    pub(super) fn features(&self, images: ArrayView4<'_, f32>) -> Result<Array2<f64>, InputError> {
        let (network, options) = (&self.model.heading().network, &self.model.heading().images);
        let normalised = images.mapv(|level| (level - options.mean) / options.std);
        let row = |image| -> Result<Vec<f64>, InputError> {
            let mut values = network.convolved(self.model.parameters(), image)?;
            values.iter_mut().for_each(|value| *value = value.abs().sqrt().copysign(*value));
            Ok(values)
        };
        let images: Vec<_> = normalised.outer_iter().collect();
        let rows = images.into_par_iter().map(row).collect::<Result<Vec<_>, _>>()?;
        Ok(Array2::from_shape_fn((rows.len(), self.count()), |(row, column)| rows[row][column]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::Heading;
    use datasets::LoadOptions;
    use he_infer::{LayerSpec, Network};

    #[test]
    fn a_model_with_more_features_than_a_whitening_takes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let text = "[experiment]\nname = \"x\"\n[data]\nformat = \"npz\"\nclasses = [\"a\", \"b\"]\n\
                    image = { height = 64, width = 65, channels = 1 }\n[head]\n";
        let experiment = experiment::HeadExperiment::parse("x.toml", text, &[]).unwrap();
        let experiment::HeadData::Images(images) = experiment.data() else { panic!("images") };
        let load = |width: usize| {
            let network = Network::new(ImageShape::new(1, 64, width), vec![LayerSpec::Dense { units: 2 }]).unwrap();
            let names = ["a", "b"].map(str::to_owned).to_vec();
            let form = LoadOptions { height: 64, width, classes: names, ..LoadOptions::default() };
            let zeros = vec![0.0; network.parameter_count()];
            let model = ModelFile::new(Heading::new("flat", &network, form, 1.0), zeros).unwrap();
            std::fs::write(&path, model.to_bytes().unwrap()).unwrap();
            Backbone::load(&path, &HeadImages { width, ..images.clone() }).map(drop)
        };
        let refused = load(65).unwrap_err();
        assert!(matches!(&refused, FeaturesError::ManyFeatures { found: 4_160, most: 4_096, .. }), "{refused}");
        load(64).unwrap();
    }

    /// One channel to two by a window of 2 and a stride of 2, its quadratic, and a dense layer of two classes.
    fn model() -> ModelFile {
        let layers = vec![
            LayerSpec::Conv { channels: 2, kernel: 2, stride: 2, padding: Some(0) },
            LayerSpec::Quadratic {},
            LayerSpec::Dense { units: 2 },
        ];
        let network = Network::new(ImageShape::new(1, 4, 4), layers).unwrap();
        assert_eq!((network.convolved_len(), network.parameter_count()), (8, 8 + 2 + 2 + 16 + 2));
        let names = ["a", "b"].map(str::to_owned).to_vec();
        let images =
            LoadOptions { height: 4, width: 4, mean: 0.5, std: 0.25, classes: names, ..LoadOptions::default() };
        let mut parameters = vec![0.0; network.parameter_count()];
        // The sum of a window, and minus its first pixel.
        parameters[..8].copy_from_slice(&[1.0, 1.0, 1.0, 1.0, -1.0, 0.0, 0.0, 0.0]);
        // Betas of the quadratic, behind two biases of 0.
        parameters[10..12].copy_from_slice(&[1.0, 0.0]);
        ModelFile::new(Heading::new("tiny", &network, images, 1.0), parameters).unwrap()
    }

    #[test]
    fn features_are_what_the_first_dense_layer_would_read() {
        let backbone = Backbone { model: model(), digest: Digest([0xab; 32]) };
        let level = |y: usize, x: usize| if (y, x) == (0, 0) { 1.0 } else { 0.5 };
        let images = ndarray::Array4::from_shape_fn((1, 1, 4, 4), |(_, _, y, x)| level(y, x));
        // Normalised, the first pixel is 2 and all others are 0: 2 (2 + 1) and -2 (-2) in the first window.
        let expected = [6f64.sqrt(), 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0];
        assert_eq!(backbone.features(images.view()).unwrap().as_slice().unwrap(), expected);
        assert_eq!(backbone.count(), 8);
        assert!(backbone.text().contains("tiny") && backbone.text().contains("abababababababab..."));
    }

    #[test]
    fn a_model_of_other_images_and_a_file_that_is_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        std::fs::write(&path, model().to_bytes().unwrap()).unwrap();
        let text = "[experiment]\nname = \"x\"\n[data]\nformat = \"npz\"\nclasses = [\"a\", \"b\"]\n\
                    image = { height = 16, width = 16, channels = 1 }\n[head]\n";
        let experiment = experiment::HeadExperiment::parse("x.toml", text, &[]).unwrap();
        let experiment::HeadData::Images(images) = experiment.data() else { panic!("images") };
        let refused = |images: &HeadImages| Backbone::load(&path, images).err().map(|error| error.to_string());
        assert!(refused(images).is_some_and(|text| text.contains("1x16x16")), "{:?}", refused(images));
        assert_eq!(refused(&HeadImages { height: 4, width: 4, ..images.clone() }), None);
        std::fs::write(&path, "nothing").unwrap();
        let found = refused(images).unwrap();
        assert!(found.contains("m.safetensors"), "{found}");
    }
}
