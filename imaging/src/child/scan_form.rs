//! A scan as bytes: everything but its pixels, which follow as they are.

use super::wire::{Reading, Words};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::lookup::Lookup;
use crate::samples::{Samples, Width};
use crate::scan::{Facts, Kind, Scan};
use crate::view::{Modality, View};
use crate::window::{Function, NamedWindow, Window};

/// All of a scan but its pixels.
pub(super) fn write(scan: &Scan) -> Vec<u8> {
    let mut words = Words::default();
    words.u8(scan.kind as u8);
    for word in [scan.columns, scan.rows, scan.frames] {
        words.u32(word);
    }
    let forms = [scan.samples, scan.pixels.width() as u8, scan.pixels.is_signed().into(), scan.inverted.into()];
    for form in forms {
        words.u8(form);
    }
    words.u8(scan.padding.is_some().into());
    if let Some((from, to)) = scan.padding {
        for value in [from, to] {
            words.u64(value as u64);
        }
    }
    let facts = &scan.facts;
    for text in [&facts.modality, &facts.photometric, &facts.transfer_syntax] {
        words.text(text);
    }
    words.u8(facts.bits_stored);
    words.u8(facts.spacing_mm.is_some().into());
    facts.spacing_mm.into_iter().flatten().for_each(|spacing| words.f64(spacing));
    words.u8(facts.burned_in.is_some().into());
    facts.burned_in.into_iter().for_each(|burned_in| words.u8(burned_in.into()));
    words.u8(scan.identity.is_some().into());
    if let Some(Identity { patient_id, patient_name, study_uid, series_uid, instance_uid, accession }) = &scan.identity
    {
        for text in [patient_id, patient_name, study_uid, series_uid, instance_uid, accession] {
            words.text(text);
        }
    }
    words.u32(scan.views.len() as u32);
    for View { modality, table, windows } in &scan.views {
        words.u8(matches!(modality, Modality::Table(_)).into());
        match modality {
            Modality::Rescale { slope, intercept } => [*slope, *intercept].iter().for_each(|word| words.f64(*word)),
            Modality::Table(table) => words.table(table),
        }
        words.u8(table.is_some().into());
        table.iter().for_each(|table| words.table(table));
        // There are sixteen at most.
        words.u8(windows.len() as u8);
        for NamedWindow { window, explanation } in windows {
            for word in [window.centre(), window.width()] {
                words.f64(word);
            }
            words.u8(window.function() as u8);
            words.text(explanation);
        }
    }
    words.0
}

/// The scan of such bytes and its pixels, or where they stop making sense.
pub(super) fn read(head: &[u8], pixels: Vec<u8>, limits: &Limits) -> Result<Scan, u64> {
    Reading::whole(head, |from| from.scan(pixels, limits))
}

impl Words {
    fn table(&mut self, table: &Lookup) {
        self.u64(table.first as u64);
        self.u8(table.bits);
        self.u32(table.entries.len() as u32);
        table.entries.iter().for_each(|entry| self.0.extend(entry.to_le_bytes()));
    }
}

impl Reading<'_> {
    fn table(&mut self) -> Option<Lookup> {
        let (first, bits, count) = (self.u64()? as i64, self.u8()?, self.u32()? as usize);
        if !(1..=16).contains(&bits) || !(1..=1 << 16).contains(&count) {
            return None;
        }
        let entries = self.take(2 * count)?.as_chunks().0.iter().map(|entry| u16::from_le_bytes(*entry));
        Some(Lookup { first, entries: entries.collect(), bits })
    }

    fn window(&mut self) -> Option<NamedWindow> {
        let (centre, width, function) = (self.f64()?, self.f64()?, Function::numbered(self.u8()?)?);
        Some(NamedWindow { window: Window::new(centre, width, function)?, explanation: self.text()? })
    }

    fn view(&mut self) -> Option<View> {
        let modality = match self.flag()? {
            false => Modality::Rescale { slope: self.f64()?, intercept: self.f64()? },
            true => Modality::Table(self.table()?),
        };
        let table = if self.flag()? { Some(self.table()?) } else { None };
        let windows = (0..self.u8()?).map(|_| self.window()).collect::<Option<_>>()?;
        Some(View { modality, table, windows })
    }

    fn scan(&mut self, bytes: Vec<u8>, limits: &Limits) -> Option<Scan> {
        let kind = Kind::numbered(self.u8()?)?;
        let (columns, rows, frames) = (self.u32()?, self.u32()?, self.u32()?);
        let samples = self.u8().filter(|samples| matches!(samples, 1 | 3))?;
        let (width, signed, inverted) = (Width::numbered(self.u8()?)?, self.flag()?, self.flag()?);
        let padding = if self.flag()? { Some((self.u64()? as i64, self.u64()? as i64)) } else { None };
        let pixels = u64::from(columns).checked_mul(rows.into())?.checked_mul(frames.into())?;
        let expected = pixels.checked_mul(u64::from(samples))?.checked_mul(width as u64)?;
        let is_allowed = pixels > 0 && pixels <= limits.pixels_max && frames <= limits.frames_max;
        if !is_allowed || bytes.len() as u64 != expected || samples == 3 && (signed, width) != (false, Width::One) {
            return None;
        }
        let facts = Facts {
            modality: self.text()?,
            photometric: self.text()?,
            transfer_syntax: self.text()?,
            bits_stored: self.u8()?,
            spacing_mm: if self.flag()? { Some([self.f64()?, self.f64()?]) } else { None },
            burned_in: if self.flag()? { Some(self.flag()?) } else { None },
        };
        let identity = match self.flag()? {
            false => None,
            true => Some(Identity {
                patient_id: self.text()?,
                patient_name: self.text()?,
                study_uid: self.text()?,
                series_uid: self.text()?,
                instance_uid: self.text()?,
                accession: self.text()?,
            }),
        };
        let count = self.u32().filter(|count| *count == 1 || *count == frames)?;
        let views = (0..count).map(|_| self.view()).collect::<Option<_>>()?;
        let pixels = Samples::new(bytes, width, signed);
        Some(Scan { kind, columns, rows, frames, samples, inverted, padding, facts, pixels, views, identity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Scan {
        let table = |first| Lookup { first, entries: vec![1, 65_535, 3], bits: 12 };
        let window = Window::new(40.5, 80.0, Function::Sigmoid).unwrap();
        let named = NamedWindow { window, explanation: "BRAIN".to_owned() };
        Scan {
            kind: Kind::Dicom,
            columns: 2,
            rows: 1,
            frames: 2,
            samples: 1,
            inverted: true,
            padding: Some((-5, 7)),
            facts: Facts {
                modality: "CT".to_owned(),
                photometric: "MONOCHROME1".to_owned(),
                transfer_syntax: "RLE Lossless".to_owned(),
                bits_stored: 12,
                spacing_mm: Some([0.5, 0.25]),
                burned_in: Some(true),
            },
            pixels: Samples::new(vec![1, 2, 3, 4, 5, 6, 7, 8], Width::Two, true),
            views: vec![
                View {
                    modality: Modality::Table(table(-3)),
                    table: Some(table(9)),
                    windows: vec![named.clone(), named],
                },
                View { modality: Modality::Rescale { slope: 2.0, intercept: -1024.0 }, table: None, windows: vec![] },
            ],
            identity: Some(Identity { patient_name: "Doe^J\u{e9}".to_owned(), ..Identity::default() }),
        }
    }

    #[test]
    fn scans_come_back_whole_and_no_part_of_one_does() {
        let (scan, limits) = (full(), Limits::default());
        let head = write(&scan);
        let pixels = scan.pixels.bytes().to_vec();
        assert_eq!(read(&head, pixels.clone(), &limits), Ok(scan));
        for length in 0..head.len() {
            assert!(read(&head[..length], pixels.clone(), &limits).is_err(), "{length} bytes");
        }
        assert!(read(&[head.as_slice(), &[0]].concat(), pixels.clone(), &limits).is_err());
        assert!(read(&head, pixels[1..].to_vec(), &limits).is_err());
        assert!(read(&head, pixels.clone(), &Limits { frames_max: 1, ..limits }).is_err());
        assert!(read(&head, pixels.clone(), &Limits { pixels_max: 3, ..limits }).is_err());
    }

    #[test]
    fn scans_that_cannot_be_are_refused() {
        let refused = |change: fn(&mut Scan)| {
            let mut scan = full();
            change(&mut scan);
            read(&write(&scan), scan.pixels.bytes().to_vec(), &Limits::default()).is_err()
        };
        assert!(!refused(|_| {}));
        assert!(refused(|scan| (scan.columns, scan.pixels) = (0, Samples::new(Vec::new(), Width::Two, true))));
        assert!(refused(|scan| (scan.samples, scan.pixels) = (3, Samples::new(vec![0; 24], Width::Two, false))));
        assert!(refused(|scan| (scan.samples, scan.pixels) = (3, Samples::new(vec![0; 12], Width::One, true))));
        assert!(refused(|scan| scan.views.push(scan.views[1].clone())));
        assert!(refused(|scan| scan.views.clear()));
        let table = |bits, entries| Some(Lookup { first: 0, entries: vec![0; entries], bits });
        assert!(!refused(|scan| scan.views[0].table = Some(Lookup { first: 0, entries: vec![0; 1 << 16], bits: 16 })));
        for (bits, entries) in [(0, 1), (17, 1), (16, 0), (16, (1 << 16) + 1)] {
            let mut scan = full();
            scan.views[0].table = table(bits, entries);
            assert!(read(&write(&scan), scan.pixels.bytes().to_vec(), &Limits::default()).is_err(), "{bits} {entries}");
        }
    }

    #[test]
    fn damaged_scans_are_read_or_refused_and_shown_without_a_panic() {
        let (scan, limits) = (full(), Limits::default());
        let head = write(&scan);
        for place in 0..head.len() {
            for value in [0, 1, 2, 3, 4, 127, 128, 255] {
                let mut damaged = head.clone();
                damaged[place] = value;
                if let Ok(read) = read(&damaged, scan.pixels.bytes().to_vec(), &limits) {
                    let frames = 0..=read.frames();
                    frames.for_each(|frame| drop((read.shown(frame, None), read.frame(frame), read.stored(frame))));
                }
            }
        }
    }
}
