use std::array::from_fn;

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

/// `image` turned about all three axes, in a grid that has grown to hold all corners; edges are repeated.
///
/// The output's centre is the input's; its voxel at the offset `x` from there is read trilinearly at `M x`, with `M` the
/// product of the turns by `radians` about D, about H and about W: `(h, w)` to `(h cos - w sin, h sin + w cos)`, then
/// `(d, w)` to `(d cos + w sin, w cos - d sin)`, then `(d, h)` to `(d cos - h sin, d sin + h cos)`.
///
/// # Shapes
/// `[D, H, W]` to the extent of the turned box along each axis plus one half, rounded down, at least 1.
pub fn rotate(image: ArrayView3<'_, f32>, radians: [f64; 3]) -> Array3<f32> {
    transform_whole(&FreeRotation::new(image.dim().into(), radians), image)
}

/// A rotation about all three axes.
pub(super) struct FreeRotation {
    input_sizes: [usize; 3],
    output_sizes: [usize; 3],
    /// From offsets from the output's centre to offsets from the input's.
    matrix: [[f64; 3]; 3],
}

impl FreeRotation {
    /// The rotation by `radians` about D, H and W of volumes of `sizes` voxels.
    pub(super) fn new(sizes: [usize; 3], radians: [f64; 3]) -> Self {
        let matrix = matrix(radians);
        // Output axes are the columns: the inverse of a rotation is its transpose.
        let output_sizes = from_fn(|column| {
            let extent: f64 = (0..3).map(|row| matrix[row][column].abs() * sizes[row] as f64).sum();
            ((extent + 0.5).floor() as usize).max(1)
        });
        Self { input_sizes: sizes, output_sizes, matrix }
    }

    /// Where the output voxel `index` is read; beyond the input's ends if edges are repeated there.
    fn position(&self, index: [usize; 3]) -> [f64; 3] {
        let (from, to) = (centre(self.input_sizes), centre(self.output_sizes));
        let offset: [f64; 3] = from_fn(|axis| index[axis] as f64 - to[axis]);
        from_fn(|axis| {
            (0..3).map(|column| self.matrix[axis][column] * offset[column]).sum::<f64>() + from[axis]
        })
    }

    fn taps(&self, index: [usize; 3]) -> [Tap; 3] {
        let position = self.position(index);
        from_fn(|axis| Tap::at(position[axis], self.input_sizes[axis]))
    }
}

impl Warp for FreeRotation {
    fn output_sizes(&self) -> [usize; 3] {
        self.output_sizes
    }

    fn input_of(&self, output: Region) -> Region {
        // Positions grow or shrink along each axis, so that corners read the first and the last voxels.
        let taps = corners(output.start, output.end().map(|end| end - 1)).map(|corner| self.taps(corner));
        let spans: [_; 3] = from_fn(|axis| span(taps.iter().map(|taps| &taps[axis])).unwrap_or_default());
        Region::between(spans.map(|(start, _)| start), spans.map(|(_, end)| end))
    }

    fn apply(&self, input: &Array3<f32>, output: Region) -> Array3<f32> {
        let start = self.input_of(output).start;
        let [first_d, first_h, first_w] = output.start;
        Array3::from_shape_fn(output.sizes, |(d, h, w)| {
            let taps = self.taps([first_d + d, first_h + h, first_w + w]);
            trilinear(&input.view(), &from_fn(|axis| taps[axis].relative_to(start[axis])))
        })
    }

    fn output_of(&self, input: Region) -> Region {
        if input.is_empty() {
            return input;
        }
        let last = self.output_sizes.map(|size| size - 1);
        let positions = corners([0; 3], last).map(|corner| self.position(corner));
        // Voxels at an end of the input are read from everywhere beyond it.
        let bounds: [[f64; 2]; 3] = from_fn(|axis| {
            let all = || positions.iter().map(|position| position[axis]);
            let (start, end) = (input.start[axis], input.end()[axis]);
            let low = if start <= 1 { all().fold(f64::INFINITY, f64::min) } else { start as f64 - 1.0 };
            let high = if end == self.input_sizes[axis] {
                all().fold(f64::NEG_INFINITY, f64::max)
            } else {
                end as f64
            };
            [low, high]
        });
        let (from, to) = (centre(self.input_sizes), centre(self.output_sizes));
        let places = corners([0; 3], [1; 3]).map(|corner| {
            let offset: [f64; 3] = from_fn(|axis| bounds[axis][corner[axis]] - from[axis]);
            let place: [f64; 3] =
                from_fn(|column| (0..3).map(|axis| self.matrix[axis][column] * offset[axis]).sum::<f64>());
            from_fn::<f64, 3, _>(|axis| place[axis] + to[axis])
        });
        // A voxel more on each side, so that rounding decides nothing.
        let start = from_fn(|axis| {
            let low = places.iter().map(|place| place[axis]).fold(f64::INFINITY, f64::min);
            ((low.floor() - 1.0).max(0.0) as usize).min(last[axis])
        });
        let end = from_fn(|axis| {
            let high = places.iter().map(|place| place[axis]).fold(f64::NEG_INFINITY, f64::max);
            ((high.ceil() + 2.0).max(0.0) as usize).min(self.output_sizes[axis])
        });
        Region::between(start, end)
    }
}

fn centre(sizes: [usize; 3]) -> [f64; 3] {
    sizes.map(|size| (size - 1) as f64 / 2.0)
}

/// The eight corners of a box.
fn corners(low: [usize; 3], high: [usize; 3]) -> [[usize; 3]; 8] {
    from_fn(|corner| from_fn(|axis| if corner >> axis & 1 == 1 { high[axis] } else { low[axis] }))
}

/// The value between the eight neighbours that `taps` name.
fn trilinear(image: &ArrayView3<'_, f32>, [d, h, w]: &[Tap; 3]) -> f32 {
    let row = |d: usize, h: usize| w.between(image[[d, h, w.lower]], image[[d, h, w.upper]]);
    let plane = |d: usize| h.between(row(d, h.lower), row(d, h.upper));
    d.between(plane(d.lower), plane(d.upper))
}

/// The turns about D, H and W, multiplied.
fn matrix(radians: [f64; 3]) -> [[f64; 3]; 3] {
    let [(sin_d, cos_d), (sin_h, cos_h), (sin_w, cos_w)] = radians.map(f64::sin_cos);
    let about_d = [[1.0, 0.0, 0.0], [0.0, cos_d, -sin_d], [0.0, sin_d, cos_d]];
    let about_h = [[cos_h, 0.0, sin_h], [0.0, 1.0, 0.0], [-sin_h, 0.0, cos_h]];
    let about_w = [[cos_w, -sin_w, 0.0], [sin_w, cos_w, 0.0], [0.0, 0.0, 1.0]];
    product(product(about_d, about_h), about_w)
}

fn product(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    from_fn(|row| from_fn(|column| (0..3).map(|inner| a[row][inner] * b[inner][column]).sum()))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use proptest::prelude::*;

    use super::*;

    fn numbered(sizes: [usize; 3]) -> Array3<f32> {
        let mut next = 0.0;
        Array3::from_shape_simple_fn(sizes, || {
            next += 1.0;
            next
        })
    }

    fn assert_close(found: &Array3<f32>, expected: &Array3<f32>) {
        assert_eq!(found.dim(), expected.dim());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn about_depth_it_is_the_rotation_in_the_plane() {
        let image = numbered([3, 7, 5]);
        for degrees in [0.0f64, 12.0, -30.0, 90.0] {
            let radians = degrees.to_radians();
            let plane = rotate_about_depth(image.view(), radians);
            assert_close(&rotate(image.view(), [radians, 0.0, 0.0]), &plane);
        }
    }

    #[test]
    fn a_quarter_turn_about_each_axis_is_a_permutation() {
        let image = numbered([2, 3, 4]);
        let mut about_height = image.clone().permuted_axes([2, 1, 0]);
        about_height.invert_axis(ndarray::Axis(0));
        assert_close(&rotate(image.view(), [0.0, FRAC_PI_2, 0.0]), &about_height);
        let mut about_width = image.clone().permuted_axes([1, 0, 2]);
        about_width.invert_axis(ndarray::Axis(1));
        assert_close(&rotate(image.view(), [0.0, 0.0, FRAC_PI_2]), &about_width);
    }

    #[test]
    fn the_grid_holds_every_corner() {
        let image = Array3::from_elem([9, 9, 9], 1.0f32);
        let turned = rotate(image.view(), [0.5, -0.4, 0.3]);
        assert!(turned.shape().iter().all(|side| *side > 9), "{:?}", turned.shape());
    }

    proptest! {
        /// A part of the output is that of the whole, and what reads a part of the input lies where it should.
        #[test]
        fn parts_are_parts_of_the_whole(
            sizes in proptest::array::uniform3(1usize..12),
            radians in proptest::array::uniform3(-3.2..3.2f64),
            corner in proptest::array::uniform3(0.0..1.0f64),
            part in proptest::array::uniform3(0.0..1.0f64),
        ) {
            let within = |sizes: [usize; 3]| {
                let start = from_fn(|axis| (corner[axis] * sizes[axis] as f64) as usize);
                let room: [usize; 3] = from_fn(|axis| sizes[axis] - start[axis]);
                Region { start, sizes: from_fn(|axis| 1 + (part[axis] * (room[axis] - 1) as f64) as usize) }
            };
            let image = numbered(sizes);
            let step = FreeRotation::new(sizes, radians);
            let whole = rotate(image.view(), radians);
            let cut = |array: &Array3<f32>, region: Region| {
                array.slice(ndarray::s![region.range(0), region.range(1), region.range(2)]).to_owned()
            };
            let output = within(step.output_sizes());
            prop_assert_eq!(step.apply(&cut(&image, step.input_of(output)), output), cut(&whole, output));
            let input = within(sizes);
            let mut lit = Array3::zeros(sizes);
            lit.slice_mut(ndarray::s![input.range(0), input.range(1), input.range(2)]).fill(1.0);
            let reached = step.output_of(input);
            for ((d, h, w), value) in rotate(lit.view(), radians).indexed_iter() {
                let inside = [d, h, w].iter().enumerate().all(|(axis, at)| reached.range(axis).contains(at));
                prop_assert!(inside || *value == 0.0, "{:?} reads {:?}", [d, h, w], input);
            }
        }
    }
}
