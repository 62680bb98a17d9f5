//! Cases made ready for augmentation: oriented, resampled and clipped, whole in memory or in parts on the disk.

mod region;
mod summary;

use ndarray::{Array3, s};
use sam3d_geom::{Extent, Preprocessing};

pub use region::Region;
pub use summary::{PlaneMaxima, Summary};

use crate::dataset::Case;
use sam3d_io::{
    IoError, ReadLimits,
    orient::check_shape,
    prepare::{prepare_clipped, prepare_label},
};

/// A prepared case whose regions can be read without the rest.
pub trait PreparedVoxels: Send + Sync {
    /// What is known of the whole.
    fn summary(&self) -> &Summary;

    /// Clipped intensities in HU of `region`, which lies inside the volume; contiguous.
    ///
    /// # Errors
    /// [`IoError`] if they are on the disk and cannot be read, or are damaged.
    fn image(&self, region: Region) -> Result<Array3<f32>, IoError>;

    /// The label of `region`, 0 or 1.
    ///
    /// # Errors
    /// As [`image`](Self::image).
    fn label(&self, region: Region) -> Result<Array3<u8>, IoError>;
}

/// A prepared case in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedCase {
    image: Array3<f32>,
    label: Array3<u8>,
    summary: Summary,
}

impl PreparedCase {
    /// The case of a clipped `image` (HU) and its `label` (0 or 1), both `[D, H, W]`.
    ///
    /// # Errors
    /// [`IoError::LabelGrid`] if they differ in shape, [`IoError::Geometry`] if an axis has no voxel.
    pub fn new(image: Array3<f32>, label: Array3<u8>) -> Result<Self, IoError> {
        let [image_sizes, label_sizes] = [image.dim(), label.dim()].map(<[usize; 3]>::from);
        Extent::new(image_sizes)?;
        if image_sizes != label_sizes {
            return Err(IoError::LabelGrid { image: image_sizes, label: label_sizes });
        }
        let summary = Summary::of(image.view(), label.view());
        Ok(Self { image, label, summary })
    }

    /// Reads and prepares `case`; the target is the voxels of `target_class`.
    ///
    /// # Errors
    /// [`IoError`] that names the file which cannot be read; as [`new`](Self::new).
    pub fn read(case: &Case, target_class: u32, preprocessing: &Preprocessing) -> Result<Self, IoError> {
        // One after the other: a volume as read is dropped before the next one is.
        let (image, grid) = {
            let volume = sam3d_io::read(&case.image, ReadLimits::default())?;
            (
                prepare_clipped(&volume, preprocessing).map_err(|error| error.of_file(&case.image))?.image,
                volume.grid,
            )
        };
        let label = case.read_label(&grid, ReadLimits::default())?;
        let label =
            prepare_label(&label, target_class, preprocessing).map_err(|error| error.of_file(&case.label))?;
        Self::new(image, label)
    }

    /// The clipped image in HU, `[D, H, W]`.
    pub fn whole_image(&self) -> &Array3<f32> {
        &self.image
    }

    /// The label, 0 or 1, `[D, H, W]`.
    pub fn whole_label(&self) -> &Array3<u8> {
        &self.label
    }

    /// Memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.image.len() * size_of::<f32>() + self.label.len()
    }
}

impl PreparedVoxels for PreparedCase {
    fn summary(&self) -> &Summary {
        &self.summary
    }

    fn image(&self, region: Region) -> Result<Array3<f32>, IoError> {
        copy(&self.image, region)
    }

    fn label(&self, region: Region) -> Result<Array3<u8>, IoError> {
        copy(&self.label, region)
    }
}

fn copy<T: Copy>(array: &Array3<T>, region: Region) -> Result<Array3<T>, IoError> {
    check_inside(region, array.dim().into())?;
    Ok(array.slice(s![region.range(0), region.range(1), region.range(2)]).as_standard_layout().into_owned())
}

/// Fails unless `region` lies inside a volume of `sizes`.
pub(crate) fn check_inside(region: Region, sizes: [usize; 3]) -> Result<(), IoError> {
    check_shape(region.sizes, region.intersection(Region::whole(sizes)).sizes)
}
