//! The generated cases of the dataset `demo`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sam3d_io::{IoError, atomic::Overwrite, nifti};

use super::error::PreparationError;
use crate::{
    dataset::{Case, CaseId, Dataset},
    phantom,
    progress::{OnProgress, Progress, Stage},
};

/// Generates `count` phantoms into `out`, named as the dataset's layout says; the same seed gives the same files.
///
/// # Errors
/// [`PreparationError`] if a phantom cannot be generated or written.
pub fn generate(
    dataset: &Dataset,
    out: &Path,
    seed: u64,
    count: u64,
    on_progress: OnProgress<'_>,
) -> Result<Vec<Case>, PreparationError> {
    on_progress(Progress::Begins { stage: Stage::Generating(out), done: 0, total: Some(count) });
    let cases = (0..count)
        .map(|number| {
            let id = CaseId::new(format!("phantom_{number:03}"))?;
            let [image, label] =
                [&dataset.layout.image, &dataset.layout.label].map(|pattern| path(out, pattern, &id));
            for parent in [&image, &label].into_iter().filter_map(|file| file.parent()) {
                fs::create_dir_all(parent).map_err(IoError::write(parent))?;
            }
            let phantom = phantom::generate(seed, number)?;
            nifti::write(&image, phantom.image.view(), &phantom.grid, Overwrite::Replace)?;
            nifti::write(&label, phantom.label.view(), &phantom.grid, Overwrite::Replace)?;
            on_progress(Progress::Advances(1));
            Ok(Case { id, image, label, label_on_image_voxels: dataset.labels_on_image_voxels })
        })
        .collect();
    on_progress(Progress::Ends);
    cases
}

fn path(out: &Path, pattern: &str, id: &CaseId) -> PathBuf {
    out.join(pattern.replace("{case}", id.as_str()))
}

#[cfg(test)]
mod tests {
    use crate::dataset::check_case;

    use super::*;

    #[test]
    fn a_generated_case_is_usable_and_the_same_each_time() {
        let dataset = Dataset::named("demo").unwrap();
        let [first, again] = [(); 2].map(|()| {
            let out = tempfile::tempdir().unwrap();
            let cases = generate(&dataset, out.path(), 7, 1, &|_| {}).unwrap();
            assert_eq!(cases.len(), 1);
            check_case(&dataset, &cases[0]).unwrap();
            [&cases[0].image, &cases[0].label].map(|path| fs::read(path).unwrap())
        });
        assert!(first == again);
    }
}
