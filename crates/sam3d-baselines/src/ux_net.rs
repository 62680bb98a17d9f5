//! 3D UX-Net (Lee et al., "3D UX-Net: A Large Kernel Volumetric ConvNet Modernizing Hierarchical Transformer for Medical
//! Image Segmentation", 2023): an encoder of depth-wise 7 x 7 x 7 convolutions and a convolutional decoder.

use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    Mode,
    blocks::{ResBlock, UpBlock, head},
    check::{self, PUBLISHED_CROP},
    layers::{Conv, Conv3d, Init, LayerNorm, Path, gelu},
    network::Observe,
};

/// Added to the variances of the encoder's norms.
const ENCODER_EPS: f64 = 1e-6;

/// Sizes of 3D UX-Net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UxNetConfig {
    /// Sides of the crop (D, H, W); multiples of 16.
    pub crop: [usize; 3],
    /// Channels of the first stage; each further stage has twice as many.
    pub feature_size: usize,
    /// Blocks of a stage.
    pub depth: usize,
}

impl UxNetConfig {
    /// The published sizes.
    pub fn published() -> Self {
        Self { crop: PUBLISHED_CROP, feature_size: 48, depth: 2 }
    }

    /// Every part of the network on a small crop.
    pub fn small() -> Self {
        Self { crop: [32, 64, 64], feature_size: 8, ..Self::published() }
    }

    pub(crate) fn validate(&self) -> Result<(), ModelError> {
        check::multiples("crop", self.crop, [16; 3])?;
        check::positive("feature_size", self.feature_size)?;
        check::positive("depth", self.depth)
    }
}

/// The network.
#[derive(Debug)]
pub(crate) struct UxNet {
    stages: [Stage; 4],
    /// On the image and on the four maps of the encoder.
    encoders: [ResBlock; 5],
    /// From the deepest, `decoder5`, to `decoder2`.
    decoders: [UpBlock; 4],
    decoder1: ResBlock,
    out: Conv3d,
}

impl UxNet {
    pub(crate) fn new(path: &Path<'_>, config: &UxNetConfig) -> Self {
        let c = config.feature_size as i64;
        let encoder = path / "uxnet_3d";
        let res_block =
            |name: &str, inputs: i64, outputs: i64| ResBlock::new(path / name / "layer", inputs, outputs);
        let up_block = |name: &str, inputs: i64| UpBlock::new(path / name, inputs, inputs / 2);
        Self {
            stages: std::array::from_fn(|index| Stage::new(&encoder, index, c << index, config.depth)),
            encoders: [
                res_block("encoder1", 1, c),
                res_block("encoder2", c, 2 * c),
                res_block("encoder3", 2 * c, 4 * c),
                res_block("encoder4", 4 * c, 8 * c),
                res_block("encoder5", 8 * c, 16 * c),
            ],
            decoders: [
                up_block("decoder5", 16 * c),
                up_block("decoder4", 8 * c),
                up_block("decoder3", 4 * c),
                up_block("decoder2", 2 * c),
            ],
            decoder1: res_block("decoder1", c, c),
            out: head(path / "out", c),
        }
    }

    /// # Shapes
    /// `[B, 1, D, H, W]` to `[B, 2, D, H, W]`.
    pub(crate) fn forward(&self, image: &Tensor, mode: Mode, observe: &mut Observe<'_>) -> Tensor {
        let mut skips = vec![self.encoders[0].forward(image, mode)];
        let mut xs = image.shallow_clone();
        for (index, stage) in self.stages.iter().enumerate() {
            xs = stage.forward(&xs);
            let map = stage.norm.forward_channels_first(&xs);
            observe(["feat_0", "feat_1", "feat_2", "feat_3"][index], &map);
            skips.push(self.encoders[index + 1].forward(&map, mode));
        }
        let mut xs = skips.pop().unwrap_or_default();
        for (index, decoder) in self.decoders.iter().enumerate() {
            xs = decoder.forward(&xs, &skips[3 - index], mode);
            if index == 1 {
                observe("decoder4_out", &xs);
            }
        }
        self.out.forward(&self.decoder1.forward(&xs, mode))
    }
}

/// A stage of the encoder: half the side, twice the channels, and its blocks. `norm` is for the decoder only.
#[derive(Debug)]
struct Stage {
    downsample: Downsample,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Stage {
    fn new(path: &Path<'_>, index: usize, channels: i64, depth: usize) -> Self {
        let blocks = path / "stages" / index;
        Self {
            downsample: Downsample::new(path / "downsample_layers" / index, index, channels),
            blocks: (0..depth).map(|block| Block::new(&blocks / block, channels)).collect(),
            norm: LayerNorm::with_eps(path / format!("norm{index}"), channels, ENCODER_EPS),
        }
    }

    fn forward(&self, xs: &Tensor) -> Tensor {
        self.blocks.iter().fold(self.downsample.forward(xs), |xs, block| block.forward(&xs))
    }
}

/// The first stage's convolves with a wide kernel, then normalises; the others' the other way round.
#[derive(Debug)]
struct Downsample {
    norm: LayerNorm,
    conv: Conv3d,
    norm_first: bool,
}

impl Downsample {
    fn new(path: Path<'_>, index: usize, channels: i64) -> Self {
        if index == 0 {
            let conv = Conv::same(1, channels, [7; 3]).stride([2; 3]);
            return Self {
                conv: Conv3d::new(&path / 0, conv),
                norm: LayerNorm::with_eps(&path / 1, channels, ENCODER_EPS),
                norm_first: false,
            };
        }
        Self {
            norm: LayerNorm::with_eps(&path / 0, channels / 2, ENCODER_EPS),
            conv: Conv3d::new(&path / 1, Conv::patches(channels / 2, channels, [2; 3])),
            norm_first: true,
        }
    }

    fn forward(&self, xs: &Tensor) -> Tensor {
        if self.norm_first {
            self.conv.forward(&self.norm.forward_channels_first(xs))
        } else {
            self.norm.forward_channels_first(&self.conv.forward(xs))
        }
    }
}

/// `x + gamma * pwconv2(GELU(pwconv1(norm(dwconv(x)))))`. All its convolutions are depth-wise: the published block never
/// mixes channels.
#[derive(Debug)]
struct Block {
    dwconv: Conv3d,
    norm: LayerNorm,
    pwconv1: Conv3d,
    pwconv2: Conv3d,
    gamma: Tensor,
}

impl Block {
    fn new(path: Path<'_>, channels: i64) -> Self {
        let depth_wise = |name: &str, inputs: i64, outputs: i64, side: i64| {
            Conv3d::new(&path / name, Conv::same(inputs, outputs, [side; 3]).groups(channels))
        };
        Self {
            dwconv: depth_wise("dwconv", channels, channels, 7),
            norm: LayerNorm::with_eps(&path / "norm", channels, ENCODER_EPS),
            pwconv1: depth_wise("pwconv1", channels, 4 * channels, 1),
            pwconv2: depth_wise("pwconv2", 4 * channels, channels, 1),
            gamma: path.var("gamma", &[channels], Init::Const(1e-6)),
        }
    }

    /// # Shapes
    /// `[B, C, D, H, W]`, unchanged.
    fn forward(&self, xs: &Tensor) -> Tensor {
        let inner = self.norm.forward_channels_first(&self.dwconv.forward(xs));
        let inner = self.pwconv2.forward(&gelu(&self.pwconv1.forward(&inner)));
        xs + inner * self.gamma.view([1, -1, 1, 1, 1])
    }
}
