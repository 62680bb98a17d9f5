//! Training for corrections: a step plays some rounds with a simulated user on the same crops, and trains on the last.
//!
//! The image is encoded once. Rounds before the last are decoded without a graph; their predictions decide where the user
//! corrects. Every draw comes from a generator seeded by seed, draw, case and round.

use ndarray::Array3;
use rand::{Rng, RngExt};
use rayon::prelude::*;
use sam3d_data::{
    augment::Sample,
    sampling::rng_for,
    simulated_user::{FirstPromptShares, UserPrompts},
};
use sam3d_geom::{Extent, Prompt, Spacing};
use sam3d_model::{CropPrompt, DenseChannel, DensePrompts, Sam3d};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    TrainError,
    loss::{IGNORED, cross_entropy, dice_cross_entropy, soft_dice_loss},
    step::{Batch, StepConfig},
};

/// Training with a simulated user.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InteractionConfig {
    /// The most rounds of a step: a first prompt and corrections. Each step draws from 1 to this many.
    pub rounds: u64,
    /// Kinds of the first prompt and their relative frequencies.
    #[serde(default)]
    pub first: FirstPromptShares,
    /// The fraction of corrections that are scribbles; the others are clicks.
    #[serde(default = "default_scribble_share")]
    pub scribble_share: f64,
    /// Weight of a further cross-entropy over the cubes of 3 voxels around the clicks, so that the mask learns to contain
    /// what is clicked. 0: the loss of the whole crop alone.
    #[serde(default)]
    pub click_weight: f64,
}

fn default_scribble_share() -> f64 {
    0.2
}

impl InteractionConfig {
    /// The most rounds that may be asked for.
    pub const MOST_ROUNDS: u64 = 100;

    /// Checks the settings that types do not.
    ///
    /// # Errors
    /// [`TrainError::Setting`], naming the setting.
    pub fn validate(&self) -> Result<(), TrainError> {
        let (first, scribbles, clicks) = (self.first, self.scribble_share, self.click_weight);
        let settings = [
            (
                "train.interaction.rounds",
                self.rounds.to_string(),
                (1..=Self::MOST_ROUNDS).contains(&self.rounds),
                "1 to 100",
            ),
            (
                "train.interaction.first",
                format!("{first:?}"),
                first.are_valid(),
                "shares of 0 or more, one of them above 0",
            ),
            (
                "train.interaction.scribble_share",
                scribbles.to_string(),
                (0.0..=1.0).contains(&scribbles),
                "0 to 1",
            ),
            (
                "train.interaction.click_weight",
                clicks.to_string(),
                clicks >= 0.0 && clicks.is_finite(),
                "a finite number of 0 or more",
            ),
        ];
        match settings.into_iter().find(|(_, _, holds, _)| !holds) {
            Some((field, found, _, expected)) => Err(TrainError::Setting { field, found, expected }),
            None => Ok(()),
        }
    }

    /// The number of rounds of the step that follows `taken` steps, the same in every process.
    pub(crate) fn rounds_of_step(&self, seed: u64, taken: u64) -> u64 {
        rng_for(seed, taken, "rounds of a step").random_range(1..=self.rounds)
    }
}

/// A crop and the seeds of its user's draws.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserCrop<'a> {
    pub(crate) sample: &'a Sample,
    pub(crate) case: &'a str,
    pub(crate) draw: u64,
}

/// Simulated users of a batch of crops, one for each.
#[derive(Debug)]
pub(crate) struct SimulatedUsers<'a> {
    pub(crate) config: &'a InteractionConfig,
    pub(crate) seed: u64,
    pub(crate) spacing: Spacing,
    pub(crate) crops: Vec<UserCrop<'a>>,
}

impl SimulatedUsers<'_> {
    /// Adds `share` times the gradient of the last round's loss and gives `share` times that loss, as
    /// [`add_gradients`](crate::step::add_gradients) does for one round with the published clicks.
    pub(crate) fn add_gradients(
        &self,
        network: &Sam3d,
        batch: &Batch,
        config: &StepConfig,
        share: f64,
        rounds: u64,
    ) -> Result<f64, TrainError> {
        let extent = extent_of(batch)?;
        network.backward_embedded(&batch.image, config.recompute, |embedding| {
            let first = |crop: &UserCrop<'_>| {
                let (truth, points) = (crop.sample.label.view(), &crop.sample.points);
                let mut rng = self.generator(crop, 1);
                UserPrompts::first(truth, points, self.spacing, self.config.first, &mut rng)
            };
            let prompts: Result<Vec<UserPrompts>, _> = self.crops.par_iter().map(first).collect();
            let mut prompts = prompts.map_err(does_not_fit)?;
            for round in 2..=rounds {
                let predictions = {
                    let _no_grad = tch::no_grad_guard();
                    predictions(&network.decode(embedding, &crop_prompts(&prompts, extent)?)?)?
                };
                let correct = |((prompts, prediction), crop): ((&mut UserPrompts, _), &UserCrop<'_>)| {
                    let (truth, scribbles) = (crop.sample.label.view(), self.config.scribble_share);
                    let mut rng = self.generator(crop, round);
                    prompts.correct(truth, prediction, self.spacing, scribbles, &mut rng)
                };
                let given = prompts.par_iter_mut().zip(predictions).zip(&self.crops);
                given.try_for_each(correct).map_err(does_not_fit)?;
            }
            let logits = network.decode(embedding, &crop_prompts(&prompts, extent)?)?;
            let mut loss = dice_cross_entropy(&logits, &batch.label, &config.loss);
            if let Some(label) = label_at_clicks(&prompts, batch).filter(|_| self.config.click_weight > 0.0) {
                loss += cross_entropy(&logits, &label) * self.config.click_weight;
            }
            Ok::<_, TrainError>(if share == 1.0 { loss } else { loss * share })
        })
    }

    /// The generator of the draws on `crop` in `round`.
    fn generator(&self, crop: &UserCrop<'_>, round: u64) -> impl Rng {
        rng_for(self.seed, crop.draw, &format!("{}/round {round}", crop.case))
    }
}

/// The soft Dice losses of a validation crop after the first and after the last of `rounds` clicks, each on the deepest voxel
/// of the largest error.
pub(crate) fn validation_losses(
    network: &Sam3d,
    batch: &Batch,
    sample: &Sample,
    spacing: Spacing,
    rounds: u64,
) -> Result<[f64; 2], TrainError> {
    let _no_grad = tch::no_grad_guard();
    let (embedding, extent) = (network.encode(&batch.image)?, extent_of(batch)?);
    let truth = sample.label.view();
    let mut prompts = UserPrompts::first_deepest(truth, &sample.points, spacing).map_err(does_not_fit)?;
    let mut losses = [0.0; 2];
    for round in 1..=rounds {
        let logits = network.decode(&embedding, &crop_prompts(std::slice::from_ref(&prompts), extent)?)?;
        losses[1] = soft_dice_loss(&logits, &batch.label).mean(Kind::Float).double_value(&[]);
        if round == 1 {
            losses[0] = losses[1];
        }
        if round < rounds {
            let prediction = predictions(&logits)?.pop();
            let prediction = prediction.ok_or(TrainError::Internal("prediction of a crop"))?;
            prompts.correct_deepest(truth, prediction, spacing).map_err(does_not_fit)?;
        }
    }
    Ok(losses)
}

/// The masks of a crop have one shape and short sides.
fn does_not_fit(_: impl std::error::Error) -> TrainError {
    TrainError::Internal("the simulated user got masks that do not fit")
}

/// The grid of a batch's crops.
fn extent_of(batch: &Batch) -> Result<Extent, TrainError> {
    let [_, d, h, w] = batch.label.size()[..] else { return Err(TrainError::Internal("shape of a label")) };
    Ok(Extent::new([d, h, w].map(|side| side as usize))?)
}

/// The prompts of a batch as the network takes them.
fn crop_prompts(prompts: &[UserPrompts], extent: Extent) -> Result<Vec<CropPrompt>, TrainError> {
    prompts.iter().map(|prompts| crop_prompt(prompts, extent)).collect()
}

fn crop_prompt(prompts: &UserPrompts, extent: Extent) -> Result<CropPrompt, TrainError> {
    let masks = [
        (DenseChannel::PreviousMask, &prompts.previous_mask),
        (DenseChannel::RegionInside, &prompts.region),
        (DenseChannel::ScribbleInside, &prompts.scribble_inside),
        (DenseChannel::ScribbleOutside, &prompts.scribble_outside),
    ];
    let mut dense = DensePrompts::default();
    for (channel, mask) in masks {
        let Some(mask) = mask else { continue };
        let values: Vec<f32> = mask.iter().map(|value| f32::from(*value)).collect();
        dense = dense.with(channel, &values)?;
    }
    let points = &prompts.clicks;
    let clicks = (!points.is_empty()).then(|| Prompt::new(points.clone(), extent)).transpose()?;
    Ok(CropPrompt { clicks, dense })
}

/// The labels of a batch in the cubes of 3 voxels around its clicks, [`IGNORED`] elsewhere; `None` without a click.
fn label_at_clicks(prompts: &[UserPrompts], batch: &Batch) -> Option<Tensor> {
    let cubes = Tensor::zeros_like(&batch.label).to_kind(Kind::Bool);
    let mut any = false;
    for (number, prompts) in prompts.iter().enumerate() {
        for click in &prompts.clicks {
            let mut cube = cubes.get(number as i64);
            for (axis, at) in click.index.into_iter().enumerate() {
                let (at, side) = (at as i64, cube.size()[axis]);
                let (start, end) = ((at - 1).max(0), (at + 2).min(side));
                cube = cube.narrow(axis as i64, start, end - start);
            }
            let _ = cube.fill_(1);
            any = true;
        }
    }
    any.then(|| batch.label.masked_fill(&cubes.logical_not(), IGNORED))
}

/// The thresholded masks of a batch's logits `[B, 2, P, P, P]`.
fn predictions(logits: &Tensor) -> Result<Vec<Array3<u8>>, TrainError> {
    let masks = logits.argmax(1, false).to_kind(Kind::Uint8).to_device(Device::Cpu);
    let sizes = masks.size();
    let [count, d, h, w] = sizes[..] else { return Err(TrainError::Internal("shape of the logits")) };
    let shape = [d, h, w].map(|side| side as usize);
    (0..count)
        .map(|number| {
            let values = Vec::<u8>::try_from(masks.get(number).flatten(0, -1));
            let values = values.map_err(|_| TrainError::Internal("type of a mask"))?;
            Array3::from_shape_vec(shape, values).map_err(|_| TrainError::Internal("shape of a mask"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use sam3d_geom::Point;

    use super::*;
    use crate::config::TrainConfig;

    #[test]
    fn the_interactive_demo_differs_from_the_demo_in_nothing_else() {
        let configs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let text = |name: &str| std::fs::read_to_string(configs.join(name)).unwrap();
        let read = |name: &str| toml::from_str::<TrainConfig>(&text(name)).unwrap();
        let plain = read("demo.toml");
        let mut interactive = read("demo-interactive.toml");
        interactive.validate().unwrap();
        assert!(interactive.train.interaction.take().is_some());
        interactive.variant.dense_prompts = false;
        assert_eq!(interactive, plain);
    }

    #[test]
    fn labels_at_clicks_are_those_of_their_cubes() {
        let label = Tensor::arange(2 * 64, (Kind::Int64, Device::Cpu)).remainder(2).view([2, 4, 4, 4]);
        let image = Tensor::zeros([2, 1, 4, 4, 4], (Kind::Float, Device::Cpu));
        let batch = Batch { image, label, prompts: vec![] };
        let nowhere = UserPrompts::default();
        assert!(label_at_clicks(&[nowhere.clone(), nowhere.clone()], &batch).is_none());
        let clicks = vec![Point::positive([0, 1, 3]), Point::positive([0, 2, 3])];
        let found =
            label_at_clicks(&[nowhere, UserPrompts { clicks, ..Default::default() }], &batch).unwrap();
        let known = found.ne(IGNORED);
        // Cut off at the border, and counted once where cubes overlap.
        assert_eq!(known.sum(Kind::Int64).int64_value(&[]), 2 * 4 * 2);
        let cube = known.get(1).narrow(0, 0, 2).narrow(2, 2, 2);
        assert_eq!(cube.all().int64_value(&[]), 1);
        assert!(found.masked_select(&known).equal(&batch.label.masked_select(&known)));
    }

    #[test]
    fn the_number_of_rounds_is_uniform_and_depends_on_seed_and_step_alone() {
        let config: InteractionConfig = toml::from_str("rounds = 4").unwrap();
        let mut counts = [0; 4];
        for taken in 0..400 {
            let rounds = config.rounds_of_step(7, taken);
            assert_eq!(rounds, config.rounds_of_step(7, taken));
            counts[rounds as usize - 1] += 1;
        }
        // Binomial with mean 100 and standard deviation 8.7.
        assert!(counts.iter().all(|count| (65..135).contains(count)), "{counts:?}");
    }
}
