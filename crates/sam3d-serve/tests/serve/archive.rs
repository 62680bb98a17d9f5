//! Series of a DICOMweb archive as studies, and DICOM objects beside series.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use sam3d_dicomweb::{Archive, ArchiveLimits, SeriesCache};
use sam3d_io::{
    ReadLimits,
    dicom::{Segmentation, StructureSet},
};
use sam3d_serve::ArchiveConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    bright::{BALLS, THRESHOLD},
    slices::{SERIES, STUDY, write_slices},
    support::{Served, mask_of_runs},
};

/// An archive with one series, which stores everything or nothing.
struct FakeArchive {
    url: String,
    /// Method and path of each request.
    seen: Arc<Mutex<Vec<String>>>,
    stored: Arc<Mutex<Vec<u8>>>,
    place: TempDir,
}

impl FakeArchive {
    fn start(stores: bool) -> Self {
        let place = tempfile::tempdir().unwrap();
        write_slices(&place.path().join("slices"));
        let mut series = b"".to_vec();
        let mut paths: Vec<PathBuf> =
            fs::read_dir(place.path().join("slices")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in &paths {
            series.extend_from_slice(b"--B0\r\nContent-Type: application/dicom\r\n\r\n");
            series.extend(fs::read(path).unwrap());
            series.extend_from_slice(b"\r\n");
        }
        series.extend_from_slice(b"--B0--\r\n");
        let found = json!([{
            "0020000D": {"vr": "UI", "Value": [STUDY]}, "0020000E": {"vr": "UI", "Value": [SERIES]},
            "00080060": {"vr": "CS", "Value": ["CT"]}, "0008103E": {"vr": "LO", "Value": ["Thorax"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
            "00100020": {"vr": "LO", "Value": ["P7"]}, "00080020": {"vr": "DA", "Value": ["20200102"]},
            "00201209": {"vr": "IS", "Value": [paths.len()]},
        }])
        .to_string();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/dicom-web", listener.local_addr().unwrap());
        let (seen, stored) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (list, kept) = (Arc::clone(&seen), Arc::clone(&stored));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(&mut stream);
                let (mut first, mut length) = (String::new(), 0);
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.split_once(':') else { break };
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let words: Vec<&str> = first.split(' ').collect();
                let path = words[1].split('?').next().unwrap().trim_start_matches("/dicom-web");
                list.lock().unwrap().push(format!("{} {path}", words[0]));
                let (kind, answer) = match (words[0], path) {
                    ("POST", _) => {
                        let begin = body.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
                        let uid = sam3d_dicomweb::sop_instance_uid(&body[begin..]).unwrap();
                        let item = json!({"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [290]}});
                        let list = if stores { "00081199" } else { "00081198" };
                        *kept.lock().unwrap() = body;
                        let answer = json!({ list: {"vr": "SQ", "Value": [item]} }).to_string();
                        ("application/dicom+json", answer.into_bytes())
                    }
                    (_, "/series") => ("application/dicom+json", found.clone().into_bytes()),
                    _ => ("multipart/related; type=\"application/dicom\"; boundary=B0", series.clone()),
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                    answer.len()
                );
                stream.write_all(&[head.as_bytes(), &answer].concat()).unwrap();
            }
        });
        Self { url, seen, stored, place }
    }

    fn config(&self, shows_patients: bool) -> ArchiveConfig {
        ArchiveConfig {
            archive: Archive::new(&self.url, None, ArchiveLimits::default()).unwrap(),
            cache: SeriesCache::new(&self.place.path().join("cache"), 1 << 30).unwrap(),
            shows_patients,
        }
    }

    fn requests(&self, what: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|request| *request == what).count()
    }
}

fn object(ball: usize, name: &str) -> Value {
    json!({
        "name": name, "colour": [1.0, 0.5, 0.0], "threshold": THRESHOLD,
        "clicks": [{ "ijk": BALLS[ball], "label": "positive" }],
    })
}

/// The mask of a click at `ball` that the page shows.
fn shown(served: &Served, study: &str, ball: usize) -> ndarray::Array3<u8> {
    let request = json!({ "clicks": object(ball, "")["clicks"], "threshold": THRESHOLD });
    mask_of_runs(&served.post(&format!("/api/mask?study={study}"), &request).last_line())
}

#[test]
fn a_series_of_the_archive_is_a_study() {
    let archive = FakeArchive::start(true);
    let served = Served::with(|config| {
        config.archive = Some(archive.config(false));
        write_slices(&config.studies.clone().unwrap().join("ct"));
    });
    let studies = served.get("/api/studies").json();
    let listed = studies.as_array().unwrap().iter().find(|study| study["id"] == SERIES).unwrap();
    assert_eq!(listed["name"], format!("CT Thorax, 30 images ({SERIES})"));
    assert_eq!(listed["is_archived"], true);
    assert!(!studies.to_string().contains("Doe") && !studies.to_string().contains("2020"), "{studies}");
    assert_eq!(archive.requests("GET /studies/1.2.77/series/1.2.3.4"), 0, "fetched only when it is chosen");

    let image = served.get(&format!("/api/image?study={SERIES}")).json();
    assert_eq!(image["shape_ijk"], json!([64, 56, 30]));
    assert_eq!(shown(&served, SERIES, 0), shown(&served, "ct", 0));
    // OHIF names the series, too.
    let params = json!({ "foreground": [BALLS[0]], "threshold": THRESHOLD }).to_string();
    let path = format!("/infer/sam3d?image={SERIES}&output=json");
    let answer = served.form("POST", &path, &[("params", None, params.as_bytes())]).json();
    let voxels = shown(&served, "ct", 0).iter().filter(|value| **value != 0).count();
    assert_eq!(answer["voxels"], voxels);
    assert_eq!(archive.requests("GET /studies/1.2.77/series/1.2.3.4"), 1, "once for all");
    // One for the list and one for the series.
    assert_eq!(archive.requests("GET /series"), 2);
    assert_eq!(served.get("/api/state").json()["fetching"], json!([]));

    assert_eq!(served.get("/api/image?study=1.2.9").status, 404);
    assert_eq!(served.get("/api/image?study=nothing").status, 404);
}

#[test]
fn patients_are_shown_only_on_request() {
    let archive = FakeArchive::start(true);
    let without = Served::with(|config| config.archive = Some(archive.config(false)));
    let found = without.get("/api/archive").json();
    assert_eq!(
        (&found["series"][0]["series"], &found["series"][0]["study"]),
        (&json!(SERIES), &json!(STUDY))
    );
    assert!(!found.to_string().contains("Doe") && found["series"][0].get("date").is_none(), "{found}");
    for query in ["patient=P7", "date=20200102"] {
        let refused = without.get(&format!("/api/archive?{query}"));
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    assert_eq!(without.get("/api/archive?series=1/2").status, 400);
    let with = Served::with(|config| config.archive = Some(archive.config(true)));
    let found = with.get("/api/archive?patient=P7&date=20200101-20200131").json();
    assert_eq!(found["series"][0]["patient"], json!({ "name": "Doe^Jane", "id": "P7" }));
    assert_eq!(found["series"][0]["date"], "20200102");
    let listed = with.get("/api/studies").json().to_string();
    assert!(listed.contains("Doe Jane P7 20200102, CT Thorax"), "{listed}");
    assert_eq!(Served::start().get("/api/archive").status, 404, "a server without an archive");
}

#[test]
fn an_archive_that_does_not_answer_hides_no_other_study() {
    let archive = FakeArchive::start(true);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/d", taken.local_addr().unwrap());
    let served = Served::with(|config| {
        let nobody = Archive::new(&url, None, ArchiveLimits::default()).unwrap();
        config.archive = Some(ArchiveConfig { archive: nobody, ..archive.config(false) });
    });
    // Connected, and never answered: the list does not wait for long.
    let begin = std::time::Instant::now();
    assert_eq!(served.get("/api/studies").json().as_array().unwrap().len(), 2);
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    drop(taken);
    assert_eq!(served.get("/api/studies").json().as_array().unwrap().len(), 2);
    let refused = served.get(&format!("/api/image?study={SERIES}"));
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.detail().contains("cannot reach the archive"), "{}", refused.detail());
}

#[test]
fn objects_are_downloaded_as_dicom_beside_their_series() {
    let served = Served::with(|config| write_slices(&config.studies.clone().unwrap().join("ct")));
    let place = tempfile::tempdir().unwrap();
    let fetch = |format: &str, study: &str| {
        let mut second = object(1, "Right kidney");
        second["type"] = json!("10200004:SCT:Liver");
        let body = json!({ "format": format, "objects": [object(0, "GTV"), second] });
        served.post(&format!("/api/segmentation?study={study}"), &body)
    };
    let path = place.path().join("mask.dcm");
    for format in [".dcm", ".labelmap.dcm"] {
        let reply = fetch(format, "ct");
        assert_eq!(reply.status, 200, "{}", reply.text());
        fs::write(&path, &reply.body).unwrap();
        let segmentation = Segmentation::read(&path, ReadLimits::default()).unwrap();
        let named: Vec<_> = segmentation.segments.iter().map(|segment| segment.label.as_str()).collect();
        assert_eq!(named, ["GTV", "Right kidney"]);
        assert_eq!(segmentation.series, [SERIES]);
        let grid = sam3d_io::read(&served.studies.join("ct"), ReadLimits::default()).unwrap().grid;
        for (number, ball) in [(1, 0), (2, 1)] {
            let mask = segmentation.mask(number, &grid, None).unwrap();
            assert_eq!(mask, shown(&served, "ct", ball), "{format}: segment {number}");
        }
        // What it takes to make it again: the weights' name and hash, and every click.
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        for words in ["bright.safetensors", "weights_sha256", "sam3d_session", "[14,18,10]"] {
            assert!(text.contains(words), "{format}: {words}");
        }
    }
    let reply = fetch(".rtstruct.dcm", "ct");
    fs::write(&path, &reply.body).unwrap();
    let structures = StructureSet::read(&path).unwrap();
    let named: Vec<_> = structures.rois.iter().map(|roi| roi.name.as_str()).collect();
    assert_eq!(named, ["GTV", "Right kidney"]);

    let refused = fetch(".dcm", "one");
    assert_eq!(refused.status, 400);
    assert!(refused.detail().contains("belongs to a DICOM series"), "{}", refused.detail());
    assert!(fetch(".png", "ct").detail().contains(".rtstruct.dcm"));
    let mut empty = object(0, "Nothing");
    empty["edits"] = json!([{ "erase": [[0, 64 * 56 * 30]] }]);
    let body = json!({ "format": ".dcm", "objects": [empty] });
    let refused = served.post("/api/segmentation?study=ct", &body);
    assert_eq!(refused.status, 400);
    assert!(refused.detail().contains("Nothing"), "{}", refused.detail());
}

#[test]
fn objects_are_stored_in_the_archive() {
    let archive = FakeArchive::start(true);
    let served = Served::with(|config| {
        config.archive = Some(archive.config(false));
        write_slices(&config.studies.clone().unwrap().join("ct"));
    });
    let body = json!({ "format": ".dcm", "objects": [object(0, "GTV")] });
    let answer = served.post(&format!("/api/archive/store?study={SERIES}"), &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(archive.requests("POST /studies/1.2.77"), 1);
    let sent = archive.stored.lock().unwrap().clone();
    let begin = sent.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(answer.json()["stored"], sam3d_dicomweb::sop_instance_uid(&sent[begin..]).unwrap().as_str());
    let volume = json!({ "format": ".nii.gz", "objects": [object(0, "GTV")] });
    assert_eq!(served.post(&format!("/api/archive/store?study={SERIES}"), &volume).status, 400);
    assert_eq!(served.post("/api/archive/store?study=ct", &body).status, 404, "not of the archive");

    let full = FakeArchive::start(false);
    let served = Served::with(|config| config.archive = Some(full.config(false)));
    let refused = served.post(&format!("/api/archive/store?study={SERIES}"), &body);
    assert_eq!(refused.status, 502);
    assert!(
        refused.detail().contains("does not accept objects of this class (0122)"),
        "{}",
        refused.detail()
    );
}
