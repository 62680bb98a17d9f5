//! Fetching a series (WADO-RS).

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
};

use ureq::http::header;

use crate::{
    Archive, DicomWebError, SeriesRecord,
    archive::{broken_off, header_text, media_type},
    multipart::{Multipart, MultipartFailure, boundary_of},
};

const ACTION: &str = "send the series";
/// The files as they are stored, byte for byte.
const AS_STORED: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
/// The files in whatever form the archive prefers, for archives that do not know the first.
const IN_ANY_FORM: &str = "multipart/related; type=\"application/dicom\"";
const DICOM: &str = "application/dicom";
/// Where a DICOM file says that it is one.
const MARK: (usize, &[u8]) = (128, b"DICM");

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchProgress {
    /// Files that have arrived.
    pub instances: usize,
    /// Of how many, if the archive says.
    pub expected: Option<usize>,
    /// Their bytes.
    pub bytes: u64,
}

/// Hears how far a fetch is after each file, and may call it off.
pub type OnFetch<'a> = &'a mut dyn FnMut(FetchProgress) -> Result<(), DicomWebError>;

impl Archive {
    /// Writes the files of a series into the empty directory `to`, named by number.
    ///
    /// # Errors
    /// [`DicomWebError`] if the archive does not send the series, sends less or more than it should, or something else. What has
    /// arrived then stays in the directory.
    pub(crate) fn retrieve(
        &self,
        record: &SeriesRecord,
        to: &Path,
        most_bytes: u64,
        on_progress: OnFetch<'_>,
    ) -> Result<FetchProgress, DicomWebError> {
        let path = format!("/studies/{}/series/{}", record.study, record.series);
        let mut response = self.get(&path, &[], AS_STORED, (self.limits.fetch, ACTION))?;
        if [406, 415].contains(&response.status().as_u16()) {
            response = self.get(&path, &[], IN_ANY_FORM, (self.limits.fetch, ACTION))?;
        }
        let response = self.accepted(&path, response).map_err(|error| match error {
            DicomWebError::NotFound { .. } => DicomWebError::SeriesNotFound { uid: record.series.clone() },
            error => error,
        })?;
        let url = || self.named(&path);
        let kind = header_text(&response, header::CONTENT_TYPE).unwrap_or_default();
        let boundary = boundary_of(kind).ok_or_else(|| DicomWebError::NotDicomWeb {
            url: url(),
            expected: "multipart/related with a boundary",
            found: if kind.is_empty() { "no media type".to_owned() } else { media_type(&response) },
        })?;
        self.not_packed(&path, &response)?;
        let mut parts = Multipart::new(response.into_body().into_reader(), &boundary);
        let mut progress = FetchProgress { instances: 0, expected: record.instances, bytes: 0 };
        loop {
            let too_large = |most, what| DicomWebError::TooLarge { url: url(), most, what };
            let left = most_bytes - progress.bytes;
            let most = left.min(self.limits.instance_bytes);
            let number = progress.instances + 1;
            let file = to.join(format!("{number:06}.dcm"));
            let part = parts.next_part(most, |kind| Part::create(kind, &file));
            let (part, length) = match part {
                Ok(None) => break,
                Ok(Some(part)) => part,
                Err(MultipartFailure::Truncated) => {
                    return Err(DicomWebError::Truncated {
                        url: url(),
                        arrived: progress.bytes,
                        source: None,
                    });
                }
                Err(MultipartFailure::Receiving(error)) => {
                    return Err(broken_off(url(), ACTION, progress.bytes, error));
                }
                Err(MultipartFailure::Malformed(problem)) => {
                    return Err(DicomWebError::NotDicomWeb {
                        url: url(),
                        expected: "a body of several parts",
                        found: problem.to_owned(),
                    });
                }
                Err(MultipartFailure::TooLarge) if left <= self.limits.instance_bytes => {
                    return Err(too_large(most_bytes, "bytes of a series"));
                }
                Err(MultipartFailure::TooLarge) => {
                    return Err(too_large(self.limits.instance_bytes, "bytes of a file"));
                }
                Err(MultipartFailure::Writing(source)) => {
                    return Err(DicomWebError::Cache { path: to.to_owned(), source });
                }
            };
            if let Some(found) = part.is_not_dicom() {
                return Err(DicomWebError::NotDicomWeb { url: url(), expected: "DICOM files", found });
            }
            if number > self.limits.instances {
                return Err(too_large(self.limits.instances as u64, "files of a series"));
            }
            progress.instances = number;
            progress.bytes += length;
            on_progress(progress)?;
        }
        let expected = record.instances.unwrap_or(1).max(1);
        if progress.instances < expected {
            let (uid, found) = (record.series.clone(), progress.instances);
            return Err(DicomWebError::SeriesIncomplete { uid, expected, found });
        }
        Ok(progress)
    }
}

/// A file that arrives.
struct Part {
    kind: String,
    file: BufWriter<File>,
    /// What lies where the mark belongs.
    mark: Vec<u8>,
    at: usize,
}

impl Part {
    fn create(kind: &str, path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = BufWriter::new(options.open(path)?);
        Ok(Self { kind: kind.to_owned(), file, mark: Vec::new(), at: 0 })
    }

    /// What it is instead of a DICOM file.
    fn is_not_dicom(&self) -> Option<String> {
        if self.kind != DICOM && !self.kind.is_empty() {
            return Some(self.kind.chars().take(80).collect());
        }
        (self.mark != MARK.1).then(|| "a file without the mark of DICOM".to_owned())
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        let (place, mark) = MARK;
        if self.at < place + mark.len() {
            let begin = place.saturating_sub(self.at).min(count);
            let end = (place + mark.len() - self.at).min(count);
            self.mark.extend_from_slice(&bytes[begin..end]);
        }
        self.at += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
