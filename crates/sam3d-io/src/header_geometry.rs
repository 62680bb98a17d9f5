use sam3d_geom::{Affine, GeomError};

use crate::{AffineSource, grid::SHEAR_TOLERANCE};

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

impl HeaderGeometry {
    /// The fields for `world_from_ijk`, rounded to `f32` as files hold them: the sform and, if the axes are orthogonal,
    /// the qform, both in scanner coordinates.
    ///
    /// # Errors
    /// [`GeomError::AffineSingular`] if rounding left no affine.
    pub(crate) fn of_affine(world_from_ijk: &Affine) -> Result<Self, GeomError> {
        let as_stored = |value: f64| f64::from(value as f32);
        let rounded = Affine::new(world_from_ijk.rows().map(|row| row.map(as_stored)))?;
        let exact = Self::of_exact_affine(&rounded);
        Ok(Self { pixdim: exact.pixdim.map(as_stored), quaternion: exact.quaternion.map(as_stored), ..exact })
    }

    /// The fields for `world_from_ijk` as [`of_affine`](Self::of_affine), not rounded: a file that is written with them
    /// rounds them.
    pub(crate) fn of_exact_affine(world_from_ijk: &Affine) -> Self {
        let (qfac, quaternion) = quaternion_from_affine(world_from_ijk);
        let srow = world_from_ijk.rows();
        Self {
            qform_code: i16::from(world_from_ijk.shear() <= SHEAR_TOLERANCE),
            sform_code: 1,
            qfac,
            pixdim: world_from_ijk.column_lengths_mm(),
            quaternion,
            offset: srow.map(|row| row[3]),
            srow,
            xyzt_units: UNITS_MM,
        }
    }

    /// The fields of a file that has nothing but the distances between voxels.
    pub(crate) fn of_spacing_mm(pixdim: [f64; 3]) -> Self {
        Self {
            qform_code: 0,
            sform_code: 0,
            qfac: 1.0,
            pixdim,
            quaternion: [0.0; 3],
            offset: [0.0; 3],
            srow: [[0.0; 4]; 3],
            xyzt_units: UNITS_MM,
        }
    }

    /// The rows of the affine to RAS millimetres, not yet checked, and the fields they come from: the one that the
    /// rule takes first, then the alternative if that is not a valid affine.
    ///
    /// The rule is ITK's: the sform if its code is 1 (scanner coordinates) or there is no qform, else the qform; with
    /// neither, the stored axes run to left, posterior and superior from the origin.
    pub(crate) fn candidates_mm(&self) -> Vec<(AffineSource, [[f64; 4]; 3])> {
        let (has_sform, has_qform) = (self.sform_code > 0, self.qform_code > 0);
        let sform = has_sform.then_some((AffineSource::Sform, self.srow));
        let qform = has_qform.then(|| (AffineSource::Qform, self.qform_rows()));
        let in_order = if self.sform_code == 1 { [sform, qform] } else { [qform, sform] };
        let mut candidates: Vec<_> = in_order.into_iter().flatten().collect();
        if candidates.is_empty() {
            let [x, y, z] = self.pixdim.map(f64::abs);
            let rows = [[-x, 0.0, 0.0, 0.0], [0.0, -y, 0.0, 0.0], [0.0, 0.0, z, 0.0]];
            candidates.push((AffineSource::Pixdim, rows));
        }
        let unit_mm = self.millimetres_per_unit();
        candidates
            .iter()
            .map(|(source, rows)| (*source, rows.map(|row| row.map(|value| value * unit_mm))))
            .collect()
    }

    /// How far sform and qform place a voxel of a volume of `shape_ijk` from each other at most, if both are there.
    pub(crate) fn disagreement_mm(&self, shape_ijk: [usize; 3]) -> Option<f64> {
        let candidates = self.candidates_mm();
        let [(_, a), (_, b)] = candidates.as_slice() else { return None };
        let [a, b] = [Affine::new(*a).ok()?, Affine::new(*b).ok()?];
        Some(largest_offset_mm(&a, &b, shape_ijk))
    }

    /// The fields without those of `source`.
    pub(crate) fn without(self, source: AffineSource) -> Self {
        match source {
            AffineSource::Sform => Self { sform_code: 0, srow: [[0.0; 4]; 3], ..self },
            _ => Self { qform_code: 0, quaternion: [0.0; 3], offset: [0.0; 3], ..self },
        }
    }

    /// `pixdim` in millimetres; a sign, which some files carry, means nothing.
    pub(crate) fn pixdim_mm(&self) -> [f64; 3] {
        self.pixdim.map(|spacing| spacing.abs() * self.millimetres_per_unit())
    }

    /// The qform's rows in the file's own unit.
    fn qform_rows(&self) -> [[f64; 4]; 3] {
        let [x, y, z] = self.pixdim.map(f64::abs);
        // qfac is 1 unless it is explicitly negative: 0 is found in files, too.
        let lengths = [x, y, if self.qfac < 0.0 { -z } else { z }];
        let rotation = rotation_from_quaternion(self.quaternion);
        std::array::from_fn(|row| {
            let [a, b, c]: [f64; 3] = std::array::from_fn(|column| rotation[row][column] * lengths[column]);
            [a, b, c, self.offset[row]]
        })
    }

    /// By the spatial part of `xyzt_units`; files that name no unit mean millimetres.
    fn millimetres_per_unit(&self) -> f64 {
        match self.xyzt_units & 0o7 {
            1 => 1000.0,
            3 => 0.001,
            _ => 1.0,
        }
    }
}

/// Largest distance between equal corners of two grids of one shape.
pub(crate) fn largest_offset_mm(a: &Affine, b: &Affine, shape_ijk: [usize; 3]) -> f64 {
    let offsets = (0..8usize).map(|corner| {
        let index =
            std::array::from_fn(|axis| ((corner >> axis & 1) * shape_ijk[axis].saturating_sub(1)) as f64);
        let [a, b] = [a, b].map(|affine| affine.world_from_voxel(index));
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    });
    // Written so that a distance that is not a number is infinitely far.
    offsets.fold(0.0, |largest, offset| {
        if offset <= largest {
            largest
        } else if offset.is_nan() {
            f64::INFINITY
        } else {
            offset
        }
    })
}

/// NIfTI's code for millimetres.
const UNITS_MM: u8 = 2;

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
    use proptest::prelude::*;

    use super::*;
    use crate::Grid;

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
