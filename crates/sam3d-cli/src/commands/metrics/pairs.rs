//! Which truth belongs to which prediction.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use sam3d_io::volume_ending;

use super::report::Failure;

/// A truth and its prediction.
pub(super) struct Pair {
    /// What the two names have in common.
    pub(super) name: String,
    pub(super) truth: PathBuf,
    pub(super) prediction: PathBuf,
}

/// Two files, or the files of two directories paired by name without ending, sorted. A ground truth without a prediction is
/// a failure; a prediction without a ground truth gives a warning.
///
/// # Errors
/// If one is a file and the other a directory, a directory cannot be read or has two volumes of the same name, or there
/// are no pairs.
pub(super) fn pairs(truth: &Path, prediction: &Path) -> anyhow::Result<(Vec<Pair>, Vec<Failure>)> {
    match (truth.is_dir(), prediction.is_dir()) {
        (false, false) => {
            let name = truth.file_name().unwrap_or_default().to_string_lossy();
            let name = stem(&name).unwrap_or(&name).to_owned();
            Ok((vec![Pair { name, truth: truth.to_owned(), prediction: prediction.to_owned() }], Vec::new()))
        }
        (true, true) => match_directories(truth, prediction),
        (true, false) => bail!("{} is a directory and {} is not", truth.display(), prediction.display()),
        (false, true) => bail!("{} is a directory and {} is not", prediction.display(), truth.display()),
    }
}

fn match_directories(truth: &Path, prediction: &Path) -> anyhow::Result<(Vec<Pair>, Vec<Failure>)> {
    let (truths, mut predictions) = (volumes(truth)?, volumes(prediction)?);
    let (mut pairs, mut failures) = (Vec::new(), Vec::new());
    for (name, truth) in truths {
        match predictions.remove(&name) {
            Some(prediction) => pairs.push(Pair { name, truth, prediction }),
            None => {
                let error = format!("no prediction with this name in {}", prediction.display());
                failures.push(Failure { name, error });
            }
        }
    }
    for path in predictions.values() {
        tracing::warn!("{}: no ground truth with this name; skipped", path.display());
    }
    if pairs.is_empty() {
        bail!("{} and {} have no volumes with the same name", truth.display(), prediction.display());
    }
    Ok((pairs, failures))
}

/// The volumes of a directory by name without ending.
fn volumes(directory: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let cannot_read = || format!("cannot read {}", directory.display());
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(stem) = stem(&name).filter(|_| path.is_file()) else { continue };
        if let Some(other) = found.insert(stem.to_owned(), path.clone()) {
            bail!(
                "{} and {} have the same name without their ending; keep one of them",
                other.display(),
                path.display()
            );
        }
    }
    Ok(found)
}

/// The name without its ending; `None` if the file is not a volume or hidden.
fn stem(name: &str) -> Option<&str> {
    // A structure set is a truth as well.
    let ending =
        volume_ending(name).or_else(|| name.to_ascii_lowercase().ends_with(".dcm").then_some(".dcm"))?;
    let stem = &name[..name.len() - ending.len()];
    (!stem.is_empty() && !name.starts_with('.')).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_their_endings() {
        assert_eq!(stem("a.b.nii.gz"), Some("a.b"));
        assert_eq!(stem("Case_1.SEG.nrrd"), Some("Case_1"));
        assert_eq!((stem("a.raw"), stem(".nii"), stem(".a.nii"), stem("a.txt")), (None, None, None, None));
    }

    #[test]
    fn directories_match_by_name() {
        let place = tempfile::tempdir().unwrap();
        let [truth, prediction] = ["truth", "prediction"].map(|name| place.path().join(name));
        for (directory, names) in
            [(&truth, ["b.nii.gz", "a.mha", "only.nii"]), (&prediction, ["a.nii", "b.seg.nrrd", "b.txt"])]
        {
            fs::create_dir(directory).unwrap();
            names.iter().for_each(|name| fs::write(directory.join(name), "").unwrap());
        }
        let (found, failures) = pairs(&truth, &prediction).unwrap();
        assert_eq!(found.iter().map(|pair| pair.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found[1].prediction, prediction.join("b.seg.nrrd"));
        assert_eq!(failures.iter().map(|failure| failure.name.as_str()).collect::<Vec<_>>(), ["only"]);
        assert!(pairs(&truth, &prediction.join("a.nii")).is_err());
        fs::write(prediction.join("a.nrrd"), "").unwrap();
        assert!(pairs(&truth, &prediction).err().unwrap().to_string().contains("keep one of them"));
    }
}
