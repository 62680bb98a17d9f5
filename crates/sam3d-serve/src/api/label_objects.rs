//! The objects of a label, to begin from: those of a file that a person has, or of the label that was saved.

use std::{collections::BTreeMap, path::Path};

use axum::{Json, body::Body, extract::State};
use futures_util::StreamExt;
use ndarray::{Array3, ArrayView3};
use sam3d_infer::{Image, MaskRuns};
use sam3d_io::{Grid, IoError, ReadLimits, check_same_grid, nrrd};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{Asked, ImageQuery, asked};
use crate::{
    labels::Tag,
    monai::labels_missing,
    names::Asker,
    private::PrivateDirectory,
    received::receive,
    refusal::{Refusal, sentence},
    room::Purpose,
    state::SharedState,
};

/// Most layers of a segmentation that are read, as a multiple of the image's voxels.
const MOST_LAYERS: usize = 16;
/// Most objects of a label.
const MOST_OBJECTS: usize = 255;

/// One object of a label.
#[derive(Debug, Serialize)]
pub(crate) struct LabelObject {
    /// The segment's name; none for a plain label map.
    name: Option<String>,
    /// Red, green and blue from 0 to 1, if the file names a colour.
    colour: Option<[f32; 3]>,
    voxels: usize,
    /// First voxel and number of voxels of each run in C order of `[k, j, i]`.
    runs: Vec<[usize; 2]>,
}

/// An image, and the name of the file with its label.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileQuery {
    study: Option<String>,
    upload: Option<String>,
    series: Option<String>,
    sha256: Option<String>,
    name: String,
}

/// `POST /api/label/objects?name=`: the objects of the label map or segmentation in the body, which must lie on the image's grid.
pub(crate) async fn of_file(
    State(server): SharedState,
    query: Asked<FileQuery>,
    asker: Asker,
    body: Body,
) -> Result<Json<Vec<LabelObject>>, Refusal> {
    let FileQuery { study, upload, series, sha256, name } = asked(query)?;
    let image = ImageQuery { study, upload, series, sha256 }.open(&server).await?;
    let place = server.uploads.reserve(Purpose::Pass, asker.address())?;
    let broken_off = |error| Refusal::bad_request(format!("the upload broke off: {}", sentence(&error)));
    let chunks = body.into_data_stream().map(|chunk| chunk.map_err(broken_off));
    let received = receive(&server, chunks, &name, place, server.config.limits.upload_bytes).await?;
    let voxels: usize = image.grid().shape_ijk().iter().product();
    let memory = server.images.memory_of(voxels as u64).await?;
    let most_runs = server.rules.most_runs;
    let work = move || objects_of((&received.path(), &received.name), &image, most_runs);
    let objects =
        spawn_blocking(work).await.map_err(|error| Refusal::internal("read the label", &error))??;
    drop(memory);
    Ok(Json(objects))
}

/// `GET /api/label`: the objects of the label that was saved for the image.
pub(crate) async fn of_saved(
    State(server): SharedState,
    query: Asked<ImageQuery>,
) -> Result<Json<Vec<LabelObject>>, Refusal> {
    let query = asked(query)?;
    let known = server.images.named(&query.name()?, &server.config, &server.uploads).await?;
    let image = query.open(&server).await?;
    let voxels: usize = image.grid().shape_ijk().iter().product();
    let memory = server.images.memory_of(voxels as u64).await?;
    let work = move || {
        let labels = server.labels.as_ref().ok_or_else(labels_missing)?;
        let failed = |error: std::io::Error| Refusal::internal("read the label", &error);
        let (mut label, format) = labels
            .open(&known.stem, Tag::Final)
            .map_err(failed)?
            .ok_or_else(|| Refusal::not_found("no label was saved for this image"))?;
        // A copy of its own: another one may be saved meanwhile.
        let directory = PrivateDirectory::new(server.uploads.directory(), "mask-").map_err(failed)?;
        let path = directory.path().join("label").with_extension(&format.ending()[1..]);
        let mut copy = crate::private::new_file(&path).map_err(failed)?;
        std::io::copy(&mut label, &mut copy).map_err(failed)?;
        objects_of((&path, "the saved label"), &image, server.rules.most_runs)
    };
    let objects =
        spawn_blocking(work).await.map_err(|error| Refusal::internal("read the label", &error))??;
    drop(memory);
    Ok(Json(objects))
}

/// The objects of the label at `path`, which its owner calls `name`.
fn objects_of(
    (path, name): (&Path, &str),
    image: &Image,
    most_runs: usize,
) -> Result<Vec<LabelObject>, Refusal> {
    let refused = |error: IoError| Refusal::of_volume(&error, path, name);
    let voxels: usize = image.grid().shape_ijk().iter().product();
    let same_grid =
        |grid: &Grid| check_same_grid((Path::new("the image"), image.grid()), (path, grid)).map_err(refused);
    let is_segmentation = path.to_string_lossy().ends_with(".seg.nrrd")
        || path.to_string_lossy().ends_with(".nrrd")
            && nrrd::segments(path).is_ok_and(|found| !found.is_empty());
    let objects = if is_segmentation {
        let limits = ReadLimits { max_voxels: voxels.saturating_mul(MOST_LAYERS) };
        let found = nrrd::read_layers(path, limits).map_err(refused)?;
        same_grid(&found.grid)?;
        let object = |nrrd::LayeredSegment { layer, segment }: nrrd::LayeredSegment| {
            let mask = found.layers[layer].mapv(|value| u8::from(value == segment.label));
            LabelObject::new(Some((segment.name, segment.colour)), mask.view())
        };
        found.segments.into_iter().take(MOST_OBJECTS).map(object).collect()
    } else {
        let volume = sam3d_io::read(path, ReadLimits { max_voxels: voxels }).map_err(refused)?;
        same_grid(&volume.grid)?;
        let volume = volume.into_labels(path, None).map_err(refused)?;
        of_label_map(&volume.data, name)?
    };
    let objects: Vec<LabelObject> = objects.into_iter().filter(|object| object.voxels > 0).collect();
    if objects.is_empty() {
        return Err(Refusal::bad_request(format!("{name}: no voxel is labelled")));
    }
    if objects.iter().any(|object| object.runs.len() > most_runs) {
        return Err(Refusal::bad_request(format!(
            "{name}: an object of more than {most_runs} runs of voxels is too scattered to begin from"
        )));
    }
    Ok(objects)
}

/// An object for each value but 0.
fn of_label_map(values: &Array3<f32>, name: &str) -> Result<Vec<LabelObject>, Refusal> {
    let mut objects: BTreeMap<i64, Vec<[usize; 2]>> = BTreeMap::new();
    let mut last = (0, 0);
    for (at, value) in values.iter().enumerate().map(|(at, value)| (at, *value as i64)) {
        if value == 0 {
            continue;
        }
        if value < 0 {
            let detail = format!("{name}: found the value {value}; labels are 0 and above");
            return Err(Refusal::bad_request(detail));
        }
        let runs = objects.entry(value).or_default();
        match runs.last_mut() {
            Some([start, length]) if *start + *length == at && last == (value, at - 1) => *length += 1,
            _ => runs.push([at, 1]),
        }
        last = (value, at);
        if objects.len() > MOST_OBJECTS {
            let detail = format!("{name}: more than {MOST_OBJECTS} different values: an image, not a label");
            return Err(Refusal::bad_request(detail));
        }
    }
    let object = |runs: Vec<[usize; 2]>| LabelObject {
        name: None,
        colour: None,
        voxels: runs.iter().map(|[_, length]| length).sum(),
        runs,
    };
    Ok(objects.into_values().map(object).collect())
}

impl LabelObject {
    fn new(segment: Option<(String, [f32; 3])>, mask: ArrayView3<'_, u8>) -> Self {
        let runs = MaskRuns::of(mask).runs;
        let (name, colour) = segment.unzip();
        Self { name, colour, voxels: runs.iter().map(|[_, length]| length).sum(), runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_an_object() {
        let values = Array3::from_shape_vec([1, 2, 4], vec![0.0, 2.0, 2.0, 1.0, 1.0, 0.0, 2.0, 2.0]).unwrap();
        let found = of_label_map(&values, "l.nii").unwrap();
        let runs: Vec<_> = found.iter().map(|object| object.runs.clone()).collect();
        assert_eq!(runs, [vec![[3, 2]], vec![[1, 2], [6, 2]]]);
        assert_eq!(found.iter().map(|object| object.voxels).collect::<Vec<_>>(), [2, 4]);
        let many = Array3::from_shape_fn([1, 1, 300], |(_, _, i)| i as f32);
        assert!(of_label_map(&many, "ct.nii").unwrap_err().detail.contains("an image, not a label"));
    }
}
