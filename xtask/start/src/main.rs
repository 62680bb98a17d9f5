//! What `cargo xtask` runs first. It needs the standard library alone and is compiled in a second, so that someone without a
//! compiler for C++ or without pip is told so before 170 crates are compiled. Then it runs xtask itself.
#![expect(clippy::print_stderr, reason = "a program that reports to the terminal")]

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// Tasks that neither compile nor run anything of libtorch's.
const WITHOUT_LIBTORCH: [&str; 7] =
    ["prepare-data", "dataset-stats", "fetch-weights", "fetch-sample", "python", "help", "--help"];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let needs_libtorch =
        !arguments.first().is_none_or(|task| WITHOUT_LIBTORCH.iter().any(|other| task == other));
    if needs_libtorch && let Err(missing) = check() {
        eprintln!("error: {missing}");
        return ExitCode::FAILURE;
    }
    let mut xtask = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    xtask.args(["run", "--package", "xtask", "--"]).args(arguments);
    match xtask.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        // What the task said is enough; a killed one has no code.
        Ok(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("error: cannot start cargo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Looks for compilers, and for pip where libtorch has yet to be downloaded.
fn check() -> Result<(), String> {
    for (variable, usual, language, package) in [("CC", "cc", "C", "gcc"), ("CXX", "c++", "C++", "g++")] {
        let compiler = named(variable).unwrap_or_else(|| usual.into());
        if !runs(&compiler, &["--version"]) {
            return Err(format!(
                "no {language} compiler {compiler:?}, which the wrapper of libtorch is built with: install one (Debian and Ubuntu: `apt install {package}`) or set {variable}"
            ));
        }
    }
    let pip: [(&str, &[&str]); 4] = [
        ("python3", &["-m", "pip", "--version"]),
        ("python", &["-m", "pip", "--version"]),
        ("pip3", &["--version"]),
        ("pip", &["--version"]),
    ];
    if is_libtorch_there() || pip.iter().any(|(program, arguments)| runs(program.as_ref(), arguments)) {
        return Ok(());
    }
    Err("no pip to download libtorch with: install Python 3 with pip (Debian and Ubuntu: `apt install python3-pip`), or set LIBTORCH to a libtorch of your own (docs/setup.md)".to_owned())
}

/// Whether libtorch is where `LIBTORCH` says (cargo sets it to the workspace's link), or in the cache.
fn is_libtorch_there() -> bool {
    let linked = named("LIBTORCH").is_some_and(|path| Path::new(&path).join("lib").is_dir());
    linked || cache().is_some_and(|cache| has_libtorch(&cache))
}

/// The cache directory, as setup chooses it.
fn cache() -> Option<PathBuf> {
    let below = |variable: &str, name: &str| Some(PathBuf::from(named(variable)?).join(name));
    named("SAM3D_CACHE")
        .map(PathBuf::from)
        .or_else(|| below("XDG_CACHE_HOME", "sam3d"))
        .or_else(|| below("HOME", ".cache/sam3d"))
}

fn has_libtorch(cache: &Path) -> bool {
    let Ok(entries) = cache.read_dir() else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        entry.file_name().to_string_lossy().starts_with("libtorch-")
            && entry.path().join("installed.txt").is_file()
    })
}

fn named(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

fn runs(program: &OsStr, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
