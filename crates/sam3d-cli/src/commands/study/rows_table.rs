//! `sam3d study --list`.

use std::fmt;

use sam3d_eval::study::{RowGroup, rows::ROWS};
use serde::{Serialize, Serializer, ser::SerializeSeq};

/// All rows, with what each changes.
pub(super) struct RowsTable;

#[derive(Serialize)]
struct RowDescription {
    row: &'static str,
    group: &'static str,
    title: &'static str,
    training: &'static str,
    changes: String,
    prompts: Vec<String>,
}

impl RowDescription {
    fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| Self {
            row: row.name,
            group: row.group.name(),
            title: row.title,
            training: row.training.name(),
            changes: row.training.to_string(),
            prompts: row
                .evaluations
                .iter()
                .flat_map(|evaluation| {
                    evaluation.points().into_iter().map(|points| evaluation.prompt(points))
                })
                .collect(),
        })
    }
}

impl Serialize for RowsTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(None)?;
        for row in RowDescription::all() {
            rows.serialize_element(&row)?;
        }
        rows.end()
    }
}

impl fmt::Display for RowsTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for row in RowDescription::all() {
            if row.group != group {
                group = row.group;
                writeln!(f, "{}{group}", if group == RowGroup::Method.name() { "" } else { "\n" })?;
            }
            writeln!(f, "  {:<22}{}", row.row, row.title)?;
            let shared = match row.training == row.row {
                true => String::new(),
                false => format!("the weights of {}; ", row.training),
            };
            writeln!(f, "  {:<22}{shared}{}", "", row.changes)?;
            writeln!(f, "  {:<22}prompts: {}", "", row.prompts.join("; "))?;
        }
        Ok(())
    }
}
