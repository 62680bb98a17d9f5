//! An installation of libtorch: a directory that is either complete or not there.
//!
//! ```text
//! libtorch-2.13.0-cpu/
//!   torch/include, torch/lib, torch/version.py, torch/build-version
//!   nvidia/cu13/lib                  where the libraries in torch/lib look for NVIDIA's
//!   *.dist-info/licenses             the packages' licences
//!   installed.txt                    written last
//! ```

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use super::{Flavour, TORCH_VERSION, lock, platform::Platform, tools::Tools, wheels};

/// The file in which torch-sys looks for libtorch's version.
pub(super) const BUILD_VERSION: &str = "build-version";

/// What the installation was made from; the last file to be written.
const STAMP: &str = "installed.txt";

/// Start of the names of unfinished installations.
const STAGING: &str = ".unfinished-";

/// Whether the directory `installation` is a complete installation of this version.
pub(super) fn is_complete(installation: &Path, platform: &Platform, flavour: Flavour) -> bool {
    let text = fs::read_to_string(installation.join(STAMP));
    let stamped = text.is_ok_and(|text| text == stamp(platform, flavour));
    stamped && platform.required(flavour).all(|file| installation.join(file).is_file())
}

/// Installs into `target`, unless it is complete. Only one process at a time works in `target`'s parent directory.
///
/// # Errors
/// If the download, the disk or a tool fails; `target` is then as it was.
pub(super) fn ensure(target: &Path, platform: &Platform, flavour: Flavour, tools: &Tools) -> Result<()> {
    // Asked without the lock first: a cache that others share may be read-only.
    if is_complete(target, platform, flavour) {
        return Ok(());
    }
    let cache = target.parent().context("the installation needs a parent directory")?;
    let _lock = lock::acquire(cache)?;
    if is_complete(target, platform, flavour) {
        return Ok(());
    }
    println!("installing libtorch {TORCH_VERSION} ({}) into {}", flavour.name(), target.display());
    let fetch = |directory: &Path| wheels::download(tools, platform, flavour, directory);
    let compile = |library: &Path| compile_empty_library(tools, library);
    install(target, platform, flavour, fetch, compile)
}

/// Builds the installation beside `target` from the wheels that `fetch` puts into a directory, then renames it.
fn install(
    target: &Path,
    platform: &Platform,
    flavour: Flavour,
    fetch: impl FnOnce(&Path) -> Result<Vec<PathBuf>>,
    compile_empty: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let cache = target.parent().context("the installation needs a parent directory")?;
    remove_unfinished(cache)?;
    let staging = || {
        let made = tempfile::Builder::new().prefix(STAGING).tempdir_in(cache);
        made.with_context(|| format!("cannot write to {}", cache.display()))
    };

    let downloads = staging()?;
    let wheels = fetch(downloads.path())?;
    let built = staging()?;
    for wheel in &wheels {
        extract(wheel, built.path(), platform, flavour)
            .with_context(|| format!("cannot unpack {}", wheel.display()))?;
    }
    if let (Flavour::Cpu, Some(umbrella)) = (flavour, platform.umbrella) {
        compile_empty(&built.path().join(umbrella))?;
    }
    if let Some(missing) = platform.required(flavour).find(|file| !built.path().join(file).is_file()) {
        bail!("the downloaded packages have no {missing}: they are not the ones this was made for");
    }
    let version = format!("{TORCH_VERSION}+{}\n", flavour.name());
    write(&built.path().join("torch").join(BUILD_VERSION), &version)?;
    write(&built.path().join(STAMP), &stamp(platform, flavour))?;

    // What is in the way is an installation that is not complete: it is moved aside, so that it goes in one step too.
    let aside = staging()?;
    if target.exists() {
        rename(target, &aside.path().join("replaced"))?;
    }
    rename(built.path(), target)?;
    Ok(())
}

fn stamp(platform: &Platform, flavour: Flavour) -> String {
    let mut text = format!("libtorch {TORCH_VERSION} {}\n", flavour.name());
    for wheel in platform.wheels {
        text.push_str(&format!("{} {} sha256:{}\n", wheel.project, wheel.version, wheel.sha256));
    }
    text
}

/// Whether the file `name` of a wheel belongs into an installation.
fn is_kept(name: &str, platform: &Platform, flavour: Flavour) -> bool {
    let licence = name.contains(".dist-info/licenses/");
    let always = licence || name.starts_with("torch/include/") || name == "torch/version.py";
    match flavour {
        Flavour::Cpu => always || platform.cpu_libraries.contains(&name),
        Flavour::Cuda => {
            let library = name.rsplit('/').next().is_some_and(|file| file.contains(".so"));
            let linked =
                name.starts_with("torch/lib/") || (name.starts_with("nvidia/") && name.contains("/lib/"));
            always || (library && linked)
        }
    }
}

fn extract(wheel: &Path, into: &Path, platform: &Platform, flavour: Flavour) -> Result<()> {
    let mut archive = ZipArchive::new(io::BufReader::new(File::open(wheel)?))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        if entry.is_dir() || !is_kept(&name, platform, flavour) {
            continue;
        }
        let path = into.join(entry.enclosed_name().with_context(|| format!("unsafe path {name:?}"))?);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        io::copy(&mut entry, &mut file).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn compile_empty_library(tools: &Tools, library: &Path) -> Result<()> {
    let output = Command::new(&tools.c_compiler)
        .args(["-shared", "-Wl,-soname,libtorch.so", "-x", "c", "/dev/null", "-o"])
        .arg(library)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start the C compiler {:?}", tools.c_compiler))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        let reason = messages.lines().next().unwrap_or("no message");
        bail!("the C compiler {:?} cannot make a shared library: {reason}", tools.c_compiler);
    }
    Ok(())
}

/// Removes what interrupted runs left; the caller holds the lock, so none of it is in use.
fn remove_unfinished(cache: &Path) -> Result<()> {
    let entries = fs::read_dir(cache).with_context(|| format!("cannot read {}", cache.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            let path = entry.path();
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
