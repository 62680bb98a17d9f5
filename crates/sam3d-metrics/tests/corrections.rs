//! Every pair and run of `corrections.json`: corrective clicks, depths, ties, areas under curves and clicks to a Dice.

#![expect(clippy::unwrap_used, reason = "a golden file of another layout fails the test")]

use ndarray::Array3;
use sam3d_geom::{PointLabel, Spacing};
use sam3d_metrics::{
    ClickAuc, ClickRule, CorrectiveClick, clicks_to_reach, corrective_click, error_components, imed3d_nsd,
    largest_component,
};
use sam3d_testkit::{GoldenTensors, golden_json};
use serde_json::Value;

fn mask(masks: &GoldenTensors, name: &str) -> Array3<u8> {
    let tensor = masks.get(name);
    let shape: [usize; 3] = tensor.shape.try_into().unwrap();
    Array3::from_shape_vec(shape, tensor.values.iter().map(|v| *v as u8).collect()).unwrap()
}

fn voxel(value: &Value) -> [usize; 3] {
    serde_json::from_value(value.clone()).unwrap()
}

fn assert_close(what: &str, found: f64, golden: &Value) {
    let wanted = golden.as_f64().unwrap();
    assert!((found - wanted).abs() <= 1e-6 * wanted.abs(), "{what}: found {found}, golden {wanted}");
}

/// A click is one of the golden ties, and on an isotropic grid the first.
fn assert_clicked(what: &str, found: [usize; 3], golden: &Value, isotropic: bool) {
    if isotropic {
        assert_eq!(found, voxel(&golden["click"]), "{what}");
    }
    let ties = golden["ties"].as_array().unwrap();
    assert!(ties.iter().any(|tie| voxel(tie) == found), "{what}: {found:?} is not one of {ties:?}");
}

fn assert_label(what: &str, click: &CorrectiveClick, golden: &Value) {
    let wanted =
        if golden["positive"].as_bool().unwrap() { PointLabel::Positive } else { PointLabel::Negative };
    assert_eq!(click.point.label, wanted, "{what}");
}

#[test]
fn every_golden_pair() {
    let masks = GoldenTensors::open("corrections_masks.safetensors");
    let golden = golden_json("corrections.json");
    let pairs = golden["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 24);
    for pair in pairs {
        let name = pair["name"].as_str().unwrap();
        let (truth, prediction) =
            (mask(&masks, &format!("{name}.truth")), mask(&masks, &format!("{name}.pred")));
        let spacing: Spacing = serde_json::from_value(pair["spacing_mm"].clone()).unwrap();
        let click = |rule| {
            let below = |_| panic!("{name}: only the random rule draws");
            corrective_click(truth.view(), prediction.view(), spacing, rule, below).unwrap()
        };
        let components = error_components(truth.view(), prediction.view()).unwrap();
        let correction = &pair["correction"];
        let Some(largest) = largest_component(&components) else {
            assert!(correction.is_null(), "{name}");
            assert_eq!(ClickRule::ALL.map(click), [None; 4], "{name}");
            continue;
        };
        assert_eq!(components.len(), correction["components"], "{name}");
        assert_eq!(
            components.iter().map(|one| one.voxels()).sum::<u64>(),
            correction["error_voxels"],
            "{name}"
        );
        assert_eq!(largest.voxels(), correction["component_voxels"], "{name}");

        let isotropic = spacing.anisotropy() == 1.0;
        let units = [
            ("mm", spacing, isotropic, ClickRule::Largest),
            ("voxel", Spacing::UNIT, true, ClickRule::Imed3d),
        ];
        for (unit, spacing, isotropic, rule) in units {
            let (what, golden) = (format!("{name}, {unit}"), &correction[unit]);
            let deepest = largest.deepest(spacing).unwrap();
            assert_close(&what, deepest.depth_mm, &golden["depth"]);
            assert_clicked(&what, deepest.voxel, golden, isotropic);
            let click = click(rule).unwrap();
            assert_eq!(
                (click.point.index, click.component_voxels),
                (deepest.voxel, largest.voxels()),
                "{what}"
            );
            assert_label(&what, &click, golden);

            // The map has its largest value at every tie and nowhere else.
            let map = largest.depth_map_mm(spacing).unwrap();
            let enough = deepest.depth_mm * (1.0 - 1e-6);
            let deep = map.indexed_iter().filter(|(_, depth)| f64::from(**depth) >= enough);
            let start = largest.start();
            let found: Vec<[usize; 3]> =
                deep.map(|((d, h, w), _)| [start[0] + d, start[1] + h, start[2] + w]).collect();
            let ties: Vec<[usize; 3]> = golden["ties"].as_array().unwrap().iter().map(voxel).collect();
            assert_eq!(found, ties, "{what}");
        }
        assert_close(name, click(ClickRule::Largest).unwrap().depth_mm, &correction["mm"]["depth"]);

        let (what, golden) = (format!("{name}, deepest"), &correction["deepest"]);
        let click = click(ClickRule::Deepest).unwrap();
        assert_close(&what, click.depth_mm, &golden["depth"]);
        assert_label(&what, &click, golden);
        assert_eq!(click.point.index, voxel(&golden["click"]), "{what}");
    }
}

#[test]
fn every_golden_run() {
    let golden = golden_json("corrections.json");
    let runs = golden["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 6);
    for (number, run) in runs.iter().enumerate() {
        let what = format!("run {number}");
        let scores = |key: &str| -> Vec<f64> { serde_json::from_value(run[key].clone()).unwrap() };
        let (dice, nsd) = (scores("dice"), scores("nsd_2mm"));
        let auc = ClickAuc::of(&dice).unwrap();
        assert_close(&what, auc.area, &run["dice_auc"]);
        assert_close(&what, auc.mean, &run["dice_auc_over_4"]);
        let gated: Vec<f64> = nsd.iter().zip(&dice).map(|(nsd, dice)| imed3d_nsd(*nsd, *dice)).collect();
        assert_close(&what, ClickAuc::of(&gated).unwrap().area, &run["nsd_auc_dice_gated"]);
        assert_close(&what, *dice.last().unwrap(), &run["dice_final"]);
        for (target, clicks) in run["clicks_to"].as_object().unwrap() {
            let found = clicks_to_reach(&dice, target.parse().unwrap());
            assert_eq!(found, clicks.as_u64().map(|clicks| clicks as usize), "{what}, {target}");
        }
    }
}
