//! The prompt-free ("auto") variant on whole volumes.

use ndarray::{Array3, Array4, ArrayView3, Axis};
use sam3d_io::prepare::PreparedImage;
use sam3d_model::Sam3d;

use crate::{
    TrainError,
    sliding_window::{SlidingWindow, Weighting},
};

/// Share of its side that a window has in common with the next, as published.
pub const OVERLAP: f64 = 0.5;

/// The target's probability everywhere, by windows of the network's crop with Gaussian weights. What is blended is the
/// probability of each window. `progress` is told the number of windows done and of all.
///
/// # Shapes
/// `image` and the result: `[D, H, W]`, resampled and normalised.
///
/// # Errors
/// [`TrainError::Model`] if the network takes clicks.
pub fn probability(
    network: &Sam3d,
    image: ArrayView3<'_, f32>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Array3<f32>, TrainError> {
    let side = network.config().crop;
    let sliding = SlidingWindow::new([side; 3], OVERLAP, Weighting::Gaussian)?;
    let mut predict = |window: Array3<f32>| {
        let values = window.as_slice().ok_or(TrainError::Internal("layout of a window"))?;
        let found = network.predict(values, &[])?;
        Array4::from_shape_vec([1, side, side, side], found).map_err(|_| TrainError::Internal("crop shape"))
    };
    let blended = sliding.blend::<TrainError>(image, 1, &mut predict, progress)?;
    Ok(blended.index_axis_move(Axis(0), 0))
}

/// As [`probability`], in the file's own grid, `[k, j, i]`.
///
/// # Errors
/// As [`probability`].
pub fn native_probability(
    network: &Sam3d,
    prepared: &PreparedImage,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Array3<f32>, TrainError> {
    let whole = probability(network, prepared.image.view(), progress)?;
    Ok(prepared.frame.to_native(whole.view())?)
}
