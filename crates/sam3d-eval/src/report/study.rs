//! The report of a study: one self-contained HTML file.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{STYLE, charts::round, tables::table};
use crate::study::{
    PooledMetric, Study, StudyLine,
    markdown::{cells, failures, sentences},
};

/// The page for `study`.
pub fn study_page(study: &Study) -> String {
    let failures = failures(study);
    let plan = &study.plan;
    let nsd = format!("NSD at {} mm", plan.tolerance.mm());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Study: " (plan.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#table" { "Skip to the table" }
                header {
                    h1 { "Study: " (plan.title) }
                    p class="soft" { "Research software: nothing here is validated for clinical use." }
                }
                main {
                    section id="what" aria-labelledby="what-heading" {
                        h2 id="what-heading" { "What was done" }
                        @for sentence in sentences(study) { p { (sentence) } }
                    }
                    section id="table" aria-labelledby="table-heading" {
                        h2 id="table-heading" { "Table" }
                        (table("Scores in percent", lines(study, &nsd)))
                    }
                    section id="figures" aria-labelledby="figures-heading" {
                        h2 id="figures-heading" { "Means with 95 % intervals" }
                        div class="figures" {
                            (intervals("dice", "Dice, %", &study.lines, |line| line.dice.as_ref()))
                            (intervals("nsd", &format!("{nsd}, %"), &study.lines, |line| line.nsd.as_ref()))
                        }
                    }
                    @if !failures.is_empty() {
                        section id="failures" aria-labelledby="failures-heading" {
                            h2 id="failures-heading" { "Failures" }
                            ul { @for failure in &failures { li { (failure) } } }
                        }
                    }
                    section id="cases" aria-labelledby="cases-heading" {
                        h2 id="cases-heading" { "All cases" }
                        details { summary { "Dice of every case" } (by_case(study)) }
                    }
                    section id="configuration" aria-labelledby="configuration-heading" {
                        h2 id="configuration-heading" { "Base configuration" }
                        details { summary { "TOML" } pre { (plan.base) } }
                    }
                }
                footer { p class="soft" { "Written by " (plan.program) "." } }
            }
        }
    }
    .into_string()
}

fn lines(study: &Study, nsd: &str) -> Markup {
    html! {
        thead { tr {
            th scope="col" { "Row" } th scope="col" class="name" { "Prompt" } th scope="col" class="name" { "What it is" }
            th scope="col" { "Tuned" } th scope="col" { "Minutes" } th scope="col" { "Steps" }
            th scope="col" { "Memory" } th scope="col" { "Cases" }
            th scope="col" { "Dice" br; "[95 %]" } th scope="col" { "Difference," br; "p (Holm)" }
            th scope="col" { (nsd) br; "[95 %]" } th scope="col" { "Difference," br; "p (Holm)" }
            th scope="col" { "Published," br; (study.published_dataset) }
        } }
        tbody { @for line in &study.lines { tr {
            @for (number, cell) in cells(line).into_iter().enumerate() {
                @match number {
                    0 => { th scope="row" { (cell) } }
                    1 => { td class="name" { (cell) } }
                    2 => { td class="name wrapped" { (cell) } }
                    _ => { td { (cell) } }
                }
            }
        } } }
    }
}

fn by_case(study: &Study) -> Markup {
    let mut cases: Vec<&String> = study
        .lines
        .iter()
        .filter_map(|line| line.dice.as_ref())
        .flat_map(|dice| dice.by_case.keys())
        .collect();
    cases.sort();
    cases.dedup();
    let cell = |line: &StudyLine, case: &str| {
        let value = line.dice.as_ref().and_then(|dice| dice.by_case.get(case));
        value.map(|value| format!("{:.2}", 100.0 * value)).unwrap_or_default()
    };
    table(
        "Dice in percent, mean over seeds and sets of clicks",
        html! {
            thead { tr { th scope="col" { "Row" } th scope="col" class="name" { "Prompt" } @for case in &cases { th scope="col" { (case) } } } }
            tbody { @for line in &study.lines { tr {
                th scope="row" { (line.row) } td class="name" { (line.prompt) }
                @for case in &cases { td { (cell(line, case)) } }
            } } }
        },
    )
}

const WIDTH: f64 = 480.0;
const LEFT: f64 = 210.0;
const ROW: f64 = 18.0;

/// Mean and interval of each line, one below the other.
fn intervals<'a>(
    id: &str,
    title: &str,
    lines: &'a [StudyLine],
    metric: impl Fn(&'a StudyLine) -> Option<&'a PooledMetric>,
) -> Markup {
    let x = |share: f64| round(LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - 14.0));
    let bottom = ROW * (lines.len() as f64 + 0.5);
    let words_id = format!("{id}-words");
    let words: Vec<String> = lines
        .iter()
        .filter_map(|line| Some((line, metric(line)?)))
        .map(|(line, pooled)| format!("{}, {}: {:.1}.", line.row, line.prompt, 100.0 * pooled.cases.mean))
        .collect();
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {}", bottom + 24.0)) role="img" aria-label=(title) aria-describedby=(words_id) {
                @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    line class="grid" x1=(x(tick)) x2=(x(tick)) y1="0" y2=(bottom) {}
                    text class="tick" x=(x(tick)) y=(bottom + 16.0) text-anchor="middle" { (100.0 * tick) }
                }
                @for (number, line) in lines.iter().enumerate() {
                    @let y = ROW * (number as f64 + 0.75);
                    text class="tick" x="0" y=(y + 4.0) { (line.row) ", " (line.prompt) }
                    @if let Some(pooled) = metric(line) {
                        line class="range" x1=(x(pooled.interval.low)) x2=(x(pooled.interval.high)) y1=(y) y2=(y) {}
                        circle class="dot" cx=(x(pooled.cases.mean)) cy=(y) r="3" {}
                    }
                }
            }
            p class="words" id=(words_id) { (words.join(" ")) }
        }
    }
}
