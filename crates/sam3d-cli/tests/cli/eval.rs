//! `sam3d eval` and `compare` on phantoms, with untrained weights.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path};

use assert_cmd::Command;
use sam3d_data::{
    dataset::{Dataset, PreparedDataset, Splits, find_cases},
    phantom,
    splits::Split,
};
use sam3d_eval::scores::Scores;
use sam3d_testkit::golden_path;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{failure_of, sam3d, stdout_of};

/// So many phantoms, all to be tested, and weights of the tiny network.
pub(crate) fn prepare(place: &Path, phantoms: u64) -> PreparedDataset {
    let data = place.join("data");
    phantom::write_demo(&data, 0, phantoms).unwrap();
    let dataset = Dataset::named("demo").unwrap();
    let cases = find_cases(&dataset, &data).unwrap();
    let test = cases.iter().map(|case| case.id.clone()).collect();
    let splits = Splits { seed: 0, folds: vec![Split { test, ..Split::default() }] };
    let prepared = PreparedDataset { dataset, cases, splits };
    prepared.write(&data).unwrap();
    let mut convert = sam3d(place);
    convert.args(["convert", "--out", "w.safetensors", "--in"]).arg(golden_path("tiny_adapter.pth.tar"));
    stdout_of(&mut convert);
    prepared
}

fn eval(place: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = sam3d(place);
    command.args(["eval", "--weights", "w.safetensors", "--dataset", "demo", "--data", "data"]);
    command.args(["--points", "1", "--clicks", "2", "--tolerance", "2,5", "--out", out]).args(more);
    command
}

const RESULTS: [&str; 3] = ["scores.json", "cases.csv", "report.html"];

fn assert_same_results(place: &Path, one: &str, other: &str) {
    assert_same_files(place, one, other, &RESULTS);
}

pub(crate) fn assert_same_files(place: &Path, one: &str, other: &str, names: &[&str]) {
    for name in names {
        let [one, other] = [one, other].map(|run| fs::read(place.join(run).join(name)).unwrap());
        assert!(one == other, "{name} differs between {} and {} bytes", one.len(), other.len());
    }
}

#[test]
fn interrupted_or_shared_out_an_evaluation_gives_the_same_bytes() {
    let place = tempdir().unwrap();
    let place = place.path();
    let prepared = prepare(place, 3);

    let table = stdout_of(&mut eval(place, "whole", &["--ball"]));
    assert!(table.contains("3 cases of demo") && table.contains("best ball"), "{table}");
    assert_eq!(fs::read_to_string(place.join("whole/cases.csv")).unwrap().lines().count(), 7);
    assert_eq!(fs::read_dir(place.join("whole/masks")).unwrap().count(), 3);
    let refused = failure_of(&mut eval(place, "whole", &["--ball"]), 1);
    assert!(refused.contains("--resume") && refused.contains("--force"), "{refused}");

    // A case that cannot be read fails; the others are done, and need not be done again.
    let broken = &prepared.cases[1].image;
    let bytes = fs::read(broken).unwrap();
    fs::write(broken, &bytes[..1000]).unwrap();
    let assert = eval(place, "torn", &["--ball", "--readers", "2"]).assert().code(1);
    let message = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        message.contains("1 of 3 cases failed") && message.contains(prepared.cases[1].id.as_str()),
        "{message}"
    );
    let failed: Value = serde_json::from_slice(&fs::read(place.join("torn/scores.json")).unwrap()).unwrap();
    assert_eq!(
        (failed["cases"].as_array().unwrap().len(), failed["failures"].as_array().unwrap().len()),
        (2, 1)
    );
    fs::write(broken, bytes).unwrap();
    let other = failure_of(&mut eval(place, "torn", &["--ball", "--resume", "--seed", "1"]), 1);
    assert!(
        other.contains("(config.seed); choose another directory, or start again with --force"),
        "{other}"
    );
    let record = place.join(format!("torn/cases/{}.json", prepared.cases[0].id));
    let written = fs::metadata(&record).unwrap().modified().unwrap();
    stdout_of(&mut eval(place, "torn", &["--ball", "--resume"]));
    assert_eq!(fs::metadata(&record).unwrap().modified().unwrap(), written, "a finished case was done again");
    assert_same_results(place, "whole", "torn");

    assert_eq!(stdout_of(&mut eval(place, "shared", &["--ball", "--shard", "2/2"])), "");
    stdout_of(&mut eval(place, "shared", &["--ball", "--shard", "1/2"]));
    assert_same_results(place, "whole", "shared");

    report_needs_nothing_else(&fs::read_to_string(place.join("whole/report.html")).unwrap());
    compared(place);
}

#[test]
fn the_last_job_writes_the_scores_also_if_a_case_failed_and_a_failed_case_is_tried_again() {
    let place = tempdir().unwrap();
    let place = place.path();
    let prepared = prepare(place, 3);
    let broken = &prepared.cases[1].image;
    let bytes = fs::read(broken).unwrap();
    fs::write(broken, &bytes[..1000]).unwrap();

    let name = prepared.cases[1].id.as_str();
    let failed = failure_of(&mut eval(place, "out", &["--shard", "2/2"]), 1);
    assert!(failed.contains("1 of 1 cases failed") && failed.contains(name), "{failed}");
    assert!(!place.join("out/scores.json").exists());
    // The job that finishes last knows what failed in the others, lists it, and says so by its exit code.
    let assert = eval(place, "out", &["--shard", "1/2"]).assert().code(1);
    let output = assert.get_output();
    let [table, message] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(table.contains(&format!("failed: {name}: ")), "{table}");
    assert!(message.contains("1 of 3 cases failed; the first is"), "{message}");
    let scores = || Scores::read(&place.join("out")).unwrap();
    let listed: Vec<String> = scores().failures.into_iter().map(|failure| failure.case).collect();
    assert_eq!((scores().cases.len(), listed), (2, vec![name.to_owned()]));

    fs::write(broken, bytes).unwrap();
    stdout_of(&mut eval(place, "out", &["--shard", "2/2"]));
    assert_eq!((scores().cases.len(), scores().failures.len()), (3, 0));
    assert_eq!(fs::read_dir(place.join("out/failures")).unwrap().count(), 0);
}

fn report_needs_nothing_else(page: &str) {
    for part in ["src=\"http", "href=\"http", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(part), "{part}");
    }
    assert_eq!(page.matches("data:image/png;base64,").count(), 9, "three views of three cases");
    assert_eq!(page.matches("<img").count(), page.matches("alt=\"").count());
    for id in ["summary", "distribution", "volume", "clicks", "pictures", "cases", "configuration"] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
}

fn compared(place: &Path) {
    let compare = |more: &[&str]| {
        let mut command = sam3d(place);
        command.args(["compare", "one=whole", "two=torn"]).args(more);
        command
    };
    let table = stdout_of(&mut compare(&[]));
    assert!(table.contains("one") && table.contains("against one") && table.contains("1.000"), "{table}");
    let json: Value =
        serde_json::from_str(&stdout_of(&mut compare(&["--json", "--tolerance", "2"]))).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), 2);
    assert_eq!(json["rows"][1]["datasets"][0]["dice"]["test"]["cases"], 3);
    assert_eq!(json["rows"][0]["datasets"][0]["dice"]["test"], Value::Null);
    let csv = stdout_of(&mut compare(&["--csv"]));
    assert_eq!(csv.lines().count(), 3, "{csv}");
    // On a published dataset the published score stands beside the measured one.
    let scores = fs::read_to_string(place.join("whole/scores.json")).unwrap();
    fs::create_dir(place.join("kits")).unwrap();
    fs::write(place.join("kits/scores.json"), scores.replace("\"demo\"", "\"kits21\"")).unwrap();
    let published = stdout_of(sam3d(place).args(["compare", "one=kits", "one=whole"]));
    assert!(published.contains("(73.78)") && published.contains("(83.86)"), "{published}");
    assert_eq!(published.lines().filter(|line| line.starts_with("one ")).count(), 1, "{published}");
    assert!(failure_of(&mut compare(&["--tolerance", "1"]), 1).contains("only at 2 mm, 5 mm"));
    assert!(failure_of(&mut compare(&["--reference", "three"]), 1).contains("one:1"));
    let twice = failure_of(sam3d(place).args(["compare", "whole", "a=torn", "a=shared"]), 1);
    assert!(twice.contains("NAME=DIR"), "{twice}");
}
