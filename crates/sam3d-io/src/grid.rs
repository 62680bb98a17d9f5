use std::fmt;

use sam3d_geom::{Affine, GeomError};

use crate::IoError;

/// Cosine between two axes above which a grid counts as sheared: well above what rounding to `f32` causes.
const SHEAR_TOLERANCE: f64 = 1e-4;
/// Relative difference between `pixdim` and the affine's columns up to which both say the same.
const SPACING_TOLERANCE: f64 = 1e-3;

/// Which header fields a grid's affine comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AffineSource {
    /// The sform's matrix (its code is positive).
    Sform,
    /// The qform's quaternion, offset and `pixdim` (its code is positive, the sform's is not).
    Qform,
    /// Only `pixdim`: neither code is positive, so position and direction in the patient are not known. The stored axes
    /// are then taken to run to right, anterior and superior from the origin.
    Pixdim,
}

impl fmt::Display for AffineSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sform => "sform",
            Self::Qform => "qform",
            Self::Pixdim => "pixdim",
        })
    }
}

/// A file's own voxel grid: shape, position in the world, and what is needed to write a file with the same geometry.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    shape_ijk: [usize; 3],
    world_from_ijk: Affine,
    spacing_ijk_mm: [f64; 3],
    source: AffineSource,
    header: HeaderGeometry,
}

/// The geometry fields of a NIfTI header, widened to `f64` (exact for NIfTI-1, so that they are written back as read).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HeaderGeometry {
    pub(crate) qform_code: i16,
    pub(crate) sform_code: i16,
    pub(crate) qfac: f64,
    pub(crate) pixdim: [f64; 3],
    pub(crate) quaternion: [f64; 3],
    pub(crate) offset: [f64; 3],
    pub(crate) srow: [[f64; 4]; 3],
    pub(crate) xyzt_units: u8,
}

impl Grid {
    /// A grid of `shape_ijk` voxels (i is stored fastest) at `world_from_ijk` (RAS, mm), for volumes that are generated.
    ///
    /// Files written with it carry the affine as sform and, if the axes are orthogonal, as qform, both with code 1
    /// (scanner coordinates). The affine is rounded to `f32`, as files hold it: what is read back is equal.
    ///
    /// # Errors
    /// [`IoError::Geometry`] if the rounded affine is singular or an axis has no voxel.
    pub fn from_affine(shape_ijk: [usize; 3], world_from_ijk: Affine) -> Result<Self, IoError> {
        sam3d_geom::Extent::new(shape_ijk)?;
        let as_stored = |value: f64| f64::from(value as f32);
        let srow = world_from_ijk.rows().map(|row| row.map(as_stored));
        let rounded = Affine::new(srow)?;
        let (qfac, quaternion) = quaternion_from_affine(&rounded);
        let header = HeaderGeometry {
            qform_code: i16::from(rounded.shear() <= SHEAR_TOLERANCE),
            sform_code: 1,
            qfac,
            pixdim: rounded.column_lengths_mm().map(as_stored),
            quaternion: quaternion.map(as_stored),
            offset: srow.map(|row| row[3]),
            srow,
            xyzt_units: UNITS_MM,
        };
        Ok(Self::from_header(shape_ijk, header).map_err(|(_, error)| error)?)
    }

    /// The grid a header describes; on failure the fields that were used and what is wrong with them.
    pub(crate) fn from_header(
        shape_ijk: [usize; 3],
        header: HeaderGeometry,
    ) -> Result<Self, (AffineSource, GeomError)> {
        let millimetres = millimetres_per_unit(header.xyzt_units);
        let (source, rows) = header.affine_rows();
        let affine = Affine::new(rows.map(|row| row.map(|value| value * millimetres)));
        let world_from_ijk = affine.map_err(|error| (source, error))?;
        let spacing_ijk_mm = spacing_ijk_mm(&world_from_ijk, header.pixdim.map(|v| v.abs() * millimetres));
        Ok(Self { shape_ijk, world_from_ijk, spacing_ijk_mm, source, header })
    }

    /// Number of voxels along i, j and k.
    pub fn shape_ijk(&self) -> [usize; 3] {
        self.shape_ijk
    }

    /// Shape of the grid's arrays, `[k, j, i]`.
    pub fn shape_kji(&self) -> [usize; 3] {
        let [i, j, k] = self.shape_ijk;
        [k, j, i]
    }

    /// From a voxel index `[i, j, k]` to RAS millimetres.
    pub fn world_from_ijk(&self) -> &Affine {
        &self.world_from_ijk
    }

    /// Distance between neighbouring voxels along i, j and k in mm: the number that decides resampling.
    ///
    /// It is `pixdim` as stored (`f32` widened), because that is what the published preprocessing multiplies by, as long
    /// as it agrees with the affine to one part in a thousand. A sheared affine, or one that disagrees with `pixdim`,
    /// decides instead, by the lengths of its columns: positions come from the affine, and so must distances.
    pub fn spacing_ijk_mm(&self) -> [f64; 3] {
        self.spacing_ijk_mm
    }

    /// Which header fields the affine comes from.
    pub fn source(&self) -> AffineSource {
        self.source
    }

    /// Whether the axes are not orthogonal, so that no resampling along them gives a true rectangular grid.
    pub fn is_sheared(&self) -> bool {
        self.world_from_ijk.shear() > SHEAR_TOLERANCE
    }

    pub(crate) fn header(&self) -> &HeaderGeometry {
        &self.header
    }

    /// Whether the header's `pixdim` was set aside for the affine's column lengths.
    pub(crate) fn spacing_is_from_columns(&self) -> bool {
        self.spacing_ijk_mm == self.world_from_ijk.column_lengths_mm()
            && self.spacing_ijk_mm
                != self.header.pixdim.map(|v| v.abs() * millimetres_per_unit(self.header.xyzt_units))
    }

    /// The voxel `[i, j, k]` of a signed index, for indices that come from outside.
    ///
    /// # Errors
    /// [`IoError::VoxelOutside`], which names the valid range.
    pub fn voxel(&self, index: [i64; 3]) -> Result<[usize; 3], IoError> {
        let inside = index.iter().zip(self.shape_ijk).all(|(i, n)| usize::try_from(*i).is_ok_and(|i| i < n));
        if inside {
            Ok(index.map(|i| i as usize))
        } else {
            Err(IoError::VoxelOutside { index, last: self.shape_ijk.map(|n| n.saturating_sub(1)) })
        }
    }

    /// The voxel `[i, j, k]` nearest to a point in RAS millimetres.
    ///
    /// # Errors
    /// [`IoError::WorldPointOutside`], which names the volume's range, if the point is outside every voxel.
    pub fn voxel_from_ras_mm(&self, point_mm: [f64; 3]) -> Result<[usize; 3], IoError> {
        self.voxel_from_world(point_mm, "RAS", [1.0; 3])
    }

    /// The voxel `[i, j, k]` nearest to a point in LPS millimetres (x to the left, y to posterior), as DICOM has them.
    ///
    /// # Errors
    /// As [`voxel_from_ras_mm`](Self::voxel_from_ras_mm).
    pub fn voxel_from_lps_mm(&self, point_mm: [f64; 3]) -> Result<[usize; 3], IoError> {
        self.voxel_from_world(point_mm, "LPS", [-1.0, -1.0, 1.0])
    }

    fn voxel_from_world(
        &self,
        point_mm: [f64; 3],
        space: &'static str,
        ras_signs: [f64; 3],
    ) -> Result<[usize; 3], IoError> {
        let ras = std::array::from_fn(|axis| point_mm[axis] * ras_signs[axis]);
        let index = self.world_from_ijk.voxel_from_world(ras).map(f64::round);
        // Compared as floats: NaN and numbers beyond every integer are outside too.
        if index.iter().zip(self.shape_ijk).all(|(i, n)| *i >= 0.0 && *i < n as f64) {
            return Ok(index.map(|i| i as usize));
        }
        let [low_mm, high_mm] = self.bounds_mm(ras_signs);
        Err(IoError::WorldPointOutside { point_mm, space, low_mm, high_mm })
    }

    /// Smallest and largest coordinates of the outer voxels' faces.
    fn bounds_mm(&self, ras_signs: [f64; 3]) -> [[f64; 3]; 2] {
        let mut bounds = [[f64::INFINITY; 3], [f64::NEG_INFINITY; 3]];
        for corner in 0..8usize {
            let index = std::array::from_fn(|axis| {
                if corner >> axis & 1 == 0 { -0.5 } else { self.shape_ijk[axis] as f64 - 0.5 }
            });
            let world = self.world_from_ijk.world_from_voxel(index);
            for axis in 0..3 {
                bounds[0][axis] = bounds[0][axis].min(world[axis] * ras_signs[axis]);
                bounds[1][axis] = bounds[1][axis].max(world[axis] * ras_signs[axis]);
            }
        }
        bounds
    }
}

/// NIfTI's code for millimetres.
const UNITS_MM: u8 = 2;

/// The spatial part of `xyzt_units`; files that name no unit mean millimetres.
fn millimetres_per_unit(xyzt_units: u8) -> f64 {
    match xyzt_units & 0o7 {
        1 => 1000.0,
        3 => 0.001,
        _ => 1.0,
    }
}

fn spacing_ijk_mm(world_from_ijk: &Affine, stored: [f64; 3]) -> [f64; 3] {
    let columns = world_from_ijk.column_lengths_mm();
    let agree = stored.iter().zip(&columns).all(|(s, c)| (s - c).abs() <= SPACING_TOLERANCE * c);
    if agree && world_from_ijk.shear() <= SHEAR_TOLERANCE { stored } else { columns }
}

impl HeaderGeometry {
    /// The affine's rows in the file's own unit, and where they come from.
    fn affine_rows(&self) -> (AffineSource, [[f64; 4]; 3]) {
        if self.sform_code > 0 {
            return (AffineSource::Sform, self.srow);
        }
        let [x, y, z] = self.pixdim.map(f64::abs);
        if self.qform_code > 0 {
            // qfac is 1 unless it is explicitly negative: 0 is found in files, too.
            let lengths = [x, y, if self.qfac < 0.0 { -z } else { z }];
            let rotation = rotation_from_quaternion(self.quaternion);
            let rows = std::array::from_fn(|row| {
                let [a, b, c]: [f64; 3] =
                    std::array::from_fn(|column| rotation[row][column] * lengths[column]);
                [a, b, c, self.offset[row]]
            });
            return (AffineSource::Qform, rows);
        }
        (AffineSource::Pixdim, [[x, 0.0, 0.0, 0.0], [0.0, y, 0.0, 0.0], [0.0, 0.0, z, 0.0]])
    }
}

/// Rotation of the unit quaternion with the imaginary parts `[b, c, d]` and a real part that is not negative.
fn rotation_from_quaternion([b, c, d]: [f64; 3]) -> [[f64; 3]; 3] {
    let square = b * b + c * c + d * d;
    // Rounding may leave the imaginary part of a half turn slightly longer than 1.
    let (a, scale) = if square > 1.0 { (0.0, square.sqrt().recip()) } else { ((1.0 - square).sqrt(), 1.0) };
    let [b, c, d] = [b * scale, c * scale, d * scale];
    [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ]
}

/// `qfac` and the imaginary parts of the quaternion of an affine with orthogonal columns.
fn quaternion_from_affine(affine: &Affine) -> (f64, [f64; 3]) {
    let (rows, lengths) = (affine.rows(), affine.column_lengths_mm());
    let mut r: [[f64; 3]; 3] = std::array::from_fn(|row| std::array::from_fn(|c| rows[row][c] / lengths[c]));
    let determinant = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1])
        - r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0])
        + r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
    let qfac = if determinant < 0.0 { -1.0 } else { 1.0 };
    for row in &mut r {
        row[2] *= qfac;
    }
    // Squares of the four parts; the largest one is the divisor, so that nothing small is divided by.
    let trace = r[0][0] + r[1][1] + r[2][2];
    let squares =
        [1.0 + trace, 1.0 + 2.0 * r[0][0] - trace, 1.0 + 2.0 * r[1][1] - trace, 1.0 + 2.0 * r[2][2] - trace];
    let largest = (0..4).fold(0, |best, part| if squares[part] > squares[best] { part } else { best });
    let twice = squares[largest].max(0.0).sqrt();
    let parts = match largest {
        0 => [twice * twice, r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]],
        1 => [r[2][1] - r[1][2], twice * twice, r[0][1] + r[1][0], r[0][2] + r[2][0]],
        2 => [r[0][2] - r[2][0], r[0][1] + r[1][0], twice * twice, r[1][2] + r[2][1]],
        _ => [r[1][0] - r[0][1], r[0][2] + r[2][0], r[1][2] + r[2][1], twice * twice],
    };
    let sign = if parts[0] < 0.0 { -1.0 } else { 1.0 };
    (qfac, [1, 2, 3].map(|part| sign * parts[part] / (2.0 * twice)))
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    use super::*;

    fn header(pixdim: [f64; 3]) -> HeaderGeometry {
        HeaderGeometry {
            qform_code: 0,
            sform_code: 0,
            qfac: 0.0,
            pixdim,
            quaternion: [0.0; 3],
            offset: [0.0; 3],
            srow: [[0.0; 4]; 3],
            xyzt_units: 0,
        }
    }

    #[test]
    fn without_codes_pixdim_is_all_there_is() {
        let grid = Grid::from_header([2, 3, 4], header([1.0, -2.0, 3.0])).unwrap();
        assert_eq!(grid.source(), AffineSource::Pixdim);
        assert_eq!(grid.world_from_ijk().world_from_voxel([1.0, 1.0, 1.0]), [1.0, 2.0, 3.0]);
        assert!(Grid::from_header([2, 3, 4], header([1.0, 0.0, 3.0])).is_err());
        assert!(Grid::from_header([2, 3, 4], header([1.0, f64::NAN, 3.0])).is_err());
    }

    #[test]
    fn micrometres_become_millimetres() {
        let grid =
            Grid::from_header([2, 2, 2], HeaderGeometry { xyzt_units: 3, ..header([500.0; 3]) }).unwrap();
        assert_abs_diff_eq!(grid.spacing_ijk_mm()[0], 0.5, epsilon = 1e-12);
    }

    #[test]
    fn spacing_is_pixdim_unless_the_affine_disagrees() {
        let srow = [[-0.97656, 0.0, 0.0, 0.0], [0.0, 0.97656, 0.0, 0.0], [0.0, 0.0, 3.27, 0.0]];
        let sform = HeaderGeometry { sform_code: 1, srow, ..header([0.97657, 0.97656, 3.2699999809265137]) };
        let grid = Grid::from_header([2, 2, 2], sform).unwrap();
        assert_eq!(grid.spacing_ijk_mm(), [0.97657, 0.97656, 3.2699999809265137]);
        assert!(!grid.spacing_is_from_columns());

        let grid = Grid::from_header([2, 2, 2], HeaderGeometry { pixdim: [1.0; 3], ..sform }).unwrap();
        assert_eq!(grid.spacing_ijk_mm(), [0.97656, 0.97656, 3.27]);
        assert!(grid.spacing_is_from_columns());
    }

    #[test]
    fn world_points_round_to_voxels() {
        let affine =
            Affine::new([[-2.0, 0.0, 0.0, 10.0], [0.0, -2.0, 0.0, 20.0], [0.0, 0.0, 3.0, -30.0]]).unwrap();
        let grid = Grid::from_affine([5, 6, 7], affine).unwrap();
        assert_eq!(grid.voxel_from_ras_mm([6.9, 20.9, -27.1]).unwrap(), [2, 0, 1]);
        assert_eq!(grid.voxel_from_lps_mm([-6.9, -20.9, -27.1]).unwrap(), [2, 0, 1]);
        let error = grid.voxel_from_lps_mm([0.0, f64::NAN, 0.0]).unwrap_err().to_string();
        assert!(error.contains("[-11.0, -21.0, -31.5] to [-1.0, -9.0, -10.5]"), "{error}");
        let error = grid.voxel([0, 6, -1]).unwrap_err().to_string();
        assert!(error.contains("j from 0 to 5"), "{error}");
    }

    proptest! {
        /// The qform of a generated grid is the same map as its sform.
        #[test]
        fn qform_of_an_orthogonal_affine_agrees_with_it(
            quaternion in proptest::array::uniform3(-1.0..1.0f64),
            lengths in proptest::array::uniform3(0.2..5.0f64),
            offset in proptest::array::uniform3(-400.0..400.0f64),
            mirrored: bool,
        ) {
            let rotation = rotation_from_quaternion(quaternion);
            let sign = if mirrored { -1.0 } else { 1.0 };
            let rows = std::array::from_fn(|r| [
                rotation[r][0] * lengths[0], rotation[r][1] * lengths[1], sign * rotation[r][2] * lengths[2], offset[r],
            ]);
            let grid = Grid::from_affine([3, 4, 5], Affine::new(rows).unwrap()).unwrap();
            prop_assert_eq!(grid.header().qform_code, 1);
            let by_qform = Grid::from_header([3, 4, 5], HeaderGeometry { sform_code: 0, ..*grid.header() }).unwrap();
            // The real part of a quaternion is not stored but follows from the others; near a half turn it is the root
            // of a rounding error, about 5e-4.
            for (a, b) in grid.world_from_ijk().rows().iter().zip(by_qform.world_from_ijk().rows()) {
                for column in 0..3 {
                    prop_assert!((a[column] - b[column]).abs() < 1e-3 * lengths[column], "{:?} {:?}", grid, by_qform);
                }
                prop_assert_eq!(a[3], b[3]);
            }
        }
    }
}
