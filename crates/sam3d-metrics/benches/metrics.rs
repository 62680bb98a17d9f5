//! Distance transform and surface distances on a tumour-sized pair and on one that fills a crop; corrective clicks in a whole CT.

#![expect(clippy::unwrap_used, reason = "the masks of a bench have one shape")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ndarray::Array3;
use sam3d_geom::Spacing;
use sam3d_metrics::{
    ClickRule, Overlap, SurfaceDistances, Tolerance, corrective_click, distance_transform_mm,
};

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

/// An ellipsoid in a volume of 300 x 512 x 512 voxels, its radii and the shift of its middle in voxels.
fn ellipsoid(radii: [f64; 3], shift: f64) -> Array3<u8> {
    let middle = [150.0, 256.0, 256.0];
    Array3::from_shape_fn([300, 512, 512], |(d, h, w)| {
        let along = [d, h, w].into_iter().enumerate();
        let squared: f64 =
            along.map(|(axis, index)| ((index as f64 - middle[axis] - shift) / radii[axis]).powi(2)).sum();
        u8::from(squared <= 1.0)
    })
}

/// What a prediction usually is wrong about, and the two largest errors: nothing predicted, and errors in every corner.
fn corrections(criterion: &mut Criterion) {
    let spacing = Spacing::new([1.0, 0.8, 0.8]).unwrap();
    let mut group = criterion.benchmark_group("corrective_click");
    group.sample_size(10);
    let (tumour, liver) = ([30.0, 37.0, 37.0], [90.0, 94.0, 137.0]);
    let scattered = Array3::from_shape_fn([300, 512, 512], |(d, h, w)| {
        let in_block = |index: usize| u8::from(index % 64 < 8);
        in_block(d) * in_block(h) * in_block(w)
    });
    let pairs = [
        ("tumour", ellipsoid(tumour, 0.0), ellipsoid(tumour, 3.0)),
        ("liver", ellipsoid(liver, 0.0), ellipsoid(liver, 3.0)),
        ("liver_missed", ellipsoid(liver, 0.0), Array3::zeros([300, 512, 512])),
        ("scattered", ellipsoid(liver, 0.0), scattered),
    ];
    for (name, truth, prediction) in &pairs {
        for rule in [ClickRule::Largest, ClickRule::Deepest] {
            group.bench_function(BenchmarkId::new(rule.name(), name), |b| {
                let middle = |n| n / 2;
                b.iter(|| {
                    corrective_click(black_box(truth.view()), prediction.view(), spacing, rule, middle)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, metrics, corrections);
criterion_main!(benches);
