//! Masks as DICOM objects beside the series they belong to.

use std::path::Path;

use anyhow::{Context, bail};
use ndarray::ArrayView3;
use sam3d_io::{
    Format, IoError, OutputFormat,
    atomic::Overwrite,
    dicom::{
        Segmentation, StructureSet,
        derived::{
            Moment, NewSegment, NewStructure, Origin, SegmentKind, SegmentationEncoding, SourceSeries, Uid,
            write_segmentation, write_structure_set,
        },
    },
};

/// What a mask is written as; the file's name says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskOutput {
    /// A volume.
    Volume(OutputFormat),
    /// `.dcm`: a DICOM segmentation.
    Segmentation,
    /// `.rtstruct.dcm`: an RT structure set.
    StructureSet,
}

/// The orange of predictions in pictures.
const COLOUR: [u8; 3] = [255, 140, 0];

impl MaskOutput {
    /// What the name of `path` asks for.
    ///
    /// # Errors
    /// If its ending is unknown.
    pub fn of_path(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".rtstruct.dcm") {
            return Ok(Self::StructureSet);
        }
        if name.ends_with(".dcm") {
            return Ok(Self::Segmentation);
        }
        match OutputFormat::of_path(path) {
            Ok(format) => Ok(Self::Volume(format)),
            Err(error @ IoError::ExtensionUnknown { .. }) => {
                Err(error).context("a mask of a DICOM image may also end in .dcm or .rtstruct.dcm")
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The series a DICOM object is stored beside; `None` for a volume.
    ///
    /// # Errors
    /// If `image` is not a DICOM series, or lacks what an object copies.
    pub fn source(self, image: &Path, series: Option<&str>) -> anyhow::Result<Option<SourceSeries>> {
        if let Self::Volume(_) = self {
            return Ok(None);
        }
        if Format::recognise(image)? != Format::Dicom
            || StructureSet::is_at(image)?
            || Segmentation::is_at(image)?
        {
            bail!(
                "{}: a DICOM segmentation or structure set belongs to a DICOM series, which this is not; write .seg.nrrd or .nii.gz",
                image.display()
            );
        }
        Ok(Some(SourceSeries::read(image, series)?))
    }
}

/// What a DICOM object says of its mask.
pub struct Described<'a> {
    /// Name of the segment or structure.
    pub name: &'a str,
    /// What it is.
    pub kind: &'a SegmentKind,
    /// How a segmentation's voxels are stored.
    pub encoding: SegmentationEncoding,
    /// Names of weights, or paths of their files.
    pub weights: Vec<String>,
    /// What it takes to reproduce the mask.
    pub parameters: String,
}

/// Writes a mask, `[k, j, i]` of the series' volume, as `output` beside `source`.
///
/// # Errors
/// If the mask is empty or the file cannot be written.
pub fn write_object(
    path: &Path,
    output: MaskOutput,
    mask: ArrayView3<'_, u8>,
    source: &SourceSeries,
    described: Described<'_>,
    overwrite: Overwrite,
) -> anyhow::Result<()> {
    let Described { name, kind, encoding, weights, parameters } = described;
    let mut next_uid = || Uid::from_random(rand::random());
    let origin = Origin {
        program: "sam3d".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        algorithm: weights.iter().map(|path| file_name(path)).collect::<Vec<_>>().join(" and "),
        parameters,
        series_description: format!("sam3d: {name}"),
        moment: Moment::now(),
        next_uid: &mut next_uid,
    };
    let (name, kind) = (name.to_owned(), kind.clone());
    match output {
        MaskOutput::StructureSet => {
            let structure = NewStructure { name, kind, colour: COLOUR, mask };
            write_structure_set(path, &[structure], source, origin, overwrite)?;
        }
        MaskOutput::Segmentation | MaskOutput::Volume(_) => {
            let segment = NewSegment { label: name, kind, colour: COLOUR, mask };
            write_segmentation(path, &[segment], encoding, source, origin, overwrite)?;
        }
    }
    Ok(())
}

/// A file's name without its directories, which may be private.
fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_asks_for_an_object_or_a_volume() {
        let output = |name: &str| MaskOutput::of_path(Path::new(name)).ok();
        assert_eq!(output("a/mask.dcm"), Some(MaskOutput::Segmentation));
        assert_eq!(output("MASK.RTSTRUCT.DCM"), Some(MaskOutput::StructureSet));
        assert_eq!(output("a.seg.nrrd"), Some(MaskOutput::Volume(OutputFormat::Segmentation)));
        assert_eq!(output("a.png"), None);
    }
}
