//! Input images of the 2D SAM.

use tch::{Kind, Tensor};

use crate::ModelError;

/// SAM's mean of each colour, on a scale of 0 to 255.
const MEAN: [f64; 3] = [123.675, 116.28, 103.53];
/// SAM's standard deviation of each colour, likewise.
const STD: [f64; 3] = [58.395, 57.12, 57.375];

/// A colour image, values from 0 to 255.
#[derive(Debug)]
pub struct RgbImage {
    /// `[1, 3, height, width]`.
    pixels: Tensor,
}

impl RgbImage {
    /// The image of three planes (red, green, blue), each row by row: `[3, height, width]`.
    ///
    /// # Errors
    /// [`ModelError::ImageShape`] if there are no pixels or their number differs from height times width.
    pub fn new(planes: &[f32], [height, width]: [usize; 2]) -> Result<Self, ModelError> {
        if planes.is_empty() || planes.len() != 3 * height * width {
            let expected = vec![3, height as i64, width as i64];
            return Err(ModelError::ImageShape { found: vec![planes.len() as i64], expected });
        }
        let pixels = Tensor::f_from_slice(planes)?.view([1, 3, height as i64, width as i64]);
        Ok(Self { pixels })
    }

    /// A grey image: one plane, row by row, for each of the three colours.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn grey(plane: &[f32], size: [usize; 2]) -> Result<Self, ModelError> {
        Self::new(&plane.repeat(3), size)
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        let size = self.pixels.size();
        [size[2] as usize, size[3] as usize]
    }

    /// Height and width when the longest side is `side`.
    pub(super) fn scaled_size(&self, side: usize) -> [usize; 2] {
        let [height, width] = self.size();
        let scale = side as f64 / height.max(width) as f64;
        [height, width].map(|n| ((n as f64 * scale + 0.5) as usize).max(1))
    }

    /// # Shapes
    /// `[1, 3, side, side]`, normalised, zero below and to the right of the image.
    pub(super) fn network_input(&self, side: usize) -> Result<Tensor, ModelError> {
        let scaled = self.scaled_size(side);
        let [height, width] = scaled.map(|n| n as i64);
        let pixels = if scaled == self.size() {
            self.pixels.shallow_clone()
        } else {
            // Averages where the image becomes smaller, as SAM's own resizing does.
            self.pixels.f_internal_upsample_bilinear2d_aa([height, width], false, None, None)?
        };
        let constant = |values: [f64; 3]| Tensor::from_slice(&values).to_kind(Kind::Float).view([1, 3, 1, 1]);
        let normalised = (pixels - constant(MEAN)) / constant(STD);
        let side = side as i64;
        Ok(normalised.f_constant_pad_nd([0, side - width, 0, side - height])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_side_decides_and_the_rest_is_zero() {
        let image = RgbImage::grey(&[123.675; 12], [3, 4]).unwrap();
        assert_eq!(image.scaled_size(1024), [768, 1024]);
        let input = image.network_input(8).unwrap();
        assert_eq!(input.size(), [1, 3, 8, 8]);
        assert!(input.select(1, 0).abs().max().double_value(&[]) < 1e-6);
        let green = (123.675 - 116.28) / 57.12;
        assert!((input.double_value(&[0, 1, 5, 7]) - green).abs() < 1e-6);
        assert_eq!(input.double_value(&[0, 1, 6, 0]), 0.0);
    }

    #[test]
    fn a_size_that_does_not_fit_is_refused() {
        assert!(RgbImage::new(&[0.0; 5], [1, 2]).is_err());
        assert!(RgbImage::grey(&[], [0, 2]).is_err());
    }
}
