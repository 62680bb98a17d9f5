//! From a volume as read to the network's input, and from the network's output back to the file's grid.

use ndarray::{Array3, ArrayView3, s};
use sam3d_geom::{Extent, Intensity, Preprocessing};

use crate::{
    Grid, IoError, Volume,
    crop::CropWindow,
    intensity,
    orient::{AxisMap, check_shape},
    resample::{self, PartOfVolume},
};

/// An image in the grid the network sees, and the way back.
#[derive(Debug, Clone)]
pub struct PreparedImage {
    /// Values, `[D, H, W]`, at the target spacing.
    pub image: Array3<f32>,
    /// How the file's grid and the image's belong together.
    pub frame: Frame,
}

/// Orients, resamples, clips and normalises a volume.
///
/// # Errors
/// [`IoError::ShapeMismatch`] if the volume's array is not of its grid's shape, [`IoError::ResampledTooLarge`].
pub fn prepare_image(volume: &Volume, preprocessing: &Preprocessing) -> Result<PreparedImage, IoError> {
    let frame = Frame::new(&volume.grid, preprocessing)?;
    Ok(PreparedImage { image: prepare_voxels(volume.data.view(), &frame, preprocessing.intensity)?, frame })
}

/// The image of [`prepare_image`] alone, from voxels `[k, j, i]` of any type on the grid of `frame`.
///
/// # Errors
/// As [`prepare_image`].
pub fn prepare_voxels<S>(
    stored: ArrayView3<'_, S>,
    frame: &Frame,
    intensity: Intensity,
) -> Result<Array3<f32>, IoError>
where
    S: Copy + Default + Into<f32> + Send + Sync,
{
    let mut image = resampled(stored, frame)?;
    intensity::clip(&mut image, intensity);
    intensity::normalise(&mut image, intensity);
    Ok(image)
}

/// The crop `window` of [`prepare_voxels`]' image, `[P, P, P]`, bit for bit, with 0, the mean intensity, where it sticks out.
/// Only the voxels that the crop depends on are resampled, unless slices are resampled one by one.
///
/// # Errors
/// As [`prepare_image`].
pub fn prepare_crop<S>(
    stored: ArrayView3<'_, S>,
    frame: &Frame,
    intensity: Intensity,
    window: CropWindow,
) -> Result<Array3<f32>, IoError>
where
    S: Copy + Default + Into<f32> + Send + Sync,
{
    if frame.slices_apart {
        return Ok(window.extract(prepare_voxels(stored, frame, intensity)?.view(), 0.0));
    }
    let pads = window.pads(frame.resampled_extent);
    let sizes: [usize; 3] =
        std::array::from_fn(|axis| window.side().saturating_sub(pads[axis][0] + pads[axis][1]));
    let mut crop = Array3::zeros([window.side(); 3]);
    if sizes.contains(&0) {
        return Ok(crop);
    }
    let start = std::array::from_fn(|axis| (window.start()[axis] + pads[axis][0] as i64) as usize);
    let native = frame.axis_map.view(stored)?;
    let mut inside = resample::part_to_spacing(native, frame.factors, start, sizes)?;
    intensity::clip(&mut inside, intensity);
    intensity::normalise(&mut inside, intensity);
    let [d, h, w] = std::array::from_fn(|axis| pads[axis][0]..pads[axis][0] + sizes[axis]);
    crop.slice_mut(s![d, h, w]).assign(&inside);
    Ok(crop)
}

/// Orients, resamples and clips a volume, in HU: what training augments before it normalises.
///
/// # Errors
/// As [`prepare_image`].
pub fn prepare_clipped(volume: &Volume, preprocessing: &Preprocessing) -> Result<PreparedImage, IoError> {
    let frame = Frame::new(&volume.grid, preprocessing)?;
    let mut image = resampled(volume.data.view(), &frame)?;
    intensity::clip(&mut image, preprocessing.intensity);
    Ok(PreparedImage { image, frame })
}

fn resampled<S>(stored: ArrayView3<'_, S>, frame: &Frame) -> Result<Array3<f32>, IoError>
where
    S: Copy + Default + Into<f32> + Send + Sync,
{
    let native = frame.axis_map.to_dhw(stored)?;
    if frame.slices_apart {
        resample::image_slices_apart(native.mapv(S::into).view(), frame.factors)
    } else {
        resample::to_spacing(native.view(), frame.factors)
    }
}

/// The mask (0 or 1, `[D, H, W]`) of the voxels of `label` that are `target_class`, resampled like the image: the
/// class's mask is interpolated and counts where it exceeds one half.
///
/// # Errors
/// As [`prepare_image`].
pub fn prepare_label(
    label: &Volume,
    target_class: u32,
    preprocessing: &Preprocessing,
) -> Result<Array3<u8>, IoError> {
    let frame = Frame::new(&label.grid, preprocessing)?;
    let native = frame.axis_map.to_dhw(native_label(label, target_class).view())?;
    let resampled = if frame.slices_apart {
        resample::label_slices_apart(native.view(), frame.factors)?
    } else {
        resample::to_spacing(native.view(), frame.factors)?
    };
    Ok(resampled.mapv(|share| u8::from(share > 0.5)))
}

/// The mask (0 or 1, `[k, j, i]`) of the voxels of `label` that are `target_class`, in the file's own grid.
pub fn native_label(label: &Volume, target_class: u32) -> Array3<u8> {
    // Compared in f64, which holds every class; labels are whole numbers, small enough for the f32 they were read as.
    label.data.mapv(|value| u8::from(f64::from(value) == f64::from(target_class)))
}

/// How a file's grid and the resampled one belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    grid: Grid,
    axis_map: AxisMap,
    native_extent: Extent,
    resampled_extent: Extent,
    factors: [f64; 3],
    /// Whether slices are resampled one by one.
    slices_apart: bool,
}

impl Frame {
    /// The frame of volumes on `grid`.
    ///
    /// # Errors
    /// [`IoError::ResampledTooLarge`].
    pub fn new(grid: &Grid, preprocessing: &Preprocessing) -> Result<Self, IoError> {
        let axis_map = AxisMap::new(grid, preprocessing.orientation);
        let native_extent = axis_map.extent()?;
        let spacing = axis_map.spacing(grid)?;
        let factors = resample::factors(spacing, preprocessing.spacing_mm);
        let resampled_extent = resample::resampled_extent(native_extent, factors)?;
        let slices_apart = preprocessing.interpolation.takes_slices_apart(spacing);
        Ok(Self { grid: grid.clone(), axis_map, native_extent, resampled_extent, factors, slices_apart })
    }

    /// The file's grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// How the file's axes become `[D, H, W]`.
    pub fn axis_map(&self) -> &AxisMap {
        &self.axis_map
    }

    /// Size of the file's grid, `[D, H, W]`.
    pub fn native_extent(&self) -> Extent {
        self.native_extent
    }

    /// Size of the resampled image, `[D, H, W]`.
    pub fn resampled_extent(&self) -> Extent {
        self.resampled_extent
    }

    /// Native spacing over target spacing, `[D, H, W]`.
    pub fn factors(&self) -> [f64; 3] {
        self.factors
    }

    /// The resampled voxel `[D, H, W]` of the file's voxel `[i, j, k]`: `floor((n + 0.5) * factor)`, clamped.
    ///
    /// # Errors
    /// [`IoError::VoxelOutside`], which names the valid range.
    pub fn resampled_from_native_ijk(&self, ijk: [usize; 3]) -> Result<[usize; 3], IoError> {
        let ijk = self.grid.voxel(ijk.map(|i| i64::try_from(i).unwrap_or(i64::MAX)))?;
        let native = self.axis_map.dhw_from_ijk(ijk);
        Ok(std::array::from_fn(|axis| {
            let position = (native[axis] as f64 + 0.5) * self.factors[axis];
            (position as usize).min(self.resampled_extent.sizes()[axis] - 1)
        }))
    }

    /// The centre of the resampled voxel `index` in voxels of the file's grid, both `[D, H, W]`.
    pub fn native_from_resampled(&self, index: [i64; 3]) -> [f64; 3] {
        std::array::from_fn(|axis| (index[axis] as f64 + 0.5) / self.factors[axis] - 0.5)
    }

    /// A probability in the resampled grid (`[D, H, W]`) in the file's own grid (`[k, j, i]`): resized to the native
    /// shape by the ratio of sizes, then put back into the stored axes.
    ///
    /// # Errors
    /// [`IoError::ShapeMismatch`] if the array is not of [`resampled_extent`](Self::resampled_extent).
    pub fn to_native(&self, probability: ArrayView3<'_, f32>) -> Result<Array3<f32>, IoError> {
        check_shape(self.resampled_extent.sizes(), probability.dim().into())?;
        let native = resample::to_shape(probability, self.native_extent)?;
        self.axis_map.to_stored(native.view())
    }

    /// The part of the file's grid that a box of the resampled grid reaches: what [`to_native`](Self::to_native) makes of a
    /// volume that holds `values` (`[D, H, W]`) from the voxel `start` on and is 0 elsewhere, bit for bit, without the time
    /// and memory of that volume.
    ///
    /// The part is one of the file's grid in `[D, H, W]`. `None` if no voxel of the file depends on the box.
    ///
    /// # Errors
    /// [`IoError::ShapeMismatch`] if the box reaches beyond the resampled volume.
    pub fn native_part(
        &self,
        start: [usize; 3],
        values: ArrayView3<'_, f32>,
    ) -> Result<Option<PartOfVolume>, IoError> {
        resample::to_shape_of_part(values, start, self.resampled_extent, self.native_extent)
    }
}
