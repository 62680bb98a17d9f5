//! `sam3d metrics`: comparison of masks, of two files or two directories.

mod pairs;
mod report;
mod table;

use std::path::Path;

use anyhow::{Context, bail};
use ndarray::Array3;
use sam3d_geom::Spacing;
use sam3d_io::{
    IoError, LabelOptions, Volume, check_same_grid,
    dicom::{MaskOptions, Segmentation},
    on_grid::nearest_on_grid,
    read_label_with,
};
use sam3d_metrics::{Comparison, compare_labels};

use crate::{
    args::{GlobalArgs, MetricsArgs},
    output,
};
use pairs::{Pair, pairs};
use report::{BatchReport, Failure, Report};

/// Compares the masks and prints the report.
///
/// # Errors
/// If a file cannot be read or the grids differ; for directories, after all pairs have been compared.
pub fn run(args: &MetricsArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let tolerances: Vec<f64> = args.tolerance.iter().map(|tolerance| tolerance.mm()).collect();
    let (found, mut failures) = pairs(&args.truth, &args.pred)?;
    let is_one = args.truth.is_file() || args.pred.is_file();
    let total = found.len() + failures.len();
    let mut results = Vec::new();
    for pair in &found {
        match compare(args, pair) {
            Ok(reports) => results.extend(reports),
            Err(error) if is_one => return Err(error),
            Err(error) => {
                failures.push(Failure { name: pair.name.clone(), error: output::one_line(&error) });
            }
        }
    }
    failures.sort_by(|a, b| a.name.cmp(&b.name));
    let many = BatchReport::new(results, failures, &tolerances);
    match many.results.as_slice() {
        [one] if is_one && !args.csv => output::emit(one, global.json)?,
        _ if args.csv => output::emit_text(&many.csv(&tolerances))?,
        _ => output::emit(&many, global.json)?,
    }
    match many.failures.as_slice() {
        [] => Ok(()),
        [first, ..] => bail!(
            "{} of {total} pairs could not be compared; the first is {}: {}",
            many.failures.len(),
            first.name,
            first.error
        ),
    }
}

/// A report for each label, or one for all nonzero voxels.
fn compare(args: &MetricsArgs, pair: &Pair) -> anyhow::Result<Vec<Report>> {
    let contours = MaskOptions { fill_gaps: args.fill_gaps };
    let options = LabelOptions { threshold: args.threshold, contours };
    let limits = args.reading.limits();
    let advice = |error: IoError| output::with_threshold(error, "--threshold");
    let labels = |path: &Path| {
        sam3d_io::read(path, limits)
            .and_then(|volume| volume.into_labels(path, args.threshold))
            .map_err(advice)
    };
    // A DICOM segmentation leaves out empty slices: it is placed on the other mask's grid.
    let (truth, mut prediction) = if Segmentation::is_at(&pair.prediction)? {
        let truth = labels(&pair.truth)?;
        let prediction = read_label_with(&pair.prediction, &truth.grid, limits, options).map_err(advice)?;
        (truth, prediction)
    } else {
        let prediction = labels(&pair.prediction)?;
        let truth = read_label_with(&pair.truth, &prediction.grid, limits, options).map_err(advice)?;
        (truth, prediction)
    };
    if let Err(error) = check_same_grid((&pair.truth, &truth.grid), (&pair.prediction, &prediction.grid)) {
        if !args.resample_pred {
            bail!("{error}; --resample-pred resamples the prediction");
        }
        prediction = nearest_on_grid(&prediction, &truth.grid);
    }
    let spacing_ijk_mm = truth.grid.spacing_ijk_mm();
    // The arrays are [k, j, i]; the metrics work in any order of axes, as long as the spacing has the same.
    let [i, j, k] = spacing_ijk_mm;
    let spacing = Spacing::new([k, j, i]).with_context(|| pair.truth.display().to_string())?;
    let volumes = [&truth, &prediction];
    let compared: Vec<(Option<u16>, Comparison)> = if args.label.is_empty() {
        let [truth, prediction] = volumes.map(|volume| volume.data.mapv(|value| u8::from(value != 0.0)));
        vec![(None, Comparison::between(truth.view(), prediction.view(), spacing)?)]
    } else {
        let [truth, prediction] = volumes.map(labels_of);
        compare_labels(truth.view(), prediction.view(), spacing, Some(&args.label))?
            .into_iter()
            .map(|one| (Some(one.label), one.comparison))
            .collect()
    };
    for (label, comparison) in &compared {
        let overlap = comparison.overlap;
        warn_if_empty(&pair.truth, *label, overlap.truth_voxels);
        warn_if_empty(&pair.prediction, *label, overlap.prediction_voxels);
    }
    let report = |(label, comparison)| Report::new(pair, label, &comparison, spacing, &args.tolerance);
    Ok(compared.into_iter().map(report).collect())
}

/// Labels as whole numbers; other values, and values above the largest label, become 0.
fn labels_of(volume: &Volume) -> Array3<u16> {
    // The cast clamps, so a value that it changes is not a label.
    volume.data.mapv(|value| Some(value as u16).filter(|label| f32::from(*label) == value).unwrap_or(0))
}

/// Warns of an empty mask, which a wrong label also gives.
fn warn_if_empty(path: &Path, label: Option<u16>, voxels: u64) {
    match label {
        _ if voxels > 0 => {}
        Some(label) => tracing::warn!("{}: no voxel has label {label}", path.display()),
        None => tracing::warn!("{}: the mask is empty", path.display()),
    }
}
