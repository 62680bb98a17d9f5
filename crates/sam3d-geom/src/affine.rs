use serde::{Deserialize, Serialize};

use crate::{GeomError, Spacing};

/// Map from voxel indices to world millimetres: `world = linear * index + translation`.
///
/// Stored as the three upper rows of a 4 x 4 matrix; finite and invertible. Voxel centres are at integer indices. The
/// order of the index axes is up to the owner: the file's order in a file header, `[D, H, W]` for an array.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[[f64; 4]; 3]", into = "[[f64; 4]; 3]")]
pub struct Affine([[f64; 4]; 3]);

impl Affine {
    /// The map with the three upper rows `rows`.
    ///
    /// # Errors
    /// [`GeomError::AffineSingular`] if an entry is not finite or the linear part has no inverse.
    pub fn new(rows: [[f64; 4]; 3]) -> Result<Self, GeomError> {
        let affine = Self(rows);
        let finite = rows.iter().flatten().all(|v| v.is_finite());
        let lengths = affine.column_lengths_mm();
        let scale: f64 = lengths.iter().product();
        // Relative to the columns' lengths, so that micrometres and metres are judged alike.
        if finite && scale > 0.0 && (affine.determinant() / scale).abs() > 1e-6 {
            Ok(affine)
        } else {
            Err(GeomError::AffineSingular { rows })
        }
    }

    /// The three upper rows.
    pub fn rows(&self) -> [[f64; 4]; 3] {
        self.0
    }

    /// World position in mm of the (fractional) voxel `index`.
    pub fn world_from_voxel(&self, index: [f64; 3]) -> [f64; 3] {
        self.0.map(|row| row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + row[3])
    }

    /// The (fractional) voxel at the world position `world_mm`.
    pub fn voxel_from_world(&self, world_mm: [f64; 3]) -> [f64; 3] {
        let m = &self.0;
        let t: [f64; 3] = std::array::from_fn(|row| world_mm[row] - m[row][3]);
        let determinant = self.determinant();
        std::array::from_fn(|column| {
            // Cramer's rule: the column replaced by the offset from the origin.
            let mut replaced = [m[0], m[1], m[2]];
            for (row, value) in replaced.iter_mut().zip(t) {
                row[column] = value;
            }
            determinant_of(&replaced) / determinant
        })
    }

    /// Length of each column of the linear part in mm: the distance between neighbouring voxel centres along each axis.
    pub fn column_lengths_mm(&self) -> [f64; 3] {
        std::array::from_fn(|column| self.0.iter().map(|row| row[column] * row[column]).sum::<f64>().sqrt())
    }

    /// The column lengths as a [`Spacing`].
    ///
    /// # Errors
    /// None in practice: an invertible affine has columns of positive length.
    pub fn spacing(&self) -> Result<Spacing, GeomError> {
        Spacing::new(self.column_lengths_mm())
    }

    /// Largest absolute cosine between two columns: 0 for a rectangular grid, more for a sheared one.
    pub fn shear(&self) -> f64 {
        let lengths = self.column_lengths_mm();
        let cosine = |a: usize, b: usize| {
            let dot: f64 = self.0.iter().map(|row| row[a] * row[b]).sum();
            (dot / (lengths[a] * lengths[b])).abs()
        };
        cosine(0, 1).max(cosine(0, 2)).max(cosine(1, 2))
    }

    fn determinant(&self) -> f64 {
        determinant_of(&self.0)
    }
}

fn determinant_of(m: &[[f64; 4]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

impl TryFrom<[[f64; 4]; 3]> for Affine {
    type Error = GeomError;

    fn try_from(rows: [[f64; 4]; 3]) -> Result<Self, GeomError> {
        Self::new(rows)
    }
}

impl From<Affine> for [[f64; 4]; 3] {
    fn from(affine: Affine) -> Self {
        affine.0
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rejects_flat_and_infinite_maps() {
        assert!(Affine::new([[0.0; 4]; 3]).is_err());
        assert!(Affine::new([[1.0, 2.0, 0.0, 0.0], [2.0, 4.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).is_err());
        assert!(
            Affine::new([[f64::NAN, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).is_err()
        );
    }

    #[test]
    fn shear_of_a_skewed_grid() {
        let skewed = Affine::new([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]).unwrap();
        assert_abs_diff_eq!(skewed.shear(), 0.5f64.sqrt(), epsilon = 1e-12);
        assert_abs_diff_eq!(skewed.spacing().unwrap().mm()[1], 2f64.sqrt(), epsilon = 1e-12);
    }

    proptest! {
        #[test]
        fn voxel_from_world_undoes_world_from_voxel(
            linear in proptest::array::uniform9(-3.0..3.0f64),
            translation in proptest::array::uniform3(-500.0..500.0f64),
            index in proptest::array::uniform3(-50.0..300.0f64),
        ) {
            let rows = std::array::from_fn(|r| [linear[3 * r], linear[3 * r + 1], linear[3 * r + 2], translation[r]]);
            let Ok(affine) = Affine::new(rows) else { return Ok(()) };
            let back = affine.voxel_from_world(affine.world_from_voxel(index));
            for (a, b) in back.iter().zip(index) {
                prop_assert!((a - b).abs() < 1e-3, "{back:?} {index:?}");
            }
        }
    }
}
