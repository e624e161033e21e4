//! What whoever asks a published model has to know of the file that it was trained by.

use datasets::LoadOptions;

use crate::{Described, Experiment, HeadData, HeadExperiment};

/// What a model is asked about and what it answers.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedModel {
    /// Its name.
    pub name: String,
    /// Classes of an answer; a logit each.
    pub classes: Vec<String>,
    /// How a picture is read for it: size, channels and normalisation.
    pub images: LoadOptions,
    /// Images that one question takes, from 1.
    pub together: usize,
}

impl AskedModel {
    /// Of a network.
    #[must_use]
    pub fn of_network(experiment: &Experiment) -> Self {
        Self {
            name: experiment.publish().name.clone(),
            classes: experiment.data().classes.clone(),
            images: experiment.load_options(),
            together: experiment.program().images(),
        }
    }

    /// Of a head, which is asked about one image at a time; `None` where its rows are no images'.
    #[must_use]
    pub fn of_head(experiment: &HeadExperiment) -> Option<Self> {
        let HeadData::Images(data) = experiment.data() else { return None };
        let images = LoadOptions { classes: data.classes.clone(), ..experiment.load_options()? };
        let name = experiment.model_name().to_owned();
        Some(Self { name, classes: data.classes.clone(), images, together: 1 })
    }

    /// Channels, height and width of an image.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        [self.images.channels, self.images.height, self.images.width]
    }
}

impl Described {
    /// What whoever asks its model has to know; `None` where it is asked about no images.
    #[must_use]
    pub fn asked(&self) -> Option<AskedModel> {
        match self {
            Self::Network(experiment) => Some(AskedModel::of_network(experiment)),
            Self::Head(experiment) => AskedModel::of_head(experiment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<AskedModel> {
        Described::parse("x.toml", text, &[]).unwrap_or_else(|error| panic!("{error}")).asked()
    }

    #[test]
    fn a_network_takes_images_as_it_was_trained_on_them_and_a_head_takes_grey_levels() {
        let network = asked(crate::DEMO).unwrap();
        let demo = Experiment::parse("demo.toml", crate::DEMO, &[]).unwrap();
        assert_eq!(network.images, demo.load_options());
        assert_eq!((network.classes.len(), network.together), (3, demo.program().images()));
        let head = "[experiment]\nname = \"x\"\n[data]\nformat = \"idx\"\nclasses = [\"b\", \"a\"]\nlabels = [5, 2]\n\
                    image = { height = 17, width = 16, channels = 3 }\n[head]\n[publish]\nname = \"y\"\n";
        let head = asked(head).unwrap();
        assert_eq!((head.name.as_str(), head.classes.join(" "), head.shape()), ("y", "b a".to_owned(), [3, 17, 16]));
        let LoadOptions { mean, std, classes, .. } = head.images;
        assert_eq!((mean, std, classes, head.together), (0.0, 1.0, head.classes, 1));
    }

    #[test]
    fn readings_are_asked_for_with_no_picture() {
        let text = "[experiment]\nname = \"x\"\n[data]\nformat = \"circulation\"\n[head]\nloss = \"squared\"\n";
        assert_eq!(asked(text), None);
    }
}
