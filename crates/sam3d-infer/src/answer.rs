//! The probability that a session predicts, and its resampling to the file's grid.

use ndarray::{Array3, ArrayView3, ArrayViewMut3, s};
use sam3d_geom::Extent;
use sam3d_io::{
    crop::CropWindow,
    prepare::Frame,
    resample::{self, PartOfVolume},
};

use crate::InferError;

/// The target's probability in a box of the resampled volume; outside of it the probability is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    start: [usize; 3],
    values: Array3<f32>,
}

impl Answer {
    /// An answer with `values` (`[D, H, W]`), whose first voxel is `start` of the resampled volume.
    pub fn new(start: [usize; 3], values: Array3<f32>) -> Self {
        Self { start, values }
    }

    /// The answer of a crop (`[P, P, P]`) of a volume of `extent`.
    ///
    /// # Errors
    /// [`InferError::Io`] if the crop does not have the window's side.
    pub fn of_crop(
        window: CropWindow,
        crop: ArrayView3<'_, f32>,
        extent: Extent,
    ) -> Result<Self, InferError> {
        let (start, inside) = window.part_inside(crop, extent)?;
        Ok(Self { start, values: inside.to_owned() })
    }

    /// This answer inside its box, and `earlier` elsewhere.
    #[must_use]
    pub(crate) fn over(self, earlier: &Self) -> Self {
        let end = self.end();
        let hidden =
            |axis: usize| earlier.start[axis] >= self.start[axis] && earlier.end()[axis] <= end[axis];
        if (0..3).all(hidden) {
            return self;
        }
        let start: [usize; 3] = std::array::from_fn(|axis| self.start[axis].min(earlier.start[axis]));
        let end: [usize; 3] = std::array::from_fn(|axis| end[axis].max(earlier.end()[axis]));
        let sizes: [usize; 3] = std::array::from_fn(|axis| end[axis] - start[axis]);
        let mut values = Array3::zeros(sizes);
        for part in [earlier, &self] {
            let [d, h, w] =
                std::array::from_fn(|axis| part.start[axis] - start[axis]..part.end()[axis] - start[axis]);
            values.slice_mut(s![d, h, w]).assign(&part.values);
        }
        Self { start, values }
    }

    /// The first voxel of the box, `[D, H, W]` of the resampled volume.
    pub fn start(&self) -> [usize; 3] {
        self.start
    }

    /// The probability in the box, `[D, H, W]`.
    pub fn values(&self) -> ArrayView3<'_, f32> {
        self.values.view()
    }

    /// The probability of the resampled voxel `index`.
    pub fn at(&self, index: [usize; 3]) -> f32 {
        let mut inside = [0; 3];
        for axis in 0..3 {
            let Some(offset) = index[axis].checked_sub(self.start[axis]) else { return 0.0 };
            inside[axis] = offset;
        }
        self.values.get(inside).copied().unwrap_or(0.0)
    }

    /// Whether the resampled voxel `index` lies in the box.
    pub(crate) fn covers(&self, index: [usize; 3]) -> bool {
        (0..3).all(|axis| index[axis] >= self.start[axis] && index[axis] < self.end()[axis])
    }

    pub(crate) fn values_mut(&mut self) -> ArrayViewMut3<'_, f32> {
        self.values.view_mut()
    }

    /// Whether the probability is above one half in the voxels of the crop `window`: 1 or 0, in C order over (D, H, W).
    pub(crate) fn mask_in(&self, window: CropWindow) -> Vec<f32> {
        let offset =
            std::array::from_fn(|axis| window.start()[axis].saturating_sub_unsigned(self.start[axis] as u64));
        let window = CropWindow::new(offset, window.side());
        window.extract(self.values.view(), 0.0).iter().map(|p| f32::from(u8::from(*p > 0.5))).collect()
    }

    fn end(&self) -> [usize; 3] {
        let sizes: [usize; 3] = self.values.dim().into();
        std::array::from_fn(|axis| self.start[axis] + sizes[axis])
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }

    /// The probability in the file's grid, in the box of voxels that depend on the answer: `[D, H, W]`. `None` if no voxel
    /// does.
    ///
    /// # Errors
    /// [`InferError::Io`] if the answer does not belong to a volume with this `frame`.
    pub fn native(&self, frame: &Frame) -> Result<Option<PartOfVolume>, InferError> {
        Ok(frame.native_part(self.start, self.values.view())?)
    }

    /// The box of the file's grid that depends on the answer: its first voxel and one past its last, `[k, j, i]`. `None` if no
    /// voxel does.
    pub fn native_box(&self, frame: &Frame) -> Option<[[usize; 3]; 2]> {
        let (from, to) = (frame.resampled_extent(), frame.native_extent());
        let (start, end) = resample::box_to_shape(self.start, self.end(), from, to)?;
        let map = frame.axis_map();
        let corners = [map.ijk_from_dhw(start), map.ijk_from_dhw(end.map(|n| n - 1))];
        let [a, b] = corners.map(|[i, j, k]| [k, j, i]);
        Some([
            std::array::from_fn(|axis| a[axis].min(b[axis])),
            std::array::from_fn(|axis| a[axis].max(b[axis]) + 1),
        ])
    }

    /// The box around the file's voxels that depend on one of two answers; see [`native_box`](Self::native_box).
    pub(crate) fn native_box_of_both(answers: [Option<&Self>; 2], frame: &Frame) -> Option<[[usize; 3]; 2]> {
        let boxes = answers.into_iter().flatten().filter_map(|answer| answer.native_box(frame));
        boxes.reduce(|[low, high], [start, end]| {
            [
                std::array::from_fn(|axis| low[axis].min(start[axis])),
                std::array::from_fn(|axis| high[axis].max(end[axis])),
            ]
        })
    }

    /// The mask of the voxels whose probability is above `threshold`, in the file's grid.
    ///
    /// # Errors
    /// As [`native`](Self::native).
    pub fn mask(&self, frame: &Frame, threshold: f64) -> Result<MaskPart, InferError> {
        let Some(part) = self.native(frame)? else { return Ok(MaskPart::default()) };
        let above = part.values.map(|p| u8::from(f64::from(*p) > threshold));
        let (start, values) = frame.axis_map().part_to_stored(part.start, above.view());
        Ok(MaskPart { start, values })
    }

    /// The probability in the whole of the file's grid, `[k, j, i]`.
    ///
    /// # Errors
    /// As [`native`](Self::native).
    pub fn native_probability(&self, frame: &Frame) -> Result<Array3<f32>, InferError> {
        let mut whole = Array3::zeros(frame.grid().shape_kji());
        if let Some(part) = self.native(frame)? {
            let (start, values) = frame.axis_map().part_to_stored(part.start, part.values.view());
            PartOfVolume { start, values: values.clone() }.of(&mut whole).assign(&values);
        }
        Ok(whole)
    }
}

/// The part of a mask in a box of the file's grid; the mask is 0 outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MaskPart {
    /// The box's first voxel, `[k, j, i]`.
    pub start: [usize; 3],
    /// 0 and 1, `[k, j, i]`.
    pub values: Array3<u8>,
}

impl MaskPart {
    /// Number of voxels in the mask.
    pub fn voxels(&self) -> u64 {
        self.values.iter().map(|value| u64::from(*value)).sum()
    }

    /// Sets the mask's voxels in `whole` (`[k, j, i]`, of the file's shape) to `label`.
    ///
    /// # Errors
    /// [`InferError::Internal`] if `whole` does not contain the box.
    pub fn paint(&self, whole: &mut Array3<u8>, label: u8) -> Result<(), InferError> {
        let sizes: [usize; 3] = self.values.dim().into();
        let fits = (0..3).all(|axis| self.start[axis] + sizes[axis] <= whole.shape()[axis]);
        if !fits {
            return Err(InferError::Internal("a mask beyond its volume"));
        }
        let [k, j, i] = std::array::from_fn(|axis| self.start[axis]..self.start[axis] + sizes[axis]);
        whole.slice_mut(s![k, j, i]).zip_mut_with(&self.values, |to, value| {
            if *value != 0 {
                *to = label;
            }
        });
        Ok(())
    }
}
