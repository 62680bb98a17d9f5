//! Reports on standard output, and errors as one line.

use std::{
    fmt,
    io::{self, Write},
};

use sam3d_dicomweb::DicomWebError;
use sam3d_eval::EvalError;
use sam3d_infer::InferError;
use sam3d_io::{IoError, dicom::DicomError};
use sam3d_model::ModelError;
use sam3d_train::TrainError;
use serde::{Serialize, Serializer};

/// How the commands of this program begin.
const PROGRAM: &str = "sam3d";

/// Writes a report to standard output: as JSON if `json`, else as text.
///
/// # Errors
/// An error of the operating system, including a closed pipe (see [`is_closed_pipe`]).
pub fn emit<R: Serialize + fmt::Display>(report: &R, json: bool) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    if json {
        let text = serde_json::to_string_pretty(report)?;
        writeln!(stdout, "{text}")?;
    } else {
        write!(stdout, "{report}")?;
    }
    stdout.flush()?;
    Ok(())
}

/// Writes text to standard output as it is.
///
/// # Errors
/// As [`emit`].
pub fn emit_text(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Whether the error is that the reader of standard output has closed the pipe.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes, joined by colons, on one line, with a hint where one is known.
pub fn one_line(error: &anyhow::Error) -> String {
    let hint = hint(error).map_or_else(String::new, |hint| format!("; {hint}"));
    let text = format!("{error:#}{hint}");
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The flag or command that resolves an error of a library.
fn hint(error: &anyhow::Error) -> Option<String> {
    let of_cause = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(TrainError::Dataset(error)) = cause.downcast_ref() {
            return sam3d_commands::hint_of_dataset(error, PROGRAM);
        }
        let of_archive = || cause.downcast_ref().and_then(hint_of_archive);
        let of_evaluation = || cause.downcast_ref().and_then(hint_of_evaluation);
        let of_training = || cause.downcast_ref().and_then(hint_of_training);
        let of_model = || cause.downcast_ref().and_then(hint_of_model);
        let of_session = || cause.downcast_ref().and_then(hint_of_session);
        let of_dicom = || cause.downcast_ref().and_then(hint_of_dicom);
        let of_file = || cause.downcast_ref().and_then(hint_of_file).or_else(of_dicom);
        let of_network = || of_training().or_else(of_model).or_else(of_session);
        of_evaluation().or_else(of_network).or_else(of_file).or_else(of_archive).map(str::to_owned)
    };
    error.chain().find_map(of_cause).or_else(|| sam3d_commands::hint(error, PROGRAM))
}

/// The error; if a file has values that no mask has, with the option that makes a mask of them.
pub fn with_threshold(error: IoError, option: &str) -> anyhow::Error {
    match error {
        IoError::NotWholeNumbers { .. } => anyhow::anyhow!("{error}, with {option} P"),
        other => other.into(),
    }
}

fn hint_of_file(error: &IoError) -> Option<&'static str> {
    let IoError::Dicom { problem, .. } = error else { return None };
    hint_of_dicom(problem)
}

fn hint_of_archive(error: &DicomWebError) -> Option<&'static str> {
    match error {
        DicomWebError::AccessRefused { with_token: false, .. } => {
            Some("give it with --dicomweb-token-file FILE")
        }
        DicomWebError::AddressInvalid { .. } => Some("give it with --dicomweb URL"),
        DicomWebError::SeriesInSeveralStudies { .. } => Some("with --study UID"),
        DicomWebError::TooLarge { what: "bytes of a series", .. } => {
            Some("a larger cache is made with --dicomweb-cache-size MIB")
        }
        _ => None,
    }
}

fn hint_of_dicom(problem: &DicomError) -> Option<&'static str> {
    match problem {
        DicomError::SeveralSeries { .. } => Some("with --series UID"),
        DicomError::SeveralSegments { .. } => {
            Some("make a mask of one with `sam3d mask --seg FILE --segment NAME`")
        }
        DicomError::SeveralRois { .. } => Some("make a mask of it with `sam3d mask --roi NAME`"),
        _ => None,
    }
}

fn hint_of_session(error: &InferError) -> Option<&'static str> {
    match error {
        InferError::Model(error) => hint_of_model(error),
        InferError::PreprocessingUnknown { .. } => Some("name the dataset it was trained on with --dataset"),
        InferError::LogMismatch { .. } => Some("replay it anyway with --force-session"),
        InferError::LogAugmentation { .. } => {
            Some("give --tta as then, or replay it anyway with --force-session")
        }
        _ => None,
    }
}

fn hint_of_evaluation(error: &EvalError) -> Option<&'static str> {
    match error {
        EvalError::EvaluationExists { .. } => Some("resume it with --resume, or replace it with --force"),
        EvalError::EvaluationDiffers { .. } => Some("choose another directory, or start again with --force"),
        EvalError::Model(error) => hint_of_model(error),
        _ => None,
    }
}

fn hint_of_training(error: &TrainError) -> Option<&'static str> {
    match error {
        TrainError::Model(error) => hint_of_model(error),
        TrainError::SplitEmpty { .. } => Some("run `sam3d prepare-data`"),
        TrainError::RunExists { .. } => Some("resume it with --resume, or name another directory with --out"),
        TrainError::NothingToResume { .. } => Some("train without --resume"),
        TrainError::RunInUse { .. } => Some("name another directory with --out"),
        TrainError::Distributed(_) => {
            Some("build it with `cargo build --release -p sam3d-cli --features distributed`")
        }
        _ => None,
    }
}

fn hint_of_model(error: &ModelError) -> Option<&'static str> {
    match error {
        ModelError::BaseMissing { .. } | ModelError::BaseDiffers { .. } => Some("give it with --base FILE"),
        ModelError::NotSafetensors { .. } => Some("convert it with `sam3d convert`"),
        ModelError::SizeUnknown { .. } => Some("name the size with --model"),
        _ => None,
    }
}

/// A measured number that may be undefined or infinite. In JSON: a number, `null`, or the string `"inf"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricValue(pub Option<f64>);

impl MetricValue {
    /// The number with `digits` decimals and `unit`, or a word.
    pub fn text(self, digits: usize, unit: &str) -> String {
        match self.0 {
            None => "undefined".to_owned(),
            Some(value) if value.is_infinite() => "infinite".to_owned(),
            Some(value) => format!("{value:.digits$}{unit}"),
        }
    }
}

impl Serialize for MetricValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) if value.is_infinite() => serializer.serialize_str("inf"),
            value => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use sam3d_data::dataset::DatasetError;

    use super::*;

    #[test]
    fn causes_share_one_line() {
        let error = anyhow!("line 3\n  |\n3 | x\nexpected a number").context("run.toml").context("train");
        assert_eq!(one_line(&error), "train: run.toml: line 3; |; 3 | x; expected a number");
    }

    #[test]
    fn flags_and_commands_are_named_by_the_program_only() {
        let text = |error: ModelError| {
            let alone = anyhow::Error::from(TrainError::Model(error)).context("weights");
            one_line(&alone)
        };
        let unknown = ModelError::SizeUnknown { path: "a.pth".into() };
        assert!(!unknown.to_string().contains("--"), "{unknown}");
        assert!(text(unknown).ends_with("no size was given; name the size with --model"));
        let damaged = ModelError::NotSafetensors { path: "a.pth".into(), detail: "cut off".into() };
        assert!(!damaged.to_string().contains("sam3d"), "{damaged}");
        assert!(one_line(&damaged.into()).ends_with("; convert it with `sam3d convert`"));
        assert_eq!(text(ModelError::DensePromptsUnsupported).matches(';').count(), 0);
        let path = || "run".into();
        for (error, typed) in [
            (TrainError::RunExists { path: path() }, "--resume"),
            (TrainError::NothingToResume { path: path() }, "without --resume"),
            (TrainError::RunInUse { path: path() }, "--out"),
            (TrainError::SplitEmpty { dataset: "demo".into(), split: "test" }, "prepare-data`"),
            (DatasetError::NotPrepared { path: path() }.into(), "prepare-data`"),
        ] {
            let alone = error.to_string();
            assert!(!alone.contains("--") && !alone.contains("cargo"), "{alone}");
            assert!(one_line(&error.into()).contains(typed), "{alone}");
        }
        let unprepared = DatasetError::NotPrepared { path: path() };
        assert_eq!(one_line(&unprepared.into()).matches("prepare-data").count(), 1);
    }

    #[test]
    fn a_closed_pipe_is_distinguished_from_other_errors() {
        let closed = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_closed_pipe(&closed));
        assert!(!is_closed_pipe(&io::Error::from(io::ErrorKind::NotFound).into()));
        // A pipe inside another operation is that operation's failure.
        let elsewhere = Err::<(), _>(io::Error::from(io::ErrorKind::TimedOut)).context("x").unwrap_err();
        assert!(!is_closed_pipe(&elsewhere));
    }

    #[test]
    fn undefined_and_infinite_differ() {
        let json = |value| serde_json::to_string(&MetricValue(value)).unwrap();
        assert_eq!(
            (json(None), json(Some(f64::INFINITY)), json(Some(0.5))),
            ("null".into(), "\"inf\"".into(), "0.5".into())
        );
        assert_eq!(MetricValue(None).text(2, " mm"), "undefined");
        assert_eq!(MetricValue(Some(1.005)).text(1, " mm"), "1.0 mm");
    }
}
