//! Build script shared by every crate with a binary, test or bench that runs libtorch.
//!
//! torch-sys tells the linker where libtorch is, but rpath arguments reach only the package that emits them, so each
//! such package names this file as its `build` script.

#![expect(clippy::print_stdout, reason = "a build script speaks to cargo on its standard output")]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

include!("has_test_volumes.rs");

fn main() {
    say_whether_volumes_are_there();
    // A run's manifest says which commit trained it; only the program writes manifests.
    if env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == "sam3d-cli") {
        name_commit();
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_LIB");
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
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
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
