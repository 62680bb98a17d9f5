//! Build script shared by every crate with a binary, test or bench that runs libtorch.
//!
//! torch-sys tells the linker where libtorch is, but rpath arguments reach only the package that emits them, so each
//! such package names this file as its `build` script.

#![expect(clippy::print_stdout, reason = "a build script speaks to cargo on its standard output")]

use std::{
    env,
    path::{Path, PathBuf},
};

fn main() {
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
