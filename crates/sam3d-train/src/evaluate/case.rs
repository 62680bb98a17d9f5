//! A case of an evaluation.

use ndarray::{Array3, ArrayView3};
use sam3d_geom::{Preprocessing, Spacing};
use sam3d_io::{
    IoError, ReadLimits, Volume,
    dataset::Case,
    prepare::{Frame, PreparedImage, native_label, prepare_image, prepare_label},
};

use crate::TrainError;

/// A case ready to be predicted and scored. A method sees the image and its frame; the truth is the protocol's.
#[derive(Debug)]
pub struct EvaluationCase {
    id: String,
    image: Array3<f32>,
    frame: Frame,
    /// On the image's grid: where clicks are drawn.
    pub(super) target: Array3<u8>,
    /// On the file's grid, `[D, H, W]`: what predictions are compared with.
    pub(super) truth: Array3<u8>,
    pub(super) native_spacing: Spacing,
    pub(super) target_spacing: Spacing,
}

impl EvaluationCase {
    /// Reads and prepares `case`; the voxels of `target_class` are the target.
    ///
    /// # Errors
    /// [`TrainError::Io`] if a file cannot be read; as [`new`](Self::new).
    pub fn read(
        case: &Case,
        target_class: u32,
        preprocessing: &Preprocessing,
        limits: ReadLimits,
    ) -> Result<Self, TrainError> {
        let image = sam3d_io::read(&case.image, limits)?;
        let label = sam3d_io::read_label(&case.label, &image.grid, limits)?;
        Self::new(case.id.as_str(), &image, &label, target_class, preprocessing)
    }

    /// The case `id` of an image and its label.
    ///
    /// # Errors
    /// [`IoError::LabelGrid`] if the two do not fit each other, [`TrainError::NoTarget`] if there is nothing to click
    /// on.
    pub fn new(
        id: &str,
        image: &Volume,
        label: &Volume,
        target_class: u32,
        preprocessing: &Preprocessing,
    ) -> Result<Self, TrainError> {
        let PreparedImage { image, frame } = prepare_image(image, preprocessing)?;
        let target = prepare_label(label, target_class, preprocessing)?;
        if image.dim() != target.dim() {
            return Err(IoError::LabelGrid { image: image.dim().into(), label: target.dim().into() }.into());
        }
        let truth = frame.axis_map().to_dhw(native_label(label, target_class).view())?;
        if target.iter().all(|value| *value == 0) {
            return Err(TrainError::NoTarget);
        }
        let native_spacing = frame.axis_map().spacing(frame.grid()).map_err(IoError::from)?;
        let target_spacing = preprocessing.spacing_mm;
        Ok(Self { id: id.to_owned(), image, frame, target, truth, native_spacing, target_spacing })
    }

    /// The case's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Oriented, resampled, clipped and normalised intensities, `[D, H, W]`.
    pub fn image(&self) -> ArrayView3<'_, f32> {
        self.image.view()
    }

    /// How the image's grid and the file's belong together.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}
