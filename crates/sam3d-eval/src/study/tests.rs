use sam3d_data::splits::Part;
use sam3d_metrics::Tolerance;

use super::*;
use crate::study::{Budget, markdown::markdown};

fn plan(folds: Vec<usize>, seeds: Vec<u64>) -> StudyPlan {
    StudyPlan {
        program: "sam3d 0".into(),
        dataset: "phantoms".into(),
        title: "Phantoms".into(),
        part: Part::Test,
        folds,
        seeds,
        budget: Budget::Minutes(20.0),
        click_sets: 3,
        click_seed: 0,
        tolerance: Tolerance::PUBLISHED,
        jobs: 1,
        base: String::new(),
    }
}

fn training(minutes: f64, peak: u64) -> TrainingRecord {
    TrainingRecord {
        steps: (minutes * 10.0) as u64,
        epochs: 3,
        minutes,
        peak_memory_bytes: Some(peak),
        device: "cpu".into(),
        threads: 1,
        tuned_parameters: 370_000,
        parameters: 500_000,
    }
}

/// A unit whose scores are the same in Dice and, one tenth higher, in NSD.
fn unit(
    row: &str,
    fold: usize,
    seed: u64,
    evaluation: &str,
    points: usize,
    dice: &[(&str, f64)],
) -> UnitResult {
    let values = |add: f64| dice.iter().map(|(case, value)| ((*case).to_owned(), value + add)).collect();
    let scores = UnitScores {
        evaluation: evaluation.into(),
        points,
        dice: values(0.0),
        nsd: values(0.1),
        failed_cases: Vec::new(),
    };
    UnitResult {
        row: row.into(),
        fold,
        seed,
        training: Some(training(20.0 + fold as f64, 1 << 30)),
        scores: vec![scores],
        failure: None,
    }
}

fn rows(names: &[&str]) -> Vec<&'static StudyRow> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    StudyRow::named(&names).unwrap()
}

#[test]
fn cases_are_pooled_over_folds_and_averaged_over_seeds() {
    let units = vec![
        unit("ours-auto", 0, 0, "automatic", 0, &[("a", 0.5), ("b", 0.7)]),
        unit("ours-auto", 0, 1, "automatic", 0, &[("a", 0.7), ("b", 0.9)]),
        unit("ours-auto", 1, 0, "automatic", 0, &[("c", 0.2)]),
        unit("ours-auto", 1, 1, "automatic", 0, &[("c", 0.4)]),
    ];
    let study = Study::of(plan(vec![0, 1], vec![0, 1]), &rows(&["ours-auto"]), units).unwrap();
    let line = &study.lines[0];
    let dice = line.dice.as_ref().unwrap();
    let expected: Vec<(&str, f64)> = vec![("a", 0.6), ("b", 0.8), ("c", 0.3)];
    for ((case, value), (expected_case, expected)) in dice.by_case.iter().zip(expected) {
        assert!(case == expected_case && (value - expected).abs() < 1e-12, "{case} {value}");
    }
    assert_eq!((dice.cases.count, study.cases(), line.units), (3, 3, [4, 4]));
    assert!((dice.cases.mean - 1.7 / 3.0).abs() < 1e-12);
    assert!((line.nsd.as_ref().unwrap().cases.mean - 1.7 / 3.0 - 0.1).abs() < 1e-12);
    // Of three values a bootstrap mean can be the lowest and the highest of them.
    let ends = [dice.interval.low - 0.3, dice.interval.high - 0.8];
    assert!(ends.iter().all(|end| end.abs() < 1e-12), "{:?}", dice.interval);
    let means = line.training.as_ref().unwrap();
    assert_eq!((means.minutes, means.steps, means.peak_memory_bytes), (20.5, 205.0, Some(1 << 30)));
}

#[test]
fn every_line_is_tested_against_the_first_row_and_adjusted() {
    let cases = ["a", "b", "c", "d", "e", "f"];
    let scored = |values: [f64; 6]| -> Vec<(&str, f64)> { cases.into_iter().zip(values).collect() };
    let ours = scored([0.60, 0.61, 0.62, 0.63, 0.64, 0.65]);
    let better = scored([0.70, 0.72, 0.74, 0.76, 0.78, 0.80]);
    let mixed = scored([0.61, 0.59, 0.65, 0.59, 0.69, 0.59]);
    let units = vec![
        unit("ours-auto", 0, 0, "automatic", 0, &ours),
        unit("nnunet", 0, 0, "automatic", 0, &better),
        unit("transbts", 0, 0, "automatic", 0, &mixed[..5]),
    ];
    let study =
        Study::of(plan(vec![0], vec![0]), &rows(&["ours-auto", "nnunet", "transbts"]), units).unwrap();
    let tests: Vec<Option<&PairedTest>> =
        study.lines.iter().map(|line| line.dice.as_ref().unwrap().test.as_ref()).collect();
    assert!(tests[0].is_none());
    // All six differences are positive: p = 2 / 2^6; of two tests the lower p is doubled.
    let nnunet = tests[1].unwrap();
    assert_eq!((nnunet.cases, nnunet.p, nnunet.p_holm), (6, 0.03125, 0.0625));
    assert!((nnunet.difference - 0.125).abs() < 1e-12 && nnunet.interval.low > 0.0);
    // Differences 1, -2, 3, -4, 5 hundredths: positive ranks 9 of 15, p = 26 / 32 (of the 32 sums 13 are at least 9).
    let transbts = tests[2].unwrap();
    assert_eq!((transbts.cases, transbts.p, transbts.p_holm), (5, 0.8125, 0.8125));
    assert!((transbts.difference - 0.006).abs() < 1e-12);
    assert_eq!(study.least_p(), Some((0.03125, 2)));
}

#[test]
fn lines_of_one_prompt_are_compared_and_other_prompts_with_the_first_line() {
    let scores = [("a", 0.5), ("b", 0.6)];
    let mut ours = unit("ours", 0, 0, "clicks", 1, &scores);
    for (evaluation, points) in [("clicks", 3), ("clicks", 10), ("corrections-5", 5)] {
        ours.scores.extend(unit("ours", 0, 0, evaluation, points, &scores).scores);
    }
    let mut published = unit("ours-published", 0, 0, "clicks", 1, &scores);
    published.scores.extend(unit("ours-published", 0, 0, "clicks", 10, &scores).scores);
    let units = vec![ours, published, unit("nnunet", 0, 0, "automatic", 0, &scores)];
    let study =
        Study::of(plan(vec![0], vec![0]), &rows(&["ours", "ours-published", "nnunet"]), units).unwrap();
    let against: Vec<(&str, &str, Option<&str>)> = study
        .lines
        .iter()
        .map(|line| {
            let test = line.dice.as_ref().and_then(|dice| dice.test.as_ref());
            (line.row.as_str(), line.prompt.as_str(), test.map(|test| test.against.as_str()))
        })
        .collect();
    assert_eq!(
        against,
        [
            ("ours", "1 click", None),
            ("ours", "3 clicks", Some("1 click")),
            ("ours", "10 clicks", Some("1 click")),
            ("ours", "1 click, 5 corrections", Some("1 click")),
            ("ours-published", "1 click", Some("1 click")),
            // Not evaluated.
            ("ours-published", "3 clicks", None),
            ("ours-published", "10 clicks", Some("10 clicks")),
            ("nnunet", "none", Some("1 click")),
        ]
    );
    assert!(study.lines[5].dice.is_none());
}

#[test]
fn the_table_says_what_failed_and_gives_the_numbers() {
    let mut failed = unit("nnunet", 0, 0, "automatic", 0, &[]);
    (failed.training, failed.scores, failed.failure) = (None, Vec::new(), Some("out of | memory".into()));
    let units = vec![unit("ours-auto", 0, 0, "automatic", 0, &[("a", 0.5), ("b", 0.75)]), failed];
    let study = Study::of(plan(vec![0], vec![0]), &rows(&["ours-auto", "nnunet"]), units).unwrap();
    assert_eq!(study.failures().count(), 1);
    let text = markdown(&study);
    assert!(text.contains("62.50 [50.00, 75.00]") && text.contains("72.50 [60.00, 85.00]"), "{text}");
    assert!(text.contains("| 0.37 of 0.50 M | 20.0 | 200 | 1.0 GiB |"), "{text}");
    assert!(text.contains("61.60 / 70.40") && text.contains("2 cases"), "{text}");
    assert!(text.contains("failed") && text.contains("nnunet, fold 0, seed 0: out of | memory"), "{text}");
    let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let columns: Vec<usize> = table.iter().map(|line| line.matches('|').count()).collect();
    assert!(table.len() == 4 && columns.iter().all(|count| *count == columns[0]), "{table:#?}");
}
