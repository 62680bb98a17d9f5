//! What a study is made of: its plan, and the results of its units. A unit is a row in one fold with one seed.

use std::fmt;

use sam3d_data::splits::Part;
use sam3d_metrics::Tolerance;
use serde::{Deserialize, Serialize};

use super::rows::Evaluation;
use crate::{scores::Scores, summary::case_means};

/// How long each unit trains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Minutes of training steps.
    Minutes(f64),
    /// Optimiser steps, rounded to whole epochs.
    Steps(u64),
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minutes(minutes) => write!(f, "{minutes} minutes"),
            Self::Steps(steps) => write!(f, "{steps} steps"),
        }
    }
}

/// What all units have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyPlan {
    /// The program and its version.
    pub program: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Its title.
    pub title: String,
    /// The cases that are evaluated: which part of each fold.
    pub part: Part,
    /// The folds.
    pub folds: Vec<usize>,
    /// Seeds of initial weights and training.
    pub seeds: Vec<u64>,
    /// How long each unit trains.
    pub budget: Budget,
    /// Sets of clicks drawn for each case.
    pub click_sets: usize,
    /// Seed of the clicks.
    pub click_seed: u64,
    /// Tolerance of the normalized surface Dice.
    pub tolerance: Tolerance,
    /// Units that ran at the same time.
    pub jobs: usize,
    /// The base configuration, as TOML.
    pub base: String,
}

/// What a training took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// Optimiser steps.
    pub steps: u64,
    /// Epochs, the last of which may have been cut short by the time.
    pub epochs: u64,
    /// Minutes of training steps.
    pub minutes: f64,
    /// The most memory that a process of the training took, in bytes; `None` where the system does not report it. The
    /// memory of a GPU is not counted.
    pub peak_memory_bytes: Option<u64>,
    /// Where it computed.
    pub device: String,
    /// Threads it was given.
    pub threads: usize,
    /// Parameters that it trained.
    pub tuned_parameters: u64,
    /// Parameters of the whole network.
    pub parameters: u64,
}

/// The scores of a unit in one line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitScores {
    /// The evaluation's name.
    pub evaluation: String,
    /// Number of clicks, or of corrections.
    pub points: usize,
    /// Dice of each case, the mean over its sets of clicks.
    pub dice: Vec<(String, f64)>,
    /// Normalized surface Dice of each case.
    pub nsd: Vec<(String, f64)>,
    /// Cases without a score.
    pub failed_cases: Vec<String>,
}

impl UnitScores {
    /// The lines of `evaluation` in `scores`; NSD at the first tolerance.
    pub fn of(evaluation: &Evaluation, scores: &Scores) -> Vec<Self> {
        let owned = |means: Vec<(&str, f64)>| -> Vec<(String, f64)> {
            means.into_iter().map(|(case, mean)| (case.to_owned(), mean)).collect()
        };
        let line = |points: usize| Self {
            evaluation: evaluation.name(),
            points,
            dice: owned(case_means(&scores.cases, points, &|score| score.dice)),
            nsd: owned(case_means(&scores.cases, points, &|score| {
                score.nsd.first().copied().unwrap_or_default()
            })),
            failed_cases: scores.failures.iter().map(|failure| failure.case.clone()).collect(),
        };
        evaluation.points().into_iter().map(line).collect()
    }
}

/// A row in one fold with one seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitResult {
    /// Name of the row.
    pub row: String,
    /// The fold.
    pub fold: usize,
    /// The seed.
    pub seed: u64,
    /// What the training took; `None` if it is not finished.
    pub training: Option<TrainingRecord>,
    /// Scores of the evaluations that are done.
    pub scores: Vec<UnitScores>,
    /// Why the unit failed.
    pub failure: Option<String>,
}
