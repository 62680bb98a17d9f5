//! Build script shared by every crate with a binary, test or bench that runs libtorch.
//!
//! torch-sys tells the linker where libtorch is, but rpath arguments reach only the package that emits them, so each
//! such package has a link to this file as its build script. Links are followed when a crate is packed.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    say_whether_volumes_are_there();
    // A run's manifest says which commit trained it; only the program writes manifests.
    let is_program = env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == "sam3d-cli");
    if is_program {
        name_commit();
        // Where an archive of `cargo xtask dist` is unpacked, libtorch lies beside the program.
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_LIB");
    println!("cargo:rerun-if-env-changed=SAM3D_RELOCATABLE");
    let Some(root) = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH")).map(PathBuf::from)
    else {
        println!("cargo:warning=LIBTORCH is not set: run `cargo xtask setup` first");
        return;
    };
    let library = root.join("lib");
    // `cargo xtask setup` gives this file a new time when it points the link at another libtorch than before, which may
    // have CUDA where the other had none. While the file is missing, this script runs in every build.
    println!("cargo:rerun-if-changed={}", root.join("build-version").display());
    if !library.is_dir() {
        println!("cargo:warning=no libtorch at {}: run `cargo xtask setup` first", library.display());
    }
    // A program to be copied elsewhere names no directory of the machine it was built on.
    if !is_program || env::var_os("SAM3D_RELOCATABLE").is_none() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
    }
    link_cuda(&library);
}

/// A CUDA build of libtorch registers itself when its library is loaded, although no symbol refers to it.
fn link_cuda(library: &Path) {
    if library.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-L{}", library.display());
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-ltorch");
    }
}

/// Makes the commit known as SAM3D_GIT_COMMIT, where the sources are in a repository.
fn name_commit() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return };
    println!("cargo:rustc-env=SAM3D_GIT_COMMIT={commit}");
    // Grows with every commit and checkout. Where it is missing the commit may be an older one.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo:rerun-if-changed={log}");
    }
}

/// Sets the configuration `has_test_volumes` if the volumes are in `SAM3D_TEST_DATA` or beside the workspace, so that tests
/// without them are listed as ignored.
fn say_whether_volumes_are_there() {
    println!("cargo::rustc-check-cfg=cfg(has_test_volumes)");
    println!("cargo::rerun-if-env-changed=SAM3D_TEST_DATA");
    let beside = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let volumes = std::env::var_os("SAM3D_TEST_DATA").map_or_else(beside, std::path::PathBuf::from);
    if volumes.is_dir() {
        // A path that is missing would make this script run, and its crate be compiled, in every build.
        println!("cargo::rerun-if-changed={}", volumes.join("README.md").display());
        println!("cargo::rustc-cfg=has_test_volumes");
    }
}
