use std::array::from_fn;

use ndarray::{Array3, ArrayView3};

use super::warp::{Tap, Warp, span, transform_whole};
use crate::prepared::Region;

/// `image` magnified by `factors` along D, H and W, then cut or continued around its centre to the size it had.
///
/// The magnified image has `floor(n * factor)` voxels along an axis; its voxel `o` is read trilinearly at
/// `(o + 0.5) * n / floor(n * factor) - 0.5`, edges clamped. Where it is smaller than before, its edge is repeated.
///
/// # Shapes
/// `[D, H, W]` to `[D, H, W]`.
pub fn zoom_keeping_size(image: ArrayView3<'_, f32>, factors: [f64; 3]) -> Array3<f32> {
    let whole = Region::whole(image.dim().into());
    transform_whole(&Zoom::new(whole.sizes, factors), image)
}

/// A zoom about the centre, in a grid that stays as it is.
pub(super) struct Zoom {
    /// Where each output index of an axis is read.
    taps: [Vec<Tap>; 3],
}

impl Zoom {
    /// The zoom by `factors` of volumes of `sizes` voxels.
    pub(super) fn new(sizes: [usize; 3], factors: [f64; 3]) -> Self {
        Self { taps: from_fn(|axis| axis_taps(sizes[axis], factors[axis])) }
    }
}

impl Warp for Zoom {
    fn output_sizes(&self) -> [usize; 3] {
        self.taps.each_ref().map(Vec::len)
    }

    fn input_of(&self, output: Region) -> Region {
        let spans: [_; 3] = from_fn(|axis| span(&self.taps[axis][output.range(axis)]).unwrap_or_default());
        Region::between(spans.map(|(start, _)| start), spans.map(|(_, end)| end))
    }

    fn apply(&self, input: &Array3<f32>, output: Region) -> Array3<f32> {
        let start = self.input_of(output).start;
        let taps: [Vec<Tap>; 3] = from_fn(|axis| {
            self.taps[axis][output.range(axis)].iter().map(|tap| tap.relative_to(start[axis])).collect()
        });
        interpolate(input, &taps)
    }

    fn output_of(&self, input: Region) -> Region {
        let reads = |axis: usize, tap: &Tap| {
            let range = input.range(axis);
            range.contains(&tap.lower) || range.contains(&tap.upper)
        };
        // Taps move in one direction only, so those that read the region stand side by side.
        let first = from_fn(|axis| {
            let taps = &self.taps[axis];
            taps.iter().position(|tap| reads(axis, tap)).unwrap_or(taps.len())
        });
        let end =
            from_fn(|axis| self.taps[axis].iter().rposition(|tap| reads(axis, tap)).map_or(0, |i| i + 1));
        Region::between(first, end)
    }
}

fn axis_taps(size: usize, factor: f64) -> Vec<Tap> {
    let zoomed = ((size as f64 * factor).floor() as usize).max(1);
    // The centre is that of whole voxels: it is size / 2 whether the size is even or odd.
    let cut = (zoomed / 2).saturating_sub(size / 2);
    let continued = size.saturating_sub(zoomed) / 2;
    (0..size)
        .map(|index| {
            let in_zoomed = (index + cut).saturating_sub(continued).min(zoomed - 1);
            Tap::at((in_zoomed as f64 + 0.5) * size as f64 / zoomed as f64 - 0.5, size)
        })
        .collect()
}

/// Trilinear interpolation at every combination of the axes' taps.
fn interpolate(input: &Array3<f32>, [depth, height, width]: &[Vec<Tap>; 3]) -> Array3<f32> {
    let (_, rows, columns) = input.dim();
    let mut output = Array3::zeros((depth.len(), height.len(), width.len()));
    let values = input.as_standard_layout();
    let Some(values) = values.as_slice() else { return output };
    // Rows as slices, so that neighbours are blended several at a time.
    let row = |d: usize, h: usize| &values[(d * rows + h) * columns..][..columns];
    let mut blended = vec![0.0f32; columns];
    for (mut plane, d) in output.outer_iter_mut().zip(depth) {
        for (mut out, h) in plane.outer_iter_mut().zip(height) {
            // Along D and H first, whole rows at a time, so that only the last axis jumps about.
            let [low, high] = [d.lower, d.upper].map(|d| [row(d, h.lower), row(d, h.upper)]);
            let corners = low[0].iter().zip(low[1]).zip(high[0].iter().zip(high[1]));
            for (value, ((a, b), (c, d_high))) in blended.iter_mut().zip(corners) {
                *value = d.between(h.between(*a, *b), h.between(*c, *d_high));
            }
            for (out, w) in out.iter_mut().zip(width) {
                *out = w.between(blended[w.lower], blended[w.upper]);
            }
        }
    }
    output
}
