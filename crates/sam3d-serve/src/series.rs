//! Which DICOM series directories hold, remembered as long as their files do not change.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sam3d_io::dicom::{self, SeriesSummary};

/// Most files of a directory whose series are told apart; a larger one counts as one volume.
const MOST_FILES: usize = 5000;
/// Most directories that are remembered: as many as studies are listed.
const MOST: usize = 10_000;

/// The series of directories.
#[derive(Debug, Default)]
pub(crate) struct Surveys(Mutex<HashMap<PathBuf, Survey>>);

#[derive(Debug)]
struct Survey {
    /// Path and size of each file, by which a change is noticed.
    files: Vec<(PathBuf, u64)>,
    series: Vec<SeriesSummary>,
}

impl Surveys {
    /// The series in `directory`, whose own files are `files`; of one or none, and of a directory that cannot be read, nothing.
    pub(crate) fn several(&self, directory: &Path, files: &[(PathBuf, u64)]) -> Vec<SeriesSummary> {
        if files.len() < 2 || files.len() > MOST_FILES {
            return Vec::new();
        }
        let known = |surveys: &HashMap<PathBuf, Survey>| {
            let survey = surveys.get(directory).filter(|survey| survey.files == files)?;
            Some(survey.series.clone())
        };
        if let Some(series) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return series;
        }
        let found = dicom::survey(directory).map(|survey| survey.series).unwrap_or_default();
        // A picture of its own, as a localizer, is no volume.
        let volumes: Vec<_> = found
            .into_iter()
            .filter(|series| series.images > 1 && series.file.parent() == Some(directory))
            .collect();
        let series = if volumes.len() > 1 { volumes } else { Vec::new() };
        let mut surveys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if surveys.len() >= MOST {
            surveys.clear();
        }
        let survey = Survey { files: files.to_owned(), series: series.clone() };
        surveys.insert(directory.to_owned(), survey);
        series
    }
}
