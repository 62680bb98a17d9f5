use std::{fmt, path::Path};

use crate::{Grid, IoError, header_geometry::largest_offset_mm};

/// How far apart the grids' corners may be, in voxels: rounding of two programs that write the same geometry stays far
/// below it, and no mask is visibly displaced by it.
const TOLERANCE_VOXELS: f64 = 0.1;

/// In what two grids differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GridDifference {
    /// They have different numbers of voxels.
    Shape {
        /// Size of the first grid, `[i, j, k]`.
        first: [usize; 3],
        /// Size of the second grid, `[i, j, k]`.
        second: [usize; 3],
    },
    /// They lie in different places.
    Place {
        /// The largest distance between equal corners.
        apart_mm: f64,
        /// The spacings of both, `[i, j, k]`, if they differ.
        spacings_mm: Option<[[f64; 3]; 2]>,
    },
}

impl GridDifference {
    /// The difference between two grids; `None` if they have the same shape and lie in the same place, up to a tenth of a
    /// voxel.
    pub fn between(first: &Grid, second: &Grid) -> Option<Self> {
        if first.shape_ijk() != second.shape_ijk() {
            return Some(Self::Shape { first: first.shape_ijk(), second: second.shape_ijk() });
        }
        let (a, b) = (first.spacing_ijk_mm(), second.spacing_ijk_mm());
        let apart_mm = largest_offset_mm(first.world_from_ijk(), second.world_from_ijk(), first.shape_ijk());
        let allowed_mm = TOLERANCE_VOXELS * a.into_iter().fold(f64::INFINITY, f64::min);
        let spacings_differ = a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-3 * a);
        (apart_mm > allowed_mm)
            .then(|| Self::Place { apart_mm, spacings_mm: spacings_differ.then_some([a, b]) })
    }
}

impl fmt::Display for GridDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { first, second } => write!(f, "{first:?} and {second:?} voxels (i, j, k)"),
            Self::Place { apart_mm, spacings_mm } => {
                if let Some([a, b]) = spacings_mm {
                    write!(f, "spacings {a:.3?} and {b:.3?} mm (i, j, k), ")?;
                }
                write!(f, "corners up to {apart_mm:.2} mm apart")
            }
        }
    }
}

/// Fails unless the grids of two files have the same shape and lie in the same place, up to a tenth of a voxel.
///
/// # Errors
/// [`IoError::GridsDiffer`], which names both files and says in what they differ.
pub fn check_same_grid(first: (&Path, &Grid), second: (&Path, &Grid)) -> Result<(), IoError> {
    let ((first_path, first), (second_path, second)) = (first, second);
    match GridDifference::between(first, second) {
        None => Ok(()),
        Some(difference) => Err(IoError::GridsDiffer {
            first: first_path.to_owned(),
            second: second_path.to_owned(),
            difference,
        }),
    }
}

#[cfg(test)]
mod tests {
    use sam3d_geom::Affine;

    use super::*;

    fn grid(shape: [usize; 3], spacing: f64, x: f64) -> Grid {
        let affine =
            Affine::new([[spacing, 0.0, 0.0, x], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
        Grid::from_affine(shape, affine).unwrap()
    }

    fn check(a: &Grid, b: &Grid) -> Result<(), String> {
        check_same_grid((Path::new("a.nii"), a), (Path::new("b.nii"), b)).map_err(|error| error.to_string())
    }

    #[test]
    fn rounding_makes_no_difference() {
        assert_eq!(check(&grid([4, 5, 6], 1.0, -250.0), &grid([4, 5, 6], 1.0 + 1e-6, -250.001)), Ok(()));
    }

    #[test]
    fn differences_are_named() {
        let one = grid([4, 5, 6], 1.0, 0.0);
        let error = check(&one, &grid([4, 5, 7], 1.0, 0.0)).unwrap_err();
        assert!(error.contains("a.nii and b.nii") && error.contains("[4, 5, 6] and [4, 5, 7]"), "{error}");
        let error = check(&one, &grid([4, 5, 6], 1.0, 2.0)).unwrap_err();
        assert!(error.contains("corners up to 2.00 mm apart") && !error.contains("spacings"), "{error}");
        let error = check(&one, &grid([4, 5, 6], 1.5, 0.0)).unwrap_err();
        assert!(error.contains("1.50 mm apart") && error.contains("[1.500, 1.000, 1.000]"), "{error}");
    }
}
