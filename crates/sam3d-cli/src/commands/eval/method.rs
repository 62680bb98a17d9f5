//! The methods that can be evaluated, by name.

use std::path::Path;

use anyhow::{Context, bail};
use sam3d_baselines::{BaselineCheckpoint, BaselineMetadata, Method as Comparison};
use sam3d_data::dataset::{Dataset, comparison_preprocessing};
use sam3d_eval::{AutoMethod, AutomaticMethod, ClickMethod, Method, SliceMethod, WindowConfig};
use sam3d_infer::{Accepts, Segmenter, SegmenterOptions, TestTimeAugmentation, Weights};
use sam3d_io::sliding_window::Weighting;
use sam3d_model::{Precision, Provenance, sam2d::Sam2d};
use sam3d_pickle::Limits;
use tch::Device;

use super::inputs::EvaluationInputs;
use crate::{
    args::{EvalArgs, FirstArg, MethodName, WindowWeights},
    commands::{segmenter, weights},
};

/// A method with its weights.
pub(super) struct OpenedMethod {
    pub(super) method: Box<dyn Method>,
    pub(super) weights_sha256: String,
    pub(super) provenance: Provenance,
}

/// The method that was asked for.
///
/// # Errors
/// If the weights cannot be read or are not those of the method.
pub(super) fn open(
    args: &EvalArgs,
    source: &EvaluationInputs,
    device: Device,
) -> anyhow::Result<OpenedMethod> {
    let weights = &source.weights;
    let (method, provenance): (Box<dyn Method>, Provenance) = match args.method {
        MethodName::Sam3d => {
            let provenance = provenance(weights)?;
            let segmenter = segmenter(args, weights, device)?;
            if !segmenter.accepts().clicks {
                bail!("{}: {}", weights::names(weights), Accepts::NO_PROMPTS);
            }
            if args.first == Some(FirstArg::Box) && !segmenter.accepts().shapes {
                bail!("--first box: {}: {}", weights::names(weights), Accepts::NO_SHAPES);
            }
            (Box::new(ClickMethod::new(segmenter)), provenance)
        }
        MethodName::Auto => {
            let provenance = provenance(weights)?;
            let method = AutoMethod::new(segmenter(args, weights, device)?)
                .with_context(|| weights::names(weights))?;
            (Box::new(method), provenance)
        }
        MethodName::Sam2d => {
            only_f32(args)?;
            let Some(dataset) = &args.dataset else {
                bail!(
                    "--method sam2d needs --dataset: SAM's weights do not say how volumes are preprocessed"
                );
            };
            let preprocessing = Dataset::named_or_open(dataset)?.preprocessing;
            let network = Sam2d::read(file(args, weights)?, device, &Limits::default())?;
            let source = "SAM's own weights".to_owned();
            let provenance = Provenance { source, ..Provenance::default() };
            (Box::new(SliceMethod::new(network, preprocessing)), provenance)
        }
        MethodName::Nnunet => comparison(Comparison::Nnunet, args, file(args, weights)?, device)?,
        MethodName::Transbts => comparison(Comparison::Transbts, args, file(args, weights)?, device)?,
        MethodName::Nnformer => comparison(Comparison::Nnformer, args, file(args, weights)?, device)?,
        MethodName::SwinUnetr => comparison(Comparison::SwinUnetr, args, file(args, weights)?, device)?,
        MethodName::UnetrPp => comparison(Comparison::UnetrPp, args, file(args, weights)?, device)?,
        MethodName::UxNet => comparison(Comparison::UxNet, args, file(args, weights)?, device)?,
    };
    let hashes = weights.iter().map(Weights::sha256).collect::<Result<Vec<_>, _>>()?;
    Ok(OpenedMethod { method, weights_sha256: hashes.join(" and "), provenance })
}

/// What the first weights say of themselves.
fn provenance(weights: &[Weights]) -> anyhow::Result<Provenance> {
    let first = weights.first().context("no weights")?;
    Ok(first.read_alone()?.metadata.provenance)
}

/// The segmenter of this project's own weights.
fn segmenter(args: &EvalArgs, weights: &[Weights], device: Device) -> anyhow::Result<Segmenter> {
    let options = SegmenterOptions {
        device,
        precision: args.precision,
        augmentation: args.tta,
        ..SegmenterOptions::default()
    };
    let options = segmenter::options(args.base.as_deref(), args.dataset.as_deref(), options)?;
    segmenter::open(weights, &options)
}

/// The file of weights that are not this project's own network, which no built-in weights are.
fn file<'a>(args: &EvalArgs, weights: &'a [Weights]) -> anyhow::Result<&'a Path> {
    if args.tta != TestTimeAugmentation::None {
        bail!("--tta {}: only this project's own networks are averaged over mirror images", args.tta);
    }
    match weights {
        [Weights::File(path)] => Ok(path),
        [weights @ Weights::BuiltIn(_)] => {
            bail!(
                "the built-in weights {weights} are for --method sam3d; name a checkpoint with --weights FILE"
            )
        }
        _ => bail!("several --weights: only this project's own networks are averaged"),
    }
}

fn only_f32(args: &EvalArgs) -> anyhow::Result<()> {
    match args.precision {
        Precision::F32 => Ok(()),
        Precision::Bf16 => bail!("--precision bf16: only this project's own networks compute in bf16"),
    }
}

/// The comparison network `method` with its windows.
fn comparison(
    method: Comparison,
    args: &EvalArgs,
    weights: &Path,
    device: Device,
) -> anyhow::Result<(Box<dyn Method>, Provenance)> {
    only_f32(args)?;
    let checkpoint = BaselineCheckpoint::read(weights)?;
    let BaselineMetadata { network, preprocessing, provenance, .. } = checkpoint.metadata.clone();
    if network.method() != method {
        let found = network.method().name();
        bail!("{}: weights of {found}; evaluate them with --method {found}", weights.display());
    }
    let preprocessing = match (&args.dataset, preprocessing) {
        (Some(name), _) => comparison_preprocessing(&Dataset::named_or_open(name)?)?,
        (None, Some(preprocessing)) => preprocessing,
        (None, None) => bail!(
            "{}: the checkpoint does not say how intensities were preprocessed; name the dataset it was trained on with --dataset",
            weights.display()
        ),
    };
    let weighting = match args.window_weights {
        WindowWeights::Constant => Weighting::Constant,
        WindowWeights::Gaussian => Weighting::Gaussian,
    };
    let windows = WindowConfig { overlap: args.overlap, weighting };
    let network = checkpoint.into_network(device).with_context(|| weights.display().to_string())?;
    let method = AutomaticMethod::new(network, preprocessing, windows)?;
    Ok((Box::new(method), provenance))
}
