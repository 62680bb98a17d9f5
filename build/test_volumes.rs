//! Build script of the crates without libtorch that test with real volumes, which link to it: says whether they are there.

fn main() {
    say_whether_volumes_are_there();
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
