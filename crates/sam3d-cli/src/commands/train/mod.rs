//! `sam3d train`: settings from file and options, progress on standard error, the result on standard output.

mod dry_run;
mod report;
mod reporter;
pub(super) mod settings;

use std::env;

use anyhow::Context;
use sam3d_train::{
    communicator::Communicator,
    config::TrainConfig,
    fit::{FitOptions, Outcome, fit},
    run::Invocation,
};
use tch::Device;

use self::{report::Report, reporter::Reporter};
use crate::{
    args::{DeviceArg, GlobalArgs, TrainArgs},
    output, runtime, stop,
};

/// Trains and prints how the run ended.
///
/// # Errors
/// If the settings, the data or the run directory do not allow it.
pub fn run(args: &TrainArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let config = settings::resolve(args, global)?;
    let ranks = if args.distributed { Communicator::mpi()? } else { Communicator::alone() };
    let outcome = train(&config, args, global, &ranks);
    if let Err(error) = &outcome
        && ranks.size() > 1
    {
        // Reported here, because aborting the other processes ends this one as well.
        tracing::error!("process {} of {}: {}", ranks.rank(), ranks.size(), output::one_line(error));
        ranks.abort();
    }
    match outcome? {
        Some((outcome, device)) if ranks.is_root() => {
            output::emit(&Report::new(&outcome, device), global.json)
        }
        _ => Ok(()),
    }
}

fn train(
    config: &TrainConfig,
    args: &TrainArgs,
    global: &GlobalArgs,
    ranks: &Communicator,
) -> anyhow::Result<Option<(Outcome, Device)>> {
    // Processes on one machine are assigned to its devices in turn.
    let wanted = match global.device {
        DeviceArg::Auto if ranks.size() > 1 && tch::Cuda::is_available() => {
            DeviceArg::Cuda(ranks.local_rank() % tch::Cuda::device_count().max(1) as usize)
        }
        wanted => wanted,
    };
    let device = runtime::device(wanted)?;
    if config.train.deterministic {
        runtime::make_deterministic(device)?;
    }
    if args.dry_run {
        dry_run::run(config, device, global.json)?;
        return Ok(None);
    }
    let stop = stop::on_signal().context("cannot catch signals")?;
    let options = FitOptions {
        device,
        resume: args.resume,
        stop: &stop,
        ranks,
        invocation: Invocation {
            program: concat!("sam3d ", env!("CARGO_PKG_VERSION")).to_owned(),
            git_commit: option_env!("SAM3D_GIT_COMMIT").map(str::to_owned),
            command: env::args().collect(),
            threads: tch::get_num_threads().try_into().unwrap_or_default(),
        },
    };
    let mut reporter = Reporter::new(ranks.is_root());
    let outcome = fit(config, &options, &mut |event| reporter.report(event));
    reporter.finish();
    Ok(Some((outcome?, device)))
}
