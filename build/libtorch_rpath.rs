//! Build script shared by every crate with a binary, test or bench that runs libtorch.
//!
//! torch-sys tells the linker where libtorch is, but rpath arguments reach only the package that emits them, so each
//! such package names this file as its `build` script.

use std::{env, path::Path};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_LIB");
    let root = env::var("LIBTORCH_LIB").or_else(|_| env::var("LIBTORCH"));
    let Ok(root) = root else {
        println!("cargo:warning=LIBTORCH is not set: run `cargo xtask setup` first");
        return;
    };
    let library = Path::new(&root).join("lib");
    if !library.is_dir() {
        println!("cargo:warning=no libtorch at {}: run `cargo xtask setup` first", library.display());
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
    // A CUDA build of libtorch registers itself when its library is loaded, although no symbol refers to it.
    if library.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-L{}", library.display());
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-ltorch");
    }
}
