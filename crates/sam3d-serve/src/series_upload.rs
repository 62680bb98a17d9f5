//! A DICOM folder that a client sends as one archive, unpacked into a directory of its own.

use std::{fs, io, path::Path};

use axum::http::StatusCode;
use sam3d_io::dicom::{self, SeriesSummary};

use crate::{private, received::Received, refusal::Refusal};

/// Most files of a folder.
const MOST_FILES: usize = 20_000;
/// The directory that the files lie in.
const DIRECTORY: &str = "series";

/// Unpacks the tar archive `received`, which is removed, and returns the folder with the series of two or more slices in it.
///
/// The archive's names do not become paths: the files get numbers. Links and other special entries are left out.
pub(crate) fn unpack(mut received: Received) -> Result<(Received, Vec<SeriesSummary>), Refusal> {
    let archive = received.path();
    let directory = received.directory.path().join(DIRECTORY);
    let files = extract(&archive, &directory).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => Refusal::internal("keep the upload", &error),
        _ => Refusal::bad_request(format!("{}: not a complete tar archive ({error})", received.name)),
    })?;
    if files == 0 {
        return Err(Refusal::bad_request(format!("{}: there is no file in it", received.name)));
    }
    if files > MOST_FILES {
        let detail = format!("{}: more than {MOST_FILES} files", received.name);
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    fs::remove_file(&archive).map_err(|error| Refusal::internal("keep the upload", &error))?;
    received.file = DIRECTORY.to_owned();
    // What cannot be surveyed says why when it is read.
    let survey = dicom::survey(&directory).map(|survey| survey.series).unwrap_or_default();
    Ok((received, survey.into_iter().filter(|series| series.images > 1).collect()))
}

/// Writes the files of `archive` into `directory` and returns how many there are, one more than are allowed if there are too many.
fn extract(archive: &Path, directory: &Path) -> io::Result<usize> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    let mut files = 0;
    for entry in tar::Archive::new(io::BufReader::new(fs::File::open(archive)?)).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        files += 1;
        if files > MOST_FILES {
            break;
        }
        let expected = entry.size();
        let mut file = private::new_file(&directory.join(format!("{files:05}")))?;
        if io::copy(&mut entry, &mut file)? != expected {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(path: &Path, entries: &[(&str, tar::EntryType, &[u8])]) {
        let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_old();
            // Set by hand: the builder refuses names that lead elsewhere.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(content.len() as u64);
            header.set_entry_type(*kind);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.finish().unwrap();
    }

    #[test]
    fn names_of_an_archive_lead_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let (path, directory) = (place.path().join("a.tar"), place.path().join("series"));
        let file = tar::EntryType::Regular;
        archive(
            &path,
            &[
                ("../../outside", file, b"one"),
                ("/etc/absolute", file, b"two"),
                ("link", tar::EntryType::Symlink, b""),
                ("folder/", tar::EntryType::Directory, b""),
                ("folder/slice", file, b"three"),
            ],
        );
        assert_eq!(extract(&path, &directory).unwrap(), 3);
        let mut found: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
        found.sort();
        assert_eq!(found, [&b"one"[..], b"three", b"two"]);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_truncated_archive_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.tar");
        archive(&path, &[("slice", tar::EntryType::Regular, &[7; 3000])]);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..1500]).unwrap();
        assert!(extract(&path, &place.path().join("series")).is_err());
    }
}
