//! Rules on the sources that no compiler checks.

#![expect(clippy::expect_used, reason = "a test that cannot read the sources cannot go on")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// The workspace's own files with one of `extensions` and their text, those of builds, of users and of packages left out.
fn files(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a readable directory") {
            let entry = entry.expect("a readable entry");
            let path = entry.path();
            let relative = path.strip_prefix(&root).expect("below the root").to_owned();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("a file type");
            let ignored = ["target", "data", "runs", "demo"].iter().any(|top| relative == Path::new(top));
            if kind.is_dir() && !ignored && name != ".git" && name != "node_modules" {
                waiting.push(path);
            } else if kind.is_file() && extensions.iter().any(|extension| name.ends_with(extension)) {
                let text = fs::read_to_string(&path).expect("text in UTF-8");
                found.push((relative, text));
            }
        }
    }
    assert!(!found.is_empty(), "no {extensions:?} below {}", root.display());
    found.sort();
    found
}

#[test]
fn no_file_is_longer_than_can_be_read_at_once() {
    let long: Vec<String> = files(&[".rs"])
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > 400)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "more than 400 lines, look for a seam: {long:#?}");
}

#[test]
fn no_path_of_one_machine() {
    // Put together here, so that this file does not trip over itself.
    let homes: Vec<String> =
        ["home", "root", "Users", "work"].iter().map(|name| format!("/{name}/")).collect();
    let mut found = Vec::new();
    for (path, text) in files(&[".rs", ".toml", ".md", ".sh", ".json", "run"]) {
        for (number, line) in text.lines().enumerate() {
            let starts_path = |at: usize| {
                at == 0 || !line.as_bytes()[at - 1].is_ascii_alphanumeric() && line.as_bytes()[at - 1] != b'.'
            };
            if homes.iter().any(|home| line.match_indices(home.as_str()).any(|(at, _)| starts_path(at))) {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "paths that exist on one machine only: {found:#?}");
}

/// Libraries leave the process, its environment and its terminal to the programs; clippy sees to printing.
#[test]
fn only_programs_touch_the_process() {
    let calls = ["env::var", "env::set_var", "process::exit", "set_global_default", "tracing_subscriber"];
    let libraries = [
        "geom",
        "io",
        "data",
        "metrics",
        "pickle",
        "nnia",
        "dicomweb",
        "model",
        "baselines",
        "infer",
        "eval",
        "train",
        "serve",
    ]
    .map(|name| format!("crates/sam3d-{name}/src"));
    let found: Vec<String> = files(&[".rs"])
        .into_iter()
        .filter(|(path, _)| libraries.iter().any(|library| path.starts_with(library)))
        // Unit tests in files of their own ask the environment which of them to run.
        .filter(|(path, _)| !path.to_string_lossy().contains("tests"))
        .flat_map(|(path, text)| {
            let used = calls.iter().filter(|call| text.contains(**call)).map(|call| call.to_string());
            used.map(|call| format!("{}: {call}", path.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "the program's business: {found:#?}");
}

/// Every lint exception says why.
#[test]
fn no_bare_allow() {
    let attribute = ["#[", "#!["].map(|start| format!("{start}{}(", "allow"));
    let found: Vec<String> = files(&[".rs"])
        .into_iter()
        .filter(|(_, text)| attribute.iter().any(|bare| text.contains(bare.as_str())))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(found.is_empty(), "use #[expect(..., reason = \"...\")]: {found:#?}");
}

/// A page that is linked exists.
#[test]
fn links_between_documents_lead_somewhere() {
    let root = root();
    let mut broken = Vec::new();
    for (path, text) in files(&[".md"]) {
        let directory = root.join(&path).parent().expect("a file has a parent").to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !directory.join(file).exists() {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
