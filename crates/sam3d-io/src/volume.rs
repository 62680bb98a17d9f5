use std::{fmt, path::Path};

use ndarray::Array3;

use crate::{Grid, IoError};

/// A scalar volume as a file holds it: values after the file's own scaling, in the file's own axes.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Values, indexed `[k, j, i]` in C order: i, the axis stored fastest, is the last.
    ///
    /// Never NaN: NaN is read as 0 and counted in [`nan_voxels`](Self::nan_voxels). Values beyond the range of `f32`,
    /// infinities among them, are its largest number of that sign, so that interpolating next to them stays finite.
    pub data: Array3<f32>,
    /// Where the voxels are, and what it takes to write a file with the same geometry.
    pub grid: Grid,
    /// How many voxels were NaN in the file.
    pub nan_voxels: usize,
    /// Type of the numbers in the file.
    pub value_type: ValueType,
    /// Scaling from the file's numbers to values; `None` if the file has none.
    pub rescale: Option<Rescale>,
}

impl Volume {
    /// The volume at `path` as labels: as it is if its values are whole numbers; with a `threshold`, 1 where the value is
    /// above it and 0 elsewhere.
    ///
    /// # Errors
    /// [`IoError::NotWholeNumbers`] without a threshold, if a value is not a whole number.
    pub fn into_labels(mut self, path: &Path, threshold: Option<f32>) -> Result<Self, IoError> {
        if let Some(threshold) = threshold {
            self.data.mapv_inplace(|value| f32::from(u8::from(value > threshold)));
            (self.value_type, self.rescale) = (ValueType::Uint8, None);
            return Ok(self);
        }
        match self.data.iter().find(|value| value.fract() != 0.0) {
            None => Ok(self),
            Some(value) => Err(IoError::NotWholeNumbers { path: path.to_owned(), value: *value }),
        }
    }
}

/// `value = slope * stored + intercept`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rescale {
    /// Factor, not zero.
    pub slope: f64,
    /// Offset.
    pub intercept: f64,
}

/// Type of a stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ValueType {
    Uint8,
    Int8,
    Uint16,
    Int16,
    Uint32,
    Int32,
    Uint64,
    Int64,
    Float32,
    Float64,
}

impl ValueType {
    /// Size of one number in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 => 2,
            Self::Uint32 | Self::Int32 | Self::Float32 => 4,
            Self::Uint64 | Self::Int64 | Self::Float64 => 8,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Uint16 => "uint16",
            Self::Int16 => "int16",
            Self::Uint32 => "uint32",
            Self::Int32 => "int32",
            Self::Uint64 => "uint64",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        })
    }
}
