//! The training pass: forward, loss and backward, with as many activations kept as memory allows.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Embedding, Sam3d};
use crate::{CropPrompt, ModelError};

/// The activations that are recomputed in the backward pass instead of being kept. The gradients are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// None: fastest, with all activations in memory at once.
    #[default]
    None,
    /// Those of the image encoder's blocks: each block runs twice, and one block's activations are in memory at a time.
    Blocks,
}

impl Sam3d {
    /// Adds the gradient of `loss` to the gradient of every trained parameter and gives the loss. A loss that is not finite
    /// adds nothing.
    ///
    /// # Shapes
    /// `image` and `prompts` as [`Sam3d::forward`]; `loss` is given the logits `[B, 2, P, P, P]` and returns a scalar.
    ///
    /// # Errors
    /// As [`Sam3d::forward`].
    pub fn backward(
        &self,
        image: &Tensor,
        prompts: &[CropPrompt],
        recompute: Recompute,
        loss: impl FnOnce(&Tensor) -> Tensor,
    ) -> Result<f64, ModelError> {
        self.backward_embedded(image, recompute, |embedding| Ok(loss(&self.decode(embedding, prompts)?)))
    }

    /// As [`backward`](Self::backward), for a loss of the embedding, which may be decoded several times: the image is encoded
    /// once.
    ///
    /// # Errors
    /// As [`Sam3d::encode`], and those of `loss`.
    pub fn backward_embedded<E: From<ModelError>>(
        &self,
        image: &Tensor,
        recompute: Recompute,
        loss: impl FnOnce(&Embedding) -> Result<Tensor, E>,
    ) -> Result<f64, E> {
        self.check_image(image)?;
        let _precision = self.precision.enter();
        let (maps, tape) = match recompute {
            Recompute::None => (self.image_encoder.forward(image), None),
            Recompute::Blocks => {
                let (maps, tape) = self.image_encoder.forward_taped(image);
                (maps, Some(tape))
            }
        };
        let loss = loss(&self.encode_maps(maps, image))?;
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            return Ok(value);
        }
        loss.f_backward().map_err(ModelError::from)?;
        // The decoder's graph holds more than a block's; it must be gone before the sweep.
        drop(loss);
        if let Some(tape) = tape {
            self.image_encoder.backward_taped(image, tape);
        }
        Ok(value)
    }
}
