//! A data set in nnU-Net's format: written, found, and prepared again.

use ndarray::Array3;
use sam3d_data::{
    dataset::{CaseId, Dataset, PreparedDataset, Splits, find_cases},
    nnunet,
    preparation::{PreparationOptions, SplitSource, check, prepare},
    splits::Split,
};
use sam3d_geom::Affine;
use sam3d_io::{Grid, ReadLimits, atomic::Overwrite};

#[test]
fn what_is_exported_is_a_data_set_again() {
    let place = tempfile::tempdir().unwrap();
    let affine = Affine::new([[-1.0, 0.0, 0.0, 9.0], [0.0, -1.0, 0.0, 5.0], [0.0, 0.0, 2.0, -3.0]]).unwrap();
    let grid = Grid::from_affine([6, 5, 4], affine).unwrap();
    let ids: Vec<CaseId> = ["a", "b", "c"].map(|id| CaseId::new(id).unwrap()).to_vec();
    for (number, id) in ids.iter().enumerate() {
        let directory = place.path().join("source").join(id.as_str());
        std::fs::create_dir_all(&directory).unwrap();
        let image = Array3::from_shape_fn([4, 5, 6], |(k, j, i)| (100 * number + 20 * k + 5 * j + i) as i16);
        sam3d_io::write(&directory.join("image.nii.gz"), image.view(), &grid, Overwrite::Refuse).unwrap();
        // The classes 0, 2 and 7, of which 7 is the target.
        let label = Array3::from_shape_fn([4, 5, 6], |(k, j, i)| [0u8, 2, 7][(k + j + i) % 3]);
        sam3d_io::write(&directory.join("label.nii.gz"), label.view(), &grid, Overwrite::Refuse).unwrap();
    }
    let dataset = Dataset {
        classes: vec![0, 2, 7],
        target_class: 7,
        target_name: "tumour".into(),
        ..Dataset::named("demo").unwrap()
    };
    let cases = find_cases(&dataset, &place.path().join("source")).unwrap();
    let split = Split { train: ids[..1].to_vec(), validation: ids[1..2].to_vec(), test: ids[2..].to_vec() };
    let prepared = PreparedDataset { dataset, cases, splits: Splits { seed: 0, folds: vec![split] } };
    let out = place.path().join("Dataset001 Demo");
    assert_eq!(nnunet::export(&prepared, &out, &mut |_, _| {}).unwrap(), 3);
    assert!(out.join("imagesTs/c_0000.nii.gz").is_file() && out.join("labelsTs/c.nii.gz").is_file());

    assert!(nnunet::is_nnunet(&out));
    assert!(nnunet::describe(&out, None).unwrap_err().to_string().contains("class 2 (1), tumour (2)"));
    let again = nnunet::describe(&out, Some("tumour")).unwrap();
    assert_eq!((again.name.as_str(), again.target_class), ("Dataset001_Demo", 2));
    assert_eq!(Dataset::name_of(out.to_str().unwrap()).unwrap(), "Dataset001_Demo");
    let found = find_cases(&again, &out).unwrap();
    assert_eq!(found.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let limits = ReadLimits::default();
    let image = sam3d_io::read(&found[1].image, limits).unwrap();
    assert_eq!(image.data[[1, 2, 3]], 133.0);
    let label = found[1].read_label(&image.grid, limits).unwrap();
    assert_eq!((label.data[[0, 0, 1]], label.data[[0, 0, 2]]), (1.0, 2.0));

    let checked = check(&again, found, &|_| {}).unwrap();
    let splits = nnunet::splits_file(&out).unwrap();
    let options =
        PreparationOptions { seed: 0, splits: SplitSource::Published(&splits), fit_intensity: true };
    let ready = prepare(again, &checked, &place.path().join("ready"), &options, &|_| {}).unwrap();
    assert_eq!(
        (ready.splits.folds[0].train.as_slice(), ready.splits.folds[0].validation.as_slice()),
        (&ids[..1], &ids[1..2])
    );
    // Measured, not the placeholder.
    assert!(ready.dataset.preprocessing.intensity.clip_hu()[1] < 200.0);
}

#[test]
fn a_label_with_voxels_to_ignore_drops_its_case() {
    let place = tempfile::tempdir().unwrap();
    let grid = Grid::from_affine(
        [4, 4, 4],
        Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap(),
    )
    .unwrap();
    for directory in ["imagesTr", "labelsTr"] {
        std::fs::create_dir(place.path().join(directory)).unwrap();
    }
    let description = r#"{"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumour": 1, "ignore": 2},
        "numTraining": 2, "file_ending": ".nii.gz"}"#;
    std::fs::write(place.path().join("dataset.json"), description).unwrap();
    for (id, values) in [("whole", 2), ("partly", 3)] {
        let image = Array3::from_shape_fn([4, 4, 4], |(k, j, i)| (k + j + i) as i16);
        let path = place.path().join(format!("imagesTr/{id}_0000.nii.gz"));
        sam3d_io::write(&path, image.view(), &grid, Overwrite::Refuse).unwrap();
        let label = Array3::from_shape_fn([4, 4, 4], |(k, j, i)| ((k + j + i) % values) as u8);
        let path = place.path().join(format!("labelsTr/{id}.nii.gz"));
        sam3d_io::write(&path, label.view(), &grid, Overwrite::Refuse).unwrap();
    }
    let dataset = nnunet::describe(place.path(), None).unwrap();
    let checked = check(&dataset, find_cases(&dataset, place.path()).unwrap(), &|_| {}).unwrap();
    let usable: Vec<_> = checked.iter().map(|case| (case.case.id.as_str(), case.is_usable())).collect();
    assert_eq!(usable, [("partly", false), ("whole", true)]);
}
