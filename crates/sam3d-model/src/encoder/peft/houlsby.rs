//! Adapter (Houlsby et al., "Parameter-efficient transfer learning for NLP", 2019): a bottleneck behind the attention and
//! another behind the MLP of every block, each before the residual sum: `x + up(gelu(down(x)))`.
//!
//! Readings. The width of the bottleneck is not published for the comparison; 4/15 of the tokens' (204 of 768) gives the
//! published number of tuned parameters. Weights start at a normal distribution of deviation 0.01, so that a block starts
//! near what it is without them. The block's layer norms are trained, as in that paper.

use tch::{
    Tensor,
    nn::{Init, Path},
};

use crate::tch_ext::Linear;

/// Near the identity at the start.
const START: Init = Init::Randn { mean: 0.0, stdev: 1e-2 };

/// A bottleneck with a residual, which looks at one token at a time.
#[derive(Debug)]
pub(crate) struct Bottleneck {
    down: Linear,
    up: Linear,
}

impl Bottleneck {
    pub(super) fn new(path: Path<'_>, channels: i64) -> Self {
        let hidden = (channels * 4 / 15).max(1);
        Self {
            down: Linear::with_init(&path / "down", channels, hidden, START),
            up: Linear::with_init(&path / "up", hidden, channels, START),
        }
    }

    /// # Shapes
    /// `[..., E]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        xs + self.up.forward(&self.down.forward(xs).gelu("none"))
    }
}
