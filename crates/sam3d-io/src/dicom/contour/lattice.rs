use ndarray::Array3;
use sam3d_geom::Orientation;

use crate::{Grid, IoError, dicom::DicomError, orient::AxisMap};

/// A grid's voxels with the axes `[D, H, W]` that run to superior, posterior and left, so that the order and direction in
/// which a file stores its axes change nothing.
pub(super) struct Lattice {
    grid: Grid,
    map: AxisMap,
    /// Number of voxels, `[D, H, W]`.
    pub(super) shape: [usize; 3],
    /// The step along D, H and W in LPS millimetres.
    pub(super) steps_mm: [[f64; 3]; 3],
}

impl Lattice {
    pub(super) fn new(grid: &Grid) -> Self {
        let map = AxisMap::new(grid, Orientation::Lps);
        let rows = grid.world_from_ijk().rows();
        let steps_mm = std::array::from_fn(|axis| {
            let sign = if map.flips()[axis] { -1.0 } else { 1.0 };
            let column = map.axes()[axis];
            [-rows[0][column], -rows[1][column], rows[2][column]].map(|value| value * sign)
        });
        let shape = map.axes().map(|axis| grid.shape_ijk()[axis]);
        Self { grid: grid.clone(), map, shape, steps_mm }
    }

    /// The index `[D, H, W]`, which need not be whole, of a point in LPS millimetres.
    pub(super) fn index_of(&self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        let ijk = self.grid.world_from_ijk().voxel_from_world([-x, -y, z]);
        std::array::from_fn(|axis| {
            let index = ijk[self.map.axes()[axis]];
            if self.map.flips()[axis] { (self.shape[axis] - 1) as f64 - index } else { index }
        })
    }

    /// The step in indices `[D, H, W]` of a vector in LPS millimetres.
    pub(super) fn index_step_of(&self, vector: [f64; 3]) -> [f64; 3] {
        let [origin, moved] = [[0.0; 3], vector].map(|point| self.index_of(point));
        std::array::from_fn(|axis| moved[axis] - origin[axis])
    }

    /// The file's own axis (`i`, `j` or `k`) of D, H or W, and the file's index of `index`.
    pub(super) fn stored_slice(&self, axis: usize, index: usize) -> (char, usize) {
        let flipped = self.map.flips()[axis];
        let stored = if flipped { self.shape[axis] - 1 - index } else { index };
        (['i', 'j', 'k'][self.map.axes()[axis]], stored)
    }

    /// The position of an axis's first slice along that axis, in the patient, in mm.
    pub(super) fn position_of_first_slice_mm(&self, axis: usize) -> f64 {
        let corner = self.map.ijk_from_dhw([0; 3]).map(|index| index as f64);
        let [x, y, z] = self.grid.world_from_ijk().world_from_voxel(corner);
        let step = self.steps_mm[axis];
        dot([-x, -y, z], step) / length(step)
    }

    pub(super) fn empty_mask(&self) -> Array3<u8> {
        Array3::zeros(self.shape)
    }

    /// A mask `[D, H, W]` as the file stores it, `[k, j, i]`.
    pub(super) fn to_stored(&self, mask: Array3<u8>) -> Result<Array3<u8>, DicomError> {
        // The mask was made with this lattice's shape.
        self.map
            .to_stored(mask.view())
            .map_err(|error: IoError| DicomError::Damaged { reason: error.to_string() })
    }
}

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn length(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}
