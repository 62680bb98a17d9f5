//! The series that an object is derived from.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

use super::{encode::DataSet, value::decimal};
use crate::{
    Grid, IoError,
    dicom::{DicomError, file::DicomFile, folder::Folder, geometry::Stack, parser::Token, value},
};

const MOST_VALUE_BYTES: u64 = 4096;

/// What is copied into an object, with its type. An attribute that the source lacks is empty; those of
/// [`ONLY_IF_PRESENT`] are left out.
const COPIED: [(Tag, VR); 13] = [
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_DESCRIPTION, VR::LO),
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::STUDY_INSTANCE_UID, VR::UI),
    (tags::STUDY_ID, VR::SH),
    (tags::FRAME_OF_REFERENCE_UID, VR::UI),
    (tags::POSITION_REFERENCE_INDICATOR, VR::LO),
];
/// Attributes with their types and values.
type Attributes = Vec<(Tag, VR, Vec<u8>)>;

const ONLY_IF_PRESENT: [Tag; 1] = [tags::STUDY_DESCRIPTION];

/// The slices of a series in the order of its volume, and what objects derived from it copy.
///
/// Holds the patient's name and other personal data, to copy them: it is never printed.
pub struct SourceSeries {
    pub(super) grid: Grid,
    pub(super) series_uid: String,
    pub(super) study_uid: String,
    pub(super) frame_of_reference: String,
    /// By their position along the normal: slice k of the volume.
    pub(super) slices: Vec<SourceSlice>,
    /// As the first slice has them.
    pub(super) orientation: String,
    pub(super) pixel_spacing: String,
    pub(super) slice_thickness: String,
    copied: Attributes,
    /// The value of SpecificCharacterSet with which `copied` and the object's own text can be read.
    character_set: Vec<u8>,
    is_unicode: bool,
}

/// One slice, or one frame of a file of many.
pub(super) struct SourceSlice {
    pub(super) class: String,
    pub(super) instance: String,
    /// Which frame of its file it is, from 0.
    pub(super) frame: Option<usize>,
    /// ImagePositionPatient as the file has it, to the last digit.
    pub(super) position: String,
    pub(super) position_mm: [f64; 3],
}

impl SourceSeries {
    /// The series that [`dicom::read`](crate::dicom::read) reads of `path`, its headers only.
    ///
    /// # Errors
    /// As [`dicom::read`](crate::dicom::read), and [`DicomError::AttributeMissing`] if the series lacks the UIDs of its study
    /// or frame of reference, without which an object cannot be stored beside it.
    pub fn read(path: &Path, series: Option<&str>) -> Result<Self, IoError> {
        let folder = if path.is_dir() { Folder::scan(path)? } else { Folder::around(path)? };
        let Stack { slices, grid } = Stack::new(folder.choose(series)?)?;
        let first = &slices[0];
        let failed = |error: DicomError| error.at(&first.path);
        let values = Values::read(&first.path)?;
        let required = |tag, name| {
            let uid = values.text(tag);
            if uid.is_empty() { Err(failed(DicomError::AttributeMissing { name })) } else { Ok(uid) }
        };
        let numbers = |numbers: &[f64]| numbers.iter().map(|n| precise(*n)).collect::<Vec<_>>().join("\\");
        let text_or = |tag, fallback: Option<String>| {
            Some(values.text(tag)).filter(|text| !text.is_empty()).or(fallback).unwrap_or_default()
        };
        let mut found = Vec::with_capacity(slices.len());
        for slice in &slices {
            let position_mm = slice.plane.position.unwrap_or_default();
            let position = match slice.frame {
                None => Values::read(&slice.path)?.text(tags::IMAGE_POSITION_PATIENT),
                Some(_) => numbers(&position_mm),
            };
            found.push(SourceSlice {
                class: slice.sop_class.clone(),
                instance: slice.sop_instance.clone(),
                frame: slice.frame.map(|[frame, _]| frame),
                position,
                position_mm,
            });
        }
        let (copied, character_set, is_unicode) = values.copied();
        Ok(Self {
            series_uid: first.series.clone(),
            study_uid: required(tags::STUDY_INSTANCE_UID, "StudyInstanceUID")?,
            frame_of_reference: required(tags::FRAME_OF_REFERENCE_UID, "FrameOfReferenceUID")?,
            slices: found,
            orientation: text_or(
                tags::IMAGE_ORIENTATION_PATIENT,
                first.plane.orientation.map(|o| numbers(&o)),
            ),
            pixel_spacing: text_or(tags::PIXEL_SPACING, first.plane.pixel_spacing.map(|s| numbers(&s))),
            slice_thickness: text_or(
                tags::SLICE_THICKNESS,
                first.plane.slice_thickness.map(|t| numbers(&[t])),
            ),
            grid,
            copied,
            character_set,
            is_unicode,
        })
    }

    /// The grid of its volume, and of the masks that are stored.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Columns and rows of a slice.
    pub(super) fn size(&self) -> [usize; 2] {
        let [columns, rows, _] = self.grid.shape_ijk();
        [columns, rows]
    }

    pub(super) fn copy_to(&self, set: &mut DataSet) {
        set.bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, self.character_set.clone());
        for (tag, vr, bytes) in &self.copied {
            set.bytes(*tag, *vr, bytes.clone());
        }
    }

    /// As much of `text` as fits a value of `most` characters in the object's character set, on one line.
    pub(super) fn encodable(&self, text: &str, most: usize) -> String {
        let sound = |letter: char| match letter {
            '\\' => '/',
            letter if letter.is_control() => ' ',
            letter if !self.is_unicode && !letter.is_ascii() => '?',
            letter => letter,
        };
        text.trim().chars().map(sound).take(most).collect()
    }

    /// References to every file of the series; frames of one file are one reference.
    pub(super) fn references(&self) -> Vec<DataSet> {
        let mut seen = BTreeSet::new();
        let mut references = Vec::new();
        for slice in &self.slices {
            if seen.insert(slice.instance.as_str()) {
                references.push(DataSet::reference(&slice.class, &slice.instance, None));
            }
        }
        references
    }
}

/// A number of a source in at most 16 characters, as precise as they allow.
fn precise(number: f64) -> String {
    let texts = (0..=14).rev().map(|digits| format!("{number:.digits$}"));
    let shortest = Some(number.to_string()).into_iter().chain(texts).find(|text| text.len() <= 16);
    shortest.unwrap_or_else(|| decimal(number))
}

/// The values of a file's attributes that objects copy.
struct Values(BTreeMap<Tag, Vec<u8>>);

impl Values {
    fn read(path: &Path) -> Result<Self, IoError> {
        let mut file = DicomFile::open(path)?;
        Self::of(&mut file).map_err(|error| error.at(path))
    }

    fn of(file: &mut DicomFile) -> Result<Self, DicomError> {
        let wanted = |tag: Tag| {
            COPIED.iter().any(|(copied, _)| *copied == tag)
                || [
                    tags::SPECIFIC_CHARACTER_SET,
                    tags::IMAGE_POSITION_PATIENT,
                    tags::IMAGE_ORIENTATION_PATIENT,
                    tags::PIXEL_SPACING,
                    tags::SLICE_THICKNESS,
                ]
                .contains(&tag)
        };
        let mut values = BTreeMap::new();
        loop {
            match file.parser.next()? {
                Token::Element(tag) if wanted(tag) => {
                    values.insert(tag, file.parser.take(MOST_VALUE_BYTES)?);
                }
                Token::Element(tag) if tag > tags::PIXEL_SPACING => return Ok(Self(values)),
                Token::SequenceStart(_) => file.parser.skip_sequence()?,
                Token::Pixels { .. } | Token::End => return Ok(Self(values)),
                Token::Element(_) | Token::ItemStart | Token::ItemEnd | Token::SequenceEnd => {}
            }
        }
    }

    /// The text of a value in plain letters; empty if there is none.
    fn text(&self, tag: Tag) -> String {
        self.0.get(&tag).map_or_else(String::new, |bytes| value::text(bytes))
    }

    /// What is copied, in Unicode if its character set can be read, else as it is; the character set; whether it is Unicode.
    fn copied(&self) -> (Attributes, Vec<u8>, bool) {
        const UNICODE: &[u8] = b"ISO_IR 192";
        let stored = self.0.get(&tags::SPECIFIC_CHARACTER_SET).cloned().unwrap_or_default();
        let codes = value::texts(&stored);
        let set = match codes.as_slice() {
            [code] if code.is_empty() => Some(SpecificCharacterSet::default()),
            [code] => SpecificCharacterSet::from_code(code),
            // Several sets in one value are told apart by escape sequences.
            _ => None,
        };
        let is_text = |vr: VR| [VR::PN, VR::LO, VR::SH].contains(&vr);
        let raw: Attributes = COPIED
            .iter()
            .filter(|(tag, _)| self.0.contains_key(tag) || !ONLY_IF_PRESENT.contains(tag))
            .map(|(tag, vr)| (*tag, *vr, trimmed(self.0.get(tag).map_or(&[][..], Vec::as_slice))))
            .collect();
        let in_unicode = |bytes: &[u8]| {
            if bytes.is_ascii() && !bytes.contains(&0x1b) {
                return Some(bytes.to_vec());
            }
            Some(set.as_ref()?.decode(bytes).ok()?.into_bytes())
        };
        let decoded: Option<Attributes> = raw
            .iter()
            .map(|(tag, vr, bytes)| {
                let bytes = if is_text(*vr) { in_unicode(bytes)? } else { bytes.clone() };
                Some((*tag, *vr, bytes))
            })
            .collect();
        match decoded {
            Some(copied) => (copied, UNICODE.to_vec(), true),
            None => (raw, trimmed(&stored), false),
        }
    }
}

/// The value without the padding that made its length even.
fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| ![b' ', 0].contains(byte)).map_or(0, |last| last + 1);
    bytes[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(character_set: &[u8], name: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
        let values = BTreeMap::from([
            (tags::SPECIFIC_CHARACTER_SET, character_set.to_vec()),
            (tags::PATIENT_NAME, name.to_vec()),
        ]);
        let (copied, set, is_unicode) = Values(values).copied();
        let name = copied.into_iter().find(|(tag, ..)| *tag == tags::PATIENT_NAME).unwrap().2;
        (name, set, is_unicode)
    }

    #[test]
    fn names_become_unicode_or_stay_as_they_are() {
        let unicode = b"ISO_IR 192".to_vec();
        assert_eq!(copied(b"", b"Doe^Jane "), (b"Doe^Jane".to_vec(), unicode.clone(), true));
        let latin = copied(b"ISO_IR 100", b"M\xfcller^Eva");
        assert_eq!(latin, ("Müller^Eva".as_bytes().to_vec(), unicode, true));
        let name = b"Yamada^Tarou=\x1b$B;3ED\x1b(B";
        let several = copied(b"\\ISO 2022 IR 87 ", name);
        assert_eq!(several, (name.to_vec(), b"\\ISO 2022 IR 87".to_vec(), false));
    }

    #[test]
    fn numbers_of_frames_are_as_precise_as_sixteen_characters_allow() {
        assert_eq!(precise(-87.890_625), "-87.890625");
        assert_eq!(precise(1.0 / 3.0), "0.33333333333333");
        assert!(precise(-123_456_789.123_456_79).len() <= 16);
    }
}
