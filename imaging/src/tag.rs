//! The elements of a DICOM file that are read, by number and name. All others are stepped over and never held.

use std::fmt;

/// The number of an element: its group in the upper half, the element in the lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

impl Tag {
    /// Of group and element.
    #[must_use]
    pub const fn new(group: u16, element: u16) -> Self {
        Self((group as u32) << 16 | element as u32)
    }

    /// The group.
    #[must_use]
    pub const fn group(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The element within its group.
    #[must_use]
    pub const fn element(self) -> u16 {
        self.0 as u16
    }

    /// Its name in PS3.6, if it is one of those that are read.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        KNOWN.binary_search_by_key(&self, |(tag, ..)| *tag).ok().map(|place| KNOWN[place].1)
    }

    /// Whether its value is a list of data sets, which implicit value representations leave unsaid.
    pub(crate) fn is_sequence(self) -> bool {
        SEQUENCES.contains(&self)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:04X},{:04X})", self.group(), self.element())?;
        self.name().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! tags {
    ($($name:ident = $group:literal, $element:literal, $text:literal;)*) => {
        $(pub(crate) const $name: Tag = Tag::new($group, $element);)*
        /// In ascending order.
        const KNOWN: &[(Tag, &str)] = &[$(($name, $text)),*];
    };
}

tags! {
    TRANSFER_SYNTAX = 0x0002, 0x0010, "Transfer Syntax UID";
    CHARACTER_SET = 0x0008, 0x0005, "Specific Character Set";
    INSTANCE_UID = 0x0008, 0x0018, "SOP Instance UID";
    ACCESSION = 0x0008, 0x0050, "Accession Number";
    MODALITY = 0x0008, 0x0060, "Modality";
    PATIENT_NAME = 0x0010, 0x0010, "Patient's Name";
    PATIENT_ID = 0x0010, 0x0020, "Patient ID";
    IMAGER_SPACING = 0x0018, 0x1164, "Imager Pixel Spacing";
    STUDY_UID = 0x0020, 0x000d, "Study Instance UID";
    SERIES_UID = 0x0020, 0x000e, "Series Instance UID";
    SAMPLES = 0x0028, 0x0002, "Samples per Pixel";
    PHOTOMETRIC = 0x0028, 0x0004, "Photometric Interpretation";
    PLANAR = 0x0028, 0x0006, "Planar Configuration";
    FRAMES = 0x0028, 0x0008, "Number of Frames";
    ROWS = 0x0028, 0x0010, "Rows";
    COLUMNS = 0x0028, 0x0011, "Columns";
    SPACING = 0x0028, 0x0030, "Pixel Spacing";
    BITS_ALLOCATED = 0x0028, 0x0100, "Bits Allocated";
    BITS_STORED = 0x0028, 0x0101, "Bits Stored";
    HIGH_BIT = 0x0028, 0x0102, "High Bit";
    REPRESENTATION = 0x0028, 0x0103, "Pixel Representation";
    PADDING = 0x0028, 0x0120, "Pixel Padding Value";
    PADDING_LIMIT = 0x0028, 0x0121, "Pixel Padding Range Limit";
    BURNED_IN = 0x0028, 0x0301, "Burned In Annotation";
    WINDOW_CENTRE = 0x0028, 0x1050, "Window Center";
    WINDOW_WIDTH = 0x0028, 0x1051, "Window Width";
    INTERCEPT = 0x0028, 0x1052, "Rescale Intercept";
    SLOPE = 0x0028, 0x1053, "Rescale Slope";
    WINDOW_EXPLANATION = 0x0028, 0x1055, "Window Center & Width Explanation";
    VOI_FUNCTION = 0x0028, 0x1056, "VOI LUT Function";
    RED_DESCRIPTOR = 0x0028, 0x1101, "Red Palette Color Lookup Table Descriptor";
    GREEN_DESCRIPTOR = 0x0028, 0x1102, "Green Palette Color Lookup Table Descriptor";
    BLUE_DESCRIPTOR = 0x0028, 0x1103, "Blue Palette Color Lookup Table Descriptor";
    RED_DATA = 0x0028, 0x1201, "Red Palette Color Lookup Table Data";
    GREEN_DATA = 0x0028, 0x1202, "Green Palette Color Lookup Table Data";
    BLUE_DATA = 0x0028, 0x1203, "Blue Palette Color Lookup Table Data";
    RED_SEGMENTS = 0x0028, 0x1221, "Segmented Red Palette Color Lookup Table Data";
    MODALITY_LUT = 0x0028, 0x3000, "Modality LUT Sequence";
    LUT_DESCRIPTOR = 0x0028, 0x3002, "LUT Descriptor";
    LUT_EXPLANATION = 0x0028, 0x3003, "LUT Explanation";
    LUT_DATA = 0x0028, 0x3006, "LUT Data";
    VOI_LUT = 0x0028, 0x3010, "VOI LUT Sequence";
    PIXEL_MEASURES = 0x0028, 0x9110, "Pixel Measures Sequence";
    FRAME_VOI = 0x0028, 0x9132, "Frame VOI LUT Sequence";
    PIXEL_VALUES = 0x0028, 0x9145, "Pixel Value Transformation Sequence";
    SHARED_GROUPS = 0x5200, 0x9229, "Shared Functional Groups Sequence";
    FRAME_GROUPS = 0x5200, 0x9230, "Per-Frame Functional Groups Sequence";
    FLOAT_PIXELS = 0x7fe0, 0x0008, "Float Pixel Data";
    DOUBLE_PIXELS = 0x7fe0, 0x0009, "Double Float Pixel Data";
    PIXELS = 0x7fe0, 0x0010, "Pixel Data";
}

const SEQUENCES: &[Tag] =
    &[MODALITY_LUT, VOI_LUT, PIXEL_MEASURES, FRAME_VOI, PIXEL_VALUES, SHARED_GROUPS, FRAME_GROUPS];

/// Marks of the encoding rather than elements: they have no value representation in any transfer syntax.
pub(crate) const ITEM: Tag = Tag::new(0xfffe, 0xe000);
pub(crate) const ITEM_END: Tag = Tag::new(0xfffe, 0xe00d);
pub(crate) const SEQUENCE_END: Tag = Tag::new(0xfffe, 0xe0dd);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_for_every_number() {
        assert!(KNOWN.is_sorted_by_key(|(tag, _)| *tag));
        assert!(KNOWN.iter().all(|(tag, name)| tag.name() == Some(name)));
        assert_eq!(ROWS.to_string(), "(0028,0010) Rows");
        assert_eq!(ITEM.to_string(), "(FFFE,E000)");
    }
}
