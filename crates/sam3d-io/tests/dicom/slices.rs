//! Slices of a made-up series.

use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

/// A patient's name and number that no output may have.
pub(crate) const NAME: &str = "Sekret^Patientin";
pub(crate) const ID: &str = "PID-4711-SEKRET";

pub(crate) const ROWS: usize = 4;
pub(crate) const COLUMNS: usize = 5;

/// One slice; what tests vary.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) series: String,
    pub(crate) position: [f64; 3],
    pub(crate) orientation: [f64; 6],
    pub(crate) image_type: &'static str,
    pub(crate) signed: bool,
    pub(crate) bits_stored: u16,
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
    /// Stored numbers, in the order of rows.
    pub(crate) stored: Vec<u16>,
    pub(crate) transfer_syntax: &'static str,
}

impl Slice {
    /// Slice number `k` of an axial series, 2.5 mm apart, its stored numbers `100 k + 10 j + i`.
    pub(crate) fn number(k: usize) -> Self {
        let stored =
            (0..ROWS * COLUMNS).map(|n| (100 * k + 10 * (n / COLUMNS) + n % COLUMNS) as u16).collect();
        Self {
            series: "1.2.3".into(),
            position: [-10.0, -20.0, 30.0 + 2.5 * k as f64],
            orientation: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            image_type: "ORIGINAL\\PRIMARY\\AXIAL",
            signed: true,
            bits_stored: 16,
            slope: 1.0,
            intercept: 0.0,
            stored,
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
        }
    }

    pub(crate) fn object(&self) -> InMemDicomObject {
        let mut object = InMemDicomObject::new_empty();
        let decimals = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join("\\");
        let mut text = |tag: Tag, vr: VR, value: &str| {
            object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        };
        text(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
        text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4");
        text(tags::SERIES_INSTANCE_UID, VR::UI, &self.series);
        text(tags::MODALITY, VR::CS, "CT");
        text(tags::IMAGE_TYPE, VR::CS, self.image_type);
        text(tags::PATIENT_NAME, VR::PN, NAME);
        text(tags::PATIENT_ID, VR::LO, ID);
        text(tags::PATIENT_BIRTH_DATE, VR::DA, "19000101");
        text(tags::SERIES_DESCRIPTION, VR::LO, NAME);
        text(tags::SLICE_THICKNESS, VR::DS, "7");
        text(tags::IMAGE_POSITION_PATIENT, VR::DS, &decimals(&self.position));
        text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, &decimals(&self.orientation));
        text(tags::PIXEL_SPACING, VR::DS, "0.75\\0.5");
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
        text(tags::RESCALE_SLOPE, VR::DS, &self.slope.to_string());
        text(tags::RESCALE_INTERCEPT, VR::DS, &self.intercept.to_string());
        let mut short = |tag: Tag, value: u16| {
            object.put(DataElement::new(tag, VR::US, dicom_value!(U16, [value])));
        };
        short(tags::SAMPLES_PER_PIXEL, 1);
        short(tags::ROWS, ROWS as u16);
        short(tags::COLUMNS, COLUMNS as u16);
        short(tags::BITS_ALLOCATED, 16);
        short(tags::BITS_STORED, self.bits_stored);
        short(tags::HIGH_BIT, self.bits_stored - 1);
        short(tags::PIXEL_REPRESENTATION, self.signed.into());
        object.put(DataElement::new(
            tags::PIXEL_DATA,
            VR::OW,
            PrimitiveValue::U16(self.stored.clone().into()),
        ));
        object
    }

    pub(crate) fn write(&self, path: &Path) {
        write(self.object(), self.transfer_syntax, path);
    }
}

pub(crate) fn write(object: InMemDicomObject, transfer_syntax: &str, path: &Path) {
    let meta = FileMetaTableBuilder::new().transfer_syntax(transfer_syntax);
    object.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

/// Writes `slices` under names whose order is not theirs, and returns the directory.
pub(crate) fn directory(slices: &[Slice]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (n, slice) in slices.iter().enumerate() {
        slice.write(&path_of(directory.path(), n));
    }
    directory
}

pub(crate) fn path_of(directory: &Path, n: usize) -> PathBuf {
    directory.join(format!("IM{:03}", (n * 7 + 3) % 101))
}
