use std::{fmt, path::Path};

use sam3d_geom::{Affine, Extent, GeomError};

use crate::{IoError, header_geometry::HeaderGeometry};

/// Cosine between two axes above which a grid counts as sheared: well above what rounding to `f32` causes.
pub(crate) const SHEAR_TOLERANCE: f64 = 1e-4;
/// Relative difference between `pixdim` and the affine's columns up to which both say the same.
const SPACING_TOLERANCE: f64 = 1e-3;

/// Distance between the places that sform and qform give a voxel, in voxels, from which on a user is told.
const LARGEST_DISAGREEMENT: f64 = 0.1;

/// Which header fields a grid's affine comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AffineSource {
    /// The sform's matrix: its code is 1, or there is no usable qform.
    Sform,
    /// The qform's quaternion, offset and `pixdim`: its code is positive, and that of the sform is not 1.
    Qform,
    /// Only `pixdim`: neither code is positive, so position and direction in the patient are not known. The stored axes
    /// are then taken to run to left, posterior and superior from the origin, as ITK does.
    Pixdim,
    /// NRRD's space directions and space origin.
    SpaceDirections,
    /// MetaImage's transform matrix, element spacing and offset.
    TransformMatrix,
    /// DICOM's image positions, image orientation and pixel spacing.
    ImagePositions,
}

impl fmt::Display for AffineSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sform => "sform",
            Self::Qform => "qform",
            Self::Pixdim => "spacing",
            Self::SpaceDirections => "space directions",
            Self::TransformMatrix => "transform matrix",
            Self::ImagePositions => "image positions",
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

impl Grid {
    /// A grid of `shape_ijk` voxels (i is stored fastest) at `world_from_ijk` (RAS, mm), for volumes that are generated.
    ///
    /// Files written with it carry the affine as sform and, if the axes are orthogonal, as qform, both with code 1
    /// (scanner coordinates). The affine is rounded to `f32`, as files hold it: what is read back is equal.
    ///
    /// # Errors
    /// [`IoError::Geometry`] if the rounded affine is singular or an axis has no voxel.
    pub fn from_affine(shape_ijk: [usize; 3], world_from_ijk: Affine) -> Result<Self, IoError> {
        Ok(Self::from_rounded_affine(shape_ijk, world_from_ijk, AffineSource::Sform)?)
    }

    /// As [`from_affine`](Self::from_affine), of an affine from `source`.
    pub(crate) fn from_rounded_affine(
        shape_ijk: [usize; 3],
        world_from_ijk: Affine,
        source: AffineSource,
    ) -> Result<Self, GeomError> {
        Extent::new(shape_ijk)?;
        let header = HeaderGeometry::of_affine(&world_from_ijk)?;
        let grid = Self::from_header(shape_ijk, header).map_err(|(_, error)| error)?;
        Ok(Self { source, ..grid })
    }

    /// The grid of a file whose header has an affine in `f64`, which is kept as it is; every size is positive.
    ///
    /// # Errors
    /// [`GeomError`] if the affine is singular.
    pub(crate) fn from_exact_affine(
        shape_ijk: [usize; 3],
        world_from_ijk_rows: [[f64; 4]; 3],
        source: AffineSource,
    ) -> Result<Self, GeomError> {
        let world_from_ijk = Affine::new(world_from_ijk_rows)?;
        let header = HeaderGeometry::of_exact_affine(&world_from_ijk);
        Ok(Self { shape_ijk, world_from_ijk, spacing_ijk_mm: header.pixdim, source, header })
    }

    /// The grid a header describes; on failure the fields that were used and what is wrong with them.
    ///
    /// An sform or a qform that is not an affine is left out if the other one is.
    pub(crate) fn from_header(
        shape_ijk: [usize; 3],
        header: HeaderGeometry,
    ) -> Result<Self, (AffineSource, GeomError)> {
        let (mut first_error, mut header) = (None, header);
        for (source, rows) in header.candidates_mm() {
            match Affine::new(rows.map(|row| row.map(|value| value + 0.0))) {
                Ok(world_from_ijk) => {
                    let spacing_ijk_mm = spacing_ijk_mm(&world_from_ijk, header.pixdim_mm());
                    return Ok(Self { shape_ijk, world_from_ijk, spacing_ijk_mm, source, header });
                }
                Err(error) => {
                    header = header.without(source);
                    first_error.get_or_insert((source, error));
                }
            }
        }
        Err(first_error.unwrap_or((AffineSource::Pixdim, GeomError::AffineSingular { rows: [[0.0; 4]; 3] })))
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

    /// Logs what a user should know before trusting positions and distances of the file at `path`.
    pub(crate) fn warn_of_oddities(&self, path: &Path) {
        let (path, spacing_mm) = (path.display(), self.spacing_ijk_mm);
        if self.source == AffineSource::Pixdim {
            tracing::warn!(%path, "the file does not say how its axes lie in the patient: as in ITK, they are taken to run to left, posterior and superior from the origin");
        }
        let smallest_mm = spacing_mm.iter().copied().fold(f64::INFINITY, f64::min);
        if let Some(apart_mm) = self.header.disagreement_mm(self.shape_ijk)
            && apart_mm > LARGEST_DISAGREEMENT * smallest_mm
        {
            let HeaderGeometry { qform_code, sform_code, .. } = self.header;
            tracing::warn!(
                %path,
                "sform (code {sform_code}) and qform (code {qform_code}) differ by up to {apart_mm:.2} mm: the {} is used; \
                 as in ITK, that is the sform if its code is 1, else the qform",
                self.source
            );
        }
        if self.is_sheared() {
            tracing::warn!(%path, ?spacing_mm, "the affine is sheared: the lengths of its columns are used as spacing");
        } else if self.spacing_is_from_columns() {
            tracing::warn!(%path, ?spacing_mm, "pixdim disagrees with the affine, whose columns are used as spacing");
        }
    }

    /// Whether the header's `pixdim` was set aside for the affine's column lengths.
    fn spacing_is_from_columns(&self) -> bool {
        self.spacing_ijk_mm != self.header.pixdim_mm()
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

fn spacing_ijk_mm(world_from_ijk: &Affine, stored: [f64; 3]) -> [f64; 3] {
    let columns = world_from_ijk.column_lengths_mm();
    let agree = stored.iter().zip(&columns).all(|(s, c)| (s - c).abs() <= SPACING_TOLERANCE * c);
    if agree && world_from_ijk.shear() <= SHEAR_TOLERANCE { stored } else { columns }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

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
        assert_eq!(grid.world_from_ijk().world_from_voxel([1.0, 1.0, 1.0]), [-1.0, -2.0, 3.0]);
        assert!(Grid::from_header([2, 3, 4], header([1.0, 0.0, 3.0])).is_err());
        assert!(Grid::from_header([2, 3, 4], header([1.0, f64::NAN, 3.0])).is_err());
    }

    /// ITK's table: the sform if its code is 1 or there is no qform, else the qform.
    #[test]
    fn one_rule_for_sform_and_qform() {
        let srow = [[1.0, 0.0, 0.0, 7.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let source = |qform_code, sform_code, srow, offset| {
            let header = HeaderGeometry { qform_code, sform_code, srow, offset, ..header([1.0; 3]) };
            Grid::from_header([2, 2, 2], header).map(|grid| (grid.source(), grid.header().sform_code))
        };
        for code in 1..=4 {
            assert_eq!(source(0, code, srow, [0.0; 3]).unwrap().0, AffineSource::Sform);
            assert_eq!(source(code, 0, srow, [0.0; 3]).unwrap().0, AffineSource::Qform);
            assert_eq!(source(code, 1, srow, [0.0; 3]).unwrap().0, AffineSource::Sform);
            assert_eq!(source(code, 2, srow, [0.0; 3]).unwrap().0, AffineSource::Qform);
            // What is not an affine gives way to what is one.
            let nan = [[f64::NAN; 4]; 3];
            for unusable in [[[0.0; 4]; 3], nan] {
                assert_eq!(source(code, 1, unusable, [0.0; 3]).unwrap(), (AffineSource::Qform, 0));
                assert!(source(0, 1, unusable, [0.0; 3]).is_err());
            }
            assert_eq!(source(code, 3, srow, [f64::NAN; 3]).unwrap().0, AffineSource::Sform);
        }
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
}
