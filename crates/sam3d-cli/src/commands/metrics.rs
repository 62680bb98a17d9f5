//! `sam3d metrics`: two masks of one grid, compared.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use ndarray::Array3;
use sam3d_geom::Spacing;
use sam3d_io::Volume;
use sam3d_metrics::{Overlap, Percentile, SurfaceDistances, Tolerance};
use serde::Serialize;

use super::same_grid::check_same_grid;
use crate::{
    args::{GlobalArgs, MetricsArgs},
    output::{self, Measured},
};

/// Compares the masks and prints the report.
///
/// # Errors
/// If a file cannot be read, or the two do not lie on one grid.
pub fn run(args: &MetricsArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let truth = sam3d_io::read(&args.truth, args.reading.limits())?;
    let prediction = sam3d_io::read(&args.pred, args.reading.limits())?;
    check_same_grid((&args.truth, &truth.grid), (&args.pred, &prediction.grid))?;
    output::emit(&Report::new(args, &truth, &prediction)?, global.json)
}

/// All numbers; spacings in the files' own axis order.
#[derive(Serialize)]
struct Report {
    truth: Mask,
    prediction: Mask,
    label: Option<u16>,
    spacing_ijk_mm: [f64; 3],
    dice: Measured,
    iou: Measured,
    volume_error_mm3: f64,
    relative_volume_error: Measured,
    surface_dice: Vec<SurfaceDice>,
    hausdorff_95_mm: Measured,
    hausdorff_mm: Measured,
    average_symmetric_distance_mm: Measured,
    average_distance_truth_to_prediction_mm: Measured,
    average_distance_prediction_to_truth_mm: Measured,
}

#[derive(Serialize)]
struct Mask {
    path: PathBuf,
    voxels: u64,
    volume_mm3: f64,
}

/// Agreement of the surfaces at one tolerance.
#[derive(Serialize)]
struct SurfaceDice {
    tolerance_mm: f64,
    value: Measured,
    overlap_truth: Measured,
    overlap_prediction: Measured,
}

impl Report {
    fn new(args: &MetricsArgs, truth: &Volume, prediction: &Volume) -> anyhow::Result<Self> {
        let spacing_ijk_mm = truth.grid.spacing_ijk_mm();
        // The arrays are [k, j, i]; any order serves the metrics, as long as the spacing has the same.
        let [i, j, k] = spacing_ijk_mm;
        let spacing = Spacing::new([k, j, i]).with_context(|| args.truth.display().to_string())?;
        let truth = mask(truth, args.label, &args.truth);
        let prediction = mask(prediction, args.label, &args.pred);
        let overlap = Overlap::between(truth.view(), prediction.view())?;
        let distances = SurfaceDistances::between(truth.view(), prediction.view(), spacing)?;
        let described = |path: &Path, voxels: u64| Mask {
            path: path.to_owned(),
            voxels,
            volume_mm3: voxels as f64 * spacing.voxel_volume_mm3(),
        };
        let (to_prediction, to_truth) = (distances.truth_to_prediction(), distances.prediction_to_truth());
        let surface_dice = |tolerance: &Tolerance| SurfaceDice {
            tolerance_mm: tolerance.mm(),
            value: Measured(distances.nsd(*tolerance)),
            overlap_truth: Measured(to_prediction.overlap(*tolerance)),
            overlap_prediction: Measured(to_truth.overlap(*tolerance)),
        };
        Ok(Self {
            truth: described(&args.truth, overlap.truth_voxels),
            prediction: described(&args.pred, overlap.prediction_voxels),
            label: args.label,
            spacing_ijk_mm,
            dice: Measured(overlap.dice()),
            iou: Measured(overlap.iou()),
            volume_error_mm3: overlap.volume_error_mm3(spacing),
            relative_volume_error: Measured(overlap.relative_volume_error()),
            surface_dice: args.tolerance.iter().map(surface_dice).collect(),
            hausdorff_95_mm: Measured(Some(distances.hausdorff_mm(Percentile::P95))),
            hausdorff_mm: Measured(Some(distances.hausdorff_mm(Percentile::MAX))),
            average_symmetric_distance_mm: Measured(distances.average_symmetric_mm()),
            average_distance_truth_to_prediction_mm: Measured(to_prediction.average_mm()),
            average_distance_prediction_to_truth_mm: Measured(to_truth.average_mm()),
        })
    }
}

/// The voxels of `label`, or all that are not 0; an empty mask is worth a warning, because a wrong label looks like it.
fn mask(volume: &Volume, label: Option<u16>, path: &Path) -> Array3<u8> {
    let mask = volume.data.mapv(|value| match label {
        Some(label) => u8::from(value == f32::from(label)),
        None => u8::from(value != 0.0),
    });
    if mask.iter().all(|value| *value == 0) {
        match label {
            Some(label) => tracing::warn!("{}: no voxel has label {label}", path.display()),
            None => tracing::warn!("{}: the mask is empty", path.display()),
        }
    }
    mask
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, mask) in [("truth", &self.truth), ("prediction", &self.prediction)] {
            let millilitres = mask.volume_mm3 / 1000.0;
            writeln!(f, "{name:<34}{} ({} voxels, {millilitres:.2} ml)", mask.path.display(), mask.voxels)?;
        }
        let mut row = |name: &str, value: String| writeln!(f, "{name:<34}{value}");
        row("dice", self.dice.text(4, ""))?;
        row("iou", self.iou.text(4, ""))?;
        let percent = Measured(self.relative_volume_error.0.map(|share| 100.0 * share)).text(1, " %");
        row("volume error", format!("{:+.2} ml ({percent})", self.volume_error_mm3 / 1000.0))?;
        for at in &self.surface_dice {
            row(&format!("surface dice at {} mm", at.tolerance_mm), at.value.text(4, ""))?;
        }
        row("hausdorff distance, 95 %", self.hausdorff_95_mm.text(2, " mm"))?;
        row("hausdorff distance", self.hausdorff_mm.text(2, " mm"))?;
        row("average distance, symmetric", self.average_symmetric_distance_mm.text(3, " mm"))?;
        row("average distance, truth to pred.", self.average_distance_truth_to_prediction_mm.text(3, " mm"))?;
        row("average distance, pred. to truth", self.average_distance_prediction_to_truth_mm.text(3, " mm"))
    }
}
