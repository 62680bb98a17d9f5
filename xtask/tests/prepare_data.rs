//! `cargo xtask prepare-data` and `dataset-stats` on small data of the challenges' form.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{fs, io::Write, path::Path};

use assert_cmd::Command;
use ndarray::Array3;
use predicates::str::contains;
use sam3d_data::{
    dataset::PreparedDataset,
    splits::{Part, Split},
};
use sam3d_geom::Affine;
use sam3d_io::{Grid, atomic::Overwrite, nifti};

fn prepare(dataset: &str, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["prepare-data", "--dataset", dataset, "--out"]).arg(out).args(more);
    command
}

/// The last line of a task that must fail: why it failed.
fn failure(command: &mut Command) -> String {
    let output = command.assert().code(1).get_output().clone();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    text.lines().next_back().filter(|line| line.starts_with("error: ")).unwrap_or_default().to_owned()
}

/// Cases 1 to `count` of the form of the colon task: values from 0 to 59, the first `number` of them target.
fn write_colon(directory: &Path, count: usize) {
    let affine = Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
    let grid = Grid::from_affine([5, 4, 3], affine).unwrap();
    for kind in ["imagesTr", "labelsTr"] {
        fs::create_dir_all(directory.join(kind)).unwrap();
    }
    for number in 1..=count {
        let image = Array3::from_shape_fn((3, 4, 5), |(k, j, i)| (20 * k + 5 * j + i) as i16);
        let label = image.mapv(|value| u8::from(value < 10 * number as i16));
        let [image_path, label_path] = ["imagesTr", "labelsTr"]
            .map(|kind| directory.join(kind).join(format!("colon_{number:03}.nii.gz")));
        nifti::write(&image_path, image.view(), &grid, Overwrite::Replace).unwrap();
        nifti::write(&label_path, label.view(), &grid, Overwrite::Replace).unwrap();
    }
}

fn ids(ids: &[sam3d_data::dataset::CaseId]) -> Vec<&str> {
    ids.iter().map(|id| id.as_str()).collect()
}

#[test]
fn an_archive_is_as_good_as_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("Task10_Colon");
    write_colon(&source, 4);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("Task10_Colon", &source).unwrap();
    let tar = archive.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for number in 1..=4 {
        for kind in ["imagesTr", "labelsTr"] {
            let name = format!("{kind}/colon_{number:03}.nii.gz");
            zip.start_file(format!("Task10_Colon/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&fs::read(source.join(name)).unwrap()).unwrap();
        }
    }
    let zip = zip.finish().unwrap().into_inner();
    for (name, bytes) in [("a.tar", tar), ("b.tar.gz", gzip.finish().unwrap()), ("c.zip", zip)] {
        let (path, out) = (directory.path().join(name), directory.path().join(format!("out_{name}")));
        fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        prepare("msd-colon", &out, &["--source", path]).assert().success().stdout(contains("4 usable"));
        let prepared = PreparedDataset::open(&out).unwrap();
        assert!(prepared.cases.iter().all(|case| case.image.is_file() && case.image.starts_with(&out)));
        prepare("msd-colon", &out, &["--source", path])
            .assert()
            .success()
            .stdout(contains("4 usable"))
            .stderr(contains("unpacked before"));
    }
    let bad = directory.path().join("bad.tar");
    fs::write(&bad, "no archive").unwrap();
    let error = failure(&mut prepare(
        "msd-colon",
        &directory.path().join("bad"),
        &["--source", bad.to_str().unwrap()],
    ));
    assert!(error.contains("bad.tar") && error.contains("expected a .tar"), "{error}");
}

#[test]
fn what_needs_a_login_is_said_with_its_terms() {
    let out = tempfile::tempdir().unwrap();
    for (dataset, said) in [
        ("lits17", ["needs a login", "cc by-nc-nd 4.0", "codalab.org"]),
        ("kits21", ["get_imaging.py", "non-commercial", "cc by-nc-sa 4.0"]),
        ("sts-ct", ["theibsi/data_sets", "attribution", "cc by 3.0"]),
    ] {
        let error = failure(&mut prepare(dataset, out.path(), &[])).to_lowercase();
        assert!(
            error.contains("--source is missing") && said.iter().all(|text| error.contains(text)),
            "{error}"
        );
    }
}

#[test]
fn an_address_that_gives_nothing_is_named() {
    let out = tempfile::tempdir().unwrap();
    // Nothing listens there, and nothing leaves this computer.
    let error = failure(&mut prepare("msd-colon", out.path(), &["--source", "http://127.0.0.1:9/"]));
    assert!(error.contains("expected the address of a file"), "{error}");
}

#[test]
fn shards_are_put_together_when_all_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let [source, out, whole] = ["source", "out", "whole"].map(|name| directory.path().join(name));
    write_colon(&source, 7);
    fs::remove_file(source.join("labelsTr/colon_003.nii.gz")).unwrap();
    let source = source.to_str().unwrap();
    let shard = |shard: &str| prepare("msd-colon", &out, &["--source", source, "--shard", shard]);
    for beyond in ["0/3", "4/3"] {
        shard(beyond).assert().code(2).stderr(contains("I from 1 to N"));
    }
    shard("1/3").assert().success().stdout(contains("3 of 7 cases"));
    shard("3/3").assert().success().stdout(contains("no label"));
    let merge = |more: &[&str]| prepare("msd-colon", &out, &[&["--merge", "3"], more].concat());
    let error = failure(&mut merge(&[]));
    assert!(error.contains("shard 2/3 is missing; run with --shard 2/3 first"), "{error}");
    assert!(!out.join("cases.json").exists());
    shard("2/3").assert().success();
    merge(&["--fit-intensity"]).assert().success().stdout(contains("7 cases found, 6 usable, 1 dropped"));
    prepare("msd-colon", &whole, &["--source", source, "--fit-intensity"]).assert().success();
    for file in ["dataset.toml", "cases.json", "splits.json", "report.csv"] {
        assert_eq!(fs::read(out.join(file)).unwrap(), fs::read(whole.join(file)).unwrap(), "{file}");
    }

    // A shard of other files does not fit.
    write_colon(Path::new(source), 8);
    shard("2/3").assert().success();
    let error = failure(&mut merge(&[]));
    assert!(error.contains("check all shards again"), "{error}");
    fs::write(out.join("shards/2-of-3.json"), "{").unwrap();
    let error = failure(&mut merge(&[]));
    assert!(error.contains("2-of-3.json") && error.contains("damaged"), "{error}");
}

/// Folds as the published repository keeps them: `[{part: {number: [image, label]}}, ...]`, written by Python's pickle.
const PICKLE: &[u8] = include_bytes!("fixtures/split.pkl");

#[test]
fn published_splits_are_taken_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let [source, out] = ["source", "out"].map(|name| directory.path().join(name));
    write_colon(&source, 5);
    let import = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        prepare(
            "msd-colon",
            &out,
            &["--source", source.to_str().unwrap(), "--import-splits", path.to_str().unwrap()],
        )
    };
    let check = |folds: &[[&[&str]; 3]]| {
        let splits = PreparedDataset::open(&out).unwrap().splits.folds;
        assert_eq!(splits.len(), folds.len());
        for (Split { train, validation, test }, expected) in splits.iter().zip(folds) {
            assert_eq!([ids(train), ids(validation), ids(test)], expected.map(<[_]>::to_vec));
        }
    };
    let (a, b, c, d, e) = ("colon_001", "colon_002", "colon_003", "colon_004", "colon_005");
    import("split.pkl", PICKLE).assert().success();
    check(&[[&[a, b, c], &[d], &[e]], [&[b, c, d], &[e], &[a]]]);

    let json = r#"{"training": [{"image": "./imagesTr/colon_002.nii.gz", "label": "./labelsTr/colon_002.nii.gz"}],
                   "val": ["colon_001"], "test": {"colon_004.nii.gz": 1}, "note": "x"}"#;
    import("split.json", json.as_bytes())
        .assert()
        .success()
        .stdout(contains("2 usable cases are in no list"));
    check(&[[&[b], &[a], &[d]]]);
    import("split.txt", b"# mine\ntrain colon_005\ncolon_003, val\ntest\tcolon_001.nii.gz\n")
        .assert()
        .success();
    check(&[[&[e], &[c], &[a]]]);
    // The list that was just written is a list as well.
    let own = fs::read(out.join("splits.json")).unwrap();
    import("own.json", &own).assert().success();
    check(&[[&[e], &[c], &[a]]]);

    for (name, content, why) in [
        (
            "unknown.json",
            &br#"{"train": ["colon_001", "colon_099", "x/liver_3.nii"], "test": []}"#[..],
            "colon_099, x/liver_3.nii",
        ),
        ("twice.json", br#"{"train": ["colon_001"], "test": ["colon_001"]}"#, "case colon_001 is in "),
        ("none.json", br#"{"a": ["colon_001"]}"#, "expected lists of cases named train"),
        ("torn.json", br#"{"train": ["#, "not valid JSON"),
        ("bad.txt", b"train colon_001 colon_002", "line 1"),
        ("hostile.pkl", b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.", "posix.system"),
    ] {
        let error = failure(&mut import(name, content));
        assert!(error.contains(name) && error.contains(why), "{name}: {error}");
    }
    // A case that was dropped is said to be, and why.
    fs::remove_file(source.join("labelsTr/colon_003.nii.gz")).unwrap();
    let error = failure(&mut import("split.pkl", PICKLE));
    assert!(error.contains("colon_003") && error.contains("dropped: it has no label"), "{error}");
}

#[test]
fn statistics_are_those_of_the_training_cases() {
    let directory = tempfile::tempdir().unwrap();
    let [source, out] = ["source", "out"].map(|name| directory.path().join(name));
    write_colon(&source, 5);
    prepare("msd-colon", &out, &["--source", source.to_str().unwrap()]).assert().success();
    let stats = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["dataset-stats", "--data"]).arg(&out).args(more);
        command
    };
    // The target of case n is its first 10 n values: 0, 1, ... 10 n - 1.
    let prepared = PreparedDataset::open(&out).unwrap();
    let values: Vec<f64> = prepared
        .part(0, Part::Train)
        .unwrap()
        .iter()
        .flat_map(|case| 0..10 * case.id.as_str()[6..].parse::<u32>().unwrap())
        .map(f64::from)
        .collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    let output = stats(&["--json"]).assert().success().get_output().stdout.clone();
    let report: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(report["target_voxels"], values.len());
    assert!((report["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
    assert!((report["std"].as_f64().unwrap() - std).abs() < 1e-9);
    let text = String::from_utf8(stats(&[]).assert().success().get_output().stdout.clone()).unwrap();
    assert!(text.contains("[preprocessing.intensity]\nclip_hu = [0.0, "), "{text}");
    let error = failure(&mut stats(&["--fold", "3"]));
    assert!(error.contains("fold 3 does not exist"), "{error}");
}
