//! Log lines on standard error.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::args::GlobalArgs;

/// The variable that overrides `-v` and `-q`, in tracing's filter syntax.
const FILTER_VARIABLE: &str = "SAM3D_LOG";

/// Installs the subscriber: the level of `-v` and `-q`, unless `SAM3D_LOG` sets a filter; lines for people, or with `json` lines of
/// JSON with the time.
///
/// # Errors
/// If `SAM3D_LOG` is not a valid filter, or a subscriber is installed already.
pub fn init(global: &GlobalArgs, json: bool) -> anyhow::Result<()> {
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(text) => EnvFilter::try_new(&text)
            .with_context(|| format!("{FILTER_VARIABLE}={text} is not a log filter such as debug"))?,
        Err(_) => EnvFilter::new(default_filter(global)),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let installed = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        lines.with_ansi(io::stderr().is_terminal()).with_target(false).without_time().try_init()
    };
    installed.map_err(|error| anyhow::anyhow!("logging: {error}"))
}

/// The project's own crates (all names start with sam3d) at the requested level, others at `warn`.
fn default_filter(global: &GlobalArgs) -> &'static str {
    match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,sam3d=info",
        (false, 1) => "warn,sam3d=debug",
        (false, _) => "info,sam3d=trace",
    }
}
