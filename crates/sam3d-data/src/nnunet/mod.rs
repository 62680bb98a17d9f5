//! nnU-Net's format of data sets, and that of the Medical Segmentation Decathlon it comes from.
//!
//! A directory with `dataset.json`, `imagesTr/CASE_0000.nii.gz` (of the Decathlon `imagesTr/CASE.nii.gz`) and
//! `labelsTr/CASE.nii.gz` is a data set as it is: [`describe`] gives the description that a TOML file would hold.
//! [`export`](export()) writes such a directory.
//!
//! Source: nnU-Net's `documentation/dataset_format.md`.

mod export;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sam3d_geom::{Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use serde::Deserialize;
use serde_json::Value;

use crate::dataset::{Dataset, DatasetError, Layout};

pub use export::export;

/// The file that describes a data set.
const DESCRIPTION: &str = "dataset.json";
/// The name of a label whose voxels were not drawn.
const IGNORE: &str = "ignore";
const BACKGROUND: &str = "background";
/// The ending of the first channel's file.
const FIRST_CHANNEL: &str = "_0000";

/// Whether `directory` is a data set of this format.
pub fn is_nnunet(directory: &Path) -> bool {
    directory.join(DESCRIPTION).is_file() && directory.join("imagesTr").is_dir()
}

/// The list of splits in `directory`, if there is one.
pub fn splits_file(directory: &Path) -> Option<PathBuf> {
    Some(directory.join("splits_final.json")).filter(|path| path.is_file())
}

/// A name for the data set in `directory`: the directory's own, in letters that a path may have.
pub fn name_of(directory: &Path) -> String {
    let absolute = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sound =
        |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' };
    let name: String = name.chars().map(sound).collect();
    let name = name.trim_matches('.');
    if name.is_empty() { "nnunet".to_owned() } else { name.to_owned() }
}

/// What `dataset.json` holds that matters here.
#[derive(Deserialize)]
struct Description {
    #[serde(default, alias = "modality")]
    channel_names: BTreeMap<String, Value>,
    labels: BTreeMap<String, Value>,
    #[serde(default)]
    file_ending: Option<String>,
    #[serde(default, alias = "licence")]
    license: Option<Value>,
    #[serde(default)]
    reference: Option<Value>,
    #[serde(default)]
    description: Option<Value>,
}

/// The data set in `directory`, with the label named or numbered `label` as target; the only one unless there are several.
///
/// Voxels are 1 mm, oriented by the affine. The intensities are placeholders: they have to be measured, because the format
/// says nothing of them. Labels with voxels of the class `ignore` do not fit the classes, so that such cases are dropped
/// and reported: taking what was not drawn for background would teach a network wrong borders.
///
/// # Errors
/// [`DatasetError::Read`], [`DatasetError::NnunetDescription`], [`DatasetError::SeveralChannels`],
/// [`DatasetError::LabelUnknown`].
pub fn describe(directory: &Path, label: Option<&str>) -> Result<Dataset, DatasetError> {
    let path = directory.join(DESCRIPTION);
    let text =
        fs::read_to_string(&path).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
    let invalid = |reason: String| DatasetError::NnunetDescription { path: path.clone(), reason };
    let found: Description = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    if found.channel_names.len() > 1 {
        let channels = found.channel_names.values().map(plain).collect();
        return Err(DatasetError::SeveralChannels { path, channels });
    }
    let labels = labels_of(&found.labels).map_err(invalid)?;
    let target = target_of(&path, &labels, label)?;
    let mut classes: Vec<u32> = labels
        .iter()
        .filter(|(name, _)| name != IGNORE)
        .flat_map(|(_, values)| values.iter().copied())
        .chain([0])
        .collect();
    classes.sort_unstable();
    classes.dedup();
    let name = name_of(directory);
    let ending = found.file_ending.as_deref().unwrap_or(".nii.gz");
    let channel = if has_channels(directory)? { FIRST_CHANNEL } else { "" };
    let text_of = |value: &Option<Value>| value.as_ref().map_or_else(|| "not stated".to_owned(), plain);
    Ok(Dataset {
        title: found.description.as_ref().map_or_else(|| name.clone(), plain),
        licence: text_of(&found.license),
        citation: text_of(&found.reference),
        url: "none: a directory in nnU-Net's format".to_owned(),
        access: String::new(),
        download: None,
        classes,
        target_class: target.1,
        target_name: target.0,
        in_plane_augmentation: false,
        labels_on_image_voxels: false,
        published_split: None,
        layout: Layout {
            image: format!("imagesTr/{{case}}{channel}{ending}"),
            label: format!("labelsTr/{{case}}{ending}"),
        },
        preprocessing: Preprocessing {
            intensity: Intensity::new([-1000.0, 1000.0], 0.0, 500.0)?,
            spacing_mm: Spacing::new([1.0; 3])?,
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        },
        name,
    })
}

/// A value as text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Labels by name with their values; several values are a region.
fn labels_of(labels: &BTreeMap<String, Value>) -> Result<Vec<(String, Vec<u32>)>, String> {
    let number = |value: &Value| {
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.and_then(|number| u32::try_from(number).ok())
    };
    let mut found = Vec::new();
    for (key, value) in labels {
        let values = match value {
            Value::Array(values) => values.iter().map(number).collect::<Option<Vec<_>>>(),
            value => number(value).map(|number| vec![number]),
        };
        // The Decathlon has the number as key and the name as value.
        let entry = match (values, key.parse::<u32>(), value.as_str()) {
            (Some(values), ..) => (key.clone(), values),
            (None, Ok(number), Some(name)) => (name.to_owned(), vec![number]),
            _ => return Err(format!("labels: expected names with numbers, found {key:?}: {value}")),
        };
        found.push(entry);
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(found)
}

/// Name and value of the target.
fn target_of(
    path: &Path,
    labels: &[(String, Vec<u32>)],
    wanted: Option<&str>,
) -> Result<(String, u32), DatasetError> {
    let single = labels.iter().filter_map(|(name, values)| match values.as_slice() {
        [value] if *value > 0 && name != IGNORE && name != BACKGROUND => Some((name.clone(), *value)),
        _ => None,
    });
    let targets: Vec<(String, u32)> = single.collect();
    let chosen = match (wanted, targets.as_slice()) {
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
        (Some(wanted), targets) => targets
            .iter()
            .find(|(name, _)| name == wanted)
            .or_else(|| targets.iter().find(|(_, value)| wanted.parse() == Ok(*value)))
            .cloned(),
    };
    chosen.ok_or_else(|| DatasetError::LabelUnknown {
        path: path.to_owned(),
        wanted: wanted.map(str::to_owned),
        labels: targets.iter().map(|(name, value)| format!("{name} ({value})")).collect(),
    })
}

/// Whether images are named by their channel, as nnU-Net's are and the Decathlon's are not.
fn has_channels(directory: &Path) -> Result<bool, DatasetError> {
    let images = directory.join("imagesTr");
    let failed = |source| DatasetError::Read { path: images.clone(), source };
    for entry in fs::read_dir(&images).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && name.contains(&format!("{FIRST_CHANNEL}.")) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(description: &str, images: &[&str]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("imagesTr")).unwrap();
        fs::write(place.path().join(DESCRIPTION), description).unwrap();
        for image in images {
            fs::write(place.path().join("imagesTr").join(image), "").unwrap();
        }
        place
    }

    const TWO_LABELS: &str = r#"{"channel_names": {"0": "CT"}, "numTraining": 1, "file_ending": ".nii.gz",
        "labels": {"background": 0, "kidney": 1, "tumour": 2, "whole": [1, 2], "ignore": 3}}"#;

    #[test]
    fn the_target_is_named_where_there_are_several() {
        let place = directory(TWO_LABELS, &["a_0000.nii.gz"]);
        assert!(is_nnunet(place.path()));
        let found = describe(place.path(), Some("tumour")).unwrap();
        assert_eq!((found.target_class, found.target_name.as_str()), (2, "tumour"));
        assert_eq!(found.classes, [0, 1, 2]);
        assert_eq!(found.layout.image, "imagesTr/{case}_0000.nii.gz");
        assert_eq!(found.layout.label, "labelsTr/{case}.nii.gz");
        assert_eq!(describe(place.path(), Some("1")).unwrap().target_name, "kidney");
        for wanted in [None, Some("liver"), Some("ignore"), Some("whole")] {
            let error = describe(place.path(), wanted).unwrap_err().to_string();
            assert!(error.contains("kidney (1), tumour (2)"), "{error}");
        }
    }

    #[test]
    fn the_decathlons_own_format() {
        let one = r#"{"modality": {"0": "CT"}, "labels": {"0": "background", "1": "cancer"}, "licence": "CC-BY-SA 4.0"}"#;
        let place = directory(one, &["colon_001.nii.gz", "._colon_001.nii.gz"]);
        let found = describe(place.path(), None).unwrap();
        assert_eq!((found.target_class, found.target_name.as_str()), (1, "cancer"));
        assert_eq!(
            (found.layout.image.as_str(), found.licence.as_str()),
            ("imagesTr/{case}.nii.gz", "CC-BY-SA 4.0")
        );
        let several = r#"{"modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "PZ"}}"#;
        let error = describe(directory(several, &[]).path(), None).unwrap_err().to_string();
        assert!(error.contains("T2, ADC"), "{error}");
    }

    #[test]
    fn what_is_no_description_is_an_error() {
        for text in ["", "[]", r#"{"labels": {"a": "b"}}"#, r#"{"labels": {"a": -1}}"#, r#"{"labels": 3}"#] {
            assert!(describe(directory(text, &[]).path(), None).is_err(), "{text}");
        }
    }
}
