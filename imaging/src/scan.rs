//! A decoded file.

use crate::error::ImagingError;
use crate::identity::Identity;
use crate::samples::Samples;
use crate::view::View;
use crate::window::{Function, NamedWindow, Window};

/// What a file was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// DICOM.
    Dicom = 1,
    /// PNG.
    Png = 2,
    /// JPEG.
    Jpeg = 3,
}

impl Kind {
    pub(crate) fn numbered(number: u8) -> Option<Self> {
        [Self::Dicom, Self::Png, Self::Jpeg].into_iter().find(|known| *known as u8 == number)
    }
}

/// What a file says of itself that identifies nobody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Such as `CT`; empty where it is not said.
    pub modality: String,
    /// Photometric interpretation as in the file; pixels of a [`Scan`] are grey or red, green and blue.
    pub photometric: String,
    /// The name of how pixels were stored.
    pub transfer_syntax: String,
    /// Bits of a stored value that mean something.
    pub bits_stored: u8,
    /// Distance of rows and distance of columns, in millimetres.
    pub spacing_mm: Option<[f64; 2]>,
    /// Whether words are drawn into the pixels, where the file says so. They may name the patient.
    pub burned_in: Option<bool>,
}

/// Pixels of one or several frames, and what they mean.
#[derive(Debug, PartialEq)]
pub struct Scan {
    pub(crate) kind: Kind,
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) frames: u32,
    /// 1 or 3.
    pub(crate) samples: u8,
    /// The lowest value is white.
    pub(crate) inverted: bool,
    /// Stored values that stand for no measurement, from the first to the second.
    pub(crate) padding: Option<(i64, i64)>,
    pub(crate) facts: Facts,
    pub(crate) pixels: Samples,
    /// One for all frames, or one for each.
    pub(crate) views: Vec<View>,
    pub(crate) identity: Option<Identity>,
}

/// One frame, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Values of the modality, one per pixel: of a CT, Hounsfield units.
    Grey(Vec<f32>),
    /// Red, green and blue of each pixel.
    Colour(Vec<u8>),
}

/// One frame as a screen shows it, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// 0 is black; one per pixel.
    Grey(Vec<u8>),
    /// Red, green and blue of each pixel.
    Colour(Vec<u8>),
}

impl Scan {
    /// Decodes a file in this process; [`crate::Decoder`] does it in another. The time of the limits is not watched.
    ///
    /// # Errors
    /// [`ImagingError`], a panic in a library's decoder among them.
    pub fn decode(bytes: &[u8], limits: &crate::Limits) -> Result<Self, ImagingError> {
        crate::format::decode(bytes, limits)
    }

    /// What the file was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Pixels in a row.
    #[must_use]
    pub fn columns(&self) -> u32 {
        self.columns
    }

    /// Rows of a frame.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Frames, one at least.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Samples per pixel: 1, or 3 for red, green and blue.
    #[must_use]
    pub fn samples(&self) -> u8 {
        self.samples
    }

    /// What the file says of itself that identifies nobody.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whom it shows, if it is a DICOM file.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The windows that the file proposes for a frame.
    #[must_use]
    pub fn windows(&self, frame: u32) -> &[NamedWindow] {
        self.view(frame).map_or(&[], |view| &view.windows)
    }

    /// Values of a grey frame as they were stored. `None` for colours, and where there is no such frame.
    #[must_use]
    pub fn stored(&self, frame: u32) -> Option<Vec<i64>> {
        if self.samples == 1 { self.range(frame) } else { None }
    }

    /// Values of a frame. `None` where there is no such frame.
    #[must_use]
    pub fn frame(&self, frame: u32) -> Option<Frame> {
        let values = self.range(frame)?;
        if self.samples == 1 {
            let modality = &self.view(frame)?.modality;
            Some(Frame::Grey(values.into_iter().map(|stored| modality.value(stored) as f32).collect()))
        } else {
            Some(Frame::Colour(values.into_iter().map(|value| value as u8).collect()))
        }
    }

    /// A frame as a screen shows it: through the window, or else through the file's table, or its first window, or from
    /// the least to the greatest value of the frame. MONOCHROME1 is inverted, padding is black, and a window does
    /// nothing to colours. `None` where there is no such frame.
    #[must_use]
    pub fn shown(&self, frame: u32, window: Option<Window>) -> Option<Shown> {
        let values = self.range(frame)?;
        if self.samples != 1 {
            return Some(Shown::Colour(values.into_iter().map(|value| value as u8).collect()));
        }
        let view = self.view(frame)?;
        let is_padding = |stored: i64| self.padding.is_some_and(|(from, to)| (from..=to).contains(&stored));
        let greys = |grey: &dyn Fn(f64) -> u8| {
            let grey = |stored: i64| match (is_padding(stored), self.inverted) {
                (true, _) => 0,
                (false, inverted) => grey(view.modality.value(stored)) ^ if inverted { 255 } else { 0 },
            };
            values.iter().map(|stored| grey(*stored)).collect()
        };
        Some(Shown::Grey(match (window, &view.table, view.windows.first()) {
            (Some(window), ..) => greys(&|value| window.grey(value)),
            (None, Some(table), _) => {
                greys(&|value| (f64::from(table.at(value.round() as i64)) / table.most() * 255.0).round() as u8)
            }
            (None, None, Some(named)) => greys(&|value| named.window.grey(value)),
            (None, None, None) => {
                let meant = values.iter().filter(|stored| !is_padding(**stored));
                let meant = meant.map(|stored| view.modality.value(*stored));
                let (least, most) =
                    meant.fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
                match Window::new((least + most) / 2.0, most - least, Function::LinearExact) {
                    Some(window) => greys(&|value| window.grey(value)),
                    // All are the same.
                    None => greys(&|_| 0),
                }
            }
        }))
    }

    fn view(&self, frame: u32) -> Option<&View> {
        let last = self.views.len().checked_sub(1)?;
        self.views.get(last.min(frame as usize)).filter(|_| frame < self.frames)
    }

    fn range(&self, frame: u32) -> Option<Vec<i64>> {
        let size = self.columns as usize * self.rows as usize * usize::from(self.samples);
        (frame < self.frames).then(|| self.pixels.range(frame as usize * size, size))
    }
}
