//! How much memory a comparison takes beside the masks.

#![expect(clippy::unwrap_used, reason = "masks of one shape always have metrics")]

use ndarray::Array3;
use peak_alloc::PeakAlloc;
use sam3d_geom::Spacing;
use sam3d_metrics::{Comparison, Overlap};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn ball(shape: [usize; 3], middle: [f64; 3], radius: f64) -> Array3<u8> {
    Array3::from_shape_fn(shape, |(d, h, w)| {
        let along = [d, h, w].into_iter().zip(middle).map(|(n, middle)| (n as f64 - middle).powi(2));
        u8::from(along.sum::<f64>() <= radius * radius)
    })
}

/// Bytes at the peak of a comparison of two balls, beyond those before it, and voxels of the box around both.
fn peak(shape: [usize; 3], radius: f64) -> (usize, usize) {
    let middle = shape.map(|n| n as f64 / 2.0);
    let truth = ball(shape, middle, radius);
    let prediction = ball(shape, middle.map(|n| n + 3.0), radius);
    let side = 2 * radius as usize + 1 + 3;
    let spacing = Spacing::new([2.0, 0.8, 0.9]).unwrap();
    let compare = || Comparison::between(truth.view(), prediction.view(), spacing).unwrap();
    // The pool's threads and what they keep are there before it is measured.
    let first = compare();
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let second = compare();
    let peak = ALLOCATOR.peak_usage() - before;
    assert_eq!(first, second);
    assert_eq!(second.overlap, Overlap::between(truth.view(), prediction.view()).unwrap());
    (peak, side.pow(3))
}

#[test]
fn less_than_six_bytes_for_each_voxel_of_the_box() {
    for (shape, radius) in [([100, 150, 150], 45.0), ([200, 200, 200], 85.0)] {
        let (bytes, voxels) = peak(shape, radius);
        let each = bytes as f64 / voxels as f64;
        println!("{shape:?}: {each:.2} bytes for each of {voxels} voxels");
        assert!(each < 6.0, "{bytes} bytes for a box of {voxels} voxels");
        // Distances to the nearest seed alone take four: a smaller peak means that the measurement missed them.
        assert!(each > 3.5, "{bytes} bytes for a box of {voxels} voxels");
    }
}
