//! The corrective click: where a simulated user clicks after looking at a prediction beside the truth.
//!
//! The rule of this project's evaluation ([`ClickRule::Largest`]) clicks into the middle of the largest error: of the
//! voxels in which truth and prediction differ, connected by 26 neighbours, the largest component; in it the voxel farthest
//! in mm from everything that is not in the component; outside the volume counts as not in it. The click is positive
//! (inside) if the voxel belongs to the truth, else negative (outside). Ties go to the first voxel in C order, so a click is a function of the
//! two masks. Without an error there is no click.

use std::{fmt, str::FromStr};

use ndarray::ArrayView3;
use sam3d_geom::{Point, PointLabel, Spacing};
use serde::{Deserialize, Serialize};

use crate::{
    DeepestVoxel, ErrorComponent, MetricsError, error_components, error_components::ROUNDING,
    largest_component,
};

/// How a simulated user chooses the voxel of a corrective click.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClickRule {
    /// The deepest voxel, in mm, of the largest error component.
    #[default]
    Largest,
    /// The deepest voxel, in mm, of all that is missing or of all that is too much, whichever is deeper; of equal depths
    /// what is missing.
    Deepest,
    /// As [`Largest`](Self::Largest), but with depth in voxels: the rule of the CVPR 2025 challenge on interactive 3D
    /// segmentation, except that the challenge draws among equally deep voxels.
    Imed3d,
    /// Any voxel of the error, each with the same probability.
    Random,
}

impl ClickRule {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::Largest, Self::Deepest, Self::Imed3d, Self::Random];

    /// Name, as written in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Largest => "largest",
            Self::Deepest => "deepest",
            Self::Imed3d => "imed3d",
            Self::Random => "random",
        }
    }
}

impl fmt::Display for ClickRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ClickRule {
    type Err = MetricsError;

    fn from_str(name: &str) -> Result<Self, MetricsError> {
        let named = Self::ALL.into_iter().find(|rule| rule.name() == name);
        named.ok_or_else(|| MetricsError::ClickRuleUnknown { name: name.to_owned() })
    }
}

/// A click that corrects a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectiveClick {
    /// The voxel, `[D, H, W]`: positive if it belongs to the truth, so that the prediction misses it, else negative.
    pub point: Point,
    /// Voxels of the error component that holds the click.
    pub component_voxels: u64,
    /// Distance in mm from the click to the nearest voxel outside that component, by [`ClickRule::Deepest`] outside the part
    /// of it that is missing or too much as the click is.
    pub depth_mm: f64,
}

/// The corrective click by `rule` for a truth and a prediction, both `[D, H, W]` on a grid of `spacing`; every value but 0
/// belongs to a mask. `None` if the masks are equal.
///
/// Randomness is an argument: `below(n)` is a uniform draw from `0..n`, called once by [`ClickRule::Random`] and by no other
/// rule.
///
/// # Errors
/// [`MetricsError::ShapesDiffer`] if the masks do not have the same shape; [`MetricsError::TooLarge`] if the box around a
/// component has a side of more than 65533 voxels.
pub fn corrective_click(
    truth: ArrayView3<u8>,
    prediction: ArrayView3<u8>,
    spacing: Spacing,
    rule: ClickRule,
    below: impl FnOnce(u64) -> u64,
) -> Result<Option<CorrectiveClick>, MetricsError> {
    let components = error_components(truth, prediction)?;
    let chosen = match rule {
        ClickRule::Largest => deepest_of_largest(&components, spacing)?,
        ClickRule::Imed3d => deepest_of_largest(&components, Spacing::UNIT)?,
        ClickRule::Deepest => deepest_of_all(&components, truth, spacing)?,
        ClickRule::Random => draw(&components, below),
    };
    let click = |chosen: ChosenVoxel| {
        let ChosenVoxel { component, voxel, depth_mm } = chosen;
        let label = if truth[voxel] != 0 { PointLabel::Positive } else { PointLabel::Negative };
        CorrectiveClick {
            point: Point { index: voxel, label },
            component_voxels: component.voxels(),
            depth_mm: depth_mm.unwrap_or_else(|| component.depth_mm(voxel, spacing)),
        }
    };
    Ok(chosen.map(click))
}

/// A voxel of a component; its depth where it is not the one in the component.
struct ChosenVoxel<'a> {
    component: &'a ErrorComponent,
    voxel: [usize; 3],
    depth_mm: Option<f64>,
}

fn deepest_of_largest(
    components: &[ErrorComponent],
    spacing: Spacing,
) -> Result<Option<ChosenVoxel<'_>>, MetricsError> {
    let Some(component) = largest_component(components) else { return Ok(None) };
    Ok(Some(ChosenVoxel { component, voxel: component.deepest(spacing)?.voxel, depth_mm: None }))
}

/// The deepest voxel of all that is missing and of all that is too much.
fn deepest_of_all<'a>(
    components: &'a [ErrorComponent],
    truth: ArrayView3<u8>,
    spacing: Spacing,
) -> Result<Option<ChosenVoxel<'a>>, MetricsError> {
    // Components do not touch one another, so depth in all that is missing is depth in what is missing of one component.
    // The roomiest come first, and the rest is not looked at once no voxel of it can be deeper.
    let mut roomiest_first: Vec<(f64, &ErrorComponent)> =
        components.iter().map(|component| (component.depth_limit_mm(spacing), component)).collect();
    roomiest_first.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut best: Option<(&ErrorComponent, PartDepth)> = None;
    for (limit_mm, component) in roomiest_first {
        if best.as_ref().is_some_and(|(_, best)| limit_mm < best.depth_mm * (1.0 - ROUNDING)) {
            break;
        }
        for (part, excess) in component.missing_and_excess(truth).into_iter().zip([false, true]) {
            let Some(part) = part else { continue };
            let DeepestVoxel { voxel, depth_mm } = part.deepest(spacing)?;
            let found = PartDepth { depth_mm, excess, voxel };
            if best.as_ref().is_none_or(|(_, best)| found.precedes(best)) {
                best = Some((component, found));
            }
        }
    }
    let chosen = best.map(|(component, PartDepth { depth_mm, voxel, .. })| ChosenVoxel {
        component,
        voxel,
        depth_mm: Some(depth_mm),
    });
    Ok(chosen)
}

/// The deepest voxel of what is missing, or too much, in one component.
struct PartDepth {
    depth_mm: f64,
    excess: bool,
    voxel: [usize; 3],
}

impl PartDepth {
    /// Whether the rule prefers this to `other`: the deeper, then what is missing, then the first in C order.
    fn precedes(&self, other: &Self) -> bool {
        if (self.depth_mm - other.depth_mm).abs() > ROUNDING * self.depth_mm.max(other.depth_mm) {
            return self.depth_mm > other.depth_mm;
        }
        (self.excess, self.voxel) < (other.excess, other.voxel)
    }
}

/// A voxel of all components, each with the same probability.
fn draw(components: &[ErrorComponent], below: impl FnOnce(u64) -> u64) -> Option<ChosenVoxel<'_>> {
    let voxels: u64 = components.iter().map(ErrorComponent::voxels).sum();
    let mut number = if voxels == 0 { return None } else { below(voxels) };
    for component in components {
        if number < component.voxels() {
            return component.voxel(number).map(|voxel| ChosenVoxel { component, voxel, depth_mm: None });
        }
        number -= component.voxels();
    }
    None
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn rules_by_name() {
        for rule in ClickRule::ALL {
            assert_eq!(rule.to_string().parse::<ClickRule>().unwrap(), rule);
            assert_eq!(serde_json::to_string(&rule).unwrap(), format!("\"{rule}\""));
        }
        assert_eq!(
            "largst".parse::<ClickRule>().unwrap_err().to_string(),
            "unknown click rule largst: expected largest, deepest, imed3d or random"
        );
    }

    #[test]
    fn the_deepest_error_need_not_be_the_largest() {
        // Missing: a plate of 36 voxels. Too much: a cube of 27, deeper than the plate.
        let truth = Array3::from_shape_fn([9, 9, 9], |(d, h, w)| u8::from(d == 0 && h < 6 && w < 6));
        let cube = |index: usize| (4..7).contains(&index);
        let prediction =
            Array3::from_shape_fn([9, 9, 9], |(d, h, w)| u8::from(cube(d) && cube(h) && cube(w)));
        let click = |rule, spacing_d| {
            let spacing = Spacing::new([spacing_d, 1.0, 1.0]).unwrap();
            let below = |_| unreachable!("no rule but one draws");
            let click = corrective_click(truth.view(), prediction.view(), spacing, rule, below);
            click
                .unwrap()
                .map(|click| (click.point.index, click.point.label, click.component_voxels, click.depth_mm))
        };
        let excess = Some(([5, 5, 5], PointLabel::Negative, 27, 2.0));
        let corner = |depth_mm| Some(([0, 0, 0], PointLabel::Positive, 36, depth_mm));
        assert_eq!((click(ClickRule::Largest, 1.0), click(ClickRule::Deepest, 1.0)), (corner(1.0), excess));
        // Slices 2 mm apart: the plate is as deep as the cube, but in voxels as flat as before.
        let missing = Some(([0, 1, 1], PointLabel::Positive, 36, 2.0));
        assert_eq!((click(ClickRule::Largest, 2.0), click(ClickRule::Deepest, 2.0)), (missing, missing));
        assert_eq!(click(ClickRule::Imed3d, 2.0), corner(1.0));
    }

    #[test]
    fn every_voxel_of_the_error_can_be_drawn_once() {
        let truth = Array3::from_shape_fn([3, 4, 5], |(d, h, w)| u8::from((d + h + w) % 3 == 0));
        let prediction = Array3::from_shape_fn([3, 4, 5], |(d, h, w)| u8::from((d * h + w) % 2 == 0));
        let differing = truth.indexed_iter().filter(|(index, value)| **value != prediction[*index]);
        let label = |value| if value == 1 { PointLabel::Positive } else { PointLabel::Negative };
        let expected: Vec<Point> =
            differing.map(|((d, h, w), value)| Point { index: [d, h, w], label: label(*value) }).collect();
        let count = expected.len() as u64;
        let click = |number| {
            let below = |n| if n == count { number } else { unreachable!("{n} of {count}") };
            corrective_click(truth.view(), prediction.view(), Spacing::UNIT, ClickRule::Random, below)
        };
        let mut drawn: Vec<Point> = (0..count).map(|number| click(number).unwrap().unwrap().point).collect();
        drawn.sort_by_key(|point| point.index);
        assert_eq!(drawn, expected);
    }
}
