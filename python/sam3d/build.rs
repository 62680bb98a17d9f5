//! Tells the linker where the extension module finds libtorch: in the package torch beside it, wherever both are installed.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-rpath,$ORIGIN/../torch/lib");
    if std::env::var_os("LIBTORCH").is_none() {
        println!("cargo:warning=LIBTORCH is not set: `cargo xtask python` sets it");
    }
}
