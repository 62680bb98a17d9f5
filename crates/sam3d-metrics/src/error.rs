use ndarray::ArrayView3;

/// Why a metric cannot be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The two masks do not lie on one grid.
    #[error("truth of {truth:?} voxels and prediction of {prediction:?} voxels do not lie on one grid")]
    ShapesDiffer {
        /// Sizes of the truth, `[D, H, W]`.
        truth: [usize; 3],
        /// Sizes of the prediction, `[D, H, W]`.
        prediction: [usize; 3],
    },
    /// An image and a mask do not lie on one grid.
    #[error("image of {image:?} voxels and mask of {mask:?} voxels do not lie on one grid")]
    ImageShapeDiffers {
        /// Sizes of the image, `[D, H, W]`.
        image: [usize; 3],
        /// Sizes of the mask, `[D, H, W]`.
        mask: [usize; 3],
    },
    /// A side of the box around the masks is longer than a place in it can be stored.
    #[error("a box of {sizes:?} voxels around the masks is too large: no side may have more than 65535")]
    TooLarge {
        /// Sizes of the box with its margin, `[D, H, W]`.
        sizes: [usize; 3],
    },
    /// A tolerance is negative or not finite.
    #[error("tolerance {tolerance_mm} mm is not a finite number of at least 0")]
    ToleranceInvalid {
        /// The rejected tolerance in mm.
        tolerance_mm: f64,
    },
    /// No rule for corrective clicks has this name.
    #[error("unknown click rule {name}: expected largest, deepest, imed3d or random")]
    ClickRuleUnknown {
        /// The name.
        name: String,
    },
    /// A percentile lies outside 0 to 100.
    #[error("percentile {percent} is not between 0 and 100")]
    PercentileInvalid {
        /// The rejected percentile.
        percent: f64,
    },
}

/// Fails unless the two masks have the same shape.
pub(crate) fn check_same_shape<T>(
    truth: ArrayView3<T>,
    prediction: ArrayView3<T>,
) -> Result<(), MetricsError> {
    if truth.dim() == prediction.dim() {
        return Ok(());
    }
    Err(MetricsError::ShapesDiffer { truth: truth.dim().into(), prediction: prediction.dim().into() })
}
