//! Storing objects (STOW-RS).

use std::fmt;

use serde_json::Value;

use crate::{Archive, DicomWebError, Uid, archive::media_type, json::DataSet};

const ACTION: &str = "store the objects";

/// What became of each object, by the archive's own list: a status of 200 alone says nothing of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreReport {
    /// Stored.
    pub stored: Vec<StoredInstance>,
    /// Not stored.
    pub failed: Vec<FailedInstance>,
}

/// An object that the archive has stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInstance {
    /// SOP Instance UID.
    pub instance: Uid,
    /// What the archive changed or found odd, by the standard's number.
    pub warning: Option<u16>,
}

/// An object that the archive has not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedInstance {
    /// SOP Instance UID, if the archive could read it.
    pub instance: Option<Uid>,
    /// Why, by the standard's number.
    pub reason: Option<u16>,
}

impl fmt::Display for FailedInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.reason {
            None => return f.write_str("the archive gives no reason"),
            Some(0x0110) => "it cannot be processed, or belongs to another study",
            Some(0x0111) => "there is another object of the same UID",
            Some(0x0122) => "the archive does not accept objects of this class",
            Some(0x0124) => "this is not allowed",
            Some(0xa700..=0xa7ff) => "the archive is out of resources",
            Some(0xa900..=0xa9ff) => "its content does not match its class",
            Some(0xc000..=0xcfff) => "the archive cannot understand it",
            Some(_) => "unknown reason",
        };
        write!(f, "{text} ({:04X})", self.reason.unwrap_or_default())
    }
}

impl StoreReport {
    /// Whether the object of this UID was stored.
    pub fn has_stored(&self, instance: &Uid) -> bool {
        self.stored.iter().any(|stored| stored.instance == *instance)
    }

    fn of(answer: &Value) -> Option<Self> {
        let set = *DataSet::all(answer)?.first()?;
        let lists = ["00081198", "00081199"];
        if !lists.iter().any(|tag| set.has(tag)) {
            return None;
        }
        let short = |number: Option<u64>| number.and_then(|number| u16::try_from(number).ok());
        let stored = set.items("00081199").filter_map(|item| {
            let warning = short(item.number("00081196"));
            Some(StoredInstance { instance: item.uid("00081155")?, warning })
        });
        let failed = set.items("00081198").map(|item| FailedInstance {
            instance: item.uid("00081155"),
            reason: short(item.number("00081197")),
        });
        Some(Self { stored: stored.collect(), failed: failed.collect() })
    }
}

impl Archive {
    /// Stores the DICOM files `files`, each given as its bytes, in the study of this UID.
    ///
    /// # Errors
    /// [`DicomWebError`] if the archive cannot be asked or does not say what became of them, in which case they may have been
    /// stored. An object that the archive refuses is not an error but part of the report.
    pub fn store(&self, study: &Uid, files: &[Vec<u8>]) -> Result<StoreReport, DicomWebError> {
        files.iter().try_for_each(|file| sop_instance_uid(file).map(drop))?;
        let boundary = boundary(files);
        let mut body = Vec::with_capacity(files.iter().map(|file| file.len() + 256).sum());
        for file in files {
            body.extend_from_slice(
                format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(file);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        let path = format!("/studies/{study}");
        let response = self.post(&path, &kind, body, (self.limits.store, ACTION))?;
        let status = response.status().as_u16();
        // Refusals of single objects come with 202 and 409, whose bodies say which; of 400 some have one, too.
        if ![200, 202, 400, 409].contains(&status) {
            let response = self.accepted(&path, response)?;
            let (url, found) = (self.named(&path), format!("status {}", response.status().as_u16()));
            return Err(DicomWebError::StoreUnconfirmed { url, found });
        }
        let found = format!("status {status}, {}", media_type(&response));
        let answer = self.json(&path, response, ACTION);
        match answer.ok().as_ref().and_then(StoreReport::of) {
            Some(report) => Ok(report),
            None if status >= 400 => Err(DicomWebError::Status { url: self.named(&path), status }),
            None => Err(DicomWebError::StoreUnconfirmed { url: self.named(&path), found }),
        }
    }
}

/// A line that no file contains.
fn boundary(files: &[Vec<u8>]) -> String {
    (0..)
        .map(|number: u64| format!("sam3d-part-{number:016}-of-{}-files", files.len()))
        .find(|line| files.iter().all(|file| memchr::memmem::find(file, line.as_bytes()).is_none()))
        .unwrap_or_default()
}

/// The SOP Instance UID of a DICOM file, as its head says.
///
/// # Errors
/// [`DicomWebError::NotADicomFile`].
pub fn sop_instance_uid(file: &[u8]) -> Result<Uid, DicomWebError> {
    let not_dicom = |problem| DicomWebError::NotADicomFile { problem };
    if file.get(128..132) != Some(b"DICM") {
        return Err(not_dicom("it lacks the mark DICM"));
    }
    // The head is explicit and little-endian: tag, type, length, value.
    let mut at = 132;
    while let Some(start) = file.get(at..at + 8) {
        let number = |range: std::ops::Range<usize>| {
            start[range].iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
        };
        if number(0..2) != 2 {
            break;
        }
        let is_long = [&b"OB"[..], b"OW", b"SQ", b"UN", b"UT", b"OD", b"OF", b"OL"].contains(&&start[4..6]);
        let (value, length) = if is_long {
            let long = file.get(at + 8..at + 12).ok_or_else(|| not_dicom("its head is cut off"))?;
            (at + 12, long.iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)))
        } else {
            (at + 8, number(6..8))
        };
        let end = value.checked_add(length).filter(|end| *end <= file.len());
        let end = end.ok_or_else(|| not_dicom("its head is cut off"))?;
        if number(2..4) == 3 {
            let text = std::str::from_utf8(&file[value..end]).unwrap_or_default();
            return text.parse();
        }
        at = end;
    }
    Err(not_dicom("its head names no instance"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(elements: &[(u16, &[u8; 2], &[u8])]) -> Vec<u8> {
        let mut file = vec![0; 128];
        file.extend_from_slice(b"DICM");
        for (element, vr, value) in elements {
            file.extend_from_slice(&[2, 0]);
            file.extend_from_slice(&element.to_le_bytes());
            file.extend_from_slice(*vr);
            if *vr == b"OB" {
                file.extend_from_slice(&[0, 0]);
                file.extend_from_slice(&(value.len() as u32).to_le_bytes());
            } else {
                file.extend_from_slice(&(value.len() as u16).to_le_bytes());
            }
            file.extend_from_slice(value);
        }
        file.extend_from_slice(&[8, 0, 5, 0, b'C', b'S', 0, 0]);
        file
    }

    #[test]
    fn the_head_of_a_file_names_its_instance() {
        let elements: [(u16, &[u8; 2], &[u8]); 3] =
            [(1, b"OB", &[0, 1]), (2, b"UI", b"1.2.840.10\0\0"), (3, b"UI", b"2.25.7\0\0")];
        let whole = file(&elements);
        assert_eq!(sop_instance_uid(&whole).unwrap().as_str(), "2.25.7");
        assert!(sop_instance_uid(&file(&elements[..2])).is_err());
        // However it is cut off, it is an error or the same.
        for end in 0..whole.len() {
            if let Ok(uid) = sop_instance_uid(&whole[..end]) {
                assert_eq!(uid.as_str(), "2.25.7");
            }
        }
    }

    #[test]
    fn each_object_has_its_own_result() {
        let item = |uid: &str, tag: &str, code: u16| json!({"00081155": {"vr": "UI", "Value": [uid]}, tag: {"vr": "US", "Value": [code]}});
        let answer = json!({
            "00081198": {"vr": "SQ", "Value": [item("1.3", "00081197", 272)]},
            "00081199": {"vr": "SQ", "Value": [item("1.2", "00081196", 45056)]},
        });
        let report = StoreReport::of(&answer).unwrap();
        assert!(report.has_stored(&"1.2".parse().unwrap()) && !report.has_stored(&"1.3".parse().unwrap()));
        assert_eq!(report.stored[0].warning, Some(0xb000));
        assert!(report.failed[0].to_string().ends_with("(0110)"), "{}", report.failed[0]);
        assert!(StoreReport::of(&json!({"00081190": {"vr": "UR"}})).is_none());
        assert!(StoreReport::of(&json!([])).is_none());
    }

    #[test]
    fn a_boundary_is_in_no_file() {
        let trap = b"x sam3d-part-0000000000000000-of-1-files y".to_vec();
        assert!(boundary(&[trap]).contains("0000000000000001"));
    }
}
