//! Searching series (QIDO-RS).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Archive, DicomWebError, Uid, archive::JSON, json::DataSet};

const ACTION: &str = "search";
/// Attributes that are asked for beyond those an archive gives anyway.
const FIELDS: [&str; 4] = ["0008103E", "00081030", "00080060", "00201209"];
const PATIENT_FIELDS: [&str; 3] = ["00100010", "00100020", "00080020"];
/// Most series of one answer.
const MOST_RESULTS: usize = 1000;

/// Which series are searched; what is `None` is left open.
#[derive(Debug, Clone, Default)]
pub struct SeriesSearch {
    /// Series Instance UID.
    pub series: Option<Uid>,
    /// Study Instance UID.
    pub study: Option<Uid>,
    /// Modality, as `CT`.
    pub modality: Option<String>,
    /// Patient ID; `*` stands for any letters.
    pub patient_id: Option<String>,
    /// Study date as `YYYYMMDD`, or a range `YYYYMMDD-YYYYMMDD`.
    pub study_date: Option<String>,
    /// Whether patient and date are asked for; otherwise they are not read, even if the archive sends them.
    pub with_patient: bool,
    /// How many of the results to skip.
    pub offset: usize,
    /// Most results, up to 1000; 0 for 1000.
    pub limit: usize,
}

/// A series that an archive has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesRecord {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Uid,
    /// Modality; empty if the archive does not say.
    pub modality: String,
    /// Description of the series; may be empty.
    pub description: String,
    /// Description of the study; may be empty.
    pub study_description: String,
    /// Number of images, if the archive says.
    pub instances: Option<usize>,
    /// Whose it is, if that was asked for.
    #[serde(skip)]
    pub patient: Option<Patient>,
}

/// Whose a series is, and when it was made. Hidden in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Patient {
    /// Name as DICOM writes it, `Family^Given`.
    pub name: String,
    /// Patient ID.
    pub id: String,
    /// Study date as `YYYYMMDD`.
    pub study_date: String,
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patient(...)")
    }
}

impl Archive {
    /// The series that `search` describes, in the archive's order.
    ///
    /// # Errors
    /// [`DicomWebError`] if the archive cannot be asked, refuses, or answers in another form.
    pub fn search(&self, search: &SeriesSearch) -> Result<Vec<SeriesRecord>, DicomWebError> {
        let path = match &search.study {
            Some(study) => format!("/studies/{study}/series"),
            None => "/series".to_owned(),
        };
        let mut query = search.query();
        query.push(("limit", search.limit().to_string()));
        if search.offset > 0 {
            query.push(("offset", search.offset.to_string()));
        }
        match self.find(&path, &query) {
            Ok(answer) => self.records(&path, &answer, search),
            Err(error) if search.study.is_none() && is_unknown_service(&error) => {
                match self.search_by_study(search) {
                    // The first answer says more of an archive that has neither service.
                    Err(second) if is_unknown_service(&second) => Err(error),
                    result => result,
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The series of this UID; its study need not be named.
    ///
    /// # Errors
    /// As [`Archive::search`], [`DicomWebError::SeriesNotFound`], [`DicomWebError::SeriesInSeveralStudies`].
    pub fn series(&self, uid: &Uid, study: Option<&Uid>) -> Result<SeriesRecord, DicomWebError> {
        let search = SeriesSearch {
            series: Some(uid.clone()),
            study: study.cloned(),
            limit: 10,
            ..SeriesSearch::default()
        };
        let mut found = self.search(&search)?;
        found.sort_by(|a, b| a.study.cmp(&b.study));
        found.dedup_by(|a, b| a.study == b.study);
        match found.len() {
            0 => Err(DicomWebError::SeriesNotFound { uid: uid.clone() }),
            1 => Ok(found.remove(0)),
            _ => Err(DicomWebError::SeriesInSeveralStudies { uid: uid.clone() }),
        }
    }

    /// The same at an archive that searches series in a study only, which the standard allows.
    fn search_by_study(&self, search: &SeriesSearch) -> Result<Vec<SeriesRecord>, DicomWebError> {
        let mut query = search.query();
        query.push(("limit", (self.limits.studies + 1).to_string()));
        let answer = self.find("/studies", &query)?;
        let mut studies: Vec<Uid> =
            self.sets("/studies", &answer)?.into_iter().filter_map(|set| set.uid("0020000D")).collect();
        studies.sort_unstable();
        studies.dedup();
        if studies.len() > self.limits.studies {
            let (url, most) = (self.named("/studies"), self.limits.studies as u64);
            return Err(DicomWebError::TooLarge { url, most, what: "studies: name the study" });
        }
        let (mut found, wanted) = (Vec::new(), search.offset.saturating_add(search.limit()));
        for study in studies {
            let in_study =
                SeriesSearch { study: Some(study), offset: 0, limit: MOST_RESULTS, ..search.clone() };
            found.extend(self.search(&in_study)?);
            if found.len() >= wanted {
                break;
            }
        }
        Ok(found.into_iter().skip(search.offset).take(search.limit()).collect())
    }

    fn find(&self, path: &str, query: &[(&str, String)]) -> Result<Value, DicomWebError> {
        let response = self.get(path, query, JSON, (self.limits.search, ACTION))?;
        let response = self.accepted(path, response)?;
        // Nothing was found: the way of the standard before 2019.
        if response.status().as_u16() == 204 {
            return Ok(Value::Array(Vec::new()));
        }
        self.json(path, response, ACTION)
    }

    fn sets<'a>(&self, path: &str, answer: &'a Value) -> Result<Vec<DataSet<'a>>, DicomWebError> {
        let sets = answer.is_array().then(|| DataSet::all(answer)).flatten();
        sets.ok_or_else(|| DicomWebError::NotDicomWeb {
            url: self.named(path),
            expected: "a list of data sets",
            found: "other JSON".to_owned(),
        })
    }

    /// The series of an answer. Not every archive heeds every condition, so they are checked here again.
    fn records(
        &self,
        path: &str,
        answer: &Value,
        search: &SeriesSearch,
    ) -> Result<Vec<SeriesRecord>, DicomWebError> {
        let mut records = Vec::new();
        for set in self.sets(path, answer)? {
            let text = |tag| set.text(tag).unwrap_or_default().trim().to_owned();
            let Some(series) = set.uid("0020000E") else {
                return Err(DicomWebError::NotDicomWeb {
                    url: self.named(path),
                    expected: "series with their UIDs",
                    found: "one without".to_owned(),
                });
            };
            let Some(study) = set.uid("0020000D").or_else(|| search.study.clone()) else { continue };
            let modality = text("00080060");
            let differs = |wanted: &Option<Uid>, found: &Uid| wanted.as_ref().is_some_and(|uid| uid != found);
            let is_other = search.modality.as_ref().is_some_and(|wanted| *wanted != modality);
            if differs(&search.series, &series) || differs(&search.study, &study) || is_other {
                continue;
            }
            let patient = search.with_patient.then(|| Patient {
                name: text("00100010"),
                id: text("00100020"),
                study_date: text("00080020"),
            });
            let instances = set.number("00201209").and_then(|count| usize::try_from(count).ok());
            let record = SeriesRecord {
                study,
                series,
                modality,
                description: text("0008103E"),
                study_description: text("00081030"),
                instances,
                patient,
            };
            records.push(record);
        }
        records.truncate(search.limit());
        Ok(records)
    }
}

impl SeriesSearch {
    fn limit(&self) -> usize {
        if self.limit == 0 { MOST_RESULTS } else { self.limit.min(MOST_RESULTS) }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        let mut add = |name, value: Option<&str>| {
            query.extend(value.map(|value| (name, value.to_owned())));
        };
        add("SeriesInstanceUID", self.series.as_ref().map(Uid::as_str));
        add("Modality", self.modality.as_deref());
        add("PatientID", self.patient_id.as_deref());
        add("StudyDate", self.study_date.as_deref());
        let patient: &[&str] = if self.with_patient { &PATIENT_FIELDS } else { &[] };
        FIELDS.iter().chain(patient).for_each(|tag| add("includefield", Some(tag)));
        query
    }
}

/// Whether the archive does not have the service that was asked, which may be another than `/studies`.
fn is_unknown_service(error: &DicomWebError) -> bool {
    matches!(error, DicomWebError::NotFound { .. } | DicomWebError::Status { status: 400 | 405 | 501, .. })
}

/// `text` as a value in a query.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*,/=".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_queries_are_encoded() {
        assert_eq!(percent_encoded("1.2-3_a~*"), "1.2-3_a~*");
        assert_eq!(percent_encoded("a b&c=d#é%"), "a%20b%26c=d%23%C3%A9%25");
    }

    #[test]
    fn patients_are_asked_for_explicitly_and_hidden() {
        let plain = SeriesSearch { modality: Some("CT".to_owned()), ..SeriesSearch::default() };
        let asked = |search: &SeriesSearch| search.query().iter().any(|(_, value)| value == "00100010");
        assert!(!asked(&plain) && asked(&SeriesSearch { with_patient: true, ..plain.clone() }));
        let patient = Patient { name: "Doe^Jane".into(), id: "7".into(), study_date: "20200101".into() };
        assert!(!format!("{patient:?}").contains("Doe"));
    }
}
