//! One object of a segmentation as the page draws it: prompts for the network, and what was painted by hand.

use std::sync::Arc;

use sam3d_infer::{Change, Image, MaskPart, Prompt, SessionLog};
use tokio::task::spawn_blocking;

use crate::{
    answer::{self, Answer},
    edits::{self, Edit},
    model::Pending,
    prompts::{self, Click},
    refusal::Refusal,
    state::Shared,
};

/// What leads to the mask of one object, checked.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) prompts: Vec<Prompt>,
    edits: Vec<Edit>,
    threshold: f64,
}

/// A mask, and what the network did for it; without prompts it had nothing to do.
#[derive(Debug)]
pub(super) struct Masked {
    pub(super) mask: MaskPart,
    pub(super) voxels: u64,
    pub(super) volume_ml: f64,
    pub(super) change: Option<Change>,
    pub(super) log: Option<SessionLog>,
}

impl Drawn {
    /// Checks what a client sent: clicks or prompts, edits, or both.
    pub(super) fn new(
        (clicks, prompts, edits): (Option<Vec<Click>>, Option<Vec<Prompt>>, Vec<Edit>),
        threshold: f64,
        (server, image): (&Shared, &Image),
    ) -> Result<Self, Refusal> {
        let threshold = checked_threshold(threshold)?;
        edits::check(&edits, image.grid().shape_kji(), server.rules)?;
        let is_painted_only = !edits.is_empty()
            && clicks.as_ref().is_none_or(Vec::is_empty)
            && prompts.as_ref().is_none_or(Vec::is_empty);
        let prompts =
            if is_painted_only { Vec::new() } else { prompts::read(clicks, prompts, image, server.rules)? };
        Ok(Self { prompts, edits, threshold })
    }

    /// Asks the network, if there are prompts.
    pub(super) fn ask(&self, server: &Shared, image: &Arc<Image>) -> Result<Option<Pending>, Refusal> {
        if self.prompts.is_empty() {
            return Ok(None);
        }
        server.model.ask(Arc::clone(image), prompts::steps(&self.prompts)).map(Some)
    }

    /// The mask, once the network has answered.
    pub(super) async fn finish(
        &self,
        server: &Shared,
        image: Arc<Image>,
        pending: Option<Pending>,
    ) -> Result<Masked, Refusal> {
        let answer = match pending {
            Some(pending) => Some(answer::finish(server, Arc::clone(&image), pending, self.threshold).await?),
            None => None,
        };
        let edits = self.edits.clone();
        let work = move || {
            let (mask, change, log) = match answer {
                Some(Answer { mask, answered, .. }) => (mask, answered.change, Some(answered.log)),
                None => (MaskPart::default(), None, None),
            };
            let mask = edits::apply(mask, &edits, image.grid().shape_kji());
            let voxels = mask.voxels();
            let voxel_mm3: f64 = image.grid().spacing_ijk_mm().iter().product();
            Masked { mask, voxels, volume_ml: voxels as f64 * voxel_mm3 / 1000.0, change, log }
        };
        spawn_blocking(work).await.map_err(|error| Refusal::internal("paint the mask", &error))
    }
}

/// A threshold that is neither certain nor impossible.
fn checked_threshold(threshold: f64) -> Result<f64, Refusal> {
    if threshold > 0.0 && threshold < 1.0 {
        Ok(threshold)
    } else {
        Err(Refusal::bad_request(format!("threshold {threshold}: expected a number between 0 and 1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_probabilities() {
        assert_eq!(checked_threshold(0.5), Ok(0.5));
        for bad in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(checked_threshold(bad).is_err(), "{bad}");
        }
    }
}
