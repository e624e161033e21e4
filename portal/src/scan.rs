//! From a decoded file to what a page shows and to what a model takes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use datasets::{DataError, LoadOptions, form_scan};
use imaging::{Function, ImagingError, Quantity, Scan, Shown, Window};
use ndarray::Array3;

/// Pixels of one frame: more than any mammogram has.
const FRAME_PIXELS_MAX: u64 = 1 << 25;
/// Pictures of cases that stay in memory, where the site does not keep them.
const RECENT_MAX: usize = 256;
/// And their bytes.
const RECENT_BYTES_MAX: usize = 128 << 20;

/// Which of a file's pixels are meant, and how they are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Look {
    /// From 0.
    pub(crate) frame: u32,
    /// Centre and width in units of the modality; the file's own if absent.
    pub(crate) window: Option<(f64, f64)>,
}

impl Look {
    fn window(self) -> Option<Window> {
        let (centre, width) = self.window?;
        Window::new(centre, width, Function::Linear)
    }
}

/// The frame as a screen shows it; `None` where there is no such frame.
pub(crate) fn shown(scan: &Scan, look: Look) -> Option<Shown> {
    scan.shown(look.frame, look.window())
}

/// The frame as a PNG file.
pub(crate) fn png(scan: &Scan, look: Look) -> Option<Vec<u8>> {
    let (levels, colour) = match shown(scan, look)? {
        Shown::Grey(levels) => (levels, png::ColorType::Grayscale),
        Shown::Colour(levels) => (levels, png::ColorType::Rgb),
    };
    written((scan.columns(), scan.rows()), colour, &levels)
}

/// Bytes of a ciphertext as grey pixels: what a stranger sees.
pub(crate) fn noise_png(sample: &[u8]) -> Option<Vec<u8>> {
    let side = (sample.len() as f64).sqrt() as usize;
    let levels = sample.get(..side * side)?;
    let side = u32::try_from(side).ok().filter(|side| *side > 0)?;
    written((side, side), png::ColorType::Grayscale, levels)
}

fn written((columns, rows): (u32, u32), colour: png::ColorType, levels: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns, rows);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(levels).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

/// The frame in the form of a model's training images; `None` where there is no such frame.
///
/// # Errors
/// [`DataError::Setting`].
pub(crate) fn model_input(scan: &Scan, look: Look, options: &LoadOptions) -> Result<Option<Array3<f32>>, DataError> {
    shown(scan, look).map(|shown| form_scan(scan, &shown, options)).transpose()
}

/// Refuses frames that a browser would not show either, and that would take a gigabyte each time they are drawn.
///
/// # Errors
/// [`ImagingError::TooLarge`].
pub(crate) fn drawable(scan: Scan) -> Result<Scan, ImagingError> {
    let has = u64::from(scan.columns()) * u64::from(scan.rows());
    match has <= FRAME_PIXELS_MAX {
        true => Ok(scan),
        false => Err(ImagingError::TooLarge { quantity: Quantity::Pixels, has, most: FRAME_PIXELS_MAX }),
    }
}

/// Pictures of the newest cases, gone with the process.
#[derive(Default)]
pub(crate) struct Recent {
    all: Mutex<VecDeque<(i64, Arc<Vec<u8>>)>>,
}

impl Recent {
    /// Keeps a picture; the oldest make place.
    pub(crate) fn keep(&self, case: i64, picture: Vec<u8>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back((case, Arc::new(picture)));
        let bytes = |all: &VecDeque<(i64, Arc<Vec<u8>>)>| all.iter().map(|(_, picture)| picture.len()).sum::<usize>();
        while all.len() > RECENT_MAX || (all.len() > 1 && bytes(&all) > RECENT_BYTES_MAX) {
            all.pop_front();
        }
    }

    /// The picture of a case, if it is still here.
    pub(crate) fn of(&self, case: i64) -> Option<Arc<Vec<u8>>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(of, _)| *of == case).map(|(_, picture)| Arc::clone(picture))
    }
}

#[cfg(test)]
mod tests {
    use imaging::Limits;

    use super::*;

    fn scan(columns: u32, rows: u32, levels: &[u8]) -> Scan {
        let bytes = written((columns, rows), png::ColorType::Grayscale, levels).unwrap();
        Scan::decode(&bytes, &Limits::default()).unwrap()
    }

    #[test]
    fn a_picture_reaches_page_and_model_with_the_levels_of_its_file() {
        let levels: Vec<u8> = (0..6).map(|level| level * 50).collect();
        let scan = scan(3, 2, &levels);
        assert_eq!(shown(&scan, Look::default()), Some(Shown::Grey(levels.clone())));
        let again = Scan::decode(&png(&scan, Look::default()).unwrap(), &Limits::default()).unwrap();
        assert_eq!(shown(&again, Look::default()), Some(Shown::Grey(levels.clone())));
        let options = LoadOptions { height: 2, width: 3, channels: 1, mean: 0.5, std: 0.25, ..LoadOptions::default() };
        let input = model_input(&scan, Look::default(), &options).unwrap().unwrap();
        let expected: Vec<f32> = levels.iter().map(|level| (f32::from(*level) / 255.0 - 0.5) / 0.25).collect();
        assert_eq!(input.iter().copied().collect::<Vec<_>>(), expected);
        let beyond = Look { frame: 1, window: None };
        assert!(png(&scan, beyond).is_none() && model_input(&scan, beyond, &options).unwrap().is_none());
    }

    #[test]
    fn a_frame_of_more_pixels_than_a_mammogram_is_refused() {
        let levels = vec![0; 8_192 * 4_096];
        assert!(drawable(scan(8_192, 4_096, &levels)).is_ok());
        let wide = written((8_193, 4_096), png::ColorType::Grayscale, &vec![0; 8_193 * 4_096]).unwrap();
        let refused = drawable(Scan::decode(&wide, &Limits::default()).unwrap());
        assert!(matches!(refused, Err(ImagingError::TooLarge { quantity: Quantity::Pixels, .. })));
    }

    #[test]
    fn a_ciphertext_is_drawn_as_a_square() {
        let drawn = Scan::decode(&noise_png(&[7; 4_100]).unwrap(), &Limits::default()).unwrap();
        assert_eq!((drawn.columns(), drawn.rows()), (64, 64));
        assert!(noise_png(&[]).is_none());
    }

    #[test]
    fn only_the_newest_pictures_stay() {
        let recent = Recent::default();
        for case in 0..=RECENT_MAX as i64 {
            recent.keep(case, vec![1]);
        }
        assert!(recent.of(0).is_none() && recent.of(1).is_some());
        recent.keep(1_000, vec![0; RECENT_BYTES_MAX + 1]);
        assert!(recent.of(1_000).is_some() && recent.of(RECENT_MAX as i64).is_none());
    }
}
