//! Files as people have them: small synthetic ones after public reports (`tests/fixtures/file_cases`), made with pydicom,
//! SimpleITK and nibabel, and variations of them that are made here.
//!
//! The fixtures show a bright ball in a small CT; the ball's contours enclose 899 voxels of the grid they were drawn on.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its input has failed")]

mod content;
mod dicom_folders;
mod geometry;
mod masks;
mod structure_sets;

use std::{
    cell::RefCell,
    fmt::Write,
    path::{Path, PathBuf},
    sync::Once,
};

use ndarray::Array3;
use sam3d_io::{IoError, ReadLimits, Volume};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/file_cases").join(name)
}

fn read(path: &Path) -> Result<Volume, IoError> {
    sam3d_io::read(path, ReadLimits::default())
}

thread_local! {
    /// The warnings of this thread.
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What a call returns, and the warnings it logs on this thread.
///
/// One subscriber serves the whole process: with one for each call, a place that warns for the first time on a thread
/// without any can be remembered as one that nobody listens to.
fn with_warnings<T>(call: impl FnOnce() -> T) -> (T, Vec<String>) {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(Warnings).unwrap());
    WARNINGS.take();
    let result = call();
    (result, WARNINGS.take())
}

struct Warnings;

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            write!(text, "{field}={value:?} ").unwrap();
        });
        WARNINGS.with_borrow_mut(|warnings| warnings.push(text));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

fn count(mask: &Array3<u8>) -> usize {
    mask.iter().filter(|value| **value != 0).count()
}

fn dice(a: &Array3<u8>, b: &Array3<u8>) -> f64 {
    let both = a.iter().zip(b).filter(|(a, b)| **a != 0 && **b != 0).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}
