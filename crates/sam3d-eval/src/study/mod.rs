//! A study: a table of methods, each trained for the same time or number of steps on one dataset, and evaluated by one
//! protocol on the same cases.
//!
//! - [`rows`]: what can stand in the table. [`units`]: what one training and its evaluations found.
//! - [`table`]: scores pooled over folds, intervals, paired tests. [`markdown`]: the table as text; the report is in
//!   [`report`](crate::report::study_page).

pub mod markdown;
pub mod rows;
pub mod table;
pub mod units;

pub use rows::{Evaluation, RowGroup, StudyRow, Training};
pub use table::{PairedTest, PooledMetric, Study, StudyLine};
pub use units::{Budget, StudyPlan, TrainingRecord, UnitResult, UnitScores};
