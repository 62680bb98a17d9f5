//! `sam3d`: parses the command line, runs it, and turns a failure into one line and an exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use sam3d_cli::{args::Cli, logging, output};

/// Exit codes: 0 success, 1 failure, 2 wrong usage (clap's own).
fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = logging::init(&cli.global, cli.logs_json()).and_then(|()| sam3d_cli::run(&cli));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has closed the pipe: `sam3d ... | head` is not a failure.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed as well, nothing can be reported.
            let _ = writeln!(io::stderr(), "error: {}", output::one_line(&error));
            ExitCode::FAILURE
        }
    }
}
