//! `sam3d serve`: segmentation over HTTP until Ctrl-C or SIGTERM.

use std::{fmt, fs, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use sam3d_infer::{InferError, Segmenter, SegmenterOptions};
use sam3d_serve::{ArchiveConfig, Config, Limits, ServeError, Server};
use serde::Serialize;
use tokio::signal;

use super::{archive::OpenArchive, segmenter, weights};
use crate::{
    args::{GlobalArgs, ServeArgs},
    output, runtime,
};

/// How long uploads in `--sessions` are kept without use.
const KEPT_IDLE: Duration = Duration::from_secs(24 * 3600);

/// Prints the address and serves until it receives a signal.
///
/// # Errors
/// If the weights, a directory or the address cannot be used, or a required token is missing.
pub fn run(args: &ServeArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let device = runtime::device(global.device)?;
    let token = token(args)?;
    let options = SegmenterOptions {
        device,
        embedding_bytes: args.cache.saturating_mul(1 << 20),
        ..SegmenterOptions::default()
    };
    let options = segmenter::options(args.base.as_deref(), args.dataset.as_deref(), options)?;
    let weights = weights::resolve(args.weights.as_ref(), global)?;
    let named = weights.to_string();
    let archive = OpenArchive::open(&args.archive)?;
    let config = Config {
        host: args.host,
        port: args.port,
        token,
        allowed_origins: args.allow_origins.clone(),
        studies: args.studies.clone(),
        labels: labels(args),
        sessions: args.sessions.clone(),
        archive: archive.map(|OpenArchive { archive, cache }| ArchiveConfig {
            archive,
            cache,
            shows_patients: args.phi,
        }),
        // Directories may be private.
        algorithm: named.rsplit(['/', '\\']).next().unwrap_or_default().to_owned(),
        encode_ahead: !args.no_encode_ahead,
        target: args.name.clone(),
        limits: Limits {
            voxels: args.reading.max_voxels,
            leases: args.viewers,
            lease_idle: Duration::from_secs(args.viewer_idle),
            reading_bytes: args.reading_memory.saturating_mul(1 << 20),
            // Uploads that outlive a restart are there for more than one sitting.
            idle: args.sessions.as_ref().map_or(Limits::default().idle, |_| KEPT_IDLE),
            ..Limits::default()
        },
    };
    let server =
        Server::bind(config, move || Segmenter::open(&weights, &options)).map_err(|error| match error {
            ServeError::Weights(InferError::PreprocessingUnknown { .. }) => {
                anyhow!("{error}; name the dataset it was trained on with --dataset")
            }
            error @ (ServeError::Weights(_) | ServeError::NoPrompts) => {
                anyhow::Error::from(error).context(named)
            }
            error => error.into(),
        })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the server's threads")?;
    runtime.block_on(async {
        // Signals must be handled from the moment the address is printed.
        let stop = stop()?;
        output::emit(&Report { address: format!("http://{}/", server.address()) }, global.json)?;
        server.run(stop).await.map_err(anyhow::Error::from)
    })
}

/// Where labels are saved: the directory that is named, else `labels` in the studies. Studies that cannot be written to are
/// served all the same, and nothing is saved then.
fn labels(args: &ServeArgs) -> Option<PathBuf> {
    if args.labels.is_some() {
        return args.labels.clone();
    }
    let studies = args.studies.as_ref()?;
    let directory = studies.join("labels");
    // Studies that are missing are the server's own error.
    if studies.is_dir()
        && let Err(error) = fs::create_dir_all(&directory).and_then(|()| tempfile::tempfile_in(&directory))
    {
        tracing::warn!(
            "labels are not saved: {} cannot be written to ({error}); name another directory with --labels",
            directory.display()
        );
        return None;
    }
    Some(directory)
}

/// The token, from the command line or a file.
fn token(args: &ServeArgs) -> anyhow::Result<Option<String>> {
    let Some(path) = &args.token_file else { return Ok(args.token.clone()) };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(text.trim().to_owned()))
}

/// A future that is ready on SIGINT or SIGTERM.
fn stop() -> anyhow::Result<impl Future<Output = ()>> {
    let failed = "cannot catch signals";
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate()).context(failed)?;
    let mut interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt()).context(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[derive(Serialize)]
struct Report {
    address: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.address)
    }
}
