//! A volume as the network sees it.

use std::{borrow::Cow, sync::OnceLock};

use ndarray::{Array3, ArrayView3};
use sam3d_geom::{Preprocessing, hexadecimal};
use sam3d_io::{
    Grid, IoError, Volume,
    crop::CropWindow,
    prepare::{Frame, PreparedImage, prepare_crop, prepare_voxels},
};
use sha2::{Digest, Sha256};

use crate::InferError;

/// A volume whose crops are resampled when needed. Can be shared between threads.
#[derive(Debug)]
pub struct Image {
    voxels: Voxels,
    preprocessing: Preprocessing,
    frame: Frame,
    sha256: OnceLock<String>,
}

#[derive(Debug)]
enum Voxels {
    /// The file's own, `[k, j, i]`.
    Whole(Array3<i16>),
    Real(Array3<f32>),
    /// Already resampled and normalised, `[D, H, W]`.
    Prepared(Array3<f32>),
}

impl Image {
    /// An image of `volume`; crops are prepared by `preprocessing` when requested.
    ///
    /// # Errors
    /// [`IoError::ResampledTooLarge`].
    pub fn new(volume: Volume, preprocessing: &Preprocessing) -> Result<Self, IoError> {
        let frame = Frame::new(&volume.grid, preprocessing)?;
        Ok(Self::of(Voxels::Real(volume.data), *preprocessing, frame))
    }

    /// An image of a volume that was prepared as a whole by `preprocessing`.
    pub fn from_prepared(prepared: PreparedImage, preprocessing: &Preprocessing) -> Self {
        Self::of(Voxels::Prepared(prepared.image), *preprocessing, prepared.frame)
    }

    fn of(voxels: Voxels, preprocessing: Preprocessing, frame: Frame) -> Self {
        Self { voxels, preprocessing, frame, sha256: OnceLock::new() }
    }

    /// The same image in half the memory, if all voxels are 16-bit integers, as usual in CT.
    #[must_use]
    pub fn compact(mut self) -> Self {
        if let Voxels::Real(data) = &self.voxels {
            let is_whole = |value: &f32| value.fract() == 0.0 && (-32768.0..=32767.0).contains(value);
            if data.iter().all(is_whole) {
                self.voxels = Voxels::Whole(data.mapv(|value| value as i16));
            }
        }
        self
    }

    /// The relation between the file's grid and the resampled one.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The file's grid.
    pub fn grid(&self) -> &Grid {
        self.frame.grid()
    }

    /// How crops are prepared.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Memory of the voxels, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.voxels {
            Voxels::Whole(data) => size_of_val(data.as_slice_memory_order().unwrap_or_default()),
            Voxels::Real(data) | Voxels::Prepared(data) => data.len() * size_of::<f32>(),
        }
    }

    /// The file's own voxels, `[k, j, i]`: 16-bit integers if [`compact`](Self::compact) could use them.
    /// `None` for an image that was prepared as a whole.
    pub fn native(&self) -> Option<NativeVoxels<'_>> {
        match &self.voxels {
            Voxels::Whole(data) => Some(NativeVoxels::Whole(data.view())),
            Voxels::Real(data) => Some(NativeVoxels::Real(data.view())),
            Voxels::Prepared(_) => None,
        }
    }

    /// The normalised intensities in the crop `window`, `[P, P, P]`; 0, the mean intensity, outside the volume.
    ///
    /// # Errors
    /// [`InferError::Io`] if there is not enough memory.
    pub fn crop(&self, window: CropWindow) -> Result<Array3<f32>, InferError> {
        match &self.voxels {
            Voxels::Whole(data) => {
                Ok(prepare_crop(data.view(), &self.frame, self.preprocessing.intensity, window)?)
            }
            Voxels::Real(data) => {
                Ok(prepare_crop(data.view(), &self.frame, self.preprocessing.intensity, window)?)
            }
            Voxels::Prepared(image) => Ok(window.extract(image.view(), 0.0)),
        }
    }

    /// The normalised intensities of the whole resampled volume, `[D, H, W]`.
    ///
    /// # Errors
    /// [`InferError::Io`] if there is not enough memory.
    pub fn whole(&self) -> Result<Cow<'_, Array3<f32>>, IoError> {
        let intensity = self.preprocessing.intensity;
        Ok(match &self.voxels {
            Voxels::Whole(data) => Cow::Owned(prepare_voxels(data.view(), &self.frame, intensity)?),
            Voxels::Real(data) => Cow::Owned(prepare_voxels(data.view(), &self.frame, intensity)?),
            Voxels::Prepared(image) => Cow::Borrowed(image),
        })
    }

    /// SHA-256, in hexadecimal, of the grid and the voxels: the same for a volume whatever its file's format, and
    /// different from that of a volume prepared as a whole.
    pub fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| {
            let mut hash = Sha256::new();
            for size in self.grid().shape_ijk() {
                hash.update((size as u64).to_le_bytes());
            }
            for number in self.grid().world_from_ijk().rows().iter().flatten() {
                hash.update(number.to_le_bytes());
            }
            match &self.voxels {
                Voxels::Whole(data) => hash_planes(&mut hash, data.view(), f32::from),
                Voxels::Real(data) => hash_planes(&mut hash, data.view(), |value| value),
                Voxels::Prepared(data) => {
                    hash.update("prepared");
                    hash_planes(&mut hash, data.view(), |value| value);
                }
            }
            hexadecimal(&hash.finalize())
        })
    }
}

/// The file's own voxels, `[k, j, i]`.
#[derive(Debug, Clone, Copy)]
pub enum NativeVoxels<'a> {
    /// 16-bit integers.
    Whole(ArrayView3<'a, i16>),
    /// Real numbers.
    Real(ArrayView3<'a, f32>),
}

fn hash_planes<T: Copy>(hash: &mut Sha256, data: ArrayView3<'_, T>, value: impl Fn(T) -> f32) {
    let mut bytes = Vec::new();
    for plane in data.outer_iter() {
        bytes.clear();
        // Minus zero is the same voxel as zero.
        plane.iter().for_each(|voxel| bytes.extend((value(*voxel) + 0.0).to_le_bytes()));
        hash.update(&bytes);
    }
}
