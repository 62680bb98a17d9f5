//! Time and memory of inference with random weights, as one line of JSON; `cargo xtask performance` makes tables
//! of many such lines. The largest memory belongs to the process: one measurement, one process.
//!
//! ```sh
//! cargo run --release -p sam3d-model --features bench --example measure -- clicks --model vit_b
//! ```

#![expect(clippy::print_stdout, reason = "the result of a measurement")]

use std::{error::Error, time::Instant};

use clap::{Args, Parser, Subcommand};
use sam3d_geom::{Extent, Point, Prompt};
use sam3d_model::{
    CropPrompt, ModelConfig, Precision, Preset, Sam3d,
    layers::{Layers, Sizes},
};
use sam3d_testkit::peak_memory_mib;
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// Time and memory of inference, with random weights.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A first click and further ones on the same crops.
    Clicks(Clicks),
    /// Every layer by itself, and the fastest matrix product of the machine.
    Layers(Network),
}

#[derive(Args)]
struct Network {
    /// tiny, vit_b, vit_l or vit_h
    #[arg(long, default_value = "tiny")]
    model: String,
    /// Side of the crop in voxels instead of the model's
    #[arg(long)]
    crop: Option<usize>,
    /// Threads; all cores if not given
    #[arg(long)]
    threads: Option<i32>,
}

#[derive(Args)]
struct Clicks {
    #[command(flatten)]
    network: Network,
    /// Crops encoded at once
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Points of each click, one measurement for each number
    #[arg(long, value_delimiter = ',', default_value = "1")]
    points: Vec<usize>,
    /// Further clicks to time for each number of points
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Compute products in bfloat16
    #[arg(long)]
    bf16: bool,
    /// Compute on the first GPU
    #[arg(long)]
    cuda: bool,
    /// First clicks to do before the timed one; on a GPU the first of all loads the kernels
    #[arg(long, default_value_t = 0)]
    warm_up: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let _no_grad = tch::no_grad_guard();
    match Arguments::parse().what {
        What::Clicks(arguments) => clicks(&arguments),
        What::Layers(arguments) => layers(&arguments),
    }
}

impl Network {
    fn config(&self) -> Result<ModelConfig, Box<dyn Error>> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
        }
        let known = Preset::ALL.into_iter().find(|preset| preset.name() == self.model);
        let mut config = known.ok_or("no such model")?.config();
        config.crop = self.crop.unwrap_or(config.crop);
        Ok(config)
    }
}

fn clicks(arguments: &Clicks) -> Result<(), Box<dyn Error>> {
    let config = arguments.network.config()?;
    let device = if arguments.cuda { Device::Cuda(0) } else { Device::Cpu };
    let mut network = Sam3d::new(&config, device, 0)?;
    if arguments.bf16 {
        network.set_precision(Precision::Bf16);
    }
    let (side, batch) = (config.crop, arguments.batch);
    let cube = side as i64;
    let image = Tensor::randn([batch as i64, 1, cube, cube, cube], (Kind::Float, device));
    let extent = Extent::new([side; 3])?;
    let prompts = |count: usize| -> Result<Vec<CropPrompt>, Box<dyn Error>> {
        let points = (0..count).map(|i| Point::positive([(side / 2 + 7 * i) % side; 3]));
        let prompt = CropPrompt::from(Prompt::new(points.collect(), extent)?);
        Ok(vec![prompt; batch])
    };

    for _ in 0..arguments.warm_up {
        drop(network.decode(&network.encode(&image)?, &prompts(1)?)?);
    }
    wait_for(device);
    let start = Instant::now();
    let embedding = network.encode(&image)?;
    drop(network.decode(&embedding, &prompts(1)?)?);
    wait_for(device);
    let first_seconds = start.elapsed().as_secs_f64();
    let mut further = Vec::new();
    for count in &arguments.points {
        let prompts = prompts(*count)?;
        let mut seconds = Vec::new();
        for _ in 0..arguments.repeats {
            let start = Instant::now();
            drop(network.decode(&embedding, &prompts)?);
            wait_for(device);
            seconds.push(start.elapsed().as_secs_f64());
        }
        further.push(json!({"points": count, "seconds": fastest(&seconds)}));
    }
    println!(
        "{}",
        json!({
            "model": arguments.network.model,
            "crop": side,
            "batch": batch,
            "threads": tch::get_num_threads(),
            "precision": network.precision(),
            "first_seconds": first_seconds,
            "further": further,
            "embedding_mib": embedding.bytes() >> 20,
            "peak_mib": peak_memory_mib(),
        })
    );
    Ok(())
}

/// Waits until a GPU has done what it was given.
fn wait_for(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

fn layers(arguments: &Network) -> Result<(), Box<dyn Error>> {
    let config = arguments.config()?;
    let [product, convolution] = peak_gflops();
    let layers = Layers::new(&config)?;
    let sizes = Sizes::of(&config);
    let rows: Vec<serde_json::Value> = Layers::ALL
        .iter()
        .map(|layer| {
            // The first run also warms up; what takes long is timed once more, what is quick several times.
            let first = timed(|| drop((layer.run)(&layers)));
            let again = if first > 20.0 { 0 } else { (2.0 / first).clamp(1.0, 20.0) as usize };
            let seconds: Vec<f64> = (0..again).map(|_| timed(|| drop((layer.run)(&layers)))).collect();
            json!({
                "name": layer.name,
                "times": (layer.times)(config.encoder.depth),
                "gflop": (layer.operations)(&sizes) / 1e9,
                "seconds": fastest(&seconds).min(first),
            })
        })
        .collect();
    println!(
        "{}",
        json!({
            "model": arguments.model,
            "crop": config.crop,
            "threads": tch::get_num_threads(),
            "matrix_product_gflops": product,
            "convolution_gflops": convolution,
            "layers": rows,
        })
    );
    Ok(())
}

/// The fastest of many products of matrices that fit the cache, in GFLOP/s: as a matrix product, and as a 1 x 1 convolution,
/// which libtorch gives to another library.
fn peak_gflops() -> [f64; 2] {
    let (rows, width) = (2048, 1024);
    let random = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
    let (xs, weight) = (random([rows, width]), random([width, width]));
    let best = |run: &dyn Fn() -> Tensor| {
        let seconds: Vec<f64> = (0..50).map(|_| timed(|| drop(run()))).collect();
        2.0 * rows as f64 * (width * width) as f64 / fastest(&seconds) / 1e9
    };
    let pixels = xs.view([1, rows, 1, width]).permute([0, 3, 1, 2]);
    let kernel = weight.view([width, width, 1, 1]);
    [best(&|| xs.matmul(&weight)), best(&|| pixels.conv2d(&kernel, None::<Tensor>, 1, 0, 1, 1))]
}

fn timed(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn fastest(seconds: &[f64]) -> f64 {
    seconds.iter().copied().fold(f64::INFINITY, f64::min)
}
