//! The simulated user: prompts drawn from the truth, and corrections drawn from the truth and a prediction.
//!
//! A dialogue begins with [`UserPrompts::first`] and continues with [`UserPrompts::correct`]: clicks, regions and scribbles add
//! up, and the previous mask is that of the last prediction. Nothing here is a tensor; the generator is an argument, so that
//! a draw depends on its seed alone ([`rng_for`](crate::sampling::rng_for) of seed, draw, and case with round).

mod shapes;

use ndarray::{Array3, ArrayView3};
use rand::{Rng, RngExt};
use sam3d_geom::{Point, PointLabel, Spacing};
use sam3d_metrics::{
    ClickRule, ErrorComponent, MetricsError, corrective_click, distance_transform_mm, error_components,
};
use serde::{Deserialize, Serialize};

use self::shapes::{Slice, bounds_of, jittered_box, outline_around, stroke};

/// How much deeper voxels are preferred by a click: its probability is proportional to this power of its depth.
const DEPTH_POWER: i32 = 8;
/// The most by which a side of a box is moved, as a fraction of its length.
const BOX_JITTER: f64 = 0.1;
/// The most by which a mask to begin from is damaged, in voxels.
const LARGEST_DAMAGE: usize = 3;

/// Relative frequencies of the first prompt's kinds; they need not add up to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FirstPromptShares {
    /// The published draw of clicks: 10 in the target and 20 anywhere.
    pub published_clicks: f64,
    /// One click in the target.
    pub click: f64,
    /// A bounding box in one slice or in 3D, its sides moved by up to a tenth of their length.
    pub bounding_box: f64,
    /// An outline around the target in one slice, filled.
    pub lasso: f64,
    /// A stroke in the target in one slice.
    pub scribble: f64,
    /// The truth as a mask to begin from: eroded, dilated, shifted or cut.
    pub mask: f64,
}

impl Default for FirstPromptShares {
    fn default() -> Self {
        Self { published_clicks: 1.0, click: 2.0, bounding_box: 2.0, lasso: 1.0, scribble: 1.0, mask: 1.0 }
    }
}

impl FirstPromptShares {
    fn all(self) -> [(f64, FirstPrompt); 6] {
        [
            (self.published_clicks, FirstPrompt::PublishedClicks),
            (self.click, FirstPrompt::Click),
            (self.bounding_box, FirstPrompt::BoundingBox),
            (self.lasso, FirstPrompt::Lasso),
            (self.scribble, FirstPrompt::Scribble),
            (self.mask, FirstPrompt::Mask),
        ]
    }

    /// Whether no share is negative or not finite, and one is above 0.
    pub fn are_valid(self) -> bool {
        let shares = self.all().map(|(share, _)| share);
        shares.iter().all(|share| share.is_finite() && *share >= 0.0)
            && shares.iter().any(|share| *share > 0.0)
    }

    fn draw(self, rng: &mut impl Rng) -> FirstPrompt {
        let shares = self.all();
        let number = weighted(shares.iter().map(|(share, _)| *share), rng).unwrap_or_default();
        shares[number].1
    }
}

/// A kind of first prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstPrompt {
    PublishedClicks,
    Click,
    BoundingBox,
    Lasso,
    Scribble,
    Mask,
}

/// What a simulated user has given on a crop so far. Masks are 0 or 1, `[D, H, W]` on the crop's grid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPrompts {
    /// Clicks: positive in the target, negative elsewhere.
    pub clicks: Vec<Point>,
    /// The mask to begin from, or of the previous answer.
    pub previous_mask: Option<Array3<u8>>,
    /// A box or a filled lasso around the target.
    pub region: Option<Array3<u8>>,
    /// Strokes in the target.
    pub scribble_inside: Option<Array3<u8>>,
    /// Strokes outside the target.
    pub scribble_outside: Option<Array3<u8>>,
}

impl UserPrompts {
    /// The first prompt on a crop with the target `truth`, on a grid of `spacing`, of a kind drawn by `shares`.
    /// `published` is the published draw of clicks on this crop, which is also what a crop without target gets.
    ///
    /// # Errors
    /// [`MetricsError::TooLarge`] if a side has more than 65533 voxels.
    pub fn first(
        truth: ArrayView3<'_, u8>,
        published: &[[usize; 3]],
        spacing: Spacing,
        shares: FirstPromptShares,
        rng: &mut impl Rng,
    ) -> Result<Self, MetricsError> {
        let kind = shares.draw(rng);
        let empty = Array3::zeros(truth.raw_dim());
        let components = error_components(truth, empty.view())?;
        let Some(inside) = voxel_of(&components, rng) else { return Ok(Self::clicks(truth, published)) };
        let mut prompts = Self::default();
        match kind {
            FirstPrompt::PublishedClicks => return Ok(Self::clicks(truth, published)),
            FirstPrompt::Click => {
                let voxel = deep_voxel(&components, spacing, rng)?.unwrap_or(inside);
                prompts.clicks.push(labelled(truth, voxel));
            }
            FirstPrompt::BoundingBox => {
                let slice = rng.random_bool(0.5).then(|| Slice::through(inside, rng));
                let target = |voxel| truth[voxel] != 0 && slice.is_none_or(|slice| slice.contains(voxel));
                let bounds = bounds_of(truth.dim().into(), target);
                prompts.region = bounds.map(|bounds| jittered_box(bounds, slice, truth.dim().into(), rng));
            }
            FirstPrompt::Lasso => {
                let slice = Slice::through(inside, rng);
                prompts.region = Some(outline_around(truth, slice, rng));
            }
            FirstPrompt::Scribble => {
                let component = components.iter().find(|component| component.contains(inside));
                let allowed = |voxel| component.is_none_or(|component| component.contains(voxel));
                prompts.scribble_inside = Some(stroke(truth.dim().into(), inside, allowed, rng));
            }
            FirstPrompt::Mask => prompts.previous_mask = Some(damaged(truth, rng)?),
        }
        Ok(prompts)
    }

    /// One click on the deepest voxel of the target's largest component, without any draw; the published clicks where there is
    /// no target.
    ///
    /// # Errors
    /// As [`first`](Self::first).
    pub fn first_deepest(
        truth: ArrayView3<'_, u8>,
        published: &[[usize; 3]],
        spacing: Spacing,
    ) -> Result<Self, MetricsError> {
        let empty = Array3::zeros(truth.raw_dim());
        let click = corrective_click(truth, empty.view(), spacing, ClickRule::Largest, |_| 0)?;
        Ok(match click {
            Some(click) => Self { clicks: vec![click.point], ..Self::default() },
            None => Self::clicks(truth, published),
        })
    }

    /// Adds a correction of `prediction`, which becomes the previous mask: in an error component that is drawn with a
    /// probability proportional to its size a scribble with probability `scribble_share`, else a click. A prediction without
    /// error gets none.
    ///
    /// # Errors
    /// [`MetricsError`] if `truth` and `prediction` differ in shape or a side has more than 65533 voxels.
    pub fn correct(
        &mut self,
        truth: ArrayView3<'_, u8>,
        prediction: Array3<u8>,
        spacing: Spacing,
        scribble_share: f64,
        rng: &mut impl Rng,
    ) -> Result<(), MetricsError> {
        let components = error_components(truth, prediction.view())?;
        self.previous_mask = Some(prediction);
        let chosen = weighted(components.iter().map(|component| component.voxels() as f64), rng);
        let Some(component) = chosen.map(|number| &components[number]) else { return Ok(()) };
        let component = std::slice::from_ref(component);
        let Some(inside) = voxel_of(component, rng) else { return Ok(()) };
        if !rng.random_bool(scribble_share.clamp(0.0, 1.0)) {
            let voxel = deep_voxel(component, spacing, rng)?.unwrap_or(inside);
            self.clicks.push(labelled(truth, voxel));
            return Ok(());
        }
        // A stroke is inside or outside the target, though a component may be of both.
        let in_target = truth[inside] != 0;
        let allowed = |voxel| component[0].contains(voxel) && (truth[voxel] != 0) == in_target;
        let drawn = stroke(truth.dim().into(), inside, allowed, rng);
        let scribbles = if in_target { &mut self.scribble_inside } else { &mut self.scribble_outside };
        match scribbles {
            Some(scribbles) => scribbles.zip_mut_with(&drawn, |before, drawn| *before |= drawn),
            None => *scribbles = Some(drawn),
        }
        Ok(())
    }

    /// Adds the corrective click on the deepest voxel of the largest error, without any draw; `prediction` becomes the
    /// previous mask.
    ///
    /// # Errors
    /// As [`correct`](Self::correct).
    pub fn correct_deepest(
        &mut self,
        truth: ArrayView3<'_, u8>,
        prediction: Array3<u8>,
        spacing: Spacing,
    ) -> Result<(), MetricsError> {
        let click = corrective_click(truth, prediction.view(), spacing, ClickRule::Largest, |_| 0)?;
        self.previous_mask = Some(prediction);
        self.clicks.extend(click.map(|click| click.point));
        Ok(())
    }

    fn clicks(truth: ArrayView3<'_, u8>, voxels: &[[usize; 3]]) -> Self {
        Self { clicks: voxels.iter().map(|voxel| labelled(truth, *voxel)).collect(), ..Self::default() }
    }
}

fn labelled(truth: ArrayView3<'_, u8>, index: [usize; 3]) -> Point {
    let label = if truth[index] != 0 { PointLabel::Positive } else { PointLabel::Negative };
    Point { index, label }
}

/// A number drawn with probabilities proportional to `weights`, none of them negative; `None` if all are 0.
fn weighted(weights: impl Iterator<Item = f64> + Clone, rng: &mut impl Rng) -> Option<usize> {
    let total: f64 = weights.clone().sum();
    if total <= 0.0 {
        return None;
    }
    let mut left = rng.random_range(0.0..total);
    let mut last = None;
    for (number, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
        last = Some(number);
        if left < weight {
            break;
        }
        left -= weight;
    }
    last
}

/// Any voxel of `components`, each with the same probability.
fn voxel_of(components: &[ErrorComponent], rng: &mut impl Rng) -> Option<[usize; 3]> {
    let total: u64 = components.iter().map(ErrorComponent::voxels).sum();
    let mut number = if total == 0 { return None } else { rng.random_range(0..total) };
    for component in components {
        if number < component.voxels() {
            return component.voxel(number);
        }
        number -= component.voxels();
    }
    None
}

/// A voxel of `components` with a probability proportional to its depth to the power of [`DEPTH_POWER`].
fn deep_voxel(
    components: &[ErrorComponent],
    spacing: Spacing,
    rng: &mut impl Rng,
) -> Result<Option<[usize; 3]>, MetricsError> {
    let depths: Result<Vec<Array3<f32>>, _> =
        components.iter().map(|component| component.depth_map_mm(spacing)).collect();
    let depths = depths?;
    let deepest = depths.iter().flatten().copied().fold(0.0, f32::max);
    // Relative to the deepest, so that the power of no depth overflows.
    let weight = |depth: &f32| f64::from(depth / deepest).powi(DEPTH_POWER);
    let Some(number) = weighted(depths.iter().flatten().map(weight), rng) else { return Ok(None) };
    let mut left = number;
    for (component, depths) in components.iter().zip(&depths) {
        if left < depths.len() {
            let [_, height, width] = depths.dim().into();
            let in_box = [left / (height * width), left / width % height, left % width];
            return Ok(Some(std::array::from_fn(|axis| component.start()[axis] + in_box[axis])));
        }
        left -= depths.len();
    }
    Ok(None)
}

/// The truth as a user's first attempt might be: eroded, dilated or shifted by up to three voxels, or cut off at a slice. Where
/// nothing would be left, the truth.
fn damaged(truth: ArrayView3<'_, u8>, rng: &mut impl Rng) -> Result<Array3<u8>, MetricsError> {
    let voxels = rng.random_range(1..=LARGEST_DAMAGE);
    let mask = match rng.random_range(0..4) {
        0 => {
            let outside = truth.mapv(|value| u8::from(value == 0));
            distance_transform_mm(outside.view(), Spacing::UNIT)?
                .mapv(|depth| u8::from(depth > voxels as f32))
        }
        1 => distance_transform_mm(truth, Spacing::UNIT)?.mapv(|depth| u8::from(depth <= voxels as f32)),
        2 => shapes::shifted(truth, std::array::from_fn(|_| rng.random_range(0..=2 * voxels)), voxels),
        _ => shapes::cut(truth, rng),
    };
    let is_empty = mask.iter().all(|value| *value == 0);
    Ok(if is_empty { truth.mapv(|value| u8::from(value != 0)) } else { mask })
}

#[cfg(test)]
mod tests;
