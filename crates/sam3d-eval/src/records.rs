//! The directory of an evaluation: what was evaluated, and a record for each finished case.
//!
//! | file | what |
//! |---|---|
//! | `evaluation.json` | the [`Identity`]: everything that decides a number |
//! | `cases/CASE.json` | the scores of a finished case, with the identity's hash |
//!
//! An evaluation that was interrupted goes on from its records; the jobs of an array share one directory. Every file is
//! written whole or not at all.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use sam3d_data::splits::Part;
use sam3d_geom::Preprocessing;
use sam3d_io::atomic::{self, Overwrite};
use sam3d_model::Precision;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::EvalError;
use crate::{CaseEvaluation, EvalConfig};

/// Version of the files here; a change of what their numbers mean raises it.
pub const FORMAT_VERSION: u32 = 1;

/// Everything that decides the numbers of an evaluation. Records of another one are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Version of the files.
    pub format_version: u32,
    /// [`Method::name`](crate::Method::name).
    pub method: String,
    /// [`Method::details`](crate::Method::details).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// SHA-256 of the weights' file, in hexadecimal.
    pub weights_sha256: String,
    /// Name of the dataset.
    pub dataset: String,
    /// The label's class that is the target.
    pub target_class: u32,
    /// Part of the split.
    pub part: Part,
    /// Fold of the cross-validation, 0 without.
    pub fold: usize,
    /// The cases, sorted.
    pub cases: Vec<String>,
    /// How volumes became the method's input.
    pub preprocessing: Preprocessing,
    /// In what the network multiplies.
    pub precision: Precision,
    /// The protocol.
    pub config: EvalConfig,
}

/// What to do where a directory holds an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and fail.
    Refuse,
    /// Remove its records and begin anew.
    Replace,
    /// Go on with it, or begin if there is none.
    Resume,
}

/// The directory of one evaluation.
#[derive(Debug, Clone)]
pub struct EvaluationDirectory {
    path: PathBuf,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Hash of the identity.
    evaluation: String,
    case: CaseEvaluation,
}

impl EvaluationDirectory {
    /// Opens or begins the evaluation `identity` in `path`, which is created.
    ///
    /// # Errors
    /// [`EvalError::EvaluationExists`] if there is one and `existing` refuses, [`EvalError::EvaluationFile`] if it is of another
    /// identity or damaged, [`EvalError::File`] if nothing can be written.
    pub fn open(path: &Path, identity: &Identity, existing: Existing) -> Result<Self, EvalError> {
        let directory = Self { path: path.to_owned(), key: key_of(identity)? };
        let identity_path = path.join("evaluation.json");
        let records = path.join("cases");
        if identity_path.exists() {
            match existing {
                Existing::Refuse => return Err(EvalError::EvaluationExists { path: path.to_owned() }),
                Existing::Replace => remove_records(&records)?,
                Existing::Resume => check_same(&identity_path, identity)?,
            }
        }
        fs::create_dir_all(&records).map_err(|source| EvalError::File {
            action: "create",
            path: records.clone(),
            source,
        })?;
        write_json(&identity_path, identity)?;
        Ok(directory)
    }

    /// The record of `case`; `None` if it is not finished.
    ///
    /// # Errors
    /// [`EvalError::EvaluationFile`] if it is damaged or of another evaluation.
    pub fn record(&self, case: &str) -> Result<Option<CaseEvaluation>, EvalError> {
        let path = self.record_path(case);
        if !path.exists() {
            return Ok(None);
        }
        let record: Record = read_json(&path)?;
        if record.evaluation != self.key || record.case.case != case {
            let detail = "of another evaluation; remove it or choose another directory";
            return Err(EvalError::EvaluationFile { path, detail: detail.to_owned() });
        }
        Ok(Some(record.case))
    }

    /// Writes the record of a finished case.
    ///
    /// # Errors
    /// [`EvalError::Io`] if it cannot be written.
    pub fn save(&self, evaluation: &CaseEvaluation) -> Result<(), EvalError> {
        let record = Record { evaluation: self.key.clone(), case: evaluation.clone() };
        write_json(&self.record_path(&evaluation.case), &record)
    }

    fn record_path(&self, case: &str) -> PathBuf {
        self.path.join("cases").join(format!("{case}.json"))
    }
}

fn key_of(identity: &Identity) -> Result<String, EvalError> {
    let text = serde_json::to_string(identity).map_err(|_| EvalError::Internal("an identity has no text"))?;
    Ok(hexadecimal(&Sha256::digest(text.as_bytes())))
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fails if the evaluation at `path` is another one, naming what differs.
fn check_same(path: &Path, identity: &Identity) -> Result<(), EvalError> {
    let broken = |detail: String| EvalError::EvaluationFile { path: path.to_owned(), detail };
    let found: serde_json::Value = read_json(path)?;
    let wanted = serde_json::to_value(identity).map_err(|error| broken(error.to_string()))?;
    let empty = serde_json::Map::new();
    let fields = |value: &serde_json::Value| value.as_object().unwrap_or(&empty).clone();
    let (mut found, mut wanted) = (fields(&found), fields(&wanted));
    // The protocol's own fields, so that the one that differs can be named.
    for all in [&mut found, &mut wanted] {
        let config = all.remove("config");
        for (name, value) in config.iter().flat_map(|config| config.as_object()).flatten() {
            all.insert(format!("config.{name}"), value.clone());
        }
    }
    let differs = |name: &&String| found.get(name.as_str()) != wanted.get(name.as_str());
    let names: Vec<&str> = found
        .keys()
        .chain(wanted.keys().filter(|name| !found.contains_key(name.as_str())))
        .filter(differs)
        .map(String::as_str)
        .collect();
    match names.as_slice() {
        [] => Ok(()),
        names => Err(broken(format!(
            "an evaluation with other settings ({}); choose another directory, or begin anew with --force",
            names.join(", ")
        ))),
    }
}

fn remove_records(directory: &Path) -> Result<(), EvalError> {
    let failed = |path: &Path, source| EvalError::File { action: "remove", path: path.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(directory, error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| failed(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            fs::remove_file(&path).map_err(|error| failed(&path, error))?;
        }
    }
    Ok(())
}

/// Reads a JSON file of an evaluation.
///
/// # Errors
/// [`EvalError::File`] if it cannot be read, [`EvalError::EvaluationFile`] if it is not what it should be.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, EvalError> {
    let text = fs::read_to_string(path).map_err(|source| EvalError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text)
        .map_err(|error| EvalError::EvaluationFile { path: path.to_owned(), detail: error.to_string() })
}

/// Writes a JSON file of an evaluation, replacing one that is there.
///
/// # Errors
/// [`EvalError::Io`] if it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), EvalError> {
    atomic::write(path, Overwrite::Replace, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sam3d_geom::{Intensity, Interpolation, Orientation, Spacing};

    use super::*;

    fn identity() -> Identity {
        Identity {
            format_version: FORMAT_VERSION,
            method: "sam3d".into(),
            details: None,
            weights_sha256: "ab".into(),
            dataset: "demo".into(),
            target_class: 1,
            part: Part::Test,
            fold: 0,
            cases: vec!["a".into(), "b".into()],
            preprocessing: Preprocessing {
                intensity: Intensity::new([0.0, 1.0], 0.1, 1.0 / 3.0).unwrap(),
                spacing_mm: Spacing::new([1.0; 3]).unwrap(),
                orientation: Orientation::Lps,
                interpolation: Interpolation::Trilinear,
            },
            precision: Precision::F32,
            config: EvalConfig::default(),
        }
    }

    fn evaluation(dice: f64) -> CaseEvaluation {
        let score = crate::ClickScore {
            case: "a".into(),
            points: 1,
            click_set: 0,
            clicks_ijk: vec![[1, 2, 3]],
            dice,
            nsd: vec![0.1 + 0.2],
            hausdorff_95_mm: None,
            average_distance_mm: Some(1e-300),
            truth_ml: 1.0,
            prediction_ml: 2.0,
        };
        CaseEvaluation { case: "a".into(), scores: vec![score], balls: Vec::new() }
    }

    #[test]
    fn records_come_back_bit_for_bit_and_only_to_their_own_evaluation() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let directory = EvaluationDirectory::open(&path, &identity(), Existing::Refuse).unwrap();
        assert_eq!(directory.record("a").unwrap(), None);
        // Numbers that a reader which rounds carelessly gets wrong by one unit in the last place.
        for dice in [0.1 + 0.7, 1.0 / 3.0, 0.9 - 1e-16, 5e-324, 0.8737492839104751] {
            directory.save(&evaluation(dice)).unwrap();
            assert_eq!(directory.record("a").unwrap(), Some(evaluation(dice)));
        }

        let refused = EvaluationDirectory::open(&path, &identity(), Existing::Refuse);
        assert!(matches!(refused, Err(EvalError::EvaluationExists { .. })));
        let again = EvaluationDirectory::open(&path, &identity(), Existing::Resume).unwrap();
        assert!(again.record("a").unwrap().is_some());
        let mut other = identity();
        other.config.seed = 1;
        other.weights_sha256 = "cd".into();
        let error = EvaluationDirectory::open(&path, &other, Existing::Resume).unwrap_err().to_string();
        assert!(error.contains("(config.seed, weights_sha256)") && error.contains("--force"), "{error}");
        let anew = EvaluationDirectory::open(&path, &other, Existing::Replace).unwrap();
        assert_eq!(anew.record("a").unwrap(), None);
        // A record left by another evaluation is no record of this one.
        directory.save(&evaluation(0.5)).unwrap();
        assert!(anew.record("a").unwrap_err().to_string().contains("a.json"));
    }
}
