//! Crops per second that the loader delivers from the cache, at crop 128:
//! `cargo run --release -p sam3d-data --example crops_per_second [CROPS]`.
//!
//! `benches/monai_chain.py` does the same with MONAI, on the same volume.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::{error::Error, sync::Arc, time::Instant};

use ndarray::Array3;
use sam3d_data::{
    augment::AugmentConfig,
    cache::VolumeCache,
    case_store::{CaseStore, Storage},
    crops::{CropJob, Crops, Sampling},
    dataset::{Case, CaseId},
    loader::LoaderConfig,
};
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use sam3d_io::{Grid, atomic::Overwrite, nifti};

const SIDE: usize = 128;
const SIZES: [usize; 3] = [260, 340, 340];

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(100), |count| count.parse())?;
    let directory = tempfile::tempdir()?;
    let case = write_case(directory.path())?;
    let preprocessing = Preprocessing {
        intensity: Intensity::new([-57.0, 175.0], 65.175035, 32.651197)?,
        spacing_mm: Spacing::new([1.0; 3])?,
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    };
    let cache = Arc::new(VolumeCache::open(&directory.path().join("cache"), u64::MAX)?);
    let cores = std::thread::available_parallelism()?.get();
    for (name, in_plane) in [("zoom", false), ("in-plane", true)] {
        let storage = Storage { cache: Some(Arc::clone(&cache)), memory_bytes: 0 };
        let crops = Arc::new(Crops {
            cases: CaseStore::new(vec![case.clone()], 1, preprocessing, storage),
            sampling: Sampling::Clicks { augmentation: AugmentConfig::published(in_plane), side: SIDE },
            seed: 0,
        });
        let mut workers = vec![1, cores];
        workers.dedup();
        for workers in workers {
            // The first crop prepares the case or opens its entry.
            crops.training(CropJob { case: 0, draw: 0, place: 0 })?;
            let jobs = (0..count).map(|draw| CropJob { case: 0, draw, place: draw as usize });
            let start = Instant::now();
            for crop in crops.load_training(jobs, LoaderConfig::with_workers(workers)) {
                assert_eq!(crop?.sample.image.len(), SIDE.pow(3));
            }
            let per_second = count as f64 / start.elapsed().as_secs_f64();
            println!(
                "{name:>9}, {workers} workers: {per_second:6.2} crops/s, {:6.2} a core",
                per_second / workers as f64
            );
        }
    }
    Ok(())
}

/// A body in air with a tumour, at 1 mm.
fn write_case(directory: &std::path::Path) -> Result<Case, Box<dyn Error>> {
    let [depth, height, width] = SIZES;
    let affine = Affine::new([[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])?;
    let grid = Grid::from_affine([width, height, depth], affine)?;
    let squared = |index: usize, centre: f32| (index as f32 - centre).powi(2);
    let image = Array3::from_shape_fn(SIZES, |(d, h, w)| {
        let body = squared(h, 170.0) / 130f32.powi(2) + squared(w, 170.0) / 150f32.powi(2) < 1.0;
        let wave = (d as f32 / 7.0).sin() * (h as f32 / 9.0).cos() * (w as f32 / 11.0).sin();
        if body { (60.0 + 50.0 * wave).floor() as i16 } else { -1000 }
    });
    let label = Array3::from_shape_fn(SIZES, |(d, h, w)| {
        u8::from(squared(d, 120.0) + squared(h, 150.0) + squared(w, 200.0) < 25f32.powi(2))
    });
    let [image_path, label_path] = ["image.nii", "label.nii"].map(|name| directory.join(name));
    nifti::write(&image_path, image.view(), &grid, Overwrite::Replace)?;
    nifti::write(&label_path, label.view(), &grid, Overwrite::Replace)?;
    Ok(Case {
        id: CaseId::new("generated")?,
        image: image_path,
        label: label_path,
        label_on_image_voxels: false,
    })
}
