//! The report's figures and pictures.

use crate::{ClickScore, scores::Scores, summary::case_means};
use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{Markup, html};

use super::{
    Picture,
    axis::Axis,
    charts::{Group, distribution as distribution_figure, ranges, scatter},
};

/// A metric of the report: its name, its value in the figure's unit, and whether it is a percentage.
struct Metric {
    name: String,
    value: Box<Value>,
    is_percent: bool,
}

type Value = dyn Fn(&ClickScore) -> Option<f64>;

fn metrics(scores: &Scores) -> Vec<Metric> {
    let mut metrics = vec![Metric {
        name: "Dice".to_owned(),
        value: Box::new(|score| Some(100.0 * score.dice)),
        is_percent: true,
    }];
    for (number, tolerance) in scores.identity.config.tolerances.iter().enumerate() {
        metrics.push(Metric {
            name: format!("NSD at {tolerance}"),
            value: Box::new(move |score| score.nsd.get(number).map(|nsd| 100.0 * nsd)),
            is_percent: true,
        });
    }
    metrics.push(Metric {
        name: "Hausdorff distance, 95 %".to_owned(),
        value: Box::new(|score| score.hausdorff_95_mm),
        is_percent: false,
    });
    metrics
}

/// A figure for each metric, with a group for each number of clicks.
pub(crate) fn distribution(scores: &Scores) -> Option<Markup> {
    let figure = |number: usize, metric: &Metric| {
        let groups: Vec<Group<'_>> = scores
            .summary
            .iter()
            .map(|row| {
                let of_row = scores.cases.iter().flat_map(|case| &case.scores);
                let of_row = of_row.filter(|score| score.points == row.points);
                let values = of_row.filter_map(|score| Some((score.case.as_str(), (metric.value)(score)?)));
                let name = match scores.identity.config.corrections {
                    // As many groups as corrective clicks leave room for a number only.
                    Some(_) => row.points.to_string(),
                    None => scores.identity.config.name_of(row.points),
                };
                Group { name, values: values.collect() }
            })
            .collect();
        let values = groups.iter().flat_map(|group| &group.values).map(|(_, value)| *value);
        let axis = if metric.is_percent {
            Axis::percent(&format!("{}, %", metric.name))
        } else {
            Axis::from_zero(&format!("{}, mm", metric.name), values)
        };
        distribution_figure(&format!("distribution{number}"), &metric.name, &axis, &groups)
    };
    let metrics = metrics(scores);
    (!scores.cases.is_empty()).then(|| {
        html! {
            p class="soft" { "Each mark is one prediction; the box goes from quartile to quartile, the line is the median. Distances to an empty prediction are not defined and left out." }
            div class="figures" { @for (number, metric) in metrics.iter().enumerate() { (figure(number, metric)) } }
        }
    })
}

/// Dice against the truth's volume for each number of clicks.
pub(crate) fn volume(scores: &Scores) -> Option<Markup> {
    let volumes = scores.cases.iter().flat_map(|case| case.scores.first()).map(|score| score.truth_ml);
    let axes = [Axis::logarithmic("volume of the truth, ml", volumes), Axis::percent("Dice, %")];
    let figure = |points: usize| {
        let dice = case_means(&scores.cases, points, &|score| 100.0 * score.dice);
        let ml = case_means(&scores.cases, points, &|score| score.truth_ml);
        let marks: Vec<(&str, f64, f64)> =
            dice.iter().zip(&ml).map(|((case, dice), (_, ml))| (*case, *ml, *dice)).collect();
        scatter(
            &format!("volume{points}"),
            &scores.identity.config.name_of(points),
            [&axes[0], &axes[1]],
            &marks,
        )
    };
    // Of corrections the first mask and the last.
    let corrections = scores.identity.config.corrections;
    let is_shown = |points: usize| corrections.is_none_or(|config| [0, config.clicks].contains(&points));
    let rows = scores.summary.iter().filter(|row| is_shown(row.points));
    (!scores.cases.is_empty()).then(|| {
        html! {
            p class="soft" { "Each mark is a case, with its mean over sets of clicks." }
            div class="figures" { @for row in rows { (figure(row.points)) } }
        }
    })
}

/// The variation of a case's Dice with the draw of clicks; `None` if they were drawn once.
pub(crate) fn clicks(scores: &Scores) -> Option<Markup> {
    let figure = |points: usize| {
        let rows: Vec<(&str, [f64; 3])> = scores
            .cases
            .iter()
            .filter_map(|case| {
                let dice =
                    case.scores.iter().filter(|score| score.points == points).map(|score| 100.0 * score.dice);
                let dice: Vec<f64> = dice.collect();
                let lowest = dice.iter().copied().reduce(f64::min)?;
                let highest = dice.iter().copied().reduce(f64::max)?;
                let mean = dice.iter().sum::<f64>() / dice.len() as f64;
                Some((case.case.as_str(), [lowest, mean, highest]))
            })
            .collect();
        ranges(
            &format!("clicks{points}"),
            &scores.identity.config.name_of(points),
            &Axis::percent("Dice, %"),
            &rows,
        )
    };
    let sets = scores.identity.config.click_sets;
    let is_corrected = scores.identity.config.corrections.is_some();
    let prompted = scores.summary.iter().filter(|row| is_corrected || row.points > 0);
    (sets > 1 && !scores.cases.is_empty()).then(|| {
        html! {
            p class="soft" { "The clicks of every case were drawn " (sets) " times. A line goes from the lowest to the highest Dice of a case, the mark is their mean." }
            div class="figures" { @for row in prompted { (figure(row.points)) } }
        }
    })
}

/// Slices through the first click.
pub(crate) fn pictures(scores: &Scores, pictures: &[Picture<'_>]) -> Option<Markup> {
    let names = ["axial", "coronal", "sagittal"];
    let image = |name: &str, picture: &Picture<'_>, png: &[u8]| {
        let words = format!(
            "{name} slice of {} through the first click, with the outlines of truth and prediction; Dice {:.1} %",
            picture.score.case,
            100.0 * picture.score.dice
        );
        html! { img src=(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png))) alt=(words); }
    };
    (!pictures.is_empty()).then(|| {
        html! {
            p class="soft" {
                "Axial, coronal and sagittal slices through the first click (white cross), cut around the target. The "
                span class="truth" { "truth" } " is outlined in green just outside its border, the "
                span class="prediction" { "prediction" } " in orange just inside its own."
            }
            @for picture in pictures {
                h3 { (picture.score.case) ": " (picture.reason) ", " (format!("{:.1} %", 100.0 * picture.score.dice)) ", " (scores.identity.config.name_of(picture.score.points)) }
                div class="views" {
                    @for (name, png) in names.iter().zip(&picture.views) { (image(name, picture, png)) }
                }
            }
        }
    })
}
