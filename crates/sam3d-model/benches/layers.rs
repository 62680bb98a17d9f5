//! The network layer by layer on the CPU, without gradients: `tiny`, or the preset in `SAM3D_BENCH_MODEL`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot get its input has failed")]

use std::{env, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use sam3d_model::{Preset, layers::Layers};

fn layers(criterion: &mut Criterion) {
    let wanted = env::var("SAM3D_BENCH_MODEL").unwrap_or_else(|_| "tiny".to_owned());
    let preset = Preset::ALL.into_iter().find(|preset| preset.name() == wanted).unwrap();
    let layers = Layers::new(&preset.config()).unwrap();
    let mut group = criterion.benchmark_group(format!("model_{}", preset.name()));
    group.sample_size(10);
    let _no_grad = tch::no_grad_guard();
    for layer in Layers::ALL {
        group.bench_function(layer.name, |bencher| bencher.iter(|| black_box((layer.run)(&layers))));
    }
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
