//! Real volumes for tests. They are patient data and not part of the repository.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The real volume `relative`, looked for in the directory in `SAM3D_TEST_DATA`, else in `../shared/data` beside the
/// workspace. `None`, after a printed line, where it is missing: the test that asks is then skipped.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn test_volume(relative: &str) -> Option<PathBuf> {
    let root = env::var_os("SAM3D_TEST_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there (set SAM3D_TEST_DATA to a directory that has it)", path.display());
    None
}
