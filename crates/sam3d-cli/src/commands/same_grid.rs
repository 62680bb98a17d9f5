//! Whether two files lie on one voxel grid.

use std::path::Path;

use anyhow::bail;
use sam3d_io::Grid;

/// How far apart the grids' corners may be, in voxels: rounding of two programs that write the same geometry stays far
/// below it, and no mask is visibly displaced by it.
const TOLERANCE_VOXELS: f64 = 0.1;

/// Fails unless both grids have the same shape and lie in the same place.
///
/// # Errors
/// A message that names both files and says in what they differ.
pub fn check_same_grid(first: (&Path, &Grid), second: (&Path, &Grid)) -> anyhow::Result<()> {
    let ((first_path, first), (second_path, second)) = (first, second);
    let names = format!("{} and {} do not lie on one grid", first_path.display(), second_path.display());
    let advice = "resample one of them onto the other's grid";
    if first.shape_ijk() != second.shape_ijk() {
        bail!("{names}: {:?} and {:?} voxels (i, j, k); {advice}", first.shape_ijk(), second.shape_ijk());
    }
    let (a, b) = (first.spacing_ijk_mm(), second.spacing_ijk_mm());
    let apart_mm = largest_offset_mm(first, second);
    let allowed_mm = TOLERANCE_VOXELS * a.into_iter().fold(f64::INFINITY, f64::min);
    // Written so that a distance that is not a number fails.
    if apart_mm <= allowed_mm {
        return Ok(());
    }
    let spacings_differ = a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-3 * a);
    let spacings =
        if spacings_differ { format!("spacings {a:.3?} and {b:.3?} mm (i, j, k), ") } else { String::new() };
    bail!("{names}: {spacings}corners up to {apart_mm:.2} mm apart; {advice}")
}

/// Largest distance between equal corners of two grids of one shape.
fn largest_offset_mm(first: &Grid, second: &Grid) -> f64 {
    let shape = first.shape_ijk();
    let offsets = (0..8usize).map(|corner| {
        let index = std::array::from_fn(|axis| ((corner >> axis & 1) * (shape[axis] - 1)) as f64);
        let a = first.world_from_ijk().world_from_voxel(index);
        let b = second.world_from_ijk().world_from_voxel(index);
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    });
    offsets.fold(0.0, f64::max)
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
    fn rounding_is_no_difference() {
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
