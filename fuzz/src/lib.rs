//! What the fuzz targets share: a file with the bytes that libFuzzer made up.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use sam3d_io::{IoError, ReadLimits, Volume};

/// Small, so that a file that asks for much is refused instead of slowing the search down.
pub const LIMITS: ReadLimits = ReadLimits { max_voxels: 1 << 16 };

/// The file `name` with `bytes`, in a directory of this process in memory, where the system has such a place.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        tempfile::tempdir_in(place).expect("a directory for the input")
    });
    let path = directory.path().join(name);
    fs::write(&path, bytes).expect("a file for the input");
    path
}

/// What must hold of every file: a volume of the shape its grid has, without NaN, or an error with a message.
pub fn check(result: Result<Volume, IoError>) {
    match result {
        Ok(volume) => {
            assert_eq!(volume.data.shape(), volume.grid.shape_kji());
            assert!(volume.data.len() <= LIMITS.max_voxels);
            assert!(volume.data.iter().all(|value| value.is_finite()));
            assert!(volume.grid.spacing_ijk_mm().iter().all(|mm| *mm > 0.0 && mm.is_finite()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Lets a panic that the library catches (in a decoder of others) end as the error it becomes. libFuzzer's own hook would
/// stop at it; a panic that is not caught still stops the run, where it leaves the target.
pub fn ignore_caught_panics() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| std::panic::set_hook(Box::new(|_| {})));
}
