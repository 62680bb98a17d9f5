//! `cargo xtask performance`: the tables of `docs/performance.md`, measured on this machine.
//!
//! Every number comes from a process of its own, because the largest memory belongs to the process.

mod measured;
mod tables;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::de::DeserializeOwned;

use self::measured::{Clicks, Layers, Plain, Step};
use crate::{
    setup::{self, SetupArguments},
    step, workspace,
};

/// Arguments of `cargo xtask performance`.
#[derive(Debug, Args)]
pub(crate) struct PerformanceArguments {
    /// Size of the network.
    #[arg(long, value_name = "NAME", default_value = "vit_b", value_parser = ["tiny", "vit_b", "vit_l"])]
    model: String,
    /// A Python with torch 2.13.0 and numpy, to compare with; without it that table is left out.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Only these tables.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',',
          value_parser = ["compare", "layers", "crops", "points", "batch", "threads", "training"])]
    only: Vec<String>,
}

/// Measures and prints the tables, one after the other.
pub(crate) fn run(arguments: &PerformanceArguments) -> Result<()> {
    setup::run(&SetupArguments::default())?;
    let programs = Programs::build()?;
    let model = arguments.model.as_str();
    let wanted = |table: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == table);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    println!("{}", tables::machine(cpu().as_deref(), cores));

    let clicks = |extra: &[String]| programs.clicks(model, extra);
    let base = if ["compare", "crops", "points", "batch", "threads"].into_iter().any(wanted) {
        Some(clicks(&[])?)
    } else {
        None
    };
    if let (Some(base), true) = (&base, wanted("compare")) {
        match &arguments.python {
            Some(python) => println!("{}", tables::comparison(base, &programs.plain(python, model, cores)?)),
            None => eprintln!("==> the comparison with PyTorch is left out: it needs --python"),
        }
    }
    if wanted("layers") {
        println!("{}", tables::layers(&programs.layers(model)?));
    }
    if let Some(base) = base {
        // The rows of a table, of which that of `base` is known.
        let vary = |option: &str, values: &[usize], known: usize| -> Result<Vec<Clicks>> {
            let row = |value: &usize| {
                if *value == known {
                    return Ok(base.clone());
                }
                clicks(&options([(option, value.to_string())]))
            };
            values.iter().map(row).collect()
        };
        if wanted("points") {
            println!("{}", tables::points(&vary("points", &[1, 3, 10], 1)?));
        }
        if wanted("crops") {
            let sides = [base.crop / 2, base.crop, 2 * base.crop];
            println!("{}", tables::crops(&vary("crop", &sides, base.crop)?));
        }
        if wanted("batch") {
            println!("{}", tables::batches(&vary("batch", &[1, 2], 1)?));
        }
        if wanted("threads") {
            let counts: Vec<usize> = (0..).map(|i| 1 << i).take_while(|count| *count < cores).collect();
            println!("{}", tables::threads(&vary("threads", &[&counts[..], &[cores]].concat(), cores)?));
        }
    }
    if wanted("training") {
        let mut steps = Vec::new();
        for (model, recompute) in [("tiny", "none"), ("tiny", "blocks")] {
            steps.push(programs.step(model, recompute)?);
        }
        if model != "tiny" {
            steps.push(programs.step(model, "blocks")?);
        }
        println!("{}", tables::training(&steps));
    }
    Ok(())
}

/// `--name value` for each pair.
fn options<const N: usize>(pairs: [(&str, String); N]) -> Vec<String> {
    pairs.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect()
}

/// What measures.
struct Programs {
    measure: PathBuf,
    measure_step: PathBuf,
}

impl Programs {
    fn build() -> Result<Self> {
        let examples: [(&str, &str, &[&str]); 2] =
            [("sam3d-model", "measure", &["--features", "bench"]), ("sam3d-train", "measure_step", &[])];
        for (package, example, features) in examples {
            let mut build = workspace::cargo();
            build.args(["build", "--release", "--package", package, "--example", example]).args(features);
            step::run(example, &mut build)?;
        }
        let directory = workspace::target_directory().join("release").join("examples");
        Ok(Self { measure: directory.join("measure"), measure_step: directory.join("measure_step") })
    }

    fn clicks(&self, model: &str, extra: &[String]) -> Result<Clicks> {
        measure(Command::new(&self.measure).args(["clicks", "--model", model]).args(extra))
    }

    fn layers(&self, model: &str) -> Result<Layers> {
        measure(Command::new(&self.measure).args(["layers", "--model", model]))
    }

    fn step(&self, model: &str, recompute: &str) -> Result<Step> {
        measure(Command::new(&self.measure_step).args(["--model", model, "--recompute", recompute]))
    }

    fn plain(&self, python: &Path, model: &str, threads: usize) -> Result<Plain> {
        let script = workspace::root().join("crates/sam3d-model/benches/plain_pytorch.py");
        measure(Command::new(python).arg(script).args(["--model", model, "--threads", &threads.to_string()]))
    }
}

/// Runs `command` and reads the one line of JSON it prints.
fn measure<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let shown = step::shown(command);
    eprintln!("==> {shown}");
    let start = Instant::now();
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed ({})", output.status);
    }
    eprintln!("==> done in {:.0} s", start.elapsed().as_secs_f64());
    serde_json::from_slice(&output.stdout).with_context(|| format!("what {shown} printed"))
}

/// The processor's name, where the system says it (Linux on x86_64).
fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_the_json_that_was_printed() {
        let json = r#"{"forward_seconds": [3.5, 3.0], "peak_mib": 7, "implementation": "plain"}"#;
        let plain: Plain = measure(Command::new("echo").arg(json)).unwrap();
        assert_eq!(plain.forward_seconds, [3.5, 3.0]);
        let error = measure::<Plain>(Command::new("echo").arg("none")).unwrap_err().to_string();
        assert!(error.contains("echo none"), "{error}");
        let error = measure::<Plain>(&mut Command::new("false")).unwrap_err().to_string();
        assert!(error.contains("false failed"), "{error}");
    }
}
