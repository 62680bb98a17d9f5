use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{Case, Dataset};
use sam3d_io::{Grid, IoError, ReadLimits};

/// Share of a voxel by which the corners of image and label may differ: more than rounding in a header, less than what
/// would show.
const GRID_TOLERANCE_VOXELS: f64 = 0.1;
/// The most different values of a label that are told apart; a label with more is no label.
const MAX_LABEL_VALUES: usize = 1000;

/// Why a case is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseProblem {
    /// Image or label cannot be read.
    #[error(transparent)]
    Unreadable(#[from] IoError),
    /// There is no label.
    #[error("it has no label {pattern}")]
    LabelMissing {
        /// Where it was looked for.
        pattern: String,
    },
    /// The label has another number of voxels.
    #[error("the label has {label:?} voxels, expected {image:?} as the image (i, j, k)")]
    ShapeMismatch {
        /// Size of the image, `[i, j, k]`.
        image: [usize; 3],
        /// Size of the label, `[i, j, k]`.
        label: [usize; 3],
    },
    /// The label lies elsewhere in the world.
    #[error(
        "a corner of the label lies {distance_mm:.2} mm away from the image's; if the label's voxels are the image's all \
         the same, say so with labels_on_image_voxels = true in the dataset's file"
    )]
    PositionMismatch {
        /// Distance of the worst corner.
        distance_mm: f64,
    },
    /// The label has values that are no classes of the dataset.
    #[error("the label has the values {}; expected {}", listed(found), expected(classes))]
    LabelValues {
        /// What it has.
        found: Vec<f32>,
        /// The classes it may have; any whole number if there are none.
        classes: Vec<u32>,
    },
    /// The label has no target.
    #[error("the label has no voxel of the target class {target_class}")]
    TargetMissing {
        /// The class that was looked for.
        target_class: u32,
    },
}

/// What was found of a case that can be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFacts {
    /// Number of voxels, `[i, j, k]`.
    pub voxels: [usize; 3],
    /// Distance between voxels in mm, `[i, j, k]`.
    pub spacing_mm: [f64; 3],
    /// Values of the label, sorted.
    pub label_values: Vec<f32>,
    /// Volume of the target in millilitres.
    pub target_ml: f64,
    /// Whether the label's own affine places it elsewhere, and was set aside because the dataset says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub label_affine_ignored: bool,
}

impl fmt::Display for CaseFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [i, j, k] = self.voxels;
        let [x, y, z] = self.spacing_mm;
        write!(
            f,
            "{i} x {j} x {k} voxels of {x:.2} x {y:.2} x {z:.2} mm, labels {}, target {:.1} ml",
            listed(&self.label_values),
            self.target_ml
        )
    }
}

/// Whether `case` can be used: both files can be read and lie on one grid, the label's values are classes of the dataset,
/// and one of them is the target.
///
/// # Errors
/// The first [`CaseProblem`]. A case with a problem is to be left out and reported.
pub fn check_case(dataset: &Dataset, case: &Case) -> Result<CaseFacts, CaseProblem> {
    if !case.label.exists() {
        return Err(CaseProblem::LabelMissing { pattern: case.label.display().to_string() });
    }
    let image = sam3d_io::read(&case.image, ReadLimits::default())?.grid;
    let label = sam3d_io::read_label(&case.label, &image, ReadLimits::default())?;
    let placed = check_grids(&image, &label.grid);
    let label_affine_ignored =
        case.label_on_image_voxels && matches!(placed, Err(CaseProblem::PositionMismatch { .. }));
    if !label_affine_ignored {
        placed?;
    }
    let label_values = values(&label.data);
    let is_class = |value: &f32| {
        let whole = *value >= 0.0 && value.fract() == 0.0;
        whole
            && (dataset.classes.is_empty()
                || dataset.classes.iter().any(|class| f64::from(*class) == f64::from(*value)))
    };
    if label_values.len() > MAX_LABEL_VALUES || !label_values.iter().all(is_class) {
        return Err(CaseProblem::LabelValues { found: label_values, classes: dataset.classes.clone() });
    }
    let target_class = dataset.target_class;
    let target = label.data.iter().filter(|value| f64::from(**value) == f64::from(target_class)).count();
    if target == 0 {
        return Err(CaseProblem::TargetMissing { target_class });
    }
    let spacing_mm = image.spacing_ijk_mm();
    let target_ml = target as f64 * spacing_mm.iter().product::<f64>() / 1000.0;
    Ok(CaseFacts { voxels: image.shape_ijk(), spacing_mm, label_values, target_ml, label_affine_ignored })
}

/// The different values of a label, sorted; a few more than the limit if there are more.
fn values(label: &ndarray::Array3<f32>) -> Vec<f32> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for value in label {
        // Neighbours mostly agree. Values are never NaN; -0 is 0.
        let bits = (value + 0.0).to_bits();
        if last != Some(bits) {
            last = Some(bits);
            found.insert(bits);
            if found.len() > MAX_LABEL_VALUES {
                break;
            }
        }
    }
    let mut values: Vec<f32> = found.into_iter().map(f32::from_bits).collect();
    values.sort_by(f32::total_cmp);
    values
}

/// Numbers with commas, at most eight of them.
fn listed(values: &[f32]) -> String {
    let mut text = values.iter().take(8).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if values.len() > 8 {
        text.push_str(", ...");
    }
    text
}

fn expected(classes: &[u32]) -> String {
    if classes.is_empty() {
        "whole numbers from 0 on".to_owned()
    } else {
        classes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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
