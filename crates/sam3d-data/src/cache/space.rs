//! The size of a cache on disk. Nothing here fails: files that cannot be removed stay.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::ENDING;

/// Age after which a temporary file is left over from a process that has ended.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes temporary and lock files of killed processes.
pub(super) fn remove_abandoned(directory: &Path) {
    for file in files(directory) {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = name.starts_with(".sam3d-") && name.ends_with(".tmp") || name.ends_with(".lock");
        let old = SystemTime::now().duration_since(file.modified).is_ok_and(|age| age > ABANDONED);
        if temporary && old {
            let _ = fs::remove_file(&file.path);
        }
    }
}

/// Whether `needed` more bytes are within `limit`, once entries that are not `used` have made room, the one unused for
/// longest first.
pub(super) fn make_room(directory: &Path, limit: u64, needed: u64, used: &BTreeSet<String>) -> bool {
    let mut entries = files(directory);
    entries.retain(|file| file.path.extension().is_some_and(|ending| ending == ENDING));
    let mut total: u64 = entries.iter().map(|file| file.bytes).sum();
    entries.retain(|file| {
        let key = file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        !key.is_some_and(|key| used.contains(&key))
    });
    let removable: u64 = entries.iter().map(|file| file.bytes).sum();
    // Nothing is removed in vain.
    if (total - removable).saturating_add(needed) > limit {
        return false;
    }
    entries.sort_by_key(|file| file.modified);
    for file in entries {
        if total.saturating_add(needed) <= limit {
            break;
        }
        if fs::remove_file(&file.path).is_ok() {
            total -= file.bytes;
        }
    }
    total.saturating_add(needed) <= limit
}

struct CacheFile {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

fn files(directory: &Path) -> Vec<CacheFile> {
    let found = |entry: fs::DirEntry| {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(CacheFile { path: entry.path(), bytes: metadata.len(), modified: metadata.modified().ok()? })
    };
    fs::read_dir(directory).map(|entries| entries.flatten().filter_map(found).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unused_for_longest_makes_room() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (age, name) in [(30, "old"), (20, "used"), (10, "new")] {
            let file = fs::File::create(path(name).with_extension(ENDING)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        let used = BTreeSet::from(["used".to_owned()]);
        let left = || ["old", "used", "new"].map(|name| path(name).with_extension(ENDING).exists());
        assert!(make_room(directory.path(), 400, 100, &used));
        assert_eq!(left(), [true, true, true]);
        assert!(!make_room(directory.path(), 150, 100, &used));
        assert_eq!(left(), [true, true, true]);
        assert!(make_room(directory.path(), 350, 100, &used));
        assert_eq!(left(), [false, true, true]);
        assert!(make_room(directory.path(), 200, 100, &used));
        assert_eq!(left(), [false, true, false]);
    }

    #[test]
    fn only_old_temporaries_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let names = [".sam3d-1.tmp", ".sam3d-2.tmp", "key.lock", "key.volume"];
        let paths = names.map(|name| directory.path().join(name));
        for path in &paths {
            fs::File::create(path).unwrap();
        }
        for path in [&paths[0], &paths[2], &paths[3]] {
            let file = fs::File::options().append(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        }
        remove_abandoned(directory.path());
        assert_eq!(paths.each_ref().map(|path| path.exists()), [false, true, false, true]);
    }
}
