//! Checks divided among jobs, and the merging of their results.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};
use serde::{Deserialize, Serialize};

use super::{checked::CheckedCase, error::PreparationError};
use crate::{
    dataset::{Case, CaseId, Dataset},
    shard::Shard,
};

/// The result of one job.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckedShard {
    dataset: Dataset,
    /// All cases, to distinguish shards of different downloads.
    all: Vec<CaseId>,
    checked: Vec<CheckedCase>,
}

/// Writes the result of checking `shard` of `cases` into `out`, and returns where it is.
///
/// # Errors
/// [`PreparationError`] if it cannot be written.
pub fn write_shard(
    shard: Shard,
    out: &Path,
    dataset: &Dataset,
    cases: &[Case],
    checked: Vec<CheckedCase>,
) -> Result<PathBuf, PreparationError> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(IoError::read(path));
    let mut part = CheckedShard {
        dataset: dataset.clone(),
        all: cases.iter().map(|case| case.id.clone()).collect(),
        checked,
    };
    for checked in &mut part.checked {
        checked.case.image = absolute(&checked.case.image)?;
        checked.case.label = absolute(&checked.case.label)?;
    }
    let directory = directory(out);
    fs::create_dir_all(&directory).map_err(IoError::write(&directory))?;
    let path = path(out, shard);
    atomic::write(&path, Overwrite::Replace, |file| {
        serde_json::to_writer_pretty(&mut *file, &part)?;
        file.write_all(b"\n")
    })?;
    Ok(path)
}

/// The results of all `count` shards in `out`, by case.
///
/// # Errors
/// [`PreparationError`] if a shard is missing, damaged, or of another dataset or download than the first.
pub fn merge_shards(
    out: &Path,
    count: usize,
    dataset: &Dataset,
) -> Result<Vec<CheckedCase>, PreparationError> {
    let missing: Vec<Shard> = Shard::all(count).filter(|shard| !path(out, *shard).is_file()).collect();
    if !missing.is_empty() {
        return Err(PreparationError::ShardsMissing { directory: directory(out), shards: missing });
    }
    let mut all: Option<Vec<CaseId>> = None;
    let mut merged = Vec::new();
    for shard in Shard::all(count) {
        let path = path(out, shard);
        let text = fs::read(&path).map_err(IoError::read(&path))?;
        let part: CheckedShard = serde_json::from_slice(&text)
            .map_err(|source| PreparationError::ShardDamaged { path: path.clone(), source })?;
        if part.dataset != *dataset || *all.get_or_insert_with(|| part.all.clone()) != part.all {
            return Err(PreparationError::ShardDiffers { path });
        }
        merged.extend(part.checked);
    }
    merged.sort_by(|a, b| a.case.id.cmp(&b.case.id));
    let all = all.unwrap_or_default();
    if !merged.iter().map(|checked| &checked.case.id).eq(&all) {
        return Err(PreparationError::ShardsIncomplete { directory: directory(out), cases: all.len() });
    }
    Ok(merged)
}

fn directory(out: &Path) -> PathBuf {
    out.join("shards")
}

fn path(out: &Path, shard: Shard) -> PathBuf {
    directory(out).join(format!("{}-of-{}.json", shard.index(), shard.count()))
}
