//! A directory with weights and studies, and the program serving them.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use ndarray::Array3;
use sam3d_io::{ReadLimits, atomic::Overwrite};
use sam3d_model::{Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, Provenance};
use tempfile::TempDir;

use crate::bright;

/// Weights that find what is bright, and two studies, `one` and `two`.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self::of(&bright::config())
    }

    /// With the bright network of `config`.
    pub(crate) fn of(config: &ModelConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let metadata = Metadata {
            format_version: FORMAT_VERSION,
            model: config.clone(),
            preprocessing: Some(bright::preprocessing()),
            provenance: Provenance { source: "set by hand for a test".into(), ..Provenance::default() },
            base: None,
        };
        Checkpoint::write(
            &bright::network_of(config),
            &metadata,
            &directory.path().join("weights.safetensors"),
        )
        .unwrap();
        std::fs::create_dir(directory.path().join("studies")).unwrap();
        for (name, shift) in [("one", 0), ("two", 20)] {
            let path = directory.path().join(format!("studies/{name}.nii.gz"));
            sam3d_io::write(&path, bright::volume(shift).view(), &bright::grid(), Overwrite::Refuse).unwrap();
        }
        Self(directory)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `sam3d serve` on a free port, with `more` arguments.
    pub(crate) fn serve(&self, more: &[&str]) -> Program {
        let mut child = command(self.0.path())
            .args(["serve", "--weights", "weights.safetensors", "--studies", "studies"])
            .args(if more.contains(&"--port") { &[][..] } else { &["--port", "0"] })
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Program { child, address: address.trim().to_owned() }
    }

    /// The mask the command line writes for one click on a study.
    pub(crate) fn segment(&self, study: &str, ijk: [usize; 3], threshold: f64) -> Array3<f32> {
        let [i, j, k] = ijk;
        self.mask(study, &["--point", &format!("{i},{j},{k}")], threshold)
    }

    /// The mask the command line writes for the session in the file `log`.
    pub(crate) fn replay(&self, study: &str, log: &str, threshold: f64) -> Array3<f32> {
        self.mask(study, &["--session", log], threshold)
    }

    fn mask(&self, study: &str, prompts: &[&str], threshold: f64) -> Array3<f32> {
        let mut segment = command(self.0.path());
        segment.args(["segment", "--weights", "weights.safetensors", "--force", "--out", "segmented.nii.gz"]);
        segment.args(["--image", &format!("studies/{study}.nii.gz"), "--threshold", &threshold.to_string()]);
        let output = segment.args(prompts).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        volume(&self.path("segmented.nii.gz"))
    }
}

/// The program, running; told to end when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Killed outright it would leave its directory for uploads behind.
        let _ended = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let _status = self.child.wait();
    }
}

pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("sam3d"));
    command.current_dir(directory).env_remove("SAM3D_LOG");
    command
}

/// The voxels of a file.
pub(crate) fn volume(path: &Path) -> Array3<f32> {
    sam3d_io::read(path, ReadLimits::default()).unwrap().data
}

/// Where the scripts for browser and client are.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sam3d-serve/e2e")
}

/// Says that a test is skipped, and why.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
