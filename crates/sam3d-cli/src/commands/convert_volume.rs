//! `sam3d convert-volume`: a volume to another format.

use std::{fmt, path::PathBuf};

use sam3d_io::{Format, IoError, OutputFormat, ValueType, Volume, atomic::Overwrite};
use serde::Serialize;

use super::writable::check_writable;
use crate::{
    args::{ConvertVolumeArgs, GlobalArgs},
    output,
};

/// The stored axis that runs from one row of a slice to the next.
const ROWS: usize = 1;

/// Writes the volume and prints what was written.
///
/// # Errors
/// If the volume cannot be read or written.
pub fn run(args: &ConvertVolumeArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    check_writable(&args.out, args.force)?;
    let format = OutputFormat::of_path(&args.out)?;
    let mut volume = args.reading.read(&args.input)?;
    if args.threshold.is_some() {
        volume = volume.into_labels(&args.input, args.threshold)?;
    }
    if format == OutputFormat::Nifti && Format::recognise(&args.input)? == Format::Dicom {
        volume = volume.with_axis_reversed(ROWS)?;
    }
    let overwrite = if args.force { Overwrite::Replace } else { Overwrite::Refuse };
    let value_type = write(args, &volume, overwrite)?;
    let report = Report {
        out: args.out.clone(),
        shape_ijk: volume.grid.shape_ijk(),
        spacing_ijk_mm: volume.grid.spacing_ijk_mm(),
        value_type: value_type.to_string(),
    };
    output::emit(&report, global.json)
}

/// Writes the values in the smallest type that holds them all.
fn write(args: &ConvertVolumeArgs, volume: &Volume, overwrite: Overwrite) -> Result<ValueType, IoError> {
    let (out, grid, data) = (&args.out, &volume.grid, &volume.data);
    let whole_within =
        |low: f32, high: f32| data.iter().all(|value| value.fract() == 0.0 && (low..=high).contains(value));
    let (low, high) = (f32::from(i16::MIN), f32::from(i16::MAX));
    if volume.value_type == ValueType::Uint8 && whole_within(0.0, f32::from(u8::MAX)) {
        sam3d_io::write(out, data.mapv(|value| value as u8).view(), grid, overwrite)?;
        return Ok(ValueType::Uint8);
    }
    if whole_within(low, high) {
        sam3d_io::write(out, data.mapv(|value| value as i16).view(), grid, overwrite)?;
        return Ok(ValueType::Int16);
    }
    if whole_within(0.0, f32::from(u16::MAX)) {
        sam3d_io::write(out, data.mapv(|value| value as u16).view(), grid, overwrite)?;
        return Ok(ValueType::Uint16);
    }
    sam3d_io::write(out, data.view(), grid, overwrite)?;
    Ok(ValueType::Float32)
}

#[derive(Serialize)]
struct Report {
    out: PathBuf,
    shape_ijk: [usize; 3],
    spacing_ijk_mm: [f64; 3],
    value_type: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([i, j, k], [x, y, z]) = (self.shape_ijk, self.spacing_ijk_mm);
        writeln!(f, "written  {}", self.out.display())?;
        writeln!(f, "voxels   {i} x {j} x {k} (i, j, k), {x:.4} x {y:.4} x {z:.4} mm, {}", self.value_type)
    }
}
