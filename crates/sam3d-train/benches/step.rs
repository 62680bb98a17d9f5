//! One training step on the CPU, with and without recomputed blocks: `tiny`, or the preset in `SAM3D_BENCH_MODEL`.
//!
//! At the end the peak memory of the process is printed. It grows only, so each way of recomputing is its own process: set
//! `SAM3D_BENCH_RECOMPUTE` to `none` or `blocks` to run one of them.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot get its input has failed")]
#![expect(clippy::print_stdout, reason = "a benchmark reports")]

use std::{env, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use sam3d_geom::{Extent, Point, Prompt};
use sam3d_model::{Preset, Recompute, Sam3d};
use sam3d_testkit::peak_memory_mib;
use sam3d_train::{
    optimiser::{AdamW, AdamWConfig},
    step::{Batch, StepConfig, add_gradients, update},
};
use tch::{Device, Kind, Tensor};

fn step(criterion: &mut Criterion) {
    let wanted = env::var("SAM3D_BENCH_MODEL").unwrap_or_else(|_| "tiny".to_owned());
    let preset = Preset::ALL.into_iter().find(|preset| preset.name() == wanted).unwrap();
    let config = preset.config();
    let side = config.crop as i64;
    let image = Tensor::randn([1, 1, side, side, side], (Kind::Float, Device::Cpu));
    let label = image.select(1, 0).gt(1.0).to_kind(Kind::Int64);
    let points = (0..30).map(|i| Point::positive([(7 * i + 3) % config.crop; 3])).collect();
    let prompts = vec![Prompt::new(points, Extent::new([config.crop; 3]).unwrap()).unwrap().into()];
    let batch = Batch { image, label, prompts };

    let chosen = env::var("SAM3D_BENCH_RECOMPUTE").ok();
    let mut group = criterion.benchmark_group(format!("train_{}", preset.name()));
    group.sample_size(10);
    for (name, recompute) in [("blocks", Recompute::Blocks), ("none", Recompute::None)] {
        if chosen.as_deref().is_some_and(|chosen| chosen != name) {
            continue;
        }
        let network = Sam3d::new(&config, Device::Cpu, 0).unwrap();
        let mut optimiser = AdamW::new(&network, AdamWConfig::default());
        let step = StepConfig { recompute, ..StepConfig::default() };
        group.bench_function(format!("step_recompute_{name}"), |bencher| {
            bencher.iter(|| {
                optimiser.zero_grad();
                let loss = add_gradients(&network, &batch, &step, 1.0).unwrap();
                let gradients = optimiser.gradients();
                black_box(update(&mut optimiser, &gradients, loss, 1.0))
            });
        });
        if let Some(mib) = peak_memory_mib() {
            println!("peak memory of the process so far: {mib} MiB");
        }
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
