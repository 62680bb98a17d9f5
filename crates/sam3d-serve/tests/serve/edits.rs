//! What is painted by hand, and what a mask's answer says beside its voxels.

use sam3d_io::{atomic::Overwrite, write};
use serde_json::{Value, json};

use crate::{
    bright::{self, BALLS, THRESHOLD},
    support::{Served, agent, mask_of_runs, reply, volume_of},
};

const COLUMNS: usize = 64;
const ROWS: usize = 56;

fn at([i, j, k]: [usize; 3]) -> usize {
    (k * ROWS + j) * COLUMNS + i
}

#[test]
fn what_is_painted_holds_whatever_the_network_answers() {
    let served = Served::start();
    let ask = |clicks: &[[usize; 3]], edits: Value| {
        let clicks: Vec<Value> = clicks.iter().map(|ijk| json!({ "ijk": ijk })).collect();
        json!({ "clicks": clicks, "edits": edits, "threshold": THRESHOLD })
    };
    let mask = |body: &Value| served.post("/api/mask?study=one", body).last_line();
    let plain = mask_of_runs(&mask(&ask(&[BALLS[0]], json!([]))));
    let [i, j, k] = BALLS[0];
    let (painted, erased) = (at([2, 2, 2]), at([i - 1, j, k]));
    let edits = json!([{ "paint": [[painted, 3]] }, { "erase": [[erased, 2]] }]);
    let line = mask(&ask(&[BALLS[0]], edits.clone()));
    let mut expected = plain.clone();
    let flat = expected.as_slice_mut().unwrap();
    assert_eq!((flat[erased], flat[erased + 1], flat[painted]), (1, 1, 0));
    flat[painted..painted + 3].fill(1);
    flat[erased..erased + 2].fill(0);
    assert_eq!(mask_of_runs(&line), expected);
    assert_eq!(line["voxels"], expected.iter().filter(|value| **value == 1).count());
    assert_eq!(line["missed"], json!([0]), "the click lies in what was erased");
    // Another click changes what the network says, not what was painted.
    let more = mask(&ask(&[BALLS[0], [i + 2, j, k]], edits.clone()));
    let more = mask_of_runs(&more);
    assert_eq!((more[[2, 2, 2]], more[[k, j, i]]), (1, 0));

    // A file has it, too.
    let mut object = ask(&[BALLS[0]], edits);
    object["name"] = "tumour".into();
    object["colour"] = json!([1.0, 0.0, 0.0]);
    object["mask_sha256"] = line["mask_sha256"].clone();
    let file = json!({ "format": ".nii.gz", "objects": [object] });
    let file = served.post("/api/segmentation?study=one", &file);
    assert_eq!(volume_of(&file.body, "mask.nii.gz").data, expected.mapv(f32::from));
}

#[test]
fn an_object_may_be_painted_alone_and_is_measured() {
    let served = Served::start();
    // A bar of 12 x 3 voxels of 1 mm in one slice.
    let runs: Vec<[usize; 2]> = (10..13).map(|j| [at([20, j, 15]), 12]).collect();
    let body = json!({ "edits": [{ "paint": runs }], "threshold": 0.5 });
    let line = served.post("/api/mask?study=one", &body).last_line();
    assert_eq!((line["voxels"].as_u64(), line["log"].clone()), (Some(36), Value::Null));
    assert!((line["volume_ml"].as_f64().unwrap() - 36.0 * 1.5 / 1000.0).abs() < 1e-12, "{line}");
    let diameters = &line["diameters"];
    assert_eq!((&diameters["axis"], &diameters["slice"]), (&json!(2), &json!(15)));
    let longest = diameters["longest"]["length_mm"].as_f64().unwrap();
    assert!((12.0..12.5).contains(&longest), "{line}");
    let mut ends: Vec<f64> = diameters["longest"]["ends_ijk"]
        .as_array()
        .unwrap()
        .iter()
        .map(|end| end[0].as_f64().unwrap())
        .collect();
    ends.sort_by(f64::total_cmp);
    assert_eq!(ends, [19.5, 31.5]);
    let empty = json!({ "edits": [{ "paint": [[7, 2]] }, { "erase": [[7, 2]] }], "threshold": 0.5 });
    let line = served.post("/api/mask?study=one", &empty).last_line();
    assert_eq!((line["voxels"].as_u64(), line["diameters"].clone()), (Some(0), Value::Null));

    let voxels = 64 * 56 * 30;
    for (edits, words) in [
        (json!([{ "paint": [[voxels - 1, 2]] }]), "outside"),
        (json!([{ "erase": [[5, 2], [6, 2]] }]), "overlap"),
        (json!([]), "one of clicks and prompts"),
    ] {
        let refused = served.post("/api/mask?study=one", &json!({ "edits": edits, "threshold": 0.5 }));
        assert!(refused.status == 400 && refused.detail().contains(words), "{}", refused.text());
    }
}

#[test]
fn a_label_file_becomes_objects_to_begin_from() {
    let served = Served::start();
    let directory = tempfile::tempdir().unwrap();
    let grid = bright::grid();
    let label = ndarray::Array3::<u8>::from_shape_fn(grid.shape_kji(), |(k, j, i)| match (k, j, i) {
        (3, 4, 5..9) => 2,
        (3, 4, 9..11) | (7, 0, 0) => 1,
        _ => 0,
    });
    let send = |name: &str, body: &[u8]| {
        let url = served.url(&format!("/api/label/objects?study=one&name={name}"));
        reply(agent().post(url).send(body))
    };
    let path = directory.path().join("label.nii.gz");
    write(&path, label.view(), &grid, Overwrite::Refuse).unwrap();
    let objects = send("label.nii.gz", &std::fs::read(&path).unwrap()).json();
    let start = at([5, 4, 3]);
    assert_eq!(objects[0]["runs"], json!([[start + 4, 2], [at([0, 0, 7]), 1]]));
    assert_eq!(objects[1]["runs"], json!([[start, 4]]));
    assert_eq!(objects.as_array().unwrap().len(), 2);

    let path = directory.path().join("ct.nii.gz");
    write(&path, (bright::volume(0) - 100).view(), &grid, Overwrite::Refuse).unwrap();
    let refused = send("ct.nii.gz", &std::fs::read(path).unwrap());
    assert!(
        refused.status == 400 && refused.detail().contains("labels are 0 and above"),
        "{}",
        refused.text()
    );
    let refused = send("notes.nii.gz", b"not a volume at all, but long enough");
    assert!(refused.status == 400 && refused.detail().starts_with("notes.nii.gz: "), "{}", refused.text());
    let affine = sam3d_geom::Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    let elsewhere = sam3d_io::Grid::from_affine(grid.shape_ijk(), affine.unwrap()).unwrap();
    let path = directory.path().join("elsewhere.nii.gz");
    write(&path, label.view(), &elsewhere, Overwrite::Refuse).unwrap();
    let refused = send("elsewhere.nii.gz", &std::fs::read(path).unwrap());
    assert!(refused.status == 400 && refused.detail().contains("elsewhere.nii.gz"), "{}", refused.text());
    assert_eq!(
        send("empty.nii.gz", &{
            let path = directory.path().join("empty.nii.gz");
            write(&path, label.mapv(|_| 0u8).view(), &grid, Overwrite::Refuse).unwrap();
            std::fs::read(path).unwrap()
        })
        .detail(),
        "empty.nii.gz: no voxel is labelled"
    );
}

#[test]
fn voxels_are_sent_slice_by_slice() {
    let served = Served::start();
    let image = served.get("/api/image?study=one").json();
    assert_eq!(image["value_type"], "int16");
    let values = |query: &str| -> Vec<i16> {
        let body = served.get(&format!("/api/voxels?study=one{query}")).body;
        body.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect()
    };
    let expected: Vec<i16> = bright::volume(0).into_iter().collect();
    assert_eq!(values(""), expected);
    assert_eq!(values("&first=7&count=2"), expected[7 * ROWS * COLUMNS..9 * ROWS * COLUMNS]);
    for query in ["&first=30", "&first=29&count=2", "&count=0", "&first=18446744073709551615&count=2"] {
        let refused = served.get(&format!("/api/voxels?study=one{query}"));
        assert!(refused.status == 400 && refused.detail().contains("the image has 30"), "{}", refused.text());
    }
}
