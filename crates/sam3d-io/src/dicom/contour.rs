//! Contours as masks.

use ndarray::{Array3, ArrayViewMut2, Axis};

use super::{DicomError, Roi};
use crate::Grid;

/// How far a contour's points may lie from the middle of a slice, in slices, to belong to it.
const LARGEST_DISTANCE: f64 = 0.5;

impl Roi {
    /// The voxels of `grid` inside the structure, 0 and 1, indexed `[k, j, i]`.
    ///
    /// A voxel belongs to it if its centre lies inside an odd number of the contours of its slice, so that a contour in
    /// another one is a hole, and one that runs into a hole and back along a keyhole has it too. Of contours in several
    /// planes that are nearest to one slice, those of the nearest plane count.
    ///
    /// # Errors
    /// [`DicomError::RoiEmpty`] if there are no closed contours, [`DicomError::RoiElsewhere`] if none meets the grid.
    pub fn mask(&self, grid: &Grid) -> Result<Array3<u8>, DicomError> {
        let planes = self.planes(grid);
        if planes.is_empty() {
            return Err(DicomError::RoiEmpty { name: self.label() });
        }
        let mut mask = Array3::<u8>::zeros(grid.shape_kji());
        let mut met = false;
        for (k, slice) in mask.axis_iter_mut(Axis(0)).enumerate() {
            let distance = |plane: &Plane| (plane.k - k as f64).abs();
            let nearest = planes.iter().map(distance).fold(f64::INFINITY, f64::min);
            if nearest <= LARGEST_DISTANCE {
                met = true;
                // Contours of one plane may differ in the last digits of their positions.
                let outlines: Vec<_> = planes
                    .iter()
                    .filter(|plane| distance(plane) <= nearest + 0.01)
                    .map(|plane| &plane.outline[..])
                    .collect();
                fill(slice, &outlines);
            }
        }
        if met { Ok(mask) } else { Err(DicomError::RoiElsewhere { name: self.label() }) }
    }

    /// The closed contours in voxel indices.
    fn planes(&self, grid: &Grid) -> Vec<Plane> {
        let closed = self.contours.iter().filter(|contour| contour.closed && contour.points_mm.len() >= 3);
        closed
            .map(|contour| {
                let points = contour
                    .points_mm
                    .iter()
                    .map(|[x, y, z]| grid.world_from_ijk().voxel_from_world([-x, -y, *z]));
                let (mut outline, mut sum) = (Vec::with_capacity(contour.points_mm.len()), 0.0);
                for [i, j, k] in points {
                    outline.push([i, j]);
                    sum += k;
                }
                Plane { k: sum / outline.len() as f64, outline }
            })
            .collect()
    }
}

/// A contour: its slice, which need not be whole, and its points `[i, j]`.
struct Plane {
    k: f64,
    outline: Vec<[f64; 2]>,
}

/// Flips every voxel of the slice, `[j, i]`, once for each outline around its centre.
///
/// Row by row: the outlines' crossings with the row's middle line, sorted, are where inside and outside change. An edge
/// has its lower end and not its upper one, so that a corner on the line counts once or twice as it should; a centre that
/// lies on an edge is inside on the side of small `i` and outside on the other.
fn fill(mut slice: ArrayViewMut2<'_, u8>, outlines: &[&[[f64; 2]]]) {
    let width = slice.ncols();
    let mut crossings: Vec<f64> = Vec::new();
    for (j, mut row) in slice.axis_iter_mut(Axis(0)).enumerate() {
        let middle = j as f64;
        crossings.clear();
        for outline in outlines {
            let mut previous = outline[outline.len() - 1];
            for point in *outline {
                let ([i0, j0], [i1, j1]) = (previous, *point);
                if (j0 > middle) != (j1 > middle) {
                    crossings.push((i0 - i1) * (middle - j1) / (j0 - j1) + i1);
                }
                previous = *point;
            }
        }
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            // A centre is inside from the first crossing on and before the second.
            let [start, end] =
                [pair[0], pair[1]].map(|crossing| crossing.ceil().clamp(0.0, width as f64) as usize);
            for i in start..end {
                row[i] ^= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sam3d_geom::Affine;

    use super::*;
    use crate::dicom::Contour;

    /// Voxels of 1 mm whose index is their LPS position.
    fn grid() -> Grid {
        let rows = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        Grid::from_affine([8, 7, 3], Affine::new(rows).unwrap()).unwrap()
    }

    fn contour(k: f64, points: &[[f64; 2]]) -> Contour {
        Contour { closed: true, points_mm: points.iter().map(|[x, y]| [*x, *y, k]).collect() }
    }

    fn square(k: f64, low: f64, high: f64) -> Contour {
        contour(k, &[[low, low], [high, low], [high, high], [low, high]])
    }

    fn mask(contours: Vec<Contour>) -> Array3<u8> {
        Roi { number: 1, name: "a".into(), contours }.mask(&grid()).unwrap()
    }

    fn inside(mask: &Array3<u8>, k: usize) -> Vec<[usize; 2]> {
        let slice = mask.index_axis(Axis(0), k);
        slice.indexed_iter().filter(|(_, value)| **value == 1).map(|((j, i), _)| [i, j]).collect()
    }

    #[test]
    fn centres_inside() {
        let mask = mask(vec![square(1.0, 1.5, 3.5)]);
        assert_eq!(inside(&mask, 1), [[2, 2], [3, 2], [2, 3], [3, 3]]);
        assert!(inside(&mask, 0).is_empty() && inside(&mask, 2).is_empty());
        // Beyond the image, and back.
        assert_eq!(super::tests::mask(vec![square(0.0, -3.0, 20.0)]).sum(), 56);
    }

    #[test]
    fn holes_by_a_contour_inside_and_by_a_keyhole() {
        let by_contour = mask(vec![square(1.0, 0.5, 5.5), square(1.0, 1.5, 3.5)]);
        assert_eq!(inside(&by_contour, 1).len(), 25 - 4);
        let keyhole = contour(
            1.0,
            &[
                [0.5, 0.5],
                [5.5, 0.5],
                [5.5, 5.5],
                [0.5, 5.5],
                [0.5, 0.5],
                [1.5, 1.5],
                [1.5, 3.5],
                [3.5, 3.5],
                [3.5, 1.5],
                [1.5, 1.5],
            ],
        );
        assert_eq!(mask(vec![keyhole]), by_contour);
    }

    #[test]
    fn a_slice_takes_the_nearest_plane() {
        let mask = mask(vec![square(0.9, 0.5, 5.5), square(1.3, 1.5, 3.5), square(2.4, 1.5, 3.5)]);
        assert_eq!([0, 1, 2].map(|k| inside(&mask, k).len()), [0, 25, 4]);
    }

    #[test]
    fn nothing_to_fill() {
        let open = Contour { closed: false, ..square(1.0, 1.0, 3.0) };
        let roi = |contours| Roi { number: 4, name: "b".into(), contours };
        assert!(matches!(roi(vec![open]).mask(&grid()), Err(DicomError::RoiEmpty { name }) if name == "4 b"));
        assert!(matches!(
            roi(vec![square(7.0, 1.0, 3.0)]).mask(&grid()),
            Err(DicomError::RoiElsewhere { .. })
        ));
    }
}
