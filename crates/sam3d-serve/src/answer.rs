//! From prompts on an image to its mask: the path that page and protocol share.

use std::sync::Arc;

use sam3d_infer::{Image, MaskPart, Prompt};

use crate::{
    model::{Answered, Pending},
    prompts,
    refusal::Refusal,
    state::Shared,
};

/// The mask for the prompts of one object.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where the file's grid is set.
    pub(crate) mask: MaskPart,
    pub(crate) answered: Answered,
}

/// The mask of the voxels whose probability after `prompts`, one after another, is above `threshold`.
pub(crate) async fn answer(
    shared: &Shared,
    image: Arc<Image>,
    prompts: &[Prompt],
    threshold: f64,
) -> Result<Answer, Refusal> {
    let pending = shared.model.ask(Arc::clone(&image), prompts::steps(prompts))?;
    finish(shared, image, pending, threshold).await
}

/// The mask, once the network has answered.
pub(crate) async fn finish(
    shared: &Shared,
    image: Arc<Image>,
    pending: Pending,
    threshold: f64,
) -> Result<Answer, Refusal> {
    let answered = pending.answered().await.inspect_err(|refusal| shared.metrics.not_predicted(refusal))?;
    let change = answered.change;
    shared.metrics.predicted(change.and_then(|change| change.encoding), change.map(|change| change.decoding));
    let work = move || {
        let mask = answered.answer.mask(image.frame(), threshold);
        let mask = mask.map_err(|error| Refusal::of_prediction(&error))?;
        Ok(Answer { mask, answered })
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Refusal::internal("resize the mask", &error))?
}
