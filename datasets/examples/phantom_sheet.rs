//! Draws a contact sheet of phantoms, one row per class: `phantom_sheet FILE.png [SIDE] [DIFFICULTY]`.

use std::error::Error;
use std::path::PathBuf;

use datasets::{PhantomSpec, generate, write_sheet};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("name the PNG file to write")?);
    let side: usize = arguments.next().map_or(Ok(128), |side| side.parse())?;
    let difficulty: f64 = arguments.next().map_or(Ok(0.5), |difficulty| difficulty.parse())?;
    let spec = PhantomSpec { height: side, width: side, difficulty, ..PhantomSpec::default() };
    let data = generate(&spec)?;
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
