use sam3d_dicomweb::{ArchiveLimits, DicomWebError, StoreReport};

use crate::support::{FakeArchive, Reply, file, sentence, uid};

fn object() -> Vec<u8> {
    file(b"\x02\0\x03\0UI\x06\x001.2.9\0\x08\0\x05\0CS\0\0")
}

fn store(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Result<StoreReport, DicomWebError> {
    FakeArchive::start(move |_| reply()).client().store(&uid("1.2"), &[object()])
}

const STORED: &str = r#"{"00081190": {"vr": "UR", "Value": ["http://x"]}, "00081198": {"vr": "SQ"},
    "00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.9"]}}]}}"#;
const FAILED: &str = r#"{"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.9"]},
    "00081197": {"vr": "US", "Value": [272]}}]}}"#;

#[test]
fn an_object_is_sent_as_a_part() {
    let archive = FakeArchive::start(|_| Reply::json(STORED));
    let client = archive.client_with(Some("Basic dTpw"), ArchiveLimits::default());
    let report = client.store(&uid("1.2"), &[object(), object()]).unwrap();
    assert!(report.has_stored(&uid("1.2.9")) && report.failed.is_empty());
    let request = &archive.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/dicom-web/studies/1.2"));
    assert_eq!(request.header("authorization"), "Basic dTpw");
    let kind = request.header("content-type");
    let boundary = kind.strip_prefix("multipart/related; type=\"application/dicom\"; boundary=").unwrap();
    let part =
        [format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes(), &object(), b"\r\n"]
            .concat();
    let expected = [&part[..], &part, format!("--{boundary}--\r\n").as_bytes()].concat();
    assert_eq!(request.body, expected);
}

/// The status says nothing of an object: the lists do.
#[test]
fn the_lists_count_and_not_the_status() {
    for status in [200, 202, 400, 409] {
        let report = store(move || Reply::new(status, "application/dicom+json", FAILED.as_bytes())).unwrap();
        assert!(!report.has_stored(&uid("1.2.9")), "{status}");
        assert_eq!(report.failed[0].reason, Some(272));
        let report = store(move || Reply::new(status, "application/json", STORED.as_bytes())).unwrap();
        assert!(report.has_stored(&uid("1.2.9")), "{status}");
    }
}

#[test]
fn what_is_not_said_is_not_taken_for_success() {
    for reply in [
        || Reply::json("{}"),
        || Reply::json("[]"),
        || Reply::new(200, "application/dicom+xml", b"<NativeDicomModel/>"),
        || Reply::new(200, "", b""),
    ] {
        let error = store(reply).unwrap_err();
        assert!(matches!(error, DicomWebError::StoreUnconfirmed { .. }), "{}", sentence(&error));
    }
    let refused = |status| store(move || Reply::new(status, "", b"")).unwrap_err();
    assert!(matches!(refused(204), DicomWebError::StoreUnconfirmed { .. }));
    assert!(matches!(refused(400), DicomWebError::Status { status: 400, .. }));
    assert!(matches!(refused(415), DicomWebError::Status { status: 415, .. }));
    assert!(matches!(refused(401), DicomWebError::AccessRefused { with_token: false, .. }));
    assert!(matches!(refused(404), DicomWebError::NotFound { .. }));
}

#[test]
fn only_dicom_files_are_sent() {
    let archive = FakeArchive::start(|_| Reply::json(STORED));
    let error = archive.client().store(&uid("1.2"), &[b"a picture".to_vec()]).unwrap_err();
    assert!(matches!(error, DicomWebError::NotADicomFile { .. }), "{error}");
    assert_eq!(archive.requests().len(), 0);
}
