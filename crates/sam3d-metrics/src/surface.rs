//! The surface of a mask as elements with a place and an area.

use ndarray::{Array3, ArrayView3, Axis, Slice, parallel::prelude::*};
use sam3d_geom::BoundingBox;

/// A piece of a mask's surface, at the centre of the cube between eight neighbouring voxels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SurfaceElement {
    /// Place in the grid of cubes, `[D, H, W]`: cube `i` lies between voxel `i - 1` and voxel `i` of the box.
    pub(crate) cube: [usize; 3],
    /// Area of the surface inside the cube.
    pub(crate) area_mm2: f64,
}

/// The surface elements of `mask` in the grid of cubes around `bounds`, which has one cube more than voxels on each axis.
/// Voxels outside `bounds` count as background. Sorted by place.
pub(crate) fn surface_elements(
    mask: ArrayView3<u8>,
    bounds: BoundingBox,
    areas_mm2: &[f64; 256],
) -> Vec<SurfaceElement> {
    let padded = padded_box(mask, bounds);
    let slices: Vec<_> = padded.axis_windows(Axis(0), 2).into_iter().collect();
    slices.into_par_iter().enumerate().flat_map_iter(|(d, pair)| slice_elements(d, pair, areas_mm2)).collect()
}

/// The box of `mask` as zeros and ones, with one voxel of background on every side.
fn padded_box(mask: ArrayView3<u8>, bounds: BoundingBox) -> Array3<u8> {
    let (start, end) = (bounds.start(), bounds.end());
    let inside = mask.slice_each_axis(|axis| {
        let axis = axis.axis.index();
        Slice::from(start[axis] as isize..end[axis] as isize)
    });
    let mut padded = Array3::zeros(bounds.sizes().map(|n| n + 2));
    let mut inner = padded.slice_each_axis_mut(|_| Slice::new(1, Some(-1), 1));
    inner.zip_mut_with(&inside, |to, from| *to = u8::from(*from != 0));
    padded
}

/// The elements between two neighbouring slices, `[2, H, W]`.
fn slice_elements(d: usize, pair: ArrayView3<u8>, areas_mm2: &[f64; 256]) -> Vec<SurfaceElement> {
    let (_, height, width) = pair.dim();
    let mut elements = Vec::new();
    for h in 0..height - 1 {
        // The four corners of a cube's near side, at their bits 4d + 2h of the code; the far side's bits are one higher.
        let side = |w: usize| {
            pair[[0, h, w]] | pair[[0, h + 1, w]] << 2 | pair[[1, h, w]] << 4 | pair[[1, h + 1, w]] << 6
        };
        let mut near = side(0);
        for w in 0..width - 1 {
            let far = side(w + 1);
            let code = near | far << 1;
            if code != 0 && code != 255 {
                elements.push(SurfaceElement { cube: [d, h, w], area_mm2: areas_mm2[usize::from(code)] });
            }
            near = far;
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use sam3d_geom::Spacing;

    use super::*;
    use crate::area::areas_mm2;

    #[test]
    fn one_voxel_has_eight_corners() {
        let mut mask = Array3::zeros([3, 4, 5]);
        mask[[1, 2, 3]] = 200;
        let bounds = BoundingBox::new([1, 2, 3], [2, 3, 4]).unwrap();
        let areas = areas_mm2(Spacing::new([1.0; 3]).unwrap());
        let elements = surface_elements(mask.view(), bounds, &areas);
        let cubes: Vec<[usize; 3]> = elements.iter().map(|element| element.cube).collect();
        assert_eq!(cubes.len(), 8);
        assert_eq!((cubes[0], cubes[7]), ([0, 0, 0], [1, 1, 1]));
        // An octahedron of edge 1/√2.
        assert_relative_eq!(
            elements.iter().map(|e| e.area_mm2).sum::<f64>(),
            3f64.sqrt(),
            max_relative = 1e-12
        );
    }
}
