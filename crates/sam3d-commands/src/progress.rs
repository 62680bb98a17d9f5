//! Progress on standard error: a line and a bar for each stage.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use sam3d_data::progress::{Progress, Stage};

use crate::Program;

/// Shows the progress of one command.
pub(crate) struct Bars {
    shown: bool,
    bar: Mutex<ProgressBar>,
}

impl Bars {
    pub(crate) fn new(program: &Program) -> Self {
        Self { shown: program.shows_progress, bar: Mutex::new(ProgressBar::hidden()) }
    }

    /// Shows a line, if progress is shown at all.
    pub(crate) fn say(&self, line: &str) {
        if self.shown {
            eprintln!("{line}");
        }
    }

    /// Shows an event of a library.
    pub(crate) fn show(&self, event: Progress<'_>) {
        if !self.shown {
            return;
        }
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Progress::Begins { stage, done, total } => {
                eprintln!("{stage}");
                *bar = new_bar(stage, done, total);
            }
            Progress::Advances(by) => bar.inc(by),
            Progress::Ends => bar.finish_and_clear(),
            Progress::UnpackedBefore(directory) => eprintln!("{}: unpacked before", directory.display()),
        }
    }
}

fn new_bar(stage: Stage<'_>, done: u64, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match (total, stage.is_in_bytes()) {
        (Some(total), false) => (ProgressBar::new(total), "{wide_bar} {pos}/{len}, {eta} left"),
        (Some(total), true) => (
            ProgressBar::new(total),
            "{wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        ),
        (None, false) => (ProgressBar::new_spinner(), "{pos}"),
        (None, true) => (ProgressBar::new_spinner(), "{binary_bytes}, {binary_bytes_per_sec}"),
    };
    // A template that does not parse would only cost the bar its looks.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_position(done);
    bar.reset_eta();
    bar
}
