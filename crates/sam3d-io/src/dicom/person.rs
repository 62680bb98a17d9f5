use std::path::Path;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

use super::{file::DicomFile, parser::Token, value};
use crate::IoError;

const MOST_VALUE_BYTES: u64 = 1 << 16;

/// Attributes that tell who was imaged, when, where and by whom, and free text in which that is often repeated.
const FIELDS: [(Tag, &str); 16] = [
    (tags::STUDY_DATE, "study date"),
    (tags::STUDY_TIME, "study time"),
    (tags::ACCESSION_NUMBER, "accession number"),
    (tags::INSTITUTION_NAME, "institution"),
    (tags::REFERRING_PHYSICIAN_NAME, "referring physician"),
    (tags::STATION_NAME, "station"),
    (tags::STUDY_DESCRIPTION, "study description"),
    (tags::SERIES_DESCRIPTION, "series description"),
    (tags::OPERATORS_NAME, "operators"),
    (tags::PATIENT_NAME, "patient name"),
    (tags::PATIENT_ID, "patient id"),
    (tags::PATIENT_BIRTH_DATE, "birth date"),
    (tags::PATIENT_SEX, "sex"),
    (tags::PATIENT_AGE, "age"),
    (tags::PATIENT_WEIGHT, "weight"),
    (tags::PATIENT_COMMENTS, "comments"),
];

/// What the DICOM file at `path` says of a person: the name and the value of each attribute that has one, in the file's
/// order. For a user who asks for it; nothing else in this crate reads these attributes.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, or is damaged.
pub fn personal_fields(path: &Path) -> Result<Vec<(&'static str, String)>, IoError> {
    let mut file = DicomFile::open(path)?;
    let (mut fields, mut text) = (Vec::new(), SpecificCharacterSet::default());
    loop {
        match file.parser.next().map_err(|error| error.at(path))? {
            Token::Element(tag) if tag > tags::PATIENT_COMMENTS => return Ok(fields),
            Token::Element(tag) => {
                let name = FIELDS.iter().find(|(field, _)| *field == tag).map(|(_, name)| *name);
                if name.is_none() && tag != tags::SPECIFIC_CHARACTER_SET {
                    continue;
                }
                let bytes = file.parser.take(MOST_VALUE_BYTES).map_err(|error| error.at(path))?;
                let Some(name) = name else {
                    let code = value::texts(&bytes);
                    let known = code.last().and_then(|code| SpecificCharacterSet::from_code(code));
                    text = known.unwrap_or_default();
                    continue;
                };
                let value = text.decode(&bytes).unwrap_or_else(|_| value::text(&bytes));
                let value = value.trim_matches([' ', '\0']).replace(char::is_control, " ");
                if !value.is_empty() {
                    fields.push((name, value));
                }
            }
            Token::SequenceStart(_) => file.parser.skip_sequence().map_err(|error| error.at(path))?,
            _ => return Ok(fields),
        }
    }
}
