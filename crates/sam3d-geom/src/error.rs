use crate::Extent;

/// Why a value is not a valid geometry.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GeomError {
    /// A spacing has a component that is zero, negative or not finite.
    #[error("spacing {spacing:?} mm is not positive and finite on every axis")]
    SpacingNotPositive {
        /// The rejected spacing in mm, `[D, H, W]`.
        spacing: [f64; 3],
    },
    /// An extent has an axis without voxels, or more voxels than can be addressed.
    #[error("extent {extent:?} has an axis of no voxels or too many voxels in all")]
    ExtentInvalid {
        /// The rejected extent, `[D, H, W]`.
        extent: [usize; 3],
    },
    /// A bounding box ends before it starts.
    #[error("bounding box from {start:?} to {end:?} is empty")]
    BoxEmpty {
        /// First voxel, `[D, H, W]`.
        start: [i64; 3],
        /// One past the last voxel, `[D, H, W]`.
        end: [i64; 3],
    },
    /// A bounding box has more voxels along an axis than can be counted.
    #[error("bounding box from {start:?} to {end:?} is too large")]
    BoxTooLarge {
        /// First voxel, `[D, H, W]`.
        start: [i64; 3],
        /// One past the last voxel, `[D, H, W]`.
        end: [i64; 3],
    },
    /// An affine has an entry that is not finite or does not span three dimensions.
    #[error("affine {rows:?} is not finite or not invertible")]
    AffineSingular {
        /// The three upper rows of the rejected matrix.
        rows: [[f64; 4]; 3],
    },
    /// Clip range, mean and standard deviation cannot normalise an image.
    #[error(
        "intensity needs a clip range with lower < upper, a finite mean and a positive std; found {clip_hu:?}, {mean}, {std}"
    )]
    IntensityInvalid {
        /// The clip range in HU.
        clip_hu: [f64; 2],
        /// The mean in HU.
        mean: f64,
        /// The standard deviation in HU.
        std: f64,
    },
    /// An axis order does not name every stored axis once.
    #[error("axes {axes:?} must hold 0, 1 and 2 once each")]
    AxesNotAPermutation {
        /// The rejected order.
        axes: [usize; 3],
    },
    /// A prompt has no point.
    #[error("a prompt needs at least one point")]
    PromptEmpty,
    /// A point lies outside the grid it is meant for.
    #[error("point {index:?} lies outside the grid of {extent} voxels")]
    PointOutside {
        /// The point, `[D, H, W]`.
        index: [usize; 3],
        /// The grid.
        extent: Extent,
    },
}
