//! Draws a contact sheet of generated images, one row per class: `sheet FILE.png phantom [SIDE] [DIFFICULTY]` or `sheet
//! FILE.png angiography [SIDE] [plain]`, `plain` without contrast medium.

use std::error::Error;
use std::path::PathBuf;

use datasets::{AngiographySpec, Generator, PhantomSpec, write_sheet};

const COLUMNS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("name the PNG file to write")?);
    let what = arguments.next();
    let side: usize = arguments.next().map_or(Ok(128), |side| side.parse())?;
    let last = arguments.next();
    let (generator, mean, std) = match what.as_deref() {
        Some("phantom") => {
            let difficulty: f64 = last.map_or(Ok(0.5), |difficulty| difficulty.parse())?;
            let spec = PhantomSpec { height: side, width: side, difficulty, ..PhantomSpec::default() };
            let (mean, std) = (spec.mean, spec.std);
            (Generator::Phantom(spec), mean, std)
        }
        Some("angiography") => {
            let contrast = last.is_none_or(|word| word != "plain");
            let spec = AngiographySpec { height: side, width: side, contrast, ..AngiographySpec::default() };
            let (mean, std) = (spec.mean, spec.std);
            (Generator::Angiography(AngiographySpec { patients_per_hospital: 24, ..spec }), mean, std)
        }
        _ => return Err("name what is drawn: phantom or angiography".into()),
    };
    let data = generator.draw()?;
    let mut chosen = Vec::new();
    for class in 0..data.classes.len() {
        let of_class: Vec<usize> =
            (0..data.train.len()).filter(|&i| usize::from(data.train.labels[i]) == class).collect();
        chosen.extend((0..COLUMNS).map(|column| of_class[column * of_class.len() / COLUMNS]));
    }
    write_sheet(&path, &data.train.select(&chosen), COLUMNS, 128_usize.div_ceil(side), mean, std)?;
    Ok(())
}
