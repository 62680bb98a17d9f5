//! UNETR++ (Shaker et al., "UNETR++: Delving Into Efficient and Accurate 3D Medical Image Segmentation", 2024): blocks
//! of paired spatial and channel attention in encoder and decoder.

mod attention;
mod block;
mod config;

use tch::Tensor;

use self::block::{Block, BlockShape};
pub use self::config::UnetrPpConfig;
use crate::{
    Mode,
    blocks::{ResBlock, head},
    layers::{Conv, Conv3d, ConvTranspose3d, GroupNorm, Path, Start},
    network::Observe,
};

/// Voxels (D, H, W) of a token of the first stage.
const PATCH: [i64; 3] = [2, 4, 4];

/// The network.
#[derive(Debug)]
pub(crate) struct UnetrPp {
    pub(crate) stages: [Stage; 4],
    encoder1: ResBlock,
    /// From the deepest, `decoder5`, to `decoder3`.
    decoders: [DecoderStage; 3],
    decoder2_up: ConvTranspose3d,
    decoder2: ResBlock,
    out1: Conv3d,
}

impl UnetrPp {
    pub(crate) fn new(path: &Path<'_>, config: &UnetrPpConfig) -> Self {
        let c = config.feature_size as i64;
        let encoder = path / "unetr_pp_encoder";
        let decoder2 = path / "decoder2";
        let up = Conv::patches(2 * c, c, PATCH).bias(false);
        Self {
            stages: std::array::from_fn(|index| Stage::new(&encoder, config, index)),
            encoder1: ResBlock::new(path / "encoder1", 1, c),
            decoders: [2, 1, 0]
                .map(|stage| DecoderStage::new(path / format!("decoder{}", stage + 3), config, stage)),
            decoder2_up: ConvTranspose3d::new(&decoder2 / "transp_conv" / "conv", up),
            decoder2: ResBlock::new(&decoder2 / "decoder_block" / 0, c, c),
            out1: head(path / "out1", c),
        }
    }

    /// # Shapes
    /// `[B, 1, D, H, W]` to `[B, 2, D, H, W]`.
    pub(crate) fn forward(&self, image: &Tensor, mode: Mode, observe: &mut Observe<'_>) -> Tensor {
        let full = self.encoder1.forward(image, mode);
        let mut skips = Vec::new();
        let mut xs = image.shallow_clone();
        for (index, stage) in self.stages.iter().enumerate() {
            xs = stage.forward(&xs, mode);
            observe(["stage_0", "stage_1", "stage_2", "stage_3"][index], &xs);
            skips.push(xs.shallow_clone());
        }
        for (index, stage) in self.decoders.iter().enumerate() {
            xs = stage.forward(&xs, &skips[2 - index], mode);
            if index == 0 {
                observe("decoder5_out", &xs);
            }
        }
        let xs = self.decoder2_up.forward(&xs) + full;
        self.out1.forward(&self.decoder2.forward(&xs, mode))
    }
}

/// A stage of the encoder: a strided convolution, a norm, and the blocks.
#[derive(Debug)]
pub(crate) struct Stage {
    downsample: Conv3d,
    norm: GroupNorm,
    pub(crate) blocks: Vec<Block>,
}

impl Stage {
    fn new(path: &Path<'_>, config: &UnetrPpConfig, index: usize) -> Self {
        let channels = config.channels(index);
        // The norm has as many groups as the convolution has inputs: one at first, then pairs of channels.
        let (inputs, side) = if index == 0 { (1, PATCH) } else { (config.channels(index - 1), [2; 3]) };
        let layer = path / "downsample_layers" / index;
        let blocks = path / "stages" / index;
        let shape = BlockShape {
            channels,
            tokens: config.tokens(index),
            width: config.proj_size[index] as i64,
            start: Start::Normal(0.02),
        };
        Self {
            downsample: Conv3d::new(&layer / 0 / "conv", Conv::patches(inputs, channels, side).bias(false)),
            norm: GroupNorm::new(&layer / 1, channels, inputs),
            blocks: (0..config.depth).map(|block| Block::new(&blocks / block, config, &shape)).collect(),
        }
    }

    pub(crate) fn embed(&self, xs: &Tensor) -> Tensor {
        self.norm.forward(&self.downsample.forward(xs))
    }

    fn forward(&self, xs: &Tensor, mode: Mode) -> Tensor {
        self.blocks.iter().fold(self.embed(xs), |xs, block| block.forward(&xs, mode))
    }
}

/// A stage of the decoder: twice the sides, the skip added, and the blocks.
#[derive(Debug)]
struct DecoderStage {
    up: ConvTranspose3d,
    blocks: Vec<Block>,
}

impl DecoderStage {
    /// The stage on the grid of encoder stage `stage`.
    fn new(path: Path<'_>, config: &UnetrPpConfig, stage: usize) -> Self {
        let blocks = &path / "decoder_block" / 0;
        let channels = config.channels(stage);
        let shape = BlockShape {
            channels,
            tokens: config.tokens(stage),
            width: config.decoder_proj_size as i64,
            start: Start::Default,
        };
        let up = Conv::patches(2 * channels, channels, [2; 3]).bias(false);
        Self {
            up: ConvTranspose3d::new(&path / "transp_conv" / "conv", up),
            blocks: (0..config.depth).map(|block| Block::new(&blocks / block, config, &shape)).collect(),
        }
    }

    fn forward(&self, xs: &Tensor, skip: &Tensor, mode: Mode) -> Tensor {
        let joined = self.up.forward(xs) + skip;
        self.blocks.iter().fold(joined, |xs, block| block.forward(&xs, mode))
    }
}
