//! Objects that are derived from a series and stored beside it: segmentations (SEG) and structure sets (RTSTRUCT).
//!
//! An object belongs to the study of its source and refers to each of its slices. What identifies the patient and the study
//! is copied as it is; nothing is invented but the object's own UIDs. Files are written whole or not at all.
//!
//! Source: DICOM PS3.3 (A.51 Segmentation IOD, C.8.20 Segmentation, A.19 RT Structure Set IOD, C.8.8.5 to C.8.8.8).

mod code;
mod encode;
mod outline;
mod segmentation;
mod source;
mod structure_set;
mod value;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use self::encode::DataSet;

pub use code::{Code, SegmentKind};
pub use segmentation::{NewSegment, SegmentationEncoding, write_segmentation};
pub use source::SourceSeries;
pub use structure_set::{NewStructure, write_structure_set};
pub use value::{Moment, Uid};

/// What made an object, and when.
pub struct Origin<'a> {
    /// Name of the program.
    pub program: String,
    /// Its version.
    pub version: String,
    /// Name of the algorithm, for example that of the network's weights; up to 64 characters are stored.
    pub algorithm: String,
    /// What is needed to reproduce the result: hashes, prompts. Up to 10,240 characters are stored.
    pub parameters: String,
    /// What lists of series show.
    pub series_description: String,
    /// When.
    pub moment: Moment,
    /// Gives the next of the object's UIDs, which no other object may have.
    pub next_uid: &'a mut dyn FnMut() -> Uid,
}

/// The attributes that both kinds of objects have: the patient and study of the source, the series and equipment of their own.
fn common(source: &SourceSeries, origin: &mut Origin<'_>, modality: &str, class: &str) -> (DataSet, Uid) {
    let mut set = DataSet::default();
    source.copy_to(&mut set);
    let instance = (origin.next_uid)();
    set.text(tags::SOP_CLASS_UID, VR::UI, class);
    set.text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str());
    set.text(tags::MODALITY, VR::CS, modality);
    set.text(tags::SERIES_INSTANCE_UID, VR::UI, (origin.next_uid)().as_str());
    set.text(tags::SERIES_NUMBER, VR::IS, SERIES_NUMBER);
    set.text(tags::INSTANCE_NUMBER, VR::IS, "1");
    let own_text = |set: &mut DataSet, tag: Tag, text: &str, most: usize| {
        set.text(tag, VR::LO, &source.encodable(text, most));
    };
    own_text(&mut set, tags::SERIES_DESCRIPTION, &origin.series_description, 64);
    own_text(&mut set, tags::MANUFACTURER, &origin.program, 64);
    own_text(&mut set, tags::MANUFACTURER_MODEL_NAME, &origin.program, 64);
    own_text(&mut set, tags::SOFTWARE_VERSIONS, &origin.version, 64);
    set.text(tags::INSTANCE_CREATION_DATE, VR::DA, &origin.moment.date());
    set.text(tags::INSTANCE_CREATION_TIME, VR::TM, &origin.moment.time());
    set.text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, "+0000");
    (set, instance)
}

/// Series of a scanner have low numbers: a derived one comes behind them in lists.
const SERIES_NUMBER: &str = "9000";
