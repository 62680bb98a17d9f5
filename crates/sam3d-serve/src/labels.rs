//! Labels that viewers save: files in the labels' directory, under names that come from the server.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use axum::http::StatusCode;
use sam3d_infer::Image;
use sam3d_io::{ReadLimits, atomic, atomic::Overwrite};
use serde::Serialize;
use serde_json::Value;

use crate::{ServeError, mask_file::MaskFormat, refusal::Refusal, uploads::Received};

/// What a label is: of a viewer's two words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug)]
pub(crate) struct Labels {
    directory: PathBuf,
}

/// What is written beside a label.
#[derive(Serialize)]
struct Note<'a> {
    /// The image, as the client called it.
    image: &'a str,
    /// What the client said of the label.
    params: &'a Value,
}

impl Labels {
    /// The labels in `directory`, which is made.
    pub(crate) fn new(directory: &Path) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Directory { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// The label of the image whose files are called `stem` (a name of the server's, not of a client).
    pub(crate) fn find(&self, stem: &str, tag: Tag) -> Option<(PathBuf, MaskFormat)> {
        [MaskFormat::NiftiGz, MaskFormat::Segmentation, MaskFormat::Nrrd, MaskFormat::Nifti]
            .into_iter()
            .map(|format| (self.path(stem, tag, format.ending()), format))
            .find(|(path, _)| path.is_file())
    }

    /// Keeps `label` for `image`, in place of an earlier one of the tag.
    ///
    /// `stem` is the name of the server's for the image, `name` that of the client.
    pub(crate) fn save(
        &self,
        (stem, tag): (&str, Tag),
        label: &Received,
        (image, limits): (&Image, ReadLimits),
        (name, params): (&str, &Value),
    ) -> Result<(), Refusal> {
        let format = format_of(&label.name)?;
        let volume = sam3d_io::read(&label.file, limits)
            .map_err(|error| Refusal::of_volume(&error, &label.file, &label.name))?;
        let (found, expected) = (volume.grid.shape_ijk(), image.grid().shape_ijk());
        if found != expected {
            return Err(Refusal::bad_request(format!(
                "the label has {found:?} voxels, its image {expected:?}; save it on the image's grid"
            )));
        }
        let earlier = self.find(stem, tag);
        let path = self.path(stem, tag, format.ending());
        let failed = |error: &dyn std::error::Error| Refusal::internal("keep the label", error);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(&error))?;
        }
        let mut content = fs::File::open(&label.file).map_err(|error| failed(&error))?;
        atomic::write(&path, Overwrite::Replace, |file| io::copy(&mut content, file).map(drop))
            .map_err(|error| failed(&error))?;
        let note =
            serde_json::to_vec_pretty(&Note { image: name, params }).map_err(|error| failed(&error))?;
        atomic::write(&self.path(stem, tag, ".json"), Overwrite::Replace, |file| {
            io::Write::write_all(file, &note)
        })
        .map_err(|error| failed(&error))?;
        // Only now, when the new one is there, and only if it did not take the old one's place.
        match earlier {
            Some((earlier, _)) if earlier != path => fs::remove_file(earlier).map_err(|error| failed(&error)),
            _ => Ok(()),
        }
    }

    fn path(&self, stem: &str, tag: Tag, ending: &str) -> PathBuf {
        self.directory.join(tag.name()).join(format!("{stem}{ending}"))
    }
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
