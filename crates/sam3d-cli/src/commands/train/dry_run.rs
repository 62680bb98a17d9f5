//! `sam3d train --dry-run`: settings, size, memory and time of a run.

use std::fmt;

use sam3d_model::{Preset, Recompute};
use sam3d_train::{
    config::{ModelChoice, TrainConfig},
    fit::trial::{Shape, Trial, trial},
};
use serde::Serialize;
use tch::Device;

use crate::{memory, output};

/// Prints settings and size of the run of `config`, and takes three of its steps if they fit into memory.
///
/// # Errors
/// If the configuration or the data do not allow the run.
pub(super) fn run(config: &TrainConfig, device: Device, json: bool) -> anyhow::Result<()> {
    let expected = expected_peak(config);
    let available = if device == Device::Cpu { memory::available() } else { None };
    let fits = match (expected, available) {
        (Some(expected), Some(available)) => Some(expected <= available),
        _ => None,
    };
    let mut found = None;
    let trial = trial(config, device, &mut |shape| {
        found = Some(*shape);
        // A step that does not fit would be killed, or make the machine swap for minutes.
        fits != Some(false)
    })?;
    let measured = if trial.is_some() { memory::peak() } else { None };
    let report = Report { config, shape: found, expected, measured, available, fits, trial };
    output::emit(&report, json)
}

/// Peak memory of a training step with one crop, in GiB, measured by `cargo xtask performance` on the CPU; for `vit_b` with
/// all activations, what the published runs used on their GPU.
const PEAKS: [(Preset, Recompute, f64); 3] = [
    (Preset::Tiny, Recompute::None, 0.6),
    (Preset::VitB, Recompute::Blocks, 5.5),
    (Preset::VitB, Recompute::None, 33.0),
];

/// The memory of a step of `config` in bytes, if known: an upper bound, one crop's memory for each crop of a batch.
fn expected_peak(config: &TrainConfig) -> Option<u64> {
    let ModelChoice::Preset(preset) = config.model else { return None };
    let known = PEAKS.iter().find(|peak| (peak.0, peak.1) == (preset, config.train.recompute));
    let volumes = if config.train.cache_gib > 0.0 { 0.0 } else { 2.0 * config.train.memory_gib };
    let gib = known?.2 * config.train.batch_size as f64 + volumes;
    Some((gib * f64::from(1 << 30)) as u64)
}

#[derive(Serialize)]
struct Report<'a> {
    config: &'a TrainConfig,
    shape: Option<Shape>,
    /// Expected memory of a step, in bytes.
    expected: Option<u64>,
    /// Memory of the steps taken, in bytes.
    measured: Option<u64>,
    /// Available memory, in bytes.
    available: Option<u64>,
    fits: Option<bool>,
    trial: Option<Trial>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = toml::to_string_pretty(self.config).map_err(|_| fmt::Error)?;
        writeln!(f, "{config}")?;
        if let Some(shape) = &self.shape {
            let millions = |count: usize| count as f64 / 1e6;
            let (trained, frozen) = (millions(shape.trained), millions(shape.frozen));
            writeln!(f, "parameters        {trained:.2} M trained, {frozen:.2} M frozen")?;
            writeln!(
                f,
                "cases             {} for training, {} for validation",
                shape.train_cases, shape.validation_cases
            )?;
            let (steps, epochs) = (shape.steps_per_epoch, self.config.train.epochs);
            match self.config.train.minutes {
                Some(minutes) => writeln!(f, "steps             {steps} per epoch, for {minutes} minutes")?,
                None => {
                    writeln!(f, "steps             {steps} per epoch, {} in {epochs} epochs", steps * epochs)?
                }
            }
        }
        let gib = |bytes: Option<u64>| {
            bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.1} GiB", memory::gib(bytes)))
        };
        writeln!(f, "memory expected   {} (measured earlier for such steps)", gib(self.expected))?;
        writeln!(f, "memory available  {}", gib(self.available))?;
        if self.fits == Some(false) {
            writeln!(
                f,
                "fits in memory    no; set train.recompute = \"blocks\", a smaller train.batch_size or another model"
            )?;
        }
        let Some(trial) = &self.trial else { return Ok(()) };
        writeln!(f, "memory measured   {} in the steps below", gib(self.measured))?;
        let seconds: Vec<String> =
            trial.step_seconds.iter().map(|seconds| format!("{seconds:.2} s")).collect();
        writeln!(f, "steps taken       {}", seconds.join(", "))?;
        if let (Some(cost), Some(interaction)) = (trial.interaction_cost, &self.config.train.interaction) {
            let most = interaction.rounds;
            writeln!(
                f,
                "interaction       a step of {most} rounds takes {cost:.2} times as long as one of one round"
            )?;
        }
        writeln!(f, "validation        {:.2} s per case", trial.validation_case_seconds)?;
        let hours = trial.epoch_seconds * self.config.train.epochs as f64 / 3600.0;
        let total = match self.config.train.minutes {
            Some(minutes) => format!("{minutes} minutes of steps in total"),
            None => format!("{hours:.1} h in total"),
        };
        writeln!(f, "time              {:.1} s per epoch, {total}", trial.epoch_seconds)
    }
}
