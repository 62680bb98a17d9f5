//! `sam3d eval --method`: other methods than clicks in a crop, with untrained weights.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path};

use ndarray::Array3;
use sam3d_baselines::{Baseline, BaselineCheckpoint, BaselineMetadata, Method, Size};
use sam3d_data::{
    dataset::{Case, CaseId, Dataset, PreparedDataset, Splits},
    splits::Split,
};
use sam3d_geom::Affine;
use sam3d_io::{Grid, atomic::Overwrite, nifti};
use sam3d_model::{Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, Provenance, Sam3d};
use sam3d_testkit::golden_path;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{failure_of, sam3d, stdout_of};

/// One case of 24 voxels of 3 mm a side, which one window holds, and untrained weights.
fn prepare(place: &Path) {
    let affine = Affine::new([[-3.0, 0.0, 0.0, 0.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]]).unwrap();
    let grid = Grid::from_affine([24; 3], affine).unwrap();
    let image = Array3::from_shape_fn([24; 3], |(k, j, i)| (40 + 2 * k + j + i) as i16);
    let label = Array3::from_shape_fn([24; 3], |(k, j, i)| {
        u8::from((10..13).contains(&k) && (8..14).contains(&j) && (9..15).contains(&i))
    });
    let data = place.join("data");
    fs::create_dir(&data).unwrap();
    let case = Case {
        id: CaseId::new("small").unwrap(),
        image: data.join("image.nii"),
        label: data.join("label.nii"),
        label_on_image_voxels: false,
    };
    nifti::write(&case.image, image.view(), &grid, Overwrite::Refuse).unwrap();
    nifti::write(&case.label, label.view(), &grid, Overwrite::Refuse).unwrap();
    let split = Split { test: vec![case.id.clone()], ..Split::default() };
    let splits = Splits { seed: 0, folds: vec![split] };
    let dataset = Dataset::named("demo").unwrap();
    PreparedDataset { dataset, cases: vec![case], splits }.write(&data).unwrap();

    let model = ModelConfig::tiny().auto(64);
    let network = Sam3d::new(&model, tch::Device::Cpu, 3).unwrap();
    let provenance = Provenance { source: "random weights of a test".into(), ..Provenance::default() };
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model,
        preprocessing: None,
        provenance: provenance.clone(),
        base: None,
    };
    Checkpoint::write(&network, &metadata, &place.join("auto.safetensors")).unwrap();
    let config = Method::Nnunet.config(Size::Small);
    let baseline = Baseline::new(&config, tch::Device::Cpu, 3).unwrap();
    let metadata = BaselineMetadata {
        format_version: sam3d_baselines::FORMAT_VERSION,
        network: config,
        preprocessing: None,
        provenance,
    };
    BaselineCheckpoint::write(&baseline, &metadata, &place.join("nnunet.safetensors")).unwrap();
}

#[test]
fn other_methods_are_evaluated_by_the_same_protocol() {
    let place = tempdir().unwrap();
    let place = place.path();
    prepare(place);
    let sam = golden_path("tiny_sam_2d.pth");
    let eval = |method: &str, weights: &Path| {
        let mut command = sam3d(place);
        command.args(["eval", "--data", "data", "--points", "1,3", "--json", "--method", method]);
        command.arg("--weights").arg(weights);
        command
    };
    let scores = |method: &str, weights: &Path| -> Value {
        let text = stdout_of(eval(method, weights).args(["--dataset", "demo", "--out", method]));
        serde_json::from_str(&text).unwrap()
    };
    // By score its clicks: their number asked for, and those that were given.
    let clicks = |found: &Value| -> Vec<(u64, usize)> {
        let scores = found["cases"][0]["scores"].as_array().unwrap();
        let count = |score: &Value| score["clicks_ijk"].as_array().unwrap().len();
        scores.iter().map(|score| (score["points"].as_u64().unwrap(), count(score))).collect()
    };
    let auto = scores("auto", Path::new("auto.safetensors"));
    assert_eq!((&auto["identity"]["method"], clicks(&auto)), (&"auto".into(), vec![(0, 0)]));
    let baseline = scores("nnunet", Path::new("nnunet.safetensors"));
    assert_eq!((&baseline["identity"]["method"], clicks(&baseline)), (&"nnunet".into(), vec![(0, 0)]));
    assert_eq!(baseline["identity"]["preprocessing"]["spacing_mm"], serde_json::json!([2.5, 1.5, 1.5]));
    // Three slices of 3 mm are six of 1.5 mm.
    let slices = scores("sam2d", &sam);
    assert_eq!((&slices["identity"]["method"], clicks(&slices)), (&"sam2d".into(), vec![(1, 6), (3, 18)]));
    // Nothing is found in slices without target, so the mask is at most six slices of the whole grid.
    let ml = slices["cases"][0]["scores"][0]["prediction_ml"].as_f64().unwrap();
    assert!(ml <= 5.0 * 24.0 * 24.0 * 27.0 / 1000.0, "{ml}");

    // Clicks can differ only between methods that have some.
    let twice = ["--dataset", "demo", "--clicks", "2", "--out", "twice"];
    stdout_of(eval("sam2d", &sam).args(twice));
    let table = stdout_of(sam3d(place).args(["compare", "sam2d", "nnunet", "twice"]));
    assert!(table.contains("sam2d and twice differ in the sets of clicks"), "{table}");
    assert_eq!(table.matches(" differ in ").count(), 1, "{table}");

    let fails = |method: &str, weights: &Path| failure_of(&mut eval(method, weights), 1);
    assert!(fails("sam2d", &sam).contains("--dataset"));
    assert!(fails("nnunet", Path::new("nnunet.safetensors")).contains("--dataset"));
    assert!(fails("nnunet", Path::new("auto.safetensors")).contains("comparison network"));
}
