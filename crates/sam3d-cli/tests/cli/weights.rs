//! Which weights a command uses, where they come from, and their card.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use assert_cmd::Command;
use ndarray::Array3;
use sam3d_geom::{Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use sam3d_io::{atomic::Overwrite, nifti};
use sam3d_model::{Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, Provenance, Sam3d};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{failure_of, grid, sam3d, stdout_of};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

const CARD: &str = r#"
title = "Weights of a test"
trained_on = "random numbers"
data = "none"
licence = "CC0-1.0"
attribution = "nobody"
training = "sam3d train --seed 3"
seed = 3
intended_use = "tests"
not_for = "patients"

[scores]
"Dice, one click" = "0.50 (0.40 to 0.60)"
"#;

/// A directory with a CT and weights.
fn write_files(directory: &Path) {
    let ct = Array3::from_elem(grid().shape_kji(), 40i16);
    nifti::write(&directory.join("ct.nii.gz"), ct.view(), &grid(), Overwrite::Refuse).unwrap();
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model: ModelConfig::tiny(),
        preprocessing: Some(Preprocessing {
            intensity: Intensity::new([-50.0, 150.0], 60.0, 30.0).unwrap(),
            spacing_mm: Spacing::new([1.5; 3]).unwrap(),
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        }),
        provenance: Provenance { source: "random weights".into(), ..Provenance::default() },
        base: None,
    };
    let network = Sam3d::new(&ModelConfig::tiny(), tch::Device::Cpu, 3).unwrap();
    Checkpoint::write(&network, &metadata, &directory.join("weights.safetensors")).unwrap();
    fs::write(directory.join("card.toml"), CARD).unwrap();
}

/// `sam3d` with a cache of its own and a hub of its own.
fn program(directory: &Path, endpoint: &str) -> Command {
    let mut command = sam3d(directory);
    command.env("SAM3D_CACHE", directory.join("cache")).env("HF_ENDPOINT", endpoint);
    command
}

fn segment(directory: &Path, endpoint: &str, more: &[&str]) -> Command {
    let mut command = program(directory, endpoint);
    command.args(["segment", "--image", "ct.nii.gz", "--point", "4,3,2", "--out", "mask.nii.gz", "--force"]);
    command.args(more);
    command
}

fn stderr_of(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stderr.clone()).unwrap()
}

/// In a program with built-in weights and in one without.
#[test]
fn without_weights_the_built_in_ones_are_used() {
    let place = tempdir().unwrap();
    write_files(place.path());
    let mut without = segment(place.path(), "http://127.0.0.1:1", &[]);
    let Some(default) = sam3d_infer::BUILT_IN.first() else {
        let message = failure_of(&mut without, 1);
        assert!(message.contains("without weights") && message.contains("--weights FILE"), "{message}");
        return;
    };
    let stderr = stderr_of(&mut without);
    let said: Vec<&str> = stderr.lines().filter(|line| line.contains("built-in weights")).collect();
    assert!(said.len() == 1 && said[0].contains(default.name) && said[0].contains("trained on"), "{stderr}");
    let mask = fs::read(place.path().join("mask.nii.gz")).unwrap();
    let stderr = stderr_of(&mut segment(place.path(), "http://127.0.0.1:1", &["--weights", default.name]));
    assert!(!stderr.contains("built-in weights"), "{stderr}");
    assert_eq!(fs::read(place.path().join("mask.nii.gz")).unwrap(), mask);

    // They carry a card, and are listed with it.
    let models = stdout_of(program(place.path(), "").args(["models", "--json"]));
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(models[0]["name"], default.name);
    assert_eq!(models[0]["bytes"], default.bytes.len());
    assert!(models[0]["card"]["not_for"].is_string(), "{models}");
}

#[test]
fn built_in_weights_are_listed_where_there_is_no_cache() {
    let place = tempdir().unwrap();
    let mut models = sam3d(place.path());
    for variable in ["HOME", "SAM3D_CACHE", "XDG_CACHE_HOME"] {
        models.env_remove(variable);
    }
    let output = models.args(["models", "--json"]).assert().success().get_output().clone();
    let listed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed.len(), sam3d_infer::BUILT_IN.len());
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("only built-in weights are listed") && log.contains("SAM3D_CACHE"), "{log}");
}

#[test]
fn a_checkpoint_carries_its_card_at_half_the_size() {
    let place = tempdir().unwrap();
    write_files(place.path());
    let convert = |more: &[&str]| {
        let mut command = sam3d(place.path());
        command
            .args(["convert", "--in", "weights.safetensors", "--out", "small.safetensors", "--force"])
            .args(more);
        command
    };
    stdout_of(&mut convert(&["--half", "--card", "card.toml"]));
    let size = |name: &str| fs::metadata(place.path().join(name)).unwrap().len() as f64;
    assert!(size("small.safetensors") < 0.55 * size("weights.safetensors"));
    insta::assert_snapshot!(stdout_of(sam3d(place.path()).args(["info", "small.safetensors"])));
    // Converted once more it keeps its card.
    let again = ["convert", "--in", "small.safetensors", "--out", "again.safetensors", "--json"];
    let report: Value = serde_json::from_str(&stdout_of(sam3d(place.path()).args(again))).unwrap();
    assert_eq!(report["card"]["licence"], "CC0-1.0");
    stderr_of(&mut segment(place.path(), "", &["--weights", "small.safetensors"]));

    for (name, text, word) in [
        ("empty.toml", CARD.replace("patients", " "), "not_for is empty"),
        ("short.toml", CARD.replace("licence", "license"), "license"),
        ("card.md", CARD.to_owned(), ".toml or .json"),
    ] {
        fs::write(place.path().join(name), text).unwrap();
        let message = failure_of(&mut convert(&["--card", name]), 1);
        assert!(message.contains(name) && message.contains(word), "{message}");
    }
}

/// A hub with `file` as `owner/repo/w.safetensors`; its address, and the number of requests.
fn hub(file: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            seen.fetch_add(1, Ordering::SeqCst);
            answer(stream.unwrap(), &file);
        }
    });
    (endpoint, requests)
}

fn answer(mut stream: TcpStream, file: &[u8]) {
    // A client may leave at any time.
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(path) = lines.next().and_then(|line| Some(line.split(' ').nth(1)?.to_owned())) else { return };
    let _headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let commit = format!("{{\"sha\": \"{COMMIT}\"}}");
    let (status, body) = match path.as_str() {
        "/api/models/owner/repo/revision/main" => ("200 OK", commit.as_bytes()),
        path if path == format!("/owner/repo/resolve/{COMMIT}/w.safetensors") => ("200 OK", file),
        _ => ("404 Not Found", &[][..]),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

#[test]
fn weights_of_a_hub_are_pinned_and_then_used_without_a_network() {
    let place = tempdir().unwrap();
    write_files(place.path());
    let shared = ["convert", "--in", "weights.safetensors", "--card", "card.toml", "--out", "w.safetensors"];
    stdout_of(sam3d(place.path()).args(shared));
    let (endpoint, requests) = hub(fs::read(place.path().join("w.safetensors")).unwrap());
    let sha256 = sam3d_model::sha256_of(&place.path().join("w.safetensors")).unwrap();
    let pinned = format!("hf://owner/repo@{COMMIT}/w.safetensors#sha256={sha256}");

    let weights = ["--weights", "hf://owner/repo/w.safetensors"];
    let stderr = stderr_of(&mut segment(place.path(), &endpoint, &weights));
    assert!(stderr.contains(&pinned), "{stderr}");
    let mask = fs::read(place.path().join("mask.nii.gz")).unwrap();
    let asked = requests.load(Ordering::SeqCst);
    assert_eq!(asked, 2);
    let stderr = stderr_of(&mut segment(place.path(), "http://127.0.0.1:1", &weights));
    assert!(!stderr.contains("sha256"), "{stderr}");
    stderr_of(&mut segment(place.path(), "http://127.0.0.1:1", &["--weights", &pinned]));
    stderr_of(&mut segment(place.path(), "", &["--weights", "w.safetensors"]));
    assert_eq!(fs::read(place.path().join("mask.nii.gz")).unwrap(), mask);
    assert_eq!(requests.load(Ordering::SeqCst), asked);

    let text = stdout_of(program(place.path(), "").arg("models"));
    for shown in [pinned.as_str(), &sha256[..12], "random numbers", "w.safetensors\n", "patients"] {
        assert!(text.contains(shown), "{text}");
    }
    let models: Value =
        serde_json::from_str(&stdout_of(program(place.path(), "").args(["models", "--json"]))).unwrap();
    let models = models.as_array().unwrap();
    assert_eq!(models.len(), sam3d_infer::BUILT_IN.len() + 1);
    let cached = &models[models.len() - 1];
    assert_eq!((&cached["sha256"], &cached["built_in"]), (&sha256.into(), &false.into()));
    assert!(Path::new(cached["path"].as_str().unwrap()).is_file());

    let missing = ["--weights", "hf://owner/repo/other.safetensors"];
    let message = failure_of(&mut segment(place.path(), &endpoint, &missing), 1);
    assert!(message.contains("hf://owner/repo/other.safetensors") && message.contains("404"), "{message}");
    failure_of(&mut segment(place.path(), &endpoint, &["--weights", "hf://owner/w.safetensors"]), 2);
}

#[test]
fn a_sample_is_the_published_one_or_none() {
    let place = tempdir().unwrap();
    fs::write(place.path().join("other.tar.gz"), "another archive").unwrap();
    let fetch = ["fetch-sample", "--archive", "other.tar.gz", "--out", "sample"];
    let message = failure_of(sam3d(place.path()).args(fetch), 1);
    assert!(message.contains("other.tar.gz") && message.contains("24722c96"), "{message}");
    assert!(!place.path().join("sample").exists());
}
