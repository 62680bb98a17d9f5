use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use ndarray::Array3;
use sam3d_io::{ReadLimits, atomic::Overwrite, nrrd};
use serde_json::{Value, json};

use crate::{
    bright::{self, BALLS, THRESHOLD},
    support::{Place, scripts, skipped, volume},
};

/// Chromium or Chrome: the one in `SAM3D_BROWSER`, else the first that is installed.
fn browser() -> Option<PathBuf> {
    if let Some(path) = env::var_os("SAM3D_BROWSER") {
        return Some(path.into());
    }
    let directories: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().find_map(|name| directories.iter().map(|path| path.join(name)).find(|path| path.exists()))
}

/// What `script` prints after using the page of the server at `address` in a real browser; `None`, loudly, if there is none here.
fn used(script: &str, address: &str, place: &Place, scene: &Value) -> Option<Value> {
    let Some(browser) = browser() else {
        skipped("no Chromium (install one, or name it in SAM3D_BROWSER)");
        return None;
    };
    if !scripts().join("node_modules/playwright-core").is_dir() {
        skipped("no playwright-core: run `npm ci` in crates/sam3d-serve/e2e");
        return None;
    }
    let mut node = Command::new("node");
    node.current_dir(scripts()).arg(script).arg(address).arg(browser);
    let output = node.arg(place.path("")).arg(scene.to_string()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Open, click, see, undo, download, in a real browser: what was downloaded is what the command line writes for the same
/// click, and lies around it.
#[test]
fn page() {
    let place = Place::new();
    std::fs::write(place.path("studies/damaged.nii.gz"), b"not a volume, but long enough to be looked at")
        .unwrap();
    let program = place.serve(&["--name", "lesion"]);
    let [i, j, k] = BALLS[1];
    let scene = json!({
        "study": "one",
        "clicks": [BALLS[1], BALLS[0]],
        "value": bright::volume(0)[[k, j, i]],
        "threshold": THRESHOLD,
        "upload": place.path("studies/two.nii.gz"),
    });
    let Some(told) = used("page.mjs", &program.address, &place, &scene) else { return };
    let clicked: Vec<[usize; 3]> = serde_json::from_value(told["clicked"].clone()).unwrap();

    let masks: Vec<_> = clicked.iter().map(|ijk| place.segment("one", *ijk, THRESHOLD)).collect();
    let downloaded = volume(&place.path("mask.nii.gz"));
    assert_eq!(downloaded, masks[0]);
    assert_eq!(place.replay("one", "session.json", THRESHOLD), masks[0]);
    let both = volume(&place.path("mask.seg.nrrd"));
    for (at, value) in both.indexed_iter() {
        let expected = if masks[1][at] == 1.0 { 2.0 } else { masks[0][at] };
        assert_eq!(*value, expected, "{at:?}");
    }
    let voxels: Vec<[f64; 3]> = downloaded
        .indexed_iter()
        .filter(|(_, value)| **value != 0.0)
        .map(|((k, j, i), _)| [i as f64, j as f64, k as f64])
        .collect();
    assert!(!voxels.is_empty());
    for axis in 0..3 {
        let mean = voxels.iter().map(|voxel| voxel[axis]).sum::<f64>() / voxels.len() as f64;
        assert!((mean - clicked[0][axis] as f64).abs() < 3.0, "axis {axis}: {mean} for {clicked:?}");
    }
}

/// Every tool of the page: what is saved after it is what the command line computes from the session, with what was painted.
#[test]
fn page_tools() {
    let mut config = bright::config();
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    let place = Place::of(&config);
    // The listing must not have what the test makes.
    let program = place.serve(&["--name", "lesion", "--labels", "labels"]);
    let label =
        Array3::from_shape_fn(bright::grid().shape_kji(), |(k, j, i)| u8::from(k == 6 && j == 9 && i < 5));
    sam3d_io::write(&place.path("label.nii.gz"), label.view(), &bright::grid(), Overwrite::Refuse).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sam3d-serve/tests/fixtures/two_series");
    zip_of(&folder, &place.path("series.zip"));
    let scene = json!({
        "study": "one", "ball": BALLS[0], "threshold": THRESHOLD,
        "label": place.path("label.nii.gz"), "labelVoxels": 5, "labelSlice": 6,
        "folder": folder, "zip": place.path("series.zip"),
    });
    let Some(told) = used("tools.mjs", &program.address, &place, &scene) else { return };

    let mask = volume(&place.path("mask.nii.gz"));
    assert_eq!(place.replay("one", "session.json", THRESHOLD), mask);
    let log: Value = serde_json::from_slice(&std::fs::read(place.path("session.json")).unwrap()).unwrap();
    let kinds: Vec<&str> = log["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["prompts"][0].as_object().unwrap().keys().next().unwrap().as_str())
        .collect();
    assert_eq!(kinds, ["click", "box", "lasso", "scribble", "scribble"]);
    let painted = volume(&place.path("painted.nii.gz"));
    let added = painted.iter().zip(&mask).filter(|(a, b)| a != b).count();
    assert_eq!(told["painted"], added);

    // Two objects of the same voxels: each has all of them, in a layer of its own.
    let both = nrrd::read_layers(&place.path("both.seg.nrrd"), ReadLimits::default()).unwrap();
    let clicked = place.segment("one", BALLS[0], THRESHOLD).mapv(|value| value as u8);
    assert_eq!((both.layers.len(), both.segments.len()), (2, 2));
    for segment in &both.segments {
        let layer = both.layers[segment.layer].mapv(|value| u8::from(value == segment.segment.label));
        assert_eq!(layer, clicked, "{}", segment.segment.name);
    }
    let kept = nrrd::segments(&place.path("labels/final/one.seg.nrrd")).unwrap();
    assert_eq!(kept.iter().map(|segment| segment.name.as_str()).collect::<Vec<_>>(), ["lesion", "copy"]);
}

/// The work on a study comes back after a reload, a lost connection, and a server that was killed.
#[test]
fn page_kept() {
    let place = Place::new();
    let options = ["--sessions", "sessions"];
    let mut program = place.serve(&options);
    let mut scene = json!({ "study": "one", "clicks": BALLS, "threshold": THRESHOLD });
    let Some(told) = used("kept.mjs", &program.address, &place, &scene) else { return };
    let port = program.address.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let again = place.serve(&["--sessions", "sessions", "--port", &port]);
    scene["work"] = told["work"].clone();
    scene["seen"] = told["seen"].clone();
    used("kept.mjs", &again.address, &place, &scene).unwrap();
}

/// A zip of the files in `folder`, below a folder of its own.
fn zip_of(folder: &Path, to: &Path) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(to).unwrap());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("export/{}", path.file_name().unwrap().to_str().unwrap());
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(path).unwrap()).unwrap();
    }
    zip.finish().unwrap();
}
