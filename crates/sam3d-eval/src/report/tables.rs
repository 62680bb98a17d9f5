//! The report's tables.

use crate::{ClickScore, EvalError, MetricSummary, published, scores::Scores};
use maud::{Markup, html};
use sam3d_data::splits::Part;
use sam3d_geom::Orientation;

/// The name of the split's part.
pub(crate) fn part(scores: &Scores) -> &'static str {
    match scores.identity.part {
        Part::Train => "training",
        Part::Validation => "validation",
        Part::Test => "test",
    }
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// A table in a region that scrolls sideways by itself, by keyboard, too.
pub(crate) fn table(label: &str, content: Markup) -> Markup {
    html! {
        div class="scroll" role="region" tabindex="0" aria-label=(label) { table { caption { (label) } (content) } }
    }
}

fn metric_names(scores: &Scores) -> Vec<String> {
    let nsd =
        scores.identity.config.tolerances.iter().map(|tolerance| format!("NSD at {} mm", tolerance.mm()));
    std::iter::once("Dice".to_owned()).chain(nsd).collect()
}

pub(crate) fn summary(scores: &Scores) -> Markup {
    let sets = scores.identity.config.click_sets;
    let cells = |metric: &MetricSummary| {
        let (low, high) = (percent(metric.interval.low), percent(metric.interval.high));
        html! {
            td { strong { (percent(metric.cases.mean)) } }
            td { (low) " to " (high) }
            td { (percent(metric.cases.std)) }
            @if sets > 1 { td { (percent(metric.click_sets.std)) } td { (percent(metric.click_std)) } }
        }
    };
    let head = html! {
        thead { tr {
            th scope="col" { "Prompt" } th scope="col" class="name" { "Metric" } th scope="col" { "Mean" }
            th scope="col" { "95 % interval" } th scope="col" { "SD over cases" }
            @if sets > 1 { th scope="col" { "SD of the mean" br; "over click sets" } th scope="col" { "SD over click sets" br; "in a case" } }
        } }
    };
    html! {
        (table("Scores in percent, over cases", html! {
            (head)
            tbody {
                @for row in &scores.summary {
                    @for (metric, name) in std::iter::once(&row.dice).chain(&row.nsd).zip(metric_names(scores)) {
                        tr { th scope="row" { (scores.identity.config.name_of(row.points)) } td class="name" { (name) } (cells(metric)) }
                    }
                    @if let Some(ball) = &row.ball {
                        tr {
                            th scope="row" { (scores.identity.config.name_of(row.points)) }
                            td class="name" { "Dice, best ball (" (ball.radius_mm) " mm)" }
                            td { (percent(ball.mean_dice)) }
                            td colspan=(if sets > 1 { 4 } else { 2 }) {}
                        }
                    }
                }
            }
        }))
        p class="soft" {
            "A case's score is its mean over " (sets) " set" @if sets != 1 { "s" } " of clicks. Intervals are percentile "
            "bootstrap intervals of the mean, by resampling cases. NSD, the surface Dice at a tolerance, is the share of both "
            "surfaces that lies within the tolerance of the other."
        }
    }
}

/// The published scores on the dataset; `None` if there are none.
pub(crate) fn published(scores: &Scores) -> Result<Option<Markup>, EvalError> {
    let dataset = &scores.identity.dataset;
    let rows: Vec<_> = published::published()?;
    let scored: Vec<_> = rows.iter().filter_map(|row| Some((row, row.score(dataset)?))).collect();
    if scored.is_empty() {
        return Ok(None);
    }
    let five = scores.identity.config.tolerances.iter().position(|tolerance| tolerance.mm() == 5.0);
    let measured = |method: &str, points: usize| {
        let here = scores.identity.method == method && scores.identity.config.corrections.is_none();
        scores.summary.iter().find(|row| here && row.points == points)
    };
    Ok(Some(html! {
        (table("Published and measured scores in percent", html! {
            thead { tr {
                th scope="col" { "Method" } th scope="col" { "Tuned" }
                th scope="col" { "Dice," br; "published" } th scope="col" { "Dice," br; "measured" }
                th scope="col" { "NSD at 5 mm," br; "published" } th scope="col" { "NSD at 5 mm," br; "measured" }
            } }
            tbody { @for (row, [dice, nsd]) in &scored {
                @let found = measured(&row.method, row.points);
                tr {
                    th scope="row" { (row.name) }
                    td { @if let Some(millions) = row.tuned_millions { (format!("{millions:.2} M")) } }
                    td { (percent(*dice)) }
                    td { @if let Some(found) = found { strong { (percent(found.dice.cases.mean)) } } }
                    td { (percent(*nsd)) }
                    td { @if let Some(nsd) = found.zip(five).map(|(found, at)| found.nsd[at]) { strong { (percent(nsd.cases.mean)) } } }
                }
            } }
        }))
        p class="soft" { "Published: Gong et al. 2023, test split. They were measured on the authors' split and machines." }
    }))
}

pub(crate) fn cases(scores: &Scores) -> Markup {
    let distance = |mm: Option<f64>| mm.map_or("undefined".to_owned(), |mm| format!("{mm:.2}"));
    let error = |mm: Option<f64>| mm.map_or("undefined".to_owned(), |mm| format!("{mm:+.2}"));
    let points = if scores.identity.config.corrections.is_some() { "Corrections" } else { "Clicks" };
    let row = |score: &ClickScore| {
        html! { tr {
            th scope="row" { (score.case) }
            td { (score.points) } td { (score.click_set) } td { (percent(score.dice)) }
            @for nsd in &score.nsd { td { (percent(*nsd)) } }
            td { (distance(score.hausdorff_95_mm)) } td { (distance(score.average_distance_mm)) }
            td { (format!("{:.2}", score.truth_ml)) } td { (format!("{:.2}", score.prediction_ml)) }
            td { (format!("{:+.2}", score.volume_error_ml())) } td { (error(score.diameter_error_mm())) }
        } }
    };
    html! { details {
        summary { "Every prediction" }
        (table("Every prediction; Dice and NSD in percent, distances in mm, volumes in ml", html! {
            thead { tr {
                th scope="col" { "Case" } th scope="col" { (points) } th scope="col" { "Set" }
                @for name in metric_names(scores) { th scope="col" { (name) } }
                th scope="col" { "HD95" } th scope="col" { "Average" br; "distance" }
                th scope="col" { "Truth" } th scope="col" { "Prediction" }
                th scope="col" { "Volume" br; "error" } th scope="col" { "Diameter" br; "error" }
            } }
            tbody { @for score in scores.cases.iter().flat_map(|case| &case.scores) { (row(score)) } }
        }))
    } }
}

pub(crate) fn failures(scores: &Scores) -> Option<Markup> {
    (!scores.failures.is_empty()).then(|| {
        html! {
            p { "These cases have no score and are in none of the means." }
            (table("Failed cases", html! {
                thead { tr { th scope="col" { "Case" } th scope="col" { "Error" } } }
                tbody { @for failure in &scores.failures { tr { th scope="row" { (failure.case) } td { (failure.error) } } } }
            }))
        }
    })
}

pub(crate) fn configuration(scores: &Scores) -> Markup {
    let (identity, config) = (&scores.identity, &scores.identity.config);
    let intensity = identity.preprocessing.intensity;
    let orientation = match identity.preprocessing.orientation {
        Orientation::Lps => "by the affine: W to the left, H to posterior, D to superior".to_owned(),
        Orientation::AsStored(axes) => format!("stored axes {:?} as D, H, W", axes.axes()),
    };
    let list = |numbers: Vec<String>| numbers.join(", ");
    let points = match config.corrections {
        None => list(config.points.iter().map(usize::to_string).collect()),
        Some(corrections) => format!(
            "{} corrective clicks by the rule {}, first prompt: {}{}",
            corrections.clicks,
            corrections.rule,
            corrections.first.name(),
            if corrections.gated_nsd { "; NSD is 0 where Dice is at most 0.2" } else { "" }
        ),
    };
    let tuned = scores
        .tuned_parameters
        .map_or("not known".to_owned(), |count| format!("{:.2} M", count as f64 / 1e6));
    let epoch = scores.provenance.epoch.map(|epoch| epoch.to_string());
    let loss = scores.provenance.validation_loss.map(|loss| format!("{loss:.4}"));
    let rows: Vec<(&str, Option<String>)> = vec![
        ("Method", Some(identity.method.clone())),
        ("Settings of the method", identity.details.clone()),
        ("Weights", Some(scores.weights.display().to_string())),
        ("SHA-256 of the weights", Some(identity.weights_sha256.clone())),
        ("Weights written by", Some(scores.provenance.written_by.clone()).filter(|text| !text.is_empty())),
        ("Weights made from", Some(scores.provenance.source.clone()).filter(|text| !text.is_empty())),
        ("Epochs of training", epoch),
        ("Validation loss", loss),
        ("Parameters tuned", Some(tuned)),
        ("Dataset", Some(identity.dataset.clone())),
        ("Split", Some(format!("{}, fold {}, {} cases", part(scores), identity.fold, identity.cases.len()))),
        ("Target class", Some(identity.target_class.to_string())),
        (if config.corrections.is_some() { "Corrections" } else { "Numbers of clicks" }, Some(points)),
        ("Sets of clicks", Some(config.click_sets.to_string())),
        ("Position of clicks", Some(config.position.name().to_owned())),
        ("Tolerances", Some(list(config.tolerances.iter().map(ToString::to_string).collect()))),
        ("Precision", Some(identity.precision.name().to_owned())),
        ("Seed", Some(config.seed.to_string())),
        ("Spacing, D x H x W", Some(format!("{:?} mm", identity.preprocessing.spacing_mm.mm()))),
        ("Orientation", Some(orientation)),
        ("Clip range", Some(format!("{:?} HU", intensity.clip_hu()))),
        ("Mean and standard deviation", Some(format!("{}, {} HU", intensity.mean(), intensity.std()))),
        ("Program", Some(scores.program.clone())),
    ];
    html! { dl { @for (name, value) in rows { @if let Some(value) = value { dt { (name) } dd { (value) } } } } }
}
