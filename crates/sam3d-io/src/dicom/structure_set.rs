use std::path::Path;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

use super::{
    ContourWarning, DicomError, SeriesSummary,
    file::{DicomFile, is_dicom},
    instance::uid,
    parser::Token,
    value,
};
use crate::IoError;

/// Names, numbers, types: what is not the points of a contour.
const MOST_VALUE_BYTES: u64 = 1 << 16;
/// A contour of a million points takes 30 MB of text.
const MOST_CONTOUR_BYTES: u64 = 1 << 28;

/// The structures that somebody drew on the slices of a series, as an RT structure set (RTSTRUCT) keeps them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StructureSet {
    /// The structures, by number.
    pub rois: Vec<Roi>,
    /// UIDs of the series they were drawn on.
    pub series: Vec<String>,
    /// UIDs of the frames of reference their coordinates are in.
    pub frames_of_reference: Vec<String>,
}

/// One structure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Roi {
    /// Its number in the file, by which everything else in the file refers to it.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// Its contours.
    pub contours: Vec<Contour>,
}

/// Points along the edge of a structure in one plane.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contour {
    /// What the points are.
    pub kind: ContourType,
    /// LPS, in mm; none if the file has a contour without data.
    pub points_mm: Vec<[f64; 3]>,
}

/// The Contour Geometric Type (PS3.3, C.8.8.6.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ContourType {
    /// `CLOSED_PLANAR`, which a contour without a type is taken for.
    #[default]
    ClosedPlanar,
    /// `INTERPOLATED_PLANAR`: closed, and made by a program between contours that were drawn.
    InterpolatedPlanar,
    /// `CLOSEDPLANAR_XOR`: closed; all of one plane are combined by exclusive or.
    ClosedPlanarXor,
    /// Points, open lines and closed lines that lie in no plane, by the name of their type.
    Other(String),
}

impl ContourType {
    fn of(name: &str) -> Self {
        match name {
            "" | "CLOSED_PLANAR" => Self::ClosedPlanar,
            "INTERPOLATED_PLANAR" => Self::InterpolatedPlanar,
            "CLOSEDPLANAR_XOR" => Self::ClosedPlanarXor,
            // Text from a file goes into messages: only what looks like a code does.
            code if code.len() <= 24
                && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') =>
            {
                Self::Other(code.to_owned())
            }
            _ => Self::Other("of an unknown type".to_owned()),
        }
    }

    /// Whether such a contour encloses an area.
    pub fn encloses_area(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

impl StructureSet {
    /// Whether the file at `path` is a structure set.
    ///
    /// # Errors
    /// [`IoError`] if it cannot be read, or begins as DICOM and is damaged.
    pub fn is_at(path: &Path) -> Result<bool, IoError> {
        if path.is_dir() || !is_dicom(path)? {
            return Ok(false);
        }
        let mut file = DicomFile::open(path)?;
        let class = sop_class(&mut file).map_err(|error| error.at(path))?;
        Ok(class == uids::RT_STRUCTURE_SET_STORAGE)
    }

    /// Reads the structure set at `path`.
    ///
    /// # Errors
    /// An [`IoError`] that names the file: it cannot be read, is damaged, or of another kind.
    pub fn read(path: &Path) -> Result<Self, IoError> {
        if !is_dicom(path)? {
            let reason = "expected DICM at byte 128, or elements of a DICOM data set".to_owned();
            return Err(IoError::NotOfFormat { path: path.to_owned(), format: crate::Format::Dicom, reason });
        }
        let class = sop_class(&mut DicomFile::open(path)?).map_err(|error| error.at(path))?;
        if class != uids::RT_STRUCTURE_SET_STORAGE {
            return Err(DicomError::NotAStructureSet.at(path));
        }
        Self::parse(&mut DicomFile::open(path)?).map_err(|error| error.at(path))
    }

    /// A warning if the structures were not drawn on `image`, by the UIDs that both name: those of another series of one
    /// frame of reference lie where they should, those of another frame of reference may lie anywhere.
    pub fn check_refers_to(&self, image: &SeriesSummary) -> Option<ContourWarning> {
        [
            ("frame of reference", &self.frames_of_reference, &image.frame_of_reference),
            ("series", &self.series, &image.uid),
        ]
        .into_iter()
        .find(|(_, expected, found)| !expected.is_empty() && !found.is_empty() && !expected.contains(found))
        .map(|(what, expected, found)| ContourWarning::OtherImage {
            what,
            expected: expected.clone(),
            found: found.clone(),
        })
    }

    fn parse(file: &mut DicomFile) -> Result<Self, DicomError> {
        file.check_supported()?;
        let mut reading = StructureSetReader {
            text: SpecificCharacterSet::default(),
            set: Self::default(),
            item: Item::default(),
        };
        let mut path: Vec<Tag> = Vec::new();
        loop {
            match file.parser.next()? {
                // Nothing behind the contours is needed.
                Token::End => break,
                Token::Pixels { .. } => break,
                Token::Element(tag) if path.is_empty() && tag > tags::ROI_CONTOUR_SEQUENCE => break,
                Token::Element(tag) => reading.element(file, &path, tag)?,
                Token::SequenceStart(tag) if is_followed(&path, tag) => path.push(tag),
                Token::SequenceStart(_) => file.parser.skip_sequence()?,
                Token::SequenceEnd => drop(path.pop()),
                Token::ItemStart => reading.item_start(&path),
                Token::ItemEnd => reading.item_end(&path),
            }
        }
        let mut set = reading.set;
        for uids in [&mut set.series, &mut set.frames_of_reference] {
            uids.sort();
            uids.dedup();
        }
        set.rois.sort_by_key(|roi| roi.number);
        Ok(set)
    }

    /// The structure with the name or number `wanted`, or the only one with contours. Case and blanks around names do
    /// not matter; a name goes before a number.
    ///
    /// # Errors
    /// [`DicomError::RoiMissing`], [`DicomError::SeveralRois`], which list the structures.
    pub fn choose(&self, wanted: Option<&str>) -> Result<&Roi, DicomError> {
        let names = || self.rois.iter().map(Roi::label).collect();
        let Some(wanted) = wanted else {
            let mut drawn = self.rois.iter().filter(|roi| roi.encloses_area());
            return match (drawn.next(), drawn.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(DicomError::RoiMissing { wanted: "with contours".into(), names: names() }),
                _ => Err(DicomError::SeveralRois { names: names() }),
            };
        };
        let key = |name: &str| name.trim().to_lowercase();
        let exact = self.rois.iter().find(|roi| roi.name == wanted);
        exact
            .or_else(|| self.rois.iter().find(|roi| key(&roi.name) == key(wanted)))
            .or_else(|| self.rois.iter().find(|roi| wanted.parse() == Ok(roi.number)))
            .ok_or_else(|| DicomError::RoiMissing { wanted: wanted.to_owned(), names: names() })
    }
}

impl Roi {
    /// Whether any contour encloses an area.
    pub fn encloses_area(&self) -> bool {
        self.contours.iter().any(|contour| contour.kind.encloses_area() && contour.points_mm.len() >= 3)
    }

    /// Number and name, as errors and reports have them.
    pub fn label(&self) -> String {
        format!("{} {}", self.number, self.name)
    }
}

/// Which sequences are looked into, by the ones around them.
fn is_followed(path: &[Tag], tag: Tag) -> bool {
    match path {
        [] => [
            tags::STRUCTURE_SET_ROI_SEQUENCE,
            tags::ROI_CONTOUR_SEQUENCE,
            tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE,
        ]
        .contains(&tag),
        [tags::ROI_CONTOUR_SEQUENCE] => tag == tags::CONTOUR_SEQUENCE,
        [tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE] => tag == tags::RT_REFERENCED_STUDY_SEQUENCE,
        [tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE, _] => tag == tags::RT_REFERENCED_SERIES_SEQUENCE,
        _ => false,
    }
}

struct StructureSetReader {
    text: SpecificCharacterSet,
    set: StructureSet,
    item: Item,
}

/// The items that are being read.
#[derive(Default)]
struct Item {
    roi: Roi,
    /// The structure whose contours these are.
    of_number: Option<i64>,
    contours: Vec<Contour>,
    contour: Contour,
}

impl StructureSetReader {
    fn element(&mut self, file: &mut DicomFile, path: &[Tag], tag: Tag) -> Result<(), DicomError> {
        let number = |name, bytes: &[u8]| {
            value::text(bytes)
                .parse()
                .map_err(|_| DicomError::AttributeInvalid { name, expected: "a whole number" })
        };
        match (path, tag) {
            ([], tags::SPECIFIC_CHARACTER_SET) => {
                let code = value::texts(&file.parser.take(MOST_VALUE_BYTES)?);
                // The last one holds what plain letters do not; an unknown one leaves the plain letters.
                let known = code.last().and_then(|code| SpecificCharacterSet::from_code(code));
                self.text = known.unwrap_or_default();
            }
            ([tags::STRUCTURE_SET_ROI_SEQUENCE], tags::ROI_NUMBER) => {
                self.item.roi.number = number("ROINumber", &file.parser.take(MOST_VALUE_BYTES)?)?;
            }
            ([tags::STRUCTURE_SET_ROI_SEQUENCE], tags::ROI_NAME) => {
                let bytes = file.parser.take(MOST_VALUE_BYTES)?;
                let name = self.text.decode(&bytes).unwrap_or_else(|_| value::text(&bytes));
                // One line, whatever was typed.
                self.item.roi.name = name.trim_matches([' ', '\0']).replace(char::is_control, " ");
            }
            ([tags::ROI_CONTOUR_SEQUENCE], tags::REFERENCED_ROI_NUMBER) => {
                let bytes = file.parser.take(MOST_VALUE_BYTES)?;
                self.item.of_number = Some(number("ReferencedROINumber", &bytes)?);
            }
            ([tags::ROI_CONTOUR_SEQUENCE, _], tags::CONTOUR_GEOMETRIC_TYPE) => {
                let kind = value::text(&file.parser.take(MOST_VALUE_BYTES)?);
                self.item.contour.kind = ContourType::of(&kind);
            }
            ([tags::ROI_CONTOUR_SEQUENCE, _], tags::CONTOUR_DATA) => {
                let invalid =
                    DicomError::AttributeInvalid { name: "ContourData", expected: "triples of numbers" };
                let bytes = file.parser.take(MOST_CONTOUR_BYTES)?;
                if value::text(&bytes).is_empty() {
                    return Ok(());
                }
                let numbers = value::decimals(&bytes).ok_or(invalid)?;
                let (points, rest) = numbers.as_chunks::<3>();
                if !rest.is_empty() {
                    return Err(DicomError::AttributeInvalid {
                        name: "ContourData",
                        expected: "triples of numbers",
                    });
                }
                self.item.contour.points_mm = points.to_vec();
            }
            ([_, _, tags::RT_REFERENCED_SERIES_SEQUENCE], tags::SERIES_INSTANCE_UID) => {
                self.set.series.push(uid("SeriesInstanceUID", &file.parser.take(MOST_VALUE_BYTES)?)?);
            }
            ([tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE], tags::FRAME_OF_REFERENCE_UID)
            | ([tags::STRUCTURE_SET_ROI_SEQUENCE], tags::REFERENCED_FRAME_OF_REFERENCE_UID) => {
                let frame = uid("FrameOfReferenceUID", &file.parser.take(MOST_VALUE_BYTES)?)?;
                self.set.frames_of_reference.extend(Some(frame).filter(|uid| !uid.is_empty()));
            }
            _ => {}
        }
        Ok(())
    }

    fn item_start(&mut self, path: &[Tag]) {
        match path {
            [tags::STRUCTURE_SET_ROI_SEQUENCE] => self.item.roi = Roi::default(),
            [tags::ROI_CONTOUR_SEQUENCE] => (self.item.of_number, self.item.contours) = (None, Vec::new()),
            [tags::ROI_CONTOUR_SEQUENCE, _] => self.item.contour = Contour::default(),
            _ => {}
        }
    }

    fn item_end(&mut self, path: &[Tag]) {
        match path {
            [tags::STRUCTURE_SET_ROI_SEQUENCE] => self.set.rois.push(std::mem::take(&mut self.item.roi)),
            // The number may stand behind the contours, so that they are given away at the end of the item.
            [tags::ROI_CONTOUR_SEQUENCE] => {
                let contours = std::mem::take(&mut self.item.contours);
                let number = self.item.of_number;
                if let Some(roi) = self.set.rois.iter_mut().find(|roi| Some(roi.number) == number) {
                    roi.contours.extend(contours);
                }
            }
            [tags::ROI_CONTOUR_SEQUENCE, _] => {
                self.item.contours.push(std::mem::take(&mut self.item.contour))
            }
            _ => {}
        }
    }
}

/// The kind of object in a file: one of its first elements.
pub(super) fn sop_class(file: &mut DicomFile) -> Result<String, DicomError> {
    loop {
        match file.parser.next()? {
            Token::Element(tags::SOP_CLASS_UID) => {
                return uid("SOPClassUID", &file.parser.take(MOST_VALUE_BYTES)?);
            }
            Token::Element(tag) if tag > tags::SOP_CLASS_UID => return Ok(String::new()),
            Token::Element(_) | Token::ItemStart | Token::ItemEnd | Token::SequenceEnd => {}
            Token::SequenceStart(_) => file.parser.skip_sequence()?,
            Token::Pixels { .. } | Token::End => return Ok(String::new()),
        }
    }
}
