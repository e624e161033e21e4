//! A trained model as a file in the safetensors format, the one that most tools for neural networks read.
//!
//! One `f32` tensor per parameter tensor of the network, named as in `Network::tensors`. The file's metadata holds one
//! entry, `consilium`: a JSON text with everything that is needed to use the parameters ([`Heading`]). The parameters
//! stand in the clear: such a file belongs to whoever trained it, and no federation ever writes one.

use std::path::{Path, PathBuf};

use datasets::{AngiographySpec, Generator, LoadOptions, PhantomSpec};
use he_infer::{ImageShape, InputError, Network, PARAMETERS_MAX};
use protocol::store::{FileFault, write_beside};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};

/// The one metadata entry; a single one, because the format does not fix the order of several.
const ENTRY: &str = "consilium";
/// Version of [`Heading`].
const SCHEMA: u32 = 1;
/// Longest header that is read: names, shapes and the heading of the largest network take a tenth of it.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = HEADER_BYTES_MAX + 8 + 4 * PARAMETERS_MAX as u64;

/// Why a file is not a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFileError {
    /// The file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// More bytes than the largest network takes.
    #[error("{bytes} bytes are more than any model takes (at most {FILE_BYTES_MAX}); is this another file?")]
    TooLarge {
        /// Bytes of the file.
        bytes: u64,
    },
    /// The header's length is out of range.
    #[error(
        "the header claims {bytes} bytes, at most {HEADER_BYTES_MAX} are read; this is no safetensors file, or not one \
         of ours"
    )]
    Header {
        /// Bytes claimed.
        bytes: u64,
    },
    /// Truncated, damaged, or of another format.
    #[error("no whole safetensors file: {0}")]
    Format(SafeTensorError),
    /// A safetensors file that another program wrote.
    #[error("the file has no metadata entry {ENTRY:?}: it was written by another program; use `consilium bench train`")]
    Foreign,
    /// The heading is not what it should be.
    #[error("metadata entry {ENTRY:?}: {0}")]
    Heading(serde_json::Error),
    /// Another version.
    #[error("the file has schema {found}, this program reads {SCHEMA}")]
    Schema {
        /// Version found.
        found: u32,
    },
    /// The images are not those that the network takes.
    #[error("the file's images are {found}, its network takes {expected}")]
    Image {
        /// What the network takes.
        expected: ImageShape,
        /// What the file says about images.
        found: ImageShape,
    },
    /// Class names and outputs do not pair up.
    #[error("the file names {found} classes, its network has {expected} outputs")]
    Classes {
        /// Outputs.
        expected: usize,
        /// Names.
        found: usize,
    },
    /// The scale of the logits is not a number that can be used.
    #[error("the file's largest logit is {found}; it must be finite and not negative")]
    LogitRange {
        /// As written.
        found: f32,
    },
    /// A tensor that the network has and the file has not.
    #[error("tensor {name} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// Tensors that the network does not have.
    #[error("the file has {found} tensors, the network {expected}")]
    TensorCount {
        /// Tensors of the network.
        expected: usize,
        /// Tensors in the file.
        found: usize,
    },
    /// A tensor of another type or shape.
    #[error("tensor {name} is {dtype} {found:?}, the network needs F32 {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Shape that the network needs.
        expected: Vec<usize>,
        /// Type found.
        dtype: Dtype,
        /// Shape found.
        found: Vec<usize>,
    },
    /// Parameters of another number, or a value out of range.
    #[error(transparent)]
    Parameters(#[from] InputError),
}

/// What is known of a model beside its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Heading {
    /// Version of this heading.
    schema: u32,
    /// Name of the experiment that trained it.
    pub name: String,
    /// Image and layers.
    pub network: Network,
    /// How images are brought into the network's form (shape, normalisation, classes) and split: with it, the same
    /// data give the same test images.
    pub images: LoadOptions,
    /// The generator's settings, for a model of generated images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phantom: Option<PhantomSpec>,
    /// The same for angiograms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub angiography: Option<AngiographySpec>,
    /// Largest absolute logit over the training images: what a serving preset must have room for.
    pub logit_range: f32,
}

impl Heading {
    /// What is known of a model of `network`.
    pub fn new(name: &str, network: &Network, images: LoadOptions, logit_range: f32) -> Heading {
        let (name, network) = (name.to_owned(), network.clone());
        Heading { schema: SCHEMA, name, network, images, phantom: None, angiography: None, logit_range }
    }

    /// The same, of generated images.
    pub fn of(self, generator: Option<Generator>) -> Heading {
        match generator {
            Some(Generator::Phantom(spec)) => Heading { phantom: Some(spec), ..self },
            Some(Generator::Angiography(spec)) => Heading { angiography: Some(spec), ..self },
            None => self,
        }
    }

    /// What drew the model's images; `None` where they were read.
    pub fn generator(&self) -> Option<Generator> {
        let phantom = self.phantom.clone().map(Generator::Phantom);
        phantom.or_else(|| self.angiography.clone().map(Generator::Angiography))
    }

    fn check(&self) -> Result<(), ModelFileError> {
        if self.schema != SCHEMA {
            return Err(ModelFileError::Schema { found: self.schema });
        }
        let (expected, images) = (self.network.image(), &self.images);
        let found = ImageShape::new(images.channels, images.height, images.width);
        if found != expected {
            return Err(ModelFileError::Image { expected, found });
        }
        let (expected, found) = (self.network.classes(), images.classes.len());
        if found != expected {
            return Err(ModelFileError::Classes { expected, found });
        }
        if !(self.logit_range.is_finite() && self.logit_range >= 0.0) {
            return Err(ModelFileError::LogitRange { found: self.logit_range });
        }
        Ok(())
    }
}

/// A heading with parameters that fit it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    heading: Heading,
    parameters: Vec<f32>,
}

impl ModelFile {
    /// Puts both together.
    ///
    /// # Errors
    /// A heading that contradicts itself, or parameters of another network, not finite or too large.
    pub fn new(heading: Heading, parameters: Vec<f32>) -> Result<ModelFile, ModelFileError> {
        heading.check()?;
        heading.network.check_parameters(&parameters)?;
        Ok(ModelFile { heading, parameters })
    }

    /// What is known beside the parameters.
    pub fn heading(&self) -> &Heading {
        &self.heading
    }

    /// Flat parameters in the order of `Network::tensors`.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The file's bytes; equal models give equal bytes.
    ///
    /// # Errors
    /// [`ModelFileError::Format`] or [`ModelFileError::Heading`], neither expected.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelFileError> {
        let heading = serde_json::to_string(&self.heading).map_err(ModelFileError::Heading)?;
        let bytes: Vec<u8> = self.parameters.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensors = self.heading.network.tensors().iter().map(|spec| {
            let values = &bytes[4 * spec.offset..4 * (spec.offset + spec.len)];
            let view = TensorView::new(Dtype::F32, spec.shape.clone(), values).map_err(ModelFileError::Format)?;
            Ok((spec.name.as_str(), view))
        });
        let tensors = tensors.collect::<Result<Vec<_>, ModelFileError>>()?;
        let metadata = std::iter::once((ENTRY.to_owned(), heading)).collect();
        safetensors::serialize(tensors, Some(metadata)).map_err(ModelFileError::Format)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Bytes of another format or program, and contents that do not fit each other.
    pub fn from_bytes(bytes: &[u8]) -> Result<ModelFile, ModelFileError> {
        let size = bytes.len() as u64;
        if size > FILE_BYTES_MAX {
            return Err(ModelFileError::TooLarge { bytes: size });
        }
        // The library would parse up to 100 MB of names before it looks at a tensor.
        let header = bytes.first_chunk::<8>().map_or(0, |length| u64::from_le_bytes(*length));
        if header > HEADER_BYTES_MAX {
            return Err(ModelFileError::Header { bytes: header });
        }
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(ModelFileError::Format)?;
        let entry = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let heading: Heading =
            serde_json::from_str(entry.ok_or(ModelFileError::Foreign)?).map_err(ModelFileError::Heading)?;
        heading.check()?;
        let tensors = SafeTensors::deserialize(bytes).map_err(ModelFileError::Format)?;
        let specs = heading.network.tensors();
        if tensors.len() != specs.len() {
            return Err(ModelFileError::TensorCount { expected: specs.len(), found: tensors.len() });
        }
        let mut parameters = Vec::with_capacity(heading.network.parameter_count());
        for spec in specs {
            let missing = |_| ModelFileError::Missing { name: spec.name.clone() };
            let tensor = tensors.tensor(&spec.name).map_err(missing)?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != spec.shape {
                let (expected, found) = (spec.shape.clone(), tensor.shape().to_vec());
                let (name, dtype) = (spec.name.clone(), tensor.dtype());
                return Err(ModelFileError::Shape { name, expected, dtype, found });
            }
            parameters.extend(tensor.data().as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)));
        }
        Self::new(heading, parameters)
    }

    /// Writes the file in one step: a reader sees the old file or the whole new one.
    ///
    /// # Errors
    /// [`ModelFileError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), ModelFileError> {
        let failed =
            |error: FileFault| ModelFileError::Io { action: "write", path: path.to_owned(), source: error.source };
        write_beside(path, &self.to_bytes()?).map_err(failed)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ModelFileError::Io`], and as [`ModelFile::from_bytes`].
    pub fn read(path: &Path) -> Result<ModelFile, ModelFileError> {
        let failed = |source| ModelFileError::Io { action: "read", path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(ModelFileError::TooLarge { bytes });
        }
        Self::from_bytes(&std::fs::read(path).map_err(failed)?)
    }
}

#[cfg(test)]
mod tests {
    use he_infer::LayerSpec;

    use super::*;

    fn model() -> ModelFile {
        let layers = vec![LayerSpec::conv(2, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(3)];
        let network = Network::new(ImageShape::new(1, 6, 6), layers).unwrap();
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        let images = LoadOptions { height: 6, width: 6, classes, ..LoadOptions::default() };
        let parameters = (0..network.parameter_count()).map(|k| k as f32 / 7.0 - 3.0).collect();
        ModelFile::new(Heading::new("small", &network, images, 4.5), parameters).unwrap()
    }

    /// The file with a replacement of equal length in its header.
    fn altered(from: &str, to: &str) -> Result<ModelFile, ModelFileError> {
        assert_eq!(from.len(), to.len());
        let mut bytes = model().to_bytes().unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("the text is there");
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        ModelFile::from_bytes(&bytes)
    }

    #[test]
    fn a_model_comes_back_bit_for_bit_through_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        model().write(&path).unwrap();
        assert_eq!(ModelFile::read(&path).unwrap(), model());
        assert_eq!(std::fs::read(&path).unwrap(), model().to_bytes().unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no part is left behind");
    }

    #[test]
    fn a_model_of_generated_images_says_what_drew_them() {
        let drawn = [
            None,
            Some(Generator::Phantom(PhantomSpec { seed: 7, ..PhantomSpec::default() })),
            Some(Generator::Angiography(AngiographySpec { seed: 8, ..AngiographySpec::default() })),
        ];
        for generator in drawn {
            let model = model();
            let heading = model.heading().clone().of(generator.clone());
            let file = ModelFile::new(heading, model.parameters().to_vec()).unwrap();
            let read = ModelFile::from_bytes(&file.to_bytes().unwrap()).unwrap();
            assert_eq!(read.heading().generator(), generator);
        }
    }

    #[test]
    fn other_tools_find_a_tensor_per_parameter_tensor() {
        let bytes = model().to_bytes().unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let weight = tensors.tensor("layers.0.weight").unwrap();
        assert_eq!((weight.dtype(), weight.shape()), (Dtype::F32, &[2, 1, 3, 3][..]));
        assert_eq!(tensors.len(), 5);
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = model().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(ModelFile::from_bytes(&bytes[..length]), Err(ModelFileError::Format(_))), "{length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(ModelFile::from_bytes(&longer), Err(ModelFileError::Format(_))));
    }

    #[test]
    fn files_of_other_programs_are_told_apart() {
        let weight = [0u8; 8];
        let tensor = TensorView::new(Dtype::F32, vec![2], &weight).unwrap();
        let foreign = safetensors::serialize([("w", tensor)], None).unwrap();
        assert!(matches!(ModelFile::from_bytes(&foreign), Err(ModelFileError::Foreign)));
        let picture = b"\x89PNG\r\n\x1a\n and more";
        assert!(matches!(ModelFile::from_bytes(picture), Err(ModelFileError::Header { .. })));
    }

    #[test]
    fn contents_that_do_not_fit_each_other_are_named() {
        assert!(matches!(altered("\\\"schema\\\":1", "\\\"schema\\\":2"), Err(ModelFileError::Schema { found: 2 })));
        assert!(matches!(altered("\\\"units\\\":3", "\\\"units\\\":4"), Err(ModelFileError::Classes { .. })));
        assert!(matches!(altered("\\\"channels\\\":2", "\\\"channels\\\":3"), Err(ModelFileError::Shape { .. })));
        assert!(matches!(altered("\\\"stride\\\":2", "\\\"stride\\\":0"), Err(ModelFileError::Heading(_))));
        assert!(matches!(altered("layers.0.bias", "layers.7.bias"), Err(ModelFileError::Missing { .. })));
        assert!(matches!(altered("\"F32\"", "\"I32\""), Err(ModelFileError::Shape { .. })));
        assert!(matches!(
            altered("\\\"logit-range\\\":4", "\\\"logit-range\\\":-"),
            Err(ModelFileError::LogitRange { .. } | ModelFileError::Heading(_))
        ));
    }

    #[test]
    fn values_that_no_network_can_use_are_refused() {
        let with = |value: f32| {
            let mut parameters = model().parameters().to_vec();
            parameters[3] = value;
            ModelFile::new(model().heading().clone(), parameters)
        };
        assert!(matches!(with(f32::NAN), Err(ModelFileError::Parameters(InputError::Parameter { index: 3, .. }))));
        assert!(matches!(with(1e9), Err(ModelFileError::Parameters(_))));
        let short = ModelFile::new(model().heading().clone(), vec![0.0; 3]);
        assert!(matches!(short, Err(ModelFileError::Parameters(InputError::ParameterCount { .. }))));
    }
}
