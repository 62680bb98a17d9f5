//! Progress bars of tasks that take minutes.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `count` cases or files.
pub(crate) fn cases(count: usize) -> ProgressBar {
    styled(ProgressBar::new(count as u64), "{wide_bar} {pos}/{len}, {eta} left")
}

/// A bar over bytes.
pub(crate) fn bytes(count: u64) -> ProgressBar {
    styled(ProgressBar::new(count), "{wide_bar} {binary_bytes}/{binary_total_bytes}, {eta} left")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    // A template that does not parse would only cost the bar its looks.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
