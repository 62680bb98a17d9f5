//! `sam3d mask`: contours to a mask on the grid of the image they were drawn on.

use std::{fmt, path::PathBuf};

use anyhow::Context;
use sam3d_io::{
    Format, OutputFormat,
    atomic::Overwrite,
    dicom::{MaskOptions, StructureSet, series_of},
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
/// If a file cannot be read or written, or the structure is missing or outside the image.
pub fn run(args: &MaskArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    check_writable(&args.out, args.force)?;
    OutputFormat::of_path(&args.out)?;
    let path = || args.rtstruct.display().to_string();
    let structures = StructureSet::read(&args.rtstruct)?;
    let roi = structures.choose(args.roi.as_deref()).with_context(path)?;
    let image = args.reading.read(&args.image)?;
    let made = roi.mask(&image.grid, MaskOptions { fill_gaps: args.fill_gaps }).with_context(path)?;
    let mut warnings = made.warnings;
    if Format::recognise(&args.image)? == Format::Dicom {
        let series = series_of(&args.image, args.reading.series.as_deref())?;
        warnings.extend(structures.check_refers_to(&series));
    }
    for warning in &warnings {
        tracing::warn!("{}: {}: {warning}", args.rtstruct.display(), roi.label());
    }
    let mask = made.mask;

    let label = args.label.get();
    let overwrite = if args.force { Overwrite::Replace } else { Overwrite::Refuse };
    let segments = [Segment::new(&roi.name, label)];
    let labelled = mask.mapv(|value| value * label);
    sam3d_io::write_segmentation(&args.out, labelled.view(), &image.grid, &segments, overwrite)?;
    let voxels = mask.iter().filter(|value| **value != 0).count();
    if voxels == 0 {
        tracing::warn!("the mask is empty: no voxel's centre lies inside the contours");
    }
    let voxel_mm3: f64 = image.grid.spacing_ijk_mm().iter().product();
    let report = Report {
        mask: args.out.clone(),
        structure: roi.name.clone(),
        contours: roi.contours.len(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
        voxels,
        volume_ml: voxels as f64 * voxel_mm3 / 1000.0,
    };
    output::emit(&report, global.json)
}

#[derive(Serialize)]
struct Report {
    mask: PathBuf,
    structure: String,
    contours: usize,
    warnings: Vec<String>,
    voxels: usize,
    volume_ml: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mask       {}", self.mask.display())?;
        writeln!(f, "structure  {} ({} contours)", self.structure, self.contours)?;
        writeln!(f, "volume     {:.2} ml ({} voxels)", self.volume_ml, self.voxels)
    }
}
