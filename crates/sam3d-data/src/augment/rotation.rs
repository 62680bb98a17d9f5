use ndarray::{Array3, ArrayView3};

use super::warp::{Tap, Warp, span, transform_whole};
use crate::prepared::Region;

/// `image` turned by `radians` about D, in a grid that has grown to hold all corners; edges are repeated.
///
/// The output's centre is the input's; its voxel at the offset `(h, w)` from there is read bilinearly at
/// `(h cos - w sin, h sin + w cos)`.
///
/// # Shapes
/// `[D, H, W]` to `[D, H', W']`, with `H' = floor(|cos| H + |sin| W + 0.5)` and `W'` likewise, at least 1.
pub fn rotate_about_depth(image: ArrayView3<'_, f32>, radians: f64) -> Array3<f32> {
    transform_whole(&Rotation::new(image.dim().into(), radians), image)
}

/// A rotation in the (H, W) plane.
pub(super) struct Rotation {
    input_sizes: [usize; 3],
    output_sizes: [usize; 3],
    sin: f64,
    cos: f64,
}

impl Rotation {
    /// The rotation by `radians` of volumes of `sizes` voxels.
    pub(super) fn new(sizes: [usize; 3], radians: f64) -> Self {
        let [depth, height, width] = sizes;
        let (sin, cos) = radians.sin_cos();
        let grown = |along: usize, across: usize| {
            ((cos.abs() * along as f64 + sin.abs() * across as f64 + 0.5).floor() as usize).max(1)
        };
        let output_sizes = [depth, grown(height, width), grown(width, height)];
        Self { input_sizes: sizes, output_sizes, sin, cos }
    }

    /// Where the output pixel `(h, w)` is read, on the input's axes H and W.
    fn taps_at(&self, h: usize, w: usize) -> [Tap; 2] {
        let [_, height, width] = self.input_sizes;
        let [_, out_height, out_width] = self.output_sizes;
        let h = h as f64 - (out_height - 1) as f64 / 2.0;
        let w = w as f64 - (out_width - 1) as f64 / 2.0;
        let [last_h, last_w] = [height, width].map(|n| n.saturating_sub(1) as f64);
        let position =
            [h * self.cos - w * self.sin + last_h / 2.0, h * self.sin + w * self.cos + last_w / 2.0];
        [Tap::at(position[0], height), Tap::at(position[1], width)]
    }

    /// Where each pixel of `output`, row by row, is read.
    fn taps(&self, output: Region) -> Vec<[Tap; 2]> {
        output.range(1).flat_map(|h| output.range(2).map(move |w| self.taps_at(h, w))).collect()
    }

    /// The input region that `taps` read of the planes of `output`.
    fn input_of_taps(output: Region, taps: &[[Tap; 2]]) -> Region {
        let [rows, columns] =
            [0, 1].map(|axis| span(taps.iter().map(|taps| &taps[axis])).unwrap_or_default());
        let [start, end] = [(output.start[0], rows.0, columns.0), (output.end()[0], rows.1, columns.1)];
        Region::between(start.into(), end.into())
    }
}

impl Warp for Rotation {
    fn output_sizes(&self) -> [usize; 3] {
        self.output_sizes
    }

    fn input_of(&self, output: Region) -> Region {
        Self::input_of_taps(output, &self.taps(output))
    }

    fn apply(&self, input: &Array3<f32>, output: Region) -> Array3<f32> {
        let mut turned = Array3::zeros(output.sizes);
        let mut taps = self.taps(output);
        let [_, first_row, first_column] = Self::input_of_taps(output, &taps).start;
        for [h, w] in &mut taps {
            (*h, *w) = (h.relative_to(first_row), w.relative_to(first_column));
        }
        for (mut turned, plane) in turned.outer_iter_mut().zip(input.outer_iter()) {
            for (value, [h, w]) in turned.iter_mut().zip(&taps) {
                let row = |h: usize| w.between(plane[[h, w.lower]], plane[[h, w.upper]]);
                *value = h.between(row(h.lower), row(h.upper));
            }
        }
        turned
    }

    fn output_of(&self, input: Region) -> Region {
        let [_, rows, columns] = self.output_sizes;
        let reads = |taps: [Tap; 2]| {
            [1, 2].into_iter().zip(taps).all(|(axis, tap)| {
                let range = input.range(axis);
                range.contains(&tap.lower) || range.contains(&tap.upper)
            })
        };
        // Every pixel is asked: repeated edges carry what lies on the border far outwards.
        let mut bounds: Option<([usize; 2], [usize; 2])> = None;
        for h in 0..rows {
            for w in (0..columns).filter(|w| reads(self.taps_at(h, *w))) {
                let (low, high) = bounds.get_or_insert(([h, w], [h, w]));
                *low = [low[0].min(h), low[1].min(w)];
                *high = [high[0].max(h), high[1].max(w)];
            }
        }
        let depth = input.range(0);
        bounds.map_or(Region::whole([0; 3]), |([h, w], [last_h, last_w])| {
            Region::between([depth.start, h, w], [depth.end, last_h + 1, last_w + 1])
        })
    }
}
