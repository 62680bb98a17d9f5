//! `cargo xtask bench`: every criterion bench, and one table of the results.

use std::{fs, path::Path, time::SystemTime};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::{
    setup::{self, SetupArguments},
    step, workspace,
};

/// The packages that have benches, with the features these need.
const PACKAGES: [(&str, &[&str]); 5] = [
    ("sam3d-io", &[]),
    ("sam3d-infer", &[]),
    ("sam3d-metrics", &[]),
    ("sam3d-model", &["--features", "bench"]),
    ("sam3d-train", &[]),
];

/// Arguments of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Fewer samples: minutes in all, and less certain.
    #[arg(long)]
    quick: bool,
    /// Size of the network; the published ones take long.
    #[arg(long, value_name = "NAME", default_value = "tiny", value_parser = ["tiny", "vit_b", "vit_l", "vit_h"])]
    model: String,
}

/// Runs the benches and prints the mean time of each.
pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    setup::run(&SetupArguments::default())?;
    let start = SystemTime::now();
    for (package, features) in PACKAGES {
        let mut bench = workspace::cargo();
        bench.args(["bench", "--package", package, "--benches"]).args(features);
        bench.env("SAM3D_BENCH_MODEL", &arguments.model);
        if arguments.quick {
            bench.args(["--", "--quick"]);
        }
        step::run(package, &mut bench)?;
    }
    let mut results = Vec::new();
    collect(&workspace::target_directory().join("criterion"), start, &mut results)?;
    if results.is_empty() {
        bail!("the benches left no results in {}", workspace::target_directory().join("criterion").display());
    }
    results.sort_by(|a, b| a.name.cmp(&b.name));
    println!("\n{:<44}{:>12}   95 % interval", "bench", "mean");
    for result in results {
        let [low, high] = result.interval_ns.map(time);
        println!("{:<44}{:>12}   {low} to {high}", result.name, time(result.mean_ns));
    }
    Ok(())
}

/// One bench.
#[derive(Debug, PartialEq)]
struct BenchResult {
    name: String,
    mean_ns: f64,
    interval_ns: [f64; 2],
}

/// What criterion says of a bench.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

/// What criterion estimated.
#[derive(Deserialize)]
struct Estimates {
    mean: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Gathers the results below `directory` that are not older than `start`: earlier runs leave theirs there as well.
fn collect(directory: &Path, start: SystemTime, results: &mut Vec<BenchResult>) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", directory.display()))?.path();
        if !path.is_dir() {
            continue;
        }
        let estimates = path.join("estimates.json");
        let is_new = |modified: SystemTime| modified >= start;
        let fresh = fs::metadata(&estimates).and_then(|meta| meta.modified()).is_ok_and(is_new);
        if path.file_name().is_some_and(|name| name == "new") && fresh {
            let Benchmark { full_id } = read(&path.join("benchmark.json"))?;
            let Estimates { mean } = read(&estimates)?;
            let Interval { lower_bound, upper_bound } = mean.confidence_interval;
            let interval_ns = [lower_bound, upper_bound];
            results.push(BenchResult { name: full_id, mean_ns: mean.point_estimate, interval_ns });
        } else {
            collect(&path, start, results)?;
        }
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{}", path.display()))
}

/// A time with three significant digits and its unit.
fn time(nanoseconds: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "us")];
    let (scale, unit) = units.into_iter().find(|(scale, _)| nanoseconds >= *scale).unwrap_or((1.0, "ns"));
    let value = nanoseconds / scale;
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let shown = [12.0, 4_560.0, 78_900_000.0, 1.5e11].map(time);
        assert_eq!(shown, ["12.0 ns", "4.56 us", "78.9 ms", "150 s"]);
    }

    #[test]
    fn only_results_of_this_run_are_gathered() {
        let directory = tempfile::tempdir().unwrap();
        let new = directory.path().join("group/bench/new");
        fs::create_dir_all(&new).unwrap();
        fs::write(new.join("benchmark.json"), r#"{"full_id": "group/bench"}"#).unwrap();
        let interval = r#"{"confidence_level": 0.95, "lower_bound": 1.0, "upper_bound": 3.0}"#;
        let mean = format!(r#"{{"mean": {{"point_estimate": 2.0, "confidence_interval": {interval}}}}}"#);
        fs::write(new.join("estimates.json"), mean).unwrap();

        let mut results = Vec::new();
        collect(directory.path(), SystemTime::UNIX_EPOCH, &mut results).unwrap();
        let expected = BenchResult { name: "group/bench".into(), mean_ns: 2.0, interval_ns: [1.0, 3.0] };
        assert_eq!(results, [expected]);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        results.clear();
        collect(directory.path(), later, &mut results).unwrap();
        assert!(results.is_empty());
    }
}
