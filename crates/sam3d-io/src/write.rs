use std::{
    io::{self, Write},
    path::Path,
};

use ndarray::{ArrayView3, Axis};

use crate::{Grid, IoError, ValueType, atomic::Overwrite, nifti, nrrd, nrrd::Segment};

/// How a volume is written; a file's name says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// `.nii`, `.nii.gz`.
    Nifti,
    /// `.nrrd`: the values alone.
    Nrrd,
    /// `.seg.nrrd`: with what 3D Slicer shows of each segment, its name and colour.
    Segmentation,
}

impl OutputFormat {
    /// The format that the name of `path` asks for.
    ///
    /// # Errors
    /// [`IoError::ExtensionUnknown`].
    pub fn of_path(path: &Path) -> Result<Self, IoError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let ends = |ending: &str| name.ends_with(ending);
        if ends(".nii") || ends(".nii.gz") {
            Ok(Self::Nifti)
        } else if ends(".seg.nrrd") {
            Ok(Self::Segmentation)
        } else if ends(".nrrd") {
            Ok(Self::Nrrd)
        } else {
            Err(IoError::ExtensionUnknown { path: path.to_owned() })
        }
    }
}

/// Writes a mask, indexed `[k, j, i]`, as uint8 on `grid`, in the format of the path's name; a `.seg.nrrd` has one segment
/// for each value, named after it.
///
/// The file is complete or not there.
///
/// # Errors
/// [`IoError::ExtensionUnknown`], [`IoError::ShapeMismatch`] if the array is not of the grid's shape,
/// [`IoError::Exists`] if the file is there and `overwrite` refuses, [`IoError::Write`] with the system's reason.
pub fn write_mask(
    path: &Path,
    mask: ArrayView3<'_, u8>,
    grid: &Grid,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let mut found = [false; 256];
    mask.iter().for_each(|value| found[usize::from(*value)] = true);
    let segments: Vec<Segment> = (1..=u8::MAX)
        .filter(|label| found[usize::from(*label)])
        .map(|label| Segment::new(format!("label {label}"), label))
        .collect();
    write_segmentation(path, mask, grid, &segments, overwrite)
}

/// Writes a mask whose values are those of `segments`; formats that have no names for them hold the values alone.
///
/// # Errors
/// As [`write_mask`].
pub fn write_segmentation(
    path: &Path,
    mask: ArrayView3<'_, u8>,
    grid: &Grid,
    segments: &[Segment],
    overwrite: Overwrite,
) -> Result<(), IoError> {
    match OutputFormat::of_path(path)? {
        OutputFormat::Nifti => nifti::write_mask(path, mask, grid, overwrite),
        OutputFormat::Nrrd => nrrd::write(path, mask, grid, None, overwrite),
        OutputFormat::Segmentation => nrrd::write(path, mask, grid, Some(segments), overwrite),
    }
}

/// Writes values, indexed `[k, j, i]`, as float32; otherwise as [`write_mask`].
///
/// # Errors
/// As [`write_mask`].
pub fn write_f32(
    path: &Path,
    values: ArrayView3<'_, f32>,
    grid: &Grid,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    match OutputFormat::of_path(path)? {
        OutputFormat::Nifti => nifti::write_f32(path, values, grid, overwrite),
        OutputFormat::Nrrd | OutputFormat::Segmentation => nrrd::write(path, values, grid, None, overwrite),
    }
}

/// Writes values, indexed `[k, j, i]`, as uint16, which some viewers want label maps in; otherwise as [`write_mask`].
///
/// # Errors
/// As [`write_mask`].
pub fn write_u16(
    path: &Path,
    values: ArrayView3<'_, u16>,
    grid: &Grid,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    match OutputFormat::of_path(path)? {
        OutputFormat::Nifti => nifti::write(path, values, grid, overwrite),
        OutputFormat::Nrrd | OutputFormat::Segmentation => nrrd::write(path, values, grid, None, overwrite),
    }
}

/// Writes values, indexed `[k, j, i]`, as int16, the usual type of a CT in Hounsfield units; otherwise as
/// [`write_mask`].
///
/// # Errors
/// As [`write_mask`].
pub fn write_i16(
    path: &Path,
    values: ArrayView3<'_, i16>,
    grid: &Grid,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    match OutputFormat::of_path(path)? {
        OutputFormat::Nifti => nifti::write_i16(path, values, grid, overwrite),
        OutputFormat::Nrrd | OutputFormat::Segmentation => nrrd::write(path, values, grid, None, overwrite),
    }
}

/// A number that is written as it is.
pub(crate) trait Stored: Copy {
    const TYPE: ValueType;
    fn append_to(self, bytes: &mut Vec<u8>);
}

impl Stored for u8 {
    const TYPE: ValueType = ValueType::Uint8;
    fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.push(self);
    }
}

impl Stored for u16 {
    const TYPE: ValueType = ValueType::Uint16;
    fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Stored for i16 {
    const TYPE: ValueType = ValueType::Int16;
    fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Stored for f32 {
    const TYPE: ValueType = ValueType::Float32;
    fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

/// The values in the order and the little-endian form of a file, plane by plane.
pub(crate) fn write_values<T: Stored>(writer: &mut impl Write, values: ArrayView3<'_, T>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for plane in values.axis_iter(Axis(0)) {
        bytes.clear();
        plane.iter().for_each(|value| value.append_to(&mut bytes));
        writer.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_asks_for_a_format() {
        let format = |name: &str| OutputFormat::of_path(Path::new(name)).ok();
        assert_eq!(format("a/b.c.nii.gz"), Some(OutputFormat::Nifti));
        assert_eq!(format("B.NII"), Some(OutputFormat::Nifti));
        assert_eq!(format("b.nrrd"), Some(OutputFormat::Nrrd));
        assert_eq!(format("b.Seg.nrrd"), Some(OutputFormat::Segmentation));
        assert_eq!((format("b.gz"), format("b.nhdr"), format("")), (None, None, None));
    }
}
