//! `[data]` of images: the rules that networks and heads have in common.

use std::path::PathBuf;

use datasets::{AngiographySpec, Generator, Partition, PhantomSpec, SplitBy, SplitFractions};

use super::{
    check::Check,
    error::Conflict,
    literal::{ImageLiteral, SimulateLiteral, SplitLiteral},
    settings::{Angiography, DataFormat, Generated, Phantom},
};

/// `[data]` as it is written, without what only networks or only heads have.
pub(super) struct ImagesLiteral<'a> {
    pub(super) format: DataFormat,
    pub(super) classes: &'a [String],
    pub(super) image: &'a ImageLiteral,
    pub(super) split: &'a SplitLiteral,
    pub(super) simulate: &'a SimulateLiteral,
}

/// The same, checked.
pub(super) struct Images {
    pub(super) format: DataFormat,
    pub(super) classes: Vec<String>,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) split: SplitFractions,
    pub(super) split_by: SplitBy,
    pub(super) source: Option<PathBuf>,
    pub(super) partition: Partition,
    pub(super) max_samples: Option<usize>,
    pub(super) generated: Option<Generated>,
}

/// What a word for `data.format` means. The schema lets no other word through.
pub(super) fn format_of(word: &str) -> DataFormat {
    match word {
        "npz" => DataFormat::Npz,
        "idx" => DataFormat::Idx,
        "image-folder" => DataFormat::ImageFolder,
        "angiography" => DataFormat::Angiography,
        _ => DataFormat::Phantom,
    }
}

/// What a generator draws besides its own settings.
pub(super) struct Drawn {
    pub(super) hospitals: u16,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) split: SplitFractions,
    pub(super) mean: f32,
    pub(super) std: f32,
    pub(super) seed: u64,
}

impl Drawn {
    /// The generator with all of its settings.
    pub(super) fn generator(self, generated: Generated) -> Generator {
        let Self { hospitals, height, width, split, mean, std, seed } = self;
        let hospitals = hospitals.into();
        match generated {
            Generated::Phantom(own) => Generator::Phantom(PhantomSpec {
                hospitals,
                patients_per_hospital: own.patients_per_hospital,
                slices_per_patient: own.slices_per_patient,
                height,
                width,
                proportions: own.proportions,
                difficulty: own.difficulty,
                split,
                mean,
                std,
                seed,
            }),
            Generated::Angiography(own) => Generator::Angiography(AngiographySpec {
                hospitals,
                patients_per_hospital: own.patients_per_hospital,
                views_per_patient: own.views_per_patient,
                height,
                width,
                contrast: true,
                split,
                mean,
                std,
                seed,
            }),
        }
    }
}

impl Check<'_> {
    pub(super) fn images(&mut self, literal: &ImagesLiteral<'_>) -> Images {
        let ImagesLiteral { format, classes, image, simulate, .. } = *literal;
        let channels = image.channels.unwrap_or(1);
        if channels == 2 {
            self.wrong(&["data", "image", "channels"], "2".to_owned(), "1 (grey) or 3 (colour)");
        }
        let split = self.split(literal.split);
        let split_by = if literal.split.by.as_deref() == Some("slice") { SplitBy::Slice } else { SplitBy::Group };
        self.generator_rules(literal, channels);
        Images {
            format,
            classes: classes.to_vec(),
            height: image.height,
            width: image.width,
            channels,
            split,
            split_by,
            source: simulate.source.as_ref().filter(|source| *source != format.word()).map(PathBuf::from),
            partition: self.partition(simulate),
            max_samples: simulate.max_samples,
            generated: generated(format, simulate),
        }
    }

    /// Shares of the parts, which have to be a whole.
    pub(super) fn split(&mut self, literal: &SplitLiteral) -> SplitFractions {
        let default = SplitFractions::default();
        let split = SplitFractions {
            train: literal.train.unwrap_or(default.train),
            validation: literal.validation.unwrap_or(default.validation),
            test: literal.test.unwrap_or(default.test),
        };
        if split.check().is_err() {
            let sum = split.train + split.validation + split.test;
            self.conflict(&["data", "split", "test"], &["data", "split", "train"], Conflict::SplitSum { sum });
        }
        split
    }

    /// A generator knows its images and needs no file; other formats have no use for its settings.
    fn generator_rules(&mut self, literal: &ImagesLiteral<'_>, channels: usize) {
        let (format_key, format, simulate) = (["data", "format"], literal.format, literal.simulate);
        let tables = [
            ("phantom", DataFormat::Phantom, simulate.phantom.is_some()),
            ("angiography", DataFormat::Angiography, simulate.angiography.is_some()),
        ];
        let source = simulate.source.as_deref();
        for (word, of, is_there) in tables {
            let option = || Conflict::GeneratorOption { format: format.word(), of: of.word() };
            if is_there && format != of {
                self.conflict(&["data", "simulate", word], &format_key, option());
            }
            if source == Some(word) && !format.is_generated() {
                self.conflict(&["data", "simulate", "source"], &format_key, option());
            }
        }
        let Some(classes) = format.generated_classes() else { return };
        let format = format.word();
        if source.is_some_and(|source| source != format) {
            self.conflict(&["data", "simulate", "source"], &format_key, Conflict::GeneratedWithSource { format });
        }
        if literal.classes != classes {
            let conflict = Conflict::GeneratedClasses { format, found: literal.classes.len(), expected: classes };
            self.conflict(&["data", "classes"], &format_key, conflict);
        }
        if channels != 1 {
            let conflict = Conflict::GeneratedChannels { format, found: channels };
            self.conflict(&["data", "image", "channels"], &format_key, conflict);
        }
        let [height, width] = [literal.image.height, literal.image.width];
        if format == DataFormat::Angiography.word() {
            for (key, found) in [("height", height), ("width", width)] {
                if !(32..=256).contains(&found) {
                    self.wrong(&["data", "image", key], found.to_string(), "32 to 256 for angiograms");
                }
            }
        }
    }

    fn partition(&mut self, simulate: &SimulateLiteral) -> Partition {
        let partition = match simulate.partition.as_deref() {
            Some("dirichlet") => return Partition::Dirichlet { alpha: simulate.alpha.unwrap_or(0.5) },
            Some("by-column") => Partition::ByColumn,
            _ => Partition::Iid,
        };
        if simulate.alpha.is_some() {
            let partition = simulate.partition.clone().unwrap_or_else(|| "iid".to_owned());
            let conflict = Conflict::AlphaWithoutDirichlet { partition };
            self.conflict(&["data", "simulate", "alpha"], &["data", "simulate", "partition"], conflict);
        }
        partition
    }
}

/// Settings of the format's generator, with what the file leaves out.
fn generated(format: DataFormat, simulate: &SimulateLiteral) -> Option<Generated> {
    match format {
        DataFormat::Phantom => {
            let own = simulate.phantom.as_ref();
            Some(Generated::Phantom(Phantom {
                patients_per_hospital: own.and_then(|own| own.patients_per_hospital).unwrap_or(36),
                slices_per_patient: own.and_then(|own| own.slices_per_patient).unwrap_or(4),
                difficulty: own.and_then(|own| own.difficulty).unwrap_or(0.5),
                proportions: own.and_then(|own| own.proportions).unwrap_or([1.0; 3]),
            }))
        }
        DataFormat::Angiography => {
            let own = simulate.angiography.as_ref();
            Some(Generated::Angiography(Angiography {
                patients_per_hospital: own.and_then(|own| own.patients_per_hospital).unwrap_or(240),
                views_per_patient: own.and_then(|own| own.views_per_patient).unwrap_or(1),
            }))
        }
        DataFormat::Npz | DataFormat::Idx | DataFormat::ImageFolder => None,
    }
}
