//! The directory of an evaluation: what is evaluated, and a record of each finished case.
//!
//! | file | what |
//! |---|---|
//! | `evaluation.json` | the [`Identity`]: everything that determines the scores |
//! | `cases/CASE.json` | the scores of a case, with the identity's hash |
//! | `failures/CASE.json` | why a case has no scores, with the identity's hash |
//! | `timings/CASE.json` | how long the prompts of a corrective evaluation took |
//!
//! An interrupted evaluation resumes from its records and tries failed cases again; the jobs of an array share one directory.
//! Every file is written completely or not at all.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use sam3d_data::splits::Part;
use sam3d_geom::{Preprocessing, hexadecimal};
use sam3d_io::atomic::{self, Overwrite};
use sam3d_model::Precision;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::EvalError;
use crate::{CaseEvaluation, CaseResult, CaseTimings, EvalConfig, scores::Failure};

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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailureRecord {
    /// Hash of the identity.
    evaluation: String,
    failure: Failure,
}

impl EvaluationDirectory {
    /// Opens or begins the evaluation `identity` in `path`, which is created.
    ///
    /// # Errors
    /// [`EvalError::EvaluationExists`] if there is one and `existing` refuses, [`EvalError::EvaluationDiffers`] if it is of
    /// another identity, [`EvalError::EvaluationFile`] if it is damaged, [`EvalError::File`] if nothing can be written.
    pub fn open(path: &Path, identity: &Identity, existing: Existing) -> Result<Self, EvalError> {
        let directory = Self { path: path.to_owned(), key: key_of(identity)? };
        let identity_path = path.join("evaluation.json");
        let records = [CASES, FAILURES, TIMINGS].map(|name| path.join(name));
        if identity_path.exists() {
            match existing {
                Existing::Refuse => return Err(EvalError::EvaluationExists { path: path.to_owned() }),
                Existing::Replace => records.iter().try_for_each(|records| remove_records(records))?,
                Existing::Resume => check_same(&identity_path, identity)?,
            }
        }
        let wanted = if identity.config.corrections.is_some() { 3 } else { 2 };
        for path in records.into_iter().take(wanted) {
            fs::create_dir_all(&path).map_err(|source| EvalError::File { action: "create", path, source })?;
        }
        write_json(&identity_path, identity)?;
        Ok(directory)
    }

    /// The scores of `case`; `None` if it has none yet.
    ///
    /// # Errors
    /// [`EvalError::EvaluationFile`] if the record is damaged or belongs to another evaluation.
    pub fn record(&self, case: &str) -> Result<Option<CaseResult>, EvalError> {
        let path = self.record_path(CASES, case);
        let Some(record) = read_json_if_there::<Record>(&path)? else { return Ok(None) };
        self.check_own(path, &record.evaluation, [&record.case.case, case])?;
        let timings: Option<CaseTimings> = read_json_if_there(&self.record_path(TIMINGS, case))?;
        let timings = timings.map_or_else(Vec::new, |timings| timings.prompts);
        Ok(Some(CaseResult { evaluation: record.case, timings }))
    }

    /// Why `case` has no scores; `None` if it has scores or was not tried.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn failure(&self, case: &str) -> Result<Option<Failure>, EvalError> {
        let path = self.record_path(FAILURES, case);
        let Some(record) = read_json_if_there::<FailureRecord>(&path)? else { return Ok(None) };
        self.check_own(path, &record.evaluation, [&record.failure.case, case])?;
        // A process that ended between writing the scores and removing an earlier failure left both.
        Ok(Some(record.failure).filter(|_| !self.record_path(CASES, case).exists()))
    }

    /// Writes the scores of a case; a failure that was recorded is forgotten.
    ///
    /// # Errors
    /// [`EvalError::Io`] if they cannot be written, [`EvalError::File`] if a failure cannot be removed.
    pub fn save(&self, evaluated: &CaseResult) -> Result<(), EvalError> {
        let evaluation = &evaluated.evaluation;
        if !evaluated.timings.is_empty() {
            write_json(&self.record_path(TIMINGS, &evaluation.case), &evaluated.case_timings())?;
        }
        let record = Record { evaluation: self.key.clone(), case: evaluation.clone() };
        write_json(&self.record_path(CASES, &evaluation.case), &record)?;
        let path = self.record_path(FAILURES, &evaluation.case);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(EvalError::File { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Records why a case has no scores.
    ///
    /// # Errors
    /// [`EvalError::Io`] if it cannot be written.
    pub fn save_failure(&self, failure: &Failure) -> Result<(), EvalError> {
        let record = FailureRecord { evaluation: self.key.clone(), failure: failure.clone() };
        write_json(&self.record_path(FAILURES, &failure.case), &record)
    }

    fn record_path(&self, kind: &str, case: &str) -> PathBuf {
        self.path.join(kind).join(format!("{case}.json"))
    }

    /// Fails if the record at `path` has another evaluation's key or names another case than it was asked for.
    fn check_own(&self, path: PathBuf, key: &str, [found, wanted]: [&str; 2]) -> Result<(), EvalError> {
        if key == self.key && found == wanted {
            return Ok(());
        }
        let detail = "of another evaluation; remove it or choose another directory".to_owned();
        Err(EvalError::EvaluationFile { path, detail })
    }
}

/// The directories of records.
const CASES: &str = "cases";
const FAILURES: &str = "failures";
const TIMINGS: &str = "timings";

fn key_of(identity: &Identity) -> Result<String, EvalError> {
    let text = serde_json::to_string(identity).map_err(|_| EvalError::Internal("an identity has no text"))?;
    Ok(hexadecimal(&Sha256::digest(text.as_bytes())))
}

/// Fails if the evaluation at `path` has another identity, and names the differences.
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
    let settings: Vec<String> = found
        .keys()
        .chain(wanted.keys().filter(|name| !found.contains_key(name.as_str())))
        .filter(differs)
        .cloned()
        .collect();
    if settings.is_empty() {
        return Ok(());
    }
    Err(EvalError::EvaluationDiffers { path: path.to_owned(), settings: settings.join(", ") })
}

fn remove_records(directory: &Path) -> Result<(), EvalError> {
    let failed = |path: &Path, source| EvalError::File { action: "remove", path: path.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
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
    let missing = || EvalError::File {
        action: "read",
        path: path.to_owned(),
        source: std::io::Error::from(ErrorKind::NotFound),
    };
    read_json_if_there(path)?.ok_or_else(missing)
}

/// As [`read_json`]; `None` if there is no such file.
fn read_json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EvalError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(EvalError::File { action: "read", path: path.to_owned(), source }),
    };
    let damaged = |error: serde_json::Error| EvalError::EvaluationFile {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    serde_json::from_str(&text).map(Some).map_err(damaged)
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

    fn evaluated(dice: f64) -> CaseResult {
        CaseResult { evaluation: evaluation(dice), timings: Vec::new() }
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
            truth_diameter_mm: None,
            prediction_diameter_mm: None,
        };
        CaseEvaluation { case: "a".into(), scores: vec![score], balls: Vec::new(), corrections: Vec::new() }
    }

    #[test]
    fn records_come_back_bit_for_bit_and_only_to_their_own_evaluation() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let directory = EvaluationDirectory::open(&path, &identity(), Existing::Refuse).unwrap();
        assert_eq!(directory.record("a").unwrap(), None);
        // Numbers that a reader which rounds carelessly gets wrong by one unit in the last place.
        for dice in [0.1 + 0.7, 1.0 / 3.0, 0.9 - 1e-16, 5e-324, 0.8737492839104751] {
            directory.save(&evaluated(dice)).unwrap();
            assert_eq!(directory.record("a").unwrap(), Some(evaluated(dice)));
        }

        let refused = EvaluationDirectory::open(&path, &identity(), Existing::Refuse);
        assert!(matches!(refused, Err(EvalError::EvaluationExists { .. })));
        let again = EvaluationDirectory::open(&path, &identity(), Existing::Resume).unwrap();
        assert!(again.record("a").unwrap().is_some());
        let mut other = identity();
        other.config.seed = 1;
        other.weights_sha256 = "cd".into();
        let error = EvaluationDirectory::open(&path, &other, Existing::Resume).unwrap_err().to_string();
        assert!(error.ends_with("other settings (config.seed, weights_sha256)"), "{error}");
        let anew = EvaluationDirectory::open(&path, &other, Existing::Replace).unwrap();
        assert_eq!(anew.record("a").unwrap(), None);
        // Records left by another evaluation are refused.
        directory.save(&evaluated(0.5)).unwrap();
        assert!(anew.record("a").unwrap_err().to_string().contains("a.json"));
        directory.save_failure(&failure("b")).unwrap();
        assert!(anew.failure("b").unwrap_err().to_string().contains("b.json"));
    }

    fn failure(case: &str) -> Failure {
        Failure { case: case.to_owned(), error: "unreadable".to_owned() }
    }

    #[test]
    fn a_failure_is_recorded_until_the_case_has_scores_or_the_evaluation_begins_anew() {
        let place = tempfile::tempdir().unwrap();
        let open = |existing| EvaluationDirectory::open(place.path(), &identity(), existing).unwrap();
        let directory = open(Existing::Refuse);
        assert_eq!(directory.failure("a").unwrap(), None);
        directory.save_failure(&failure("a")).unwrap();
        assert_eq!(directory.failure("a").unwrap(), Some(failure("a")));
        assert_eq!(open(Existing::Resume).failure("a").unwrap(), Some(failure("a")));
        assert_eq!(directory.record("a").unwrap(), None);
        directory.save(&evaluated(0.5)).unwrap();
        assert_eq!(directory.failure("a").unwrap(), None);
        directory.save_failure(&failure("b")).unwrap();
        assert_eq!(open(Existing::Replace).failure("b").unwrap(), None);
    }
}
