//! The baseline any click-based method must beat: a ball of fixed radius around the click.

use std::ops::Range;

use ndarray::{ArrayView3, s};
use sam3d_geom::Spacing;
use serde::{Deserialize, Serialize};

/// Radii tried, in mm: 1, 2, ... 60.
pub const RADII_MM: std::ops::RangeInclusive<usize> = 1..=60;

/// The Dice of balls of every radius of [`RADII_MM`] around one centre.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BallDice(Vec<f64>);

/// The radius that is best on average over cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestBall {
    /// Its radius in mm.
    pub radius_mm: usize,
    /// Its mean Dice over cases.
    pub mean_dice: f64,
}

impl BallDice {
    /// Balls around `centre` (fractional voxel, `[D, H, W]`) against `truth` `[D, H, W]` on a grid of `spacing`.
    pub fn around(centre: [f64; 3], truth: ArrayView3<'_, u8>, spacing: Spacing) -> Self {
        let mm = spacing.mm();
        let bins = *RADII_MM.end();
        let (mut ball, mut overlap) = (vec![0u64; bins + 1], vec![0u64; bins + 1]);
        let target = truth.iter().filter(|value| **value != 0).count() as u64;
        // Voxels beyond the largest ball need not be looked at.
        let sizes: [usize; 3] = truth.dim().into();
        let reach: [Range<usize>; 3] = std::array::from_fn(|axis| {
            let voxels = bins as f64 / mm[axis];
            // The casts clamp what lies before the volume to 0.
            let first = ((centre[axis] - voxels).floor() as usize).min(sizes[axis]);
            let end = ((centre[axis] + voxels).ceil() as usize).saturating_add(1).min(sizes[axis]);
            first..end.max(first)
        });
        let [d, h, w] = reach.clone();
        for ((d, h, w), value) in truth.slice(s![d, h, w]).indexed_iter() {
            let offset = [d, h, w];
            let along = |axis: usize| ((reach[axis].start + offset[axis]) as f64 - centre[axis]) * mm[axis];
            let squared: f64 = (0..3).map(|axis| along(axis).powi(2)).sum();
            // The smallest radius whose ball holds the voxel.
            let bin = squared.sqrt().ceil() as usize;
            if bin <= bins {
                ball[bin] += 1;
                overlap[bin] += u64::from(*value != 0);
            }
        }
        let cumulative = |counts: &[u64]| -> Vec<u64> {
            counts
                .iter()
                .scan(0, |sum, count| {
                    *sum += count;
                    Some(*sum)
                })
                .collect()
        };
        let (ball, overlap) = (cumulative(&ball), cumulative(&overlap));
        Self(RADII_MM.map(|r| 2.0 * overlap[r] as f64 / (ball[r] + target).max(1) as f64).collect())
    }

    /// The one radius with the highest mean Dice over `cases`; `None` without cases. It is chosen on the very cases it
    /// is scored on: no fixed radius does better.
    pub fn best(cases: &[Self]) -> Option<BestBall> {
        RADII_MM
            .enumerate()
            .map(|(index, radius_mm)| {
                let sum: f64 = cases.iter().map(|case| case.0[index]).sum();
                BestBall { radius_mm, mean_dice: sum / cases.len() as f64 }
            })
            .filter(|ball| ball.mean_dice.is_finite())
            .max_by(|a, b| a.mean_dice.total_cmp(&b.mean_dice))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn finds_the_radius_of_a_ball() {
        let spacing = Spacing::new([2.0, 1.0, 1.0]).unwrap();
        let truth = Array3::from_shape_fn([20, 40, 40], |(d, h, w)| {
            let squared =
                (d as f64 - 9.0).powi(2) * 4.0 + (h as f64 - 20.0).powi(2) + (w as f64 - 18.0).powi(2);
            u8::from(squared <= 144.0)
        });
        let dice = BallDice::around([9.0, 20.0, 18.0], truth.view(), spacing);
        assert_eq!(BallDice::best(&[dice]), Some(BestBall { radius_mm: 12, mean_dice: 1.0 }));
        assert_eq!(BallDice::best(&[]), None);
        // Of a truth that reaches beyond the largest ball, the voxels there count as missed.
        let full = Array3::ones([1, 1, 200]);
        let dice = BallDice::around([0.0, 0.0, 99.5], full.view(), Spacing::new([1.0; 3]).unwrap());
        let best = BallDice::best(&[dice]).unwrap();
        assert_eq!((best.radius_mm, best.mean_dice), (60, 2.0 * 120.0 / (120.0 + 200.0)));
    }
}
