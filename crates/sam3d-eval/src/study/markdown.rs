//! The table of a study as Markdown.

use std::fmt::Write;

use super::table::{PairedTest, PooledMetric, Study, StudyLine};

/// The table with what it takes to read it, as a Markdown document.
pub fn markdown(study: &Study) -> String {
    let mut text = format!("# Study: {}\n\n", study.plan.title);
    for sentence in sentences(study) {
        let _ = writeln!(text, "{sentence}\n");
    }
    let [dice, nsd] = ["Dice", &format!("NSD at {} mm", study.plan.tolerance.mm())]
        .map(|name| format!("{name} [95 %] | difference, p (Holm)"));
    let _ = writeln!(
        text,
        "| row | prompt | what it is | tuned | minutes | steps | memory | cases | {dice} | {nsd} | published |"
    );
    text.push_str("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    let mut row = "";
    for line in &study.lines {
        let mut cells = cells(line);
        if line.row == row {
            // Said in the line before.
            cells[2].clear();
        }
        row = &line.row;
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    let failures: Vec<String> = failures(study);
    if !failures.is_empty() {
        text.push_str("\nFailed units:\n\n");
        for failure in failures {
            let _ = writeln!(text, "- {failure}");
        }
    }
    text
}

/// What the numbers of the table mean, in sentences.
pub(crate) fn sentences(study: &Study) -> Vec<String> {
    let plan = &study.plan;
    let list = |numbers: Vec<String>| numbers.join(", ");
    let folds = list(plan.folds.iter().map(usize::to_string).collect());
    let seeds = list(plan.seeds.iter().map(u64::to_string).collect());
    let counted = |count: usize, one: &str, many: &str| {
        if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
    };
    let mut sentences = vec![
        format!(
            "{} of {} ({} part of fold {folds}), {} (seed {seeds}), {} for each case, {} of training for each unit, {} at \
             the same time.",
            counted(study.cases(), "case", "cases"),
            plan.dataset,
            plan.part.name(),
            counted(plan.seeds.len(), "training", "trainings") + " of each row in each fold",
            counted(plan.click_sets, "set of clicks", "sets of clicks"),
            plan.budget,
            counted(plan.jobs, "unit", "units"),
        ),
        "Scores in percent. A case's score is its mean over seeds and sets of clicks; the cases of all folds are pooled, and \
         intervals are 95 % percentile bootstrap intervals of the mean over cases. The weights at the end of the training \
         are evaluated, so no evaluated case chose a checkpoint. Differences are to the first row with the same prompt, or to \
         its first line, on the cases that both have, by Wilcoxon's signed-rank test, adjusted by Holm's method for all \
         tests of a metric. Minutes are those of training steps; memory is the peak of a training process, without that of a \
         GPU."
            .to_owned(),
    ];
    // Where even the least p could hardly be small after the adjustment.
    if let Some((p, tests)) = study.least_p().filter(|(p, tests)| p * *tests as f64 > 0.01) {
        sentences.push(format!(
            "With so few cases the tests have little power: no p below {} is possible before the adjustment for {}.",
            p_text(p),
            counted(tests, "test", "tests")
        ));
    }
    if study.lines.iter().any(|line| line.published.is_some()) {
        let other = match study.published_dataset == plan.dataset {
            true => "on the same dataset, the authors' split",
            false => "on other data, so for orientation only",
        };
        sentences.push(format!(
            "Published: Dice / NSD at 5 mm of the paper on {}, {other}.",
            study.published_dataset
        ));
    }
    sentences
}

/// The units that failed, with the reason, and the cases without a score.
pub(crate) fn failures(study: &Study) -> Vec<String> {
    let name = |unit: &super::UnitResult| format!("{}, fold {}, seed {}", unit.row, unit.fold, unit.seed);
    let units = study.failures().map(|(unit, failure)| format!("{}: {failure}", name(unit)));
    let cases = study.units.iter().flat_map(|unit| {
        unit.scores.iter().filter(|scores| !scores.failed_cases.is_empty()).map(move |scores| {
            let cases = scores.failed_cases.join(", ");
            format!("{}, {}: no score for {cases}", name(unit), scores.evaluation)
        })
    });
    units.chain(cases).collect()
}

/// The cells of a line.
pub(crate) fn cells(line: &StudyLine) -> Vec<String> {
    let training = line.training.as_ref();
    let of = |value: Option<String>| value.unwrap_or_default();
    let [done, all] = line.units;
    let state = match line.dice.as_ref().map(|dice| dice.cases.count) {
        Some(cases) if done == all => cases.to_string(),
        Some(cases) => format!("{cases} ({done} of {all} units)"),
        None if line.failed_units > 0 => "failed".to_owned(),
        None => "not done".to_owned(),
    };
    let mut cells = vec![
        line.row.clone(),
        line.prompt.clone(),
        line.title.clone(),
        of(training.map(|training| {
            let millions = |count: u64| count as f64 / 1e6;
            format!("{:.2} of {:.2} M", millions(training.tuned_parameters), millions(training.parameters))
        })),
        of(training.map(|training| format!("{:.1}", training.minutes))),
        of(training.map(|training| format!("{:.0}", training.steps))),
        of(training.and_then(|training| {
            let bytes = training.peak_memory_bytes?;
            Some(format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)))
        })),
        state,
    ];
    for metric in [&line.dice, &line.nsd] {
        cells.push(of(metric.as_ref().map(mean_text)));
        cells.push(of(metric.as_ref().and_then(|metric| metric.test.as_ref()).map(test_text)));
    }
    let percent = |share: f64| format!("{:.2}", 100.0 * share);
    cells.push(of(line.published.map(|[dice, nsd]| format!("{} / {}", percent(dice), percent(nsd)))));
    cells
}

fn mean_text(pooled: &PooledMetric) -> String {
    let [mean, low, high] =
        [pooled.cases.mean, pooled.interval.low, pooled.interval.high].map(|share| 100.0 * share);
    format!("{mean:.2} [{low:.2}, {high:.2}]")
}

fn test_text(test: &PairedTest) -> String {
    format!("{:+.2}, {} ({})", 100.0 * test.difference, p_text(test.p), p_text(test.p_holm))
}

fn p_text(p: f64) -> String {
    if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") }
}
