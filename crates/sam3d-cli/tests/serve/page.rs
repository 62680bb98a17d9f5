use std::{env, path::PathBuf, process::Command};

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

/// Open, click, see, undo, download, in a real browser: what was downloaded is what the command line writes for the same
/// click, and lies around it.
#[test]
fn page() {
    let Some(browser) = browser() else {
        return skipped("no Chromium (install one, or name it in SAM3D_BROWSER)");
    };
    if !scripts().join("node_modules/playwright-core").is_dir() {
        return skipped("no playwright-core: run `npm ci` in crates/sam3d-serve/e2e");
    }
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
    let mut node = Command::new("node");
    node.current_dir(scripts()).arg("page.mjs").arg(&program.address).arg(browser);
    let output = node.arg(place.path("")).arg(scene.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
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
