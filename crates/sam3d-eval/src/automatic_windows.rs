//! A comparison network on a whole volume.

use ndarray::{Array3, ArrayView3};
use sam3d_baselines::Baseline;
use sam3d_io::sliding_window::{SlidingWindow, Weighting};
use serde::{Deserialize, Serialize};

use crate::EvalError;

/// How windows overlap and count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Share of its side that a window has in common with the next.
    pub overlap: f64,
    /// How much a voxel of a window counts.
    pub weighting: Weighting,
}

impl WindowConfig {
    /// The published test: overlap 0.7, and the weights its script has by default.
    pub const TEST: Self = Self { overlap: 0.7, weighting: Weighting::Constant };

    /// The name of the weights.
    pub fn weighting_name(&self) -> &'static str {
        match self.weighting {
            Weighting::Constant => "constant",
            Weighting::Gaussian => "gaussian",
        }
    }
}

/// The weighted mean over windows of the target's logit less the background's. Its sign is the class of the mean logits,
/// and its sigmoid the target's softmax.
///
/// # Shapes
/// `image` and the result: `[D, H, W]`, resampled, with intensities in [0, 1].
///
/// # Errors
/// [`EvalError`] if the windows are not valid; [`EvalError::Model`] if libtorch fails.
pub(crate) fn target_logit(
    network: &Baseline,
    image: ArrayView3<'_, f32>,
    config: &WindowConfig,
) -> Result<Array3<f32>, EvalError> {
    let sides = network.config().crop();
    let mut predict = |window: Array3<f32>| {
        let values = window.as_slice().ok_or(EvalError::Internal("layout of a window"))?;
        Array3::from_shape_vec(sides, network.target_logit(values)?)
            .map_err(|_| EvalError::Internal("shape of a window"))
    };
    SlidingWindow::new(sides, config.overlap, config.weighting)?.blend(image, &mut predict, &mut |_, _| ())
}

#[cfg(test)]
mod tests {
    use sam3d_baselines::{Method, Size};
    use tch::Device;

    use super::*;

    #[test]
    fn one_window_is_the_networks_own_answer_and_a_smaller_volume_is_padded() {
        let network = Baseline::new(&Method::Nnunet.config(Size::Small), Device::Cpu, 3).unwrap();
        let sides = network.config().crop();
        let crop = Array3::from_shape_fn(sides, |(d, h, w)| ((d * 7 + h * 3 + w) % 11) as f32 / 11.0);
        let logits = network.predict(crop.as_slice().unwrap()).unwrap();
        let voxels = crop.len();
        let whole = target_logit(&network, crop.view(), &WindowConfig::TEST).unwrap();
        for (at, found) in whole.iter().enumerate() {
            assert!((found - (logits[voxels + at] - logits[at])).abs() < 1e-5);
        }
        let part = ndarray::s![1..sides[0] - 1, 2..sides[1] - 2, ..];
        let mut padded = Array3::zeros(sides);
        padded.slice_mut(part).assign(&crop.slice(part));
        let expected = target_logit(&network, padded.view(), &WindowConfig::TEST).unwrap();
        let found = target_logit(&network, crop.slice(part), &WindowConfig::TEST).unwrap();
        for (a, b) in found.iter().zip(expected.slice(part)) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
