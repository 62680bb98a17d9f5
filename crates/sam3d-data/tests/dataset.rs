//! From files in a directory to a prepared dataset and back.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::{fs, path::Path};

use ndarray::Array3;
use sam3d_data::{
    dataset::{
        CaseId, CaseProblem, Dataset, DatasetError, PreparedDataset, Splits, check_case, find_cases,
        target_statistics,
    },
    splits::{self, Part},
};
use sam3d_geom::Affine;
use sam3d_io::{Grid, GridDifference, atomic::Overwrite, nifti};
use sam3d_testkit::test_volume;

fn grid(offset_mm: f64) -> Grid {
    let rows = [[1.0, 0.0, 0.0, offset_mm], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]];
    Grid::from_affine([4, 3, 2], Affine::new(rows).unwrap()).unwrap()
}

/// A case of the layout of `demo` whose label has `target` voxels and lies `shift_mm` away from the image.
fn write_case(directory: &Path, id: &str, target: usize, shift_mm: f64) {
    let case = directory.join(id);
    fs::create_dir_all(&case).unwrap();
    let image = Array3::from_shape_fn((2, 3, 4), |(k, j, i)| (100 * k + 10 * j + i) as i16);
    let mut label = Array3::<u8>::zeros((2, 3, 4));
    label.iter_mut().take(target).for_each(|value| *value = 1);
    nifti::write(&case.join("image.nii.gz"), image.view(), &grid(0.0), Overwrite::Refuse).unwrap();
    nifti::write(&case.join("label.nii.gz"), label.view(), &grid(shift_mm), Overwrite::Refuse).unwrap();
}

#[test]
fn cases_are_found_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path();
    write_case(source, "case_b", 3, 0.0);
    write_case(source, "case_a", 0, 0.0);
    write_case(source, "case_c", 3, 5.0);
    write_case(source, "case_d", 3, 0.0);
    fs::remove_file(source.join("case_d/label.nii.gz")).unwrap();
    fs::create_dir(source.join("notes")).unwrap();
    fs::create_dir(source.join(".hidden")).unwrap();
    let dataset = Dataset::named("demo").unwrap();

    let cases = find_cases(&dataset, source).unwrap();
    let ids: Vec<_> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["case_a", "case_b", "case_c", "case_d"]);
    let problems: Vec<_> = cases.iter().map(|case| check_case(&dataset, case)).collect();
    assert!(matches!(problems[0], Err(CaseProblem::TargetMissing { target_class: 1 })));
    assert!(problems[1].is_ok());
    assert!(
        matches!(problems[2], Err(CaseProblem::GridsDiffer(GridDifference::Place { apart_mm, .. })) if apart_mm == 5.0)
    );
    let message = problems[3].as_ref().unwrap_err().to_string();
    assert!(message.contains("no label") && message.contains("case_d/label.nii.gz"), "{message}");
    let facts = problems[1].as_ref().unwrap();
    assert_eq!((facts.voxels, facts.spacing_mm), ([4, 3, 2], [1.0, 1.0, 2.0]));
    assert_eq!((facts.label_values.as_slice(), facts.target_ml), (&[0.0, 1.0][..], 0.006));
}

#[test]
fn an_archives_own_directory_is_looked_into() {
    let directory = tempfile::tempdir().unwrap();
    write_case(&directory.path().join("demo-1.0"), "case_a", 1, 0.0);
    let dataset = Dataset::named("demo").unwrap();
    assert_eq!(find_cases(&dataset, directory.path()).unwrap().len(), 1);

    // Two such directories leave it open which one is meant.
    write_case(&directory.path().join("demo-2.0"), "case_a", 1, 0.0);
    let error = find_cases(&dataset, directory.path()).unwrap_err();
    assert!(matches!(error, DatasetError::SourceAmbiguous { .. }));
    assert!(error.to_string().contains("demo-2.0"), "{error}");
    // The one that is named has its own cases only.
    assert_eq!(find_cases(&dataset, &directory.path().join("demo-2.0")).unwrap().len(), 1);

    let empty = tempfile::tempdir().unwrap();
    let error = find_cases(&dataset, empty.path()).unwrap_err().to_string();
    assert!(error.contains("{case}/image.nii.gz"), "{error}");
}

#[test]
fn the_challenges_layouts_are_understood() {
    for (name, image, label, id) in [
        ("kits21", "case_00013/imaging.nii.gz", "case_00013/aggregated_MAJ_seg.nii.gz", "case_00013"),
        ("msd-colon", "imagesTr/colon_001.nii.gz", "labelsTr/colon_001.nii.gz", "colon_001"),
        ("msd-pancreas", "imagesTr/pancreas_001.nii.gz", "labelsTr/pancreas_001.nii.gz", "pancreas_001"),
        ("lits17", "volume-8.nii", "segmentation-8.nii", "8"),
        // Many keep these files compressed.
        ("lits17", "volume-9.nii.gz", "segmentation-9.nii.gz", "9"),
        // As the two archives unpack.
        ("lits17", "Training Batch 1/volume-8.nii", "Training Batch 1/segmentation-8.nii", "8"),
        (
            "kits21",
            "kits21/data/case_00013/imaging.nii.gz",
            "kits21/data/case_00013/aggregated_MAJ_seg.nii.gz",
            "case_00013",
        ),
        ("sts-ct", "STS_019/CT_image.nii.gz", "STS_019/CT_mask.nii.gz", "STS_019"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        for file in [image, label, "imagesTr/._colon_001.nii.gz"] {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let cases = find_cases(&Dataset::named(name).unwrap(), directory.path()).unwrap();
        assert_eq!(cases.len(), 1, "{name}");
        assert_eq!(cases[0].id.as_str(), id);
        assert_eq!(cases[0].image, directory.path().join(image));
        assert_eq!(cases[0].label, directory.path().join(label));
    }
}

/// A dataset of one's own: a description and two patterns.
#[test]
fn two_patterns_describe_a_layout() {
    let directory = tempfile::tempdir().unwrap();
    let files = [
        "site_a/p_001/2019-05_ct.nii.gz",
        "site_a/p_001/seg_final.nii.gz",
        "site_b/p_002/2021-11_ct.nii",
        "site_b/p_002/seg_v2.nii.gz",
        "site_b/p_003/2020-01_ct.nii.gz",
        "site_b/p_003/._2020-01_ct.nii.gz",
        "site_b/notes.txt",
    ];
    for file in files {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let text = r#"
        name = "mine"
        title = "My tumours"
        licence = "none"
        citation = "none"
        url = "none"
        target_class = 1
        target_name = "tumour"
        in_plane_augmentation = false
        layout = { image = "**/{case}/*_ct.nii.gz", label = "**/{case}/seg_*.nii.gz" }
        [preprocessing]
        spacing_mm = [1.0, 1.0, 1.0]
        intensity = { clip_hu = [-100.0, 250.0], mean = 60.0, std = 50.0 }
    "#;
    let description = directory.path().join("mine.toml");
    fs::write(&description, text).unwrap();
    let dataset = Dataset::named_or_open(description.to_str().unwrap()).unwrap();
    let cases = find_cases(&dataset, directory.path()).unwrap();
    let found: Vec<_> = cases
        .iter()
        .map(|case| {
            let [image, label] =
                [&case.image, &case.label].map(|path| path.strip_prefix(directory.path()).unwrap());
            (case.id.as_str(), image.to_str().unwrap(), label.to_str().unwrap())
        })
        .collect();
    assert_eq!(found[0], ("p_001", files[0], files[1]));
    assert_eq!(found[1], ("p_002", files[2], files[3]));
    // The third has no label, which the check says.
    assert_eq!((found.len(), found[2].0), (3, "p_003"));
    assert!(matches!(check_case(&dataset, &cases[2]), Err(CaseProblem::LabelMissing { .. })));

    fs::write(directory.path().join("site_a/p_001/2020-02_ct.nii.gz"), "").unwrap();
    let error = find_cases(&dataset, directory.path()).unwrap_err();
    assert!(matches!(error, DatasetError::CaseTwice { .. }));
    assert!(error.to_string().contains("2019-05") && error.to_string().contains("2020-02"), "{error}");

    for (pattern, why) in [("*_ct.nii", "must hold {case}"), ("{case}/../../x.nii", "")] {
        fs::write(&description, text.replace("**/{case}/*_ct.nii.gz", pattern)).unwrap();
        match Dataset::open(&description).and_then(|dataset| find_cases(&dataset, directory.path())) {
            Err(error) => assert!(error.to_string().contains(why), "{error}"),
            Ok(cases) => panic!("{pattern}: {cases:?}"),
        }
    }
}

#[test]
fn a_label_has_the_classes_of_its_dataset() {
    let directory = tempfile::tempdir().unwrap();
    write_case(directory.path(), "case_a", 3, 0.0);
    let path = directory.path().join("case_a/label.nii.gz");
    let dataset = Dataset::named("demo").unwrap();
    let cases = find_cases(&dataset, directory.path()).unwrap();
    let check = |dataset: &Dataset, values: [f32; 2]| {
        let label = Array3::from_shape_fn((2, 3, 4), |(k, _, i)| if i == 0 { 1.0 } else { values[k] });
        nifti::write(&path, label.view(), &grid(0.0), Overwrite::Replace).unwrap();
        check_case(dataset, &cases[0]).map_err(|problem| problem.to_string())
    };
    assert!(check(&dataset, [0.0, 1.0]).is_ok());
    assert_eq!(check(&dataset, [0.0, 7.0]).unwrap_err(), "the label has the values 0, 1, 7; expected 0, 1");
    let any = Dataset { classes: vec![], ..dataset };
    assert!(check(&any, [0.0, 7.0]).is_ok());
    let error = check(&any, [0.0, 0.25]).unwrap_err();
    assert!(error.contains("whole numbers, found the value 0.25"), "{error}");
    assert!(check(&any, [0.0, -1.0]).is_err());
}

fn prepare(directory: &Path) -> PreparedDataset {
    for number in 0..5 {
        write_case(directory, &format!("case_{number}"), 3, 0.0);
    }
    let dataset = Dataset::named("demo").unwrap();
    let cases = find_cases(&dataset, directory).unwrap();
    let ids: Vec<CaseId> = cases.iter().map(|case| case.id.clone()).collect();
    let folds = vec![splits::random(&ids, 7, dataset.published_split)];
    PreparedDataset { dataset, cases, splits: Splits { seed: 7, folds } }
}

#[test]
fn a_prepared_directory_reads_back_even_after_it_moved() {
    let directory = tempfile::tempdir().unwrap();
    let before = directory.path().join("before");
    let prepared = prepare(&before);
    prepared.write(&before).unwrap();
    assert_eq!(PreparedDataset::open(&before).unwrap(), prepared);

    let after = directory.path().join("after");
    fs::rename(&before, &after).unwrap();
    let moved = PreparedDataset::open(&after).unwrap();
    assert_eq!(moved.part(0, Part::Train).unwrap().len(), 3);
    assert!(moved.cases.iter().all(|case| case.image.is_file() && case.label.is_file()));
    assert!(matches!(moved.part(1, Part::Test), Err(DatasetError::FoldMissing { fold: 1, folds: 1 })));
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let message = PreparedDataset::open(directory.path()).unwrap_err().to_string();
    assert!(message.contains("dataset.toml: not found") && !message.contains("cargo"), "{message}");

    let prepared = prepare(directory.path());
    prepared.write(directory.path()).unwrap();
    let splits = directory.path().join("splits.json");
    let text = fs::read_to_string(&splits).unwrap();
    fs::write(&splits, text.replacen("case_0", "case_9", 1)).unwrap();
    assert!(matches!(PreparedDataset::open(directory.path()), Err(DatasetError::CaseUnknown { .. })));
    fs::write(&splits, &text[..text.len() / 2]).unwrap();
    assert!(matches!(PreparedDataset::open(directory.path()), Err(DatasetError::PreparedDamaged { .. })));
    fs::remove_file(&splits).unwrap();
    assert!(matches!(PreparedDataset::open(directory.path()), Err(DatasetError::NotPrepared { .. })));
}

#[test]
fn statistics_are_over_target_voxels() {
    let directory = tempfile::tempdir().unwrap();
    write_case(directory.path(), "case_a", 3, 0.0);
    let cases = find_cases(&Dataset::named("demo").unwrap(), directory.path()).unwrap();
    // The first three voxels are 0, 1 and 2 HU.
    let intensity = target_statistics(&cases, 1, &|| ()).unwrap().intensity;
    assert_eq!((intensity.clip_hu(), intensity.mean(), intensity.std()), ([0.0, 2.0], 1.0, 1.0));
    assert!(matches!(target_statistics(&cases, 5, &|| ()), Err(DatasetError::NoTargetVoxels { cases: 1 })));
}

/// The numbers in `sts-ct.toml` are what the rule gives for the training cases of the split with seed 0.
#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn sarcoma_statistics_follow_the_rule() {
    let Some(source) = test_volume("sarcoma_ct") else { return };
    let dataset = Dataset::named("sts-ct").unwrap();
    let cases = find_cases(&dataset, &source).unwrap();
    assert_eq!(cases.len(), 8);
    for case in &cases {
        check_case(&dataset, case).unwrap();
    }
    let ids: Vec<CaseId> = cases.iter().map(|case| case.id.clone()).collect();
    let split = splits::random(&ids, 0, None);
    let train: Vec<_> = cases.into_iter().filter(|case| split.train.contains(&case.id)).collect();
    let intensity = target_statistics(&train, 1, &|| ()).unwrap().intensity;
    let expected = dataset.preprocessing.intensity;
    assert_eq!(intensity.clip_hu(), expected.clip_hu());
    approx::assert_abs_diff_eq!(intensity.mean(), expected.mean(), epsilon = 1e-5);
    approx::assert_abs_diff_eq!(intensity.std(), expected.std(), epsilon = 1e-5);
}
