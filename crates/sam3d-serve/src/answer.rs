//! From clicks on an image to its mask: the path that page and protocol share.

use std::sync::Arc;

use ndarray::Array3;
use sam3d_geom::Point;
use sam3d_train::predict;

use crate::{
    image::Image,
    model::{Found, Pending},
    refusal::Refusal,
    state::Shared,
};

/// The mask for some clicks, 0 and 1, `[k, j, i]` in the file's grid.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) mask: Array3<u8>,
    pub(crate) voxels: u64,
    pub(crate) volume_ml: f64,
    pub(crate) found: Found,
}

impl Answer {
    fn new(mask: Array3<u8>, image: &Image, found: Found) -> Self {
        let voxels = mask.iter().filter(|value| **value != 0).count() as u64;
        let voxel_mm3: f64 = image.grid().spacing_ijk_mm().iter().product();
        Self { mask, voxels, volume_ml: voxels as f64 * voxel_mm3 / 1000.0, found }
    }
}

/// The mask of the voxels whose probability for `points` is above `threshold`.
pub(crate) async fn answer(
    shared: &Shared,
    image: Arc<Image>,
    points: Vec<Point>,
    threshold: f64,
) -> Result<Answer, Refusal> {
    let pending = shared.model.ask(Arc::clone(&image), points)?;
    finish(shared, image, pending, threshold).await
}

/// The mask, once the network has answered.
pub(crate) async fn finish(
    shared: &Shared,
    image: Arc<Image>,
    pending: Pending,
    threshold: f64,
) -> Result<Answer, Refusal> {
    let found = pending.found().await?;
    // A grid of floats in the file's size for each: one at a time bounds the memory.
    let permit = Arc::clone(&shared.resizing).acquire_owned().await;
    let permit = permit.map_err(|error| Refusal::internal("resize the mask", &error))?;
    let work = move || {
        let _permit = permit;
        let probability = predict::native_from_crop(image.frame(), found.window, found.probability.view())
            .map_err(|error| Refusal::of_prediction(&error))?;
        Ok(Answer::new(predict::mask_above(probability.view(), threshold), &image, found))
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Refusal::internal("resize the mask", &error))?
}
