use std::{env, fs, process::Command};

use ndarray::Array3;
use sam3d_geom::Affine;
use sam3d_io::{Grid, atomic::Overwrite};

use crate::{
    bright::{self, BALLS},
    support::{Place, scripts, skipped},
};

/// nnInteractive's own client: a whole session with every kind of prompt, whose masks are those of `segment --session` of its
/// logs; a client too many; a wrong key; a lease that expires.
#[test]
fn nninteractive() {
    const KEY: &str = "a-key-of-the-tests";
    let python = env::var("SAM3D_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_client = Command::new(&python).args(["-c", "import nnInteractive.inference.remote"]).output();
    if !has_client.is_ok_and(|output| output.status.success()) {
        return skipped(
            "no Python with nnInteractive's client (pip install nninteractive-client==2.6.0; another Python than \
             python3 in SAM3D_PYTHON)",
        );
    }
    let mut config = bright::config();
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    let place = Place::of(&config);
    // The client sends no orientation: the file has the one that the server takes.
    let affine = Affine::new([[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.5, 0.0]]).unwrap();
    let (grid, voxels) = (Grid::from_affine([64, 56, 30], affine).unwrap(), bright::volume(0));
    sam3d_io::write(&place.path("studies/sent.nii.gz"), voxels.view(), &grid, Overwrite::Refuse).unwrap();
    let bytes: Vec<u8> = voxels.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(place.path("sent.raw"), bytes).unwrap();

    let run = |more: &[&str], part: &str| {
        let program = place.serve(&[&["--token", KEY], more].concat());
        let mut script = Command::new(&python);
        script.arg(scripts().join("nninteractive_client.py")).args([part, program.address.as_str(), KEY]);
        script.arg(place.path("")).args(BALLS[0].map(|at| at.to_string()));
        let output = script.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
        assert!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["--viewers", "2"], "session");
    for name in ["prompts", "begun"] {
        let pasted = fs::read(place.path(&format!("{name}.raw"))).unwrap();
        let pasted = Array3::from_shape_vec(grid.shape_kji(), pasted).unwrap().mapv(f32::from);
        assert_eq!(pasted, place.replay("sent", &format!("{name}.json"), 0.5), "{name}");
        assert!(pasted.sum() > 0.0);
    }
    run(&["--viewer-idle", "1"], "expiry");
}
