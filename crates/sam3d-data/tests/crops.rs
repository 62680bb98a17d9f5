//! Crops of cases on the disk: from the cache and without, by any number of workers, and with what can go wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use ndarray::{Array3, s};
use sam3d_data::{
    augment::AugmentConfig,
    cache::VolumeCache,
    case_store::{CaseStore, Storage},
    crops::{CropError, CropJob, CropResult, Crops, DrawnCrop, Sampling},
    dataset::{Case, CaseId},
    loader::LoaderConfig,
    prepared::Region,
};
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use sam3d_io::{Grid, atomic::Overwrite, nifti};

/// A case of 30 x 44 x 50 voxels after resampling, more than one brick along each axis but D.
fn write_case(directory: &Path, number: usize) -> Case {
    let affine = Affine::new([[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]).unwrap();
    let grid = Grid::from_affine([50, 44, 15], affine).unwrap();
    // Air on one side, so that some bricks are constant and others are not.
    let image = Array3::from_shape_fn((15, 44, 50), |(k, j, i)| {
        if i < 33 { -1000 } else { ((31 * k + 17 * j + 7 * i + number) % 160) as i16 }
    });
    let mut label = Array3::<u8>::zeros((15, 44, 50));
    label.slice_mut(s![4..8, 20 + number..30, 36..44]).fill(1);
    let [image_path, label_path] =
        ["image", "label"].map(|kind| directory.join(format!("{number}_{kind}.nii.gz")));
    nifti::write(&image_path, image.view(), &grid, Overwrite::Replace).unwrap();
    nifti::write(&label_path, label.view(), &grid, Overwrite::Replace).unwrap();
    Case {
        id: CaseId::new(format!("case_{number}")).unwrap(),
        image: image_path,
        label: label_path,
        label_on_image_voxels: false,
    }
}

fn preprocessing() -> Preprocessing {
    Preprocessing {
        intensity: Intensity::new([-50.0, 150.0], 60.0, 40.0).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    }
}

fn crops(cases: &[Case], storage: Storage) -> Arc<Crops> {
    Arc::new(Crops {
        cases: CaseStore::new(cases.to_vec(), 1, preprocessing(), storage),
        sampling: Sampling::Clicks { augmentation: AugmentConfig::published(true), side: 24 },
        seed: 3,
    })
}

fn in_memory() -> Storage {
    Storage { cache: None, memory_bytes: 1 << 30 }
}

fn cached(directory: &Path, limit_bytes: u64) -> Storage {
    Storage { cache: Some(Arc::new(VolumeCache::open(directory, limit_bytes).unwrap())), memory_bytes: 0 }
}

fn drawn(crops: &Arc<Crops>, workers: usize) -> Vec<DrawnCrop> {
    let jobs = crops.epoch(1, 3);
    let training = crops.load_training(jobs, LoaderConfig::with_workers(workers));
    let validation = (0..crops.cases.len()).map(|case| crops.validation(case));
    training.chain(validation).map(Result::unwrap).collect()
}

/// The entries of the cache in `directory`.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "volume"))
        .collect();
    entries.sort();
    entries
}

/// The files of the cache with their times: what was not written again has kept its own.
fn contents(directory: &Path) -> Vec<Vec<u8>> {
    entries(directory).iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn neither_workers_nor_storage_change_a_crop() {
    let directory = tempfile::tempdir().unwrap();
    let cases: Vec<Case> = (0..3).map(|number| write_case(directory.path(), number)).collect();
    let expected = drawn(&crops(&cases, in_memory()), 0);
    assert_eq!(expected.len(), 12);
    let cache = directory.path().join("cache");
    for workers in [1, 3] {
        assert!(drawn(&crops(&cases, in_memory()), workers) == expected, "{workers} workers");
        assert!(
            drawn(&crops(&cases, cached(&cache, u64::MAX)), workers) == expected,
            "{workers} workers, cache"
        );
    }
    // Without room anywhere a case is prepared for each crop.
    assert!(drawn(&crops(&cases, Storage::default()), 2) == expected);
    assert!(drawn(&crops(&cases, cached(&directory.path().join("full"), 10)), 2) == expected);
    assert!(entries(&directory.path().join("full")).is_empty());
    assert_eq!(entries(&cache).len(), 3);
}

/// An epoch broken off after any step goes on with the same crops.
#[test]
fn an_epoch_can_be_entered_at_any_step() {
    let directory = tempfile::tempdir().unwrap();
    let cases: Vec<Case> = (0..3).map(|number| write_case(directory.path(), number)).collect();
    let crops = crops(&cases, in_memory());
    let jobs = crops.epoch(4, 2);
    assert_ne!(jobs, crops.epoch(5, 2));
    assert!(jobs.iter().enumerate().all(|(place, job)| job.place == place));
    let mut sorted: Vec<CropJob> = jobs.iter().map(|job| CropJob { place: 0, ..*job }).collect();
    sorted.sort_by_key(|job| (job.case, job.draw));
    let expected: Vec<CropJob> =
        (0..3).flat_map(|case| [8, 9].map(|draw| CropJob { case, draw, place: 0 })).collect();
    assert_eq!(sorted, expected);
    let whole: Vec<DrawnCrop> =
        crops.load_training(jobs.clone(), LoaderConfig::with_workers(2)).map(Result::unwrap).collect();
    for done in [1, 4, 6] {
        let rest = crops.load_training(jobs.clone().into_iter().skip(done), LoaderConfig::with_workers(2));
        assert!(rest.map(Result::unwrap).eq(whole[done..].iter().cloned()), "after {done}");
    }
}

/// Once prepared, the volumes' own files are not even read, in this process or the next.
#[test]
fn a_cached_volume_is_not_prepared_again() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [write_case(directory.path(), 0)];
    let cache = directory.path().join("cache");
    let expected = drawn(&crops(&cases, cached(&cache, u64::MAX)), 2);
    let [entry] = <[PathBuf; 1]>::try_from(entries(&cache)).unwrap();
    let (before, inode) = (fs::read(&entry).unwrap(), inode(&entry));
    // A later process: nothing is held in memory.
    assert!(drawn(&crops(&cases, cached(&cache, u64::MAX)), 2) == expected);
    assert_eq!(fs::read(&entry).unwrap(), before);
    assert_eq!(self::inode(&entry), inode, "the entry was not made again");
}

#[cfg(unix)]
fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap())
}

#[test]
fn what_decides_a_volume_decides_its_entry() {
    let directory = tempfile::tempdir().unwrap();
    let mut cases = vec![write_case(directory.path(), 0)];
    let cache = directory.path().join("cache");
    let prepare = |cases: &[Case], target_class, preprocessing| {
        let store = CaseStore::new(cases.to_vec(), target_class, preprocessing, cached(&cache, u64::MAX));
        store.get(0).unwrap();
        entries(&cache).len()
    };
    assert_eq!(prepare(&cases, 1, preprocessing()), 1);
    assert_eq!(prepare(&cases, 2, preprocessing()), 2);
    let coarse = Preprocessing { spacing_mm: Spacing::new([2.0; 3]).unwrap(), ..preprocessing() };
    assert_eq!(prepare(&cases, 1, coarse), 3);
    let wide =
        Preprocessing { intensity: Intensity::new([-60.0, 150.0], 60.0, 40.0).unwrap(), ..preprocessing() };
    assert_eq!(prepare(&cases, 1, wide), 4);
    // Mean and deviation are applied to the crop.
    let other =
        Preprocessing { intensity: Intensity::new([-50.0, 150.0], 0.0, 1.0).unwrap(), ..preprocessing() };
    assert_eq!(prepare(&cases, 1, other), 4);
    // The same volume elsewhere, and another one in its place.
    let moved = directory.path().join("moved.nii.gz");
    fs::rename(&cases[0].image, &moved).unwrap();
    cases[0].image = moved;
    assert_eq!(prepare(&cases, 1, preprocessing()), 4);
    fs::copy(write_case(directory.path(), 1).image, &cases[0].image).unwrap();
    assert_eq!(prepare(&cases, 1, preprocessing()), 5);
}

/// Headers are recognised by content, so their data files count whatever the header is called.
#[test]
fn a_changed_data_file_is_another_volume() {
    let directory = tempfile::tempdir().unwrap();
    let mut case = write_case(directory.path(), 0);
    let path = |name: &str| directory.path().join(name);
    let nrrd = "NRRD0004\ntype: int16\ndimension: 3\nsizes: 50 44 15\nendian: little\nencoding: raw\n\
                space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,2)\n\
                space origin: (0,0,0)\ndata file: voxels.raw\n";
    let meta_image = "ObjectType = Image\nNDims = 3\nDimSize = 50 44 15\nElementSpacing = 1 1 2\n\
                      ElementType = MET_SHORT\nElementDataFile = voxels.raw\n";
    for (name, header) in [("ct.nhdr", nrrd), ("ct.mhd", meta_image), ("ct", nrrd), ("ct.txt", meta_image)] {
        let cache = path("cache").join(name);
        fs::create_dir_all(&cache).unwrap();
        fs::write(path(name), header).unwrap();
        case.image = path(name);
        for (count, value) in [(1, 0u8), (2, 1)] {
            fs::write(path("voxels.raw"), vec![value; 50 * 44 * 15 * 2]).unwrap();
            let store = CaseStore::new(vec![case.clone()], 1, preprocessing(), cached(&cache, u64::MAX));
            let voxels = store.get(0).unwrap();
            let image = voxels.image(Region::whole(voxels.summary().sizes)).unwrap();
            assert_eq!(entries(&cache).len(), count, "{name}");
            assert_eq!(image[[0, 0, 0]], [0.0, 150.0][usize::from(value)], "{name}");
        }
    }
}

/// Spoils the entry at a path, whose bytes are given.
type Damage<'a> = &'a dyn Fn(&Path, &[u8]);

#[test]
fn a_damaged_entry_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let cases: Vec<Case> = (0..2).map(|number| write_case(directory.path(), number)).collect();
    let cache = directory.path().join("cache");
    let expected = drawn(&crops(&cases, cached(&cache, u64::MAX)), 0);
    let whole = contents(&cache);
    let damage: [Damage<'_>; 5] = [
        &|path, bytes| fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
        &|path, _| fs::write(path, "").unwrap(),
        // A byte of the first brick, and one of the table: only the checksums know.
        &|path, bytes| fs::write(path, [&bytes[..100], &[bytes[100] ^ 1], &bytes[101..]].concat()).unwrap(),
        &|path, bytes| {
            let at = bytes.len() - 100;
            fs::write(path, [&bytes[..at], &[bytes[at] ^ 1], &bytes[at + 1..]].concat()).unwrap();
        },
        &|path, _| fs::remove_file(path).unwrap(),
    ];
    // Damaged before the entry is opened, and while it is in use.
    for damage in damage {
        for in_use in [false, true] {
            let crops = crops(&cases, cached(&cache, u64::MAX));
            if in_use {
                crops.cases.get(0).unwrap();
                crops.cases.get(1).unwrap();
            }
            for (path, bytes) in entries(&cache).iter().zip(&whole) {
                damage(path, bytes);
            }
            assert!(drawn(&crops, 2) == expected);
            drop(crops);
            // A brick that no crop touched may still be damaged: then nothing has asked for it.
            entries(&cache).iter().zip(&whole).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        }
    }
    // The cache may go altogether.
    let crops = crops(&cases, cached(&cache, u64::MAX));
    drawn(&crops, 1);
    fs::remove_dir_all(&cache).unwrap();
    assert!(drawn(&crops, 1) == expected);
}

/// Caches of their own, as processes have, in one directory at the same time.
#[test]
fn many_may_fill_one_cache() {
    let directory = tempfile::tempdir().unwrap();
    let cases: Vec<Case> = (0..3).map(|number| write_case(directory.path(), number)).collect();
    let expected = drawn(&crops(&cases, in_memory()), 0);
    let cache = directory.path().join("cache");
    thread::scope(|scope| {
        let drawing: Vec<_> =
            (0..4).map(|_| scope.spawn(|| drawn(&crops(&cases, cached(&cache, u64::MAX)), 2))).collect();
        for drawing in drawing {
            assert!(drawing.join().unwrap() == expected);
        }
    });
    assert_eq!(entries(&cache).len(), 3);
    let others: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        others.iter().all(|name| {
            let name = name.to_string_lossy();
            name.ends_with(".volume") || ["CACHEDIR.TAG", "stamps"].contains(&&*name)
        }),
        "{others:?}"
    );
}

#[test]
fn an_error_names_its_case_and_the_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let cases: Vec<Case> = (0..3).map(|number| write_case(directory.path(), number)).collect();
    let bytes = fs::read(&cases[1].image).unwrap();
    fs::write(&cases[1].image, &bytes[..bytes.len() / 2]).unwrap();
    for storage in [in_memory(), cached(&directory.path().join("cache"), u64::MAX)] {
        let crops = crops(&cases, storage);
        let results: Vec<CropResult> =
            crops.load_training(crops.epoch(0, 1), LoaderConfig::with_workers(2)).collect();
        assert_eq!(results.len(), 3);
        let errors: Vec<&CropError> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        let [error] = errors[..] else { panic!("{errors:?}") };
        assert_eq!(error.to_string(), "case case_1");
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("1_image.nii.gz") && cause.contains("truncated"), "{cause}");
    }
}
