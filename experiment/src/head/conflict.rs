//! Settings of a head that exclude each other.

/// Why two settings of a head, or of its data, exclude each other.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadConflict {
    /// A key of images with data that have none.
    #[error("format \"circulation\" generates readings, not images, and takes no such key")]
    NoImages,
    /// Features of other data.
    #[error("features {features:?} are not computed from format {format:?}; use {instead}")]
    Features {
        /// As written.
        features: &'static str,
        /// As written.
        format: &'static str,
        /// What may stand there.
        instead: &'static str,
    },
    /// Features of a model that nobody names.
    #[error("features \"backbone\" are those of a trained model; name its file with backbone = \"MODEL.safetensors\"")]
    NoBackbone,
    /// A model whose features nobody takes.
    #[error("features {features:?} are no model's; use features = \"backbone\", or leave the model out")]
    BackboneUnused {
        /// As written.
        features: &'static str,
    },
    /// Only the model's file says how many there are.
    #[error("features \"backbone\" are as many as the model has, and of any size; use whiten = \"pooled\"")]
    BackboneUnwhitened,
    /// Colours would be lost.
    #[error("features \"pixels\" are means of grey levels, here are {channels} channels")]
    ColourPixels {
        /// As written.
        channels: usize,
    },
    /// More products than a whitening is computed from.
    #[error("images of that size have {found} such features, and more than {most} are not taken; use smaller images")]
    FeatureCount {
        /// Before whitening.
        found: usize,
        /// Before whitening.
        most: usize,
    },
    /// A whitening can leave features out, not add them.
    #[error("dimension {dimension}, where whitening leaves at most {most} features, the constant included")]
    Dimension {
        /// As written.
        dimension: usize,
        /// All of them and the constant.
        most: usize,
    },
    /// Without whitening nothing is left out.
    #[error("dimension {dimension}, where there are {features} features and no whitening leaves any out")]
    Unwhitened {
        /// As written.
        dimension: usize,
        /// As there are.
        features: usize,
    },
    /// A sigmoid of numbers that are no classes.
    #[error("readings are not classes; use loss = \"squared\"")]
    LossOfReadings,
    /// A sigmoid's setting without one.
    #[error("loss \"squared\" has no sigmoid, hence no such setting")]
    NoSigmoid,
    /// Kernels of a graphics card have no such steps yet.
    #[error("a head is trained on the processor; use backend = \"auto\" or \"cpu\"")]
    Gpu,
    /// One label a class.
    #[error("{labels} labels for {classes} classes")]
    LabelCount {
        /// How many are written.
        labels: usize,
        /// How many are written.
        classes: usize,
    },
    /// Labels of what has no numbers.
    #[error("format {format:?} has no numbered labels to choose from; \"npz\" and \"idx\" have")]
    Labels {
        /// As written.
        format: &'static str,
    },
    /// Every hospital needs patients in each part.
    #[error("{patients} patients of {hospitals} hospitals; at least {least} are needed, 32 for each")]
    Patients {
        /// As written.
        patients: usize,
        /// Hospitals.
        hospitals: u16,
        /// What may stand there.
        least: usize,
    },
}
