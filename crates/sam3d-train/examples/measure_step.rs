//! Time and memory of training steps with random weights, as one line of JSON; `cargo xtask performance` makes
//! tables of many such lines. The largest memory belongs to the process: one measurement, one process.
//!
//! ```sh
//! cargo run --release -p sam3d-train --example measure_step -- --model vit_b --recompute blocks
//! ```

#![expect(clippy::print_stdout, reason = "the result of a measurement")]

use std::{error::Error, time::Instant};

use clap::Parser;
use sam3d_geom::{Extent, Point, Prompt};
use sam3d_model::{CropPrompt, Precision, Preset, Recompute, Sam3d};
use sam3d_testkit::peak_memory_mib;
use sam3d_train::{
    optimiser::{AdamW, AdamWConfig},
    step::{Batch, StepConfig, add_gradients, update},
};
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// Time and memory of training steps, with random weights.
#[derive(Parser)]
struct Arguments {
    /// tiny, vit_b, vit_l or vit_h
    #[arg(long, default_value = "tiny")]
    model: String,
    /// Side of the crop in voxels instead of the model's
    #[arg(long)]
    crop: Option<usize>,
    /// Crops of a step
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Steps; the fastest counts, the optimiser's moments are there from the second on
    #[arg(long, default_value_t = 2)]
    steps: usize,
    /// Run blocks again in the backward pass instead of keeping their activations: none or blocks
    #[arg(long, default_value = "none")]
    recompute: String,
    /// Compute products in bfloat16
    #[arg(long)]
    bf16: bool,
    /// Compute on the first GPU
    #[arg(long)]
    cuda: bool,
    /// Threads; all cores if not given
    #[arg(long)]
    threads: Option<i32>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(threads) = arguments.threads {
        tch::set_num_threads(threads);
    }
    let known = Preset::ALL.into_iter().find(|preset| preset.name() == arguments.model);
    let mut config = known.ok_or("no such model")?.config();
    config.crop = arguments.crop.unwrap_or(config.crop);
    let recompute: Recompute = serde_json::from_value(json!(arguments.recompute))?;

    let device = if arguments.cuda { Device::Cuda(0) } else { Device::Cpu };
    let mut network = Sam3d::new(&config, device, 0)?;
    if arguments.bf16 {
        network.set_precision(Precision::Bf16);
    }
    let mut optimiser = AdamW::new(&network, AdamWConfig::default());
    let (side, batch) = (config.crop as i64, arguments.batch as i64);
    let image = Tensor::randn([batch, 1, side, side, side], (Kind::Float, device));
    let label = image.select(1, 0).gt(1.0).to_kind(Kind::Int64);
    // The recipe's 30 points.
    let points = (0..30).map(|i| Point::positive([(7 * i + 3) % config.crop; 3])).collect();
    let prompt = CropPrompt::from(Prompt::new(points, Extent::new([config.crop; 3])?)?);
    let batch = Batch { image, label, prompts: vec![prompt; arguments.batch] };

    let step = StepConfig { recompute, ..StepConfig::default() };
    let mut seconds = f64::INFINITY;
    for _ in 0..arguments.steps {
        let start = Instant::now();
        optimiser.zero_grad();
        let loss = add_gradients(&network, &batch, &step, 1.0)?;
        let gradients = optimiser.gradients();
        update(&mut optimiser, &gradients, loss, 1.0);
        if arguments.cuda {
            tch::Cuda::synchronize(0);
        }
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    println!(
        "{}",
        json!({
            "model": arguments.model,
            "crop": config.crop,
            "batch": arguments.batch,
            "threads": tch::get_num_threads(),
            "precision": network.precision(),
            "recompute": arguments.recompute,
            "steps": arguments.steps,
            "seconds": seconds,
            "peak_mib": peak_memory_mib(),
        })
    );
    Ok(())
}
