//! Every kind of PNG and JPEG gives the levels that another library of formats gives.

use std::io::Cursor;
use std::path::Path;

use datasets::{DataError, LoadOptions, read_picture};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageReader};
use png::{BitDepth, ColorType, Encoder};
use tempfile::TempDir;

const SIDE: u32 = 9;

/// Our levels of a file, three channels without any scaling.
fn ours(path: &Path) -> Vec<f32> {
    let side = SIDE as usize;
    let options = LoadOptions { channels: 3, height: side, width: side, mean: 0.0, std: 1.0, ..LoadOptions::default() };
    read_picture(path, &options).unwrap().into_iter().collect()
}

/// The other library's levels, channel after channel, transparency dropped.
fn theirs(bytes: &[u8]) -> Vec<f32> {
    let decoded = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap().decode().unwrap();
    let pixels: Vec<f32> = match decoded {
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_) => {
            decoded.into_rgb16().iter().map(|&level| f32::from(level) / 65535.0).collect()
        }
        _ => decoded.into_rgb8().iter().map(|&level| f32::from(level) / 255.0).collect(),
    };
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied().collect::<Vec<_>>()).collect()
}

fn samples(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index * 37 + index / 5) as u8).collect()
}

fn agree(name: &str, bytes: &[u8]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture");
    std::fs::write(&path, bytes).unwrap();
    let (ours, theirs) = (ours(&path), theirs(bytes));
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let off = ours.iter().zip(&theirs).filter(|(a, b)| (**a - **b).abs() > 1e-6).count();
    assert_eq!(off, 0, "{name}: {off} of {} levels differ", ours.len());
}

#[test]
fn every_kind_of_png_is_read() {
    let kinds = [
        (
            ColorType::Grayscale,
            [BitDepth::One, BitDepth::Two, BitDepth::Four, BitDepth::Eight, BitDepth::Sixteen].as_slice(),
        ),
        (ColorType::GrayscaleAlpha, &[BitDepth::Eight, BitDepth::Sixteen]),
        (ColorType::Rgb, &[BitDepth::Eight, BitDepth::Sixteen]),
        (ColorType::Rgba, &[BitDepth::Eight, BitDepth::Sixteen]),
        (ColorType::Indexed, &[BitDepth::Two, BitDepth::Eight]),
    ];
    for (color, depths) in kinds {
        for &depth in depths {
            for transparent in [false, true] {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, SIDE, SIDE);
                encoder.set_color(color);
                encoder.set_depth(depth);
                let clear = transparent && matches!(color, ColorType::Grayscale | ColorType::Rgb | ColorType::Indexed);
                if color == ColorType::Indexed {
                    encoder.set_palette(samples(3 << depth as usize));
                }
                if clear {
                    encoder.set_trns(match color {
                        ColorType::Indexed => vec![0, 128, 255],
                        ColorType::Rgb => vec![0, 1, 0, 2, 0, 3],
                        _ => vec![0, 1],
                    });
                }
                let row = (SIDE as usize * color.samples() * depth as usize).div_ceil(8);
                encoder.write_header().unwrap().write_image_data(&samples(row * SIDE as usize)).unwrap();
                agree(&format!("{color:?} {depth:?} transparent {clear}"), &bytes);
            }
        }
    }
}

#[test]
fn grey_and_colour_jpeg_are_read() {
    for (color, channels) in [(ExtendedColorType::L8, 1), (ExtendedColorType::Rgb8, 3)] {
        let mut bytes = Vec::new();
        let pixels = samples(channels * (SIDE * SIDE) as usize);
        JpegEncoder::new_with_quality(&mut bytes, 90).encode(&pixels, SIDE, SIDE, color).unwrap();
        agree(&format!("{color:?}"), &bytes);
    }
}

#[test]
fn a_picture_of_another_format_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("picture.png");
    for bytes in [&b"GIF89a"[..], b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"] {
        std::fs::write(&path, bytes).unwrap();
        let refused = read_picture(&path, &LoadOptions::default()).unwrap_err();
        assert!(matches!(&refused, DataError::NotAnImage { path: named, .. } if *named == path), "{refused}");
    }
}

/// DICOM files as a screen shows them: one image in several transfer syntaxes has the same levels.
#[test]
fn dicom_files_are_read_as_a_screen_shows_them() {
    let Some(data) = std::env::var_os("CONSILIUM_TEST_DATA") else {
        println!("skipped: CONSILIUM_TEST_DATA names no folder");
        return;
    };
    let folder = std::path::Path::new(&data).join("dicom");
    let options =
        |side| LoadOptions { height: side, width: side, channels: 1, mean: 0.0, std: 1.0, ..LoadOptions::default() };
    let with_meta = read_picture(&folder.join("CT_small.dcm"), &options(128)).unwrap();
    assert_eq!(with_meta, read_picture(&folder.join("no_meta.dcm"), &options(128)).unwrap(), "known by its name");
    let levels: Vec<f32> = with_meta.iter().copied().collect();
    let (least, most) =
        levels.iter().fold((1.0f32, 0.0f32), |(least, most), level| (least.min(*level), most.max(*level)));
    assert!(least == 0.0 && most == 1.0, "{least} {most}: from the least to the greatest value");
    let same = ["MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"];
    let read = same.map(|name| read_picture(&folder.join(name), &options(64)).unwrap());
    assert!(read.iter().all(|other| *other == read[0]) && read[0].iter().any(|level| *level > 0.5));
    let several = read_picture(&folder.join("emri_small.dcm"), &options(64)).unwrap_err();
    assert!(matches!(several, DataError::Frames { frames: 10, .. }), "{several}");
    let torn = TempDir::new().unwrap();
    let bytes = std::fs::read(folder.join("CT_small.dcm")).unwrap();
    let path = torn.path().join("torn.png");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let refused = read_picture(&path, &options(64)).unwrap_err();
    assert!(matches!(refused, DataError::NotAScan { .. }), "by its preamble, whatever its name: {refused}");
}
