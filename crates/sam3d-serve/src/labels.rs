//! Labels that viewers save: files in the labels' directory, under names that come from the server.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use axum::http::StatusCode;
use bytes::Bytes;
use sam3d_infer::Image;
use sam3d_io::{IoError, ReadLimits, atomic, atomic::Overwrite};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{ServeError, mask_file::MaskFormat, received::Received, refusal::Refusal};

/// What a label is: of a viewer's two words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tag {
    /// Approved by whoever saved it.
    Final,
    /// As the network made it.
    Original,
}

impl Tag {
    pub(crate) const ALL: [Self; 2] = [Self::Final, Self::Original];

    /// The tag a client names; none is `final`.
    pub(crate) fn of_text(text: &str) -> Result<Self, Refusal> {
        match text {
            "" | "final" => Ok(Self::Final),
            "original" => Ok(Self::Original),
            _ => Err(Refusal::bad_request(format!(
                "there is no label tag {text:?}: expected final or original"
            ))),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Original => "original",
        }
    }
}

/// The directory of the labels: `final/` and `original/`, each with a label and a `.json` beside it for an image.
///
/// A label and its note are two files, and the label may change its ending. What decides is one rename, that of the note,
/// which holds the name and the hash of its label: the label lies complete beside it by then, under a name of its own that it
/// keeps only until it is moved to its place. Whoever finds it after a kill finishes the save, or undoes it.
#[derive(Debug)]
pub(crate) struct Labels {
    directory: PathBuf,
    /// One lock for each image whose label was saved or read.
    locks: Mutex<HashMap<PathBuf, Arc<Mutex<()>>>>,
}

/// What is written beside a label.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The image, as the client called it.
    image: String,
    /// What the client said of the label.
    params: Value,
    /// Ending and SHA-256 of the label. Earlier versions did not write them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ending: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// A label that may be kept.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    content: Content<'a>,
    sha256: String,
    format: MaskFormat,
}

#[derive(Debug)]
enum Content<'a> {
    /// A client's file.
    Received(&'a Received),
    /// A file that this server made.
    Own(Bytes),
}

/// Most different labels of a label map: the objects that a file of one byte per voxel can hold.
const MOST_LABELS: usize = 255;

impl<'a> Checked<'a> {
    /// A label in `format` that this server made.
    pub(crate) fn own(content: Bytes, format: MaskFormat) -> Self {
        Self { sha256: hexadecimal(&Sha256::digest(&content)), content: Content::Own(content), format }
    }

    /// `label`, once it is known to be a label map on the grid of `image`.
    pub(crate) fn new(label: &'a Received, image: &Image) -> Result<Self, Refusal> {
        let format = format_of(&label.name)?;
        let path = label.path();
        // A label has the voxels of its image: one that claims more is refused before memory is taken for it.
        let limits = ReadLimits { max_voxels: image.grid().shape_ijk().iter().product() };
        let refused = |error: IoError| match error {
            IoError::TooLarge { voxels, limit, .. } => Refusal::bad_request(format!(
                "{}: the label has {voxels} voxels, its image {limit}; save it on the image's grid",
                label.name
            )),
            error => Refusal::of_volume(&error, &path, &label.name),
        };
        let volume = sam3d_io::read(&path, limits).map_err(refused)?;
        sam3d_io::check_same_grid((Path::new("the image"), image.grid()), (&path, &volume.grid))
            .map_err(refused)?;
        let volume = volume.into_labels(&path, None).map_err(refused)?;
        let mut values = BTreeSet::new();
        let mut last = 0.0;
        for value in volume.data {
            if value == last {
                continue;
            }
            last = value;
            if value < 0.0 {
                let detail = format!("{}: found the value {value}; labels are 0 and above", label.name);
                return Err(Refusal::bad_request(detail));
            }
            if value != 0.0 && values.insert(value as u64) && values.len() > MOST_LABELS {
                return Err(Refusal::bad_request(format!(
                    "{}: more than {MOST_LABELS} different values: an image, not a label",
                    label.name
                )));
            }
        }
        Ok(Self { sha256: label.sha256.clone(), content: Content::Received(label), format })
    }
}

const FORMATS: [MaskFormat; 4] =
    [MaskFormat::NiftiGz, MaskFormat::Segmentation, MaskFormat::Nrrd, MaskFormat::Nifti];

impl Labels {
    /// The labels in `directory`, which is made.
    pub(crate) fn new(directory: &Path) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Directory { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        Ok(Self { directory: directory.to_owned(), locks: Mutex::default() })
    }

    /// The format of the label of the image whose files are called `stem` (a name of the server's, not of a client).
    pub(crate) fn find(&self, stem: &str, tag: Tag) -> Option<MaskFormat> {
        self.locked(stem, tag, || Ok(self.place(stem, tag).current()))
            .unwrap_or_else(|error| {
                tracing::warn!("the label of {stem}: {error}");
                None
            })
            .map(|(_, format)| format)
    }

    /// The label of the image `stem`, open: saving another one does not change what is read from it.
    pub(crate) fn open(&self, stem: &str, tag: Tag) -> io::Result<Option<(fs::File, MaskFormat)>> {
        self.locked(stem, tag, || match self.place(stem, tag).current() {
            Some((path, format)) => fs::File::open(path).map(|file| Some((file, format))),
            None => Ok(None),
        })
    }

    /// When the label of the image `stem` was saved, in seconds since 1970; `None` if there is none.
    pub(crate) fn saved_at(&self, stem: &str, tag: Tag) -> Option<u64> {
        let (path, _) = self.place(stem, tag).current()?;
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        modified.duration_since(UNIX_EPOCH).ok().map(|elapsed| elapsed.as_secs())
    }

    /// Keeps a label for an image, in place of an earlier one of the tag.
    ///
    /// `stem` is the name of the server's for the image, `name` that of the client.
    pub(crate) fn save(
        &self,
        (stem, tag): (&str, Tag),
        Checked { content, sha256, format }: Checked<'_>,
        (name, params): (&str, &Value),
    ) -> Result<(), Refusal> {
        let note = Note {
            image: name.to_owned(),
            params: params.clone(),
            ending: Some(format.ending().to_owned()),
            sha256: Some(sha256),
        };
        let place = self.place(stem, tag);
        let saved = self.locked(stem, tag, || {
            place.write(&place.pending(format), |file| match content {
                Content::Received(label) => io::copy(&mut fs::File::open(label.path())?, file).map(drop),
                Content::Own(bytes) => io::Write::write_all(file, &bytes),
            })?;
            let note = serde_json::to_vec_pretty(&note)?;
            place.write(&place.note(), |file| io::Write::write_all(file, &note))?;
            place.recover()
        });
        saved.map_err(|error| Refusal::internal("keep the label", &error))
    }

    /// Does `work` while nobody else in this program is at the label, and after what a kill left was put in order.
    fn locked<T>(&self, stem: &str, tag: Tag, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let place = self.place(stem, tag);
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(place.note()).or_default())
        };
        let _locked = lock.lock().unwrap_or_else(PoisonError::into_inner);
        place.recover()?;
        work()
    }

    fn place(&self, stem: &str, tag: Tag) -> Place {
        Place { path: self.directory.join(tag.name()).join(stem) }
    }
}

/// Where the label of one image and tag is: the path without an ending.
struct Place {
    path: PathBuf,
}

impl Place {
    fn label(&self, format: MaskFormat) -> PathBuf {
        self.with(format.ending())
    }

    fn note(&self) -> PathBuf {
        self.with(".json")
    }

    /// A label that was written and has no note yet, or is not in its place yet. It is hidden from who lists studies.
    fn pending(&self, format: MaskFormat) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".pending-{name}{}", format.ending()))
    }

    fn with(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    fn write(
        &self,
        path: &Path,
        content: impl FnOnce(&mut io::BufWriter<&mut fs::File>) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        atomic::write(path, Overwrite::Replace, content).map_err(io::Error::other)
    }

    fn read_note(&self) -> Option<Note> {
        serde_json::from_slice(&fs::read(self.note()).ok()?).ok()
    }

    /// The label that its note names; without one, the first that is there.
    fn current(&self) -> Option<(PathBuf, MaskFormat)> {
        let named = self.read_note().and_then(|note| MaskFormat::of_ending(&note.ending?));
        named
            .into_iter()
            .chain(FORMATS)
            .map(|format| (self.label(format), format))
            .find(|(path, _)| path.is_file())
    }

    /// Moves a pending label to its place if the note is its own, and removes it otherwise.
    fn recover(&self) -> io::Result<()> {
        for format in FORMATS {
            let pending = self.pending(format);
            if !pending.is_file() {
                continue;
            }
            let is_named = self.read_note().is_some_and(|note| {
                note.ending.as_deref() == Some(format.ending())
                    && note.sha256.is_some_and(|sha256| hash_of(&pending).is_ok_and(|hash| hash == sha256))
            });
            if !is_named {
                fs::remove_file(&pending)?;
                continue;
            }
            fs::rename(&pending, self.label(format))?;
            for other in FORMATS.into_iter().filter(|other| *other != format) {
                match fs::remove_file(self.label(other)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn format_of(name: &str) -> Result<MaskFormat, Refusal> {
    let lower = name.to_ascii_lowercase();
    // The longer ending first.
    [MaskFormat::Segmentation, MaskFormat::NiftiGz, MaskFormat::Nrrd, MaskFormat::Nifti]
        .into_iter()
        .find(|format| lower.ends_with(format.ending()))
        .ok_or_else(|| {
            let detail = format!("{name}: labels are saved as .nii.gz, .nii, .nrrd or .seg.nrrd");
            Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(labels: &Labels) -> Place {
        labels.place("ct", Tag::Final)
    }

    fn saved(labels: &Labels, format: MaskFormat, content: &str) {
        let place = place(labels);
        place.write(&place.label(format), |file| io::Write::write_all(file, content.as_bytes())).unwrap();
        note(labels, format, content);
    }

    fn note(labels: &Labels, format: MaskFormat, content: &str) {
        let sha256: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        let note = Note {
            image: content.to_owned(),
            params: Value::Null,
            ending: Some(format.ending().to_owned()),
            sha256: Some(sha256),
        };
        let note = serde_json::to_vec(&note).unwrap();
        let place = place(labels);
        place.write(&place.note(), |file| io::Write::write_all(file, &note)).unwrap();
    }

    fn served(labels: &Labels) -> (String, String) {
        let (mut file, _) = labels.open("ct", Tag::Final).unwrap().unwrap();
        let mut content = String::new();
        io::Read::read_to_string(&mut file, &mut content).unwrap();
        (content, place(labels).read_note().unwrap().image)
    }

    /// A kill between any two steps of a save leaves a label with its own note, the earlier or the new one.
    #[test]
    fn a_kill_leaves_a_label_with_its_note() {
        for (format, note_written, expected) in [
            (MaskFormat::NiftiGz, false, "old"),
            (MaskFormat::NiftiGz, true, "new"),
            (MaskFormat::Nrrd, false, "old"),
            (MaskFormat::Nrrd, true, "new"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let labels = Labels::new(directory.path()).unwrap();
            saved(&labels, MaskFormat::NiftiGz, "old");
            let place = place(&labels);
            place.write(&place.pending(format), |file| io::Write::write_all(file, b"new")).unwrap();
            if note_written {
                note(&labels, format, "new");
            }
            assert_eq!(served(&labels), (expected.to_owned(), expected.to_owned()), "{format:?}");
            assert_eq!(fs::read_dir(directory.path().join("final")).unwrap().count(), 2);
        }
    }

    #[test]
    fn the_note_says_which_label_counts() {
        let directory = tempfile::tempdir().unwrap();
        let labels = Labels::new(directory.path()).unwrap();
        assert!(labels.open("ct", Tag::Final).unwrap().is_none());
        saved(&labels, MaskFormat::NiftiGz, "earlier");
        saved(&labels, MaskFormat::Nifti, "later");
        // Killed before the earlier one was removed.
        assert_eq!(served(&labels), ("later".to_owned(), "later".to_owned()));
        assert_eq!(labels.find("ct", Tag::Final), Some(MaskFormat::Nifti));
    }
}
