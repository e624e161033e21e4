//! Sequential processes with the cosine transform (T.81 annexes A and F), of 8 or 12 bits.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::huffman::{Bits, Codes};
use super::markers::{JpegProblem, Picture, Scan};

/// Where the coefficients stand, in the order of the file (figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// What one component of a scan is decoded by.
struct Component<'a> {
    plane: usize,
    /// Its blocks in a unit of the scan.
    across: usize,
    down: usize,
    dc: &'a Codes,
    ac: &'a Codes,
    quantisers: [u16; 64],
}

/// Decodes a scan into its planes, if there are any, and says where it ends.
pub(super) fn decode(picture: &mut Picture, scan: &Scan, bytes: &[u8], at: usize) -> Result<usize, JpegProblem> {
    let mut planes = std::mem::take(&mut picture.planes);
    let (columns, rows) = (usize::from(picture.header.columns), usize::from(picture.header.rows));
    let is_alone = scan.components.len() == 1;
    let mut components = Vec::new();
    for (plane, dc, ac) in &scan.components {
        let dc = picture.tables.dc.get(*dc).and_then(Option::as_ref).ok_or(JpegProblem::Table)?;
        let ac = picture.tables.ac.get(*ac).and_then(Option::as_ref).ok_or(JpegProblem::Table)?;
        let sampled = &picture.header.components[*plane];
        let (across, down) = if is_alone { (1, 1) } else { (sampled.across, sampled.down) };
        components.push(Component { plane: *plane, across, down, dc, ac, quantisers: picture.quantisers(*plane)? });
    }
    let (units_across, units_down) = units(picture, scan);
    let cosines = cosines();
    let (middle, most) = (f64::from(1_u32 << (picture.header.bits - 1)), f64::from((1_u32 << picture.header.bits) - 1));
    let mut bits = Bits::new(bytes, at);
    let mut before = vec![0; components.len()];
    for unit in 0..units_across * units_down {
        let restart = picture.tables.restart;
        if restart > 0 && unit > 0 && unit.is_multiple_of(restart) {
            bits.restart(unit / restart - 1)?;
            before.fill(0);
        }
        for (component, before) in components.iter().zip(&mut before) {
            for _ in 0..component.across * component.down {
                let block = coefficients(&mut bits, component, before)?;
                // What is drawn has one block of each component in a unit.
                let Some(plane) = planes.get_mut(component.plane) else { continue };
                let (left, top) = (unit % units_across * 8, unit / units_across * 8);
                for (place, sample) in samples(&block, &cosines).iter().enumerate() {
                    let (column, row) = (left + place % 8, top + place / 8);
                    if column < columns && row < rows {
                        plane[row * columns + column] = (sample + middle).round().clamp(0.0, most) as u16;
                    }
                }
            }
        }
    }
    picture.planes = planes;
    Ok(bits.place())
}

/// How many units a scan has across and down (section A.2): blocks of its only component, or of all in turn.
fn units(picture: &Picture, scan: &Scan) -> (usize, usize) {
    let (columns, rows) = (usize::from(picture.header.columns), usize::from(picture.header.rows));
    let (across, down) = picture.header.factors();
    match scan.components.as_slice() {
        [(plane, ..)] => {
            let component = &picture.header.components[*plane];
            let size = |pixels: usize, own: usize, most: usize| (pixels * own).div_ceil(most).div_ceil(8);
            (size(columns, component.across, across), size(rows, component.down, down))
        }
        _ => (columns.div_ceil(8 * across), rows.div_ceil(8 * down)),
    }
}

/// Section F.2.2, with quantisers multiplied in.
fn coefficients(bits: &mut Bits, component: &Component, before: &mut i32) -> Result<[f64; 64], JpegProblem> {
    let mut block = [0.0; 64];
    let size = bits.symbol(component.dc)?;
    *before = before.wrapping_add(bits.difference(size)?);
    block[0] = f64::from(*before) * f64::from(component.quantisers[0]);
    let mut place = 1;
    while place < 64 {
        let symbol = bits.symbol(component.ac)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => place += 16,
            (_, 0) => break,
            (zeros, size) => {
                place += usize::from(zeros);
                let target = *ZIGZAG.get(place).ok_or(JpegProblem::Codes)?;
                let quantiser = f64::from(component.quantisers[place]);
                block[usize::from(target)] = f64::from(bits.difference(size)?) * quantiser;
                place += 1;
            }
        }
    }
    Ok(block)
}

/// `cosines[x][u]`: `C(u) / 2 cos((2 x + 1) u pi / 16)` of section A.3.3.
fn cosines() -> [[f64; 8]; 8] {
    let scale = |frequency: usize| if frequency == 0 { FRAC_1_SQRT_2 / 2.0 } else { 0.5 };
    std::array::from_fn(|place| {
        std::array::from_fn(|frequency| {
            scale(frequency) * ((2 * place + 1) as f64 * frequency as f64 * PI / 16.0).cos()
        })
    })
}

/// The inverse cosine transform, of columns and then of rows.
fn samples(block: &[f64; 64], cosines: &[[f64; 8]; 8]) -> [f64; 64] {
    let dot = |weights: &[f64; 8], value: &dyn Fn(usize) -> f64| -> f64 {
        weights.iter().enumerate().map(|(place, weight)| weight * value(place)).sum()
    };
    let half: [f64; 64] = std::array::from_fn(|at| dot(&cosines[at / 8], &|row| block[8 * row + at % 8]));
    std::array::from_fn(|at| dot(&cosines[at % 8], &|column| half[at / 8 * 8 + column]))
}

#[cfg(test)]
mod tests {
    use super::super::{check, decode};
    use super::{FRAC_1_SQRT_2, JpegProblem, PI, ZIGZAG, cosines, samples};

    /// A picture of flat blocks: components by their factors, the scans, blocks of each scan by the difference of their
    /// level and that before it, which is below 16 and needs four bits, and after how many units a restart follows.
    fn written(bits: u8, size: [u8; 2], factors: &[u8], scans: &[(&[u8], &[u8])], restart: usize) -> Vec<u8> {
        let count = factors.len() as u8;
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xc1, 0, 8 + 3 * count, bits, 0, size[1], 0, size[0], count];
        (1..).zip(factors).for_each(|(name, factors): (u8, _)| bytes.extend([name, *factors, 0]));
        bytes.extend([0xff, 0xdb, 0, 67, 0]);
        bytes.extend([8; 64]);
        // One code in each table: four bits of difference, and the end of a block.
        for (class, symbol) in [(0, 4), (0x10, 0)] {
            bytes.extend([0xff, 0xc4, 0, 20, class, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, symbol]);
        }
        bytes.extend([0xff, 0xdd, 0, 4, 0, restart as u8]);
        for (components, levels) in scans {
            let count = components.len() as u8;
            bytes.extend([0xff, 0xda, 0, 6 + 2 * count, count]);
            components.iter().for_each(|name| bytes.extend([*name, 0]));
            bytes.extend([0, 63, 0]);
            for (interval, levels) in levels.chunks(if restart == 0 { levels.len() } else { restart }).enumerate() {
                if interval > 0 {
                    bytes.extend([0xff, 0xd0 + (interval as u8 - 1) % 8]);
                }
                let mut coded: String = levels.iter().map(|level| format!("0{level:04b}0")).collect();
                while !coded.len().is_multiple_of(8) {
                    coded.push('1');
                }
                let coded = coded.as_bytes().chunks(8).map(|byte| std::str::from_utf8(byte).unwrap());
                bytes.extend(coded.map(|byte| u8::from_str_radix(byte, 2).unwrap()));
            }
        }
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    #[test]
    fn levels_are_counted_from_the_last_block_or_restart() {
        // Quantisers of 8 make one step of a level one grey.
        let row = |restart, bits| decode(&written(bits, [17, 1], &[0x11], &[(&[1], &[8, 9, 10])], restart)).unwrap();
        let levels = |samples: Vec<u16>| [samples[0], samples[8], samples[16]];
        assert_eq!(levels(row(0, 8)), [136, 145, 155]);
        assert_eq!(levels(row(1, 8)), [136, 137, 138]);
        assert_eq!(levels(row(2, 12)), [2056, 2065, 2058]);
    }

    #[test]
    fn every_block_of_subsampled_components_has_to_be_there() {
        let check = |scans: &[(&[u8], &[u8])]| check(&written(8, [17, 9], &[0x22, 0x11, 0x11], scans, 0));
        // Two units of four blocks and two; or three by two blocks, and two twice.
        assert!(check(&[(&[1, 2, 3], &[8; 12])]).is_ok());
        assert!(check(&[(&[1], &[8; 6]), (&[2], &[8; 2]), (&[3], &[8; 2])]).is_ok());
        assert!(matches!(check(&[(&[1, 2, 3], &[8; 10])]), Err(JpegProblem::Ends)));
        assert!(matches!(check(&[(&[1], &[8; 4]), (&[2], &[8; 2]), (&[3], &[8; 2])]), Err(JpegProblem::Ends)));
        assert!(matches!(check(&[(&[1], &[8; 6]), (&[2], &[8; 2])]), Err(JpegProblem::Ends)));
        let drawn = decode(&written(8, [17, 9], &[0x22, 0x11, 0x11], &[(&[1, 2, 3], &[8; 12])], 0));
        assert!(matches!(drawn, Err(JpegProblem::Subsampled)));
    }

    #[test]
    fn one_coefficient_is_one_wave() {
        let mut block = [0.0; 64];
        block[0] = 80.0;
        assert!(samples(&block, &cosines()).iter().all(|sample| (sample - 10.0).abs() < 1e-9));
        block[0] = 0.0;
        block[1] = 80.0;
        // 80 / 4 / sqrt(2) cos((2 x + 1) pi / 16) along a row, the same in every row.
        let wave = samples(&block, &cosines());
        let expected = |x: f64| 20.0 * FRAC_1_SQRT_2 * ((2.0 * x + 1.0) * PI / 16.0).cos();
        assert!((0..64).all(|at| (wave[at] - expected((at % 8) as f64)).abs() < 1e-9));
    }

    #[test]
    fn the_zigzag_visits_every_place_once() {
        let mut places = ZIGZAG;
        places.sort_unstable();
        assert!(places.iter().enumerate().all(|(at, place)| at == usize::from(*place)));
    }
}
