use std::path::{Path, PathBuf};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use super::{
    DicomError,
    file::DicomFile,
    frames::{self, FrameGroup},
    parser::Token,
    plane::PlaneAttributes,
    value,
};
use crate::{IoError, Rescale};

/// No attribute that is read here needs more.
const MOST_VALUE_BYTES: u64 = 4096;

/// The attributes of a file that its place and values need; nothing that describes a person.
#[derive(Debug, Default)]
pub(super) struct Instance {
    pub(super) path: PathBuf,
    pub(super) sop_class: String,
    pub(super) sop_instance: String,
    pub(super) series: String,
    pub(super) modality: String,
    pub(super) image_type: Vec<String>,
    pub(super) plane: PlaneAttributes,
    pub(super) rows: Option<u16>,
    pub(super) columns: Option<u16>,
    pub(super) frames: Option<f64>,
    pub(super) samples: Option<u16>,
    pub(super) photometric: String,
    pub(super) bits_allocated: Option<u16>,
    pub(super) bits_stored: Option<u16>,
    pub(super) high_bit: Option<u16>,
    pub(super) signed: bool,
    pub(super) slope: Option<f64>,
    pub(super) intercept: Option<f64>,
    pub(super) frame_of_reference: String,
    pub(super) has_lookup_table: bool,
    pub(super) has_pixels: bool,
    /// Bytes of the file.
    pub(super) largest_bytes: u64,
    /// What the frames of an enhanced image have in common.
    pub(super) shared_group: FrameGroup,
    /// What each frame of an enhanced image has of its own.
    pub(super) frame_groups: Vec<FrameGroup>,
    /// Which frame of the file this is, from 0, and how many there are; `None` for a file of one slice.
    pub(super) frame: Option<[usize; 2]>,
    /// Why it cannot be used, as far as its header says.
    pub(super) problem: Option<DicomError>,
}

impl Instance {
    /// Reads the file at `path` as far as its pixels. What is wrong with it is kept in [`problem`](Self::problem), beside
    /// what could be read, so that a damaged slice is still known to be one of its series.
    ///
    /// # Errors
    /// [`IoError`] if the operating system cannot read it.
    pub(super) fn read(path: &Path) -> Result<Self, IoError> {
        let mut instance = Self { path: path.to_owned(), ..Self::default() };
        match DicomFile::open(path) {
            Ok(mut file) => {
                instance.largest_bytes = file.largest_bytes;
                instance.problem = file.unsupported.take();
                let read = instance.read_elements(&mut file);
                instance.note(read);
            }
            Err(IoError::Dicom { problem, .. }) => instance.problem = Some(*problem),
            Err(other) => return Err(other),
        }
        Ok(instance)
    }

    /// Keeps the first problem.
    fn note(&mut self, result: Result<(), DicomError>) {
        if let Err(problem) = result {
            self.problem.get_or_insert(problem);
        }
    }

    fn read_elements(&mut self, file: &mut DicomFile) -> Result<(), DicomError> {
        loop {
            match file.parser.next()? {
                Token::Element(tag) if is_wanted(tag) => {
                    let bytes = file.parser.take(MOST_VALUE_BYTES)?;
                    let set = self.set(tag, &bytes, file.big_endian);
                    self.note(set);
                }
                Token::Element(tag) if tag > tags::PIXEL_DATA => return Ok(()),
                Token::Element(_) => {}
                Token::SequenceStart(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE) => {
                    let groups = frames::read_groups(file)?;
                    self.shared_group = groups.into_iter().next().unwrap_or_default();
                }
                Token::SequenceStart(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE) => {
                    self.frame_groups = frames::read_groups(file)?;
                }
                Token::SequenceStart(tag) => {
                    self.has_lookup_table |= tag == tags::MODALITY_LUT_SEQUENCE;
                    file.parser.skip_sequence()?;
                }
                Token::Pixels { .. } => {
                    self.has_pixels = true;
                    return Ok(());
                }
                Token::End | Token::ItemStart | Token::ItemEnd | Token::SequenceEnd => return Ok(()),
            }
        }
    }

    fn set(&mut self, tag: Tag, bytes: &[u8], big_endian: bool) -> Result<(), DicomError> {
        // Present without a value counts as absent; two zero bytes are a value where numbers are binary.
        if bytes.is_empty() || !is_binary(tag) && value::text(bytes).is_empty() {
            return Ok(());
        }
        let number = |name| value::number(name, bytes).map(Some);
        let short = |name| {
            let found = value::unsigned_short(bytes, big_endian);
            found.ok_or(DicomError::AttributeInvalid { name, expected: "a 16-bit number" }).map(Some)
        };
        match tag {
            tags::SOP_CLASS_UID => self.sop_class = uid("SOPClassUID", bytes)?,
            tags::SOP_INSTANCE_UID => self.sop_instance = uid("SOPInstanceUID", bytes)?,
            tags::SERIES_INSTANCE_UID => self.series = uid("SeriesInstanceUID", bytes)?,
            tags::FRAME_OF_REFERENCE_UID => self.frame_of_reference = uid("FrameOfReferenceUID", bytes)?,
            tags::MODALITY => self.modality = code("Modality", bytes)?,
            tags::IMAGE_TYPE => self.image_type = value::texts(bytes),
            tags::PHOTOMETRIC_INTERPRETATION => self.photometric = code("PhotometricInterpretation", bytes)?,
            tags::NUMBER_OF_FRAMES => self.frames = number("NumberOfFrames")?,
            tags::RESCALE_SLOPE => self.slope = number("RescaleSlope")?,
            tags::RESCALE_INTERCEPT => self.intercept = number("RescaleIntercept")?,
            tags::ROWS => self.rows = short("Rows")?,
            tags::COLUMNS => self.columns = short("Columns")?,
            tags::SAMPLES_PER_PIXEL => self.samples = short("SamplesPerPixel")?,
            tags::BITS_ALLOCATED => self.bits_allocated = short("BitsAllocated")?,
            tags::BITS_STORED => self.bits_stored = short("BitsStored")?,
            tags::HIGH_BIT => self.high_bit = short("HighBit")?,
            tags::PIXEL_REPRESENTATION => self.signed = short("PixelRepresentation")? == Some(1),
            _ => self.plane.set(tag, bytes)?,
        }
        Ok(())
    }

    /// Scaling to values; a slice without one has the values themselves.
    pub(super) fn rescale(&self) -> Result<Rescale, DicomError> {
        let (slope, intercept) = (self.slope.unwrap_or(1.0), self.intercept.unwrap_or(0.0));
        if slope == 0.0 {
            return Err(DicomError::AttributeInvalid { name: "RescaleSlope", expected: "other than 0" });
        }
        Ok(Rescale { slope, intercept })
    }

    /// Whether it is an image of anything: not a segmentation or a dose, which have pixels too.
    pub(super) fn is_image(&self) -> bool {
        let is_derived =
            [uids::SEGMENTATION_STORAGE, uids::LABEL_MAP_SEGMENTATION_STORAGE, uids::RT_DOSE_STORAGE]
                .contains(&self.sop_class.as_str());
        !is_derived && self.has_pixels && self.rows.is_some() && self.columns.is_some()
    }

    /// Whether it is a localizer: an overview image that a scan is planned on.
    pub(super) fn is_localizer(&self) -> bool {
        self.image_type.iter().skip(2).any(|kind| kind == "LOCALIZER")
    }

    /// Number of frames, 1 if the file does not say.
    pub(super) fn frame_count(&self) -> usize {
        self.frames.map_or(1, |frames| frames.max(0.0) as usize)
    }

    /// Whether its slice, or each of its frames, has a place in the patient.
    pub(super) fn is_placed(&self) -> bool {
        let is_placed = |plane: &PlaneAttributes| plane.position.is_some() && plane.orientation.is_some();
        if self.frame_groups.is_empty() {
            return self.frame_count() == 1 && is_placed(&self.plane);
        }
        let shared = self.shared_group.plane.over(&self.plane);
        self.frame_groups.iter().all(|group| is_placed(&group.plane.over(&shared)))
    }

    /// Its path, with the number of the frame in a file of several.
    pub(super) fn name(&self) -> PathBuf {
        match self.frame {
            None => self.path.clone(),
            Some([frame, _]) => format!("{} (frame {})", self.path.display(), frame + 1).into(),
        }
    }
}

/// Whether the value is a 16-bit number and not text.
fn is_binary(tag: Tag) -> bool {
    [
        tags::SAMPLES_PER_PIXEL,
        tags::ROWS,
        tags::COLUMNS,
        tags::BITS_ALLOCATED,
        tags::BITS_STORED,
        tags::HIGH_BIT,
        tags::PIXEL_REPRESENTATION,
    ]
    .contains(&tag)
}

fn is_wanted(tag: Tag) -> bool {
    let texts = [
        tags::IMAGE_TYPE,
        tags::SOP_CLASS_UID,
        tags::SOP_INSTANCE_UID,
        tags::MODALITY,
        tags::SERIES_INSTANCE_UID,
        tags::FRAME_OF_REFERENCE_UID,
        tags::PHOTOMETRIC_INTERPRETATION,
        tags::NUMBER_OF_FRAMES,
        tags::RESCALE_INTERCEPT,
        tags::RESCALE_SLOPE,
    ];
    texts.contains(&tag) || PlaneAttributes::TAGS.contains(&tag) || is_binary(tag)
}

/// A UID; checked because errors quote it.
pub(super) fn uid(name: &'static str, bytes: &[u8]) -> Result<String, DicomError> {
    let uid = value::text(bytes);
    let sound = uid.len() <= 64 && uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if sound {
        Ok(uid)
    } else {
        Err(DicomError::AttributeInvalid { name, expected: "a UID of digits and dots" })
    }
}

/// A code string: capitals, digits, blanks and underscores.
fn code(name: &'static str, bytes: &[u8]) -> Result<String, DicomError> {
    let code = value::text(bytes);
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" _".contains(&byte);
    if code.len() <= 16 && code.bytes().all(allowed) {
        Ok(code)
    } else {
        Err(DicomError::AttributeInvalid { name, expected: "a code of capitals and digits" })
    }
}
