//! The encoder: a convolutional patch embedding and four stages of two blocks.

use tch::Tensor;

use super::{
    NnformerConfig,
    block::{Block, drop_rates},
};
use crate::{
    Mode,
    layers::{Conv, Conv3d, LayerNorm, Path, channels_first, channels_last, gelu},
    network::Observe,
    window_attention::Queries,
};

#[derive(Debug)]
pub(super) struct Encoder {
    patch_embed: PatchEmbed,
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    blocks: [Block; 2],
    /// For the skip only.
    norm: LayerNorm,
    downsample: Option<Downsample>,
}

impl Encoder {
    pub(super) fn new(path: &Path<'_>, config: &NnformerConfig) -> Self {
        let rates = drop_rates(config.drop_path_rate, 8);
        let stage = |index: usize| {
            let layer = path / "layers" / index;
            let block = |number: usize| {
                let rate = rates[2 * index + number];
                Block::new(&layer / "blocks" / number, config, index, number, Queries::Projected, rate)
            };
            Stage {
                blocks: [block(0), block(1)],
                norm: LayerNorm::new(path / format!("norm{index}"), config.channels(index)),
                downsample: (index < 3)
                    .then(|| Downsample::new(&layer / "downsample", config.channels(index))),
            }
        };
        Self {
            patch_embed: PatchEmbed::new(path / "patch_embed", config.channels(0)),
            stages: (0..4).map(stage).collect(),
        }
    }

    /// The normalised output of each stage.
    ///
    /// # Shapes
    /// `[B, 1, D, H, W]` to four maps `[B, D', H', W', C 2^i]`.
    pub(super) fn forward(&self, image: &Tensor, mode: Mode, observe: &mut Observe<'_>) -> Vec<Tensor> {
        let embedded = self.patch_embed.forward(image);
        observe("patch_embed", &embedded);
        let mut xs = channels_last(&embedded);
        let mut skips = Vec::new();
        for stage in &self.stages {
            for block in &stage.blocks {
                xs = block.forward(&xs, mode);
            }
            skips.push(stage.norm.forward(&xs));
            if let Some(downsample) = &stage.downsample {
                xs = downsample.forward(&xs);
            }
        }
        skips
    }
}

/// Two pairs of convolutions that halve the sides twice (D once).
#[derive(Debug)]
struct PatchEmbed {
    proj1: Projection,
    norm2: LayerNorm,
    proj2: Projection,
    norm: LayerNorm,
}

impl PatchEmbed {
    fn new(path: Path<'_>, channels: i64) -> Self {
        Self {
            proj1: Projection::new(&path / "proj1", 1, channels / 2, [2, 2, 2]),
            norm2: LayerNorm::new(&path / "proj1" / "norm2", channels / 2),
            proj2: Projection::new(&path / "proj2", channels / 2, channels, [1, 2, 2]),
            norm: LayerNorm::new(&path / "norm", channels),
        }
    }

    fn forward(&self, image: &Tensor) -> Tensor {
        let xs = self.norm2.forward_channels_first(&gelu(&self.proj1.forward(image)));
        self.norm.forward_channels_first(&self.proj2.forward(&xs))
    }
}

#[derive(Debug)]
struct Projection {
    conv1: Conv3d,
    norm1: LayerNorm,
    conv2: Conv3d,
}

impl Projection {
    fn new(path: Path<'_>, inputs: i64, outputs: i64, stride: [i64; 3]) -> Self {
        Self {
            conv1: Conv3d::new(&path / "conv1", Conv::same(inputs, outputs, [3; 3]).stride(stride)),
            norm1: LayerNorm::new(&path / "norm1", outputs),
            conv2: Conv3d::new(&path / "conv2", Conv::same(outputs, outputs, [3; 3])),
        }
    }

    fn forward(&self, xs: &Tensor) -> Tensor {
        self.conv2.forward(&self.norm1.forward_channels_first(&gelu(&self.conv1.forward(xs))))
    }
}

/// Half the sides, twice the channels.
#[derive(Debug)]
struct Downsample {
    reduction: Conv3d,
    norm: LayerNorm,
}

impl Downsample {
    fn new(path: Path<'_>, channels: i64) -> Self {
        let shape = Conv::same(channels, 2 * channels, [3; 3]).stride([2; 3]);
        Self {
            reduction: Conv3d::new(&path / "reduction", shape),
            norm: LayerNorm::new(&path / "norm", channels),
        }
    }

    /// # Shapes
    /// `[B, D, H, W, C]` to `[B, D/2, H/2, W/2, 2C]`.
    fn forward(&self, xs: &Tensor) -> Tensor {
        let xs = self.norm.forward(&gelu(xs));
        channels_last(&self.reduction.forward(&channels_first(&xs)))
    }
}
