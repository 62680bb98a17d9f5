//! `sam3d measure`: measurements of a mask.

use std::{fmt, path::PathBuf};

use anyhow::bail;
use ndarray::Array3;
use sam3d_io::{LabelOptions, Volume, check_same_grid, dicom::MaskOptions, read_label_with};
use sam3d_metrics::IntensityStatistics;
use serde::Serialize;

use crate::{
    args::{GlobalArgs, MeasureArgs},
    measurements::Measurements,
    output,
};

/// Measures the mask, or each of the labels, and prints the report.
///
/// # Errors
/// If a file cannot be read, image and mask do not lie on one grid, or the mask is empty.
pub fn run(args: &MeasureArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let image = args.image.as_ref().map(|path| args.reading.read(path)).transpose()?;
    let volume = read_mask(args, image.as_ref())?;
    if let Some((path, image)) = args.image.as_ref().zip(image.as_ref()) {
        check_same_grid((path, &image.grid), (&args.mask, &volume.grid))?;
    }
    let labels: Vec<Option<u16>> = match args.label.as_slice() {
        [] => vec![None],
        labels => labels.iter().copied().map(Some).collect(),
    };
    let reports = labels
        .into_iter()
        .map(|label| measure(args, label, &volume, image.as_ref()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if args.csv {
        return output::emit_text(&csv(&reports));
    }
    match reports.as_slice() {
        [one] => output::emit(one, global.json),
        _ => output::emit(&Reports(reports), global.json),
    }
}

fn read_mask(args: &MeasureArgs, image: Option<&Volume>) -> anyhow::Result<Volume> {
    let limits = args.reading.limits();
    let options = LabelOptions { threshold: args.threshold, contours: MaskOptions::default() };
    let read = match image {
        Some(image) => read_label_with(&args.mask, &image.grid, limits, options),
        None => sam3d_io::read(&args.mask, limits)
            .and_then(|volume| volume.into_labels(&args.mask, args.threshold)),
    };
    read.map_err(|error| output::with_threshold(error, "--threshold"))
}

fn measure(
    args: &MeasureArgs,
    label: Option<u16>,
    volume: &Volume,
    image: Option<&Volume>,
) -> anyhow::Result<Report> {
    let belongs = |value: f32| label.map_or(value != 0.0, |label| value == f32::from(label));
    let mask: Array3<u8> = volume.data.mapv(|value| u8::from(belongs(value)));
    let intensity = image.map(|image| IntensityStatistics::of(image.data.view(), mask.view())).transpose()?;
    let measured = Measurements::of(mask.view(), &volume.grid, intensity.flatten())?;
    let Some(measurements) = measured else {
        let path = args.mask.display();
        match label {
            Some(label) => bail!("{path}: no voxel has label {label}"),
            None => bail!("{path}: the mask is empty, there is nothing to measure"),
        }
    };
    Ok(Report { mask: args.mask.clone(), image: args.image.clone(), label, measurements })
}

/// What was measured of one mask or label.
#[derive(Serialize)]
struct Report {
    mask: PathBuf,
    image: Option<PathBuf>,
    label: Option<u16>,
    #[serde(flatten)]
    measurements: Measurements,
}

/// Several labels.
#[derive(Serialize)]
#[serde(transparent)]
struct Reports(Vec<Report>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.label.map_or_else(String::new, |label| format!(", label {label}"));
        writeln!(f, "{:<24}{}{label}", "mask", self.mask.display())?;
        write!(f, "{}", self.measurements)
    }
}

impl fmt::Display for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|report| writeln!(f, "{report}"))
    }
}

fn csv(reports: &[Report]) -> String {
    let mut text = format!("mask,label,{}\n", Measurements::CSV_HEADER);
    for report in reports {
        let path = report.mask.display().to_string();
        let path =
            if path.contains([',', '"', '\n']) { format!("\"{}\"", path.replace('"', "\"\"")) } else { path };
        let label = report.label.map_or_else(String::new, |label| label.to_string());
        text.push_str(&format!("{path},{label},{}\n", report.measurements.csv()));
    }
    text
}
