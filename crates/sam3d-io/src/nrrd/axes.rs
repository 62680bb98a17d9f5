use super::fields::Fields;
use crate::{AffineSource, Grid, IoError, header_geometry::HeaderGeometry};

/// The format's own bound on the number of axes.
const MOST_AXES: usize = 16;

/// The voxel grid the header describes.
///
/// # Errors
/// [`IoError`] if the header does not describe one scalar volume with three axes in space.
pub(super) fn grid(fields: &Fields) -> Result<Grid, IoError> {
    let axes = Axes::read(fields)?;
    let (spatial, other) = axes.spatial(fields)?;
    match other {
        Some(axis) => Err(axes.not_scalar(axis, fields)),
        None => axes.grid(fields, spatial),
    }
}

/// The voxel grid of a segmentation and the number of its layers, whose axis is the fastest one.
///
/// # Errors
/// As [`grid`], but for the layers.
pub(super) fn layered_grid(fields: &Fields) -> Result<(Grid, usize), IoError> {
    let axes = Axes::read(fields)?;
    let (spatial, other) = axes.spatial(fields)?;
    let layers = match other {
        None => 1,
        Some(0) if axes.kinds.first().is_some_and(|kind| kind == "list") => axes.sizes[0],
        Some(axis) => return Err(axes.not_scalar(axis, fields)),
    };
    Ok((axes.grid(fields, spatial)?, layers))
}

/// What the header says of each axis, the fastest first.
struct Axes {
    sizes: Vec<usize>,
    /// In the file's space; `None` for an axis that is not spatial.
    directions: Option<Vec<Option<[f64; 3]>>>,
    kinds: Vec<String>,
}

impl Axes {
    fn read(fields: &Fields) -> Result<Self, IoError> {
        let text = fields.required("dimension")?;
        let dimension = text.parse().ok().filter(|n| (1..=MOST_AXES).contains(n));
        let dimension = dimension.ok_or_else(|| fields.unexpected("dimension", "1 to 16", text))?;
        let sizes: Vec<usize> = fields.numbers("sizes")?.unwrap_or_default();
        if sizes.len() != dimension || sizes.contains(&0) {
            let expected = format!("{dimension} positive numbers");
            return Err(fields.unexpected("sizes", &expected, fields.get("sizes").unwrap_or_default()));
        }
        let directions = match fields.get("space directions") {
            None => None,
            Some(text) => {
                let directions = vectors(fields, "space directions", text)?;
                if directions.len() != dimension {
                    return Err(fields.unexpected("space directions", &format!("{dimension} entries"), text));
                }
                Some(directions)
            }
        };
        let kinds = fields.get("kinds").unwrap_or_default();
        let kinds = kinds.split_whitespace().map(str::to_ascii_lowercase).collect();
        Ok(Self { sizes, directions, kinds })
    }

    /// The grid of the axes `spatial`.
    fn grid(&self, fields: &Fields, spatial: [usize; 3]) -> Result<Grid, IoError> {
        let shape_ijk = spatial.map(|axis| self.sizes[axis]);
        let failed = |origin, source| IoError::GeometryInvalid {
            path: fields.path.clone(),
            origin,
            source: Box::new(source),
        };
        let Some(directions) = &self.directions else {
            let spacing = spacing(fields, spatial)?;
            return Grid::from_header(shape_ijk, HeaderGeometry::of_spacing_mm(spacing))
                .map_err(|(origin, source)| failed(origin, source));
        };
        let signs = ras_signs(fields)?;
        let units = millimetres_per_unit(fields)?;
        let origin = match fields.get("space origin") {
            Some(text) => vectors(fields, "space origin", text)?.pop().flatten().unwrap_or_default(),
            None => [0.0; 3],
        };
        let rows = std::array::from_fn(|row| {
            let column = |axis: usize| directions[axis].map_or(0.0, |direction| direction[row]);
            let [i, j, k] = spatial.map(column);
            // Adding zero turns the negative zero of a flipped axis into a plain one.
            [i, j, k, origin[row]].map(|value| value * signs[row] * units[row] + 0.0)
        });
        Grid::from_exact_affine(shape_ijk, rows, AffineSource::SpaceDirections)
            .map_err(|source| failed(AffineSource::SpaceDirections, source))
    }

    /// The three axes in space, and another one that has more than a single entry.
    fn spatial(&self, fields: &Fields) -> Result<([usize; 3], Option<usize>), IoError> {
        let (spatial, others): (Vec<usize>, Vec<usize>) =
            (0..self.sizes.len()).partition(|axis| self.is_spatial(*axis));
        let too_few = || {
            let (count, sizes) = (spatial.len(), &self.sizes);
            fields.invalid(format!("expected three axes in space, found {count} (sizes {sizes:?})"))
        };
        let three = <[usize; 3]>::try_from(&spatial[..]).map_err(|_| too_few())?;
        Ok((three, others.into_iter().find(|axis| self.sizes[*axis] > 1)))
    }

    fn is_spatial(&self, axis: usize) -> bool {
        match (&self.directions, self.kinds.get(axis).map(String::as_str)) {
            (Some(directions), _) => directions[axis].is_some(),
            (None, Some("domain" | "space" | "???" | "none")) => {
                axis < 3 || self.kinds.iter().take(3).any(|kind| is_range(kind))
            }
            (None, Some(_)) => false,
            (None, None) => axis < 3,
        }
    }

    /// Why `axis`, which is not spatial and has several entries, cannot be read.
    fn not_scalar(&self, axis: usize, fields: &Fields) -> IoError {
        let (size, path) = (self.sizes[axis], fields.path.clone());
        let kind = self.kinds.get(axis).map_or("???", String::as_str);
        if kind == "list" && fields.keys.keys().any(|key| key.starts_with("Segment0_")) {
            return fields.invalid(format!(
                "expected one layer of segments, found {size} that may overlap; save the wanted segments as a label map"
            ));
        }
        match kind {
            "list" | "time" | "domain" | "space" | "???" | "none" => {
                let dimensions = self.sizes.iter().map(|size| *size as i64).collect();
                IoError::FramesUnsupported { path, frames: size as u64, dimensions }
            }
            kind => {
                IoError::TypeUnsupported { path, found: format!("{size} numbers for each voxel ({kind})") }
            }
        }
    }
}

/// Whether a kind is of values, not of positions.
fn is_range(kind: &str) -> bool {
    !matches!(kind, "domain" | "space" | "???" | "none")
}

/// The entries of a field of vectors: `none`, or three numbers in parentheses.
fn vectors(fields: &Fields, name: &str, text: &str) -> Result<Vec<Option<[f64; 3]>>, IoError> {
    let unexpected = || fields.unexpected(name, "vectors (x,y,z) of three numbers, or none", text);
    let mut entries = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("none") {
            entries.push(None);
            rest = after.trim_start();
            continue;
        }
        let (vector, after) =
            rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(unexpected)?;
        let numbers: Option<Vec<f64>> = vector.split(',').map(|number| number.trim().parse().ok()).collect();
        let vector = numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok()).ok_or_else(unexpected)?;
        entries.push(Some(vector));
        rest = after.trim_start();
    }
    Ok(entries)
}

/// The distances along the spatial axes of a header without directions.
fn spacing(fields: &Fields, spatial: [usize; 3]) -> Result<[f64; 3], IoError> {
    let spacings: Option<Vec<f64>> = fields.numbers("spacings")?;
    let Some(spacings) = spacings else {
        tracing::warn!(path = %fields.path.display(), "the header has no spacing: voxels are taken to be 1 mm apart");
        return Ok([1.0; 3]);
    };
    let at = |axis: usize| spacings.get(axis).copied().filter(|spacing| spacing.is_finite());
    match spatial.map(at) {
        [Some(i), Some(j), Some(k)] => Ok([i, j, k]),
        _ => Err(fields.unexpected("spacings", "a number for every axis in space", &format!("{spacings:?}"))),
    }
}

/// What turns the file's space into RAS.
fn ras_signs(fields: &Fields) -> Result<[f64; 3], IoError> {
    let space = fields.get("space").unwrap_or_default().to_ascii_lowercase();
    match space.as_str() {
        "right-anterior-superior" | "ras" => Ok([1.0, 1.0, 1.0]),
        "left-anterior-superior" | "las" => Ok([-1.0, 1.0, 1.0]),
        "left-posterior-superior" | "lps" => Ok([-1.0, -1.0, 1.0]),
        "" | "scanner-xyz" | "3d-right-handed" | "3d-left-handed" => {
            let path = fields.path.display();
            tracing::warn!(%path, space, "the header does not say how its space lies in the patient: taken as LPS");
            Ok([-1.0, -1.0, 1.0])
        }
        other => Err(fields.unexpected("space", "RAS, LAS or LPS of three dimensions", other)),
    }
}

/// By `space units`; a header that names none means millimetres.
fn millimetres_per_unit(fields: &Fields) -> Result<[f64; 3], IoError> {
    let text = fields.get("space units").unwrap_or_default();
    let mut units = text.split('"').skip(1).step_by(2).map(|unit| match unit.trim() {
        "" | "mm" | "millimeter" | "millimetre" => Ok(1.0),
        "m" | "meter" | "metre" => Ok(1000.0),
        "cm" => Ok(10.0),
        "um" | "µm" | "μm" | "micron" => Ok(0.001),
        other => Err(fields.unexpected("space units", "\"m\", \"cm\", \"mm\" or \"um\"", other)),
    });
    let mut next = || units.next().unwrap_or(Ok(1.0));
    Ok([next()?, next()?, next()?])
}
