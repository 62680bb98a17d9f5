use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use sam3d_dicomweb::{CachedSeries, DicomWebError, SeriesCache};

use crate::support::{FakeArchive, MULTIPART, Reply, file, multipart, record, uid};

/// Bytes of a series here: two files.
const SERIES_BYTES: u64 = 2 * 1132;

fn archive() -> FakeArchive {
    FakeArchive::start(|_| Reply::new(200, MULTIPART, &multipart(&[file(&[1; 1000]), file(&[2; 1000])])))
}

fn fetch(cache: &SeriesCache, archive: &FakeArchive, series: &str, images: usize) -> CachedSeries {
    cache.fetch(&archive.client(), &record(series, Some(images)), &mut |_| Ok(())).unwrap()
}

/// Makes every series of the cache as old as its age is.
fn used_ago(root: &Path, directory: &Path, seconds: u64) {
    let lock = directory.parent().unwrap().join("lock");
    assert!(lock.starts_with(root));
    let file = fs::File::options().write(true).open(lock).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

#[test]
fn a_series_is_fetched_once_and_again_if_it_has_grown() {
    let (archive, root) = (archive(), tempfile::tempdir().unwrap());
    let cache = SeriesCache::new(root.path(), 1 << 20).unwrap();
    let first = fetch(&cache, &archive, "1.5", 2);
    let second = fetch(&cache, &archive, "1.5", 2);
    assert_eq!((first.directory(), archive.requests().len()), (second.directory(), 1));
    assert_eq!(cache.find(&archive.client(), &uid("1.5")).unwrap().directory(), first.directory());
    assert!(cache.find(&archive.client(), &uid("1.6")).is_none());
    // Fewer than came is no reason to fetch again and again, another number is one.
    let third = fetch(&cache, &archive, "1.5", 1);
    assert_ne!(third.directory(), first.directory());
    assert_eq!(archive.requests().len(), 2);
    // Another archive has other series under the same UIDs.
    let other = self::archive();
    assert!(cache.find(&other.client(), &uid("1.5")).is_none());
    assert_eq!(third.record().series, uid("1.5"));
}

#[test]
fn a_damaged_series_is_fetched_again() {
    let (archive, root) = (archive(), tempfile::tempdir().unwrap());
    let cache = SeriesCache::new(root.path(), 1 << 20).unwrap();
    let first = fetch(&cache, &archive, "1.5", 2);
    fs::remove_file(first.directory().join("000002.dcm")).unwrap();
    let second = fetch(&cache, &archive, "1.5", 2);
    assert_ne!(second.directory(), first.directory());
}

#[test]
fn the_oldest_series_go_first_and_those_in_use_stay() {
    let (archive, root) = (archive(), tempfile::tempdir().unwrap());
    let cache = SeriesCache::new(root.path(), 3 * SERIES_BYTES).unwrap();
    let [a, b, c] = ["1.1", "1.2", "1.3"].map(|series| fetch(&cache, &archive, series, 2));
    for (series, age) in [(&a, 300), (&b, 200), (&c, 100)] {
        used_ago(root.path(), series.directory(), age);
    }
    let (b_directory, c_directory) = (b.directory().to_owned(), c.directory().to_owned());
    drop((b, c));
    let d = fetch(&cache, &archive, "1.4", 2);
    assert!(a.directory().exists(), "in use");
    assert!(!b_directory.exists(), "used longest ago of those that nobody uses");
    assert!(c_directory.exists() && d.directory().exists());
    // A use makes it young again.
    used_ago(root.path(), &c_directory, 100);
    drop((cache.find(&archive.client(), &uid("1.3")).unwrap(), a));
    used_ago(root.path(), d.directory(), 50);
    drop(d);
    fetch(&cache, &archive, "1.5", 2);
    assert!(c_directory.exists());
    let held = fs::read_dir(root.path()).unwrap().count();
    assert!(held <= 3, "{held} series in the cache");
}

#[test]
fn a_series_larger_than_the_cache_is_refused() {
    let (archive, root) = (archive(), tempfile::tempdir().unwrap());
    let cache = SeriesCache::new(root.path(), SERIES_BYTES - 1).unwrap();
    let fetched = cache.fetch(&archive.client(), &record("1.1", None), &mut |_| Ok(()));
    assert!(matches!(fetched, Err(DicomWebError::TooLarge { most, .. }) if most == SERIES_BYTES - 1));
}

#[test]
fn what_a_killed_process_left_goes_and_what_another_is_at_stays() {
    let (archive, root) = (archive(), tempfile::tempdir().unwrap());
    let cache = SeriesCache::new(root.path(), 1 << 20).unwrap();
    let old = SystemTime::now() - Duration::from_secs(3600);
    let mut locks = Vec::new();
    for name in ["arriving-dead", "arriving-alive", "arriving-new", "leaving-x", "notes"] {
        let directory = root.path().join(name);
        fs::create_dir(&directory).unwrap();
        let lock = fs::File::create(directory.join("lock")).unwrap();
        if name == "arriving-alive" {
            lock.lock_shared().unwrap();
            locks.push(lock);
        }
        if name != "arriving-new" {
            fs::File::open(&directory).unwrap().set_modified(old).unwrap();
        }
    }
    fetch(&cache, &archive, "1.1", 2);
    let there = |name: &str| root.path().join(name).exists();
    assert!(!there("arriving-dead") && !there("leaving-x"));
    assert!(there("arriving-alive") && there("arriving-new") && there("notes"));
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it_and_no_name_says_whose_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let (archive, root) = (archive(), tempfile::tempdir().unwrap());
    let root = root.path().join("deep/cache");
    let cache = SeriesCache::new(&root, 1 << 20).unwrap();
    let series = fetch(&cache, &archive, "1.2.840.99", 2);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&root), mode(series.directory())), (0o700, 0o700));
    let entry = series.directory().parent().unwrap();
    assert_eq!(mode(entry), 0o700);
    for path in ["lock", "series.json", "slices/000001.dcm"] {
        assert_eq!(mode(&entry.join(path)), 0o600, "{path}");
    }
    assert!(!entry.to_string_lossy().contains("840"));
}
