//! The training loss: `dice_weight * soft Dice + cross_entropy_weight * cross-entropy` (published: 0.5 and 0.5).

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

/// Added to numerator and denominator of the soft Dice.
const SMOOTH: f64 = 1e-5;

/// A label of voxels that [`cross_entropy`] leaves out.
pub(crate) const IGNORED: i64 = -100;

/// Weights of the two parts of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Weight of the soft Dice loss of the foreground.
    pub dice_weight: f64,
    /// Weight of the cross-entropy over both channels.
    pub cross_entropy_weight: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { dice_weight: 0.5, cross_entropy_weight: 0.5 }
    }
}

/// The weighted sum of soft Dice loss and cross-entropy.
///
/// # Shapes
/// Logits `[B, 2, D, H, W]`, label `[B, D, H, W]` of 0 and 1 (int64); a scalar.
pub fn dice_cross_entropy(logits: &Tensor, label: &Tensor, config: &LossConfig) -> Tensor {
    soft_dice_loss(logits, label).mean(None) * config.dice_weight
        + cross_entropy(logits, label) * config.cross_entropy_weight
}

/// `1 - (2 |p g| + s) / (|p| + |g| + s)` of each sample, with p the foreground's softmax and g the label.
///
/// # Shapes
/// As [`dice_cross_entropy`]; gives `[B]`.
pub fn soft_dice_loss(logits: &Tensor, label: &Tensor) -> Tensor {
    let foreground = logits.softmax(1, Kind::Float).select(1, 1).flatten(1, -1);
    let label = label.flatten(1, -1).to_kind(Kind::Float);
    let over_voxels = |xs: Tensor| xs.sum_dim_intlist([1].as_slice(), false, Kind::Float);
    let overlap = over_voxels(&foreground * &label);
    let total = over_voxels(foreground) + over_voxels(label);
    1.0 - (overlap * 2.0 + SMOOTH) / (total + SMOOTH)
}

/// Cross-entropy over both channels, mean over the voxels whose label is not -100.
///
/// # Shapes
/// As [`dice_cross_entropy`].
pub fn cross_entropy(logits: &Tensor, label: &Tensor) -> Tensor {
    const NO_WEIGHT: Option<Tensor> = None;
    logits.cross_entropy_loss(label, NO_WEIGHT, Reduction::Mean, IGNORED, 0.0)
}

#[cfg(test)]
mod tests {
    use sam3d_testkit::{by_name, golden_json};

    use super::*;

    #[test]
    fn agrees_with_the_golden_loss_and_gradient() {
        let golden = &golden_json("augment_and_loss.json")["loss"];
        let shape = [2, 2, 6, 7, 8];
        let values: Vec<f32> = by_name("loss.logits", shape.iter().product::<i64>() as usize)
            .iter()
            .map(|u| (3.0 * u) as f32)
            .collect();
        let logits = Tensor::from_slice(&values).view(shape).set_requires_grad(true);
        let voxels = 6 * 7 * 8;
        let label: Vec<i64> = by_name("loss.label", 2 * voxels)
            .iter()
            .enumerate()
            .map(|(i, u)| i64::from(*u > 0.4 && i < voxels))
            .collect();
        assert_eq!(label.iter().sum::<i64>(), golden["label_voxels"].as_i64().unwrap());
        let label = Tensor::from_slice(&label).view([2, 6, 7, 8]);

        let close = |what: &str, found: f64, expected: &serde_json::Value| {
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() <= 1e-5, "{what}: {found} {expected}");
        };
        let per_sample = soft_dice_loss(&logits, &label);
        for sample in 0..2 {
            let found = per_sample.double_value(&[sample]);
            close("dice", found, &golden["dice_loss_per_sample"][sample as usize]);
        }
        close("cross-entropy", cross_entropy(&logits, &label).double_value(&[]), &golden["cross_entropy"]);
        let loss = dice_cross_entropy(&logits, &label, &LossConfig::default());
        close("loss", loss.double_value(&[]), &golden["dice_ce_0.5_0.5"]);

        loss.backward();
        let gradient = logits.grad().flatten(0, -1);
        close("gradient", gradient.norm().double_value(&[]), &golden["grad_l2"]);
        for (i, expected) in golden["grad_first"].as_array().unwrap().iter().enumerate() {
            let (found, expected) = (gradient.double_value(&[i as i64]), expected.as_f64().unwrap());
            assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1e-2), "{i}: {found} {expected}");
        }
    }
}
