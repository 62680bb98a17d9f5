//! Build script of the crates without libtorch that test with real volumes: says whether they are there.
#![expect(clippy::print_stdout, reason = "a build script speaks to cargo on its standard output")]

include!("has_test_volumes.rs");

fn main() {
    say_whether_volumes_are_there();
}
