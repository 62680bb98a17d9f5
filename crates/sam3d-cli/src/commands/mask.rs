//! `sam3d mask`: a structure or segment as a mask on the grid of its image.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ndarray::Array3;
use sam3d_io::{
    Format, Grid, OutputFormat,
    atomic::Overwrite,
    dicom::{MaskOptions, Segmentation, SeriesSummary, StructureSet, series_of},
    nrrd::Segment,
};
use serde::Serialize;

use super::writable::check_writable;
use crate::{
    args::{GlobalArgs, MaskArgs},
    output,
};

/// Writes the mask and prints its path and volume.
///
/// # Errors
/// If a file cannot be read or written, or the structure or segment is missing or outside the image.
pub fn run(args: &MaskArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    check_writable(&args.out, args.force)?;
    OutputFormat::of_path(&args.out)?;
    let found = match (&args.seg, &args.rtstruct, &args.image) {
        (Some(seg), ..) => of_segment(args, seg)?,
        (None, Some(structures), Some(image)) => of_structure(args, structures, image)?,
        _ => bail!("name a structure set and its image, or a segmentation"),
    };
    for warning in &found.warnings {
        tracing::warn!("{}: {}: {warning}", found.path.display(), found.label);
    }
    let ConvertedMask { mask, grid, name, parts, warnings, .. } = found;

    let label = args.label.get();
    let overwrite = if args.force { Overwrite::Replace } else { Overwrite::Refuse };
    let segments = [Segment::new(&name, label)];
    let labelled = mask.mapv(|value| value * label);
    sam3d_io::write_segmentation(&args.out, labelled.view(), &grid, &segments, overwrite)?;
    let voxels = mask.iter().filter(|value| **value != 0).count();
    if voxels == 0 {
        tracing::warn!("the mask is empty: no voxel's centre lies inside");
    }
    let voxel_mm3: f64 = grid.spacing_ijk_mm().iter().product();
    let report = Report {
        mask: args.out.clone(),
        structure: name,
        parts,
        warnings,
        voxels,
        volume_ml: voxels as f64 * voxel_mm3 / 1000.0,
    };
    output::emit(&report, global.json)
}

/// A mask, and what it was made from.
struct ConvertedMask<'a> {
    path: &'a Path,
    mask: Array3<u8>,
    grid: Grid,
    /// Number and name, for warnings.
    label: String,
    name: String,
    parts: Parts,
    warnings: Vec<String>,
}

fn of_structure<'a>(args: &MaskArgs, path: &'a Path, image: &Path) -> anyhow::Result<ConvertedMask<'a>> {
    let shown = || path.display().to_string();
    let structures = StructureSet::read(path)?;
    let roi = structures.choose(args.roi.as_deref()).with_context(shown)?;
    let grid = args.reading.read(image)?.grid;
    let made = roi.mask(&grid, MaskOptions { fill_gaps: args.fill_gaps }).with_context(shown)?;
    let mut warnings = made.warnings;
    warnings.extend(series(args)?.and_then(|series| structures.check_refers_to(&series)));
    Ok(ConvertedMask {
        path,
        mask: made.mask,
        grid,
        label: roi.label(),
        name: roi.name.clone(),
        parts: Parts::Contours { contours: roi.contours.len() },
        warnings: warnings.iter().map(ToString::to_string).collect(),
    })
}

fn of_segment<'a>(args: &MaskArgs, path: &'a Path) -> anyhow::Result<ConvertedMask<'a>> {
    let shown = || path.display().to_string();
    let segmentation = Segmentation::read(path, args.reading.limits())?;
    let segment = segmentation.choose(args.segment.as_deref()).with_context(shown)?;
    let grid = match &args.image {
        Some(image) => args.reading.read(image)?.grid,
        None => segmentation.own_grid(path, args.reading.limits())?,
    };
    let mask = segmentation.mask(segment.number, &grid, Some(args.threshold)).with_context(shown)?;
    let warning = series(args)?.and_then(|series| segmentation.check_refers_to(&series));
    Ok(ConvertedMask {
        path,
        mask,
        grid,
        label: segment.name(),
        name: segment.label.clone(),
        parts: Parts::Frames { frames: segment.frames },
        warnings: warning.iter().map(ToString::to_string).collect(),
    })
}

/// The series of the image, if it is DICOM.
fn series(args: &MaskArgs) -> anyhow::Result<Option<SeriesSummary>> {
    let Some(image) = &args.image else { return Ok(None) };
    if Format::recognise(image)? != Format::Dicom {
        return Ok(None);
    }
    Ok(Some(series_of(image, args.reading.series.as_deref())?))
}

/// What a mask was made from.
#[derive(Serialize)]
#[serde(untagged)]
enum Parts {
    Contours { contours: usize },
    Frames { frames: usize },
}

#[derive(Serialize)]
struct Report {
    mask: PathBuf,
    structure: String,
    #[serde(flatten)]
    parts: Parts,
    warnings: Vec<String>,
    voxels: usize,
    volume_ml: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = match self.parts {
            Parts::Contours { contours } => format!("{contours} contours"),
            Parts::Frames { frames } => format!("{frames} frames"),
        };
        writeln!(f, "mask       {}", self.mask.display())?;
        writeln!(f, "structure  {} ({parts})", self.structure)?;
        writeln!(f, "volume     {:.2} ml ({} voxels)", self.volume_ml, self.voxels)
    }
}
