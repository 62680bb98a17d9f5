use std::path::Path;

use crate::IoError;

/// How much a file may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most voxels a volume may have.
    pub max_voxels: usize,
}

impl Default for ReadLimits {
    /// 2^30 voxels (1024 x 1024 x 1024, 4 GiB as `f32`): twice the largest whole-body CT in use (512 x 512 x 2000).
    fn default() -> Self {
        Self { max_voxels: 1 << 30 }
    }
}

impl ReadLimits {
    /// The number of voxels of `shape`, once it is known to be within the limit.
    ///
    /// # Errors
    /// [`IoError::TooLarge`].
    pub(crate) fn check(self, path: &Path, shape: [usize; 3]) -> Result<usize, IoError> {
        // Three sizes of 64 bits can overflow even 128: saturated they are beyond every limit all the same.
        let voxels = shape.iter().fold(1u128, |product, size| product.saturating_mul(*size as u128));
        usize::try_from(voxels)
            .ok()
            .filter(|count| *count <= self.max_voxels)
            .ok_or_else(|| IoError::TooLarge { path: path.to_owned(), voxels, limit: self.max_voxels })
    }
}
