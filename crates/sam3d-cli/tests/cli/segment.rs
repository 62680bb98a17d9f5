//! `sam3d segment`: one click, and everything that can be wrong with what is typed.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path, sync::OnceLock};

use ndarray::Array3;
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use sam3d_io::{
    Grid,
    atomic::Overwrite,
    nifti::{self, ReadLimits},
};
use sam3d_model::{Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, Provenance, Sam3d};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::support::{failure_of, sam3d, stdout_of};

/// A directory with a CT, a label and weights; made once.
fn files() -> &'static TempDir {
    static FILES: OnceLock<TempDir> = OnceLock::new();
    FILES.get_or_init(|| {
        let directory = tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let bright =
            |(k, j, i): (usize, usize, usize)| (5..12).contains(&k) && (8..20).contains(&j) && i < 15;
        let ct = Array3::from_shape_fn(ct_grid().shape_kji(), |index| if bright(index) { 90i16 } else { 20 });
        nifti::write(&path("ct.nii.gz"), ct.view(), &ct_grid(), Overwrite::Refuse).unwrap();
        let truth = ct.mapv(|value| u8::from(value > 50));
        nifti::write(&path("truth.nii.gz"), truth.view(), &ct_grid(), Overwrite::Refuse).unwrap();
        let preprocessing = Preprocessing {
            intensity: Intensity::new([-50.0, 150.0], 60.0, 30.0).unwrap(),
            spacing_mm: Spacing::new([1.5; 3]).unwrap(),
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        };
        write_weights(&path("weights.safetensors"), &ModelConfig::tiny(), Some(preprocessing));
        write_weights(&path("bare.safetensors"), &ModelConfig::tiny(), None);
        directory
    })
}

/// 30 x 28 x 18 voxels (i, j, k) of 1 x 1 x 3 mm, oblique, from right, anterior and superior.
pub(crate) fn ct_grid() -> Grid {
    let (sin, cos) = 0.1f64.sin_cos();
    let affine =
        Affine::new([[cos, -sin, 0.0, -10.0], [sin, cos, 0.0, 25.0], [0.0, 0.0, -3.0, 70.0]]).unwrap();
    Grid::from_affine([30, 28, 18], affine).unwrap()
}

fn write_weights(path: &Path, model: &ModelConfig, preprocessing: Option<Preprocessing>) {
    let network = Sam3d::new(model, tch::Device::Cpu, 3).unwrap();
    let provenance = Provenance { source: "random weights of a test".into(), ..Provenance::default() };
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model: model.clone(),
        preprocessing,
        provenance,
        base: None,
    };
    Checkpoint::write(&network, &metadata, path).unwrap();
}

/// The line of a command that works but for what `changes` replaces.
fn line(changes: &[(&str, &str)]) -> Vec<String> {
    let mut line = vec!["segment".to_owned()];
    for (option, value) in [
        ("--weights", "weights.safetensors"),
        ("--image", "ct.nii.gz"),
        ("--point", "7,12,8"),
        ("--out", "result/mask.nii.gz"),
    ] {
        let changed = changes.iter().find(|(name, _)| *name == option).map(|(_, value)| *value);
        line.extend([option.to_owned(), changed.unwrap_or(value).to_owned()]);
    }
    line
}

/// A directory of its own with links to the shared files and an empty `result`.
pub(crate) fn workplace() -> TempDir {
    let directory = tempdir().unwrap();
    for entry in fs::read_dir(files().path()).unwrap() {
        let entry = entry.unwrap();
        fs::hard_link(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    fs::create_dir(directory.path().join("result")).unwrap();
    directory
}

#[test]
fn negative_clicks_are_for_weights_that_know_them() {
    let place = workplace();
    let two = ["--point", "9,12,8,-"];
    let message = failure_of(sam3d(place.path()).args(line(&[])).args(two), 1);
    assert!(message.contains("weights.safetensors") && message.contains("point_labels"), "{message}");
    let mut model = ModelConfig::tiny();
    model.prompt.as_mut().unwrap().point_labels = true;
    let preprocessing =
        Checkpoint::read(&place.path().join("weights.safetensors")).unwrap().metadata.preprocessing;
    write_weights(&place.path().join("labelled.safetensors"), &model, preprocessing);
    let labelled = line(&[("--weights", "labelled.safetensors")]);
    let text = stdout_of(sam3d(place.path()).args(labelled).args(two));
    assert!(text.contains("result/mask.nii.gz"), "{text}");
}

#[test]
fn a_click_becomes_a_mask_on_the_same_grid() {
    let place = workplace();
    let mut command = sam3d(place.path());
    command.args(line(&[])).args(["--prob-out", "result/p.nii.gz", "--label", "3", "--json"]);
    command.args(["--truth", "truth.nii.gz", "--overlay", "result/pictures", "--threshold", "0.4"]);
    let report: Value = serde_json::from_str(&stdout_of(&mut command)).unwrap();

    let read = |name: &str| nifti::read(&place.path().join(name), ReadLimits::default()).unwrap();
    let (ct, mask, probability) = (read("ct.nii.gz"), read("result/mask.nii.gz"), read("result/p.nii.gz"));
    assert_eq!(mask.grid, ct.grid);
    assert_eq!(mask.value_type, sam3d_io::ValueType::Uint8);
    let above = probability.data.mapv(|p| if p > 0.4 { 3.0 } else { 0.0 });
    assert_eq!(mask.data, above);
    let voxels = mask.data.iter().filter(|value| **value != 0.0).count();
    assert_eq!(report["voxels"], voxels);
    assert!(report["dice"].as_f64().is_some());
    for view in ["axial", "coronal", "sagittal", "views"] {
        assert!(place.path().join(format!("result/pictures/overlay_{view}.png")).exists(), "{view}");
    }
}

/// NRRD in and a segmentation for 3D Slicer out: the same mask as in NIfTI, with its name.
#[test]
fn other_formats_in_and_out() {
    let place = workplace();
    let path = |name: &str| place.path().join(name);
    let read = |name: &str| sam3d_io::read(&path(name), ReadLimits::default()).unwrap();
    let ct = read("ct.nii.gz");
    sam3d_io::write(&path("ct.nrrd"), ct.data.view(), &ct.grid, Overwrite::Refuse).unwrap();
    // Whatever the random weights say, some voxels are in the mask and some are not, and none is near the threshold: the
    // widest gap in the middle half of all probabilities.
    stdout_of(sam3d(place.path()).args(line(&[])).args(["--prob-out", "result/p.nii.gz"]));
    let mut probability = read("result/p.nii.gz").data.into_raw_vec_and_offset().0;
    probability.sort_by(f32::total_cmp);
    let middle = &probability[probability.len() / 4..3 * probability.len() / 4];
    let gap = middle.windows(2).max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0]))).unwrap();
    let threshold = (f64::from(gap[0] + gap[1]) / 2.0).to_string();
    stdout_of(sam3d(place.path()).args(line(&[])).args(["--force", "--threshold", &threshold]));
    let changes = [("--image", "ct.nrrd"), ("--out", "result/mask.seg.nrrd")];
    let mut command = sam3d(place.path());
    command.args(line(&changes)).args(["--name", "Kidney: left", "--label", "4", "--threshold", &threshold]);
    command.args(["--truth", "result/mask.nii.gz"]);
    assert!(stdout_of(&mut command).contains("dice         1.0000"));
    let (mask, segmentation) = (read("result/mask.nii.gz"), read("result/mask.seg.nrrd"));
    assert_eq!(segmentation.data, mask.data.mapv(|value| 4.0 * value));
    let info = stdout_of(sam3d(place.path()).args(["info", "result/mask.seg.nrrd"]));
    assert!(info.contains("format       NRRD") && info.contains(" voxels (Kidney: left)\n"), "{info}");

    let refused = failure_of(
        sam3d(place.path()).args(line(&[("--image", "ct.nrrd")])).args(["--force", "--max-voxels", "15119"]),
        1,
    );
    assert!(
        refused.contains("ct.nrrd: the header claims 15120 voxels, more than the limit of 15119"),
        "{refused}"
    );
    let unknown = failure_of(sam3d(place.path()).args(line(&[("--out", "result/mask.png")])), 1);
    assert!(unknown.contains("mask.png: expected a file name that ends in"), "{unknown}");
}

#[test]
fn the_same_place_in_voxels_and_millimetres() {
    let place = workplace();
    let [x, y, z] = ct_grid().world_from_ijk().world_from_voxel([7.0, 12.0, 8.0]);
    let mask = |space: &str, point: String| {
        let out = format!("result/{space}.nii");
        let mut command = sam3d(place.path());
        command.args(line(&[("--point", &point), ("--out", &out)])).args(["--space", space]);
        stdout_of(&mut command);
        nifti::read(&place.path().join(&out), ReadLimits::default()).unwrap().data
    };
    let voxel = mask("voxel", "7,12,8".into());
    assert_eq!(voxel, mask("ras", format!("{x},{y},{z}")));
    assert_eq!(voxel, mask("lps", format!("{},{},{z}", -x, -y)));
}

#[test]
fn an_existing_mask_is_kept_without_force() {
    let place = workplace();
    let path = place.path().join("result/mask.nii.gz");
    fs::write(&path, "mine").unwrap();
    let message = failure_of(sam3d(place.path()).args(line(&[])), 1);
    assert!(message.contains("--force"), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    stdout_of(sam3d(place.path()).args(line(&[])).arg("--force"));
    assert!(nifti::read(&path, ReadLimits::default()).is_ok());
}

#[test]
fn bad_input_is_one_line_and_writes_nothing() {
    let place = workplace();
    let write = |name: &str, content: &[u8]| fs::write(place.path().join(name), content).unwrap();
    let ct = fs::read(place.path().join("ct.nii.gz")).unwrap();
    write("cut.nii.gz", &ct[..ct.len() / 2]);
    write("text.nii.gz", b"this is no image");
    write("frames.nii", &four_frames(place.path()));
    let wide = ModelConfig { crop: 96, ..ModelConfig::tiny() };
    write_weights(&place.path().join("other.safetensors"), &wide, None);
    mix_up(place.path());
    fs::copy(sam3d_testkit::golden_path("tiny_adapter.pth.tar"), place.path().join("a.pth.tar")).unwrap();

    for (changes, words) in [
        ([("--image", "none.nii.gz")], ["none.nii.gz", "cannot be read"]),
        ([("--image", "cut.nii.gz")], ["cut.nii.gz", "again"]),
        ([("--image", "text.nii.gz")], ["text.nii.gz", "not a NIfTI"]),
        ([("--image", "frames.nii")], ["frames.nii", "2 frames"]),
        ([("--point", "7,12,18")], ["ct.nii.gz", "k from 0 to 17"]),
        ([("--point", "7,12,8,-")], ["negative", "at least one"]),
        ([("--weights", "none.safetensors")], ["none.safetensors", "cannot read"]),
        ([("--weights", "mixed.safetensors")], ["mixed.safetensors", "shape"]),
        ([("--weights", "bare.safetensors")], ["bare.safetensors", "--dataset"]),
        ([("--weights", "a.pth.tar")], ["a.pth.tar", "sam3d convert"]),
        ([("--out", "none/mask.nii.gz")], ["none/mask.nii.gz", "cannot write"]),
        ([("--out", "result")], ["result", "is a directory"]),
    ] {
        let message = failure_of(sam3d(place.path()).args(line(&changes)), 1);
        assert_eq!(message.lines().count(), 1, "{changes:?}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{changes:?}: {message}");
        assert_eq!(fs::read_dir(place.path().join("result")).unwrap().count(), 0, "{changes:?}");
    }
}

#[test]
fn pictures_that_have_no_place_stop_the_command_before_the_mask() {
    let place = workplace();
    let mut command = sam3d(place.path());
    let message = failure_of(command.args(line(&[])).args(["--overlay", "ct.nii.gz/pictures"]), 1);
    assert!(message.lines().count() == 1 && message.contains("ct.nii.gz/pictures"), "{message}");
    assert_eq!(fs::read_dir(place.path().join("result")).unwrap().count(), 0);
}

/// A disk that is full after a few blocks, as far as a process can tell: writing beyond the limit fails.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let place = workplace();
    let program = assert_cmd::cargo::cargo_bin("sam3d");
    let mut command = assert_cmd::Command::new("sh");
    command.current_dir(place.path()).args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""]);
    command.arg(program).args(line(&[("--out", "result/mask.nii")])).arg("--quiet");
    let message = failure_of(&mut command, 1);
    assert!(message.lines().count() == 1 && message.contains("result/mask.nii"), "{message}");
    assert_eq!(fs::read_dir(place.path().join("result")).unwrap().count(), 0);
}

/// A NIfTI file of two frames: the CT's header with another number of dimensions and voxels twice.
fn four_frames(directory: &Path) -> Vec<u8> {
    let volume = nifti::read(&directory.join("ct.nii.gz"), ReadLimits::default()).unwrap();
    let path = directory.join("plain.nii");
    nifti::write(&path, volume.data.view(), &volume.grid, Overwrite::Replace).unwrap();
    let mut bytes = fs::read(path).unwrap();
    let voxels = bytes[352..].to_vec();
    bytes.extend(voxels);
    bytes[40..42].copy_from_slice(&4i16.to_le_bytes());
    bytes[48..50].copy_from_slice(&2i16.to_le_bytes());
    bytes
}

/// Weights whose metadata speak of another configuration than their tensors have.
fn mix_up(directory: &Path) {
    let network = Sam3d::new(&ModelConfig::tiny(), tch::Device::Cpu, 0).unwrap();
    let mut model = ModelConfig::tiny();
    model.decoder.hidden_channels = 32;
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model,
        preprocessing: None,
        provenance: Provenance::default(),
        base: None,
    };
    let preprocessing =
        Checkpoint::read(&directory.join("weights.safetensors")).unwrap().metadata.preprocessing;
    let metadata = Metadata { preprocessing, ..metadata };
    Checkpoint::write(&network, &metadata, &directory.join("mixed.safetensors")).unwrap();
}

#[test]
fn a_probability_map_becomes_a_mask_with_its_own_threshold() {
    let place = workplace();
    let truth = nifti::read(&place.path().join("truth.nii.gz"), ReadLimits::default()).unwrap();
    let probability = truth.data.mapv(|value| 0.01 + 0.9 * value);
    let path = place.path().join("probability.nii.gz");
    nifti::write(&path, probability.view(), &truth.grid, Overwrite::Refuse).unwrap();
    for option in ["--truth", "--initial"] {
        let mut command = sam3d(place.path());
        let message = failure_of(command.args(line(&[])).args([option, "probability.nii.gz"]), 1);
        assert!(message.contains("probability.nii.gz: expected a mask"), "{message}");
        assert!(message.contains("with --mask-threshold P"), "{message}");
    }
    let dice = |truth: &[&str]| {
        let mut command = sam3d(place.path());
        let json = stdout_of(command.args(line(&[])).args(truth).args(["--force", "--json"]));
        serde_json::from_str::<Value>(&json).unwrap()["dice"].clone()
    };
    let expected = dice(&["--truth", "truth.nii.gz"]);
    assert!(expected.is_number(), "{expected}");
    assert_eq!(dice(&["--truth", "probability.nii.gz", "--mask-threshold", "0.5"]), expected);
}

/// Voxels of centimetres are a mistake in a header; resampled, the volume would not fit in any memory.
#[test]
fn a_volume_too_large_to_resample_is_named() {
    let place = workplace();
    let rows = [[9e3, 0.0, 0.0, 0.0], [0.0, 9e3, 0.0, 0.0], [0.0, 0.0, 9e3, 0.0]];
    let grid = Grid::from_affine([8, 8, 8], Affine::new(rows).unwrap()).unwrap();
    let ct = Array3::from_elem([8, 8, 8], 20i16);
    nifti::write(&place.path().join("metres.nii"), ct.view(), &grid, Overwrite::Refuse).unwrap();
    let line = line(&[("--image", "metres.nii"), ("--point", "4,4,4")]);
    let message = failure_of(sam3d(place.path()).args(line), 1);
    assert!(message.contains("metres.nii: resampling 8 x 8 x 8 voxels"), "{message}");
    assert_eq!(message.matches("resampling").count(), 1, "{message}");
}
