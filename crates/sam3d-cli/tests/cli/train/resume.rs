//! Runs that are killed, told to stop or run out of disk, and go on as if nothing had happened.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use assert_cmd::cargo::cargo_bin;
use sam3d_model::TensorFile;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{prepare_demo, stdout_of};

/// A network that takes a step in tenths of a second, saved after every other step of the six of an epoch.
pub(crate) const CONFIG: &str = r#"
seed = 3
[model]
crop = 32
[model.encoder]
embed_dim = 16
depth = 4
num_heads = 2
mlp_ratio = 2
global_blocks = []
token_grid = 8
patch_size = 16
window = 4
sam_window = 14
neck_channels = 16
[model.prompt]
depth = 1
num_heads = 2
mlp_dim = 16
global_queries = 4
attention_downsample_rate = 2
num_pos_feats = 4
[model.decoder]
head_channels = 8
hidden_channels = 8
[train]
epochs = 2
crops_per_case = 12
accumulate = 2
ema_decay = 0.9
schedule = "cosine"
warmup_steps = 4
save_every_steps = 2
"#;

fn command(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin("sam3d"));
    command.current_dir(place).env_remove("SAM3D_LOG").arg("train").args(arguments);
    command
}

/// What decides whether two runs are the same: the numbers of every step and epoch, all weights and all moments.
fn outcome(run: &Path) -> (Vec<String>, Vec<String>, Vec<Vec<u8>>, TensorFile) {
    let without_time = |name: &str| {
        let text = fs::read_to_string(run.join(name)).unwrap();
        text.lines()
            .map(|line| {
                let mut record: Value = serde_json::from_str(line).unwrap();
                record.as_object_mut().unwrap().remove("seconds");
                record.to_string()
            })
            .collect()
    };
    let checkpoints =
        ["last", "best", "base"].map(|name| fs::read(run.join(format!("{name}.safetensors"))).unwrap());
    let state = TensorFile::read(&run.join("state.safetensors")).unwrap();
    (without_time("steps.jsonl"), without_time("metrics.jsonl"), checkpoints.into(), state)
}

fn assert_same(straight: &Path, resumed: &Path, how: &str) {
    let (steps, epochs, checkpoints, state) = outcome(straight);
    let (other_steps, other_epochs, other_checkpoints, other_state) = outcome(resumed);
    assert_eq!(steps.len(), 12, "{steps:#?}");
    assert_eq!(steps, other_steps, "{how}");
    assert_eq!(epochs, other_epochs, "{how}");
    assert!(checkpoints == other_checkpoints, "{how}: checkpoints differ");
    assert!(state.tensors.keys().eq(other_state.tensors.keys()));
    for (name, tensor) in &state.tensors {
        assert!(tensor.equal(&other_state.tensors[name]), "{how}: {name} differs");
    }
}

/// Runs until a line of standard error holds `word` for the `count`th time, and kills the program there.
fn kill_at(place: &Path, arguments: &[&str], word: &str, count: usize) {
    let mut command = command(place, arguments);
    let mut child = command.arg("-v").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = lines.map(|line| line.unwrap()).filter(|line| line.contains(word));
    assert!(seen.nth(count - 1).is_some(), "the program ended before it said {word:?} {count} times");
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "killed too late");
}

fn litter(run: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
}

#[test]
fn a_run_killed_anywhere_stopped_or_out_of_disk_goes_on_bit_for_bit() {
    let place = tempdir().unwrap();
    let place = place.path();
    prepare_demo(&place.join("data/demo"));
    fs::write(place.join("small.toml"), CONFIG).unwrap();
    let start = ["--config", "small.toml", "--out"];
    let begin = |out: &'static str| [&start[..], &[out]].concat();
    stdout_of(&mut command(place, &begin("straight")).into());
    let straight = place.join("straight");

    // Killed while the state of steps 2 and 6 was written and between steps 4 and 5.
    kill_at(place, &begin("killed"), "saving the state", 1);
    let run = place.join("killed");
    if run.join("state.safetensors").exists() {
        // The write was faster than the kill; begin again from before it.
        fs::remove_file(run.join("state.safetensors")).unwrap();
    }
    kill_at(place, &begin("killed"), "saved within", 2);
    let resume = ["--out", "killed", "--resume"];
    kill_at(place, &resume, "saving the state", 1);
    // What a process killed within a write, a log line or between two checkpoints leaves behind.
    fs::create_dir(run.join(".checkpoint-abc")).unwrap();
    fs::write(run.join(".checkpoint-abc/tensors"), "half").unwrap();
    fs::copy(straight.join("last.safetensors"), run.join("last.safetensors")).unwrap();
    let steps = fs::read_to_string(straight.join("steps.jsonl")).unwrap();
    fs::write(run.join("steps.jsonl"), &steps[..steps.len() - 20]).unwrap();
    stdout_of(&mut command(place, &resume).into());
    assert_same(&straight, &run, "killed");
    assert_eq!(litter(&run), Vec::<PathBuf>::new());

    // Told to stop within the first epoch.
    let mut child = command(place, &begin("stopped"))
        .args(["-v", "--json"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("saved within")));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // Read to the end, lest the program wait for a reader.
    assert!(lines.all(|line| line.is_ok()));
    let mut report = String::new();
    child.stdout.take().unwrap().read_to_string(&mut report).unwrap();
    assert!(child.wait().unwrap().success());
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["ended"], &report["progress"]["epochs"]), (&"stopped".into(), &0.into()), "{report}");
    let text = stdout_of(
        &mut command(place, &["--out", "stopped", "--resume", "--set", "train.stop_after=1"]).into(),
    );
    assert!(text.contains("--out stopped --resume") && text.contains("train.stop_after"), "{text}");

    // Out of disk: files may not grow beyond what a checkpoint takes, and the state is larger. The unit is 512 bytes.
    let limit = fs::metadata(straight.join("last.safetensors")).unwrap().len() / 512 + 64;
    let saved = fs::read(place.join("stopped/state.safetensors")).unwrap();
    assert!(saved.len() as u64 / 512 > limit);
    let script = format!(
        "trap '' XFSZ; ulimit -f {limit}; exec '{}' train --out stopped --resume --set train.stop_after=2",
        cargo_bin("sam3d").display()
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(place).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && message.contains("state.safetensors"), "{message}");
    assert!(saved == fs::read(place.join("stopped/state.safetensors")).unwrap(), "the state was lost");
    stdout_of(&mut command(place, &["--out", "stopped", "--resume", "--set", "train.stop_after=2"]).into());
    assert_same(&straight, &place.join("stopped"), "stopped");
}
