//! The generated cases of the dataset `demo`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sam3d_data::{
    dataset::{Case, CaseId, Dataset},
    phantom,
};
use sam3d_io::{atomic::Overwrite, nifti};

/// Generates `count` cases into `out`, named as the dataset's layout says; the same seed gives the same files.
pub(super) fn generate(dataset: &Dataset, out: &Path, seed: u64, count: u64) -> Result<Vec<Case>> {
    println!("generating {count} CT phantoms in {}", out.display());
    (0..count)
        .map(|number| {
            let id = CaseId::new(format!("phantom_{number:03}"))?;
            let [image, label] =
                [&dataset.layout.image, &dataset.layout.label].map(|pattern| path(out, pattern, &id));
            for parent in [&image, &label].into_iter().filter_map(|file| file.parent()) {
                fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
            }
            let phantom = phantom::generate(seed, number)?;
            nifti::write(&image, phantom.image.view(), &phantom.grid, Overwrite::Replace)?;
            nifti::write(&label, phantom.label.view(), &phantom.grid, Overwrite::Replace)?;
            Ok(Case { id, image, label, label_on_image_voxels: dataset.labels_on_image_voxels })
        })
        .collect()
}

fn path(out: &Path, pattern: &str, id: &CaseId) -> PathBuf {
    out.join(pattern.replace("{case}", id.as_str()))
}

#[cfg(test)]
mod tests {
    use sam3d_data::dataset::check_case;

    use super::*;

    #[test]
    fn a_generated_case_is_usable_and_the_same_each_time() {
        let dataset = Dataset::named("demo").unwrap();
        let [first, again] = [(); 2].map(|()| {
            let out = tempfile::tempdir().unwrap();
            let cases = generate(&dataset, out.path(), 7, 1).unwrap();
            assert_eq!(cases.len(), 1);
            check_case(&dataset, &cases[0]).unwrap();
            [&cases[0].image, &cases[0].label].map(|path| fs::read(path).unwrap())
        });
        assert!(first == again);
    }
}
