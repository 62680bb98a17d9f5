//! Figures as inline SVG, each with a description in words below it.
//!
//! A figure is 360 units wide: about as many pixels on a phone, so that its text stays legible there.

use maud::{Markup, html};

use super::axis::{Axis, BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH};

/// One group of a figure: its label and named values.
pub(crate) struct Group<'a> {
    /// Under the axis.
    pub(crate) name: String,
    /// A name and a value for each mark.
    pub(crate) values: Vec<(&'a str, f64)>,
}

/// Median and quartiles.
struct Quartiles {
    lowest: f64,
    lower: f64,
    median: f64,
    upper: f64,
    highest: f64,
}

impl Quartiles {
    /// Linear interpolation between order statistics; `None` without values.
    fn of(values: &[(&str, f64)]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let position = share * sorted.len().checked_sub(1)? as f64;
            let (low, high) = (position.floor() as usize, position.ceil() as usize);
            Some(sorted[low] + (sorted[high] - sorted[low]) * position.fract())
        };
        Some(Self {
            lowest: at(0.0)?,
            lower: at(0.25)?,
            median: at(0.5)?,
            upper: at(0.75)?,
            highest: at(1.0)?,
        })
    }
}

/// One mark for each value and a box from quartile to quartile, group beside group.
pub(crate) fn distribution(id: &str, title: &str, vertical: &Axis, groups: &[Group<'_>]) -> Markup {
    let sentences = groups.iter().filter_map(|group| {
        let q = Quartiles::of(&group.values)?;
        Some(format!(
            "{}: {} values, median {:.1}, quartiles {:.1} and {:.1}, from {:.1} to {:.1}.",
            group.name,
            group.values.len(),
            q.median,
            q.lower,
            q.upper,
            q.lowest,
            q.highest
        ))
    });
    let words = sentences.collect::<Vec<_>>().join(" ");
    let step = (RIGHT - LEFT) / groups.len().max(1) as f64;
    figure(
        id,
        title,
        &words,
        html! {
            (vertical.left())
            @for (number, group) in groups.iter().enumerate() {
                @let middle = LEFT + (number as f64 + 0.5) * step;
                text class="tick" x=(round(middle)) y=(BOTTOM + 16.0) text-anchor="middle" { (group.name) }
                @if let Some(q) = Quartiles::of(&group.values) {
                    @let (top, bottom) = (vertical.y(q.upper), vertical.y(q.lower));
                    rect class="box" x=(round(middle - 22.0)) y=(round(top)) width="44" height=(round(bottom - top)) {}
                    line class="median" x1=(round(middle - 22.0)) x2=(round(middle + 22.0))
                        y1=(round(vertical.y(q.median))) y2=(round(vertical.y(q.median))) {}
                }
                @for (mark, (name, value)) in group.values.iter().enumerate() {
                    // The golden ratio spreads marks evenly, and the same way every time.
                    @let offset = ((mark as f64 * 0.618_034).fract() - 0.5) * 32.0;
                    (dot(middle + offset, vertical.y(*value), &format!("{name}: {value:.1}")))
                }
            }
        },
    )
}

/// One mark for each of `(name, x, y)`.
pub(crate) fn scatter(
    id: &str,
    title: &str,
    [horizontal, vertical]: [&Axis; 2],
    marks: &[(&str, f64, f64)],
) -> Markup {
    let words = match correlation_of_ranks(marks) {
        Some(rho) => format!("{} cases. Spearman's rank correlation is {rho:.2}.", marks.len()),
        None => format!("{} cases.", marks.len()),
    };
    figure(
        id,
        title,
        &words,
        html! {
            (vertical.left())
            (horizontal.below())
            @for (name, x, y) in marks {
                (dot(horizontal.x(*x), vertical.y(*y), &format!("{name}: {x:.2} ml, {y:.1}")))
            }
        },
    )
}

/// A line from lowest to highest with a mark at the mean, for each of `(name, lowest, mean, highest)`, by rising mean.
pub(crate) fn ranges(id: &str, title: &str, vertical: &Axis, rows: &[(&str, [f64; 3])]) -> Markup {
    let mut rows = rows.to_vec();
    rows.sort_by(|a, b| a.1[1].total_cmp(&b.1[1]).then(a.0.cmp(b.0)));
    let widest = rows.iter().max_by(|a, b| (a.1[2] - a.1[0]).total_cmp(&(b.1[2] - b.1[0])));
    let words = widest.map_or_else(String::new, |(name, [low, _, high])| {
        format!(
            "{} cases by rising mean. The widest range, of {name}, is from {low:.1} to {high:.1}.",
            rows.len()
        )
    });
    let step = (RIGHT - LEFT) / rows.len().max(1) as f64;
    figure(
        id,
        title,
        &words,
        html! {
            (vertical.left())
            text class="tick" x=(round((LEFT + RIGHT) / 2.0)) y=(BOTTOM + 16.0) text-anchor="middle" { "cases by rising mean" }
            @for (number, (name, [low, mean, high])) in rows.iter().enumerate() {
                @let x = LEFT + (number as f64 + 0.5) * step;
                line class="range" x1=(round(x)) x2=(round(x)) y1=(round(vertical.y(*low))) y2=(round(vertical.y(*high))) {}
                (dot(x, vertical.y(*mean), &format!("{name}: {mean:.1}, from {low:.1} to {high:.1}")))
            }
        },
    )
}

/// A thin line for each of `(name, values)`, a thick one for their mean, and a band between their quartiles. The values are
/// those at 0, 1, 2, ... of the horizontal axis.
pub(crate) fn curves(
    id: &str,
    title: &str,
    [horizontal, vertical]: [&Axis; 2],
    lines: &[(&str, Vec<f64>)],
) -> Markup {
    let steps = lines.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
    let at = |step: usize| -> Vec<(&str, f64)> {
        lines.iter().map(|(name, values)| (*name, values[step])).collect()
    };
    let means: Vec<f64> = (0..steps)
        .map(|step| at(step).iter().map(|(_, value)| value).sum::<f64>() / lines.len() as f64)
        .collect();
    let quartiles: Vec<Quartiles> = (0..steps).filter_map(|step| Quartiles::of(&at(step))).collect();
    let sentences = means.iter().zip(&quartiles).enumerate().map(|(step, (mean, q))| {
        format!("After {step}: mean {mean:.1}, quartiles {:.1} and {:.1}.", q.lower, q.upper)
    });
    let words = format!("{} cases. {}", lines.len(), sentences.collect::<Vec<_>>().join(" "));
    let path = |values: &mut dyn Iterator<Item = (usize, f64)>| {
        let places = values.map(|(step, value)| {
            format!("{},{}", round(horizontal.x(step as f64)), round(vertical.y(value)))
        });
        places.collect::<Vec<_>>().join(" ")
    };
    let upper = quartiles.iter().map(|q| q.upper).enumerate();
    let lower = quartiles.iter().map(|q| q.lower).enumerate().rev();
    figure(
        id,
        title,
        &words,
        html! {
            (vertical.left())
            (horizontal.below())
            polygon class="quartiles" points=(path(&mut upper.chain(lower))) {}
            @for (name, values) in lines {
                polyline class="case" points=(path(&mut values.iter().copied().enumerate())) { title { (name) } }
            }
            polyline class="mean" points=(path(&mut means.iter().copied().enumerate())) {}
        },
    )
}

fn figure(id: &str, title: &str, words: &str, content: Markup) -> Markup {
    let words_id = format!("{id}-words");
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) aria-describedby=(words_id) {
                rect class="frame" x=(LEFT) y=(TOP) width=(RIGHT - LEFT) height=(BOTTOM - TOP) {}
                (content)
            }
            p class="words" id=(words_id) { (words) }
        }
    }
}

fn dot(x: f64, y: f64, words: &str) -> Markup {
    html! { circle class="dot" cx=(round(x)) cy=(round(y)) r="3" { title { (words) } } }
}

/// One decimal is enough for a place in a figure.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Spearman's rank correlation; `None` if one of the two does not vary.
fn correlation_of_ranks(marks: &[(&str, f64, f64)]) -> Option<f64> {
    let ranks = |value: &dyn Fn(&(&str, f64, f64)) -> f64| -> Vec<f64> {
        let values: Vec<f64> = marks.iter().map(value).collect();
        let rank = |of: f64| {
            let below = values.iter().filter(|value| **value < of).count() as f64;
            let equal = values.iter().filter(|value| **value == of).count() as f64;
            below + (equal + 1.0) / 2.0
        };
        values.iter().map(|value| rank(*value)).collect()
    };
    let (x, y) = (ranks(&|mark| mark.1), ranks(&|mark| mark.2));
    let middle = (marks.len() as f64 + 1.0) / 2.0;
    let sum =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum() };
    let scale = (sum(&x, &x) * sum(&y, &y)).sqrt();
    (scale > 0.0).then(|| sum(&x, &y) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_says_what_it_shows() {
        let values = vec![("a<b", 10.0), ("b", 20.0), ("c", 30.0), ("d", 100.0)];
        let groups = [Group { name: "1 click".into(), values }];
        let text = distribution("f", "Dice", &Axis::percent("Dice, %"), &groups).into_string();
        assert!(
            text.contains("4 values, median 25.0, quartiles 17.5 and 47.5, from 10.0 to 100.0."),
            "{text}"
        );
        assert_eq!(text.matches("<circle").count(), 4);
        assert!(text.contains("a&lt;b: 10.0") && !text.contains("a<b"), "{text}");
    }

    #[test]
    fn curves_have_a_line_for_each_case_and_one_for_the_mean() {
        let lines = [("a", vec![0.0, 50.0]), ("b", vec![20.0, 70.0]), ("c", vec![40.0, 90.0])];
        let axes = [&Axis::counts("clicks", 1), &Axis::percent("Dice, %")];
        let text = curves("c", "Dice", axes, &lines).into_string();
        assert_eq!((text.matches("class=\"case\"").count(), text.matches("class=\"mean\"").count()), (3, 1));
        assert!(
            text.contains("3 cases. After 0: mean 20.0, quartiles 10.0 and 30.0. After 1: mean 70.0"),
            "{text}"
        );
        let mean = format!("points=\"{LEFT},{} {RIGHT},{}\"", round(axes[1].y(20.0)), round(axes[1].y(70.0)));
        assert!(text.contains(&mean), "{mean} in {text}");
        assert!(curves("c", "Dice", axes, &[]).into_string().contains("0 cases"));
    }

    #[test]
    fn ranks_correlate_whatever_the_scale() {
        let marks = [("a", 1.0, 5.0), ("b", 10.0, 6.0), ("c", 1000.0, 7.0)];
        assert_eq!(correlation_of_ranks(&marks), Some(1.0));
        let turned = marks.map(|(name, x, y)| (name, x, -y));
        assert_eq!(correlation_of_ranks(&turned), Some(-1.0));
        assert_eq!(correlation_of_ranks(&marks.map(|(name, x, _)| (name, x, 0.5))), None);
    }
}
