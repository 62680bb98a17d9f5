use std::{
    io::{self, Write},
    path::Path,
};

use ndarray::{Array3, ArrayView3, Axis};

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

/// Writes values, indexed `[k, j, i]`, on `grid`, in their own type and in the format of the path's name; a `.seg.nrrd` takes
/// whole numbers from 0 to 255 and has one segment for each value but 0, named after it.
///
/// The file is complete or not there.
///
/// # Errors
/// [`IoError::ExtensionUnknown`], [`IoError::ShapeMismatch`] if the array is not of the grid's shape,
/// [`IoError::NotSegments`] if a `.seg.nrrd` was asked for and a value is not a label, [`IoError::Exists`] if the file is
/// there and `overwrite` refuses, [`IoError::Write`] with the system's reason.
pub fn write<T: Voxel>(
    path: &Path,
    values: ArrayView3<'_, T>,
    grid: &Grid,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    match OutputFormat::of_path(path)? {
        OutputFormat::Nifti => nifti::write(path, values, grid, overwrite),
        OutputFormat::Nrrd => nrrd::write(path, values, grid, None, overwrite),
        OutputFormat::Segmentation => {
            let labels = labels_of(path, values)?;
            let mut found = [false; 256];
            labels.iter().for_each(|value| found[usize::from(*value)] = true);
            let segments: Vec<Segment> = (1..=u8::MAX)
                .filter(|label| found[usize::from(*label)])
                .map(|label| Segment::new(format!("label {label}"), label))
                .collect();
            nrrd::write(path, labels.view(), grid, Some(&segments), overwrite)
        }
    }
}

/// The values as labels of segments.
fn labels_of<T: Voxel>(path: &Path, values: ArrayView3<'_, T>) -> Result<Array3<u8>, IoError> {
    let label = |value: f64| {
        if value.fract() == 0.0 && (0.0..=255.0).contains(&value) { Some(value as u8) } else { None }
    };
    match values.iter().map(|value| value.to_f64()).find(|value| label(*value).is_none()) {
        None => Ok(values.mapv(|value| label(value.to_f64()).unwrap_or_default())),
        Some(value) => Err(IoError::NotSegments { path: path.to_owned(), value }),
    }
}

/// Writes a mask whose values are those of `segments`; formats that have no names for them hold the values alone.
///
/// # Errors
/// As [`write()`].
pub fn write_segmentation(
    path: &Path,
    mask: ArrayView3<'_, u8>,
    grid: &Grid,
    segments: &[Segment],
    overwrite: Overwrite,
) -> Result<(), IoError> {
    match OutputFormat::of_path(path)? {
        OutputFormat::Nifti => nifti::write(path, mask, grid, overwrite),
        OutputFormat::Nrrd => nrrd::write(path, mask, grid, None, overwrite),
        OutputFormat::Segmentation => nrrd::write(path, mask, grid, Some(segments), overwrite),
    }
}

/// A number as files hold it.
pub trait Voxel: Copy + sealed::Sealed {
    /// Its type.
    const TYPE: ValueType;
    /// The number, exactly.
    fn to_f64(self) -> f64;
    /// Appends its little-endian bytes.
    fn append_to(self, bytes: &mut Vec<u8>);
}

mod sealed {
    /// Only this crate's types are voxels: the formats have no others.
    pub trait Sealed {}
}

macro_rules! voxel {
    ($number:ty, $value_type:ident) => {
        impl sealed::Sealed for $number {}

        impl Voxel for $number {
            const TYPE: ValueType = ValueType::$value_type;

            fn to_f64(self) -> f64 {
                self.into()
            }

            fn append_to(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    };
}

voxel!(u8, Uint8);
voxel!(u16, Uint16);
voxel!(i16, Int16);
voxel!(f32, Float32);

/// The values in the order and the little-endian form of a file, plane by plane.
pub(crate) fn write_values<T: Voxel>(writer: &mut impl Write, values: ArrayView3<'_, T>) -> io::Result<()> {
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
