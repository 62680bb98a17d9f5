//! A volume as the network sees it.

use std::path::Path;

use sam3d_geom::Preprocessing;
use sam3d_io::{
    Grid, IoError, ReadLimits,
    prepare::{Frame, PreparedImage, prepare_image},
};
use sha2::{Digest, Sha256};

/// What distinguishes one image's content from another's: a hash over the voxels the network sees.
pub(crate) type ContentId = [u8; 32];

/// A prepared image. The file's own voxels are not kept.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) prepared: PreparedImage,
    pub(crate) content: ContentId,
}

impl Image {
    /// Reads and prepares the volume at `path`.
    pub(crate) fn load(
        path: &Path,
        limits: ReadLimits,
        preprocessing: &Preprocessing,
    ) -> Result<Self, IoError> {
        let volume = sam3d_io::read(path, limits)?;
        let prepared = prepare_image(&volume, preprocessing)?;
        let content = content_of(&prepared);
        Ok(Self { prepared, content })
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.prepared.frame
    }

    pub(crate) fn grid(&self) -> &Grid {
        self.prepared.frame.grid()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.prepared.image.len() * size_of::<f32>()
    }
}

fn content_of(prepared: &PreparedImage) -> ContentId {
    let mut hash = Sha256::new();
    for size in prepared.image.shape() {
        hash.update((*size as u64).to_le_bytes());
    }
    let mut bytes = Vec::new();
    for plane in prepared.image.outer_iter() {
        bytes.clear();
        plane.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        hash.update(&bytes);
    }
    hash.finalize().into()
}
