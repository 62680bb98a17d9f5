//! Axes of figures.

use maud::{Markup, html};

use super::charts::round;

pub(crate) const WIDTH: f64 = 360.0;
pub(crate) const HEIGHT: f64 = 250.0;
pub(crate) const LEFT: f64 = 44.0;
pub(crate) const RIGHT: f64 = 344.0;
pub(crate) const TOP: f64 = 24.0;
pub(crate) const BOTTOM: f64 = 210.0;

/// The mapping from values to positions in a figure.
pub(crate) struct Axis {
    label: String,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    logarithmic: bool,
}

impl Axis {
    /// From 0 to 100.
    pub(crate) fn percent(label: &str) -> Self {
        let ticks = vec![0.0, 25.0, 50.0, 75.0, 100.0];
        Self { label: label.to_owned(), low: 0.0, high: 100.0, ticks, logarithmic: false }
    }

    /// From 0 to a round number that holds every one of `values`.
    pub(crate) fn from_zero(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let largest = values.fold(0.0, f64::max);
        let step = round_step(largest / 4.0);
        let ticks: Vec<f64> = (0..=5)
            .map(|n| f64::from(n) * step)
            .take_while(|tick| *tick < (largest + step).max(1.5 * step))
            .collect();
        let high = ticks.last().copied().unwrap_or(step);
        Self { label: label.to_owned(), low: 0.0, high, ticks, logarithmic: false }
    }

    /// From 0 to `last`, one by one; with fewer ticks if there are many.
    pub(crate) fn counts(label: &str, last: usize) -> Self {
        let step = last.div_ceil(10).max(1);
        let ticks = (0..=last).step_by(step).map(|count| count as f64).collect();
        Self { label: label.to_owned(), low: 0.0, high: last.max(1) as f64, ticks, logarithmic: false }
    }

    /// Powers of ten that hold every one of `values`, which are positive.
    pub(crate) fn logarithmic(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let exponents = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) =
            exponents.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), e| (low.min(e), high.max(e)));
        let (low, high) = if low <= high { (low.floor(), high.ceil()) } else { (0.0, 1.0) };
        let high = high.max(low + 1.0);
        let ticks = (low as i32..=high as i32).map(|exponent| 10f64.powi(exponent)).collect();
        Self { label: label.to_owned(), low, high, ticks, logarithmic: true }
    }

    fn share(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    pub(crate) fn x(&self, value: f64) -> f64 {
        LEFT + self.share(value) * (RIGHT - LEFT)
    }

    pub(crate) fn y(&self, value: f64) -> f64 {
        BOTTOM - self.share(value) * (BOTTOM - TOP)
    }

    /// Ticks and grid lines for a vertical axis, its label above.
    pub(crate) fn left(&self) -> Markup {
        html! {
            text class="label" x="0" y="12" { (self.label) }
            @for tick in &self.ticks {
                @let y = round(self.y(*tick));
                line class="grid" x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                text class="tick" x=(LEFT - 6.0) y=(y + 4.0) text-anchor="end" { (short(*tick)) }
            }
        }
    }

    /// Ticks for a horizontal axis, its label below.
    pub(crate) fn below(&self) -> Markup {
        html! {
            @for tick in &self.ticks {
                @let x = round(self.x(*tick));
                line class="grid" x1=(x) x2=(x) y1=(TOP) y2=(BOTTOM) {}
                text class="tick" x=(x) y=(BOTTOM + 16.0) text-anchor="middle" { (short(*tick)) }
            }
            text class="label" x=(round((LEFT + RIGHT) / 2.0)) y=(HEIGHT - 6.0) text-anchor="middle" { (self.label) }
        }
    }
}

/// 1, 2 or 5 times a power of ten, at least `wanted`.
fn round_step(wanted: f64) -> f64 {
    if wanted.is_nan() || wanted <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(wanted.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= wanted)
        .unwrap_or(power)
}

/// A tick's number without floating-point noise.
fn short(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_find_their_places() {
        let percent = Axis::percent("x");
        assert_eq!((percent.x(0.0), percent.x(100.0), percent.y(50.0)), (LEFT, RIGHT, (TOP + BOTTOM) / 2.0));
        let logarithmic = Axis::logarithmic("x", [0.5, 20.0].into_iter());
        assert_eq!(logarithmic.ticks.len(), 4);
        assert!((logarithmic.x(1.0) - (LEFT + (RIGHT - LEFT) / 3.0)).abs() < 1e-9);
        assert_eq!(Axis::logarithmic("x", std::iter::empty()).ticks, [1.0, 10.0]);
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let high = |largest: f64| Axis::from_zero("x", [largest].into_iter()).high;
        assert_eq!([high(3.7), high(17.0), high(100.0), high(0.0)], [4.0, 20.0, 100.0, 1.0]);
        assert_eq!(short(0.1 + 0.2), "0.3");
        assert_eq!(Axis::counts("x", 5).ticks, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(Axis::counts("x", 20).ticks.len(), 11);
    }
}
