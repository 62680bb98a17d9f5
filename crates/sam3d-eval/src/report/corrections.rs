//! The report's section on corrections.

use maud::{Markup, html};
use sam3d_metrics::{ClickRule, Summary};

use super::{
    axis::Axis,
    charts::curves as curves_figure,
    tables::{percent, table},
};
use crate::{
    ClickScore, FirstPrompt, Interval,
    correction_summary::{AreaSummary, CorrectionSummary, Estimate, Share, curves},
    scores::Scores,
};

/// Scores against corrective clicks; `None` for the published protocol.
pub(crate) fn section(scores: &Scores) -> Option<Markup> {
    let config = scores.identity.config.corrections?;
    let summary = scores.corrections.as_ref()?;
    let horizontal = Axis::counts("corrective clicks", config.clicks);
    let figure = |id: &str, title: &str, value: &dyn Fn(&ClickScore) -> f64| {
        let lines: Vec<(&str, Vec<f64>)> = scores
            .cases
            .iter()
            .map(|case| {
                let runs = curves(case, value);
                let mean = |step: usize| {
                    let at: Vec<f64> =
                        runs.iter().filter_map(|run| run.get(step)).map(|share| 100.0 * share).collect();
                    Some(Summary::of(&at)?.mean)
                };
                (case.case.as_str(), (0..=config.clicks).filter_map(mean).collect())
            })
            .collect();
        curves_figure(id, title, [&horizontal, &Axis::percent(&format!("{title}, %"))], &lines)
    };
    let tolerances = &scores.identity.config.tolerances;
    Some(html! {
        p class="soft" {
            (begins_with(config.first)) " each click corrects the mask before it" (rule(config.rule)) ". A thin line is a case (its mean over sets of first "
            "clicks), the thick line the mean over cases, the band goes from quartile to quartile."
        }
        div class="figures" {
            (figure("corrections-dice", "Dice", &|score| score.dice))
            @for (number, tolerance) in tolerances.iter().enumerate() {
                (figure(&format!("corrections-nsd{number}"), &format!("NSD at {tolerance}"), &|score| score.nsd[number]))
            }
        }
        (areas(scores, summary))
        (clicks(summary))
    })
}

fn begins_with(first: FirstPrompt) -> &'static str {
    match first {
        FirstPrompt::Click => "After a click drawn in the target",
        FirstPrompt::Centre => "After a click on the target's deepest voxel",
        FirstPrompt::Box => "After the box around the target",
        FirstPrompt::None => "Beginning without a prompt",
    }
}

/// What distinguishes a rule from the usual one.
fn rule(rule: ClickRule) -> &'static str {
    match rule {
        ClickRule::Largest => "",
        ClickRule::Deepest => ", in the deepest voxel of all that is missing or too much",
        ClickRule::Imed3d => ", in the voxel of the largest error that is deepest in voxels",
        ClickRule::Random => ", in any voxel of the error",
    }
}

fn areas(scores: &Scores, summary: &CorrectionSummary) -> Markup {
    let names = scores.identity.config.tolerances.iter().map(|tolerance| format!("NSD at {tolerance}"));
    let names: Vec<String> = std::iter::once("Dice".to_owned()).chain(names).collect();
    let cells = |estimate: &Estimate, number: &dyn Fn(f64) -> String| {
        html! {
            td { strong { (number(estimate.cases.mean)) } }
            td { (number(estimate.interval.low)) " to " (number(estimate.interval.high)) }
            td { (number(estimate.cases.std)) }
        }
    };
    let area_row = |name: &str, area: &AreaSummary| {
        html! {
            tr { th scope="row" { "Area under the curve of " (name) } (cells(&area.area, &two_decimals)) }
            tr { th scope="row" { "The same over its number of steps, %" } (cells(&area.mean, &percent)) }
        }
    };
    html! {
        (table("Over cases, from the first corrective click to the last", html! {
            thead { tr {
                th scope="col" { "Measure" } th scope="col" { "Mean" } th scope="col" { "95 % interval" }
                th scope="col" { "SD over cases" }
            } }
            tbody {
                @for (name, area) in names.iter().zip(summary.dice_area.iter().chain(&summary.nsd_area)) { (area_row(name, area)) }
                @for clicks in &summary.clicks_to_dice {
                    tr {
                        th scope="row" { "Corrective clicks to Dice " (two_decimals(clicks.dice)) }
                        td { strong { (two_decimals(clicks.clicks.mean)) } }
                        td { (two_decimals(clicks.interval.low)) " to " (two_decimals(clicks.interval.high)) }
                        td { (clicks.clicks.failures) " of " (clicks.clicks.cases) " never" }
                    }
                }
            }
        }))
        p class="soft" { "One that never reaches a Dice counts as one click more than it was given." }
    }
}

fn two_decimals(value: f64) -> String {
    format!("{value:.2}")
}

fn clicks(summary: &CorrectionSummary) -> Markup {
    let counts = &summary.clicks;
    let share = |count: usize, share: Option<Share>| match share {
        None => count.to_string(),
        Some(Share { share, interval: Interval { low, high } }) => {
            let [share, low, high] = [share, low, high].map(|share| 100.0 * share);
            format!("{count} ({share:.1} %, 95 % interval {low:.1} to {high:.1})")
        }
    };
    html! {
        p {
            "Of " (counts.given) " corrective clicks " (share(counts.obeyed, summary.obeyed))
            " lie in the new mask, or outside it, as they say (the network alone contradicted " (counts.held) "); after " (share(counts.dice_fell, summary.dice_fell))
            " Dice was lower than before. "
            "The score was carried forward " (counts.without_error) " times because no error was left"
            @if counts.only_excess > 0 {
                ", and " (counts.only_excess) " times because only too much was left, which these weights take no clicks for"
            }
            "."
        }
    }
}
