use std::array::from_fn;

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;
use sam3d_geom::BoundingBox;

/// Adds `shift_hu` to every voxel.
pub fn shift_intensity(image: &mut Array3<f32>, shift_hu: f32) {
    image.mapv_inplace(|value| value + shift_hu);
}

/// The smallest box around the voxels above `threshold`; `None` if there are none.
pub fn bounding_box_above(image: ArrayView3<'_, f32>, threshold: f32) -> Option<BoundingBox> {
    let mut bounds: Option<([usize; 3], [usize; 3])> = None;
    for (d, slice) in image.outer_iter().enumerate() {
        for (h, row) in slice.outer_iter().enumerate() {
            let Some(first) = row.iter().position(|value| *value > threshold) else { continue };
            let last = row.iter().rposition(|value| *value > threshold).unwrap_or(first);
            let (low, high) = bounds.get_or_insert(([d, h, first], [d, h, last]));
            *low = from_fn(|axis| low[axis].min([d, h, first][axis]));
            *high = from_fn(|axis| high[axis].max([d, h, last][axis]));
        }
    }
    bounds.and_then(|(low, high)| BoundingBox::around([low, high]))
}

/// `image` magnified by `factors` along D, H and W, then cut or continued around its centre to the size it had.
///
/// The magnified image has `floor(n * factor)` voxels along an axis; its voxel `o` is read trilinearly at
/// `(o + 0.5) * n / floor(n * factor) - 0.5`, edges clamped. Where it is smaller than before, its edge is repeated.
///
/// # Shapes
/// `[D, H, W]` to `[D, H, W]`.
pub fn zoom_keeping_size(image: ArrayView3<'_, f32>, factors: [f64; 3]) -> Array3<f32> {
    let sizes: [usize; 3] = image.dim().into();
    let [depth, height, width] = from_fn(|axis| zoom_taps(sizes[axis], factors[axis]));
    interpolate(image, &depth, &height, &width)
}

/// `image` turned by `radians` about D, in a grid that has grown to hold all corners; edges are repeated.
///
/// The output's centre is the input's; its voxel at the offset `(h, w)` from there is read bilinearly at
/// `(h cos - w sin, h sin + w cos)`.
///
/// # Shapes
/// `[D, H, W]` to `[D, H', W']`, with `H' = floor(|cos| H + |sin| W + 0.5)` and `W'` likewise, at least 1.
pub fn rotate_about_depth(image: ArrayView3<'_, f32>, radians: f64) -> Array3<f32> {
    let (depth, height, width) = image.dim();
    let (sin, cos) = radians.sin_cos();
    let [last_h, last_w] = [height, width].map(|n| n.saturating_sub(1) as f64);
    let grown = |along: usize, across: usize| {
        ((cos.abs() * along as f64 + sin.abs() * across as f64 + 0.5).floor() as usize).max(1)
    };
    let (out_height, out_width) = (grown(height, width), grown(width, height));
    let mut turned = Array3::zeros((depth, out_height, out_width));
    if image.is_empty() {
        return turned;
    }
    let taps: Vec<[Tap; 2]> = (0..out_height * out_width)
        .map(|pixel| {
            let h = (pixel / out_width) as f64 - (out_height - 1) as f64 / 2.0;
            let w = (pixel % out_width) as f64 - (out_width - 1) as f64 / 2.0;
            let position = [h * cos - w * sin + last_h / 2.0, h * sin + w * cos + last_w / 2.0];
            [Tap::at(position[0], height), Tap::at(position[1], width)]
        })
        .collect();
    turned.axis_iter_mut(Axis(0)).into_par_iter().zip(image.axis_iter(Axis(0)).into_par_iter()).for_each(
        |(mut turned, image)| {
            for (value, [h, w]) in turned.iter_mut().zip(&taps) {
                let row = |h: usize| w.between(image[[h, w.lower]], image[[h, w.upper]]);
                *value = h.between(row(h.lower), row(h.upper));
            }
        },
    );
    turned
}

/// `array` with zeros around it, so that no axis is shorter than `target`; of an odd number the larger half comes after.
///
/// # Shapes
/// `[D, H, W]` to the larger of that and `target`, axis by axis.
pub fn pad_symmetric<T: Copy + Default>(array: ArrayView3<'_, T>, target: [usize; 3]) -> Array3<T> {
    let sizes: [usize; 3] = array.dim().into();
    let padded: [usize; 3] = from_fn(|axis| sizes[axis].max(target[axis]));
    let [d, h, w]: [usize; 3] = from_fn(|axis| (padded[axis] - sizes[axis]) / 2);
    let mut out = Array3::default(padded);
    out.slice_mut(s![d..d + sizes[0], h..h + sizes[1], w..w + sizes[2]]).assign(&array);
    out
}

/// First voxel of the crop of `side` voxels centred on `centre`, moved as little as it takes to lie inside `extent`.
///
/// An axis shorter than the crop starts at 0.
pub fn centred_crop(centre: [usize; 3], extent: [usize; 3], side: usize) -> [usize; 3] {
    from_fn(|axis| centre[axis].saturating_sub(side / 2).min(extent[axis].saturating_sub(side)))
}

/// `array` mirrored along the axes that are set.
pub fn flip<T: Copy>(mut array: Array3<T>, axes: [bool; 3]) -> Array3<T> {
    for (axis, _) in axes.iter().enumerate().filter(|(_, set)| **set) {
        array.invert_axis(Axis(axis));
    }
    array
}

/// `array` turned by `count` quarter turns in the (D, H) plane, from D towards H.
///
/// # Shapes
/// `[D, H, W]` to `[H, D, W]` for an odd count.
pub fn quarter_turns<T: Copy>(array: Array3<T>, count: usize) -> Array3<T> {
    match count % 4 {
        0 => array,
        1 => {
            let mut turned = array.permuted_axes([1, 0, 2]);
            turned.invert_axis(Axis(0));
            turned
        }
        2 => flip(array, [true, true, false]),
        _ => {
            let mut turned = array.permuted_axes([1, 0, 2]);
            turned.invert_axis(Axis(1));
            turned
        }
    }
}

/// Two neighbours along an axis and the share of the upper one.
#[derive(Debug, Clone, Copy)]
struct Tap {
    lower: usize,
    upper: usize,
    share: f32,
}

impl Tap {
    /// The neighbours of `position` on an axis of `size` voxels, edges clamped.
    fn at(position: f64, size: usize) -> Self {
        let last = size - 1;
        let position = position.clamp(0.0, last as f64);
        let lower = position as usize;
        Self { lower, upper: (lower + 1).min(last), share: (position - lower as f64) as f32 }
    }

    fn between(self, lower: f32, upper: f32) -> f32 {
        lower + (upper - lower) * self.share
    }
}

/// Where each voxel of an axis that is zoomed and brought back to its size is read.
fn zoom_taps(size: usize, factor: f64) -> Vec<Tap> {
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
fn interpolate(image: ArrayView3<'_, f32>, depth: &[Tap], height: &[Tap], width: &[Tap]) -> Array3<f32> {
    let mut out = Array3::zeros((depth.len(), height.len(), width.len()));
    out.axis_iter_mut(Axis(0)).into_par_iter().zip(depth).for_each(|(slice, tap)| {
        let slices = [tap.lower, tap.upper].map(|d| image.index_axis(Axis(0), d));
        let mut slice: ArrayViewMut3<'_, f32> = slice.insert_axis(Axis(0));
        // Along D and H first, whole rows at a time, so that only the last axis jumps about.
        let mut row = vec![0.0f32; image.dim().2];
        for (mut out, h) in slice.index_axis_mut(Axis(0), 0).outer_iter_mut().zip(height) {
            let rows =
                slices.each_ref().map(|slice| [h.lower, h.upper].map(|h| slice.index_axis_move(Axis(0), h)));
            for (w, value) in row.iter_mut().enumerate() {
                let [lower, upper] = rows.each_ref().map(|[a, b]| h.between(a[w], b[w]));
                *value = tap.between(lower, upper);
            }
            for (out, w) in out.iter_mut().zip(width) {
                *out = w.between(row[w.lower], row[w.upper]);
            }
        }
    });
    out
}
