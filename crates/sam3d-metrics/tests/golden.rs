//! Every number of `metrics.json`, to 1e-6 relative.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a golden file of another layout fails the test")]

use ndarray::Array3;
use sam3d_geom::Spacing;
use sam3d_metrics::{DirectedDistances, Overlap, Percentile, SurfaceDistances, Tolerance};
use sam3d_testkit::{GoldenTensors, golden_json};
use serde_json::Value;

fn mask(masks: &GoldenTensors, name: &str) -> Array3<u8> {
    let tensor = masks.get(name);
    let shape: [usize; 3] = tensor.shape.try_into().unwrap();
    Array3::from_shape_vec(shape, tensor.values.iter().map(|v| *v as u8).collect()).unwrap()
}

/// A golden number: `null` is undefined, `"inf"` infinite.
fn wanted(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::String(text) if text == "inf" => Some(f64::INFINITY),
        Value::Number(number) => number.as_f64(),
        other => panic!("unexpected golden value {other}"),
    }
}

fn assert_agrees(what: &str, found: Option<f64>, golden: &Value) {
    let agrees = match (found, wanted(golden)) {
        (Some(found), Some(wanted)) => found == wanted || (found - wanted).abs() <= 1e-6 * wanted.abs(),
        (found, wanted) => found == wanted,
    };
    assert!(agrees, "{what}: found {found:?}, golden {golden}");
}

#[test]
fn every_golden_number() {
    let masks = GoldenTensors::open("metrics_masks.safetensors");
    let golden = golden_json("metrics.json");
    let mut checked = 0;
    for (name, numbers) in golden.as_object().unwrap() {
        let truth = mask(&masks, &format!("{name}.gt"));
        let prediction = mask(&masks, &format!("{name}.pred"));
        let spacing: Spacing = serde_json::from_value(numbers["spacing_mm"].clone()).unwrap();
        let dice = Overlap::between(truth.view(), prediction.view()).unwrap().dice();
        let distances = SurfaceDistances::between(truth.view(), prediction.view(), spacing).unwrap();
        let (to_prediction, to_truth) = (distances.truth_to_prediction(), distances.prediction_to_truth());
        for (key, value) in numbers.as_object().unwrap() {
            let tolerance = key.rsplit('@').next().and_then(|text| text.strip_suffix("mm"));
            let tolerance = tolerance
                .and_then(|mm| mm.parse().ok())
                .map_or(Tolerance::PUBLISHED, |mm| Tolerance::new(mm).unwrap());
            let overlap = |directed: &DirectedDistances| directed.overlap(tolerance);
            // The reference calls the distance of two empty masks infinite; here it is undefined.
            let hausdorff_mm = |percentile| distances.hausdorff_mm(percentile).or(Some(f64::INFINITY));
            let what = format!("{name} {key}");
            checked += 1;
            match key.split('@').next().unwrap() {
                "spacing_mm" => checked -= 1,
                "dice" => assert_agrees(&what, dice, value),
                "surface_dice" => assert_agrees(&what, distances.nsd(tolerance), value),
                "surface_overlap_gt_pred" => {
                    assert_agrees(&what, overlap(to_prediction), &value[0]);
                    assert_agrees(&what, overlap(to_truth), &value[1]);
                }
                "hd95_mm" => assert_agrees(&what, hausdorff_mm(Percentile::P95), value),
                "hd100_mm" => assert_agrees(&what, hausdorff_mm(Percentile::MAX), value),
                "average_surface_distance_gt_to_pred_mm" => {
                    assert_agrees(&what, to_prediction.average_mm(), value);
                }
                "average_surface_distance_pred_to_gt_mm" => {
                    assert_agrees(&what, to_truth.average_mm(), value);
                }
                "surface_area_gt_mm2" => assert_agrees(&what, Some(to_prediction.area_mm2()), value),
                "surface_area_pred_mm2" => assert_agrees(&what, Some(to_truth.area_mm2()), value),
                other => panic!("no metric for the golden key {other}"),
            }
        }
    }
    assert_eq!(checked, 13 * 14, "golden cases times numbers");
}
