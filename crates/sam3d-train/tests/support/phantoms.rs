//! A prepared dataset for short runs.

use std::{path::Path, sync::OnceLock};

use sam3d_data::{
    dataset::{Dataset, PreparedDataset, Splits, find_cases},
    phantom,
    splits::Split,
};

/// Two phantoms, both for training, the second for validation, too, in two folds that are the same.
pub(crate) fn data() -> &'static Path {
    static DATA: OnceLock<tempfile::TempDir> = OnceLock::new();
    let place = DATA.get_or_init(|| {
        let place = tempfile::tempdir().unwrap();
        phantom::write_demo(place.path(), 0, 2).unwrap();
        let dataset = Dataset::named("demo").unwrap();
        let cases = find_cases(&dataset, place.path()).unwrap();
        let ids: Vec<_> = cases.iter().map(|case| case.id.clone()).collect();
        let split = Split { train: ids.clone(), validation: vec![ids[1].clone()], test: vec![] };
        let splits = Splits { seed: 0, folds: vec![split.clone(), split] };
        PreparedDataset { dataset, cases, splits }.write(place.path()).unwrap();
        place
    });
    place.path()
}
