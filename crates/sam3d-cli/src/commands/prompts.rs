//! The prompts of a command line become the steps of a session.

use std::path::Path;

use anyhow::{Context, bail};
use ndarray::Array3;
use sam3d_geom::PointLabel;
use sam3d_infer::{Accepts, LogStep, MaskRuns, Prompt, SCRIBBLE_WIDTH, grow::GrowLimits};
use sam3d_io::{LabelOptions, Volume, check_same_grid, read_label_with};

use crate::{
    args::{BoxArg, PromptArg, SegmentArgs, Space},
    output,
};

/// The steps in the order of the command line: neighbouring points are given together, every other prompt by itself. Without
/// prompts it is one step for weights that take none. Growing follows the mask of the last step.
///
/// # Errors
/// If a prompt lies outside the image, a file cannot be read, or all prompts of the first step are outside the target.
pub fn steps(args: &SegmentArgs, image: &Volume) -> anyhow::Result<Vec<LogStep>> {
    let prompts = &args.prompts.0;
    let mut steps: Vec<LogStep> = Vec::new();
    for (at, argument) in prompts.iter().enumerate() {
        let prompt = prompt(argument, args, image)?;
        let is_point = |prompt: &PromptArg| matches!(prompt, PromptArg::Point(_));
        let joins = is_point(argument) && at > 0 && is_point(&prompts[at - 1]);
        match steps.last_mut().filter(|_| joins) {
            Some(step) => step.prompts.push(prompt),
            None => steps.push(LogStep::of([prompt])),
        }
    }
    if steps.is_empty() {
        steps.push(LogStep::default());
    } else if steps.iter().flat_map(|step| &step.prompts).all(is_outside) {
        match prompts.iter().all(|prompt| matches!(prompt, PromptArg::Point(_))) {
            true => bail!("every --point is negative; give at least one inside the target"),
            false => bail!("every prompt is outside the target; give at least one inside"),
        }
    } else if steps[0].prompts.iter().all(is_outside) {
        let option = prompts[0].option();
        bail!("the first prompt, {option}, is outside the target; begin with one inside");
    }
    let crops = if args.grow { args.max_crops.get() } else { 1 };
    let limits = GrowLimits { crops, threshold: args.threshold };
    if let Some(last) = steps.last_mut() {
        last.grow = (limits != GrowLimits::ONE_CROP).then_some(limits);
    }
    Ok(steps)
}

/// Checks, before anything is computed, that the weights understand the prompts and do not need more.
///
/// # Errors
/// A sentence that names the option and says what the weights accept.
pub fn check(args: &SegmentArgs, accepts: Accepts, steps: &[LogStep]) -> anyhow::Result<()> {
    let arguments = &args.prompts.0;
    if !accepts.clicks {
        if let Some(first) = arguments.first() {
            bail!("{}; leave out {}", Accepts::NO_PROMPTS, first.option());
        }
        if args.grow {
            bail!("weights of the prompt-free variant segment the whole volume; leave out --grow");
        }
        return Ok(());
    }
    if arguments.is_empty() {
        bail!("{}; add --point I,J,K", Accepts::PROMPT_NEEDED);
    }
    let prompts = steps.iter().flat_map(|step| &step.prompts);
    for (argument, prompt) in arguments.iter().zip(prompts) {
        if let Err(error) = accepts.check(prompt) {
            bail!("{}: {error}; they accept {accepts}", argument.option());
        }
    }
    Ok(())
}

fn prompt(argument: &PromptArg, args: &SegmentArgs, image: &Volume) -> anyhow::Result<Prompt> {
    let option = argument.option();
    let voxel = |coordinates: [f64; 3]| {
        let voxel = args.space.voxel_ijk(option, coordinates, &image.grid);
        voxel.with_context(|| args.image_path().display().to_string())
    };
    Ok(match argument {
        PromptArg::Point(point) => Prompt::click(voxel(point.coordinates)?, point.label),
        PromptArg::Box(BoxArg { corners: [first, last], label }) => {
            Prompt::Box { first: voxel(*first)?, last: voxel(*last)?, label: *label }
        }
        PromptArg::Scribble(path) => {
            let (points, label) = path.read().context(option)?;
            let path = points.into_iter().map(voxel).collect::<anyhow::Result<_>>()?;
            Prompt::Scribble { path, width: SCRIBBLE_WIDTH, label }
        }
        PromptArg::Lasso(path) => {
            let (points, label) = path.read().context(option)?;
            // Between voxels an outline is as exact as it was drawn; in millimetres it is moved into its slice of voxels.
            let corner = |point: [f64; 3]| match args.space {
                Space::Voxel => Ok(point),
                _ => Ok(voxel(point)?.map(|index| index as f64)),
            };
            Prompt::Lasso { outline: points.into_iter().map(corner).collect::<anyhow::Result<_>>()?, label }
        }
        PromptArg::Initial(path) => Prompt::Mask(initial(path, args, image).context(option)?),
    })
}

/// The mask at `path`, which must lie on the image's grid: 1 where it is not 0, or above `--mask-threshold`.
pub fn read_mask(path: &Path, args: &SegmentArgs, image: &Volume) -> anyhow::Result<Array3<u8>> {
    let options = LabelOptions { threshold: args.mask_threshold, ..LabelOptions::default() };
    let mask = read_label_with(path, &image.grid, args.reading.limits(), options)
        .map_err(|error| output::with_threshold(error, "--mask-threshold"))?;
    check_same_grid((args.image_path(), &image.grid), (path, &mask.grid))?;
    Ok(mask.data.mapv(|value| u8::from(value != 0.0)))
}

fn initial(path: &Path, args: &SegmentArgs, image: &Volume) -> anyhow::Result<MaskRuns> {
    let mask = read_mask(path, args, image)?;
    if mask.iter().all(|value| *value == 0) {
        bail!("{}: the mask is empty", path.display());
    }
    Ok(MaskRuns::of(mask.view()))
}

fn is_outside(prompt: &Prompt) -> bool {
    prompt.label() == PointLabel::Negative
}
