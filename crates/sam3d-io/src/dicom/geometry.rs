use sam3d_geom::Affine;

use super::{DicomError, instance::Instance};
use crate::{AffineSource, Grid, IoError};

/// Angle from which on slices that are shifted against each other count as tilted, not as rounded.
const LARGEST_TILT_DEGREES: f64 = 0.5;
/// Distance of a slice from the even grid, as a share of the spacing, that rounding of positions explains.
const LARGEST_UNEVENNESS: f64 = 0.1;
/// A distance of so many spacings or more has room for another slice.
const GAP: f64 = 1.5;
/// Difference of direction cosines, or relative one of spacings, that rounding explains.
const ROUNDING: f64 = 1e-3;

/// Slices of one volume by their position, and the grid they make.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) slices: Vec<Instance>,
    pub(super) grid: Grid,
}

impl Stack {
    /// Sorts `slices`, of which there is one at least, along their normal and checks that they fill a grid.
    ///
    /// The distance of slices comes from their positions alone; SliceThickness is how much each one averages.
    pub(super) fn new(mut slices: Vec<Instance>) -> Result<Self, IoError> {
        let first = &slices[0];
        let failed = |slice: &Instance, error: DicomError| error.at(&slice.name());
        let directions = directions(first).map_err(|error| failed(first, error))?;
        for slice in &slices[1..] {
            check_alike(first, slice).map_err(|error| failed(slice, error))?;
        }
        let normal = cross(directions[0], directions[1]);
        let along = |slice: &Instance| dot(slice.plane.position.unwrap_or_default(), normal);
        slices.sort_by(|a, b| along(a).total_cmp(&along(b)));
        let positions: Vec<f64> = slices.iter().map(along).collect();
        check_distances(&slices, &positions).map_err(|error| failed(&slices[0], error))?;
        let step = step(&slices, normal).map_err(|error| failed(&slices[0], error))?;
        let grid = grid(&slices, directions, step)?;
        Ok(Self { slices, grid })
    }
}

/// Unit vectors along which the column and the row index grow, LPS.
fn directions(slice: &Instance) -> Result<[[f64; 3]; 2], DicomError> {
    let missing = |name| DicomError::AttributeMissing { name };
    slice.plane.position.ok_or_else(|| missing("ImagePositionPatient"))?;
    let [a, b, c, d, e, f] = slice.plane.orientation.ok_or_else(|| missing("ImageOrientationPatient"))?;
    let ([x, y], [length_x, length_y]) =
        ([[a, b, c], [d, e, f]], [[a, b, c], [d, e, f]].map(|v| dot(v, v).sqrt()));
    let is_unit = |length: f64| (length - 1.0).abs() < 10.0 * ROUNDING;
    if !is_unit(length_x) || !is_unit(length_y) || dot(x, y).abs() > 10.0 * ROUNDING {
        let expected = "two perpendicular unit vectors";
        return Err(DicomError::AttributeInvalid { name: "ImageOrientationPatient", expected });
    }
    Ok([x.map(|value| value / length_x), y.map(|value| value / length_y)])
}

/// Fails if `slice` cannot lie in one array with `first`.
fn check_alike(first: &Instance, slice: &Instance) -> Result<(), DicomError> {
    let unlike = |name| Err(DicomError::SliceUnlike { name, other: first.name() });
    let close = |a: &[f64], b: &[f64]| {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= ROUNDING * f64::max(1.0, a.abs()))
    };
    if slice.plane.position.is_none() {
        return Err(DicomError::AttributeMissing { name: "ImagePositionPatient" });
    }
    match (slice.plane.orientation, first.plane.orientation) {
        (Some(a), Some(b)) if close(&a, &b) => {}
        _ => return unlike("ImageOrientationPatient"),
    }
    match (slice.plane.pixel_spacing, first.plane.pixel_spacing) {
        (None, None) => {}
        (Some(a), Some(b)) if close(&a, &b) => {}
        _ => return unlike("PixelSpacing"),
    }
    if slice.rows != first.rows {
        return unlike("Rows");
    }
    if slice.columns != first.columns {
        return unlike("Columns");
    }
    Ok(())
}

/// Fails if sorted slices overlap, leave gaps, or lie unevenly.
fn check_distances(slices: &[Instance], positions_mm: &[f64]) -> Result<(), DicomError> {
    if slices.len() < 2 {
        return Ok(());
    }
    let distances: Vec<f64> = positions_mm.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let span = positions_mm[positions_mm.len() - 1] - positions_mm[0];
    // Copies have the same position to the last digit; the rest is a thousandth of a slice's usual distance.
    let same = |distance: f64| distance <= ROUNDING * span / slices.len() as f64;
    if let Some(at) = distances.iter().position(|distance| same(*distance)) {
        return Err(DicomError::SlicesRepeated {
            count: distances.iter().filter(|distance| same(**distance)).count(),
            first: slices[at].name(),
            second: slices[at + 1].name(),
            position_mm: positions_mm[at],
        });
    }
    let mut sorted = distances.clone();
    sorted.sort_by(f64::total_cmp);
    let usual = sorted[(sorted.len() - 1) / 2];
    let gaps = distances.iter().filter(|distance| **distance >= GAP * usual);
    let missing: f64 = gaps.clone().map(|distance| (distance / usual).round().max(2.0) - 1.0).sum();
    // Where half of the distances are gaps, slices are not missing but thin slices are mixed with thick ones.
    if let Some(at) = distances.iter().position(|distance| *distance >= GAP * usual)
        && gaps.count() * 3 <= distances.len().max(3)
    {
        return Err(DicomError::SlicesMissing {
            missing: missing as usize,
            before: slices[at].name(),
            before_mm: positions_mm[at],
            after: slices[at + 1].name(),
            after_mm: positions_mm[at + 1],
            spacing_mm: usual,
        });
    }
    let even = span / distances.len() as f64;
    let unevenness = |(i, position): (usize, &f64)| (position - positions_mm[0] - even * i as f64).abs();
    if positions_mm.iter().enumerate().map(unevenness).fold(0.0, f64::max) > LARGEST_UNEVENNESS * even {
        let widest =
            (0..distances.len()).fold(0, |best, i| if distances[i] > distances[best] { i } else { best });
        return Err(DicomError::SpacingUneven {
            low_mm: sorted[0],
            high_mm: sorted[sorted.len() - 1],
            path: slices[widest].name(),
        });
    }
    Ok(())
}

/// The vector from one slice to the next, LPS.
fn step(slices: &[Instance], normal: [f64; 3]) -> Result<[f64; 3], DicomError> {
    let position = |slice: &Instance| slice.plane.position.unwrap_or_default();
    let [first, last] = [position(&slices[0]), position(&slices[slices.len() - 1])];
    if slices.len() == 1 {
        let length = slices[0].plane.spacing_between_slices.or(slices[0].plane.slice_thickness).map(f64::abs);
        let length = length.filter(|length| *length > 0.0).unwrap_or_else(|| {
            tracing::warn!(path = %slices[0].path.display(), "a single slice without SliceThickness: taken as 1 mm thick");
            1.0
        });
        return Ok(normal.map(|value| value * length));
    }
    let count = (slices.len() - 1) as f64;
    let step: [f64; 3] = std::array::from_fn(|axis| (last[axis] - first[axis]) / count);
    let along = dot(step, normal);
    let across = (dot(step, step) - along * along).max(0.0).sqrt();
    let degrees = across.atan2(along).to_degrees();
    if degrees > LARGEST_TILT_DEGREES {
        return Err(DicomError::GantryTilted { degrees });
    }
    Ok(step)
}

fn grid(slices: &[Instance], [x, y]: [[f64; 3]; 2], step: [f64; 3]) -> Result<Grid, IoError> {
    let first = &slices[0];
    let failed = |name| DicomError::AttributeMissing { name }.at(&first.path);
    let [between_rows, between_columns] = first.plane.pixel_spacing.ok_or_else(|| failed("PixelSpacing"))?;
    let size =
        |size: Option<u16>, name| size.filter(|size| *size > 0).map(usize::from).ok_or_else(|| failed(name));
    let shape = [size(first.columns, "Columns")?, size(first.rows, "Rows")?, slices.len()];
    let origin = first.plane.position.unwrap_or_default();
    let rows = std::array::from_fn(|row| {
        let sign = if row < 2 { -1.0 } else { 1.0 };
        [x[row] * between_columns, y[row] * between_rows, step[row], origin[row]]
            .map(|value| value * sign + 0.0)
    });
    let invalid = |source| IoError::GeometryInvalid {
        path: first.path.clone(),
        origin: AffineSource::ImagePositions,
        source: Box::new(source),
    };
    Grid::from_rounded_affine(shape, Affine::new(rows).map_err(invalid)?, AffineSource::ImagePositions)
        .map_err(invalid)
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cross([a, b, c]: [f64; 3], [d, e, f]: [f64; 3]) -> [f64; 3] {
    [b * f - c * e, c * d - a * f, a * e - b * d]
}
