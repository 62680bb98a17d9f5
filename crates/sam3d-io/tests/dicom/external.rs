//! What other programs make of the objects that are written: dciodvfy (Debian's dicom3tools), highdicom (PyPI) and dcmqi's
//! segimage2itkimage (PyPI's dcmqi). `.ci/run` installs the first two. A test whose program is missing says so on standard
//! error and checks nothing; with `SAM3D_REQUIRE_DICOM_TOOLS` set it fails instead.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ndarray::Array3;
use sam3d_io::{
    atomic::Overwrite,
    dicom::{
        StructureSet,
        derived::{NewStructure, SegmentKind, SegmentationEncoding, SourceSeries, write_structure_set},
    },
};

use super::{
    derived::{SLICES, boxed, origin, series, uids_from, written},
    read,
    slices::{COLUMNS, ROWS},
};

/// The output of a program, or `None`, said aloud, where it is missing.
#[expect(clippy::print_stderr, reason = "a test that checks nothing says so")]
fn run(program: &Path, arguments: &[&OsStr]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let required = env::var_os("SAM3D_REQUIRE_DICOM_TOOLS").is_some();
            assert!(!required, "{} is required: {error}", program.display());
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {} is not there ({error})", program.display());
            None
        }
    }
}

/// Python with highdicom: `SAM3D_HIGHDICOM_PYTHON`, else the virtual environment that `.ci/run` makes.
fn python() -> PathBuf {
    env::var_os("SAM3D_HIGHDICOM_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/highdicom/bin/python"),
        PathBuf::from,
    )
}

/// Errors that dciodvfy finds in a file; `None` where it is missing.
fn errors_of(path: &Path) -> Option<Vec<String>> {
    let output = run(Path::new("dciodvfy"), &[path.as_os_str()])?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Some(text.lines().filter(|line| line.starts_with("Error")).map(str::to_owned).collect())
}

fn masks() -> [Array3<u8>; 2] {
    [boxed([1, 0, 1], [4, 2, 3]), boxed([3, 2, 0], [5, 4, 5])]
}

#[test]
fn dciodvfy_finds_no_error_in_a_binary_segmentation() {
    let series = series();
    let (_place, path) = written(series.path(), &masks(), SegmentationEncoding::Binary).unwrap();
    assert_eq!(errors_of(&path).unwrap_or_default(), [] as [&str; 0]);
    let (_place, path) = written(series.path(), &masks()[..1], SegmentationEncoding::Binary).unwrap();
    assert_eq!(errors_of(&path).unwrap_or_default(), [] as [&str; 0]);
}

#[test]
fn dciodvfy_finds_no_error_in_a_structure_set() {
    let series = series();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("gtv.rtstruct.dcm");
    let source = SourceSeries::read(series.path(), None).unwrap();
    let mask = masks()[0].clone();
    let structure = NewStructure {
        name: "GTV".into(),
        kind: SegmentKind::Tumour,
        colour: [255, 0, 0],
        mask: mask.view(),
    };
    let mut next = uids_from(7);
    write_structure_set(&path, &[structure], &source, origin(&mut next), Overwrite::Refuse).unwrap();
    assert_eq!(StructureSet::read(&path).unwrap().rois.len(), 1);
    assert_eq!(errors_of(&path).unwrap_or_default(), [] as [&str; 0]);
}

/// Prints, for each segment, the voxels that highdicom finds, as z of the position, row and column.
const SCRIPT: &str = r#"
import sys, warnings
warnings.filterwarnings("ignore")
import numpy, highdicom, pydicom
seg = highdicom.seg.segread(sys.argv[1])
instances = [str(uid) for uid in sys.argv[2:]]
pixels = seg.get_pixels_by_source_instance(
    instances, ignore_spatial_locations=True, assert_missing_frames_are_empty=True)
for number in range(pixels.shape[3]):
    for k, row, column in numpy.argwhere(pixels[:, :, :, number] != 0):
        print(number + 1, k, row, column)
"#;

fn check_with_highdicom(encoding: SegmentationEncoding) {
    let series = series();
    let (_place, path) = written(series.path(), &masks(), encoding).unwrap();
    let instances: Vec<String> = (0..SLICES).map(|k| format!("1.2.3.{}", 100 + k)).collect();
    let mut arguments = vec![OsStr::new("-c"), OsStr::new(SCRIPT), path.as_os_str()];
    arguments.extend(instances.iter().map(OsStr::new));
    let Some(output) = run(&python(), &arguments) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found = [0, 1].map(|_| Array3::<u8>::zeros([SLICES, ROWS, COLUMNS]));
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let numbers: Vec<usize> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        found[numbers[0] - 1][[numbers[1], numbers[2], numbers[3]]] = 1;
    }
    assert_eq!(found, masks());
}

#[test]
fn highdicom_reads_the_same_voxels_of_a_binary_segmentation() {
    check_with_highdicom(SegmentationEncoding::Binary);
}

#[test]
fn highdicom_reads_the_same_voxels_of_a_label_map() {
    check_with_highdicom(SegmentationEncoding::LabelMap);
}

#[test]
fn dcmqi_reads_the_same_voxels() {
    let series = series();
    let (place, path) = written(series.path(), &masks(), SegmentationEncoding::Binary).unwrap();
    let program =
        env::var_os("SAM3D_SEGIMAGE2ITKIMAGE").map_or_else(|| "segimage2itkimage".into(), PathBuf::from);
    let arguments =
        ["--inputDICOM", path.to_str().unwrap(), "--outputDirectory", place.path().to_str().unwrap()];
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let Some(output) = run(&program, &arguments) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (number, mask) in (1..).zip(masks()) {
        let found = read(&place.path().join(format!("{number}.nrrd"))).unwrap();
        let voxels = found.data.iter().filter(|value| **value != 0.0).count();
        assert_eq!(voxels, mask.iter().filter(|value| **value != 0).count());
        // Placed in the patient where the image has them.
        let grid = read(series.path()).unwrap().grid;
        for (k, j, i) in found.data.indexed_iter().filter(|(_, value)| **value != 0.0).map(|(at, _)| at) {
            let at = found.grid.world_from_ijk().world_from_voxel([i, j, k].map(|index| index as f64));
            let [i, j, k] = grid.voxel_from_ras_mm(at).unwrap();
            assert_eq!(mask[[k, j, i]], 1);
        }
    }
}
