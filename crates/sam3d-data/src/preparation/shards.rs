//! Checking shared out among jobs, and what they found put together.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result, bail};
use sam3d_data::dataset::{Case, CaseId, Dataset};
use sam3d_io::atomic::{self, Overwrite};
use serde::{Deserialize, Serialize};

use super::checked::{self, Checked};

/// One job's part of the cases: every `count`th, from number `index` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    index: u32,
    count: u32,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("expected I/N with I from 0 to N - 1, as in 0/8".to_owned()),
        }
    }
}

/// What a job leaves behind.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    dataset: Dataset,
    /// All cases there are, so that parts of different downloads are told apart.
    all: Vec<CaseId>,
    checked: Vec<Checked>,
}

impl Shard {
    /// This part of `cases`.
    pub(super) fn of(self, cases: &[Case]) -> Vec<Case> {
        cases.iter().skip(self.index as usize).step_by(self.count as usize).cloned().collect()
    }

    /// Writes what was found of this part.
    pub(super) fn write(
        self,
        out: &Path,
        dataset: &Dataset,
        cases: &[Case],
        checked: Vec<Checked>,
    ) -> Result<()> {
        checked::print(&checked);
        let absolute = |path: &Path| std::path::absolute(path).with_context(|| format!("{}", path.display()));
        let mut part = Part {
            dataset: dataset.clone(),
            all: cases.iter().map(|case| case.id.clone()).collect(),
            checked,
        };
        for checked in &mut part.checked {
            checked.case.image = absolute(&checked.case.image)?;
            checked.case.label = absolute(&checked.case.label)?;
        }
        let path = path(out, self.index, self.count);
        let directory = path.parent().unwrap_or(out);
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        atomic::write(&path, Overwrite::Replace, |file| {
            serde_json::to_writer_pretty(&mut *file, &part)?;
            file.write_all(b"\n")
        })?;
        println!(
            "{}: {} of {} cases; put all parts together with --merge {}",
            path.display(),
            part.checked.len(),
            cases.len(),
            self.count
        );
        Ok(())
    }
}

/// The parts in a directory.
pub(super) struct Merge<'a> {
    pub(super) directory: &'a Path,
    pub(super) count: u32,
}

impl Merge<'_> {
    /// What all jobs found, by case.
    ///
    /// # Errors
    /// If a part is missing, damaged, or of another dataset or download than the first.
    pub(super) fn read(&self, dataset: &Dataset) -> Result<Vec<Checked>> {
        let count = self.count;
        let paths: Vec<PathBuf> = (0..count).map(|index| path(self.directory, index, count)).collect();
        let missing: Vec<String> = (0..count)
            .zip(&paths)
            .filter(|(_, path)| !path.is_file())
            .map(|(index, _)| format!("{index}/{count}"))
            .collect();
        if !missing.is_empty() {
            let directory = self.directory.join("shards");
            bail!(
                "{}: --shard {} is missing; run it, then --merge again",
                directory.display(),
                missing.join(", ")
            );
        }
        let mut all: Option<Vec<CaseId>> = None;
        let mut merged = Vec::new();
        for path in &paths {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let part: Part = serde_json::from_slice(&text)
                .with_context(|| format!("{}: damaged; run this shard again", path.display()))?;
            if part.dataset != *dataset || *all.get_or_insert_with(|| part.all.clone()) != part.all {
                bail!(
                    "{}: is of another dataset or another state of its files; run all shards again",
                    path.display()
                );
            }
            merged.extend(part.checked);
        }
        merged.sort_by(|a, b| a.case.id.cmp(&b.case.id));
        if !merged.iter().map(|checked| &checked.case.id).eq(all.iter().flatten()) {
            bail!(
                "{}: the shards do not make up the {} cases; run all of them again",
                self.directory.display(),
                all.map_or(0, |all| all.len())
            );
        }
        Ok(merged)
    }
}

fn path(out: &Path, index: u32, count: u32) -> PathBuf {
    out.join("shards").join(format!("{index}-of-{count}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_parts_of_the_whole() {
        let cases: Vec<Case> = (0..7)
            .map(|n| Case {
                id: CaseId::new(n.to_string()).unwrap(),
                image: "i".into(),
                label: "l".into(),
                label_on_image_voxels: false,
            })
            .collect();
        let mut ids: Vec<String> = (0..3)
            .flat_map(|index| Shard { index, count: 3 }.of(&cases))
            .map(|case| case.id.into())
            .collect();
        ids.sort();
        assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6"]);
        for bad in ["3/3", "1", "a/2", "-1/2", "0/0", "1/2/3"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
