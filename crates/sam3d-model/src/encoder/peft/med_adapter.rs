//! Med-tuning (Shen et al., "Med-Tuning: A new parameter-efficient tuning framework for medical volumetric segmentation",
//! 2023): behind every block an adapter with three branches in its bottleneck, whose sum goes through a 1 x 1 x 1
//! convolution: depth-wise convolutions of sides 3 and 5, each within the slice and then along depth, and a filter of the
//! volume's spectrum, `|F^-1(weight F(x) + bias)|` with a weight and a bias for each frequency along depth. In the last
//! block of each quarter, where a feature map leaves, it is combined with the result of the previous such adapter.
//!
//! Choices. The bottleneck is half as wide as the tokens, which gives the published number of tuned parameters (that
//! paper's own is a sixth). Batch normalisation uses the sample's own statistics, as it does in training at the
//! published batch size of 1; there are no running statistics. The block's layer norms stay SAM's.
//!
//! An adapter's result is carried to the next ones as additional channels of the tokens, so that a block remains a
//! function of one tensor.

use tch::{Kind, Tensor};

use super::bottlenecks::depthwise;
use crate::{
    config::EncoderConfig,
    precision::full,
    tch_ext::{Affine, Conv3d, Init, Linear, Path, Start, channels_first, channels_last, instance_norm},
};

/// The three axes of a map.
const SPACE: [i64; 3] = [2, 3, 4];

/// A bottleneck with convolutions at two scales and a filter over the whole volume.
#[derive(Debug)]
pub(crate) struct MedAdapter {
    down: Linear,
    near: Branch,
    far: Branch,
    frequency_weight: Tensor,
    frequency_bias: Tensor,
    fuse: Linear,
    between: Option<BetweenStages>,
    up: Linear,
    channels: i64,
    hidden: i64,
}

impl MedAdapter {
    /// The adapter of a block; `is_last_of_stage` where a feature map leaves behind it.
    pub(super) fn new(path: Path<'_>, config: &EncoderConfig, is_last_of_stage: bool) -> Self {
        let (channels, grid) = (config.embed_dim as i64, config.token_grid as i64);
        let hidden = channels / 2;
        let frequencies = |name: &str| path.var(name, &[1, 1, 1, 1, grid], Init::Const(1.0));
        Self {
            down: Linear::new(&path / "down", channels, hidden),
            near: Branch::new(&path / "near", hidden, 3),
            far: Branch::new(&path / "far", hidden, 5),
            frequency_weight: frequencies("frequency_weight"),
            frequency_bias: frequencies("frequency_bias"),
            fuse: Linear::new(&path / "fuse", hidden, hidden),
            between: is_last_of_stage.then(|| BetweenStages::new(&path / "between", hidden)),
            up: Linear::new(&path / "up", hidden, channels),
            channels,
            hidden,
        }
    }

    /// The tokens in a block's input.
    ///
    /// # Shapes
    /// `[B, G, G, G, E]` or, with carried channels, `[B, G, G, G, E + E / 2]`, to `[B, G, G, G, E]`.
    pub(super) fn tokens(&self, input: &Tensor) -> Tensor {
        input.narrow(4, 0, self.channels)
    }

    /// The block's output with carried channels, from its tokens `xs` and its `input`.
    ///
    /// # Shapes
    /// `xs` `[B, G, G, G, E]`; `input` as [`Self::tokens`] takes it, and so is the result.
    pub(super) fn forward(&self, xs: &Tensor, input: &Tensor) -> Tensor {
        let is_carried = input.size()[4] > self.channels;
        let carried = is_carried.then(|| input.narrow(4, self.channels, self.hidden));
        let hidden = self.down.forward(xs).gelu("none");
        let map = channels_first(&hidden);
        let branches = self.near.forward(&map) + self.far.forward(&map) + self.filtered(&map);
        let fused = self.fuse.forward(&channels_last(&branches));
        let (found, carried) = match &self.between {
            Some(between) => {
                let found = between.forward(&fused, carried.as_ref());
                (found.shallow_clone(), Some(found))
            }
            None => (fused, carried),
        };
        let xs = xs + self.up.forward(&(hidden + found)).gelu("none");
        match carried {
            Some(carried) => Tensor::cat(&[full(&xs), full(&carried)], 4),
            None => xs,
        }
    }

    /// # Shapes
    /// `[B, C, H, W, D]`, unchanged.
    fn filtered(&self, map: &Tensor) -> Tensor {
        // The FFT does not support half precision.
        let spectrum = full(map).fft_fftn(None::<&[i64]>, &SPACE[..], "backward");
        let filtered = spectrum * &self.frequency_weight + &self.frequency_bias;
        filtered.fft_ifftn(None::<&[i64]>, &SPACE[..], "backward").abs()
    }
}

/// Depth-wise convolutions within the slice and along depth, norm, ReLU.
#[derive(Debug)]
struct Branch {
    plane: Conv3d,
    depth: Conv3d,
    norm: Affine,
}

impl Branch {
    fn new(path: Path<'_>, channels: i64, side: i64) -> Self {
        let conv = |name: &str, sides| depthwise(&path / name, channels, sides, Start::Default);
        Self {
            plane: conv("plane", [side, side, 1]),
            depth: conv("depth", [1, 1, side]),
            norm: Affine::new(&(&path / "norm"), channels),
        }
    }

    /// # Shapes
    /// `[B, C, H, W, D]`, unchanged.
    fn forward(&self, map: &Tensor) -> Tensor {
        let normed = instance_norm(&self.depth.forward(&self.plane.forward(map)));
        let Affine { weight, bias } = &self.norm;
        (normed * weight.view([1, -1, 1, 1, 1]) + bias.view([1, -1, 1, 1, 1])).relu()
    }
}

/// Combines an adapter's result with that of the previous one at the end of a stage; zero before the first.
#[derive(Debug)]
struct BetweenStages {
    carry: Linear,
    join: Linear,
    channels: i64,
}

impl BetweenStages {
    fn new(path: Path<'_>, channels: i64) -> Self {
        Self {
            carry: Linear::new(&path / "carry", channels, channels),
            join: Linear::new(&path / "join", 2 * channels, channels),
            channels,
        }
    }

    /// # Shapes
    /// `[B, G, G, G, C]` each, and so is the result.
    fn forward(&self, found: &Tensor, carried: Option<&Tensor>) -> Tensor {
        let carried = match carried {
            Some(carried) => self.carry.forward(carried),
            None => {
                let mut size = found.size();
                size[4] = self.channels;
                self.carry.forward(&Tensor::zeros(&size, (Kind::Float, found.device())))
            }
        };
        self.join.forward(&Tensor::cat(&[full(found), full(&carried)], 4))
    }
}
