use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use dicom_dictionary_std::uids;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{
    DicomError, DirectoryContent, SeriesSummary, Survey, file::is_dicom, frames, instance::Instance,
};
use crate::{IoError, source::read_failed};

/// A study of thousands of slices is well below; the directory of a whole archive is a mistake.
const MOST_FILES: usize = 200_000;
/// Directories inside directories that are looked into: patient, study, series, and some more.
const MOST_LEVELS: usize = 8;

/// The most files that are named one by one as unreadable.
const MOST_NAMED: usize = 5;

/// The series of a directory, by UID, and what else is in it.
pub(super) struct Folder {
    path: PathBuf,
    series: BTreeMap<String, Vec<Instance>>,
    /// Files of a known series that are not slices: damaged ones, and images without a position.
    unusable: Vec<Instance>,
    /// Why files that cannot be read are passed over, for the first few of them.
    unreadable: Vec<String>,
    census: DirectoryContent,
}

impl Folder {
    /// Reads the headers of all files in `directory` and below.
    pub(super) fn scan(directory: &Path) -> Result<Self, IoError> {
        Ok(Self::of_files(directory, &files_below(directory)?))
    }

    /// Reads the headers of the files beside the slice `path`, and takes those of its series; a file of many frames is a
    /// series by itself.
    pub(super) fn around(path: &Path) -> Result<Self, IoError> {
        let slice = usable(Instance::read(path)?)?;
        if !slice.frame_groups.is_empty() {
            let series = BTreeMap::from([(slice.series.clone(), vec![slice])]);
            return Ok(Self { series, ..Self::empty(path) });
        }
        let mut folder = Self::of_files(path, &files_beside(path)?);
        folder.series.retain(|uid, _| *uid == slice.series);
        folder.unusable.retain(|file| file.series == slice.series);
        folder.series.entry(slice.series.clone()).or_insert_with(|| vec![slice]);
        folder.census = DirectoryContent::default();
        folder.unreadable.clear();
        Ok(folder)
    }

    fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            series: BTreeMap::new(),
            unusable: Vec::new(),
            unreadable: Vec::new(),
            census: DirectoryContent::default(),
        }
    }

    fn of_files(path: &Path, files: &[PathBuf]) -> Self {
        let headers: Vec<Result<Option<Instance>, IoError>> =
            files.par_iter().map(|path| is_dicom(path)?.then(|| Instance::read(path)).transpose()).collect();
        let mut folder = Self::empty(path);
        for header in headers {
            match header {
                Err(error) => folder.count_unreadable(error.to_string()),
                Ok(None) => folder.census.other_files += 1,
                Ok(Some(instance)) => folder.insert(instance),
            }
        }
        folder
    }

    fn insert(&mut self, instance: Instance) {
        if instance.problem.is_some() && instance.series.is_empty() {
            self.count_unreadable(problem_of(&instance).to_string());
        } else if instance.problem.is_none() && instance.is_image() && instance.is_localizer() {
            self.census.localizers += 1;
        } else if instance.problem.is_none() && instance.is_image() && instance.is_placed() {
            self.series.entry(instance.series.clone()).or_default().push(instance);
        } else {
            self.unusable.push(instance);
        }
    }

    fn count_unreadable(&mut self, reason: String) {
        self.census.unreadable += 1;
        if self.unreadable.len() < MOST_NAMED {
            self.unreadable.push(reason);
        }
    }

    /// Names the first few files that are passed over because they cannot be read.
    pub(super) fn warn_of_unreadable(&self) {
        let damaged = self.unusable.iter().filter(|file| file.problem.is_some());
        let damaged = damaged.map(|file| problem_of(file).to_string());
        for reason in self.unreadable.iter().cloned().chain(damaged).take(MOST_NAMED) {
            tracing::warn!("passed over: {reason}");
        }
    }

    /// The slices of the series `uid`, or of the only volume; says what it passes over.
    ///
    /// # Errors
    /// An [`IoError`] that names the file: the series is missing, there are several, or a file of the series cannot be used.
    pub(super) fn choose(mut self, uid: Option<&str>) -> Result<Vec<Instance>, IoError> {
        let chosen = self.chosen_series(uid)?;
        let members = self.series.remove(&chosen).unwrap_or_default();
        // A file of the same class as the slices, or truncated before its class, is a slice: the volume is incomplete without it.
        let is_member = |file: &Instance| {
            file.series == chosen
                && (file.sop_class.is_empty()
                    || members.iter().any(|slice| slice.sop_class == file.sop_class))
        };
        if let Some(at) = self.unusable.iter().position(is_member) {
            return Err(unusable_member(self.unusable.swap_remove(at)));
        }
        self.warn_of_unreadable();
        let (members, copies) = without_copies(members)?;
        let census = DirectoryContent { copies, ..self.survey().passed_over };
        if census.copies + census.unreadable > 0 {
            tracing::warn!(path = %self.path.display(), "passed over {census}");
        } else if census != DirectoryContent::default() {
            tracing::info!(path = %self.path.display(), "passed over {census}");
        }
        let mut slices = Vec::new();
        for member in members {
            let path = member.path.clone();
            slices.extend(frames::slices_of(member).map_err(|error| error.at(&path))?);
        }
        check_rescale(&slices)?;
        Ok(slices)
    }

    /// The UID of the series that [`choose`](Self::choose) takes.
    pub(super) fn chosen_series(&self, uid: Option<&str>) -> Result<String, IoError> {
        let failed = |error: DicomError| error.at(&self.path);
        let damaged = self
            .unusable
            .iter()
            .find(|file| file.problem.is_some() && uid.is_none_or(|uid| file.series == uid));
        match (uid, damaged) {
            (Some(uid), _) if self.series.contains_key(uid) => Ok(uid.to_owned()),
            (None, None) if self.series.is_empty() => {
                Err(failed(DicomError::NoVolume { found: self.survey().passed_over }))
            }
            (None, Some(file)) if self.series.is_empty() => Err(problem_of(file)),
            (Some(_), Some(file)) => Err(problem_of(file)),
            (Some(uid), None) => {
                Err(failed(DicomError::SeriesMissing { uid: uid.to_owned(), series: self.summaries() }))
            }
            (None, _) => self
                .only_volume()
                .ok_or_else(|| failed(DicomError::SeveralSeries { series: self.summaries() })),
        }
    }

    /// What there is, for a user who asks.
    pub(super) fn survey(&self) -> Survey {
        let mut passed_over = self.census;
        for file in &self.unusable {
            if file.problem.is_some() {
                passed_over.unreadable += 1;
            } else if file.is_image() {
                passed_over.unplaced += 1;
            } else {
                passed_over.no_images += 1;
            }
        }
        Survey { series: self.summaries(), passed_over }
    }

    /// The one series, or the one with more than a single slice.
    fn only_volume(&self) -> Option<String> {
        let many = |threshold: usize| {
            let count = |slices: &[Instance]| slices.iter().map(Instance::frame_count).sum::<usize>();
            let mut uids =
                self.series.iter().filter(|(_, slices)| count(slices) >= threshold).map(|(uid, _)| uid);
            uids.next().filter(|_| uids.next().is_none()).cloned()
        };
        many(1).or_else(|| many(2))
    }

    /// The series, by UID.
    fn summaries(&self) -> Vec<SeriesSummary> {
        let summary = |(uid, slices): (&String, &Vec<Instance>)| SeriesSummary {
            uid: uid.clone(),
            modality: slices[0].modality.clone(),
            images: slices.iter().map(Instance::frame_count).sum(),
            size: [slices[0].columns, slices[0].rows].map(|size| size.unwrap_or_default().into()),
            file: slices[0].path.clone(),
            frame_of_reference: slices[0].frame_of_reference.clone(),
        };
        self.series.iter().map(summary).collect()
    }
}

/// The slice, if it can be used as one.
fn usable(mut slice: Instance) -> Result<Instance, IoError> {
    if let Some(problem) = slice.problem.take() {
        return Err(problem.at(&slice.path));
    }
    if slice.is_image() && slice.frame_count() != 1 && slice.frame_groups.is_empty() {
        let frames = slice.frame_count();
        return Err(IoError::FramesUnsupported {
            path: slice.path,
            frames: frames as u64,
            dimensions: vec![frames as i64],
        });
    }
    if slice.is_image() && slice.is_placed() { Ok(slice) } else { Err(not_an_image(&slice).at(&slice.path)) }
}

/// Why a file of the chosen series gives no slice.
fn unusable_member(mut file: Instance) -> IoError {
    let problem = match file.problem.take() {
        Some(problem) => problem,
        None if !file.has_pixels => DicomError::AttributeMissing { name: "PixelData" },
        None if file.rows.is_none() => DicomError::AttributeMissing { name: "Rows" },
        None if file.columns.is_none() => DicomError::AttributeMissing { name: "Columns" },
        None if file.plane.position.is_none() => {
            DicomError::AttributeMissing { name: "ImagePositionPatient" }
        }
        None => DicomError::AttributeMissing { name: "ImageOrientationPatient" },
    };
    DicomError::MemberUnusable { problem: Box::new(problem) }.at(&file.path)
}

/// The problem of a file that has one.
fn problem_of(file: &Instance) -> IoError {
    let reason = file.problem.as_ref().map(ToString::to_string).unwrap_or_default();
    DicomError::Unusable { reason }.at(&file.path)
}

/// The files without those that are, byte for byte, copies of another one, and how many those were.
fn without_copies(members: Vec<Instance>) -> Result<(Vec<Instance>, usize), IoError> {
    let key = |file: &Instance| {
        let position = file.plane.position.unwrap_or_default().map(f64::to_bits);
        (file.sop_instance.clone(), position, file.largest_bytes)
    };
    let mut counts = BTreeMap::new();
    members.iter().for_each(|file| *counts.entry(key(file)).or_insert(0) += 1);
    let (mut kept, mut copies, mut seen) = (Vec::new(), 0, BTreeSet::new());
    for file in members {
        // Only what looks alike is read to be compared.
        if counts.get(&key(&file)).is_some_and(|count| *count > 1) {
            let content = fs::read(&file.path).map_err(|source| read_failed(&file.path, source))?;
            if !seen.insert((file.sop_instance.clone(), Sha256::digest(&content).to_vec())) {
                copies += 1;
                continue;
            }
        }
        kept.push(file);
    }
    Ok((kept, copies))
}

/// Fails if some slices have a scaling to values and others of the same series have none.
fn check_rescale(slices: &[Instance]) -> Result<(), IoError> {
    for (name, of) in [
        ("RescaleSlope", (|slice| slice.slope) as fn(&Instance) -> Option<f64>),
        ("RescaleIntercept", |slice| slice.intercept),
    ] {
        let with = slices.iter().find(|slice| of(slice).is_some());
        let without = slices.iter().find(|slice| of(slice).is_none());
        if let (Some(with), Some(without)) = (with, without) {
            return Err(DicomError::RescaleMissing { name, other: with.name() }.at(&without.name()));
        }
    }
    Ok(())
}

/// All files among which the slices of a volume in `directory` are looked for.
pub(super) fn files_below(directory: &Path) -> Result<Vec<PathBuf>, IoError> {
    files(directory, MOST_LEVELS)
}

/// All files among which the other slices of the volume of the slice `path` are looked for.
pub(super) fn files_beside(path: &Path) -> Result<Vec<PathBuf>, IoError> {
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    files(parent, 1)
}

/// All files in `directory` and up to `levels - 1` directories below, sorted, so that any order gives one result. Links to
/// directories are followed, each directory once.
fn files(directory: &Path, levels: usize) -> Result<Vec<PathBuf>, IoError> {
    let mut found = Vec::new();
    let mut visited = BTreeSet::new();
    let mut waiting = vec![(directory.to_owned(), levels)];
    while let Some((directory, levels)) = waiting.pop() {
        let failed = |source| read_failed(&directory, source);
        // A link may lead back to a directory it lies in.
        if !visited.insert(directory.canonicalize().map_err(failed)?) {
            continue;
        }
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
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
        uids::SEGMENTATION_STORAGE | uids::LABEL_MAP_SEGMENTATION_STORAGE => {
            ("a DICOM segmentation", "; it is read as a mask")
        }
        uids::MEDIA_STORAGE_DIRECTORY_STORAGE => {
            ("an index of other files", "; give the directory it lies in")
        }
        uids::RT_DOSE_STORAGE => ("an RT dose", ""),
        _ if instance.is_image() => ("a picture without a position in the patient", ""),
        _ => ("a document", ""),
    };
    DicomError::NotAnImage { kind, hint }
}
