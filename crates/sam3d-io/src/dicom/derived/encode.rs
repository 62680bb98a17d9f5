//! Data sets as bytes.

use std::{collections::BTreeMap, io::Write, path::Path};

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::Uid;
use crate::{
    IoError,
    atomic::{self, Overwrite},
    dicom::DicomError,
};

/// UID of this implementation of DICOM's files.
const IMPLEMENTATION_CLASS: &str = "2.25.289473320718064213377014925610834229881";
const IMPLEMENTATION_VERSION: &str = "SAM3D";
const ITEM: Tag = Tag(0xfffe, 0xe000);
const SEQUENCE_DELIMITER: Tag = Tag(0xfffe, 0xe0dd);

/// Whether elements say their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// They do; most values have up to 65,535 bytes.
    Explicit,
    /// They do not, and so may be long.
    Implicit,
}

/// Elements of a data set or item, by tag.
#[derive(Debug, Clone, Default)]
pub(super) struct DataSet(BTreeMap<Tag, (VR, Value)>);

#[derive(Debug, Clone)]
enum Value {
    Bytes(Vec<u8>),
    Items(Vec<DataSet>),
    /// Compressed frames.
    Fragments(Vec<Vec<u8>>),
}

impl DataSet {
    /// Sets a value to bytes that may need padding.
    pub(super) fn bytes(&mut self, tag: Tag, vr: VR, mut bytes: Vec<u8>) {
        if bytes.len() % 2 == 1 {
            bytes.push(if [VR::UI, VR::OB].contains(&vr) { 0 } else { b' ' });
        }
        self.0.insert(tag, (vr, Value::Bytes(bytes)));
    }

    pub(super) fn text(&mut self, tag: Tag, vr: VR, text: &str) {
        self.bytes(tag, vr, text.as_bytes().to_vec());
    }

    /// A 16-bit number.
    pub(super) fn short(&mut self, tag: Tag, number: u16) {
        self.bytes(tag, VR::US, number.to_le_bytes().to_vec());
    }

    /// 32-bit numbers.
    pub(super) fn longs(&mut self, tag: Tag, numbers: &[u32]) {
        self.bytes(tag, VR::UL, numbers.iter().flat_map(|number| number.to_le_bytes()).collect());
    }

    /// A tag as a value.
    pub(super) fn tag(&mut self, tag: Tag, value: Tag) {
        self.bytes(tag, VR::AT, tag_bytes(value).to_vec());
    }

    pub(super) fn items(&mut self, tag: Tag, items: Vec<Self>) {
        self.0.insert(tag, (VR::SQ, Value::Items(items)));
    }

    /// A sequence of one item.
    pub(super) fn item(&mut self, tag: Tag, item: Self) {
        self.items(tag, vec![item]);
    }

    /// Compressed pixels, a fragment for each frame.
    pub(super) fn fragments(&mut self, frames: Vec<Vec<u8>>) {
        self.0.insert(tags::PIXEL_DATA, (VR::OB, Value::Fragments(frames)));
    }

    fn encode(&self, form: Form, to: &mut Vec<u8>) -> Result<(), DicomError> {
        for (tag, (vr, value)) in &self.0 {
            match value {
                Value::Bytes(bytes) => {
                    header(*tag, *vr, Some(bytes.len()), form, to)?;
                    to.extend(bytes);
                }
                Value::Items(items) => {
                    let mut encoded = Vec::new();
                    for item in items {
                        let mut content = Vec::new();
                        item.encode(form, &mut content)?;
                        item_header(ITEM, content.len(), &mut encoded)?;
                        encoded.append(&mut content);
                    }
                    header(*tag, *vr, Some(encoded.len()), form, to)?;
                    to.append(&mut encoded);
                }
                Value::Fragments(frames) => {
                    header(*tag, *vr, None, form, to)?;
                    // No table of offsets: one fragment is one frame.
                    item_header(ITEM, 0, to)?;
                    for frame in frames {
                        let padding = frame.len() % 2;
                        item_header(ITEM, frame.len() + padding, to)?;
                        to.extend(frame);
                        to.extend(vec![0; padding]);
                    }
                    item_header(SEQUENCE_DELIMITER, 0, to)?;
                }
            }
        }
        Ok(())
    }
}

fn tag_bytes(Tag(group, element): Tag) -> [u8; 4] {
    let ([a, b], [c, d]) = (group.to_le_bytes(), element.to_le_bytes());
    [a, b, c, d]
}

fn item_header(tag: Tag, length: usize, to: &mut Vec<u8>) -> Result<(), DicomError> {
    to.extend(tag_bytes(tag));
    to.extend(long_length(tag, length)?);
    Ok(())
}

/// The header of an element; without a length it ends at a delimiter.
fn header(tag: Tag, vr: VR, length: Option<usize>, form: Form, to: &mut Vec<u8>) -> Result<(), DicomError> {
    let long = |length: Option<usize>| match length {
        Some(length) => long_length(tag, length),
        None => Ok([0xff; 4]),
    };
    to.extend(tag_bytes(tag));
    if form == Form::Implicit {
        to.extend(long(length)?);
        return Ok(());
    }
    to.extend(vr.to_bytes());
    if [VR::OB, VR::OW, VR::SQ, VR::UN, VR::UT, VR::UC].contains(&vr) {
        to.extend([0, 0]);
        to.extend(long(length)?);
        return Ok(());
    }
    let length = length.unwrap_or(0);
    let short = u16::try_from(length).map_err(|_| too_long(tag, length, u16::MAX.into()))?;
    to.extend(short.to_le_bytes());
    Ok(())
}

fn long_length(tag: Tag, length: usize) -> Result<[u8; 4], DicomError> {
    // The largest number stands for no length.
    let most = u32::MAX - 1;
    match u32::try_from(length) {
        Ok(length) if length <= most => Ok(length.to_le_bytes()),
        _ => Err(too_long(tag, length, most.into())),
    }
}

fn too_long(Tag(group, element): Tag, bytes: usize, most: u64) -> DicomError {
    DicomError::ValueTooLong { tag: format!("({group:04X},{element:04X})"), bytes, most }
}

/// Writes `set` as a file of the class `class` in the transfer syntax `syntax`, whose elements have the form `form`.
pub(super) fn write_file(
    path: &Path,
    set: &DataSet,
    [class, instance, syntax]: [&str; 3],
    form: Form,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let mut meta = DataSet::default();
    meta.bytes(tags::FILE_META_INFORMATION_VERSION, VR::OB, vec![0, 1]);
    meta.text(tags::MEDIA_STORAGE_SOP_CLASS_UID, VR::UI, class);
    meta.text(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, VR::UI, instance);
    meta.text(tags::TRANSFER_SYNTAX_UID, VR::UI, syntax);
    meta.text(tags::IMPLEMENTATION_CLASS_UID, VR::UI, IMPLEMENTATION_CLASS);
    meta.text(tags::IMPLEMENTATION_VERSION_NAME, VR::SH, IMPLEMENTATION_VERSION);
    // Everything is encoded before the file is begun.
    let encoded = || -> Result<Vec<u8>, DicomError> {
        let (mut group, mut length) = (Vec::new(), DataSet::default());
        meta.encode(Form::Explicit, &mut group)?;
        length.longs(tags::FILE_META_INFORMATION_GROUP_LENGTH, &[group.len() as u32]);
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        length.encode(Form::Explicit, &mut bytes)?;
        bytes.append(&mut group);
        set.encode(form, &mut bytes)?;
        Ok(bytes)
    };
    let bytes = encoded().map_err(|error| error.at(path))?;
    atomic::write(path, overwrite, |file| file.write_all(&bytes))
}

impl DataSet {
    /// References to instances: class and instance, and the frame in a file of several.
    pub(super) fn reference(class: &str, instance: &str, frame: Option<usize>) -> Self {
        let mut item = Self::default();
        item.text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class);
        item.text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance);
        if let Some(frame) = frame {
            item.text(tags::REFERENCED_FRAME_NUMBER, VR::IS, &(frame + 1).to_string());
        }
        item
    }

    /// An item that holds one UID.
    pub(super) fn of_uid(tag: Tag, uid: &Uid) -> Self {
        let mut item = Self::default();
        item.text(tag, VR::UI, uid.as_str());
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_does_not_fit_is_an_error_in_explicit_form_alone() {
        let mut set = DataSet::default();
        set.text(tags::CONTOUR_DATA, VR::DS, &"1.5\\".repeat(20_000));
        let mut bytes = Vec::new();
        let error = set.encode(Form::Explicit, &mut bytes).unwrap_err().to_string();
        assert!(error.contains("(3006,0050)") && error.contains("80000"), "{error}");
        bytes.clear();
        set.encode(Form::Implicit, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 8 + 80_000);
        // Nothing is left behind where a file cannot be encoded.
        let place = tempfile::tempdir().unwrap();
        let uids = ["1.2", "1.3", "1.2.840.10008.1.2.1"];
        let path = place.path().join("a.dcm");
        assert!(write_file(&path, &set, uids, Form::Explicit, Overwrite::Refuse).is_err());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
