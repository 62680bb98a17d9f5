//! How long prompts took. Kept apart from the scores, which the same command writes byte for byte again.

use serde::{Deserialize, Serialize};

/// The time of one prompt of a corrective evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTiming {
    /// Number of the set of first clicks, from 0.
    pub click_set: usize,
    /// Which corrective click it was, from 1; 0 for the first prompt.
    pub corrections: usize,
    /// Seconds the image encoder took; 0 if the crop had been encoded before.
    pub encoder_seconds: f64,
    /// Seconds of everything else up to the mask on the file's grid.
    pub other_seconds: f64,
}

/// The times of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseTimings {
    /// The case.
    pub case: String,
    /// In the order of the prompts.
    pub prompts: Vec<PromptTiming>,
}

/// The times of an evaluation: what `timings.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// Mean seconds by number of corrective clicks.
    pub summary: Vec<MeanTiming>,
    /// The cases, in the order of the split.
    pub cases: Vec<CaseTimings>,
}

/// The mean time of the prompts that came after the same number of others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanTiming {
    /// Which corrective click it was, from 1; 0 for the first prompt.
    pub corrections: usize,
    /// How many prompts the mean is over.
    pub prompts: usize,
    /// Mean seconds of the image encoder, over all of these prompts.
    pub encoder_seconds: f64,
    /// Mean seconds of everything else.
    pub other_seconds: f64,
}

impl Timings {
    /// Name of the file in an evaluation's directory.
    pub const FILE: &'static str = "timings.json";

    /// The times of `cases` with their means.
    pub fn of(cases: Vec<CaseTimings>) -> Self {
        let all: Vec<PromptTiming> = cases.iter().flat_map(|case| case.prompts.iter().copied()).collect();
        let last = all.iter().map(|timing| timing.corrections).max();
        let mean = |corrections: usize| {
            let same: Vec<&PromptTiming> =
                all.iter().filter(|timing| timing.corrections == corrections).collect();
            let mean = |seconds: fn(&PromptTiming) -> f64| {
                same.iter().map(|timing| seconds(timing)).sum::<f64>() / same.len() as f64
            };
            (!same.is_empty()).then(|| MeanTiming {
                corrections,
                prompts: same.len(),
                encoder_seconds: mean(|timing| timing.encoder_seconds),
                other_seconds: mean(|timing| timing.other_seconds),
            })
        };
        let summary = last.map_or_else(Vec::new, |last| (0..=last).filter_map(mean).collect());
        Self { summary, cases }
    }
}
