//! Distance transform and surface distances on a tumour-sized pair and on one that fills a crop.

#![expect(clippy::unwrap_used, reason = "the masks of a bench have one shape")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ndarray::Array3;
use sam3d_geom::Spacing;
use sam3d_metrics::{Overlap, SurfaceDistances, Tolerance, distance_transform_mm};

/// A ball of `radius` voxels in the middle of a volume, off by `shift` voxels along each axis.
fn ball(side: usize, radius: f64, shift: f64) -> Array3<u8> {
    let middle = side as f64 / 2.0 + shift;
    Array3::from_shape_fn([side; 3], |(d, h, w)| {
        let squared: f64 = [d, h, w].iter().map(|i| (*i as f64 - middle).powi(2)).sum();
        u8::from(squared <= radius * radius)
    })
}

fn metrics(criterion: &mut Criterion) {
    let spacing = Spacing::new([2.5, 0.8, 0.8]).unwrap();
    let mut group = criterion.benchmark_group("metrics");
    group.sample_size(20);
    for (side, radius) in [(128, 20.0), (256, 100.0)] {
        let (truth, prediction) = (ball(side, radius, 0.0), ball(side, radius, 3.0));
        group.bench_with_input(BenchmarkId::new("distance_transform", side), &truth, |b, truth| {
            b.iter(|| distance_transform_mm(black_box(truth.view()), spacing));
        });
        group.bench_function(BenchmarkId::new("nsd", side), |b| {
            b.iter(|| {
                let distances =
                    SurfaceDistances::between(black_box(truth.view()), prediction.view(), spacing).unwrap();
                distances.nsd(Tolerance::PUBLISHED)
            });
        });
        group.bench_function(BenchmarkId::new("dice", side), |b| {
            b.iter(|| Overlap::between(black_box(truth.view()), prediction.view()).unwrap().dice());
        });
    }
    group.finish();
}

criterion_group!(benches, metrics);
criterion_main!(benches);
