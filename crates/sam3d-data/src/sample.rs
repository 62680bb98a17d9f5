//! Two lung CTs that anyone can get: those in the source archive of pyradiomics, with outlined lesions.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sam3d_geom::sha256_of_file;
use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};

use crate::{
    preparation::{PreparationError, unpack},
    progress::OnProgress,
};

/// The most that the archive may hold once unpacked, in bytes; it holds 37 MB.
const LIMIT_BYTES: u64 = 200_000_000;

/// A source archive with volumes in it.
#[derive(Debug, Clone, Copy)]
pub struct SampleArchive<'a> {
    /// Name in the package index.
    pub project: &'a str,
    /// Exact version.
    pub version: &'a str,
    /// SHA-256 of the archive, in hexadecimal.
    pub sha256: &'a str,
    /// Licence of all that is in it.
    pub licence: &'a str,
    /// The file with the licence's text, as a path in the archive.
    pub licence_file: SampleFile<'a>,
    /// The cases.
    pub cases: &'a [SampleCase<'a>],
}

/// A CT with a lesion.
#[derive(Debug, Clone, Copy)]
pub struct SampleCase<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it shows.
    pub shows: &'a str,
    /// The CT.
    pub image: SampleFile<'a>,
    /// The outline of the lesion that comes with it.
    pub label: SampleFile<'a>,
    /// The voxel `i, j, k` of the lesion that is farthest from its border.
    pub click_ijk: [usize; 3],
}

/// A file of the archive.
#[derive(Debug, Clone, Copy)]
pub struct SampleFile<'a> {
    /// Its path in the archive.
    pub path: &'a str,
    /// Its SHA-256, in hexadecimal.
    pub sha256: &'a str,
}

/// The CTs that pyradiomics is tested with.
pub const PYRADIOMICS: SampleArchive<'static> = SampleArchive {
    project: "pyradiomics",
    version: "3.1.0",
    sha256: "24722c962a6bbd09bc39c1c67dbffe92435f9692a421fabaae8a6b4511eb48e4",
    licence: "BSD-3-Clause, Copyright 2017 Harvard Medical School",
    licence_file: SampleFile {
        path: "pyradiomics-3.1.0/LICENSE.txt",
        sha256: "5c1fc504fb0865a72a29e035b25ef3513e6d7e9c7169cb445eae855f03b006e2",
    },
    cases: &[
        SampleCase {
            name: "lung2",
            shows: "a lung tumour of 48 ml",
            image: SampleFile {
                path: "pyradiomics-3.1.0/data/lung2_image.nrrd",
                sha256: "aa2b94eec79127ed786798ac8dc3c013010e1692d5787bebfae1a1e9685a4651",
            },
            label: SampleFile {
                path: "pyradiomics-3.1.0/data/lung2_label.nrrd",
                sha256: "cef52738dc51aab69a48fe30639da956d2b911b1c2920439c091fab84727657a",
            },
            click_ijk: [359, 362, 22],
        },
        SampleCase {
            name: "lung1",
            shows: "a lung nodule of 1.4 ml",
            image: SampleFile {
                path: "pyradiomics-3.1.0/data/lung1_image.nrrd",
                sha256: "379fa48bf34cfa961e6f5ec19c0c38757a30b9aa884212ef28dc29b5061c64ed",
            },
            label: SampleFile {
                path: "pyradiomics-3.1.0/data/lung1_label.nrrd",
                sha256: "e9d9a88054d7bc1d3034193ff907ce6b8c6ba28a7bc3a16f23728982d1b6b50a",
            },
            click_ijk: [220, 357, 33],
        },
    ],
};

/// Why a sample is not in place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// A file is another one than the one pinned.
    #[error("{path}: its SHA-256 is {found}, expected {expected}", path = path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The pinned digits.
        expected: String,
        /// The file's.
        found: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The archive cannot be unpacked.
    #[error(transparent)]
    Unpack(Box<PreparationError>),
}

impl From<PreparationError> for SampleError {
    fn from(error: PreparationError) -> Self {
        Self::Unpack(Box::new(error))
    }
}

impl SampleFile<'_> {
    /// Where the file lies in the directory of the sample.
    pub fn path_in(&self, directory: &Path) -> PathBuf {
        directory.join(self.path.rsplit('/').next().unwrap_or(self.path))
    }

    fn check(&self, path: &Path) -> Result<(), SampleError> {
        compare(path, self.sha256)
    }
}

impl SampleArchive<'_> {
    fn files(&self) -> impl Iterator<Item = &SampleFile<'_>> {
        [&self.licence_file].into_iter().chain(self.cases.iter().flat_map(|case| [&case.image, &case.label]))
    }

    /// Whether `directory` holds every file as it was published.
    pub fn is_in(&self, directory: &Path) -> bool {
        self.files().all(|file| file.check(&file.path_in(directory)).is_ok())
    }

    /// Takes the files out of `archive` and puts them into `directory`, which is created.
    ///
    /// # Errors
    /// [`SampleError`] if the archive or a file in it is another one, or a file cannot be written.
    pub fn extract(
        &self,
        archive: &Path,
        directory: &Path,
        on_progress: OnProgress<'_>,
    ) -> Result<(), SampleError> {
        compare(archive, self.sha256)?;
        fs::create_dir_all(directory).map_err(IoError::write(directory))?;
        let place = tempfile::Builder::new().prefix(".sample-").tempdir_in(directory);
        let place = place.map_err(IoError::write(directory))?;
        let unpacked = unpack(archive, place.path(), LIMIT_BYTES, on_progress)?;
        for file in self.files() {
            let (from, to) = (unpacked.join(file.path), file.path_in(directory));
            file.check(&from)?;
            let bytes = fs::read(&from).map_err(IoError::read(&from))?;
            atomic::write(&to, Overwrite::Replace, |out| std::io::Write::write_all(out, &bytes))?;
        }
        Ok(())
    }
}

fn compare(path: &Path, expected: &str) -> Result<(), SampleError> {
    let found = sha256_of_file(path).map_err(IoError::read(path))?;
    if found != expected {
        let (path, expected) = (path.to_owned(), expected.to_owned());
        return Err(SampleError::Differs { path, expected, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use sam3d_geom::hexadecimal;
    use sha2::{Digest, Sha256};

    use super::*;

    fn sha256(bytes: &[u8]) -> String {
        hexadecimal(&Sha256::digest(bytes))
    }

    fn write_archive(path: &Path, files: &[(&str, &str)]) {
        let file = fs::File::create(path).unwrap();
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
    }

    #[test]
    fn the_pinned_files_are_taken_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let (archive, out) = (place.path().join("p-1.0.tar.gz"), place.path().join("out"));
        let files = [
            ("p-1.0/LICENSE.txt", "free"),
            ("p-1.0/data/a_image.nrrd", "ct"),
            ("p-1.0/data/a_label.nrrd", "lesion"),
        ];
        write_archive(&archive, &[files[0], files[1], files[2], ("p-1.0/setup.py", "code")]);
        let hashes = files.map(|(_, text)| sha256(text.as_bytes()));
        let [licence_file, image, label] =
            [0, 1, 2].map(|n| SampleFile { path: files[n].0, sha256: &hashes[n] });
        let cases = [SampleCase { name: "a", shows: "a lesion", image, label, click_ijk: [0; 3] }];
        let archive_sha256 = sha256(&fs::read(&archive).unwrap());
        let sample = SampleArchive {
            project: "p",
            version: "1.0",
            sha256: &archive_sha256,
            licence: "free",
            licence_file,
            cases: &cases,
        };
        assert!(!sample.is_in(&out));
        sample.extract(&archive, &out, &|_| {}).unwrap();
        assert!(sample.is_in(&out));
        let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["LICENSE.txt", "a_image.nrrd", "a_label.nrrd"]);

        // A damaged file is noticed and replaced.
        fs::write(out.join("a_label.nrrd"), "changed").unwrap();
        assert!(!sample.is_in(&out));
        sample.extract(&archive, &out, &|_| {}).unwrap();
        assert!(sample.is_in(&out));

        // Another file in the archive, then another archive.
        let other = sha256(b"other");
        let wrong_case = [SampleCase { label: SampleFile { sha256: &other, ..label }, ..cases[0] }];
        let error =
            SampleArchive { cases: &wrong_case, ..sample }.extract(&archive, &out, &|_| {}).unwrap_err();
        assert!(error.to_string().contains("a_label.nrrd") && error.to_string().contains(&other), "{error}");
        let error = PYRADIOMICS.extract(&archive, &out, &|_| {}).unwrap_err().to_string();
        assert!(error.contains("p-1.0.tar.gz") && error.contains(PYRADIOMICS.sha256), "{error}");
    }
}
