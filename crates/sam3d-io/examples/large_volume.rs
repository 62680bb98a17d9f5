//! Reading a large gzipped CT and writing a mask on it: 512 x 512 x 400 voxels, generated, in DIRECTORY.
//!
//! `cargo run --release -p sam3d-io --example large_volume DIRECTORY`, to be compared with `zcat` and `gzip -1` on the same files.

#![expect(clippy::print_stdout, reason = "an example says what it measured")]

use std::{path::PathBuf, time::Instant};

use ndarray::Array3;
use sam3d_geom::Affine;
use sam3d_io::{Grid, ReadLimits, atomic::Overwrite, nifti};

const SHAPE_IJK: [usize; 3] = [512, 512, 400];
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: large_volume DIRECTORY")?);
    let rows = [[-0.8, 0.0, 0.0, 200.0], [0.0, -0.8, 0.0, 200.0], [0.0, 0.0, 1.0, 0.0]];
    let grid = Grid::from_affine(SHAPE_IJK, Affine::new(rows)?)?;
    let [image, mask] = ["image.nii.gz", "mask.nii.gz"].map(|name| directory.join(name));
    if !image.exists() {
        nifti::write(&image, ct().view(), &grid, Overwrite::Refuse)?;
    }
    let ball = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| {
        let square = |x: usize, middle: f64| (x as f64 - middle).powi(2);
        u8::from(square(i, 300.0) + square(j, 250.0) + square(k, 200.0) < 40.0 * 40.0)
    });
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let volume = nifti::read(&image, ReadLimits::default())?;
        let read = start.elapsed();
        drop(volume);
        let start = Instant::now();
        nifti::write(&mask, ball.view(), &grid, Overwrite::Replace)?;
        let written = start.elapsed();
        println!("read {:.2} s, mask written {:.2} s", read.as_secs_f64(), written.as_secs_f64());
    }
    Ok(())
}

/// A body of smooth tissue in air, with noise of a few Hounsfield units, as in a CT.
fn ct() -> Array3<i16> {
    let [i, j, k] = SHAPE_IJK;
    let mut state = 1u32;
    Array3::from_shape_fn([k, j, i], |(k, j, i)| {
        // A linear congruential generator: numbers that no one could guess are not needed.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 28) as i16 + (state >> 24 & 15) as i16 - 15;
        let (x, y) = (i as f64 - 256.0, j as f64 - 256.0);
        if x * x / 40_000.0 + y * y / 20_000.0 > 1.0 {
            return -1000;
        }
        (60.0 * (x / 20.0).sin() * (y / 30.0).cos() + 20.0 * (k as f64 / 40.0).sin()) as i16 + noise
    })
}
