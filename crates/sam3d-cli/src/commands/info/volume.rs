use std::{collections::BTreeMap, fmt, path::PathBuf};

use sam3d_geom::Orientation;
use sam3d_io::{
    Format, Grid, Volume,
    dicom::{SeriesSummary, series_of},
    nrrd,
    orient::AxisMap,
};
use serde::Serialize;

use super::dicom::SeriesReport;
use crate::args::InfoArgs;

/// A volume of whole numbers with at most this many distinct values is treated as a label map.
const MOST_LABELS: usize = 32;

/// Description of a volume; indices and spacings in the file's own axis order.
#[derive(Serialize)]
pub(super) struct VolumeReport {
    path: PathBuf,
    format: String,
    /// The series, for DICOM.
    #[serde(skip_serializing_if = "Option::is_none")]
    dicom: Option<SeriesReport>,
    shape_ijk: [usize; 3],
    spacing_ijk_mm: [f64; 3],
    /// Directions of i, j and k: one letter each of L R, P A, I S.
    orientation: String,
    /// Whether the voxel axes are not orthogonal.
    sheared: bool,
    affine_source: String,
    /// From i, j, k to RAS millimetres.
    affine_ras_mm: [[f64; 4]; 3],
    value_type: String,
    slope: f64,
    intercept: f64,
    minimum: f32,
    maximum: f32,
    mean: f64,
    nan_voxels: usize,
    /// Voxels of each value, if the volume looks like a label map.
    labels: Option<BTreeMap<i64, u64>>,
    /// Names of the labels in a segmentation.
    label_names: BTreeMap<u8, String>,
}

impl VolumeReport {
    pub(super) fn read(args: &InfoArgs) -> anyhow::Result<Self> {
        let path = &args.path;
        let format = Format::recognise(path)?;
        let volume = args.reading.read(path)?;
        let dicom = if format == Format::Dicom { Some(described_series(args, &volume.grid)?) } else { None };
        let segments = if format == Format::Nrrd { nrrd::segments(path)? } else { Vec::new() };
        let names = segments.into_iter().map(|segment| (segment.label, segment.name)).collect();
        Ok(Self { dicom, ..Self::new(path.to_owned(), format, &volume, names) })
    }

    fn new(path: PathBuf, format: Format, volume: &Volume, label_names: BTreeMap<u8, String>) -> Self {
        let range = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
        let (minimum, maximum, sum) = volume.data.iter().fold(range, |(low, high, sum), value| {
            (low.min(*value), high.max(*value), sum + f64::from(*value))
        });
        let grid = &volume.grid;
        Self {
            path,
            format: format.to_string(),
            dicom: None,
            shape_ijk: grid.shape_ijk(),
            spacing_ijk_mm: grid.spacing_ijk_mm(),
            orientation: orientation(grid),
            sheared: grid.is_sheared(),
            affine_source: grid.source().to_string(),
            affine_ras_mm: grid.world_from_ijk().rows(),
            value_type: volume.value_type.to_string(),
            slope: volume.rescale.map_or(1.0, |rescale| rescale.slope),
            intercept: volume.rescale.map_or(0.0, |rescale| rescale.intercept),
            minimum,
            maximum,
            mean: sum / volume.data.len() as f64,
            nan_voxels: volume.nan_voxels,
            labels: labels(volume),
            label_names,
        }
    }
}

/// The series that was read, with the slices that its volume has: copies of slices do not count.
fn described_series(args: &InfoArgs, grid: &Grid) -> anyhow::Result<SeriesReport> {
    let series = series_of(&args.path, args.reading.series.as_deref())?;
    Ok(SeriesReport::new(&SeriesSummary { images: grid.shape_ijk()[2], ..series }, args.phi)?)
}

/// The body directions nearest to i, j and k.
fn orientation(grid: &Grid) -> String {
    let map = AxisMap::new(grid, Orientation::Lps);
    let mut letters = [' '; 3];
    // D, H and W run to superior, posterior and left, unless their stored axis is reversed.
    for ((axis, flip), (with, against)) in
        map.axes().into_iter().zip(map.flips()).zip([('S', 'I'), ('P', 'A'), ('L', 'R')])
    {
        letters[axis] = if flip { against } else { with };
    }
    letters.iter().collect()
}

/// Number of voxels of each value; `None` if a value is not a whole number or there are too many values.
fn labels(volume: &Volume) -> Option<BTreeMap<i64, u64>> {
    let mut counts = BTreeMap::new();
    let mut run = (0.0, 0);
    // Neighbours are mostly equal: one look-up per run of equal values.
    for value in &volume.data {
        if *value == run.0 {
            run.1 += 1;
            continue;
        }
        if value.fract() != 0.0 || counts.len() > MOST_LABELS {
            return None;
        }
        *counts.entry(run.0 as i64).or_insert(0) += run.1;
        run = (*value, 1);
    }
    *counts.entry(run.0 as i64).or_insert(0) += run.1;
    counts.retain(|_, count| *count > 0);
    (counts.len() <= MOST_LABELS).then_some(counts)
}

/// A number of millimetres with four decimals, or with four digits of a power of ten where those would not show it.
fn decimal(mm: f64) -> String {
    let is_shown = mm == 0.0 || (1e-3..1e9).contains(&mm.abs());
    if is_shown { format!("{mm:.4}") } else { format!("{mm:.3e}") }
}

impl fmt::Display for VolumeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [i, j, k] = self.shape_ijk;
        let [x, y, z] = self.spacing_ijk_mm.map(decimal);
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "format       {}", self.format)?;
        if let Some(series) = &self.dicom {
            write!(f, "{series}")?;
        }
        writeln!(f, "voxels       {i} x {j} x {k} (i, j, k)")?;
        writeln!(f, "spacing      {x} x {y} x {z} mm")?;
        let sheared = if self.sheared { "; the axes are not orthogonal" } else { "" };
        writeln!(f, "orientation  {} (from the {}{sheared})", self.orientation, self.affine_source)?;
        let affine = self.affine_ras_mm.map(|row| row.map(decimal));
        let width = affine.iter().flatten().map(String::len).fold(11, usize::max);
        for (row, name) in affine.iter().zip(["affine (RAS)", "", ""]) {
            let numbers: String = row.iter().map(|value| format!(" {value:>width$}")).collect();
            writeln!(f, "{name:<12}{numbers}")?;
        }
        write!(f, "type         {}", self.value_type)?;
        if (self.slope, self.intercept) != (1.0, 0.0) {
            write!(f, ", value = {} * stored + {}", self.slope, self.intercept)?;
        }
        writeln!(f, "\nrange        {} to {}, mean {:.3}", self.minimum, self.maximum, self.mean)?;
        if self.nan_voxels > 0 {
            writeln!(f, "nan          {} voxels, read as 0", self.nan_voxels)?;
        }
        for (label, count) in self.labels.iter().flatten() {
            let name = u8::try_from(*label).ok().and_then(|label| self.label_names.get(&label));
            let name = name.map_or(String::new(), |name| format!(" ({name})"));
            writeln!(f, "label {label:<6} {count} voxels{name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;
    use sam3d_geom::Affine;
    use sam3d_io::ValueType;

    use super::*;

    proptest! {
        /// Each line has the numbers it should, with a space between them and as large as they are.
        #[test]
        fn columns_stay_apart_for_any_spacing(
            exponents in proptest::array::uniform3(-7.0..12.0f64),
            offsets in proptest::array::uniform3(-1e11..1e11f64),
            shear in -0.9..0.9f64,
        ) {
            let [x, y, z] = exponents.map(|exponent| 10f64.powf(exponent));
            let [a, b, c] = offsets;
            let rows = [[-x, shear * y, 0.0, a], [shear * x, -y, 0.0, b], [0.0, 0.0, z, c]];
            let grid = Grid::from_affine([1, 1, 1], Affine::new(rows).unwrap()).unwrap();
            let volume = Volume {
                data: Array3::zeros([1, 1, 1]),
                grid,
                nan_voxels: 0,
                value_type: ValueType::Uint8,
                rescale: None,
            };
            let report = VolumeReport::new(PathBuf::from("a.nii"), Format::Nifti, &volume, BTreeMap::new());
            let text = report.to_string();
            let numbers_of = |line: &str| -> Vec<f64> {
                line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
            };
            let line = |start: &str| text.lines().position(|line| line.starts_with(start)).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let spacing = numbers_of(lines[line("spacing")]);
            prop_assert_eq!(spacing.len(), 3, "{}", text);
            let near = |found: f64, expected: f64| {
                (found - expected).abs() <= 5e-5f64.max(5e-4 * expected.abs()) && (found == 0.0) == (expected == 0.0)
            };
            let expected = volume.grid.spacing_ijk_mm();
            prop_assert!(spacing.iter().zip(expected).all(|(found, mm)| near(*found, mm)), "{}", text);
            let affine = &lines[line("affine")..][..3];
            for (line, row) in affine.iter().zip(volume.grid.world_from_ijk().rows()) {
                let found = numbers_of(line.trim_start_matches("affine (RAS)"));
                prop_assert_eq!(found.len(), 4, "{}", text);
                prop_assert!(found.iter().zip(row).all(|(found, mm)| near(*found, mm)), "{}", text);
                prop_assert_eq!(line.len(), affine[0].len(), "{}", text);
            }
        }
    }
}
