//! The baseline any click-based method must beat: a ball of fixed radius around the click.

use ndarray::ArrayView3;
use sam3d_geom::Spacing;
use serde::{Deserialize, Serialize};

/// Radii tried, in mm: 1, 2, ... 60.
pub const RADII_MM: std::ops::RangeInclusive<usize> = 1..=60;

/// The Dice of balls of every radius of [`RADII_MM`] around one centre.
#[derive(Debug, Clone, PartialEq)]
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
        let spacing = spacing.mm();
        let bins = *RADII_MM.end();
        let (mut ball, mut overlap) = (vec![0u64; bins + 1], vec![0u64; bins + 1]);
        let mut target = 0u64;
        for ((d, h, w), value) in truth.indexed_iter() {
            let offset = [d, h, w];
            let squared: f64 =
                (0..3).map(|axis| ((offset[axis] as f64 - centre[axis]) * spacing[axis]).powi(2)).sum();
            // The smallest radius whose ball holds the voxel.
            let bin = squared.sqrt().ceil() as usize;
            target += u64::from(*value != 0);
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
    }
}
