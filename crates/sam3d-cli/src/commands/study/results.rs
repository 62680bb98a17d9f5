//! The files of a study, and what is printed of it.

use std::{fmt, fs, io::Write, path::Path};

use anyhow::Context;
use sam3d_eval::{
    records::write_json,
    report::study_page,
    study::{Study, markdown::markdown},
};
use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};
use serde::{Serialize, Serializer};

/// Writes `study.json`, `study.md` and `report.html` into `out`.
///
/// # Errors
/// If they cannot be written.
pub(super) fn write(study: &Study, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    write_json(&out.join("study.json"), study)?;
    for (name, text) in [("study.md", markdown(study)), ("report.html", study_page(study))] {
        let written: Result<(), IoError> =
            atomic::write(&out.join(name), Overwrite::Replace, |file| file.write_all(text.as_bytes()));
        written?;
    }
    Ok(())
}

/// The study as it is printed.
pub(super) struct Printed<'a> {
    pub(super) study: &'a Study,
    pub(super) out: &'a Path,
}

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.study.serialize(serializer)
    }
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.study.lines {
            let metric = |pooled: &Option<sam3d_eval::study::PooledMetric>| match pooled {
                Some(pooled) => {
                    let [mean, low, high] = [pooled.cases.mean, pooled.interval.low, pooled.interval.high]
                        .map(|share| 100.0 * share);
                    format!("{mean:.2} [{low:.2}, {high:.2}]")
                }
                None => "no scores".to_owned(),
            };
            let (dice, nsd) = (metric(&line.dice), metric(&line.nsd));
            writeln!(f, "{:<22}{:<24}Dice {dice:<24}NSD {nsd}", line.row, line.prompt)?;
        }
        writeln!(f, "\ntable    {}", self.out.join("study.md").display())?;
        writeln!(f, "report   {}", self.out.join("report.html").display())
    }
}
