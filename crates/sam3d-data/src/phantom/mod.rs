//! CT phantoms: seeded synthetic volumes with tumours that a threshold cannot find.
//!
//! A phantom is a small torso with a fat rim, muscle wall, ribs, spine, liver, spleen, kidneys, bowel and vessels. The
//! liver holds one to three tumours, which are the target, and cysts of the tumours' own mean intensity, which are not:
//! a cyst is a smooth homogeneous ball, a tumour is irregular, mottled and ringed by a thin bright capsule. Everything is
//! a function of the seed and the case's number.
//!
//! Shapes live in *patient* millimetres, LPS and in the order `[z, y, x]` (superior, posterior, left), which is the
//! order `[D, H, W]` of a volume after reading; the grid decides where its voxels lie in that space.

mod anatomy;
mod grid;
mod lesions;
mod noise;
mod render;
mod shape;

use std::{fs, path::Path};

use ndarray::Array3;
use sam3d_geom::Orientation;

use crate::sampling::rng_for;
use sam3d_io::{Grid, IoError, atomic::Overwrite, nifti, orient::AxisMap};

/// A synthetic CT with its label, as a scanner would have stored it.
#[derive(Debug, Clone)]
pub struct Phantom {
    /// Hounsfield units, indexed `[k, j, i]` of the stored grid.
    pub image: Array3<i16>,
    /// 1 in a tumour, 0 elsewhere; the image's grid.
    pub label: Array3<u8>,
    /// Where the stored voxels lie.
    pub grid: Grid,
}

/// The phantom number `case_index` of the family `seed`.
///
/// Spacing (0.9 to 1.3 mm in plane, 1.5 to 3 mm between slices), a tilt of a few degrees and the order and direction of
/// the stored axes differ between cases.
///
/// # Errors
/// [`IoError::Geometry`] if the drawn grid were degenerate, which its ranges exclude.
pub fn generate(seed: u64, case_index: u64) -> Result<Phantom, IoError> {
    let mut rng = rng_for(seed, case_index, "phantom");
    let phantom_grid = grid::PhantomGrid::draw(&mut rng);
    let scene = anatomy::draw_scene(&mut rng);
    let (image, label) = render::render(&scene, &phantom_grid, &mut rng);
    let grid = phantom_grid.stored_grid()?;
    let map = AxisMap::new(&grid, Orientation::Lps);
    Ok(Phantom { image: map.to_stored(image.view())?, label: map.to_stored(label.view())?, grid })
}

/// Writes `count` phantoms of the family `seed` as `case_000/image.nii.gz` and `case_000/label.nii.gz` and so on below
/// `directory`, replacing files of these names: the layout of the dataset `demo`.
///
/// # Errors
/// [`IoError::Write`] with the path that could not be created or written.
pub fn write_demo(directory: &Path, seed: u64, count: u64) -> Result<(), IoError> {
    for case_index in 0..count {
        let case_directory = directory.join(format!("case_{case_index:03}"));
        fs::create_dir_all(&case_directory).map_err(IoError::write(&case_directory))?;
        let phantom = generate(seed, case_index)?;
        let path = case_directory.join("image.nii.gz");
        nifti::write(&path, phantom.image.view(), &phantom.grid, Overwrite::Replace)?;
        let path = case_directory.join("label.nii.gz");
        nifti::write(&path, phantom.label.view(), &phantom.grid, Overwrite::Replace)?;
    }
    Ok(())
}
