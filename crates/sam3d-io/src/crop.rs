//! Cubic windows on a volume, which may stick out of it.

use ndarray::{Array3, ArrayView3, s};
use sam3d_geom::Extent;

use crate::{IoError, orient::check_shape};

/// A cube of `side` voxels whose first voxel stands at `start` of a volume; all triples are `[D, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CropWindow {
    start: [i64; 3],
    side: usize,
}

impl CropWindow {
    /// The window of `side` voxels that begins at `start`, which may be negative.
    pub fn new(start: [i64; 3], side: usize) -> Self {
        Self { start, side }
    }

    /// The window of `side` voxels around `midpoint`: it begins at `midpoint - side / 2`.
    pub fn around(midpoint: [i64; 3], side: usize) -> Self {
        Self::new(midpoint.map(|m| m.saturating_sub_unsigned(side as u64 / 2)), side)
    }

    /// First voxel in the volume's indices.
    pub fn start(self) -> [i64; 3] {
        self.start
    }

    /// Number of voxels along each axis.
    pub fn side(self) -> usize {
        self.side
    }

    /// The index in the crop of a voxel of the volume; `None` if the window does not hold it.
    pub fn crop_from_volume(self, index: [usize; 3]) -> Option<[usize; 3]> {
        let mut inside = [0; 3];
        for axis in 0..3 {
            let offset = i64::try_from(index[axis]).ok()?.checked_sub(self.start[axis])?;
            inside[axis] = usize::try_from(offset).ok().filter(|i| *i < self.side)?;
        }
        Some(inside)
    }

    /// The index in the volume of a voxel of the crop, which may lie outside the volume.
    pub fn volume_from_crop(self, index: [usize; 3]) -> [i64; 3] {
        std::array::from_fn(|axis| self.start[axis].saturating_add_unsigned(index[axis] as u64))
    }

    /// How many voxels the window sticks out of a volume of `extent`, before its start and past its end on each axis.
    pub fn pads(self, extent: Extent) -> [[usize; 2]; 3] {
        std::array::from_fn(|axis| {
            let overlap = self.overlap(axis, extent.sizes()[axis]);
            [overlap.in_crop, self.side - overlap.in_crop - overlap.len]
        })
    }

    /// The window's part of `volume`, with `fill` where it sticks out.
    ///
    /// # Shapes
    /// `[D, H, W]` to `[side, side, side]`.
    pub fn extract<T: Copy>(self, volume: ArrayView3<'_, T>, fill: T) -> Array3<T> {
        let mut crop = Array3::from_elem([self.side; 3], fill);
        let [d, h, w] = self.overlaps(volume.dim().into());
        let inside = volume.slice_move(s![d.volume(), h.volume(), w.volume()]);
        crop.slice_mut(s![d.crop(), h.crop(), w.crop()]).assign(&inside);
        crop
    }

    /// Writes `crop` into `volume` where the window lies inside it; the rest of the volume stays as it is.
    ///
    /// # Shapes
    /// `[side, side, side]` into `[D, H, W]`.
    ///
    /// # Errors
    /// [`IoError::ShapeMismatch`] if the crop is not of the window's side.
    pub fn paste<T: Copy>(self, crop: ArrayView3<'_, T>, volume: &mut Array3<T>) -> Result<(), IoError> {
        check_shape([self.side; 3], crop.dim().into())?;
        let [d, h, w] = self.overlaps(volume.dim().into());
        let inside = crop.slice_move(s![d.crop(), h.crop(), w.crop()]);
        volume.slice_mut(s![d.volume(), h.volume(), w.volume()]).assign(&inside);
        Ok(())
    }

    /// The part of `crop` that lies inside a volume of `extent`, and the volume's voxel at which it starts. The part has no
    /// voxel if the window misses the volume.
    ///
    /// # Shapes
    /// `crop` is `[side, side, side]`.
    ///
    /// # Errors
    /// [`IoError::ShapeMismatch`] if it is not.
    pub fn part_inside<T>(
        self,
        crop: ArrayView3<'_, T>,
        extent: Extent,
    ) -> Result<([usize; 3], ArrayView3<'_, T>), IoError> {
        check_shape([self.side; 3], crop.dim().into())?;
        let overlaps = self.overlaps(extent.sizes());
        let start = overlaps.map(|overlap| overlap.in_volume);
        let [d, h, w] = overlaps;
        Ok((start, crop.slice_move(s![d.crop(), h.crop(), w.crop()])))
    }

    fn overlaps(self, sizes: [usize; 3]) -> [Overlap; 3] {
        std::array::from_fn(|axis| self.overlap(axis, sizes[axis]))
    }

    /// The voxels that window and volume share along one axis.
    fn overlap(self, axis: usize, size: usize) -> Overlap {
        // In i128 no start, side or size can overflow.
        let (start, side, size) = (i128::from(self.start[axis]), self.side as i128, size as i128);
        let first = start.clamp(0, size);
        let end = (start + side).clamp(first, size);
        let in_crop = (first - start).clamp(0, side);
        Overlap { in_volume: first as usize, in_crop: in_crop as usize, len: (end - first) as usize }
    }
}

#[derive(Debug, Clone, Copy)]
struct Overlap {
    in_volume: usize,
    in_crop: usize,
    len: usize,
}

impl Overlap {
    fn volume(self) -> std::ops::Range<usize> {
        self.in_volume..self.in_volume + self.len
    }

    fn crop(self) -> std::ops::Range<usize> {
        self.in_crop..self.in_crop + self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn around_starts_half_a_side_before() {
        assert_eq!(CropWindow::around([10, 2, 0], 4).start(), [8, 0, -2]);
        assert_eq!(CropWindow::around([10, 2, 0], 5).start(), [8, 0, -2]);
    }

    #[test]
    fn pads_on_both_sides_and_far_away() {
        let extent = Extent::new([3, 10, 10]).unwrap();
        assert_eq!(CropWindow::new([-1, 8, 2], 6).pads(extent), [[1, 2], [0, 4], [0, 0]]);
        // A window that misses the volume is padding all over.
        assert_eq!(CropWindow::new([5, -9, 0], 6).pads(extent), [[0, 6], [6, 0], [0, 0]]);
        let far = CropWindow::new([i64::MAX, i64::MIN, 0], 2);
        assert_eq!(far.extract(Array3::<u8>::ones([3, 3, 3]).view(), 7), Array3::from_elem([2; 3], 7));
    }
}
