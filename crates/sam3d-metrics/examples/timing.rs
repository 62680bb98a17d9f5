//! Times this crate on two pairs of masks and leaves them, with times and numbers, for another program to be timed on.
//!
//! ```sh
//! cargo run --release -p sam3d-metrics --example timing -- DIRECTORY
//! pip install surface-distance-based-measures
//! python crates/sam3d-metrics/examples/timing.py DIRECTORY
//! ```

#![expect(clippy::print_stdout, reason = "the timings are this program's output")]

use std::{env, error::Error, fs, path::PathBuf, time::Instant};

use ndarray::Array3;
use peak_alloc::PeakAlloc;
use sam3d_geom::{Affine, Spacing};
use sam3d_metrics::{Comparison, MaskMeasurements, Percentile, Tolerance};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const SHAPE: [usize; 3] = [300, 512, 512];
const SPACING_MM: [f64; 3] = [1.0, 0.8, 0.8];

/// Radii in mm along D, H, W of the truth, and how far the prediction, which is 3 % larger, is off along each axis.
const PAIRS: [(&str, [f64; 3], f64); 2] = [("tumour", [30.0; 3], 2.0), ("liver", [90.0, 75.0, 110.0], 3.0)];

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(env::args().nth(1).ok_or("the directory for the masks is missing")?);
    fs::create_dir_all(&directory)?;
    let spacing = Spacing::new(SPACING_MM)?;
    for (name, radii_mm, shift_mm) in PAIRS {
        let truth = ellipsoid(radii_mm, 0.0);
        let prediction = ellipsoid(radii_mm.map(|radius| 1.03 * radius), shift_mm);
        for (which, mask) in [("truth", &truth), ("prediction", &prediction)] {
            fs::write(
                directory.join(format!("{name}-{which}.raw")),
                mask.iter().copied().collect::<Vec<u8>>(),
            )?;
        }
        let mut best_ms = f64::INFINITY;
        let mut numbers = Vec::new();
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        for _ in 0..10 {
            let start = Instant::now();
            let Comparison { overlap, distances } =
                Comparison::between(truth.view(), prediction.view(), spacing)?;
            numbers = vec![
                overlap.dice(),
                distances.nsd(Tolerance::new(1.0)?),
                distances.nsd(Tolerance::new(5.0)?),
                distances.hausdorff_mm(Percentile::P95),
                distances.truth_to_prediction().average_mm(),
                distances.prediction_to_truth().average_mm(),
            ];
            best_ms = best_ms.min(1000.0 * start.elapsed().as_secs_f64());
        }
        let peak = ALLOCATOR.peak_usage() - before;
        println!("{name} {best_ms:.1} ms, {:.1} MB {numbers:?}", peak as f64 / 1e6);
        let [d, h, w] = SPACING_MM;
        let affine = Affine::new([[d, 0.0, 0.0, 0.0], [0.0, h, 0.0, 0.0], [0.0, 0.0, w, 0.0]])?;
        let start = Instant::now();
        let measured = MaskMeasurements::of(truth.view(), &affine).ok_or("the mask is empty")?;
        let measured_ms = 1000.0 * start.elapsed().as_secs_f64();
        println!(
            "{name} measured in {measured_ms:.1} ms: {:?} {:?}",
            measured.axial.longest, measured.longest
        );
        let numbers: Vec<f64> = numbers.into_iter().flatten().collect();
        let described = format!(
            "{{\"shape\": {SHAPE:?}, \"spacing_mm\": {SPACING_MM:?}, \"best_ms\": {best_ms}, \"numbers\": {numbers:?}}}"
        );
        fs::write(directory.join(format!("{name}.json")), described)?;
    }
    Ok(())
}

fn ellipsoid(radii_mm: [f64; 3], shift_mm: f64) -> Array3<u8> {
    let middle_mm = [150.0, 200.0, 200.0];
    Array3::from_shape_fn(SHAPE, |(d, h, w)| {
        let offsets = [d, h, w].into_iter().enumerate().map(|(axis, index)| {
            let from_middle_mm = index as f64 * SPACING_MM[axis] - middle_mm[axis] - shift_mm;
            (from_middle_mm / radii_mm[axis]).powi(2)
        });
        u8::from(offsets.sum::<f64>() <= 1.0)
    })
}
