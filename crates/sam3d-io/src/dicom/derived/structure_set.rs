//! Writing structure sets (RTSTRUCT).

use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use ndarray::{ArrayView3, Axis};

use super::{
    Origin, SegmentKind, SourceSeries,
    code::Code,
    common,
    encode::{DataSet, Form, write_file},
    outline::{Corner, contours},
    source::SourceSlice,
    value::decimal,
};
use crate::{IoError, atomic::Overwrite, dicom::DicomError};

/// The class of a study as a whole: retired, and still what references to one name.
const STUDY_CLASS: &str = "1.2.840.10008.3.1.2.3.1";

/// A structure to write.
pub struct NewStructure<'a> {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SegmentKind,
    /// Red, green and blue.
    pub colour: [u8; 3],
    /// Its voxels, those that are not 0, `[k, j, i]` on the source's grid.
    pub mask: ArrayView3<'a, u8>,
}

/// Writes the outlines of `structures` as an RT structure set of `source`.
///
/// Contours run along the edges of voxels, so that filling them gives every voxel back; a hole is a contour of its own. The
/// file is in implicit VR, because explicit VR has no room for a contour of some thousand points.
///
/// # Errors
/// [`DicomError::SegmentWithoutVoxels`] if a structure has no voxels, [`IoError::ShapeMismatch`] if its mask is not on the
/// source's grid, [`IoError::Exists`], [`IoError::Write`].
pub fn write_structure_set(
    path: &Path,
    structures: &[NewStructure<'_>],
    source: &SourceSeries,
    mut origin: Origin<'_>,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let class = uids::RT_STRUCTURE_SET_STORAGE;
    let (mut set, instance) = common(source, &mut origin, "RTSTRUCT", class);
    set.text(tags::OPERATORS_NAME, VR::PN, "");
    set.text(tags::STRUCTURE_SET_LABEL, VR::SH, "SEGMENTATION");
    set.text(tags::STRUCTURE_SET_DATE, VR::DA, &origin.moment.date());
    set.text(tags::STRUCTURE_SET_TIME, VR::TM, &origin.moment.time());
    set.text(tags::STRUCTURE_SET_DESCRIPTION, VR::ST, &source.encodable(&origin.algorithm, 64));
    set.text(tags::APPROVAL_STATUS, VR::CS, "UNAPPROVED");
    set.item(tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE, referenced(source));
    let (mut rois, mut outlines, mut observations) = (Vec::new(), Vec::new(), Vec::new());
    for (number, structure) in (1..).zip(structures) {
        let found: [usize; 3] = structure.mask.dim().into();
        let expected = source.grid.shape_kji();
        if found != expected {
            return Err(IoError::ShapeMismatch { expected, found });
        }
        let number = f64::from(number);
        let number = decimal(number);
        let contours = contours_of(structure, source);
        if contours.is_empty() {
            return Err(DicomError::SegmentWithoutVoxels { label: structure.name.clone() }.at(path));
        }
        let mut roi = DataSet::default();
        roi.text(tags::ROI_NUMBER, VR::IS, &number);
        roi.text(tags::REFERENCED_FRAME_OF_REFERENCE_UID, VR::UI, &source.frame_of_reference);
        roi.text(tags::ROI_NAME, VR::LO, &source.encodable(&structure.name, 64));
        roi.text(tags::ROI_GENERATION_ALGORITHM, VR::CS, "SEMIAUTOMATIC");
        rois.push(roi);
        let mut outline = DataSet::default();
        outline.text(tags::REFERENCED_ROI_NUMBER, VR::IS, &number);
        let colour = structure.colour.map(|part| part.to_string()).join("\\");
        outline.text(tags::ROI_DISPLAY_COLOR, VR::IS, &colour);
        outline.items(tags::CONTOUR_SEQUENCE, contours);
        outlines.push(outline);
        let mut observation = DataSet::default();
        observation.text(tags::OBSERVATION_NUMBER, VR::IS, &number);
        observation.text(tags::REFERENCED_ROI_NUMBER, VR::IS, &number);
        observation.item(tags::RTROI_IDENTIFICATION_CODE_SEQUENCE, Code::item(&structure.kind.code()));
        observation.text(tags::RTROI_INTERPRETED_TYPE, VR::CS, structure.kind.interpreted_type());
        observation.text(tags::ROI_INTERPRETER, VR::PN, "");
        observations.push(observation);
    }
    set.items(tags::STRUCTURE_SET_ROI_SEQUENCE, rois);
    set.items(tags::ROI_CONTOUR_SEQUENCE, outlines);
    set.items(tags::RTROI_OBSERVATIONS_SEQUENCE, observations);
    let uids = [class, instance.as_str(), uids::IMPLICIT_VR_LITTLE_ENDIAN];
    write_file(path, &set, uids, Form::Implicit, overwrite)
}

/// The frame of reference, with study, series and slices: viewers find the images by it.
fn referenced(source: &SourceSeries) -> DataSet {
    let mut series = DataSet::default();
    series.text(tags::SERIES_INSTANCE_UID, VR::UI, &source.series_uid);
    series.items(tags::CONTOUR_IMAGE_SEQUENCE, source.references());
    let mut study = DataSet::reference(STUDY_CLASS, &source.study_uid, None);
    study.item(tags::RT_REFERENCED_SERIES_SEQUENCE, series);
    let mut frame = DataSet::default();
    frame.text(tags::FRAME_OF_REFERENCE_UID, VR::UI, &source.frame_of_reference);
    frame.item(tags::RT_REFERENCED_STUDY_SEQUENCE, study);
    frame
}

fn contours_of(structure: &NewStructure<'_>, source: &SourceSeries) -> Vec<DataSet> {
    let steps = Steps::of(source);
    let mut items = Vec::new();
    for (plane, slice) in structure.mask.axis_iter(Axis(0)).zip(&source.slices) {
        for contour in contours(plane) {
            let mut item = DataSet::default();
            let points: Vec<String> =
                contour.iter().flat_map(|corner| steps.place(slice, *corner)).map(decimal).collect();
            item.item(
                tags::CONTOUR_IMAGE_SEQUENCE,
                DataSet::reference(&slice.class, &slice.instance, slice.frame),
            );
            item.text(tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSED_PLANAR");
            item.text(tags::NUMBER_OF_CONTOUR_POINTS, VR::IS, &contour.len().to_string());
            item.text(tags::CONTOUR_NUMBER, VR::IS, &(items.len() + 1).to_string());
            item.text(tags::CONTOUR_DATA, VR::DS, &points.join("\\"));
            items.push(item);
        }
    }
    items
}

/// From one column, and one row, to the next, LPS in mm.
struct Steps {
    column: [f64; 3],
    row: [f64; 3],
}

impl Steps {
    fn of(source: &SourceSeries) -> Self {
        let rows = source.grid.world_from_ijk().rows();
        // The grid is RAS.
        let lps = |axis: usize| [-rows[0][axis], -rows[1][axis], rows[2][axis]];
        Self { column: lps(0), row: lps(1) }
    }

    fn place(&self, slice: &SourceSlice, [column, row]: Corner) -> [f64; 3] {
        let [column, row] = [column, row].map(|corner| corner as f64 - 0.5);
        std::array::from_fn(|axis| {
            slice.position_mm[axis] + column * self.column[axis] + row * self.row[axis]
        })
    }
}
