use std::{env, process::Command};

use crate::{
    bright::{BALLS, THRESHOLD},
    support::{Place, scripts, skipped, volume},
};

/// MONAI Label's own client: info, session, infer in both forms, labels. Every mask is the command line's.
#[test]
fn client() {
    let python = env::var("SAM3D_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_client = Command::new(&python).args(["-c", "import monailabel.client"]).output();
    if !has_client.is_ok_and(|output| output.status.success()) {
        return skipped(
            "no Python with MONAI Label's client (pip install --no-deps monailabel, pip install requests; \
             another Python than python3 in SAM3D_PYTHON)",
        );
    }
    let place = Place::new();
    let program = place.serve(&["--name", "lesion"]);
    let [i, j, k] = BALLS[0];
    let mut script = Command::new(python);
    script.arg(scripts().join("monai_client.py")).arg(&program.address).arg(place.path("studies/one.nii.gz"));
    script.args(["one", &format!("{i},{j},{k}"), &THRESHOLD.to_string()]).arg(place.path(""));
    let output = script.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = place.segment("one", BALLS[0], THRESHOLD);
    for name in
        ["session.nii.gz", "study.nrrd", "file.nii.gz", "saved.nii.gz", "studies/labels/final/one.nii.gz"]
    {
        assert_eq!(volume(&place.path(name)), expected, "{name}");
    }
}
