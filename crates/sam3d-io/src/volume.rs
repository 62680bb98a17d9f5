use std::{fmt, path::Path};

use ndarray::{Array3, Axis};
use sam3d_geom::Affine;

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
    /// The same volume with the axis `axis_ijk` (0 = i, 1 = j, 2 = k) stored the other way round: every voxel stays where it
    /// is in the patient.
    ///
    /// # Errors
    /// [`IoError::Geometry`] if the new grid's affine is singular, which that of no volume that was read is.
    pub fn with_axis_reversed(mut self, axis_ijk: usize) -> Result<Self, IoError> {
        let last = (self.grid.shape_ijk()[axis_ijk].saturating_sub(1)) as f64;
        let rows = self.grid.world_from_ijk().rows().map(|mut row| {
            row[3] += last * row[axis_ijk];
            row[axis_ijk] = -row[axis_ijk];
            row.map(|value| value + 0.0)
        });
        self.grid = Grid::from_affine(self.grid.shape_ijk(), Affine::new(rows)?)?;
        self.data.invert_axis(Axis(2 - axis_ijk));
        Ok(self)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reversed_axis_moves_no_voxel() {
        let rows = [[-2.0, 0.0, 0.0, 5.0], [0.0, -1.5, 0.0, 6.0], [0.0, 0.0, 3.0, -7.0]];
        let grid = Grid::from_affine([2, 3, 4], Affine::new(rows).unwrap()).unwrap();
        let data = Array3::from_shape_fn([4, 3, 2], |(k, j, i)| (100 * k + 10 * j + i) as f32);
        let volume = Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None };
        for axis in 0..3 {
            let turned = volume.clone().with_axis_reversed(axis).unwrap();
            for ((k, j, i), value) in volume.data.indexed_iter() {
                let mut at = [i, j, k];
                at[axis] = volume.grid.shape_ijk()[axis] - 1 - at[axis];
                assert_eq!(turned.data[[at[2], at[1], at[0]]], *value);
                let [from, to] = [[i, j, k], at].map(|index| index.map(|n| n as f64));
                assert_eq!(
                    volume.grid.world_from_ijk().world_from_voxel(from),
                    turned.grid.world_from_ijk().world_from_voxel(to)
                );
            }
        }
    }
}
