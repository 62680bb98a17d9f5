//! The first check, with programs of ours in place of cargo, compilers and pip.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// Runs the check where `programs` are all there is, and cargo is one that prints its arguments and ends with 7.
fn start(directory: &Path, programs: &[&str], arguments: &[&str]) -> Output {
    let bin = directory.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let script = |name: &str, text: &str| {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    programs.iter().for_each(|name| drop(script(name, "exit 0")));
    let cargo = script("cargo", "echo \"$@\"; exit 7");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask-start"));
    command.args(arguments).env_clear().env("PATH", &bin).env("HOME", directory).env("CARGO", cargo);
    command.output().unwrap()
}

fn check(programs: &[&str], arguments: &[&str], expected: Result<&str, &str>) {
    let directory = tempdir();
    let output = start(&directory, programs, arguments);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    match expected {
        Ok(run) => assert_eq!((stdout.trim(), output.status.code()), (run, Some(7)), "{stderr}"),
        Err(missing) => {
            assert_eq!((stdout.as_str(), output.status.code()), ("", Some(1)), "cargo must not run");
            assert!(stderr.starts_with("error: ") && stderr.contains(missing), "{stderr}");
        }
    }
    fs::remove_dir_all(directory).unwrap();
}

/// A directory of this test's own: the crate has no dependencies.
fn tempdir() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("xtask-start-{}-{number}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn with_everything_there_the_task_runs() {
    check(&["cc", "c++", "pip3"], &["test", "--full"], Ok("run --package xtask -- test --full"));
}

#[test]
fn a_missing_compiler_is_named_before_cargo_runs() {
    check(&["cc", "pip3"], &["setup"], Err("apt install g++"));
    check(&["c++", "pip3"], &["demo"], Err("apt install gcc"));
}

#[test]
fn a_missing_pip_is_named_before_cargo_runs() {
    check(&["cc", "c++"], &["setup"], Err("apt install python3-pip"));
}

#[test]
fn pip_is_not_needed_with_libtorch_in_the_cache() {
    let directory = tempdir();
    let installed = directory.join(".cache/sam3d/libtorch-2.13.0-cpu");
    fs::create_dir_all(&installed).unwrap();
    fs::write(installed.join("installed.txt"), "").unwrap();
    assert_eq!(start(&directory, &["cc", "c++"], &["setup"]).status.code(), Some(7));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn tasks_without_libtorch_need_neither() {
    check(&[], &["fetch-sample", "--out", "sample"], Ok("run --package xtask -- fetch-sample --out sample"));
    check(&[], &[], Ok("run --package xtask --"));
}
