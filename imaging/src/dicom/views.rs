//! What a file says of the meaning and the look of its values: at the top of the data set, and in the functional groups
//! of enhanced objects (PS3.3 section C.7.6.16), where a frame's own groups go before those that all share.

use super::elements::DataSet;
use super::layout::{Layout, at_most};
use crate::error::{ImagingError, Quantity};
use crate::lookup::Lookup;
use crate::tag::{self, Tag};
use crate::view::{Modality, View};
use crate::window::{Function, NamedWindow, Window};

/// Windows of one frame that are kept; files propose a handful.
const WINDOWS_MAX: usize = 16;
/// Bytes of all tables together. A table that frames share is held once for each of them where any frame has a view of
/// its own, so that a small file could name gigabytes.
const TABLES_MAX: u64 = 16 << 20;

/// One for all frames, or one for each.
pub(super) fn views(header: &DataSet, layout: &Layout) -> Result<Vec<View>, ImagingError> {
    let shared = header.items(tag::SHARED_GROUPS).first();
    let frames = header.items(tag::FRAME_GROUPS);
    let own = |group: &DataSet| !group.items(tag::PIXEL_VALUES).is_empty() || !group.items(tag::FRAME_VOI).is_empty();
    let each = if frames.iter().any(own) { layout.frames as usize } else { 1 };
    let view = |frame: usize| {
        let groups: Vec<&DataSet> = frames.get(frame).into_iter().chain(shared).collect();
        let within = |tag: Tag| groups.iter().find_map(|group| group.items(tag).first()).unwrap_or(header);
        let voi = within(tag::FRAME_VOI);
        Ok(View {
            modality: modality(header, within(tag::PIXEL_VALUES), layout.signed)?,
            table: match voi.items(tag::VOI_LUT).first() {
                Some(item) => item.lookup(tag::LUT_DESCRIPTOR, tag::LUT_DATA, layout.signed)?,
                None => None,
            },
            windows: windows(voi),
        })
    };
    let (mut views, mut bytes) = (Vec::new(), 0);
    for frame in 0..each {
        let view: View = view(frame)?;
        let modality = if let Modality::Table(table) = &view.modality { Some(table) } else { None };
        let tables = modality.into_iter().chain(&view.table);
        bytes += tables.map(|table| 2 * table.entries.len() as u64).sum::<u64>();
        at_most(Quantity::MemoryBytes, bytes, TABLES_MAX)?;
        views.push(view);
    }
    Ok(views)
}

/// Distance of rows and of columns.
pub(super) fn spacing_mm(header: &DataSet) -> Option<[f64; 2]> {
    let groups = header.items(tag::SHARED_GROUPS).iter().chain(header.items(tag::FRAME_GROUPS).first());
    let measures = groups.filter_map(|group| group.items(tag::PIXEL_MEASURES).first());
    let read = |set: &DataSet, tag| match set.decimals(tag).ok()?.as_slice() {
        [Some(rows), Some(columns), ..] if *rows > 0.0 && *columns > 0.0 => Some([*rows, *columns]),
        _ => None,
    };
    read(header, tag::SPACING)
        .or_else(|| measures.into_iter().find_map(|set| read(set, tag::SPACING)))
        .or_else(|| read(header, tag::IMAGER_SPACING))
}

fn modality(header: &DataSet, values: &DataSet, signed: bool) -> Result<Modality, ImagingError> {
    let table = match header.items(tag::MODALITY_LUT).first() {
        Some(item) => item.lookup(tag::LUT_DESCRIPTOR, tag::LUT_DATA, signed)?,
        None => None,
    };
    if let Some(table) = table {
        return Ok(Modality::Table(table));
    }
    Ok(match (values.decimal(tag::SLOPE)?, values.decimal(tag::INTERCEPT)?) {
        (None, None) => Modality::NONE,
        (slope, intercept) => {
            Modality::Rescale { slope: slope.unwrap_or(1.0), intercept: intercept.unwrap_or_default() }
        }
    })
}

/// Those that have a width. A window only proposes a look: what cannot be read of it is left out, and so are all whose
/// function is not known.
fn windows(set: &DataSet) -> Vec<NamedWindow> {
    let function = match set.label(tag::VOI_FUNCTION).as_deref() {
        None | Some("LINEAR") => Function::Linear,
        Some("LINEAR_EXACT") => Function::LinearExact,
        Some("SIGMOID") => Function::Sigmoid,
        Some(_) => return Vec::new(),
    };
    let decimals = |tag| set.decimals(tag).unwrap_or_default();
    let (centres, widths) = (decimals(tag::WINDOW_CENTRE), decimals(tag::WINDOW_WIDTH));
    let mut explanations = set.parts(tag::WINDOW_EXPLANATION);
    let named = centres.into_iter().zip(widths).filter_map(|(centre, width)| {
        let explanation = explanations.next().unwrap_or_default();
        let explanation = explanation.iter().filter(|byte| (b' '..=b'~').contains(byte)).take(64);
        let window = Window::new(centre?, width?, function)?;
        Some(NamedWindow { window, explanation: explanation.copied().map(char::from).collect() })
    });
    named.take(WINDOWS_MAX).collect()
}

impl DataSet<'_> {
    /// A table of a descriptor and data: how many entries there are, 0 for 2^16; the first value; bits of an entry.
    /// `None` where there is no descriptor.
    pub(super) fn lookup(&self, descriptor: Tag, data: Tag, signed: bool) -> Result<Option<Lookup>, ImagingError> {
        let Some(words) = self.words(descriptor) else { return Ok(None) };
        let &[count, first, bits] = words.as_slice() else {
            return Err(ImagingError::Malformed { tag: descriptor });
        };
        let count = if count == 0 { 1 << 16 } else { usize::from(count) };
        // Where the file does not say whether the first value has a sign, it is as pixels are.
        let signed = match self.representation(descriptor) {
            Some(kind) if &kind == b"SS" => true,
            Some(kind) if &kind == b"US" => false,
            _ => signed,
        };
        let first = if signed { i64::from(first as i16) } else { i64::from(first) };
        let bits = u8::try_from(bits).ok().filter(|bits| (1..=16).contains(bits));
        let bits = bits.ok_or(ImagingError::Value { tag: descriptor, value: words[2].into() })?;
        let bytes = self.bytes(data).ok_or(ImagingError::Absent { tag: data })?;
        // Entries of a byte may be written in a byte each.
        let mut entries = match bits <= 8 && bytes.len() < 2 * count {
            true => bytes.iter().copied().map(u16::from).collect(),
            false => self.words(data).unwrap_or_default(),
        };
        if entries.len() < count {
            return Err(ImagingError::Malformed { tag: data });
        }
        entries.truncate(count);
        Ok(Some(Lookup { first, entries, bits }))
    }
}
