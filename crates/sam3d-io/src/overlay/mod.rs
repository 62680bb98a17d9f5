//! Pictures of a segmentation: axial, coronal and sagittal slices through the click, with outlines.
//!
//! The truth is outlined in green just outside its border and the prediction in orange just inside its own, so that both
//! show where they agree; the two colours differ in lightness too, for readers who do not tell red from green. The click is
//! a white cross. Slices are shown as radiologists have them: the patient's right on the left of the picture in axial and
//! coronal views, anterior on the left in sagittal ones, superior up.

mod canvas;
mod slice;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use ndarray::ArrayView3;
use sam3d_geom::{Extent, GeomError, Intensity, Spacing};

use crate::IoError;
use canvas::Canvas;
use slice::Plane;

/// Length of a volume's longest side in a picture.
const LONGEST_SIDE_PIXELS: f64 = 576.0;
/// Black columns between the views of the combined picture.
const GAP_PIXELS: usize = 8;

/// What is drawn. All arrays are `[D, H, W]`, D to superior, H to posterior, W to the left, and of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Overlay<'a> {
    /// Hounsfield units.
    pub image: ArrayView3<'a, f32>,
    /// Distance between voxels.
    pub spacing: Spacing,
    /// Intensities shown black and white, HU.
    pub window_hu: [f32; 2],
    /// The clicked voxel, through which the slices go.
    pub click: [usize; 3],
    /// The true mask, where there is one; non-zero is inside.
    pub truth: Option<ArrayView3<'a, u8>>,
    /// The predicted mask; non-zero is inside.
    pub prediction: ArrayView3<'a, u8>,
}

/// The files [`write_views`] has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Views {
    /// The slice across the body.
    pub axial: PathBuf,
    /// The slice from side to side.
    pub coronal: PathBuf,
    /// The slice from front to back.
    pub sagittal: PathBuf,
    /// All three side by side.
    pub combined: PathBuf,
}

/// Why an overlay could not be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// A mask is not of the image's shape.
    #[error("the {mask} has {found:?} voxels, expected {expected:?} as the image")]
    ShapeMismatch {
        /// `truth` or `prediction`.
        mask: &'static str,
        /// Shape of the image, `[D, H, W]`.
        expected: [usize; 3],
        /// Shape of the mask.
        found: [usize; 3],
    },
    /// The window has no width.
    #[error("the window runs from {} to {} HU, expected a lower and a higher finite number", window_hu[0], window_hu[1])]
    WindowEmpty {
        /// The rejected window.
        window_hu: [f32; 2],
    },
    /// The image has no voxel or the click is not one of them.
    #[error(transparent)]
    Geometry(#[from] GeomError),
    /// A picture could not be written.
    #[error(transparent)]
    Write(#[from] IoError),
    /// A picture could not be encoded.
    #[error("the picture cannot be encoded as PNG")]
    Encode(#[from] std::io::Error),
}

/// Window in which soft tissue shows well: the dataset's clip range with a fifth of its width on either side.
pub fn window_around(intensity: Intensity) -> [f32; 2] {
    let [low, high] = intensity.clip_hu();
    let margin = 0.2 * (high - low);
    [(low - margin) as f32, (high + margin) as f32]
}

/// Writes `<prefix>_axial.png`, `_coronal.png`, `_sagittal.png` and `_views.png`, replacing files of these names.
///
/// Pixels are square, of one size in all four, and the volume's longest side is 576 of them.
///
/// # Errors
/// [`OverlayError::ShapeMismatch`], [`OverlayError::WindowEmpty`], [`OverlayError::Geometry`] for a click outside, and
/// [`OverlayError::Write`] with the path.
pub fn write_views(prefix: &Path, overlay: &Overlay<'_>) -> Result<Views, OverlayError> {
    check(overlay)?;
    let [axial, coronal, sagittal] = draw(overlay, LONGEST_SIDE_PIXELS);
    let combined = Canvas::side_by_side(&[&axial, &coronal, &sagittal], GAP_PIXELS);
    let write = |canvas: &Canvas, suffix: &str| {
        let path = with_suffix(prefix, suffix);
        canvas.write_png(&path).map(|()| path)
    };
    Ok(Views {
        axial: write(&axial, "_axial.png")?,
        coronal: write(&coronal, "_coronal.png")?,
        sagittal: write(&sagittal, "_sagittal.png")?,
        combined: write(&combined, "_views.png")?,
    })
}

/// The axial, coronal and sagittal picture as PNG files in memory; the volume's longest side is `longest_side_pixels`.
///
/// # Errors
/// As [`write_views`], without a file to write.
pub fn pngs(overlay: &Overlay<'_>, longest_side_pixels: f64) -> Result<[Vec<u8>; 3], OverlayError> {
    check(overlay)?;
    let [axial, coronal, sagittal] = draw(overlay, longest_side_pixels);
    Ok([axial.png()?, coronal.png()?, sagittal.png()?])
}

fn draw(overlay: &Overlay<'_>, longest_side_pixels: f64) -> [Canvas; 3] {
    let sizes: [usize; 3] = overlay.image.dim().into();
    let longest_mm = sizes.iter().zip(overlay.spacing.mm()).map(|(n, mm)| *n as f64 * mm).fold(0.0, f64::max);
    Plane::ALL.map(|plane| slice::draw(overlay, plane, longest_side_pixels / longest_mm))
}

fn check(overlay: &Overlay<'_>) -> Result<(), OverlayError> {
    let shape = |array: &ArrayView3<'_, u8>| -> [usize; 3] { array.dim().into() };
    let expected: [usize; 3] = overlay.image.dim().into();
    let masks = [("truth", overlay.truth.as_ref()), ("prediction", Some(&overlay.prediction))];
    for (mask, array) in masks {
        if let Some(found) = array.map(shape).filter(|found| *found != expected) {
            return Err(OverlayError::ShapeMismatch { mask, expected, found });
        }
    }
    let [low, high] = overlay.window_hu;
    if !(low.is_finite() && high.is_finite() && low < high) {
        return Err(OverlayError::WindowEmpty { window_hu: overlay.window_hu });
    }
    let extent = Extent::new(expected)?;
    if !extent.contains(overlay.click) {
        return Err(GeomError::PointOutside { index: overlay.click, extent }.into());
    }
    Ok(())
}

fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(suffix);
    name.into()
}
