//! Draws a contact sheet of generated angiograms, one row per class: `angiography_sheet FILE.png [SIDE] [plain]`.
//! `plain` leaves out the contrast medium.

use std::error::Error;
use std::path::PathBuf;

use datasets::{AngiographySpec, generate_angiography, write_sheet};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("name the PNG file to write")?);
    let side: usize = arguments.next().map_or(Ok(128), |side| side.parse())?;
    let contrast = arguments.next().is_none_or(|word| word != "plain");
    let spec = AngiographySpec {
        patients_per_hospital: 24,
        height: side,
        width: side,
        contrast,
        ..AngiographySpec::default()
    };
    let data = generate_angiography(&spec)?;
    const COLUMNS: usize = 8;
    let mut chosen = Vec::new();
    for class in 0..data.classes.len() {
        let of_class: Vec<usize> =
            (0..data.train.len()).filter(|&i| usize::from(data.train.labels[i]) == class).collect();
        chosen.extend((0..COLUMNS).map(|column| of_class[column * of_class.len() / COLUMNS]));
    }
    write_sheet(&path, &data.train.select(&chosen), COLUMNS, 128_usize.div_ceil(side), spec.mean, spec.std)?;
    Ok(())
}
