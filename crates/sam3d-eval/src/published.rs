//! The published scores, shown beside measured ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::EvalError;

const TABLE: &str = include_str!("../published.toml");

/// One row of the published tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedRow {
    /// Name for readers.
    pub name: String,
    /// The [`Method::name`](crate::Method::name) of the method.
    pub method: String,
    /// The number of clicks; 0 for a method without.
    pub points: usize,
    /// Trained parameters, in millions.
    #[serde(default)]
    pub tuned_millions: Option<f64>,
    /// Dice and NSD at 5 mm by dataset, in percent.
    #[serde(flatten)]
    pub scores: BTreeMap<String, [f64; 2]>,
}

impl PublishedRow {
    /// Dice and NSD at 5 mm on `dataset`, from 0 to 1.
    pub fn score(&self, dataset: &str) -> Option<[f64; 2]> {
        self.scores.get(dataset).map(|percent| percent.map(|value| value / 100.0))
    }
}

/// Every published row, in the order of the tables.
///
/// # Errors
/// [`EvalError::Internal`] if the embedded table cannot be read, which a test rules out.
pub fn published() -> Result<Vec<PublishedRow>, EvalError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        row: Vec<PublishedRow>,
    }
    let table: Table =
        toml::from_str(TABLE).map_err(|_| EvalError::Internal("the published table cannot be read"))?;
    Ok(table.row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_every_dataset_once() {
        let rows = published().unwrap();
        assert_eq!(rows.len(), 18);
        for row in &rows {
            let datasets: Vec<&str> = row.scores.keys().map(String::as_str).collect();
            assert_eq!(datasets, ["kits21", "lits17", "msd-colon", "msd-pancreas"], "{}", row.name);
            assert!(row.scores.values().flatten().all(|percent| (0.0..100.0).contains(percent)));
            let same = rows.iter().filter(|other| (&other.method, other.points) == (&row.method, row.points));
            assert_eq!(same.count(), 1, "{}", row.name);
        }
        let ours = rows.iter().find(|row| row.method == "sam3d" && row.points == 1).unwrap();
        let [dice, nsd] = ours.score("kits21").unwrap();
        assert!((dice - 0.7378).abs() < 1e-12 && (nsd - 0.8386).abs() < 1e-12);
        assert_eq!((ours.score("demo"), ours.tuned_millions), (None, Some(25.46)));
    }
}
