//! Results of one pair and of several.

use std::path::PathBuf;

use sam3d_geom::Spacing;
use sam3d_metrics::{Comparison, Percentile, Tolerance};
use serde::Serialize;

use super::pairs::Pair;
use crate::output::MetricValue;

/// All metrics of one pair and label; the spacing in the files' own axis order.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(skip)]
    pub(super) name: String,
    pub(super) truth: Mask,
    pub(super) prediction: Mask,
    pub(super) label: Option<u16>,
    spacing_ijk_mm: [f64; 3],
    pub(super) dice: MetricValue,
    pub(super) iou: MetricValue,
    pub(super) volume_error_mm3: f64,
    pub(super) relative_volume_error: MetricValue,
    pub(super) surface_dice: Vec<SurfaceDice>,
    pub(super) hausdorff_95_mm: MetricValue,
    pub(super) hausdorff_mm: MetricValue,
    pub(super) average_symmetric_distance_mm: MetricValue,
    pub(super) average_distance_truth_to_prediction_mm: MetricValue,
    pub(super) average_distance_prediction_to_truth_mm: MetricValue,
}

#[derive(Serialize)]
pub(super) struct Mask {
    pub(super) path: PathBuf,
    pub(super) voxels: u64,
    pub(super) volume_mm3: f64,
}

/// Agreement of the surfaces at one tolerance.
#[derive(Serialize)]
pub(super) struct SurfaceDice {
    pub(super) tolerance_mm: f64,
    pub(super) value: MetricValue,
    overlap_truth: MetricValue,
    overlap_prediction: MetricValue,
}

impl Report {
    /// `spacing` is in the order of the arrays, `[k, j, i]`.
    pub(super) fn new(
        pair: &Pair,
        label: Option<u16>,
        Comparison { overlap, distances }: &Comparison,
        spacing: Spacing,
        tolerances: &[Tolerance],
    ) -> Self {
        let described = |path: &PathBuf, voxels: u64| Mask {
            path: path.clone(),
            voxels,
            volume_mm3: voxels as f64 * spacing.voxel_volume_mm3(),
        };
        let (to_prediction, to_truth) = (distances.truth_to_prediction(), distances.prediction_to_truth());
        let surface_dice = |tolerance: &Tolerance| SurfaceDice {
            tolerance_mm: tolerance.mm(),
            value: MetricValue(distances.nsd(*tolerance)),
            overlap_truth: MetricValue(to_prediction.overlap(*tolerance)),
            overlap_prediction: MetricValue(to_truth.overlap(*tolerance)),
        };
        let [k, j, i] = spacing.mm();
        Self {
            name: pair.name.clone(),
            truth: described(&pair.truth, overlap.truth_voxels),
            prediction: described(&pair.prediction, overlap.prediction_voxels),
            label,
            spacing_ijk_mm: [i, j, k],
            dice: MetricValue(overlap.dice()),
            iou: MetricValue(overlap.iou()),
            volume_error_mm3: overlap.volume_error_mm3(spacing),
            relative_volume_error: MetricValue(overlap.relative_volume_error()),
            surface_dice: tolerances.iter().map(surface_dice).collect(),
            hausdorff_95_mm: MetricValue(distances.hausdorff_mm(Percentile::P95)),
            hausdorff_mm: MetricValue(distances.hausdorff_mm(Percentile::MAX)),
            average_symmetric_distance_mm: MetricValue(distances.average_symmetric_mm()),
            average_distance_truth_to_prediction_mm: MetricValue(to_prediction.average_mm()),
            average_distance_prediction_to_truth_mm: MetricValue(to_truth.average_mm()),
        }
    }
}

/// A pair that could not be compared.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) name: String,
    pub(super) error: String,
}

/// Several pairs or labels.
#[derive(Serialize)]
pub(super) struct BatchReport {
    pub(super) results: Vec<Report>,
    pub(super) means: Vec<Means>,
    pub(super) failures: Vec<Failure>,
}

/// Means over the pairs whose metric is defined and finite.
#[derive(Serialize)]
pub(super) struct Means {
    pub(super) label: Option<u16>,
    pub(super) dice: Mean,
    pub(super) surface_dice: Vec<MeanAt>,
    pub(super) hausdorff_95_mm: Mean,
    pub(super) average_symmetric_distance_mm: Mean,
}

/// A mean and the number of values in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Mean {
    pub(super) mean: MetricValue,
    pub(super) count: usize,
}

#[derive(Serialize)]
pub(super) struct MeanAt {
    tolerance_mm: f64,
    #[serde(flatten)]
    pub(super) mean: Mean,
}

impl Mean {
    fn of(values: impl Iterator<Item = MetricValue>) -> Self {
        let defined: Vec<f64> =
            values.filter_map(|value| value.0).filter(|value| value.is_finite()).collect();
        let count = defined.len();
        Self { mean: MetricValue((count > 0).then(|| defined.iter().sum::<f64>() / count as f64)), count }
    }
}

impl BatchReport {
    pub(super) fn new(results: Vec<Report>, failures: Vec<Failure>, tolerances_mm: &[f64]) -> Self {
        let mut labels: Vec<Option<u16>> = Vec::new();
        for report in &results {
            if !labels.contains(&report.label) {
                labels.push(report.label);
            }
        }
        let means = labels
            .into_iter()
            .map(|label| {
                let of_label = || results.iter().filter(move |report| report.label == label);
                let mean_at = |(at, mm): (usize, &f64)| MeanAt {
                    tolerance_mm: *mm,
                    mean: Mean::of(of_label().map(|report| report.surface_dice[at].value)),
                };
                Means {
                    label,
                    dice: Mean::of(of_label().map(|report| report.dice)),
                    surface_dice: tolerances_mm.iter().enumerate().map(mean_at).collect(),
                    hausdorff_95_mm: Mean::of(of_label().map(|report| report.hausdorff_95_mm)),
                    average_symmetric_distance_mm: Mean::of(
                        of_label().map(|report| report.average_symmetric_distance_mm),
                    ),
                }
            })
            .collect();
        Self { results, means, failures }
    }
}
