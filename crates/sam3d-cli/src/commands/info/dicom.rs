use std::{
    fmt,
    path::{Path, PathBuf},
};

use sam3d_io::{
    IoError, ReadLimits,
    dicom::{
        DirectoryContent, Segmentation, SeriesSummary, StoredAs, StructureSet, Survey, personal_fields,
        survey,
    },
};
use serde::Serialize;

/// Patient data of a file, in the file's order; only with `--phi`.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct PatientData(Option<Vec<(&'static str, String)>>);

impl PatientData {
    pub(super) fn read(path: &Path, phi: bool) -> Result<Self, IoError> {
        phi.then(|| personal_fields(path)).transpose().map(Self)
    }
}

impl fmt::Display for PatientData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0.iter().flatten() {
            writeln!(f, "{name:<20} {value}")?;
        }
        Ok(())
    }
}

/// Identification of a series.
#[derive(Serialize)]
pub(super) struct SeriesReport {
    series_uid: String,
    modality: String,
    slices: usize,
    columns: usize,
    rows: usize,
    #[serde(skip_serializing_if = "PatientData::is_absent")]
    personal: PatientData,
}

impl PatientData {
    fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}

impl SeriesReport {
    pub(super) fn new(series: &SeriesSummary, phi: bool) -> Result<Self, IoError> {
        let SeriesSummary { uid, modality, images, size: [columns, rows], file, .. } = series;
        let personal = PatientData::read(file, phi)?;
        let (series_uid, modality) = (uid.clone(), modality.clone());
        Ok(Self { series_uid, modality, slices: *images, columns: *columns, rows: *rows, personal })
    }
}

impl fmt::Display for SeriesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series_uid, modality, slices, columns, rows, personal } = self;
        writeln!(f, "series       {series_uid}")?;
        writeln!(f, "             {modality}, {slices} slices of {columns} x {rows}")?;
        write!(f, "{personal}")
    }
}

/// Description of a directory with several DICOM series.
#[derive(Serialize)]
pub(super) struct DirectoryReport {
    path: PathBuf,
    series: Vec<SeriesReport>,
    passed_over: String,
}

impl DirectoryReport {
    /// The series in the directory `path`.
    pub(super) fn read(path: &Path, phi: bool) -> anyhow::Result<Self> {
        let Survey { series, passed_over } = survey(path)?;
        let series = series.iter().map(|series| SeriesReport::new(series, phi)).collect::<Result<_, _>>()?;
        let passed_over =
            if passed_over == DirectoryContent::default() { String::new() } else { passed_over.to_string() };
        Ok(Self { path: path.to_owned(), series, passed_over })
    }
}

impl fmt::Display for DirectoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "format       DICOM, {} series; --series UID describes one", self.series.len())?;
        for series in &self.series {
            write!(f, "{series}")?;
        }
        if !self.passed_over.is_empty() {
            writeln!(f, "other files  {}", self.passed_over)?;
        }
        Ok(())
    }
}

/// Description of an RT structure set.
#[derive(Serialize)]
pub(super) struct StructuresReport {
    path: PathBuf,
    format: &'static str,
    drawn_on_series: Vec<String>,
    structures: Vec<Structure>,
    #[serde(skip_serializing_if = "PatientData::is_absent")]
    personal: PatientData,
}

#[derive(Serialize)]
struct Structure {
    number: i64,
    name: String,
    contours: usize,
    points: usize,
}

impl StructuresReport {
    pub(super) fn read(path: &Path, phi: bool) -> anyhow::Result<Self> {
        let StructureSet { rois, series, .. } = StructureSet::read(path)?;
        let structures = rois.into_iter().map(|roi| Structure {
            number: roi.number,
            contours: roi.contours.len(),
            points: roi.contours.iter().map(|contour| contour.points_mm.len()).sum(),
            name: roi.name,
        });
        Ok(Self {
            path: path.to_owned(),
            format: "DICOM RT structure set",
            drawn_on_series: series,
            structures: structures.collect(),
            personal: PatientData::read(path, phi)?,
        })
    }
}

impl fmt::Display for StructuresReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "format       {}", self.format)?;
        for series in &self.drawn_on_series {
            writeln!(f, "drawn on     series {series}")?;
        }
        for Structure { number, name, contours, points } in &self.structures {
            writeln!(f, "structure    {number} {name}: {contours} contours, {points} points")?;
        }
        write!(f, "{}", self.personal)
    }
}

/// Description of a DICOM segmentation.
#[derive(Serialize)]
pub(super) struct SegmentationReport {
    path: PathBuf,
    format: &'static str,
    stored_as: String,
    of_series: Vec<String>,
    segments: Vec<SegmentReport>,
    #[serde(skip_serializing_if = "PatientData::is_absent")]
    personal: PatientData,
}

#[derive(Serialize)]
struct SegmentReport {
    number: u16,
    label: String,
    kind: String,
    algorithm: String,
    frames: usize,
}

impl SegmentationReport {
    pub(super) fn read(path: &Path, limits: ReadLimits, phi: bool) -> anyhow::Result<Self> {
        let Segmentation { segments, stored_as, series, .. } = Segmentation::read(path, limits)?;
        let segments = segments.into_iter().map(|segment| SegmentReport {
            number: segment.number,
            label: segment.label,
            kind: segment.kind,
            algorithm: segment.algorithm_type.to_lowercase(),
            frames: segment.frames,
        });
        Ok(Self {
            path: path.to_owned(),
            format: "DICOM segmentation",
            stored_as: match stored_as {
                StoredAs::Binary => "binary".to_owned(),
                StoredAs::Fractional { maximum } => format!("fractional, maximum {maximum}"),
                StoredAs::LabelMap => "label map".to_owned(),
            },
            of_series: series,
            segments: segments.collect(),
            personal: PatientData::read(path, phi)?,
        })
    }
}

impl fmt::Display for SegmentationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "format       {} ({})", self.format, self.stored_as)?;
        for series in &self.of_series {
            writeln!(f, "made for     series {series}")?;
        }
        for SegmentReport { number, label, kind, algorithm, frames } in &self.segments {
            writeln!(f, "segment      {number} {label}: {kind}, {algorithm}, {frames} frames")?;
        }
        write!(f, "{}", self.personal)
    }
}
