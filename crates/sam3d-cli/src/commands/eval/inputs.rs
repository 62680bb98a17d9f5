//! Where weights and data come from.

use std::path::{Path, PathBuf};

use anyhow::bail;
use sam3d_data::dataset::Dataset;
use sam3d_infer::Weights;
use sam3d_train::run::RunDirectory;

use crate::{
    args::{EvalArgs, GlobalArgs, RunCheckpoint},
    commands::weights,
};

/// Weights and data of an evaluation.
pub(super) struct EvaluationInputs {
    pub(super) weights: Vec<Weights>,
    pub(super) data: PathBuf,
    pub(super) fold: usize,
}

impl EvaluationInputs {
    /// What was typed, with a run's own weights, data and fold where it names a run.
    pub(super) fn of(args: &EvalArgs, global: &GlobalArgs) -> anyhow::Result<Self> {
        if let Some(directory) = &args.run {
            let config = RunDirectory::read_config(directory)?;
            let data = args.data.clone().unwrap_or_else(|| config.data_directory());
            let run = RunDirectory::at(directory);
            let weights = match args.checkpoint {
                RunCheckpoint::Best => run.best_path(),
                RunCheckpoint::Last => run.last_path(),
            };
            return Ok(Self { weights: vec![Weights::File(weights)], data, fold: config.fold });
        }
        let data = match (&args.data, &args.dataset) {
            (Some(data), _) => data.clone(),
            (None, Some(name)) => Path::new("data").join(Dataset::name_of(name)?),
            (None, None) => bail!(
                "name the cases to evaluate with --data DIR or --dataset NAME, or a training run with --run DIR"
            ),
        };
        let weights = weights::resolve_all(&args.weights, global)?;
        Ok(Self { weights, data, fold: 0 })
    }
}
