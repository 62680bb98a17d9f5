//! Labels that were written without their image's affine, as some of LiTS are.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its input has failed")]

use std::path::Path;

use ndarray::Array3;
use sam3d_data::{
    dataset::{Case, CaseProblem, Dataset, PreparedDataset, Splits, check_case, find_cases},
    prepared::PreparedCase,
};
use sam3d_geom::Affine;
use sam3d_io::{Grid, GridDifference, ReadLimits, atomic::Overwrite, nifti};

const SHAPE: [usize; 3] = [6, 5, 4];

fn grid(rows: [[f64; 4]; 3]) -> Grid {
    Grid::from_affine(SHAPE, Affine::new(rows).unwrap()).unwrap()
}

fn image_grid() -> Grid {
    grid([[-0.8, 0.0, 0.0, 90.0], [0.0, -0.8, 0.0, 80.0], [0.0, 0.0, 2.5, -300.0]])
}

fn identity(offset: f64) -> Grid {
    grid([[1.0, 0.0, 0.0, offset], [0.0, 1.0, 0.0, offset], [0.0, 0.0, 1.0, offset]])
}

fn target() -> Array3<u8> {
    Array3::from_shape_fn([4, 5, 6], |(k, j, i)| if (1..3).contains(&k) && j > 1 && i > 2 { 2 } else { 1 })
}

/// The LiTS layout with labels of the image's affine, of the identity, and of the identity and 1.
fn write_cases(directory: &Path) -> Vec<(&'static str, bool)> {
    let cases = [("0", image_grid(), false), ("30", identity(0.0), true), ("53", identity(1.0), true)];
    let image = Array3::from_shape_fn([4, 5, 6], |(k, j, i)| (100 * k + 10 * j + i) as i16);
    for (id, label_grid, _) in &cases {
        let path = |kind: &str| directory.join(format!("{kind}-{id}.nii"));
        nifti::write(&path("volume"), image.view(), &image_grid(), Overwrite::Refuse).unwrap();
        nifti::write(&path("segmentation"), target().view(), label_grid, Overwrite::Refuse).unwrap();
    }
    cases.map(|(id, _, ignored)| (id, ignored)).to_vec()
}

fn by_id<'a>(cases: &'a [Case], id: &str) -> &'a Case {
    cases.iter().find(|case| case.id.as_str() == id).unwrap()
}

#[test]
fn labels_lie_on_their_images_voxels_where_the_dataset_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let expected = write_cases(directory.path());
    let dataset = Dataset::named("lits17").unwrap();
    assert!(dataset.labels_on_image_voxels);
    let cases = find_cases(&dataset, directory.path()).unwrap();
    let prepared =
        |case: &Case| PreparedCase::read(case, dataset.target_class, &dataset.preprocessing).unwrap();
    let sound = prepared(by_id(&cases, "0"));
    assert!(sound.whole_label().iter().any(|value| *value == 1));
    for (id, ignored) in expected {
        let case = by_id(&cases, id);
        let facts = check_case(&dataset, case).unwrap();
        assert_eq!(facts.label_affine_ignored, ignored, "{id}");
        assert_eq!(facts.spacing_mm[2], 2.5);
        let label = case.read_label(&image_grid(), ReadLimits::default()).unwrap();
        assert_eq!((label.grid, label.data), (image_grid(), target().mapv(f32::from)));
        assert_eq!(prepared(case).whole_label(), sound.whole_label(), "{id}");
    }
    // The prepared dataset keeps it.
    let out = directory.path().join("prepared");
    PreparedDataset {
        dataset: dataset.clone(),
        cases: cases.clone(),
        splits: Splits { seed: 0, folds: vec![] },
    }
    .write(&out)
    .unwrap();
    let opened = PreparedDataset::open(&out).unwrap();
    assert!(
        opened.dataset.labels_on_image_voxels && opened.cases.iter().all(|case| case.label_on_image_voxels)
    );
}

#[test]
fn elsewhere_they_are_refused_by_a_message_that_names_the_option() {
    let directory = tempfile::tempdir().unwrap();
    let expected = write_cases(directory.path());
    let dataset = Dataset { labels_on_image_voxels: false, ..Dataset::named("lits17").unwrap() };
    let cases = find_cases(&dataset, directory.path()).unwrap();
    for (id, elsewhere) in expected {
        match check_case(&dataset, by_id(&cases, id)) {
            Ok(facts) => assert!(!elsewhere && !facts.label_affine_ignored, "{id}"),
            Err(problem) => {
                assert!(
                    elsewhere && matches!(problem, CaseProblem::GridsDiffer(GridDifference::Place { .. })),
                    "{id}"
                );
                assert!(problem.to_string().contains("labels_on_image_voxels = true"), "{problem}");
            }
        }
    }
    // A label of another shape cannot be taken for the image's voxels.
    let dataset = Dataset::named("lits17").unwrap();
    let small = Grid::from_affine(
        [6, 5, 3],
        Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap(),
    );
    let label = Array3::<u8>::from_elem([3, 5, 6], 2);
    let path = directory.path().join("segmentation-30.nii");
    nifti::write(&path, label.view(), &small.unwrap(), Overwrite::Replace).unwrap();
    let cases = find_cases(&dataset, directory.path()).unwrap();
    let problem = check_case(&dataset, by_id(&cases, "30")).unwrap_err();
    assert!(matches!(problem, CaseProblem::GridsDiffer(GridDifference::Shape { .. })), "{problem}");
}
