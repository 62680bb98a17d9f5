//! `sam3d eval --corrections` and `compare` of such runs, on phantoms with untrained weights.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path};

use assert_cmd::Command;
use sam3d_eval::{CorrectionStep, Timings, scores::Scores};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    eval::{assert_same_files, prepare},
    support::{failure_of, sam3d, stdout_of},
};

fn correct(place: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = sam3d(place);
    command.args(["eval", "--weights", "labelled.safetensors", "--dataset", "demo", "--data", "data"]);
    command.args(["--out", out]).args(more);
    command
}

/// Weights that take clicks inside and outside the target.
fn label_points(place: &Path) {
    let mut convert = sam3d(place);
    convert.args(["convert", "--in", "w.safetensors", "--dense-prompts", "--out", "labelled.safetensors"]);
    stdout_of(&mut convert);
}

fn scores(place: &Path, out: &str) -> Scores {
    Scores::read(&place.join(out)).unwrap()
}

const RESULTS: [&str; 4] = ["scores.json", "cases.csv", "corrections.csv", "report.html"];

#[test]
fn corrections_are_reproducible_resumed_and_shared_out_and_begin_as_the_published_protocol() {
    let place = tempdir().unwrap();
    let place = place.path();
    let prepared = prepare(place, 2);
    label_points(place);
    let corrections = ["--corrections", "2", "--clicks", "2"];

    let table = stdout_of(&mut correct(place, "whole", &corrections));
    for line in [
        "first prompt",
        "2 corrections",
        "AUC, clicks 1 to 2 (at most 1)",
        "clicks to Dice 0.90",
        "seconds of correction 2",
        "of 8 corrective clicks ",
    ] {
        assert!(table.contains(line), "{line} is not in {table}");
    }
    let whole = scores(place, "whole");
    let points: Vec<(usize, usize)> =
        whole.cases[1].scores.iter().map(|score| (score.click_set, score.points)).collect();
    assert_eq!(points, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
    for step in whole.cases.iter().flat_map(|case| &case.corrections).flat_map(|run| &run.steps) {
        assert!(matches!(step, CorrectionStep::Click { .. }), "{step:?}");
    }
    let counts = whole.corrections.as_ref().unwrap().clicks;
    assert_eq!((counts.given, counts.only_excess), (8, 0));
    let obeyed = whole.corrections.as_ref().unwrap().obeyed.unwrap();
    assert_eq!(obeyed.share, counts.obeyed as f64 / 8.0);
    assert!(obeyed.interval.low <= obeyed.share && obeyed.share <= obeyed.interval.high);
    // The first prompt is the published protocol's click.
    stdout_of(&mut correct(place, "published", &["--points", "1", "--clicks", "2"]));
    for (case, published) in whole.cases.iter().zip(scores(place, "published").cases) {
        let firsts: Vec<_> = case.scores.iter().filter(|score| score.points == 0).collect();
        for (first, published) in firsts.into_iter().zip(&published.scores) {
            assert_eq!((first.dice, &first.nsd), (published.dice, &published.nsd));
            assert_eq!(first.clicks_ijk, published.clicks_ijk);
        }
    }

    let refused = failure_of(&mut correct(place, "whole", &["--corrections", "3", "--resume"]), 1);
    assert!(refused.contains("config.corrections"), "{refused}");
    correct(place, "torn", &corrections).assert().success();
    let times = || -> Timings {
        serde_json::from_slice(&fs::read(place.join("torn/timings.json")).unwrap()).unwrap()
    };
    let kept = times().cases[0].clone();
    let name = &prepared.cases[1].id;
    for file in ["scores.json", "report.html", &format!("cases/{name}.json"), &format!("timings/{name}.json")]
    {
        fs::remove_file(place.join("torn").join(file)).unwrap();
    }
    correct(place, "torn", &corrections).arg("--resume").assert().success();
    assert_same_files(place, "whole", "torn", &RESULTS);
    assert_eq!((&times().cases[0], times().cases[1].prompts.len()), (&kept, 6));
    assert_eq!(kept.prompts.len(), 6);
    assert!(kept.prompts[0].encoder_seconds > 0.0);

    correct(place, "shared", &corrections).args(["--shard", "2/2"]).assert().success().stdout("");
    correct(place, "shared", &corrections).args(["--shard", "1/2"]).assert().success();
    assert_same_files(place, "whole", "shared", &RESULTS);

    let page = fs::read_to_string(place.join("whole/report.html")).unwrap();
    assert!(page.contains("<section id=\"corrections\"") && page.contains("class=\"mean\""), "no curve");
    assert_eq!(page.matches("data:image/png;base64,").count(), 6, "three views after clicks 1 and 2");
    assert_eq!(fs::read_dir(place.join("whole/masks")).unwrap().count(), 6);
    compared(place);
}

fn compared(place: &Path) {
    correct(place, "none", &["--corrections", "2", "--first", "none", "--masks", "none"]).assert().success();
    let none = scores(place, "none");
    assert!(none.cases.iter().all(|case| case.scores[0].dice == 0.0 && case.scores[0].clicks_ijk.is_empty()));
    // A box is no click, and the first correction answers the mask that it gave.
    correct(place, "box", &["--corrections", "1", "--first", "box", "--masks", "none"]).assert().success();
    for score in scores(place, "box").cases.iter().flat_map(|case| &case.scores) {
        assert_eq!(score.clicks_ijk.len(), score.points);
    }
    let rules = ["deepest", "random"].map(|rule| {
        let line = ["--corrections", "1", "--click-rule", rule, "--masks", "none"];
        let table = stdout_of(&mut correct(place, rule, &line));
        assert!(table.contains(&format!("corrective clicks by the rule {rule}")), "{table}");
        let page = fs::read_to_string(place.join(rule).join("report.html")).unwrap();
        assert!(page.contains("After a click drawn in the target each click corrects"), "{rule}");
        let scores = scores(place, rule);
        assert_eq!(scores.identity.config.corrections.unwrap().rule.name(), rule);
        scores.cases.iter().map(|case| case.corrections[0].steps[0]).collect::<Vec<_>>()
    });
    assert_ne!(rules[0], rules[1]);
    let mut compare = sam3d(place);
    compare.args(["compare", "one=whole", "two=none"]);
    let json: Value = serde_json::from_str(&stdout_of(compare.arg("--json"))).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    let area = rows.iter().find(|row| row["name"] == "two" && row["kind"] == "area").unwrap();
    assert_eq!((&area["points"], &area["datasets"][0]["dice"]["test"]["cases"]), (&2.into(), &2.into()));
    let difference = area["datasets"][0]["dice"]["test"]["difference"].as_f64().unwrap();
    let mean = |scores: &Scores| scores.corrections.as_ref().unwrap().dice_area.unwrap().mean.cases.mean;
    assert!((difference - (mean(&none) - mean(&scores(place, "whole")))).abs() < 1e-12, "{difference}");
    assert!(json["notes"][0].as_str().unwrap().contains("the corrections"), "{}", json["notes"]);
    let table = stdout_of(sam3d(place).args(["compare", "one=whole", "clicks=published"]));
    assert!(table.contains("AUC +2") && table.contains("+N: after N corrective clicks"), "{table}");
}

#[test]
fn the_challenges_protocol_and_weights_without_labelled_points() {
    let place = tempdir().unwrap();
    let place = place.path();
    prepare(place, 1);
    let unlabelled = |out: &str, more: &[&str]| {
        let mut command = sam3d(place);
        command.args(["eval", "--weights", "w.safetensors", "--dataset", "demo", "--data", "data"]);
        command.args(["--out", out]).args(more);
        command
    };
    let table = stdout_of(&mut unlabelled("imed3d", &["--protocol", "imed3d"]));
    assert!(table.contains("NSD at 2 mm") && table.contains("AUC, clicks 1 to 5 (at most 4)"), "{table}");
    let imed3d = scores(place, "imed3d");
    assert_eq!(imed3d.cases[0].scores.len(), 6);
    let gated = |score: &&sam3d_eval::ClickScore| score.dice <= 0.2;
    assert!(imed3d.cases[0].scores.iter().filter(gated).all(|score| score.nsd == [0.0]));
    let positive = |step: &CorrectionStep| match step {
        CorrectionStep::Click { label, .. } => *label == sam3d_geom::PointLabel::Positive,
        CorrectionStep::NoError | CorrectionStep::OnlyExcess => true,
    };
    assert!(imed3d.cases[0].corrections[0].steps.iter().all(positive));

    for (more, reason) in [
        (&["--corrections", "1", "--first", "box"][..], "boxes, lassos"),
        (&["--first", "centre"], "--first needs --corrections"),
        (&["--click-rule", "random"], "--click-rule needs --corrections"),
        (&["--protocol", "imed3d", "--first", "click"], "--protocol imed3d begins"),
        (&["--corrections", "1", "--first", "centre", "--clicks", "2"], "--clicks 2 needs --first click"),
        (&["--corrections", "1", "--method", "auto"], "--method sam3d"),
    ] {
        let refused = failure_of(&mut unlabelled("refused", more), 1);
        assert!(refused.contains(reason), "{refused}");
    }
    failure_of(&mut unlabelled("refused", &["--corrections", "1", "--points", "3"]), 2);
    failure_of(&mut unlabelled("refused", &["--corrections", "1", "--click-rule", "largst"]), 2);
    failure_of(&mut unlabelled("refused", &["--protocol", "imed3d", "--click-rule", "random"]), 2);
    assert!(!place.join("refused").exists());
}
