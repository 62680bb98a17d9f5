//! Bottlenecks with few parameters beside SAM's layers: the spatial adapter of this method, and three that the paper
//! compares it with. Where their papers leave a detail open, the choice made here is given with each.

use tch::Tensor;

use crate::tch_ext::{
    Conv, Conv3d, Linear, Path, Start, add_residual, channels_first, channels_last, records_graph,
};

/// This method: `x + relu(linear2(relu(conv(relu(linear1(x))))))` in front of each block, with a depth-wise 3 x 3 x 3
/// convolution.
#[derive(Debug)]
pub(crate) struct Adapter {
    linear1: Linear,
    conv: Conv3d,
    linear2: Linear,
}

impl Adapter {
    pub(crate) fn new(path: Path<'_>, channels: i64) -> Self {
        let hidden = channels / 2;
        Self {
            linear1: Linear::new(&path / "linear1", channels, hidden),
            conv: depthwise(&path / "conv", hidden, [3, 3, 3], Start::Default),
            linear2: Linear::new(&path / "linear2", hidden, channels),
        }
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let hidden = self.linear1.forward(xs).relu_();
        let hidden = channels_last(&self.conv.forward(&channels_first(&hidden)).relu_());
        let change = self.linear2.forward(&hidden).relu_();
        // The gradient of a ReLU needs its result, so the sum may overwrite it only without a graph.
        if records_graph() { change + xs } else { add_residual(change, xs) }
    }
}

/// Adapter (Houlsby et al., "Parameter-efficient transfer learning for NLP", 2019): a bottleneck behind the attention and
/// another behind the MLP of every block, each before the residual sum: `x + up(gelu(down(x)))`.
///
/// Choices. The width of the bottleneck is not published for the comparison; 4/15 of the tokens' (204 of 768) gives the
/// published number of tuned parameters. Weights are drawn from a normal distribution with standard deviation 0.01, so that
/// a block starts close to SAM's. The block's layer norms are trained, as in that paper.
#[derive(Debug)]
pub(crate) struct Bottleneck {
    down: Linear,
    up: Linear,
}

impl Bottleneck {
    pub(super) fn new(path: Path<'_>, channels: i64) -> Self {
        let hidden = (channels * 4 / 15).max(1);
        let start = Start::Normal(1e-2);
        Self {
            down: Linear::starting(&path / "down", channels, hidden, start),
            up: Linear::starting(&path / "up", hidden, channels, start),
        }
    }

    /// # Shapes
    /// `[..., E]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        xs + self.up.forward(&self.down.forward(xs).gelu("none"))
    }
}

/// Pro-tuning (Nie et al., "Pro-tuning: Unified prompt tuning for vision tasks", 2022): behind every block a small network
/// makes a prompt from the block's features and adds it to them: `x + up(gelu(conv(gelu(down(x)))))`.
///
/// Choices. The kernel is 3 x 3 within the slice, since the method was made for images, and the bottleneck half as wide as
/// the tokens: together they give the published number of tuned parameters. `up` starts at zero, so that training starts
/// from SAM's own features. The block's layer norms stay SAM's.
#[derive(Debug)]
pub(crate) struct PromptBlock {
    down: Linear,
    conv: Conv3d,
    up: Linear,
}

impl PromptBlock {
    pub(super) fn new(path: Path<'_>, channels: i64) -> Self {
        let hidden = channels / 2;
        Self {
            down: Linear::new(&path / "down", channels, hidden),
            conv: depthwise(&path / "conv", hidden, [3, 3, 1], Start::Default),
            up: Linear::starting(&path / "up", hidden, channels, Start::Zero),
        }
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let hidden = self.down.forward(xs).gelu("none");
        let hidden = channels_last(&self.conv.forward(&channels_first(&hidden))).gelu("none");
        xs + self.up.forward(&hidden)
    }
}

/// ST-Adapter (Pan et al., "ST-Adapter: Parameter-efficient image-to-video transfer learning", 2022), with depth in the
/// place of time: in front of every block `x + up(gelu(conv(down(x))))`, the depth-wise convolution along depth alone.
///
/// Choices. The bottleneck is half as wide as the tokens and there is one adapter in each block, in front of the
/// attention: the published number of tuned parameters leaves no room for a second. The convolution starts at zero, as in
/// that paper's code, so that a block starts as SAM's. Its layer norms stay SAM's.
#[derive(Debug)]
pub(crate) struct StAdapter {
    down: Linear,
    conv: Conv3d,
    up: Linear,
}

impl StAdapter {
    pub(super) fn new(path: Path<'_>, channels: i64) -> Self {
        let hidden = channels / 2;
        Self {
            down: Linear::new(&path / "down", channels, hidden),
            conv: depthwise(&path / "conv", hidden, [1, 1, 3], Start::Zero),
            up: Linear::new(&path / "up", hidden, channels),
        }
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let hidden = channels_first(&self.down.forward(xs));
        let hidden = channels_last(&self.conv.forward(&hidden)).gelu("none");
        xs + self.up.forward(&hidden)
    }
}

/// A convolution with one kernel of odd sides for each channel; the size is kept.
pub(super) fn depthwise(path: Path<'_>, channels: i64, sides: [i64; 3], start: Start) -> Conv3d {
    Conv3d::new(path, Conv::same(channels, channels, sides).groups(channels).start(start))
}
