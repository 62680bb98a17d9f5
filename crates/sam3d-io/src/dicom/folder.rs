use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use dicom_dictionary_std::uids;
use rayon::prelude::*;

use super::{Census, DicomError, SeriesSummary, Survey, file::is_dicom, instance::Instance};
use crate::{IoError, source::read_failed};

/// A study of thousands of slices is well below; the directory of a whole archive is a mistake.
const MOST_FILES: usize = 200_000;
/// Directories inside directories that are looked into: patient, study, series, and some more.
const MOST_LEVELS: usize = 8;

/// The series of a directory, by UID, and what else is in it.
pub(super) struct Folder {
    path: PathBuf,
    series: BTreeMap<String, Vec<Instance>>,
    census: Census,
}

impl Folder {
    /// Reads the headers of all files in `directory` and below.
    pub(super) fn scan(directory: &Path) -> Result<Self, IoError> {
        Self::of_files(directory, &files(directory, MOST_LEVELS)?)
    }

    /// Reads the headers of the files beside the slice `path`, and takes those of its series.
    pub(super) fn around(path: &Path) -> Result<Self, IoError> {
        let failed = |error: DicomError| error.at(path);
        let slice = Instance::read(path)?;
        if !slice.is_image() || !slice.is_placed() {
            return Err(failed(not_an_image(&slice)));
        }
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let mut folder = Self::of_files(path, &files(parent, 1)?)?;
        folder.series.retain(|uid, _| *uid == slice.series);
        folder.series.entry(slice.series.clone()).or_insert_with(|| vec![slice]);
        folder.census = Census::default();
        Ok(folder)
    }

    fn of_files(path: &Path, files: &[PathBuf]) -> Result<Self, IoError> {
        let headers: Vec<Option<Instance>> = files
            .par_iter()
            .map(|path| is_dicom(path)?.then(|| Instance::read(path)).transpose())
            .collect::<Result<_, _>>()?;
        let mut folder = Self { path: path.to_owned(), series: BTreeMap::new(), census: Census::default() };
        for instance in headers {
            match instance {
                None => folder.census.other_files += 1,
                Some(instance) if !instance.is_image() => folder.census.no_images += 1,
                Some(instance) if instance.is_localizer() => folder.census.localizers += 1,
                Some(instance) if !instance.is_placed() => folder.census.unplaced += 1,
                Some(instance) => folder.series.entry(instance.series.clone()).or_default().push(instance),
            }
        }
        Ok(folder)
    }

    /// The slices of the series `uid`, or of the only volume; says what it passes over.
    pub(super) fn choose(mut self, uid: Option<&str>) -> Result<Vec<Instance>, IoError> {
        let failed = |error: DicomError| error.at(&self.path);
        if self.series.is_empty() {
            return Err(failed(DicomError::NoVolume { found: self.census }));
        }
        let chosen = match uid {
            Some(uid) if self.series.contains_key(uid) => uid.to_owned(),
            Some(uid) => {
                return Err(failed(DicomError::SeriesMissing {
                    uid: uid.to_owned(),
                    series: self.summaries(),
                }));
            }
            None => self
                .only_volume()
                .ok_or_else(|| failed(DicomError::SeveralSeries { series: self.summaries() }))?,
        };
        if self.census != Census::default() {
            tracing::info!(path = %self.path.display(), "passed over {}", self.census);
        }
        Ok(self.series.remove(&chosen).unwrap_or_default())
    }

    /// What there is, for a user who asks.
    pub(super) fn survey(&self) -> Survey {
        Survey { series: self.summaries(), passed_over: self.census }
    }

    /// The one series, or the one with more than a single slice.
    fn only_volume(&self) -> Option<String> {
        let many = |threshold: usize| {
            let mut uids =
                self.series.iter().filter(|(_, slices)| slices.len() >= threshold).map(|(uid, _)| uid);
            uids.next().filter(|_| uids.next().is_none()).cloned()
        };
        many(1).or_else(|| many(2))
    }

    /// The series, by UID.
    fn summaries(&self) -> Vec<SeriesSummary> {
        let summary = |(uid, slices): (&String, &Vec<Instance>)| SeriesSummary {
            uid: uid.clone(),
            modality: slices[0].modality.clone(),
            images: slices.len(),
            size: [slices[0].columns, slices[0].rows].map(|size| size.unwrap_or_default().into()),
            file: slices[0].path.clone(),
        };
        self.series.iter().map(summary).collect()
    }
}

/// All files in `directory` and up to `levels - 1` directories below, sorted, so that any order gives one result.
fn files(directory: &Path, levels: usize) -> Result<Vec<PathBuf>, IoError> {
    let mut found = Vec::new();
    let mut waiting = vec![(directory.to_owned(), levels)];
    while let Some((directory, levels)) = waiting.pop() {
        let failed = |source| read_failed(&directory, source);
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            // A link to a directory is not followed: it may lead back here.
            if entry.file_type().map_err(failed)?.is_dir() {
                if levels > 1 {
                    waiting.push((path, levels - 1));
                }
            } else if path.is_file() {
                found.push(path);
            }
            if found.len() > MOST_FILES {
                let error = std::io::Error::other(format!("it holds more than {MOST_FILES} files"));
                return Err(read_failed(&directory, error));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a file is that was named as an image.
pub(super) fn not_an_image(instance: &Instance) -> DicomError {
    let (kind, hint) = match instance.sop_class.as_str() {
        uids::RT_STRUCTURE_SET_STORAGE => ("an RT structure set", "; sam3d mask makes a mask of it"),
        uids::SEGMENTATION_STORAGE => {
            ("a DICOM segmentation", "; convert it, for example with dcmqi's segimage2itkimage")
        }
        uids::MEDIA_STORAGE_DIRECTORY_STORAGE => {
            ("an index of other files", "; give the directory it lies in")
        }
        _ if instance.is_image() => ("a picture without a position in the patient", ""),
        _ => ("a document", ""),
    };
    DicomError::NotAnImage { kind, hint }
}
