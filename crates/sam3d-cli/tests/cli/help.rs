//! What the program says of itself, and of command lines that are wrong.

use std::path::Path;

use crate::support::{failure_of, sam3d, stdout_of};

fn help(arguments: &[&str]) -> String {
    stdout_of(sam3d(Path::new(".")).args(arguments))
}

fn usage_error(arguments: &[&str]) -> String {
    failure_of(sam3d(Path::new(".")).args(arguments), 2)
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(help(&["--help"]));
}

#[test]
fn help_of_metrics() {
    insta::assert_snapshot!(help(&["metrics", "--help"]));
}

#[test]
fn help_of_export_nnunet() {
    insta::assert_snapshot!(help(&["export-nnunet", "--help"]));
}

#[test]
fn help_of_measure() {
    insta::assert_snapshot!(help(&["measure", "--help"]));
}

#[test]
fn help_of_segment() {
    insta::assert_snapshot!(help(&["segment", "--help"]));
}

#[test]
fn help_of_serve() {
    insta::assert_snapshot!(help(&["serve", "--help"]));
}

#[test]
fn help_of_prepare_data() {
    insta::assert_snapshot!(help(&["prepare-data", "--help"]));
}

#[test]
fn help_of_dataset_stats() {
    insta::assert_snapshot!(help(&["dataset-stats", "--help"]));
}

#[test]
fn help_of_models() {
    insta::assert_snapshot!(help(&["models", "--help"]));
}

#[test]
fn help_of_fetch_sample() {
    insta::assert_snapshot!(help(&["fetch-sample", "--help"]));
}

#[test]
fn help_of_fetch_weights() {
    insta::assert_snapshot!(help(&["fetch-weights", "--help"]));
}

#[test]
fn help_of_train() {
    insta::assert_snapshot!(help(&["train", "--help"]));
}

#[test]
fn help_of_eval() {
    insta::assert_snapshot!(help(&["eval", "--help"]));
}

#[test]
fn help_of_study() {
    insta::assert_snapshot!(help(&["study", "--help"]));
}

#[test]
fn help_of_compare() {
    insta::assert_snapshot!(help(&["compare", "--help"]));
}

#[test]
fn help_of_convert() {
    insta::assert_snapshot!(help(&["convert", "--help"]));
}

#[test]
fn help_of_mask() {
    insta::assert_snapshot!(help(&["mask", "--help"]));
}

#[test]
fn help_of_info() {
    insta::assert_snapshot!(help(&["info", "--help"]));
}

#[test]
fn wrong_usage_exits_with_2() {
    insta::assert_snapshot!(
        [
            usage_error(&["metrics", "--truth", "a.nii"]),
            usage_error(&["metrics", "--truth", "a.nii", "--pred", "b.nii", "--tolerance", "1,-5"]),
            usage_error(&["metrics", "--truth", "a.nii", "--pred", "b.nii", "--label", "0"]),
            usage_error(&["info", "a.nii", "--device", "gpu"]),
            usage_error(&["info", "a.nii", "-v", "-q"]),
            usage_error(&["infos"]),
        ]
        .join("---\n")
    );
}

#[test]
fn nothing_typed_shows_the_help() {
    assert!(usage_error(&[]).contains("Usage: sam3d"));
}

#[test]
fn version_is_the_package_version() {
    assert_eq!(help(&["--version"]), concat!("sam3d ", env!("CARGO_PKG_VERSION"), "\n"));
}
