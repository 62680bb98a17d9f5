//! The program as it is typed: exit codes, and errors of one line.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{fs, path::Path};

use assert_cmd::Command;
use ndarray::Array3;
use predicates::{prelude::PredicateBooleanExt, str::contains};
use sam3d_data::{dataset::PreparedDataset, splits::Part};
use sam3d_geom::Affine;
use sam3d_io::{Grid, atomic::Overwrite, nifti};

fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments);
    command
}

/// The last line of a task that must fail: why it failed.
fn failure(command: &mut Command) -> String {
    let output = command.assert().code(1).get_output().clone();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    text.lines().next_back().filter(|line| line.starts_with("error: ")).unwrap_or_default().to_owned()
}

#[test]
fn help_names_every_task() {
    let tasks = ["setup", "demo", "test", "prepare-data"].map(contains);
    let [setup, demo, test, data] = tasks;
    xtask(&["--help"]).assert().success().stdout(setup.and(demo).and(test).and(data));
    xtask(&["no-such-task"]).assert().code(2);
}

#[test]
fn a_libtorch_of_the_user_is_checked_and_left_alone() {
    let libtorch = tempfile::tempdir().unwrap();
    for directory in ["lib", "include"] {
        fs::create_dir(libtorch.path().join(directory)).unwrap();
    }
    let version = libtorch.path().join("build-version");
    let setup = |path: &Path| {
        let mut command = xtask(&["setup"]);
        command.env("LIBTORCH", path);
        command
    };

    fs::write(&version, "2.13.0+cpu").unwrap();
    setup(libtorch.path()).assert().success().stdout(contains("yours").and(contains("2.13.0+cpu")));
    fs::write(&version, "2.9.1+cu128").unwrap();
    let error = failure(&mut setup(libtorch.path()));
    assert!(error.contains("2.9.1+cu128") && error.contains("needs 2.13.0"), "{error}");
    let error = failure(&mut setup(&libtorch.path().join("missing")));
    assert!(error.contains("no lib and include"), "{error}");
    assert_eq!(fs::read_dir(libtorch.path()).unwrap().count(), 3);
}

/// Writes a volume of `value` with one voxel of 1, at 1 mm, whose first voxel is at `x_mm`.
fn write_volume(path: &Path, shape_kji: [usize; 3], value: i16, x_mm: f64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut data = Array3::from_elem(shape_kji, value);
    data[[0, 0, 0]] = value + 1;
    nifti::write(path, data.view(), &grid(shape_kji, x_mm), Overwrite::Refuse).unwrap();
}

fn grid([k, j, i]: [usize; 3], x_mm: f64) -> Grid {
    let affine = Affine::new([[1.0, 0.0, 0.0, x_mm], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
    Grid::from_affine([i, j, k], affine).unwrap()
}

#[test]
fn prepare_data_drops_what_cannot_be_used_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let [source, out] = ["source", "out"].map(|name| directory.path().join(name));
    let shape = [4, 5, 6];
    let image = |case: &str| write_volume(&source.join(case).join("CT_image.nii.gz"), shape, 40, 0.0);
    let label = |case: &str, shape, value, x_mm| {
        write_volume(&source.join(case).join("CT_mask.nii.gz"), shape, value, x_mm);
    };
    for case in ["STS_1", "STS_2", "STS_3", "STS_4", "empty", "moved", "other_shape", "no_label", "torn"] {
        image(case);
    }
    for case in ["STS_1", "STS_2", "STS_3", "STS_4", "torn"] {
        label(case, shape, 0, 0.0);
    }
    label("empty", shape, 0, 0.0);
    nifti::write(
        &source.join("empty/CT_mask.nii.gz"),
        Array3::<u8>::zeros(shape).view(),
        &grid(shape, 0.0),
        Overwrite::Replace,
    )
    .unwrap();
    label("moved", shape, 0, 30.0);
    label("other_shape", [4, 5, 7], 0, 0.0);
    let torn = source.join("torn/CT_image.nii.gz");
    let bytes = fs::read(&torn).unwrap();
    fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();

    let prepare = |more: &[&str]| {
        let mut command = xtask(&["prepare-data", "--dataset", "sts-ct"]);
        command.arg("--source").arg(&source).arg("--out").arg(&out).args(more);
        command
    };
    let output = prepare(&["--seed", "3"]).assert().success().get_output().stdout.clone();
    let table = String::from_utf8(output).unwrap();
    assert!(table.contains("9 cases found, 4 usable, 5 dropped"), "{table}");
    for (case, why) in [
        ("empty", "no voxel of the target class 1"),
        ("moved", "30.00 mm apart"),
        ("other_shape", "[6, 5, 4] and [7, 5, 4] voxels"),
        ("no_label", "it has no label"),
        ("torn", "torn"),
    ] {
        let row = table.lines().find(|line| line.trim_start().starts_with(case)).unwrap_or_default();
        assert!(row.contains(why), "{case}: {table}");
    }
    let prepared = PreparedDataset::open(&out).unwrap();
    assert_eq!(prepared.cases.len(), 4);
    assert_eq!(prepared.splits.seed, 3);
    let sizes = [Part::Train, Part::Validation, Part::Test].map(|part| prepared.part(0, part).unwrap().len());
    assert_eq!(sizes, [2, 1, 1]);

    prepare(&["--folds", "4"]).assert().success().stdout(contains("fold 3"));
    assert_eq!(PreparedDataset::open(&out).unwrap().splits.folds.len(), 4);
    assert!(failure(&mut prepare(&["--folds", "5"])).contains("only 4 cases"));
}

#[test]
fn fetch_weights_takes_the_published_weights_only() {
    let directory = tempfile::tempdir().unwrap();
    let (copy, out) = (directory.path().join("copy.pth"), directory.path().join("out.pth"));
    fs::write(&copy, "no weights").unwrap();
    let fetch = |out: &Path| {
        let mut command = xtask(&["fetch-weights", "sam_vit_b", "--source"]);
        command.arg(&copy).arg("--out").arg(out);
        command
    };
    let error = failure(&mut fetch(&out));
    assert!(error.contains("copy.pth") && error.contains("expected 01ec64"), "{error}");
    assert!(!out.exists());
    assert!(failure(&mut fetch(directory.path())).contains("is a directory"));
    xtask(&["fetch-weights", "sam_vit_x"]).assert().code(2).stderr(contains("sam_vit_b"));
}

#[test]
fn prepare_data_without_usable_cases_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let prepare = |source: &Path| {
        let mut command = xtask(&["prepare-data", "--dataset", "kits21", "--out"]);
        command.arg(&out).arg("--source").arg(source);
        command
    };
    assert!(failure(&mut prepare(directory.path())).contains("no case of kits21"));
    assert!(failure(&mut prepare(&directory.path().join("missing"))).contains("missing: cannot be read"));
    let image = directory.path().join("case_00000/imaging.nii.gz");
    write_volume(&image, [2, 2, 2], 0, 0.0);
    write_volume(&image.with_file_name("aggregated_MAJ_seg.nii.gz"), [2, 2, 2], 0, 0.0);
    assert!(failure(&mut prepare(directory.path())).contains("none of the 1 cases"));
    assert!(failure(&mut xtask(&["prepare-data", "--dataset", "kits21"])).contains("--source is missing"));
    assert!(failure(&mut xtask(&["prepare-data", "--dataset", "no-such-set"])).contains("demo, kits21"));
    assert!(!out.exists());
}
