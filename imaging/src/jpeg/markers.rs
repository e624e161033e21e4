//! Marker segments (T.81 annex B): what stands before and between the scans.

use super::huffman::Codes;
use super::{blocks, lossless};

/// Why bytes are no picture of these processes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JpegProblem {
    #[error("it ends early")]
    Ends,
    #[error("no marker stands where one belongs")]
    Marker,
    #[error("process {0:#04x} is not supported")]
    Process(u8),
    #[error("a frame or scan header contradicts itself")]
    Header,
    #[error("{0} bits per sample")]
    Precision(u8),
    #[error("components of different sizes are not supported")]
    Subsampled,
    #[error("a scan names a table that is not there")]
    Table,
    #[error("a code stands for nothing")]
    Codes,
    #[error("a restart marker is missing")]
    Restart,
}

/// What a frame header says.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// The low half of its marker: 0 and 1 are sequential, 3 is lossless.
    pub(crate) process: u8,
    pub(crate) bits: u8,
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    pub(super) components: Vec<Component>,
}

/// A component of a frame.
#[derive(Clone, Debug)]
pub(super) struct Component {
    name: u8,
    /// Sampling factors, from 1 to 4.
    pub(super) across: usize,
    pub(super) down: usize,
    /// The number of its table.
    quantisers: u8,
}

/// Tables, which segments may replace between scans.
#[derive(Default)]
pub(super) struct Tables {
    /// Quantisers in the order of the file, which is that of the zigzag.
    pub(super) quantisers: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Codes>; 4],
    pub(super) ac: [Option<Codes>; 4],
    /// Units between restarts, or 0.
    pub(super) restart: usize,
}

/// What a scan header says.
pub(super) struct Scan {
    /// Place among the frame's components, table of DC codes, table of AC codes.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// The predictor, of a lossless scan.
    pub(super) predictor: u8,
    /// The point transform, of a lossless scan.
    pub(super) shift: u8,
}

/// One plane per component, and what they are read by.
pub(super) struct Picture {
    pub(super) header: Header,
    pub(super) tables: Tables,
    /// Empty where only codes are read.
    pub(super) planes: Vec<Vec<u16>>,
}

struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    /// Past the mark that every picture begins with.
    fn begin(bytes: &'a [u8]) -> Result<Self, JpegProblem> {
        let start = [0xff, 0xd8];
        bytes.starts_with(&start).then_some(Self { bytes, at: start.len() }).ok_or(JpegProblem::Marker)
    }

    /// The next marker, past bytes that fill.
    fn marker(&mut self) -> Result<u8, JpegProblem> {
        if self.bytes.get(self.at) != Some(&0xff) {
            return Err(if self.at < self.bytes.len() { JpegProblem::Marker } else { JpegProblem::Ends });
        }
        while self.bytes.get(self.at) == Some(&0xff) {
            self.at += 1;
        }
        let marker = *self.bytes.get(self.at).ok_or(JpegProblem::Ends)?;
        self.at += 1;
        Ok(marker)
    }

    fn segment(&mut self) -> Result<&'a [u8], JpegProblem> {
        let length = self.bytes.get(self.at..).and_then(word).ok_or(JpegProblem::Ends)?;
        let segment = self.bytes.get(self.at + 2..self.at + usize::from(length)).ok_or(JpegProblem::Ends)?;
        self.at += usize::from(length);
        Ok(segment)
    }
}

/// Two bytes, the upper one first.
fn word(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|bytes| u16::from_le_bytes(*bytes).swap_bytes())
}

impl Header {
    /// The first frame header, and nothing else.
    pub(crate) fn find(bytes: &[u8]) -> Result<Self, JpegProblem> {
        let mut segments = Segments::begin(bytes)?;
        loop {
            let marker = segments.marker()?;
            let segment = segments.segment()?;
            if is_frame(marker) {
                return Self::read(marker, segment);
            }
        }
    }

    /// Components of a pixel.
    pub(crate) fn samples(&self) -> usize {
        self.components.len()
    }

    fn read(marker: u8, segment: &[u8]) -> Result<Self, JpegProblem> {
        let [bits, rest @ ..] = segment else { return Err(JpegProblem::Header) };
        let (rows, columns) = (word(rest), rest.get(2..).and_then(word));
        let (Some(rows @ 1..), Some(columns @ 1..)) = (rows, columns) else { return Err(JpegProblem::Header) };
        let [_, _, _, _, count @ 1..=4, rest @ ..] = rest else { return Err(JpegProblem::Header) };
        let listed = rest.as_chunks::<3>().0;
        if listed.len() != usize::from(*count) {
            return Err(JpegProblem::Header);
        }
        let component = |[name, factors, quantisers]: &[u8; 3]| {
            let [across, down] = [factors >> 4, factors & 15].map(usize::from);
            let is_allowed = (1..=4).contains(&across) && (1..=4).contains(&down);
            is_allowed.then_some(Component { name: *name, across, down, quantisers: *quantisers })
        };
        let components = listed.iter().map(component).collect::<Option<_>>().ok_or(JpegProblem::Header)?;
        Ok(Self { process: marker & 15, bits: *bits, rows, columns, components })
    }

    /// The greatest sampling factors.
    pub(super) fn factors(&self) -> (usize, usize) {
        let most = |factor: fn(&Component) -> usize| self.components.iter().map(factor).max().unwrap_or(1);
        (most(|component| component.across), most(|component| component.down))
    }
}

/// Frame headers are the markers from C0 to CF that are no tables and no extension.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

impl Picture {
    /// Reads all scans: samples, interleaved, or none of them if nothing is to be drawn.
    pub(super) fn read(bytes: &[u8], draws: bool) -> Result<Vec<u16>, JpegProblem> {
        let mut segments = Segments::begin(bytes)?;
        let mut tables = Tables::default();
        let mut picture: Option<Picture> = None;
        let mut seen = Vec::new();
        loop {
            let marker = match segments.marker() {
                // A picture whose scans are all there lacks nothing without its end mark.
                Err(_) if picture.as_ref().is_some_and(|picture| seen.len() == picture.header.samples()) => 0xd9,
                marker => marker?,
            };
            if marker == 0xd9 {
                break;
            }
            let segment = segments.segment()?;
            match marker {
                0xc4 => tables.read_codes(segment)?,
                0xdb => tables.read_quantisers(segment)?,
                0xdd => tables.restart = word(segment).ok_or(JpegProblem::Header)?.into(),
                0xda => {
                    let picture = picture.as_mut().ok_or(JpegProblem::Header)?;
                    let scan = picture.scan(segment, &mut seen)?;
                    picture.tables = tables;
                    segments.at = match picture.header.process {
                        3 => lossless::decode(picture, &scan, bytes, segments.at)?,
                        _ => blocks::decode(picture, &scan, bytes, segments.at)?,
                    };
                    tables = std::mem::take(&mut picture.tables);
                }
                marker if is_frame(marker) && picture.is_none() => {
                    picture = Some(Self::begin(Header::read(marker, segment)?, draws)?);
                }
                marker if is_frame(marker) => return Err(JpegProblem::Header),
                _ => {}
            }
        }
        let Self { header, planes, .. } = picture.ok_or(JpegProblem::Header)?;
        if seen.len() != header.samples() {
            return Err(JpegProblem::Ends);
        }
        let pixels = planes.first().map_or(0, Vec::len);
        Ok((0..pixels).flat_map(|pixel| planes.iter().map(move |plane| plane[pixel])).collect())
    }

    fn begin(header: Header, draws: bool) -> Result<Self, JpegProblem> {
        match (header.process, header.bits) {
            (0 | 1, 8 | 12) => {}
            (3, 2..=16) if draws => {}
            (0 | 1 | 3, bits) => return Err(JpegProblem::Precision(bits)),
            (process, _) => return Err(JpegProblem::Process(process)),
        }
        if !draws {
            return Ok(Self { header, tables: Tables::default(), planes: Vec::new() });
        }
        if header.samples() > 1
            && header.components.iter().any(|component| (component.across, component.down) != (1, 1))
        {
            return Err(JpegProblem::Subsampled);
        }
        let pixels = usize::from(header.rows) * usize::from(header.columns);
        let planes = vec![vec![0; pixels]; header.samples()];
        Ok(Self { header, tables: Tables::default(), planes })
    }

    /// Each component is in one scan.
    fn scan(&self, segment: &[u8], seen: &mut Vec<usize>) -> Result<Scan, JpegProblem> {
        let [count, rest @ ..] = segment else { return Err(JpegProblem::Header) };
        let (listed, rest) = rest.split_at_checked(2 * usize::from(*count)).ok_or(JpegProblem::Header)?;
        let &[predictor, _, shift] = rest else { return Err(JpegProblem::Header) };
        let mut components = Vec::new();
        for [name, codes] in listed.as_chunks().0 {
            let place = self.header.components.iter().position(|component| component.name == *name);
            let place = place.filter(|place| !seen.contains(place)).ok_or(JpegProblem::Header)?;
            seen.push(place);
            components.push((place, usize::from(codes >> 4), usize::from(codes & 15)));
        }
        if components.is_empty() {
            return Err(JpegProblem::Header);
        }
        Ok(Scan { components, predictor, shift: shift & 15 })
    }

    /// The quantisers of a component.
    pub(super) fn quantisers(&self, component: usize) -> Result<[u16; 64], JpegProblem> {
        let number = usize::from(self.header.components[component].quantisers);
        self.tables.quantisers.get(number).copied().flatten().ok_or(JpegProblem::Table)
    }
}

impl Tables {
    fn read_codes(&mut self, mut segment: &[u8]) -> Result<(), JpegProblem> {
        while let [target, rest @ ..] = segment {
            let counts = rest.first_chunk::<16>().ok_or(JpegProblem::Ends)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum::<usize>();
            let symbols = rest.get(16..16 + total).ok_or(JpegProblem::Ends)?;
            let tables = if target >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(target & 15)).ok_or(JpegProblem::Table)? = Some(Codes::new(counts, symbols)?);
            segment = &rest[16 + total..];
        }
        Ok(())
    }

    fn read_quantisers(&mut self, mut segment: &[u8]) -> Result<(), JpegProblem> {
        while let [target, rest @ ..] = segment {
            let width = if target >> 4 == 0 { 1 } else { 2 };
            let bytes = rest.get(..64 * width).ok_or(JpegProblem::Ends)?;
            let mut values = [0; 64];
            for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(width)) {
                *value = word(bytes).unwrap_or(bytes[0].into());
            }
            *self.quantisers.get_mut(usize::from(target & 15)).ok_or(JpegProblem::Table)? = Some(values);
            segment = &rest[64 * width..];
        }
        Ok(())
    }
}
