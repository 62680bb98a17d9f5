//! Targets larger than the crop: further crops where the mask reaches the border of the crops so far.
//!
//! The first crop lies around the clicks. While the connected component of the mask that contains a click touches voxels that
//! no crop has covered, another crop is added there, centred on the middle of the largest contact, so that half of it was seen
//! before. Its prompts are the clicks inside it and one more: the voxel of the mask in the crop's middle half with the highest
//! probability so far. Where crops overlap, probabilities are averaged with the Gaussian weights of sliding windows.

use ndarray::{Array3, Zip, s};
use sam3d_geom::{Extent, Point, PointLabel};
use sam3d_io::{
    crop::CropWindow,
    sliding_window::{Weighting, weights},
};
use serde::{Deserialize, Serialize};

use crate::{Answer, InferError, placement::Placement};

/// Limits of growing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrowLimits {
    /// Maximum number of crops, including the first.
    pub crops: usize,
    /// Probability above which a voxel belongs to the mask.
    pub threshold: f64,
}

impl GrowLimits {
    /// The first crop only.
    pub const ONE_CROP: Self = Self { crops: 1, threshold: 0.5 };
}

/// A mask that was followed beyond its crop.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The blended probability.
    pub answer: Answer,
    /// The crops in the order in which they were added.
    pub crops: Vec<CropWindow>,
    /// Whether the mask still reaches uncovered voxels: the limit on crops stopped it.
    pub is_cut_off: bool,
}

/// Predicts the crop of `first`, and further ones while the mask reaches uncovered voxels.
///
/// `predict` returns the probability of a crop, `[side, side, side]`; `progress` receives the number of finished crops.
///
/// # Errors
/// Those of `predict`, and [`InferError::Io`] if its result does not have the crop's side.
pub fn grow(
    extent: Extent,
    first: Placement,
    clicks: &[Point],
    limits: GrowLimits,
    predict: &mut dyn FnMut(&Placement) -> Result<Array3<f32>, InferError>,
    progress: &mut dyn FnMut(usize),
) -> Result<Growth, InferError> {
    let side = first.window.side();
    let mut blended = BlendedCrops::new(extent, side, limits.threshold);
    let mut placement = first;
    let mut crops = Vec::new();
    loop {
        let found = predict(&placement)?;
        blended.add(placement.window, &found)?;
        crops.push(placement.window);
        progress(crops.len());
        let contact = blended.contact(clicks);
        if let (Some(contact), true) = (contact, crops.len() < limits.crops) {
            let window = CropWindow::around(contact.map(|i| i as i64), side);
            placement = blended.placement(window, clicks);
            continue;
        }
        let answer = if crops.len() == 1 {
            // The same, bit for bit, as without growing.
            Answer::of_crop(placement.window, found.view(), extent)?
        } else {
            blended.answer()
        };
        return Ok(Growth { answer, crops, is_cut_off: contact.is_some() });
    }
}

/// The weighted probabilities of all crops so far, in the box around them.
struct BlendedCrops {
    extent: Extent,
    /// First voxel of the box.
    start: [usize; 3],
    sums: Array3<f32>,
    weights: Array3<f32>,
    of_crop: Array3<f32>,
    threshold: f64,
}

impl BlendedCrops {
    fn new(extent: Extent, side: usize, threshold: f64) -> Self {
        let of_crop = weights([side; 3], Weighting::Gaussian);
        let nothing = || Array3::zeros([0; 3]);
        Self { extent, start: [0; 3], sums: nothing(), weights: nothing(), of_crop, threshold }
    }

    fn add(&mut self, window: CropWindow, probability: &Array3<f32>) -> Result<(), InferError> {
        let (start, inside) = window.part_inside(probability.view(), self.extent)?;
        let (_, weights) = window.part_inside(self.of_crop.view(), self.extent)?;
        let weights = weights.to_owned();
        let sizes: [usize; 3] = inside.dim().into();
        self.make_room(start, sizes);
        let [d, h, w] = std::array::from_fn(|axis| {
            let from = start[axis] - self.start[axis];
            from..from + sizes[axis]
        });
        let mut sums = self.sums.slice_mut(s![d.clone(), h.clone(), w.clone()]);
        sums += &(&inside * &weights);
        let mut covered = self.weights.slice_mut(s![d, h, w]);
        covered += &weights;
        Ok(())
    }

    /// Enlarges the box to include `sizes` voxels from `start`.
    fn make_room(&mut self, start: [usize; 3], sizes: [usize; 3]) {
        let end: [usize; 3] = std::array::from_fn(|axis| start[axis] + sizes[axis]);
        let old: [usize; 3] = self.sums.dim().into();
        if old.contains(&0) {
            (self.start, self.sums, self.weights) = (start, Array3::zeros(sizes), Array3::zeros(sizes));
            return;
        }
        let low: [usize; 3] = std::array::from_fn(|axis| start[axis].min(self.start[axis]));
        let high: [usize; 3] = std::array::from_fn(|axis| end[axis].max(self.start[axis] + old[axis]));
        let new: [usize; 3] = std::array::from_fn(|axis| high[axis] - low[axis]);
        if new == old {
            return;
        }
        let [d, h, w] = std::array::from_fn(|axis| {
            let from = self.start[axis] - low[axis];
            from..from + old[axis]
        });
        for array in [&mut self.sums, &mut self.weights] {
            let mut larger = Array3::zeros(new);
            larger.slice_mut(s![d.clone(), h.clone(), w.clone()]).assign(array);
            *array = larger;
        }
        self.start = low;
    }

    /// Index in the box of a voxel of the volume; `None` outside.
    fn local(&self, index: [usize; 3]) -> Option<[usize; 3]> {
        let mut local = [0; 3];
        for axis in 0..3 {
            local[axis] = index[axis].checked_sub(self.start[axis])?;
            if local[axis] >= self.sums.shape()[axis] {
                return None;
            }
        }
        Some(local)
    }

    /// The probability of a voxel; `None` if no crop covers it.
    fn at(&self, index: [usize; 3]) -> Option<f64> {
        let local = self.local(index)?;
        let weight = self.weights[local];
        (weight > 0.0).then(|| f64::from(self.sums[local]) / f64::from(weight))
    }

    fn answer(self) -> Answer {
        let mut probability = self.sums;
        Zip::from(&mut probability).and(&self.weights).for_each(|p, weight| {
            if *weight > 0.0 {
                *p /= weight;
            }
        });
        Answer::new(self.start, probability)
    }

    fn is_mask(&self, index: [usize; 3]) -> bool {
        self.at(index).is_some_and(|p| p > self.threshold)
    }

    /// The middle of the largest contact between the clicked component of the mask and uncovered voxels: in one of the six
    /// directions, the voxel of the mask nearest to the mean of those with an uncovered neighbour.
    fn contact(&self, clicks: &[Point]) -> Option<[usize; 3]> {
        let part = self.clicked_part(clicks);
        let touching = |direction: [i64; 3]| -> Vec<[usize; 3]> {
            part.iter()
                .copied()
                .filter(|index| self.neighbour(*index, direction).is_some_and(|at| self.at(at).is_none()))
                .collect()
        };
        // The first of several equally large ones, for a deterministic result.
        let largest = DIRECTIONS.map(touching).into_iter().rev().max_by_key(Vec::len)?;
        let count = largest.len() as f64;
        let mean: [f64; 3] =
            std::array::from_fn(|axis| largest.iter().map(|index| index[axis] as f64).sum::<f64>() / count);
        let distance =
            |index: &[usize; 3]| (0..3).map(|axis| (index[axis] as f64 - mean[axis]).powi(2)).sum::<f64>();
        largest.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    fn neighbour(&self, index: [usize; 3], direction: [i64; 3]) -> Option<[usize; 3]> {
        let mut moved = [0; 3];
        for axis in 0..3 {
            moved[axis] = usize::try_from(index[axis] as i64 + direction[axis]).ok()?;
        }
        self.extent.contains(moved).then_some(moved)
    }

    /// The voxels of the mask that are face-connected to a positive click, in C order.
    fn clicked_part(&self, clicks: &[Point]) -> Vec<[usize; 3]> {
        let mut reached = Array3::from_elem(self.sums.dim(), false);
        let mut reach = |index: [usize; 3]| {
            let Some(local) = self.local(index).filter(|_| self.is_mask(index)) else { return false };
            !std::mem::replace(&mut reached[local], true)
        };
        let positive = clicks.iter().filter(|click| click.label == PointLabel::Positive);
        let mut waiting: Vec<[usize; 3]> =
            positive.map(|click| click.index).filter(|index| reach(*index)).collect();
        let mut part = Vec::new();
        while let Some(index) = waiting.pop() {
            part.push(index);
            let neighbours = DIRECTIONS.into_iter().filter_map(|direction| self.neighbour(index, direction));
            waiting.extend(neighbours.filter(|at| reach(*at)));
        }
        part.sort_unstable();
        part
    }

    /// The crop `window` with the clicks in it and one on the most probable voxel of the mask in its middle half.
    fn placement(&self, window: CropWindow, clicks: &[Point]) -> Placement {
        let side = window.side();
        let mut placement = Placement::of(clicks, window);
        let middle = CropWindow::new(window.start().map(|s| s + side as i64 / 4), side.div_ceil(2));
        let mut most_probable: Option<([usize; 3], f64)> = None;
        for (index, p) in self.inside(middle) {
            if most_probable.is_none_or(|(_, highest)| p > highest) {
                most_probable = Some((index, p));
            }
        }
        if let Some(index) = most_probable.and_then(|(index, _)| window.crop_from_volume(index)) {
            placement.clicks.push(Point::positive(index));
        }
        placement
    }

    /// The voxels of the mask in `window` and their probabilities, in C order.
    fn inside(&self, window: CropWindow) -> impl Iterator<Item = ([usize; 3], f64)> {
        let range = |axis: usize| {
            let (start, size) = (window.start()[axis], self.extent.sizes()[axis] as i64);
            let end = (start + window.side() as i64).clamp(0, size);
            start.clamp(0, size) as usize..end as usize
        };
        let [d, h, w] = [range(0), range(1), range(2)];
        d.flat_map(move |d| {
            let (h, w) = (h.clone(), w.clone());
            h.flat_map(move |h| w.clone().map(move |w| [d, h, w]))
        })
        .filter_map(|index| Some((index, self.at(index)?)))
        .filter(|(_, p)| *p > self.threshold)
    }
}

/// The six neighbours of a voxel.
const DIRECTIONS: [[i64; 3]; 6] = [[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{deciding_box, window};

    /// A predictor that returns the ground truth inside each crop.
    fn oracle(truth: &Array3<u8>) -> impl FnMut(&Placement) -> Result<Array3<f32>, InferError> {
        |placement| Ok(placement.window.extract(truth.view(), 0).mapv(|value| 0.9 * f32::from(value)))
    }

    fn first_crop(clicks: &[Point]) -> Placement {
        Placement::of(clicks, window(None, deciding_box(clicks).unwrap(), 16))
    }

    fn tube(sizes: [usize; 3], inside: impl Fn([usize; 3]) -> bool) -> Array3<u8> {
        Array3::from_shape_fn(sizes, |(d, h, w)| u8::from(inside([d, h, w])))
    }

    fn grown(truth: &Array3<u8>, click: [usize; 3], crops: usize) -> (Growth, Vec<usize>) {
        let extent = Extent::new(truth.dim().into()).unwrap();
        let clicks = [Point::positive(click)];
        let mut calls = Vec::new();
        let first = first_crop(&clicks);
        let limits = GrowLimits { crops, threshold: 0.5 };
        let grown =
            grow(extent, first, &clicks, limits, &mut oracle(truth), &mut |done| calls.push(done)).unwrap();
        (grown, calls)
    }

    /// The mask in a volume of the truth's size.
    fn mask(grown: &Growth, truth: &Array3<u8>) -> Array3<u8> {
        Array3::from_shape_fn(truth.dim(), |(d, h, w)| u8::from(grown.answer.at([d, h, w]) > 0.5))
    }

    #[test]
    fn a_target_within_the_crop_takes_one_crop() {
        let truth = tube([40, 40, 40], |i| i.iter().all(|n| (15..25).contains(n)));
        let (grown, calls) = grown(&truth, [20, 20, 20], 30);
        assert_eq!((grown.crops.len(), grown.is_cut_off, calls), (1, false, vec![1]));
        assert_eq!(mask(&grown, &truth), truth);
    }

    #[test]
    fn a_long_bent_target_is_followed_to_both_ends() {
        // Along D through the whole volume, and at its end along W.
        let truth = tube([60, 24, 50], |[d, h, w]| {
            (9..14).contains(&h) && ((8..13).contains(&w) || (d > 50 && (8..45).contains(&w)))
        });
        let (grown, calls) = grown(&truth, [30, 11, 10], 30);
        assert!(!grown.is_cut_off, "{} crops", grown.crops.len());
        assert_eq!(calls.len(), grown.crops.len());
        assert_eq!(mask(&grown, &truth), truth);
        assert!((4..20).contains(&grown.crops.len()), "{} crops", grown.crops.len());
    }

    #[test]
    fn a_component_without_a_click_is_not_followed() {
        // A second structure leaves the first crop beside the clicked one.
        let truth = tube([50, 20, 20], |[d, h, w]| {
            ((20..28).contains(&d) && (8..12).contains(&h) && (8..12).contains(&w)) || (h == 15 && w == 10)
        });
        let (grown, _) = grown(&truth, [24, 10, 10], 30);
        assert_eq!((grown.crops.len(), grown.is_cut_off), (1, false));
    }

    #[test]
    fn the_limit_on_crops_is_reported() {
        let truth = tube([200, 20, 20], |[_, h, w]| (8..12).contains(&h) && (8..12).contains(&w));
        let (grown, calls) = grown(&truth, [100, 10, 10], 3);
        assert_eq!((grown.crops.len(), grown.is_cut_off, calls), (3, true, vec![1, 2, 3]));
    }

    #[test]
    fn a_click_outside_the_mask_grows_nothing() {
        let truth = tube([40, 20, 20], |[_, h, w]| h == 15 && w == 10);
        let (grown, _) = grown(&truth, [20, 10, 10], 30);
        assert_eq!((grown.crops.len(), grown.is_cut_off), (1, false));
    }

    #[test]
    fn a_further_crop_is_prompted_where_the_mask_is_most_probable() {
        let truth = tube([60, 20, 20], |[_, h, w]| (6..14).contains(&h) && (6..14).contains(&w));
        let extent = Extent::new([60, 20, 20]).unwrap();
        let clicks = [Point::positive([30, 10, 10])];
        let mut prompts = Vec::new();
        let mut predict = |placement: &Placement| {
            prompts.push(placement.clone());
            // Most probable at (h, w) = (9, 11).
            let start = placement.window.start();
            let found = placement.window.extract(truth.view(), 0);
            Ok(Array3::from_shape_fn(found.dim(), |(d, h, w)| {
                let at = [h as i64 + start[1], w as i64 + start[2]];
                f32::from(found[[d, h, w]]) * if at == [9, 11] { 0.99 } else { 0.8 }
            }))
        };
        let first = first_crop(&clicks);
        let limits = GrowLimits { crops: 2, threshold: 0.5 };
        grow(extent, first, &clicks, limits, &mut predict, &mut |_| {}).unwrap();
        let second = &prompts[1];
        // The first crop ends at 21, where the mask goes on.
        assert_eq!(second.window.start()[0] + 8, 22);
        let added = second.clicks.last().unwrap().index;
        let volume = second.window.volume_from_crop(added);
        assert_eq!([volume[1], volume[2]], [9, 11]);
        assert!(volume[0] >= 22, "in what was seen: {volume:?}");
    }
}
