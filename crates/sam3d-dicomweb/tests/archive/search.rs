use std::time::Duration;

use sam3d_dicomweb::{Archive, ArchiveLimits, DicomWebError, SeriesSearch};

use crate::support::{FakeArchive, Reply, SERIES, STUDY, sentence, series_json, uid};

#[test]
fn a_series_is_found_by_its_uid() {
    // Archives that ignore the condition send others as well.
    let list = format!("[{}, {}]", series_json("1.9", "1.9.9", 3), series_json(STUDY, SERIES, 47));
    let archive = FakeArchive::start(move |_| Reply::json(&list));
    let found = archive.client_with(Some("open sesame".replace(' ', "-").as_str()), ArchiveLimits::default());
    let found = found.series(&uid(SERIES), None).unwrap();
    assert_eq!((found.study, found.instances), (uid(STUDY), Some(47)));
    assert_eq!(found.patient, None, "nobody asked for it");
    let request = &archive.requests()[0];
    assert!(request.target.starts_with("/dicom-web/series?SeriesInstanceUID=1.2.3.4&"), "{}", request.target);
    assert!(!request.target.contains("00100010"), "{}", request.target);
    assert_eq!(request.header("authorization"), "Bearer open-sesame");
    assert_eq!(request.header("accept"), "application/dicom+json");
    let missing = archive.client().series(&uid("1.7"), None).unwrap_err();
    assert!(matches!(missing, DicomWebError::SeriesNotFound { .. }), "{missing}");
}

#[test]
fn patients_are_read_only_if_asked_for() {
    let archive = FakeArchive::start(|_| Reply::json(&format!("[{}]", series_json(STUDY, SERIES, 1))));
    let search = SeriesSearch {
        modality: Some("CT".to_owned()),
        patient_id: Some("P 7&x".to_owned()),
        with_patient: true,
        offset: 20,
        limit: 10,
        ..SeriesSearch::default()
    };
    let found = archive.client().search(&search).unwrap();
    let patient = found[0].patient.clone().unwrap();
    assert_eq!((patient.name.as_str(), patient.study_date.as_str()), ("Doe^Jane", "20200102"));
    assert!(!format!("{found:?}").contains("Doe"), "{found:?}");
    let target = &archive.requests()[0].target;
    for part in ["PatientID=P%207%26x", "includefield=00100010", "limit=10", "offset=20", "Modality=CT"] {
        assert!(target.contains(part), "{part} in {target}");
    }
}

#[test]
fn an_archive_that_searches_series_by_study_only() {
    let archive = FakeArchive::start(|request| match request.target.split('?').next().unwrap() {
        "/dicom-web/series" => Reply::new(501, "", b""),
        "/dicom-web/studies" => {
            Reply::json(&format!("[{}, {}]", series_json("1.1", "0", 0), series_json(STUDY, "0", 0)))
        }
        "/dicom-web/studies/1.2.3/series" => Reply::json(&format!("[{}]", series_json(STUDY, SERIES, 2))),
        _ => Reply::new(204, "", b""),
    });
    assert_eq!(archive.client().series(&uid(SERIES), None).unwrap().study, uid(STUDY));
    let few = ArchiveLimits { studies: 1, ..ArchiveLimits::default() };
    let refused = archive.client_with(None, few).series(&uid(SERIES), None).unwrap_err();
    assert!(refused.to_string().contains("more than 1 studies"), "{refused}");
    let known = archive.client().series(&uid(SERIES), Some(&uid(STUDY))).unwrap();
    assert_eq!(known.instances, Some(2));
}

#[test]
fn a_series_in_two_studies_is_ambiguous() {
    let list = format!("[{}, {}]", series_json("1.9", SERIES, 3), series_json(STUDY, SERIES, 47));
    let archive = FakeArchive::start(move |_| Reply::json(&list));
    let refused = archive.client().series(&uid(SERIES), None).unwrap_err();
    assert!(matches!(refused, DicomWebError::SeriesInSeveralStudies { .. }), "{refused}");
}

/// Every way in which an archive does not answer a search, and the words for it.
#[test]
fn what_is_not_an_answer_is_named() {
    type Case = (&'static str, fn() -> Reply, &'static str);
    let cases: [Case; 11] = [
        ("401", || Reply::new(401, "", b""), "refuses access (401): the token is not valid there"),
        ("403", || Reply::new(403, "", b""), "refuses access (403)"),
        ("404", || Reply::new(404, "text/html", b"no"), "is this the root of its DICOMweb services?"),
        ("500", || Reply::new(500, "", b""), "answers 500"),
        ("a page", || Reply::new(200, "text/html", b"<html>"), "expected DICOM JSON, found text/html"),
        ("XML", || Reply::new(200, "application/dicom+xml", b"<a/>"), "found application/dicom+xml"),
        ("no type", || Reply::new(200, "", b"[]"), "found no media type"),
        ("cut off", || Reply::json(r#"[{"0020000E": {"vr": "#), "invalid JSON at line 1 column"),
        ("other JSON", || Reply::json(r#"{"series": []}"#), "expected a list of data sets"),
        ("no UID", || Reply::json("[{}]"), "expected series with their UIDs"),
        (
            "a redirect",
            || Reply {
                bytes:
                    b"HTTP/1.1 302 X\r\nLocation: https://other/d?PatientID=P7\r\nContent-Length: 0\r\n\r\n"
                        .to_vec(),
                pause: Duration::ZERO,
            },
            "redirects to \"https://other/d\"",
        ),
    ];
    for (name, reply, words) in cases {
        let archive = FakeArchive::start(move |_| reply());
        let search = SeriesSearch { patient_id: Some("P7".to_owned()), ..SeriesSearch::default() };
        let client = archive.client_with(Some("sesame"), ArchiveLimits::default());
        let error = sentence(&client.search(&search).unwrap_err());
        assert!(error.contains(words), "{name}: {error}");
        assert!(error.contains(archive.url()), "{name} names the archive: {error}");
        assert!(!error.contains("P7") && !error.contains("sesame"), "{name}: {error}");
    }
}

#[test]
fn without_a_token_an_archive_is_said_to_need_one() {
    let archive = FakeArchive::start(|_| Reply::new(401, "", b""));
    let error = archive.client().search(&SeriesSearch::default()).unwrap_err();
    assert!(error.to_string().ends_with("it needs a token"), "{error}");
}

#[test]
fn nobody_there_and_nobody_answering() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dicom-web", taken.local_addr().unwrap());
    let limits = ArchiveLimits { answer: Duration::from_millis(200), ..ArchiveLimits::default() };
    // The system takes the connection, and nobody ever reads it.
    let silent = Archive::new(&url, None, limits.clone()).unwrap();
    let error = silent.search(&SeriesSearch::default()).unwrap_err();
    assert!(matches!(error, DicomWebError::TimedOut { .. }), "{}", sentence(&error));
    drop(taken);
    let closed = Archive::new(&url, None, limits).unwrap();
    let error = closed.search(&SeriesSearch::default()).unwrap_err();
    assert!(matches!(error, DicomWebError::Unreachable { .. }), "{}", sentence(&error));
}

#[test]
fn answers_are_bounded_in_size_and_time() {
    let long = || Reply::json(&format!("[{}]", " ".repeat(5000)));
    let archive = FakeArchive::start(move |_| long());
    let small = ArchiveLimits { search_bytes: 1000, ..ArchiveLimits::default() };
    let error = archive.client_with(None, small).search(&SeriesSearch::default()).unwrap_err();
    assert!(error.to_string().contains("more than 1000 bytes"), "{error}");

    let halting = |_: &_| {
        let mut reply = Reply::json(&" ".repeat(100));
        reply.bytes.truncate(reply.bytes.len() - 50);
        Reply { pause: Duration::from_secs(20), ..reply }
    };
    let archive = FakeArchive::start(halting);
    let hasty = ArchiveLimits { search: Duration::from_millis(300), ..ArchiveLimits::default() };
    let error = archive.client_with(None, hasty).search(&SeriesSearch::default()).unwrap_err();
    assert!(matches!(error, DicomWebError::TimedOut { .. }), "{}", sentence(&error));

    let cut = |_: &_| {
        let mut reply = Reply::json(&" ".repeat(100));
        reply.bytes.truncate(reply.bytes.len() - 50);
        reply
    };
    let error = FakeArchive::start(cut).client().search(&SeriesSearch::default()).unwrap_err();
    assert!(matches!(error, DicomWebError::Truncated { .. }), "{}", sentence(&error));
}
