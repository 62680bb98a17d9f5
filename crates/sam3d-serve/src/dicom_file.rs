//! Masks as DICOM objects beside the series that was segmented.

use std::{fs, path::Path};

use bytes::Bytes;
use ndarray::Array3;
use sam3d_infer::{MaskPart, SessionLog};
use sam3d_io::{
    Format, IoError,
    atomic::Overwrite,
    dicom::{
        DicomError, Segmentation, StructureSet,
        derived::{
            Moment, NewSegment, NewStructure, Origin, SegmentKind, SegmentationEncoding, SourceSeries, Uid,
            write_segmentation, write_structure_set,
        },
    },
};
use serde_json::json;

use crate::{images::Located, refusal::Refusal};

/// Characters that an object has room for.
const MOST_PARAMETERS: usize = 10_240;

/// What a DICOM object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectFormat {
    /// A segmentation: a bit for each voxel, segments may overlap.
    Segmentation,
    /// A segmentation as a label map.
    LabelMap,
    /// An RT structure set.
    StructureSet,
}

/// One object of the user's.
pub(crate) struct DicomMask {
    pub(crate) name: String,
    /// Red, green and blue from 0 to 1.
    pub(crate) colour: [f32; 3],
    pub(crate) mask: MaskPart,
    pub(crate) description: Description,
}

/// What an object is, and how its mask was made.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    pub(crate) kind: SegmentKind,
    /// The prompts; none if everything was painted by hand.
    pub(crate) log: Option<SessionLog>,
    /// Whether something was painted by hand.
    pub(crate) is_edited: bool,
}

/// The bytes of a file with `masks`, made in `directory` and removed from there. `algorithm` names the weights.
pub(crate) fn encode(
    directory: &Path,
    located: &Located,
    masks: &[DicomMask],
    format: ObjectFormat,
    algorithm: &str,
) -> Result<Bytes, Refusal> {
    let failed = |error: &dyn std::error::Error| Refusal::internal("write the DICOM object", error);
    let source = source(located)?;
    let shape = source.grid().shape_kji();
    let mut painted = Vec::with_capacity(masks.len());
    for object in masks {
        let mut mask = Array3::<u8>::zeros(shape);
        object.mask.paint(&mut mask, 1).map_err(|error| Refusal::of_prediction(&error))?;
        painted.push(mask);
    }
    let place =
        tempfile::Builder::new().prefix("mask-").tempdir_in(directory).map_err(|error| failed(&error))?;
    let path = place.path().join("mask.dcm");
    let mut next_uid = || Uid::from_random(rand::random());
    let names: Vec<&str> = masks.iter().map(|object| object.name.as_str()).collect();
    let origin = Origin {
        program: "sam3d".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        algorithm: algorithm.to_owned(),
        parameters: parameters(masks),
        series_description: format!("sam3d: {}", names.join(", ")),
        moment: Moment::now(),
        next_uid: &mut next_uid,
    };
    let parts = || masks.iter().zip(&painted);
    let written = match format {
        ObjectFormat::StructureSet => {
            let structures: Vec<NewStructure<'_>> = parts()
                .map(|(object, mask)| NewStructure {
                    name: object.name.clone(),
                    kind: object.description.kind.clone(),
                    colour: colour(object.colour),
                    mask: mask.view(),
                })
                .collect();
            write_structure_set(&path, &structures, &source, origin, Overwrite::Refuse)
        }
        ObjectFormat::Segmentation | ObjectFormat::LabelMap => {
            let encoding = match format {
                ObjectFormat::LabelMap => SegmentationEncoding::LabelMap,
                _ => SegmentationEncoding::Binary,
            };
            let segments: Vec<NewSegment<'_>> = parts()
                .map(|(object, mask)| NewSegment {
                    label: object.name.clone(),
                    kind: object.description.kind.clone(),
                    colour: colour(object.colour),
                    mask: mask.view(),
                })
                .collect();
            write_segmentation(&path, &segments, encoding, &source, origin, Overwrite::Refuse)
        }
    };
    written.map_err(|error| match error.problem() {
        IoError::Dicom { problem, .. } if is_of_masks(problem) => {
            Refusal::of_volume(&error, &path, "the DICOM object")
        }
        _ => failed(&error),
    })?;
    fs::read(&path).map(Bytes::from).map_err(|error| failed(&error))
}

/// Whether other masks could be written.
fn is_of_masks(problem: &DicomError) -> bool {
    matches!(problem, DicomError::SegmentWithoutVoxels { .. } | DicomError::SegmentsOverlap { .. })
}

/// The series that an object belongs to.
fn source(located: &Located) -> Result<SourceSeries, Refusal> {
    let Located { path, series, file_name, .. } = located;
    let refused = |error: IoError| Refusal::of_volume(&error, path, file_name);
    let is_series = Format::recognise(path).map_err(refused)? == Format::Dicom
        && !StructureSet::is_at(path).map_err(refused)?
        && !Segmentation::is_at(path).map_err(refused)?;
    if !is_series {
        return Err(Refusal::bad_request(
            "a DICOM segmentation or structure set belongs to a DICOM series, which this image is not; choose another format",
        ));
    }
    SourceSeries::read(path, series.as_deref()).map_err(refused)
}

/// What it takes to make the masks again: the session of each object, which names the weights by their hash, if there is room.
fn parameters(masks: &[DicomMask]) -> String {
    let sessions: Vec<_> = masks.iter().map(|object| &object.description.log).collect();
    let edited: Vec<_> = masks.iter().map(|object| object.description.is_edited).collect();
    let whole = json!({ "sessions": sessions, "edited_by_hand": edited });
    let text = whole.to_string();
    if text.len() <= MOST_PARAMETERS {
        return text;
    }
    let weights =
        sessions.iter().position(|log| log.is_some()).map(|at| &whole["sessions"][at]["weights_sha256"]);
    json!({ "weights_sha256": weights, "sessions": "too long to be stored here" }).to_string()
}

fn colour(parts: [f32; 3]) -> [u8; 3] {
    parts.map(|part| (part.clamp(0.0, 1.0) * 255.0).round() as u8)
}
