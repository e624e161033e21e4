//! The lossless process (T.81 annex H): each sample is predicted by its neighbours to the left and above.

use super::huffman::{Bits, Codes};
use super::markers::{JpegProblem, Picture, Scan};

/// Decodes a scan into its planes and says where it ends.
pub(super) fn decode(picture: &mut Picture, scan: &Scan, bytes: &[u8], at: usize) -> Result<usize, JpegProblem> {
    let (columns, rows) = (usize::from(picture.header.columns), usize::from(picture.header.rows));
    let restart_rows = picture.tables.restart / columns;
    // Intervals are whole rows (section H.1.1), predictors have numbers from 1 to 7, and some bits have to be left.
    let whole = picture.tables.restart.is_multiple_of(columns);
    if !whole || !(1..=7).contains(&scan.predictor) || scan.shift >= picture.header.bits {
        return Err(JpegProblem::Header);
    }
    let codes = scan.components.iter().map(|(_, dc, _)| picture.tables.dc.get(*dc).and_then(Option::as_ref));
    let codes: Vec<&Codes> = codes.collect::<Option<_>>().ok_or(JpegProblem::Table)?;
    let middle = 1 << (picture.header.bits - scan.shift - 1);
    let mut bits = Bits::new(bytes, at);
    for row in 0..rows {
        let interval = if restart_rows == 0 { row } else { row % restart_rows };
        let is_first = interval == 0;
        if is_first && row > 0 {
            bits.restart(row / restart_rows - 1)?;
        }
        for column in 0..columns {
            for ((plane, ..), codes) in scan.components.iter().zip(&codes) {
                let size = bits.symbol(codes)?;
                let difference = bits.difference(size)?;
                let plane = &mut picture.planes[*plane];
                let here = row * columns + column;
                let prediction = match (is_first, column) {
                    (true, 0) => middle,
                    (true, _) => i32::from(plane[here - 1]),
                    (false, 0) => i32::from(plane[here - columns]),
                    (false, _) => predicted(
                        scan.predictor,
                        [plane[here - 1], plane[here - columns], plane[here - columns - 1]].map(i32::from),
                    ),
                };
                // Modulo 2^16 (section H.1.2.1).
                plane[here] = (prediction + difference) as u16;
            }
        }
    }
    for (plane, ..) in &scan.components {
        picture.planes[*plane].iter_mut().for_each(|sample| *sample <<= scan.shift);
    }
    Ok(bits.place())
}

/// Table H.1: from the sample to the left, the one above, and the one above to the left.
fn predicted(predictor: u8, [left, above, corner]: [i32; 3]) -> i32 {
    match predictor {
        1 => left,
        2 => above,
        3 => corner,
        4 => left + above - corner,
        5 => left + ((above - corner) >> 1),
        6 => above + ((left - corner) >> 1),
        _ => (left + above) >> 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JpegProblem, decode};

    /// Four rows of three samples of 8 bits, with one predictor, a point transform and a number of rows between
    /// restarts, written by prediction from the other side.
    fn written(predictor: u8, shift: u8, restart_rows: usize, samples: &[u16; 12]) -> Vec<u8> {
        let restart = restart_rows * 3;
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xc3, 0, 11, 8, 0, 4, 0, 3, 1, 1, 0x11, 0];
        // Sizes 0 to 16 have codes of five bits.
        bytes.extend([0xff, 0xc4, 0, 2 + 17 + 17, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(0..=16);
        bytes.extend([0xff, 0xdd, 0, 4, 0, restart as u8]);
        bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, predictor, 0, shift]);
        let mut bits = String::new();
        let flush = |bits: &mut String, bytes: &mut Vec<u8>| {
            while !bits.len().is_multiple_of(8) {
                bits.push('1');
            }
            for byte in bits.as_bytes().chunks(8) {
                let byte = u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap();
                bytes.push(byte);
                if byte == 0xff {
                    bytes.push(0);
                }
            }
            bits.clear();
        };
        let value = |row: usize, column: usize| i32::from(samples[3 * row + column] >> shift);
        for (row, column) in (0..4).flat_map(|row| (0..3).map(move |column| (row, column))) {
            let is_first = if restart_rows == 0 { row == 0 } else { row % restart_rows == 0 };
            if is_first && row > 0 && column == 0 {
                flush(&mut bits, &mut bytes);
                bytes.extend([0xff, 0xd0 + (row / restart_rows - 1) as u8 % 8]);
            }
            let prediction = match (is_first, column) {
                (true, 0) => 128 >> shift,
                (true, _) => value(row, column - 1),
                (false, 0) => value(row - 1, 0),
                (false, _) => {
                    let (a, b) = (value(row, column - 1), value(row - 1, column));
                    let c = value(row - 1, column - 1);
                    match predictor {
                        1 => a,
                        2 => b,
                        3 => c,
                        4 => a + b - c,
                        5 => a + (b - c).div_euclid(2),
                        6 => b + (a - c).div_euclid(2),
                        _ => (a + b) / 2,
                    }
                }
            };
            let difference = value(row, column) - prediction;
            let size = 32 - difference.unsigned_abs().leading_zeros();
            bits += &format!("{size:05b}");
            if size > 0 {
                let low = if difference < 0 { difference + (1 << size) - 1 } else { difference };
                bits += &format!("{low:0width$b}", width = size as usize);
            }
        }
        flush(&mut bits, &mut bytes);
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    const SAMPLES: [u16; 12] = [0, 255, 10, 12, 240, 3, 77, 76, 75, 200, 1, 254];

    #[test]
    fn every_predictor_shift_and_restart_gives_the_samples_back() {
        for (predictor, shift, rows) in (1..=7).flat_map(|p| [(p, 0, 0), (p, 0, 2), (p, 0, 1), (p, 2, 0), (p, 2, 2)]) {
            let samples = decode(&written(predictor, shift, rows, &SAMPLES)).unwrap();
            let expected = SAMPLES.map(|sample| sample >> shift << shift);
            assert_eq!(samples, expected, "predictor {predictor}, shift {shift}, restart after {rows} rows");
        }
    }

    #[test]
    fn every_cut_is_refused() {
        let whole = written(4, 0, 2, &SAMPLES);
        // Without its end mark nothing is lost.
        assert_eq!(decode(&whole[..whole.len() - 2]).unwrap(), SAMPLES);
        for length in 0..whole.len() - 2 {
            assert!(decode(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_does_not_begin_like_a_picture_is_none() {
        let mut other = written(1, 0, 0, &SAMPLES);
        other[0] = b'G';
        assert!(matches!(decode(&other), Err(JpegProblem::Marker)));
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        assert!(decode(&written(0, 0, 0, &SAMPLES)).is_err());
        assert!(decode(&written(8, 0, 0, &SAMPLES)).is_err());
        let restarts = |bytes: &[u8]| bytes.windows(2).position(|marker| marker == [0xff, 0xdd]).unwrap() + 5;
        let mut within_a_row = written(1, 0, 0, &SAMPLES);
        let place = restarts(&within_a_row);
        within_a_row[place] = 2;
        assert!(matches!(decode(&within_a_row), Err(JpegProblem::Header)));
        let mut factors = written(1, 0, 0, &SAMPLES);
        factors[13] = 0x01;
        assert!(matches!(decode(&factors), Err(JpegProblem::Header)));
        let mut two = written(1, 0, 0, &SAMPLES);
        two[11] = 2;
        assert!(matches!(decode(&two), Err(JpegProblem::Header)));
        let mut again = written(1, 0, 0, &SAMPLES);
        let scan = again.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
        let repeated = again[scan..again.len() - 2].to_vec();
        let end = again.len() - 2;
        again.splice(end..end, repeated);
        assert!(matches!(decode(&again), Err(JpegProblem::Header)));
        let mut shifted = written(1, 0, 0, &SAMPLES);
        let scan = shifted.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
        shifted[scan + 9] = 8;
        assert!(matches!(decode(&shifted), Err(JpegProblem::Header)));
        let mut twice = written(1, 0, 0, &SAMPLES);
        let frame = twice[2..15].to_vec();
        twice.splice(15..15, frame);
        assert!(decode(&twice).is_err());
    }
}
