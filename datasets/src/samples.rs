//! The one form in which images reach training: arrays with labels, patients and sites.

use std::fmt;

use ndarray::{Array4, Axis};

use crate::DataError;

/// Most values (n x c x h x w) that one part may hold: 2 GiB of `f32`, so that a wrong setting
/// ends in an error and not in a machine that swaps.
pub(crate) const VALUES_MAX: usize = 1 << 29;

/// Most classes that a reader accepts. Networks accept fewer; this bound only guards the readers.
pub(crate) const CLASSES_MAX: usize = 64;

/// One of the three disjoint parts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What hospitals train on.
    Train,
    /// What settings are chosen by.
    Validation,
    /// What is reported.
    Test,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        })
    }
}

/// Images and what is known about each. All vectors have one entry per image.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Normalised pixels, (n, channels, height, width).
    pub images: Array4<f32>,
    /// Index into [`Dataset::classes`].
    pub labels: Vec<u8>,
    /// Patient or series; unique over the three parts of a data set. Where nothing is known every
    /// image is its own group.
    pub groups: Vec<u32>,
    /// Where the image was taken, counted from 1; 0 if unknown.
    pub sites: Vec<u32>,
    /// File name or position, for reports to the owner of the image. Never sent anywhere.
    pub names: Vec<String>,
}

impl Samples {
    /// No image, of the given shape (channels, height, width).
    pub fn empty(channels: usize, height: usize, width: usize) -> Self {
        Samples {
            images: Array4::zeros((0, channels, height, width)),
            labels: Vec::new(),
            groups: Vec::new(),
            sites: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// (channels, height, width) of every image.
    pub fn shape(&self) -> (usize, usize, usize) {
        let (_, channels, height, width) = self.images.dim();
        (channels, height, width)
    }

    /// The images at `indices`, in that order; an index may appear twice.
    ///
    /// # Panics
    /// If an index is not below [`Samples::len`]: indices come from [`crate::Partition::assign`] and
    /// [`crate::Split`], which never make such an index.
    pub fn select(&self, indices: &[usize]) -> Samples {
        Samples {
            images: self.images.select(Axis(0), indices),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            groups: indices.iter().map(|&i| self.groups[i]).collect(),
            sites: indices.iter().map(|&i| self.sites[i]).collect(),
            names: indices.iter().map(|&i| self.names[i].clone()).collect(),
        }
    }

    /// Number of images of each of `classes` classes.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        counts
    }

    /// Number of different patients or series.
    pub fn group_count(&self) -> usize {
        self.groups.iter().collect::<std::collections::BTreeSet<_>>().len()
    }
}

/// Classes and three disjoint parts. No group appears in two parts unless the split was by slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Names; a label is an index into them.
    pub classes: Vec<String>,
    /// What hospitals train on.
    pub train: Samples,
    /// What settings are chosen by. May be empty.
    pub validation: Samples,
    /// What is reported. May be empty.
    pub test: Samples,
    /// One line for people: source, counts, how it was split.
    pub description: String,
}

impl Dataset {
    /// (channels, height, width) of every image.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.train.shape()
    }

    /// Refuses a data set that cannot be trained on.
    ///
    /// # Errors
    /// A number of classes outside 2..=64, an empty train part, a class without a training sample.
    pub fn check(&self) -> Result<(), DataError> {
        let classes = self.classes.len();
        if !(2..=CLASSES_MAX).contains(&classes) {
            return Err(DataError::ClassCount { found: classes, classes_max: CLASSES_MAX });
        }
        if self.train.is_empty() {
            return Err(DataError::EmptyPart { part: Part::Train });
        }
        let counts = self.train.class_counts(classes);
        match self.classes.iter().zip(counts).find(|(_, count)| *count == 0) {
            Some((class, _)) => Err(DataError::EmptyClass { class: class.clone(), part: Part::Train }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Samples {
        Samples {
            images: Array4::from_shape_fn((3, 1, 2, 2), |(n, _, y, x)| (n * 4 + y * 2 + x) as f32),
            labels: vec![0, 1, 1],
            groups: vec![7, 8, 8],
            sites: vec![0; 3],
            names: vec!["a".into(), "b".into(), "c".into()],
        }
    }

    #[test]
    fn selection_keeps_every_column_in_step() {
        let picked = three().select(&[2, 0]);
        assert_eq!(picked.names, ["c", "a"]);
        assert_eq!(picked.labels, [1, 0]);
        assert_eq!(picked.groups, [8, 7]);
        assert_eq!(picked.images[[0, 0, 1, 1]], 11.0);
    }

    #[test]
    fn empty_class_is_refused_by_name() {
        let data = Dataset {
            classes: vec!["normal".into(), "cyst".into(), "tumour".into()],
            train: three(),
            validation: Samples::empty(1, 2, 2),
            test: Samples::empty(1, 2, 2),
            description: String::new(),
        };
        assert!(matches!(data.check(), Err(DataError::EmptyClass { class, .. }) if class == "tumour"));
    }
}
