//! Several objects as one file. Voxels of two objects are never given to one of them in silence.

use std::{path::Path, sync::Arc};

use axum::http::StatusCode;
use bytes::Bytes;
use ndarray::{Array3, ArrayViewMut2, s};
use sam3d_infer::{Image, MaskPart, Prompt};
use sam3d_io::{
    Grid,
    atomic::Overwrite,
    nrrd::{self, LayeredSegment, Segment},
};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::{
    mask::mask_sha256,
    object::{Drawn, Masked},
};
use crate::{
    dicom_file::{self, Description, DicomMask, ObjectFormat},
    edits::Edit,
    images::Located,
    mask_file::{self, MaskFormat, MaskType},
    prompts::Click,
    refusal::Refusal,
    state::Shared,
};

/// One object of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Object {
    pub(super) name: String,
    /// What the segment of a DICOM file is: tumour, lesion, or a code VALUE:SCHEME:MEANING.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Red, green and blue from 0 to 1.
    colour: [f32; 3],
    /// Clicks, or prompts of every kind as the session log has them.
    clicks: Option<Vec<Click>>,
    prompts: Option<Vec<Prompt>>,
    /// What was painted by hand.
    #[serde(default)]
    edits: Vec<Edit>,
    threshold: f64,
    /// What the server said of the mask that is shown.
    mask_sha256: Option<String>,
}

/// What becomes of voxels that belong to several objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Overlap {
    /// They stay in all of them: in layers of a `.seg.nrrd`; other formats, which have one label for each voxel, are refused.
    #[default]
    Keep,
    /// They belong to the last of these objects in the order that was sent.
    LaterOverEarlier,
}

/// The masks of the objects of a file, with their labels, which count from 1.
#[derive(Debug)]
pub(super) struct Segmentation {
    masks: Vec<MaskPart>,
    segments: Vec<Segment>,
    descriptions: Vec<Description>,
}

impl Segmentation {
    /// The masks, computed again from what was sent and not taken from the page: what is saved is what the network said, voxel for
    /// voxel. They must be the masks that were shown, by their hashes.
    pub(super) async fn of(
        objects: Vec<Object>,
        server: &Shared,
        image: &Arc<Image>,
    ) -> Result<Self, Refusal> {
        let mut found = Self { masks: Vec::new(), segments: Vec::new(), descriptions: Vec::new() };
        for object in objects {
            let label = u8::try_from(found.segments.len() + 1).map_err(|_| {
                Refusal::bad_request("more than 255 objects do not fit a file of one byte per voxel")
            })?;
            let Object { name, kind, colour, clicks, prompts, edits, threshold, mask_sha256: shown } = object;
            let kind = kind.as_deref().map(str::parse).transpose().map_err(Refusal::bad_request)?;
            let is_edited = !edits.is_empty();
            let drawn = Drawn::new((clicks, prompts, edits), threshold, (server, image))?;
            let pending = drawn.ask(server, image)?;
            let Masked { mask, log, .. } = drawn.finish(server, Arc::clone(image), pending).await?;
            if shown.is_some_and(|shown| shown != mask_sha256(&mask, image.grid().shape_kji())) {
                let detail = format!("the mask of {name} is no longer the one that is shown; click again");
                return Err(Refusal::new(StatusCode::CONFLICT, detail));
            }
            found.masks.push(mask);
            found.descriptions.push(Description { kind: kind.unwrap_or_default(), log, is_edited });
            found.segments.push(Segment { name, label, colour });
        }
        if found.segments.is_empty() {
            return Err(Refusal::bad_request("there is no object with a click yet"));
        }
        Ok(found)
    }

    /// The bytes of a DICOM object beside the series at `located`, in which objects may overlap.
    pub(super) async fn encode_dicom(
        self,
        format: ObjectFormat,
        located: Located,
        (server, image): (&Shared, &Image),
    ) -> Result<Bytes, Refusal> {
        // Each mask is a volume of its own there, of a byte for each voxel; reading takes more.
        let voxels: usize = image.grid().shape_ijk().iter().product();
        let memory = server.images.memory_of((voxels * self.masks.len() / 8) as u64).await?;
        let server = Arc::clone(server);
        let work = move || {
            let _memory = memory;
            let Self { masks, segments, descriptions } = self;
            let objects: Vec<DicomMask> = masks
                .into_iter()
                .zip(segments)
                .zip(descriptions)
                .map(|((mask, Segment { name, colour, .. }), description)| DicomMask {
                    name,
                    colour,
                    mask,
                    description,
                })
                .collect();
            let directory = server.uploads.directory();
            dicom_file::encode(directory, &located, &objects, format, &server.config.algorithm)
        };
        spawn_blocking(work).await.map_err(|error| Refusal::internal("write the DICOM object", &error))?
    }

    /// The names of the objects.
    pub(super) fn names(&self) -> Vec<String> {
        self.segments.iter().map(|segment| segment.name.clone()).collect()
    }

    /// The bytes of a file, made in `directory` and removed from there.
    pub(super) fn encode(
        &self,
        (format, overlap): (MaskFormat, Overlap),
        grid: &Grid,
        directory: &Path,
    ) -> Result<Bytes, Refusal> {
        if format == MaskFormat::Segmentation && overlap == Overlap::Keep {
            return mask_file::made(directory, format, |path| self.write_layers(path, grid));
        }
        if let Some((first, second, voxels)) = self.overlapping().filter(|_| overlap == Overlap::Keep) {
            let [first, second] = [first, second].map(|at| &self.segments[at].name);
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                format!(
                    "{voxels} voxels belong to {first} and to {second}, and this format has one label for each voxel: save as \
                     .seg.nrrd, which keeps both, or say that a later object lies over an earlier one"
                ),
            ));
        }
        let mut labels = Array3::<u8>::zeros(grid.shape_kji());
        for (mask, segment) in self.masks.iter().zip(&self.segments) {
            mask.paint(&mut labels, segment.label).map_err(|error| Refusal::of_prediction(&error))?;
        }
        mask_file::encode(directory, labels.view(), grid, &self.segments, (format, MaskType::Uint8))
    }

    /// Two objects that have voxels in common, and how many.
    fn overlapping(&self) -> Option<(usize, usize, u64)> {
        let pairs = (0..self.masks.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
        pairs
            .map(|(first, second)| (first, second, common_voxels(&self.masks[first], &self.masks[second])))
            .find(|(_, _, voxels)| *voxels > 0)
    }

    /// For each object the first layer in which it overlaps none before it.
    fn layers(&self) -> Vec<usize> {
        let mut layers: Vec<usize> = Vec::new();
        for (at, mask) in self.masks.iter().enumerate() {
            let taken: Vec<usize> = (0..at)
                .filter(|other| common_voxels(&self.masks[*other], mask) > 0)
                .map(|other| layers[other])
                .collect();
            layers.push((0..).find(|layer| !taken.contains(layer)).unwrap_or_default());
        }
        layers
    }

    fn write_layers(&self, path: &Path, grid: &Grid) -> Result<(), sam3d_io::IoError> {
        let layers = self.layers();
        let segments: Vec<LayeredSegment> = layers
            .iter()
            .zip(&self.segments)
            .map(|(layer, segment)| LayeredSegment { layer: *layer, segment: segment.clone() })
            .collect();
        let paint = |k: usize, layer: usize, mut plane: ArrayViewMut2<'_, u8>| {
            for (mask, segment) in
                self.masks.iter().zip(&segments).filter(|(_, segment)| segment.layer == layer)
            {
                let [first, j, i] = mask.start;
                let (depth, rows, columns) = mask.values.dim();
                let Some(at) = k.checked_sub(first).filter(|at| *at < depth) else { continue };
                let mut part = plane.slice_mut(s![j..j + rows, i..i + columns]);
                part.zip_mut_with(&mask.values.slice(s![at, .., ..]), |to, value| {
                    if *value != 0 {
                        *to = segment.segment.label;
                    }
                });
            }
        };
        let count = layers.iter().max().map_or(1, |last| last + 1);
        nrrd::write_layers(path, grid, count, &segments, paint, Overwrite::Refuse)
    }
}

/// How many voxels two masks have in common.
fn common_voxels(a: &MaskPart, b: &MaskPart) -> u64 {
    let end = |mask: &MaskPart, axis: usize| mask.start[axis] + mask.values.shape()[axis];
    let ranges: [_; 3] =
        std::array::from_fn(|axis| (a.start[axis].max(b.start[axis]), end(a, axis).min(end(b, axis))));
    if ranges.iter().any(|(start, end)| start >= end) {
        return 0;
    }
    let part = |mask: &MaskPart| {
        let [k, j, i] =
            std::array::from_fn(|axis| ranges[axis].0 - mask.start[axis]..ranges[axis].1 - mask.start[axis]);
        mask.values.slice(s![k, j, i]).to_owned()
    };
    let (a, b) = (part(a), part(b));
    a.iter().zip(&b).filter(|(a, b)| **a != 0 && **b != 0).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(start: usize, end: usize) -> MaskPart {
        MaskPart { start: [0, 0, start], values: Array3::ones([1, 1, end - start]) }
    }

    #[test]
    fn objects_share_a_layer_unless_they_overlap() {
        let segment = |label| Segment { name: format!("object {label}"), label, colour: [0.0; 3] };
        let masks = vec![bar(0, 4), bar(3, 6), bar(4, 5), bar(6, 8), bar(2, 7)];
        let segments = (1..=5).map(segment).collect();
        let segmentation = Segmentation { masks, segments, descriptions: Vec::new() };
        assert_eq!(segmentation.layers(), [0, 1, 0, 0, 2]);
        assert_eq!(segmentation.overlapping(), Some((0, 1, 1)));
        assert_eq!(common_voxels(&bar(0, 4), &bar(4, 8)), 0);
        assert_eq!(common_voxels(&bar(0, 6), &bar(2, 8)), 4);
        assert_eq!(common_voxels(&bar(0, 6), &MaskPart::default()), 0);
    }
}
