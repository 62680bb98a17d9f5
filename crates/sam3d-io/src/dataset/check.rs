use super::{Case, Dataset};
use crate::{Grid, IoError, ReadLimits};

/// Share of a voxel by which the corners of image and label may differ: more than rounding in a header, less than what
/// would show.
const GRID_TOLERANCE_VOXELS: f64 = 0.1;

/// Why a case is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseProblem {
    /// Image or label cannot be read.
    #[error(transparent)]
    Unreadable(#[from] IoError),
    /// The label has another number of voxels.
    #[error("the label has {label:?} voxels, expected {image:?} as the image (i, j, k)")]
    ShapeMismatch {
        /// Size of the image, `[i, j, k]`.
        image: [usize; 3],
        /// Size of the label, `[i, j, k]`.
        label: [usize; 3],
    },
    /// The label lies elsewhere in the world.
    #[error("a corner of the label lies {distance_mm:.2} mm away from the image's")]
    PositionMismatch {
        /// Distance of the worst corner.
        distance_mm: f64,
    },
    /// The label has no target.
    #[error("the label has no voxel of the target class {target_class}")]
    TargetMissing {
        /// The class that was looked for.
        target_class: u32,
    },
}

/// Whether `case` can be used: both files can be read, lie on one grid, and the label has the target.
///
/// # Errors
/// The first [`CaseProblem`]. A case with a problem is to be left out and reported.
pub fn check_case(dataset: &Dataset, case: &Case) -> Result<(), CaseProblem> {
    let image = crate::read(&case.image, ReadLimits::default())?.grid;
    let label = crate::read(&case.label, ReadLimits::default())?;
    check_grids(&image, &label.grid)?;
    let target_class = dataset.target_class;
    if label.data.iter().any(|value| f64::from(*value) == f64::from(target_class)) {
        Ok(())
    } else {
        Err(CaseProblem::TargetMissing { target_class })
    }
}

fn check_grids(image: &Grid, label: &Grid) -> Result<(), CaseProblem> {
    let [image_shape, label_shape] = [image.shape_ijk(), label.shape_ijk()];
    if image_shape != label_shape {
        return Err(CaseProblem::ShapeMismatch { image: image_shape, label: label_shape });
    }
    let distance_mm = (0..8usize)
        .map(|corner| {
            let index = std::array::from_fn(|axis| {
                if corner >> axis & 1 == 1 { image_shape[axis].saturating_sub(1) as f64 } else { 0.0 }
            });
            let [a, b] = [image, label].map(|grid| grid.world_from_ijk().world_from_voxel(index));
            a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
        })
        .fold(0.0, f64::max);
    let smallest_mm = image.spacing_ijk_mm().into_iter().fold(f64::INFINITY, f64::min);
    if distance_mm > GRID_TOLERANCE_VOXELS * smallest_mm {
        return Err(CaseProblem::PositionMismatch { distance_mm });
    }
    Ok(())
}
