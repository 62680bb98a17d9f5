//! What runs: one file for each command.

pub mod info;
pub mod metrics;
pub mod same_grid;
