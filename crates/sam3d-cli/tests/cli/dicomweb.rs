//! A series of an archive, segmented, and its segmentation stored beside it.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]
#![expect(clippy::print_stderr, reason = "a test that checks nothing says so")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use sam3d_dicomweb::{SeriesCache, SeriesRecord, SeriesSearch, Uid};
use sam3d_io::{ReadLimits, dicom};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    dicom::write_series,
    orthanc::Orthanc,
    support::{failure_of, sam3d, stdout_of},
};

/// Prints the number of segments and of voxels that highdicom finds, and the sum of their rows and columns.
const SCRIPT: &str = r#"
import sys, warnings
warnings.filterwarnings("ignore")
import numpy, highdicom
seg = highdicom.seg.segread(sys.argv[1])
pixels = seg.get_pixels_by_source_instance(
    sys.argv[2:], ignore_spatial_locations=True, assert_missing_frames_are_empty=True)
_, rows, columns, _ = numpy.nonzero(pixels)
print(pixels.shape[3], len(rows), rows.sum(), columns.sum())
"#;

/// What the same script would print of a mask.
fn summary(path: &Path) -> [usize; 4] {
    let mask = sam3d_io::read(path, ReadLimits::default()).unwrap().data;
    let set = mask.indexed_iter().filter(|(_, value)| **value != 0.0);
    set.fold([1, 0, 0, 0], |[one, n, rows, columns], ((_, j, i), _)| [one, n + 1, rows + j, columns + i])
}

/// What highdicom makes of the segmentation of the slices in `source`; `None`, said aloud, where it is missing.
fn summary_by_highdicom(segmentation: &Path, source: &Path) -> Option<[usize; 4]> {
    let python = env::var_os("SAM3D_HIGHDICOM_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/highdicom/bin/python"),
        PathBuf::from,
    );
    let mut command = Command::new(&python);
    command.arg("-c").arg(SCRIPT).arg(segmentation);
    let entries = fs::read_dir(source).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    command.args(entries.map(|file| sam3d_dicomweb::sop_instance_uid(&file).unwrap().to_string()));
    let Ok(output) = command.output() else {
        assert!(env::var_os("SAM3D_REQUIRE_DICOM_TOOLS").is_none(), "highdicom is required");
        eprintln!("SKIPPED, NOTHING WAS CHECKED: highdicom is not there");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<usize> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Some(numbers.try_into().unwrap())
}

/// Fetch, segment, store, find, fetch and read again.
fn go_round(orthanc: &Orthanc, slices: &Path, series: &str, prompt: &[&str]) {
    let place = tempdir().unwrap();
    let study: Uid = dicom_text(slices, dicom_dictionary_std::tags::STUDY_INSTANCE_UID).parse().unwrap();
    let images = orthanc.fill(&study, slices);
    let shared = ["--dicomweb", &orthanc.url, "--dicomweb-cache", "cache", "--series", series];
    let mut command = sam3d(place.path());
    command.arg("segment").args(shared).args(prompt).args(["--out", "mask.dcm", "--store", "--json"]);
    let report: Value = serde_json::from_str(&stdout_of(&mut command)).unwrap();
    assert!(report["voxels"].as_u64().unwrap() > 0, "{report}");

    // Found by a search of the study for segmentations, and fetched.
    let search =
        SeriesSearch { study: Some(study), modality: Some("SEG".to_owned()), ..SeriesSearch::default() };
    let found: Vec<SeriesRecord> = orthanc.archive().search(&search).unwrap();
    assert_eq!(found.len(), 1);
    let cache = SeriesCache::new(&place.path().join("other"), 1 << 30).unwrap();
    let back = cache.fetch(&orthanc.archive(), &found[0], &mut |_| Ok(())).unwrap();
    let file = back.directory().join("000001.dcm");
    let bytes = fs::read(&file).unwrap();
    let instance = sam3d_dicomweb::sop_instance_uid(&bytes).unwrap();
    assert_eq!(report["stored"], instance.as_str());
    assert_eq!(bytes, fs::read(place.path().join("mask.dcm")).unwrap(), "byte for byte");

    // The same mask as of the slices on disk, without the archive.
    let mut command = sam3d(place.path());
    command.args(["segment", "--image"]).arg(slices).args(prompt).args(["--out", "direct.nii.gz"]);
    stdout_of(&mut command);
    let mut command = sam3d(place.path());
    command.args(["mask", "--image"]).arg(slices).arg("--seg").arg(&file).args(["--out", "back.nii.gz"]);
    stdout_of(&mut command);
    let expected = summary(&place.path().join("direct.nii.gz"));
    assert_eq!(summary(&place.path().join("back.nii.gz")), expected);
    let mut command = sam3d(place.path());
    let text = stdout_of(command.args(["metrics", "--truth", "direct.nii.gz", "--pred", "back.nii.gz"]));
    assert!(text.contains("dice                              1.0000"), "{text}");
    if let Some(found) = summary_by_highdicom(&file, slices) {
        assert_eq!(found, expected);
    }

    // What was fetched stays: the next time nothing is sent but a search.
    let fetched = |place: &Path| {
        fs::read_dir(place.join("cache")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    let before = fetched(place.path());
    assert_eq!(before.len(), 1);
    let mut command = sam3d(place.path());
    command.arg("segment").args(shared).args(prompt).args(["--out", "again.nii.gz"]);
    stdout_of(&mut command);
    assert_eq!(fetched(place.path()), before);
    assert_eq!(fs::read_dir(cache_slices(place.path())).unwrap().count(), images);
}

fn cache_slices(place: &Path) -> PathBuf {
    fs::read_dir(place.join("cache")).unwrap().next().unwrap().unwrap().path().join("slices")
}

fn dicom_text(slices: &Path, tag: dicom_core::Tag) -> String {
    let file = fs::read_dir(slices).unwrap().next().unwrap().unwrap().path();
    let object = dicom_object::open_file(file).unwrap();
    object.element(tag).unwrap().to_str().unwrap().trim_end_matches('\0').to_owned()
}

#[test]
fn a_series_of_an_archive_goes_round() {
    let Some(orthanc) = Orthanc::start() else { return };
    let place = tempdir().unwrap();
    let slices = place.path().join("ct");
    write_series(&slices, "1.2.3", 6);
    go_round(&orthanc, &slices, "1.2.3", &["--point", "3,2,2", "--threshold", "1e-9"]);
}

/// The archive holds a real CT; the click lies in the middle of its tumour.
#[test]
fn a_real_series_of_an_archive_goes_round() {
    let data = env::var_os("SAM3D_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let slices = data.join("dicom_ct/STS_019_CT/image");
    if !slices.is_dir() {
        eprintln!("SKIPPED, NOTHING WAS CHECKED: {} is not there", slices.display());
        return;
    }
    let Some(orthanc) = Orthanc::start() else { return };
    let structures = fs::read_dir(data.join("dicom_ct/STS_019_CT/mask")).unwrap().next().unwrap().unwrap();
    let set = dicom::StructureSet::read(&structures.path()).unwrap();
    let points = &set.rois[0].contours;
    let middle = &points[points.len() / 2].points_mm;
    let mean = |axis: usize| middle.iter().map(|point| point[axis]).sum::<f64>() / middle.len() as f64;
    let click = format!("{:.2},{:.2},{:.2}", mean(0), mean(1), mean(2));
    let series = dicom_text(&slices, dicom_dictionary_std::tags::SERIES_INSTANCE_UID);
    go_round(&orthanc, &slices, &series, &["--space", "lps", "--point", &click]);
}

#[test]
fn what_an_archive_lacks_is_said_with_what_to_do() {
    let place = tempdir().unwrap();
    let fail = |line: &str| failure_of(sam3d(place.path()).args(line.split(' ')), 1);
    let rest = "--point 1,2,3 --out mask.dcm --dicomweb-cache cache";
    let error = fail(&format!("segment --dicomweb ftp://h/d --series 1.2 {rest}"));
    assert!(error.contains("expected http:// or https://; give it with --dicomweb URL"), "{error}");
    let error = fail(&format!("segment --dicomweb http://127.0.0.1:9/d {rest}"));
    assert!(error.contains("--series UID"), "{error}");
    let error = fail(&format!("segment --dicomweb http://127.0.0.1:9/d --series 1/2 {rest}"));
    assert!(error.contains("\"1/2\" is not a UID"), "{error}");
    let error = fail(&format!("segment --dicomweb http://127.0.0.1:9/d --series 1.2 {rest}"));
    assert!(error.contains("cannot reach the archive http://127.0.0.1:9/d"), "{error}");
    let error =
        fail("segment --dicomweb http://127.0.0.1:9/d --series 1.2 --point 1,2,3 --out a.nii.gz --store");
    assert!(error.contains("--store") && error.contains("a.nii.gz"), "{error}");
    fs::write(place.path().join("token"), "a secret\nof lines").unwrap();
    let line =
        format!("segment --dicomweb http://127.0.0.1:9/d --dicomweb-token-file token --series 1.2 {rest}");
    let error = fail(&line);
    assert!(error.contains("token must be one line") && !error.contains("secret"), "{error}");

    let Some(orthanc) = Orthanc::start() else { return };
    let error = fail(&format!("segment --dicomweb {} --series 1.2 {rest}", orthanc.url));
    assert!(error.contains("the archive has no series 1.2"), "{error}");
    let root = orthanc.url.trim_end_matches("/dicom-web");
    let error = fail(&format!("segment --dicomweb {root} --series 1.2 {rest}"));
    assert!(error.contains("is this the root of its DICOMweb services?"), "{error}");
}
