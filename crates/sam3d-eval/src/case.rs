//! Cases of an evaluation.

use std::{borrow::Cow, sync::Arc};

use ndarray::Array3;
use sam3d_data::dataset::Case;
use sam3d_geom::{Preprocessing, Spacing};
use sam3d_infer::Image;
use sam3d_io::{
    IoError, ReadLimits, Volume,
    prepare::{Frame, native_label, prepare_image, prepare_label},
};

use crate::EvalError;

/// A prepared case. A method sees the image and its frame, not the truth.
#[derive(Debug)]
pub struct EvaluationCase {
    id: String,
    image: Arc<Image>,
    /// The target on the image's grid, in which clicks are drawn.
    pub(crate) target: Array3<u8>,
    /// The target on the file's grid, `[D, H, W]`, with which predictions are compared.
    pub(crate) truth: Array3<u8>,
    pub(crate) native_spacing: Spacing,
    pub(crate) target_spacing: Spacing,
}

impl EvaluationCase {
    /// Reads and prepares `case`; the voxels of `target_class` are the target.
    ///
    /// # Errors
    /// [`EvalError::Io`] if a file cannot be read; as [`new`](Self::new).
    pub fn read(
        case: &Case,
        target_class: u32,
        preprocessing: &Preprocessing,
        limits: ReadLimits,
    ) -> Result<Self, EvalError> {
        let image = sam3d_io::read(&case.image, limits)?;
        let label = case.read_label(&image.grid, limits)?;
        Self::new(case.id.as_str(), &image, &label, target_class, preprocessing).map_err(
            |error| match error {
                EvalError::Io(error) => EvalError::Io(error.of_file(&case.image)),
                other => other,
            },
        )
    }

    /// The case `id` of an image and its label.
    ///
    /// # Errors
    /// [`IoError::LabelGrid`] if the two do not fit each other, [`EvalError::NoTarget`] if there is nothing to click
    /// on.
    pub fn new(
        id: &str,
        image: &Volume,
        label: &Volume,
        target_class: u32,
        preprocessing: &Preprocessing,
    ) -> Result<Self, EvalError> {
        let image = Image::from_prepared(prepare_image(image, preprocessing)?, preprocessing);
        let frame = image.frame();
        let target = prepare_label(label, target_class, preprocessing)?;
        let sizes = frame.resampled_extent().sizes();
        if target.shape() != sizes {
            return Err(IoError::LabelGrid { image: sizes, label: target.dim().into() }.into());
        }
        let truth = frame.axis_map().to_dhw(native_label(label, target_class).view())?;
        if target.iter().all(|value| *value == 0) {
            return Err(EvalError::NoTarget);
        }
        let native_spacing = frame.axis_map().spacing(frame.grid()).map_err(IoError::from)?;
        let target_spacing = preprocessing.spacing_mm;
        Ok(Self { id: id.to_owned(), image: Arc::new(image), target, truth, native_spacing, target_spacing })
    }

    /// The case's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Oriented, resampled, clipped and normalised intensities, `[D, H, W]`.
    ///
    /// # Errors
    /// [`EvalError::Io`] if there is not enough memory.
    pub fn image(&self) -> Result<Cow<'_, Array3<f32>>, EvalError> {
        Ok(self.image.whole()?)
    }

    /// The image for a session on it.
    pub fn shared_image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The relation between the image's grid and the file's.
    pub fn frame(&self) -> &Frame {
        self.image.frame()
    }
}
