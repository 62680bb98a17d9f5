use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{Case, Dataset};
use sam3d_io::{GridDifference, IoError, ReadLimits};

/// The most different values of a label; with more it is not a label but an image.
const MAX_LABEL_VALUES: usize = 1000;

/// Why a case cannot be used.
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
    /// The label does not lie on the image's grid.
    #[error("image and label do not lie on one grid: {0}{advice}", advice = advice(.0))]
    GridsDiffer(GridDifference),
    /// The label has values that are not classes of the dataset.
    #[error("the label has the values {}; expected {}", listed(found), expected(classes))]
    LabelValues {
        /// The values of the label.
        found: Vec<f32>,
        /// The classes it may have; any whole number if empty.
        classes: Vec<u32>,
    },
    /// The label has no target.
    #[error("the label has no voxel of the target class {target_class}")]
    TargetMissing {
        /// The class that was looked for.
        target_class: u32,
    },
}

/// Properties of a usable case.
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
    /// Whether the label's own affine places it elsewhere, and was ignored because the dataset says that labels lie on the image's voxels.
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
/// The first [`CaseProblem`]. A case with a problem should be left out and reported.
pub fn check_case(dataset: &Dataset, case: &Case) -> Result<CaseFacts, CaseProblem> {
    if !case.label.exists() {
        return Err(CaseProblem::LabelMissing { pattern: case.label.display().to_string() });
    }
    let image = sam3d_io::read(&case.image, ReadLimits::default())?.grid;
    let label = sam3d_io::read_label(&case.label, &image, ReadLimits::default())?;
    let difference = GridDifference::between(&image, &label.grid);
    let label_affine_ignored =
        case.label_on_image_voxels && matches!(difference, Some(GridDifference::Place { .. }));
    if let Some(difference) = difference.filter(|_| !label_affine_ignored) {
        return Err(CaseProblem::GridsDiffer(difference));
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

fn advice(difference: &GridDifference) -> &'static str {
    match difference {
        GridDifference::Shape { .. } => "",
        GridDifference::Place { .. } => {
            "; if the label's voxels are the image's all the same, say so with labels_on_image_voxels = true in the \
             dataset's file"
        }
    }
}
