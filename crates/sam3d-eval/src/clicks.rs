//! Where the clicks of an evaluation lie.

use ndarray::{Array3, ArrayView3, Axis, aview0, s};
use sam3d_data::sampling::{clicks, rng_for};
use sam3d_geom::{Point, Spacing};
use sam3d_metrics::error_components;
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::{EvalConfig, EvaluationCase, Prompting};

/// Where in the target clicks are drawn.
///
/// The paper compares clicks at the centre, the surrounding and the margin of the target and does not define them. Read
/// here as three layers inside the target, by a voxel's depth (its distance in mm to the nearest voxel outside) as a share
/// of the largest depth: up to a third is the margin, up to two thirds the surrounding of the centre, beyond the centre. A
/// layer that a small target does not have is replaced by the next one further inside. Clicks are uniform in their layer.
/// A method that clicks slice by slice has these layers in each slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// Anywhere: the published protocol.
    #[default]
    Uniform,
    /// The innermost layer.
    Centre,
    /// The layer in between.
    Surrounding,
    /// The outermost layer.
    Margin,
}

impl Position {
    /// Every position.
    pub const ALL: [Self; 4] = [Self::Uniform, Self::Centre, Self::Surrounding, Self::Margin];

    /// Name, as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Centre => "centre",
            Self::Surrounding => "surrounding",
            Self::Margin => "margin",
        }
    }

    /// The part of `target` (non-zero in `[D, H, W]`, on a grid of `spacing`) in which clicks are drawn; `None` if it is
    /// all of it.
    fn layer(self, target: ArrayView3<'_, u8>, spacing: Spacing) -> Result<Option<Array3<u8>>, EvalError> {
        let first_layer = match self {
            Self::Uniform => return Ok(None),
            Self::Margin => 0,
            Self::Surrounding => 1,
            Self::Centre => 2,
        };
        // The error components of an empty prediction are those of the target.
        let nothing = aview0(&0);
        let nothing = nothing.broadcast(target.dim()).ok_or(EvalError::Internal("shape of a target"))?;
        let components = error_components(target, nothing)?;
        if components.is_empty() {
            return Ok(None);
        }
        let depths_mm: Vec<Array3<f32>> =
            components.iter().map(|component| component.depth_map_mm(spacing)).collect::<Result<_, _>>()?;
        let deepest_mm = depths_mm.iter().flatten().copied().fold(0.0, f32::max);
        // 0, 1 and 2 from the border inwards; a depth on a limit belongs to the outer layer.
        let layer_of =
            |mm: f32| if 3.0 * mm <= deepest_mm { 0 } else { 1 + u8::from(3.0 * mm > 2.0 * deepest_mm) };
        let occupied = |layer: u8| depths_mm.iter().flatten().any(|mm| *mm > 0.0 && layer_of(*mm) == layer);
        let wanted = (first_layer..=2).find(|layer| occupied(*layer)).unwrap_or(2);
        let mut chosen = Array3::zeros(target.raw_dim());
        for (component, depth_mm) in components.iter().zip(&depths_mm) {
            let [d, h, w] = std::array::from_fn(|axis| component.start()[axis]..component.end()[axis]);
            // Boxes of components may overlap; their voxels do not.
            chosen
                .slice_mut(s![d, h, w])
                .zip_mut_with(depth_mm, |out, mm| *out |= u8::from(*mm > 0.0 && layer_of(*mm) == wanted));
        }
        Ok(Some(chosen))
    }
}

/// The clicks of one prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptSet {
    /// How many were asked for: in the volume or in each slice; 0 for a method without clicks.
    pub points: usize,
    /// Number of this set, from 0.
    pub click_set: usize,
    /// The clicks, voxels `[D, H, W]` of the resampled grid.
    pub clicks: Vec<Point>,
}

/// Every set of clicks of a case. A set is a function of the configuration's seed, the case's name, the number of clicks
/// and the set's number.
///
/// # Errors
/// [`EvalError::NoTarget`] if there is nothing to click on.
pub fn prompt_sets(
    case: &EvaluationCase,
    prompting: Prompting,
    config: &EvalConfig,
) -> Result<Vec<PromptSet>, EvalError> {
    let spacing = case.target_spacing;
    let regions: Vec<(usize, Array3<u8>)> = match prompting {
        Prompting::None => return Ok(vec![PromptSet { points: 0, click_set: 0, clicks: Vec::new() }]),
        Prompting::PerVolume => {
            let layer = config.position.layer(case.target.view(), spacing)?;
            vec![(0, layer.unwrap_or_else(|| case.target.clone()))]
        }
        Prompting::PerSlice => case
            .target
            .axis_chunks_iter(Axis(0), 1)
            .enumerate()
            .filter(|(_, slice)| slice.iter().any(|value| *value != 0))
            .map(|(d, slice)| {
                // A slice lies between two of background: its layers are those of its own outline.
                let flat = Spacing::new([1e6, spacing.mm()[1], spacing.mm()[2]])?;
                Ok((d, config.position.layer(slice, flat)?.unwrap_or_else(|| slice.to_owned())))
            })
            .collect::<Result<_, EvalError>>()?,
    };
    let mut sets = Vec::new();
    for &points in &config.points {
        for click_set in 0..config.click_sets {
            let mut rng = rng_for(config.seed, click_set as u64, &format!("{}/{points}", case.id()));
            let clicks: Vec<Point> = regions
                .iter()
                .flat_map(|(first, region)| {
                    let drawn = clicks(region.view(), points, &mut rng);
                    drawn.into_iter().map(move |[d, h, w]| Point::positive([first + d, h, w]))
                })
                .collect();
            if clicks.is_empty() {
                return Err(EvalError::NoTarget);
            }
            sets.push(PromptSet { points, click_set, clicks });
        }
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use sam3d_metrics::distance_transform_mm;

    use super::*;

    fn counts(target: &Array3<u8>, spacing: Spacing) -> [usize; 3] {
        [Position::Margin, Position::Surrounding, Position::Centre].map(|position| {
            let layer = position.layer(target.view(), spacing).unwrap().unwrap();
            assert!(layer.iter().zip(target).all(|(layer, target)| layer <= target), "{position:?}");
            layer.iter().map(|value| usize::from(*value)).sum()
        })
    }

    #[test]
    fn a_ball_has_three_layers_that_share_nothing() {
        let ball = Array3::from_shape_fn([21; 3], |(d, h, w)| {
            let squared: usize = [d, h, w].iter().map(|i| i.abs_diff(10).pow(2)).sum();
            u8::from(squared <= 81)
        });
        let [margin, surrounding, centre] = counts(&ball, Spacing::new([1.0; 3]).unwrap());
        assert_eq!(margin + surrounding + centre, ball.iter().map(|v| usize::from(*v)).sum::<usize>());
        // Shells of equal thickness: 19/27, 7/27 and 1/27 of a ball's volume.
        assert!(margin > 2 * surrounding && surrounding > 3 * centre && centre > 0);
    }

    #[test]
    fn the_border_of_the_volume_is_outside_and_layers_may_be_missing() {
        // One voxel thick: every voxel is as deep as the deepest, so there is a centre only.
        let sheet = Array3::ones([1, 4, 4]);
        assert_eq!(counts(&sheet, Spacing::new([1.0; 3]).unwrap()), [16; 3]);
        // A full volume of three voxels across: depth 1 at its border and 2 in its middle.
        let cube = Array3::ones([3; 3]);
        assert_eq!(counts(&cube, Spacing::new([1.0; 3]).unwrap()), [26, 26, 1]);
        assert_eq!(Position::Uniform.layer(cube.view(), Spacing::new([1.0; 3]).unwrap()).unwrap(), None);
    }

    #[test]
    fn layers_are_those_of_the_distance_transform_of_the_whole_volume() {
        let spacing = Spacing::new([2.5, 0.7, 1.1]).unwrap();
        // A ball at the border of the volume, a ring around it that does not touch it, and a sheet beside both.
        let target = Array3::from_shape_fn([12, 30, 33], |(d, h, w)| {
            let squared = d.pow(2) + h.abs_diff(13).pow(2) + w.abs_diff(14).pow(2);
            u8::from(squared <= 36 || (64..144).contains(&squared) || w > 29)
        });
        let mut outside = Array3::ones([14, 32, 35]);
        let middle = s![1..13, 1..31, 1..34];
        outside.slice_mut(middle).zip_mut_with(&target, |outside, value| *outside = 1 - value);
        let depths_mm = distance_transform_mm(outside.view(), spacing).unwrap();
        let depths_mm = depths_mm.slice(middle);
        let deepest_mm = depths_mm.iter().copied().fold(0.0, f32::max);
        for (number, position) in
            [Position::Margin, Position::Surrounding, Position::Centre].into_iter().enumerate()
        {
            let expected = depths_mm.map(|mm| {
                let layer = usize::from(3.0 * mm > deepest_mm) + usize::from(3.0 * mm > 2.0 * deepest_mm);
                u8::from(*mm > 0.0 && layer == number)
            });
            assert_eq!(position.layer(target.view(), spacing).unwrap().unwrap(), expected, "{position:?}");
        }
    }
}
