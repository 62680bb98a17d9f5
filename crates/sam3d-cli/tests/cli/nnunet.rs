//! Directories in nnU-Net's format: exported, prepared again and trained on, without a description in TOML.

use std::fs;

use sam3d_data::dataset::PreparedDataset;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{failure_of, prepare_demo, sam3d, stdout_of};

#[test]
fn a_directory_is_exported_prepared_and_trained_on() {
    let place = tempdir().unwrap();
    let root = place.path();
    prepare_demo(&root.join("data/demo"));
    let run = |arguments: &[&str]| stdout_of(sam3d(root).args(arguments));
    run(&["export-nnunet", "--data", "data/demo", "--out", "Dataset001_Demo"]);
    let description: Value =
        serde_json::from_slice(&fs::read(root.join("Dataset001_Demo/dataset.json")).unwrap()).unwrap();
    assert_eq!(description["numTraining"], 2);
    run(&["prepare-data", "--dataset", "Dataset001_Demo", "--out", "data/again"]);
    // The split is the exported one: two cases, one of them for validation.
    let again = PreparedDataset::open(&root.join("data/again")).unwrap();
    let first = PreparedDataset::open(&root.join("data/demo")).unwrap();
    let [fold, original] = [&again.splits.folds[0], &first.splits.folds[0]];
    assert_eq!((&fold.train, &fold.validation), (&original.train, &original.validation));
    let quick = [
        "--set",
        "train.epochs=1",
        "--set",
        "augmentation={shift_hu=0.0,shift_probability=0.0,resampling=\"none\",first_crop_factor=1.2,target_probability=1.0,flip_probability=0.0,quarter_turn_probability=0.0}",
    ];
    let train = ["train", "--dataset", "Dataset001_Demo", "--data", "data/again", "--out", "run", "--json"];
    let report: Value = serde_json::from_str(&run(&[&train[..], &quick].concat())).unwrap();
    assert_eq!(report["progress"]["epochs"], 1);
    // There and back once more gives the same directory.
    run(&["export-nnunet", "--data", "data/again", "--out", "Dataset002_Demo"]);
    let splits = |name: &str| {
        let text = fs::read(root.join(name).join("splits_final.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    assert_eq!(splits("Dataset001_Demo"), splits("Dataset002_Demo"));
    for image in fs::read_dir(root.join("Dataset002_Demo/imagesTr")).unwrap() {
        let name = image.unwrap().file_name();
        let read = |set: &str| {
            let path = root.join(set).join("imagesTr").join(&name);
            sam3d_io::read(&path, sam3d_io::ReadLimits::default()).unwrap().data
        };
        assert_eq!(read("Dataset001_Demo"), read("Dataset002_Demo"), "{name:?}");
    }
}

#[test]
fn several_channels_are_refused_by_name() {
    let place = tempdir().unwrap();
    let directory = place.path().join("Task05_Prostate");
    fs::create_dir_all(directory.join("imagesTr")).unwrap();
    let description = r#"{"modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "PZ"}}"#;
    fs::write(directory.join("dataset.json"), description).unwrap();
    let line = ["prepare-data", "--dataset", "Task05_Prostate"];
    let error = failure_of(sam3d(place.path()).args(line), 1);
    assert!(error.contains("T2, ADC") && error.contains("dataset.json"), "{error}");
}
