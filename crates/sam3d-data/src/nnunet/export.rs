//! A prepared data set in nnU-Net's format.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use sam3d_io::{
    IoError, ReadLimits,
    atomic::{self, Overwrite},
};
use serde_json::json;

use crate::{
    dataset::{Case, CaseId, DatasetError, PreparedDataset},
    splits::Split,
};

/// Writes `prepared` into `out`, which is created: `dataset.json`, images and labels as NIfTI, and `splits_final.json`.
///
/// Labels become 0, 1, 2 and so on in the order of the data set's classes, as the format demands; the target keeps its name. Of
/// one split the test cases lie in `imagesTs` and `labelsTs`, which nnU-Net does not train on; of a cross-validation each
/// fold is validated on its test cases. `progress` is called after each case. Returns the number of cases.
///
/// # Errors
/// [`DatasetError::Io`] if a volume cannot be read or written, or `out` already has a file of this name.
pub fn export(
    prepared: &PreparedDataset,
    out: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<usize, DatasetError> {
    let dataset = &prepared.dataset;
    let test: BTreeSet<&CaseId> = match prepared.splits.folds.as_slice() {
        [only] => only.test.iter().collect(),
        _ => BTreeSet::new(),
    };
    for directory in ["imagesTr", "labelsTr", "imagesTs", "labelsTs"] {
        let is_test = directory.ends_with("Ts");
        if is_test && test.is_empty() {
            continue;
        }
        let path = out.join(directory);
        fs::create_dir_all(&path).map_err(IoError::write(&path))?;
    }
    let numbers = numbers_of_classes(&dataset.classes, dataset.target_class);
    let mut training = 0;
    for (done, case) in prepared.cases.iter().enumerate() {
        let is_test = test.contains(&case.id);
        training += usize::from(!is_test);
        write_case(case, out, if is_test { "Ts" } else { "Tr" }, &numbers)?;
        progress(done + 1, prepared.cases.len());
    }
    let mut labels = BTreeMap::from([("background".to_owned(), 0)]);
    for (class, number) in numbers.iter().filter(|(class, _)| **class != 0) {
        let is_target = *class == dataset.target_class;
        labels
            .insert(if is_target { dataset.target_name.clone() } else { format!("class {class}") }, *number);
    }
    write_json(
        &out.join("dataset.json"),
        &json!({
            "name": dataset.name,
            "description": dataset.title,
            "licence": dataset.licence,
            "reference": dataset.citation,
            "channel_names": {"0": "CT"},
            "labels": labels,
            "numTraining": training,
            "file_ending": ".nii.gz",
        }),
    )?;
    let is_one = prepared.splits.folds.len() == 1;
    let folds: Vec<_> = prepared.splits.folds.iter().map(|fold| fold_of(fold, is_one)).collect();
    write_json(&out.join("splits_final.json"), &json!(folds))?;
    Ok(prepared.cases.len())
}

/// A fold as nnU-Net has it.
fn fold_of(fold: &Split, is_one: bool) -> serde_json::Value {
    if is_one {
        return json!({"train": fold.train, "val": fold.validation});
    }
    let mut train: Vec<&CaseId> = fold.train.iter().chain(&fold.validation).collect();
    train.sort();
    json!({"train": train, "val": fold.test})
}

/// Numbers without gaps for the classes; of a data set that does not list them only the target has one.
fn numbers_of_classes(classes: &[u32], target: u32) -> BTreeMap<u32, u8> {
    let all: BTreeSet<u32> = classes.iter().copied().chain([0, target]).collect();
    all.into_iter().zip(0..=u8::MAX).collect()
}

fn write_case(case: &Case, out: &Path, part: &str, numbers: &BTreeMap<u32, u8>) -> Result<(), DatasetError> {
    let limits = ReadLimits::default();
    let image = sam3d_io::read(&case.image, limits)?;
    let label = case.read_label(&image.grid, limits)?;
    let path = out.join(format!("images{part}")).join(format!("{}_0000.nii.gz", case.id));
    let (low, high) = (f32::from(i16::MIN), f32::from(i16::MAX));
    if image.data.iter().all(|value| value.fract() == 0.0 && (low..=high).contains(value)) {
        let values = image.data.mapv(|value| value as i16);
        sam3d_io::write(&path, values.view(), &image.grid, Overwrite::Refuse)?;
    } else {
        sam3d_io::write(&path, image.data.view(), &image.grid, Overwrite::Refuse)?;
    }
    let labels = label.data.mapv(|value| numbers.get(&(value as u32)).copied().unwrap_or(0));
    let path = out.join(format!("labels{part}")).join(format!("{}.nii.gz", case.id));
    sam3d_io::write(&path, labels.view(), &image.grid, Overwrite::Refuse)?;
    Ok(())
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), DatasetError> {
    atomic::write(path, Overwrite::Refuse, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        std::io::Write::write_all(file, b"\n")
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_numbers_without_gaps() {
        assert_eq!(numbers_of_classes(&[0, 2, 5], 5), BTreeMap::from([(0, 0), (2, 1), (5, 2)]));
        assert_eq!(numbers_of_classes(&[], 7), BTreeMap::from([(0, 0), (7, 1)]));
    }
}
