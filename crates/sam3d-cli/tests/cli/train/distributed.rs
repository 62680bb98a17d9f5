//! Two processes over MPI train as one does.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use tempfile::tempdir;

use super::resume::CONFIG;
use crate::support::{prepare_demo, sam3d, stdout_of};

/// The losses of all steps and the validation losses of all epochs.
fn curve(run: &Path) -> Vec<f64> {
    let column = |file: &str, name: &str| -> Vec<f64> {
        let text = fs::read_to_string(run.join(file)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()[name].as_f64().unwrap())
            .collect()
    };
    [column("steps.jsonl", "loss"), column("metrics.jsonl", "validation_loss")].concat()
}

fn two_processes(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    command
        .args(["--allow-run-as-root", "--oversubscribe", "-n", "2"])
        .arg(cargo_bin("sam3d"))
        .args(["train", "--distributed", "--threads", "1"])
        .args(arguments)
        .current_dir(place)
        .env_remove("SAM3D_LOG");
    command
}

#[test]
fn two_processes_do_what_one_does_and_end_together() {
    if !cfg!(feature = "distributed") {
        println!("skipped: built without the feature distributed (cargo xtask test --full builds with it)");
        return;
    }
    if !Command::new("mpirun").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: no mpirun");
        return;
    }
    let place = tempdir().unwrap();
    let place = place.path();
    prepare_demo(&place.join("data/demo"));
    fs::write(place.join("small.toml"), CONFIG).unwrap();
    let one = ["train", "--config", "small.toml", "--threads", "1", "--out"];
    stdout_of(sam3d(place).args(one).arg("one"));
    let close = |run: &str, of_one: &str| {
        let (found, expected) = (curve(&place.join(run)), curve(&place.join(of_one)));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-5, "{run}: {found:?} {expected:?}");
        }
    };

    // One batch in each of two processes is what one process does with two.
    let two = ["--config", "small.toml", "--set", "train.accumulate=1", "--out"];
    let text = stdout_of(&mut two_processes(place, &[&two[..], &["two"]].concat()).into());
    assert_eq!(text.matches("last checkpoint").count(), 1, "{text}");
    close("two", "one");

    // So is training with corrections, whose prompts depend on seed, epoch and case alone.
    let interactive = ["--set", "variant.dense_prompts=true", "--set", "train.interaction.rounds=2"];
    stdout_of(sam3d(place).args(one).arg("corrected").args(interactive));
    stdout_of(&mut two_processes(place, &[&two[..], &["corrected_by_two"], &interactive].concat()).into());
    close("corrected_by_two", "corrected");
    assert_ne!(curve(&place.join("corrected")), curve(&place.join("one")));

    // A process that dies ends the other, and what was saved is there to go on from.
    let mut job = two_processes(place, &[&two[..], &["killed", "-v"]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(job.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("saved within")));
    let children = Command::new("pgrep").args(["-P", &job.id().to_string(), "sam3d"]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let last = children.lines().last().unwrap();
    assert!(Command::new("kill").args(["-KILL", last]).status().unwrap().success());
    let rest: String = lines.map(|line| line.unwrap() + "\n").collect();
    assert!(!job.wait().unwrap().success());
    assert!(rest.contains("signal 9"), "{rest}");
    stdout_of(&mut two_processes(place, &["--out", "killed", "--resume"]).into());
    close("killed", "one");
}
