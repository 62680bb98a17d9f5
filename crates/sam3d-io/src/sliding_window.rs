//! Whole volumes by overlapping windows, for networks that need no click.
//!
//! Windows start at multiples of `floor(side * (1 - overlap))`; the last along an axis is pulled back to the border. A
//! volume smaller than the window is padded with zeros on both sides, the odd voxel at the end. What the network says of
//! a voxel is the weighted mean over the windows that hold it. What is blended (logits, a difference of logits, or a
//! probability) is the caller's choice: the two are not the same.

use std::{collections::VecDeque, ops::Range};

use ndarray::{Array2, Array3, ArrayView3, Axis, Zip, s};
use serde::{Deserialize, Serialize};

use crate::{IoError, orient::check_shape};

/// Width of the Gaussian over the window's side.
const SIGMA: f64 = 0.125;
/// Smallest weight, so that a voxel that only corners of windows hold keeps what they say.
const SMALLEST_WEIGHT: f64 = 1e-3;

/// How much a voxel of a window counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// The same everywhere.
    Constant,
    /// `exp(-x^2 / (2 sigma^2))` along each axis with x from the window's centre and sigma an eighth of its side,
    /// multiplied, and at least 1e-3.
    #[default]
    Gaussian,
}

/// Windows of one size over volumes of any size. All triples are `[D, H, W]`.
#[derive(Debug, Clone)]
pub struct SlidingWindow {
    sides: [usize; 3],
    overlap: f64,
    weights: Array3<f32>,
}

impl SlidingWindow {
    /// Windows of `sides` voxels that share `overlap` (0 to below 1) of their side with the next one.
    ///
    /// # Errors
    /// [`IoError::WindowInvalid`] if a side is 0 or the overlap is out of range.
    pub fn new(sides: [usize; 3], overlap: f64, weighting: Weighting) -> Result<Self, IoError> {
        if sides.contains(&0) {
            let reason = format!("sides are {sides:?}, expected at least 1 voxel each");
            return Err(IoError::WindowInvalid { reason });
        }
        if !(0.0..1.0).contains(&overlap) {
            let reason = format!("overlap is {overlap}, expected from 0 to below 1");
            return Err(IoError::WindowInvalid { reason });
        }
        Ok(Self { sides, overlap, weights: weights(sides, weighting) })
    }

    /// The number of windows on a volume of `sizes` voxels.
    pub fn count(&self, sizes: [usize; 3]) -> usize {
        (0..3).map(|axis| self.starts(axis, sizes[axis]).len()).product()
    }

    /// The blend of what `predict` gives for every window of `volume`, which it is handed one by one in C order of their
    /// places. `progress` is told the number of windows done and of all.
    ///
    /// Besides the result, memory holds the weights of one row of windows: `window depth * H * W` floats.
    ///
    /// # Shapes
    /// `volume` and the result are `[D, H, W]`; what `predict` returns has the window's shape.
    ///
    /// # Errors
    /// What `predict` returns; [`IoError::ShapeMismatch`] if its result has another shape.
    pub fn blend<E: From<IoError>>(
        &self,
        volume: ArrayView3<'_, f32>,
        predict: &mut dyn FnMut(Array3<f32>) -> Result<Array3<f32>, E>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Array3<f32>, E> {
        let sizes: [usize; 3] = volume.dim().into();
        let [depths, rows, columns] = [0, 1, 2].map(|axis| self.starts(axis, sizes[axis]));
        let all = depths.len() * rows.len() * columns.len();
        let mut sums = Array3::zeros(sizes);
        // Weights of the slices from `first` on; slices before it are done.
        let (mut pending, mut first) = (VecDeque::<Array2<f32>>::new(), 0);
        progress(0, all);
        for (number, &d) in depths.iter().enumerate() {
            for (row, &h) in rows.iter().enumerate() {
                for (column, &w) in columns.iter().enumerate() {
                    let place = self.place([d, h, w], sizes);
                    let found = predict(self.window(volume, &place))?;
                    check_shape(self.sides, found.dim().into())?;
                    while first + pending.len() < place.volume[0].end {
                        pending.push_back(Array2::zeros((sizes[1], sizes[2])));
                    }
                    self.add(&found, &place, &mut sums, &mut pending, first);
                    progress((number * rows.len() + row) * columns.len() + column + 1, all);
                }
            }
            let next = depths
                .get(number + 1)
                .map_or(sizes[0], |next| self.place([*next, 0, 0], sizes).volume[0].start);
            while first < next {
                let Some(weights) = pending.pop_front() else { break };
                let slice = sums.index_axis_mut(Axis(0), first);
                Zip::from(slice).and(&weights).for_each(|sum, weight| *sum /= weight);
                first += 1;
            }
        }
        Ok(sums)
    }

    /// First voxels of the windows along `axis` of a volume padded to at least one window.
    fn starts(&self, axis: usize, size: usize) -> Vec<usize> {
        let side = self.sides[axis];
        let last = size.max(side) - side;
        let step = ((side as f64 * (1.0 - self.overlap)) as usize).max(1);
        (0..last.div_ceil(step)).map(|n| n * step).chain([last]).collect()
    }

    fn place(&self, start: [usize; 3], sizes: [usize; 3]) -> WindowOverlap {
        let along = |axis: usize| {
            let (side, size) = (self.sides[axis], sizes[axis]);
            let padding = side.saturating_sub(size) / 2;
            let length = side.min(size);
            // A padded axis has one window, which starts at 0.
            (start[axis]..start[axis] + length, padding..padding + length)
        };
        let axes = [along(0), along(1), along(2)];
        let volume = axes.each_ref().map(|axis| axis.0.clone());
        WindowOverlap { volume, window: axes.map(|axis| axis.1) }
    }

    fn window(&self, volume: ArrayView3<'_, f32>, place: &WindowOverlap) -> Array3<f32> {
        let mut window = Array3::zeros(self.sides);
        let [d, h, w] = place.window.clone();
        let [vd, vh, vw] = place.volume.clone();
        window.slice_mut(s![d, h, w]).assign(&volume.slice(s![vd, vh, vw]));
        window
    }

    /// Adds a weighted prediction to the sums, and its weights to those of its slices.
    fn add(
        &self,
        found: &Array3<f32>,
        place: &WindowOverlap,
        sums: &mut Array3<f32>,
        pending: &mut VecDeque<Array2<f32>>,
        first: usize,
    ) {
        let [wd, wh, ww] = place.window.clone();
        let [vd, vh, vw] = place.volume.clone();
        let weights = self.weights.slice(s![wd.clone(), wh.clone(), ww.clone()]);
        Zip::from(sums.slice_mut(s![vd.clone(), vh.clone(), vw.clone()]))
            .and(found.slice(s![wd, wh, ww]))
            .and(weights)
            .for_each(|sum, value, weight| *sum += value * weight);
        for (slice, weights) in pending.iter_mut().skip(vd.start - first).zip(weights.outer_iter()) {
            let mut covered = slice.slice_mut(s![vh.clone(), vw.clone()]);
            covered += &weights;
        }
    }
}

/// The voxels of the volume that a window holds, and where they stand in the window.
struct WindowOverlap {
    volume: [Range<usize>; 3],
    window: [Range<usize>; 3],
}

/// The weights of a window's voxels.
pub fn weights(sides: [usize; 3], weighting: Weighting) -> Array3<f32> {
    if weighting == Weighting::Constant {
        return Array3::ones(sides);
    }
    let axes = sides.map(|side| {
        let (centre, sigma) = ((side - 1) as f64 / 2.0, SIGMA * side as f64);
        (0..side).map(|i| (-(i as f64 - centre).powi(2) / (2.0 * sigma * sigma)).exp()).collect::<Vec<f64>>()
    });
    Array3::from_shape_fn(sides, |(d, h, w)| {
        (axes[0][d] * axes[1][h] * axes[2][w]).max(SMALLEST_WEIGHT) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(sides: [usize; 3], overlap: f64, weighting: Weighting) -> SlidingWindow {
        SlidingWindow::new(sides, overlap, weighting).unwrap()
    }

    fn numbered(sizes: [usize; 3]) -> Array3<f32> {
        let mut next = 0.0;
        Array3::from_shape_simple_fn(sizes, || {
            next += 1.0;
            next
        })
    }

    /// What the definition says, with both sums in memory and every window cut from a padded copy.
    fn plain(
        sliding: &SlidingWindow,
        volume: &Array3<f32>,
        predict: impl Fn(&Array3<f32>) -> Array3<f32>,
    ) -> Array3<f32> {
        let sizes: [usize; 3] = volume.dim().into();
        let sides = sliding.sides;
        let padded: [usize; 3] = std::array::from_fn(|a| sizes[a].max(sides[a]));
        let before: [usize; 3] = std::array::from_fn(|a| (padded[a] - sizes[a]) / 2);
        let inner = |array: &Array3<f32>| {
            let [d, h, w] = std::array::from_fn(|a| before[a]..before[a] + sizes[a]);
            array.slice(s![d, h, w]).to_owned()
        };
        let mut whole = Array3::zeros(padded);
        let [d, h, w] = std::array::from_fn(|a| before[a]..before[a] + sizes[a]);
        whole.slice_mut(s![d, h, w]).assign(volume);
        let (mut sum, mut count) = (Array3::<f32>::zeros(padded), Array3::<f32>::zeros(padded));
        for d in sliding.starts(0, sizes[0]) {
            for h in sliding.starts(1, sizes[1]) {
                for w in sliding.starts(2, sizes[2]) {
                    let here = s![d..d + sides[0], h..h + sides[1], w..w + sides[2]];
                    let found = predict(&whole.slice(here).to_owned());
                    let mut target = sum.slice_mut(here);
                    target += &(found * &sliding.weights);
                    let mut target = count.slice_mut(here);
                    target += &sliding.weights;
                }
            }
        }
        inner(&(sum / count))
    }

    #[test]
    fn starts_are_multiples_of_the_step_and_the_last_is_pulled_back() {
        let half = windows([64; 3], 0.5, Weighting::Gaussian);
        assert_eq!(half.starts(0, 80), [0, 16]);
        assert_eq!(half.starts(0, 96), [0, 32]);
        assert_eq!(half.starts(0, 97), [0, 32, 33]);
        assert_eq!(half.starts(0, 64), [0]);
        assert_eq!(half.starts(0, 10), [0]);
        // The comparison networks' overlap: floor(160 * 0.3) = 48, floor(64 * 0.3) = 19.
        let most = windows([64, 160, 160], 0.7, Weighting::Constant);
        assert_eq!(most.starts(1, 300), [0, 48, 96, 140]);
        assert_eq!(most.starts(0, 100), [0, 19, 36]);
        assert_eq!(most.count([100, 300, 160]), 12);
    }

    #[test]
    fn a_prediction_that_does_not_depend_on_the_window_comes_back() {
        for weighting in [Weighting::Constant, Weighting::Gaussian] {
            for sizes in [[9, 8, 7], [3, 4, 11], [1, 1, 1]] {
                let volume = numbered(sizes);
                let sliding = windows([4, 5, 6], 0.5, weighting);
                let mut calls = Vec::new();
                let doubled = sliding
                    .blend::<IoError>(volume.view(), &mut |window| Ok(&window * -2.0), &mut |done, all| {
                        calls.push((done, all))
                    })
                    .unwrap();
                let count = sliding.count(sizes);
                assert_eq!(calls, (0..=count).map(|done| (done, count)).collect::<Vec<_>>());
                let largest = Zip::from(&doubled)
                    .and(&(&volume * -2.0))
                    .fold(0f32, |largest, a, b| largest.max((a - b).abs() / b.abs()));
                assert!(largest < 1e-5, "{weighting:?} {sizes:?}: {largest}");
            }
        }
    }

    #[test]
    fn equals_the_definition_for_predictions_that_depend_on_the_window() {
        let predict = |window: &Array3<f32>| {
            let sum = window.sum();
            Array3::from_shape_fn(window.dim(), |(d, h, w)| {
                (sum * 1e-3 + (3 * d + 5 * h + 7 * w) as f32).sin()
            })
        };
        for (overlap, weighting) in
            [(0.0, Weighting::Constant), (0.7, Weighting::Constant), (0.5, Weighting::Gaussian)]
        {
            for sizes in [[17, 12, 9], [2, 13, 6], [5, 3, 4]] {
                let (volume, sliding) = (numbered(sizes), windows([6, 5, 4], overlap, weighting));
                let found = sliding
                    .blend::<IoError>(volume.view(), &mut |window| Ok(predict(&window)), &mut |_, _| {})
                    .unwrap();
                let expected = plain(&sliding, &volume, predict);
                let largest =
                    Zip::from(&found).and(&expected).fold(0f32, |largest, a, b| largest.max((a - b).abs()));
                assert!(largest < 1e-5, "{sizes:?}, overlap {overlap}: {largest}");
            }
        }
    }

    #[test]
    fn gaussian_weights_by_hand() {
        let found = weights([8, 8, 8], Weighting::Gaussian);
        // sigma is 1; the middle voxels are half a voxel from the centre, the corners beyond the smallest weight.
        assert!((f64::from(found[[3, 4, 3]]) - (-0.375f64).exp()).abs() < 1e-6);
        assert_eq!(found[[0, 0, 0]], 1e-3);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(SlidingWindow::new([4, 0, 4], 0.5, Weighting::Constant).is_err());
        for overlap in [1.0, -0.1, f64::NAN] {
            let error = SlidingWindow::new([4; 3], overlap, Weighting::Constant).unwrap_err();
            assert!(error.to_string().contains("overlap is"), "{error}");
        }
        let sliding = windows([4; 3], 0.5, Weighting::Constant);
        let wrong = sliding.blend::<IoError>(
            Array3::zeros([4; 3]).view(),
            &mut |_| Ok(Array3::zeros((4, 4, 3))),
            &mut |_, _| {},
        );
        assert!(matches!(wrong, Err(IoError::ShapeMismatch { .. })));
    }
}
