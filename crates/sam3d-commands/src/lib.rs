//! Commands that both programs have, `sam3d` and `cargo xtask`: arguments, defined once, and what they run.
//!
//! A command returns its report, which the program prints; progress goes to standard error. Nothing here links libtorch, so
//! that `cargo xtask` can be built and run before it is there.
#![expect(clippy::print_stderr, reason = "progress of a program")]

mod cache;
mod dataset_stats;
mod fetch_sample;
mod fetch_weights;
mod hint;
pub mod pip;
mod prepare_data;
mod progress;
mod source;

use std::path::PathBuf;

use sam3d_data::progress::OnProgress;

pub use cache::cache_directory;
pub use dataset_stats::{DatasetStatsArgs, DatasetStatsReport};
pub use fetch_sample::{FetchSampleArgs, FetchSampleReport, SampleCaseReport};
pub use fetch_weights::{FetchWeightsArgs, FetchWeightsReport};
pub use hint::{hint, hint_of_dataset};
pub use prepare_data::{DroppedCase, FoldSizes, PrepareDataArgs, PrepareDataReport};

/// The program a command is part of.
#[derive(Debug, Clone)]
pub struct Program {
    /// Directory of `data/` and `weights/`, where results go by default.
    pub root: PathBuf,
    /// Whether progress is shown on standard error.
    pub shows_progress: bool,
}

/// Runs `work` with a function that shows its progress on standard error, if it is to be `shown`.
pub fn with_progress<T>(shown: bool, work: impl FnOnce(OnProgress<'_>) -> T) -> T {
    let bars = progress::Bars::new(&Program { root: PathBuf::new(), shows_progress: shown });
    work(&|event| bars.show(event))
}

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
