//! `sam3d`: parses what was typed, runs it, and turns a failure into one line and an exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use sam3d_cli::{args::Cli, logging, output};

/// Exit codes: 0 done, 1 failed, 2 wrong usage (clap's own).
fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = logging::init(&cli.global).and_then(|()| sam3d_cli::run(&cli));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has stopped reading: `sam3d ... | head` is not a failure.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if standard error is closed, too.
            let _ = writeln!(io::stderr(), "error: {}", output::one_line(&error));
            ExitCode::FAILURE
        }
    }
}
