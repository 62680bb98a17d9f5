//! `cargo xtask demo`: the whole way once, on generated data: train, evaluate, correct, segment.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use sam3d_commands::PrepareDataArgs;
use sam3d_data::{
    dataset::{Case, PreparedDataset},
    splits::Part,
};
use sam3d_io::nifti::{self, ReadLimits};
use serde::Deserialize;

use crate::{
    setup::{self, SetupArguments},
    step, workspace,
};

/// Arguments of `cargo xtask demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Where data, run and results go; those of an earlier demo are replaced [default: demo in the workspace]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Time for training.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// How the network is trained: with corrections of a simulated user, or as published
    #[arg(long, value_enum, default_value_t = Recipe::Interactive, value_name = "NAME")]
    recipe: Recipe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Recipe {
    Interactive,
    Published,
}

impl Recipe {
    fn configuration(self) -> &'static str {
        match self {
            Self::Interactive => "configs/demo-interactive.toml",
            Self::Published => "configs/demo.toml",
        }
    }
}

/// Corrective clicks after the first.
const CORRECTIONS: &str = "5";

/// Runs setup, generates data, trains, evaluates by the published protocol and with corrections, segments one test case with
/// one click, and prints what clicks and corrections reach.
pub(crate) fn run(arguments: &DemoArguments) -> Result<()> {
    let start = Instant::now();
    setup::run(&SetupArguments::default())?;
    let out = arguments.out.clone().unwrap_or_else(|| workspace::root().join("demo"));
    let out = std::path::absolute(&out).with_context(|| format!("{}", out.display()))?;
    let [data, run, evaluation, corrections, segmentation] =
        ["data", "run", "evaluation", "corrections", "segmentation"].map(|name| out.join(name));

    // Built by itself first: a build takes minutes, and should show what it does.
    step::run("build", workspace::cargo().args(["build", "--package", "sam3d-cli"]))?;
    print!("{}", PrepareDataArgs::demo(data.clone()).run(0, &workspace::program())?);

    remove_earlier_run(&run)?;
    // The learning rate falls over the time there is, whatever the machine manages in it.
    let minutes = format!("train.minutes={}.0", arguments.minutes);
    let configuration = workspace::root().join(arguments.recipe.configuration());
    let mut train = sam3d("train");
    train.arg("--config").arg(&configuration).arg("--data").arg(&data).arg("--out").arg(&run);
    train.args(["--set", &minutes]);
    step::run("training", &mut train)?;

    let evaluate = |out: &Path, more: &[&str]| {
        let mut evaluate = sam3d("eval");
        evaluate.arg("--run").arg(&run).arg("--data").arg(&data).arg("--out").arg(out);
        evaluate.args(["--split", "test", "--force"]).args(more);
        evaluate
    };
    step::run("evaluation", &mut evaluate(&evaluation, &["--points", "1,3,10", "--ball"]))?;
    step::run("corrections", &mut evaluate(&corrections, &["--corrections", CORRECTIONS]))?;

    let case = first_test_case(&data)?;
    let [i, j, k] = click_inside(&case.label)?;
    fs::create_dir_all(&segmentation).with_context(|| format!("cannot create {}", segmentation.display()))?;
    let mask = segmentation.join("mask.nii.gz");
    let mut segment = sam3d("segment");
    segment.arg("--weights").arg(run.join("best.safetensors")).arg("--image").arg(&case.image);
    segment.args(["--point", &format!("{i},{j},{k}")]).arg("--out").arg(&mask).arg("--force");
    segment.arg("--truth").arg(&case.label).arg("--overlay").arg(&segmentation);
    step::run("segmentation", &mut segment)?;

    let [drawn, corrected] = [&evaluation, &corrections].map(|directory| Scores::read(directory));
    print!("\n{}", table(&drawn?, &corrected?));
    println!("\nThe demo took {:.1} minutes. Look at", start.elapsed().as_secs_f64() / 60.0);
    for (what, path) in [
        ("the generated CTs and their labels", &data),
        ("the trained weights and the training log", &run),
        ("the scores of every test case with 1, 3 and 10 clicks", &evaluation),
        ("the scores after one click and five corrections", &corrections),
        ("one segmentation, as a mask and as pictures", &segmentation),
    ] {
        println!("  {:<60} {what}", path.display());
    }
    Ok(())
}

/// What `scores.json` says of an evaluation, as far as the table needs it.
#[derive(Debug, Deserialize)]
struct Scores {
    summary: Vec<Row>,
}

/// The scores with one number of clicks or corrections.
#[derive(Debug, Deserialize)]
struct Row {
    points: usize,
    dice: Dice,
}

#[derive(Debug, Deserialize)]
struct Dice {
    cases: Mean,
    interval: Interval,
}

#[derive(Debug, Deserialize)]
struct Mean {
    mean: f64,
}

#[derive(Debug, Deserialize)]
struct Interval {
    low: f64,
    high: f64,
}

impl Scores {
    fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("scores.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
    }
}

/// Dice of clicks that are drawn at once, as published, beside that of clicks that each correct the mask before them.
fn table(drawn: &Scores, corrected: &Scores) -> String {
    let cells = |scores: &Scores, name: &dyn Fn(usize) -> String| -> Vec<String> {
        let cell = |Row { points, dice: Dice { cases, interval } }: &Row| {
            let [mean, low, high] = [cases.mean, interval.low, interval.high].map(|share| 100.0 * share);
            format!("{:<22}{mean:>6.2} [{low:.2}, {high:.2}]", name(*points))
        };
        scores.summary.iter().map(cell).collect()
    };
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let left = cells(drawn, &|count| format!("{count} click{} drawn", plural(count)));
    let right = cells(corrected, &|count| match count {
        0 => "1 click".to_owned(),
        count => format!("+ {count} correction{}", plural(count)),
    });
    let mut text = format!("{:<48}{}\n", "Dice in %, 95 % interval: drawn at once", "one corrects the other");
    for row in 0..left.len().max(right.len()) {
        let [left, right] = [&left, &right].map(|cells| cells.get(row).map_or("", String::as_str));
        text.push_str(format!("{left:<48}{right}").trim_end());
        text.push('\n');
    }
    text
}

/// Removes the run of an earlier demo: a run that exists is not trained over.
fn remove_earlier_run(run: &Path) -> Result<()> {
    if !run.join("config.toml").exists() {
        return Ok(());
    }
    println!("replacing the earlier run in {}", run.display());
    fs::remove_dir_all(run).with_context(|| format!("cannot remove {}", run.display()))
}

/// The program, which is built already.
fn sam3d(command: &str) -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--quiet", "--package", "sam3d-cli", "--", command]);
    cargo
}

/// The first test case of the prepared directory `data`.
fn first_test_case(data: &Path) -> Result<Case> {
    let prepared = PreparedDataset::open(data)?;
    let case = prepared.part(0, Part::Test)?.first().copied().cloned();
    case.with_context(|| format!("{}: no case for test", data.display()))
}

/// The target voxel of the mask `label` that is nearest to the target's centre, as `[i, j, k]`: where one would click.
fn click_inside(label: &Path) -> Result<[usize; 3]> {
    let volume = nifti::read(label, ReadLimits::default())?;
    let spacing = volume.grid.spacing_ijk_mm();
    let target: Vec<[usize; 3]> = volume
        .data
        .indexed_iter()
        .filter(|(_, value)| **value > 0.5)
        .map(|((k, j, i), _)| [i, j, k])
        .collect();
    nearest_to_centre(&target, spacing)
        .with_context(|| format!("{}: no target voxel to click on", label.display()))
}

fn nearest_to_centre(voxels: &[[usize; 3]], spacing_mm: [f64; 3]) -> Option<[usize; 3]> {
    let count = voxels.len() as f64;
    let centre: [f64; 3] =
        std::array::from_fn(|axis| voxels.iter().map(|voxel| voxel[axis] as f64).sum::<f64>() / count);
    let distance = |voxel: &[usize; 3]| -> f64 {
        (0..3).map(|axis| ((voxel[axis] as f64 - centre[axis]) * spacing_mm[axis]).powi(2)).sum()
    };
    voxels.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_clicks_stand_beside_corrections() {
        let scores = |points: &[usize]| {
            let row = |points: &usize| {
                let mean = 0.8 + 0.01 * *points as f64;
                serde_json::json!({ "points": points, "nsd": [], "dice": {
                    "cases": { "count": 5, "mean": mean, "std": 0.1 }, "interval": { "low": 0.7, "high": 0.95 }
                } })
            };
            let rows: Vec<serde_json::Value> = points.iter().map(row).collect();
            serde_json::from_value(serde_json::json!({ "program": "sam3d", "summary": rows })).unwrap()
        };
        let expected = "\
Dice in %, 95 % interval: drawn at once         one corrects the other
1 click drawn          81.00 [70.00, 95.00]     1 click                80.00 [70.00, 95.00]
3 clicks drawn         83.00 [70.00, 95.00]     + 1 correction         81.00 [70.00, 95.00]
                                                + 2 corrections        82.00 [70.00, 95.00]
";
        assert_eq!(table(&scores(&[1, 3]), &scores(&[0, 1, 2])), expected);
    }

    #[test]
    fn the_click_is_in_the_target() {
        // Two ends of a line without its middle: the centre itself is no target.
        assert_eq!(nearest_to_centre(&[[0, 0, 0], [4, 0, 0], [5, 0, 0]], [1.0; 3]), Some([4, 0, 0]));
        // (1, 3, 0) is two voxels from the centre (1, 1, 0), the others nearer in voxels but not in mm.
        let corners = [[0, 0, 0], [2, 0, 0], [1, 3, 0]];
        assert_eq!(nearest_to_centre(&corners, [1.0; 3]), Some([0, 0, 0]));
        assert_eq!(nearest_to_centre(&corners, [3.0, 1.0, 1.0]), Some([1, 3, 0]));
        assert_eq!(nearest_to_centre(&[], [1.0; 3]), None);
    }
}
