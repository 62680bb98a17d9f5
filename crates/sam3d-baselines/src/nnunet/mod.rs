//! nnU-Net's network (Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image
//! segmentation", 2021): a plain U-Net of convolutions, instance normalisation and leaky ReLU. What makes nnU-Net more
//! than a network, the planning from a dataset's fingerprint and its own training pipeline, is not here.

mod config;
mod published_names;

use tch::Tensor;

pub use self::config::{NnunetConfig, NnunetStage};
pub(crate) use self::published_names::{is_version_1, name_from_version_1};
use crate::{
    Mode,
    blocks::CLASSES,
    layers::{Conv, Conv3d, ConvTranspose3d, InstanceNorm, Path, Start, leaky_relu},
    network::Observe,
};

/// Convolutions of a stage.
const UNITS: usize = 2;

/// The network.
#[derive(Debug)]
pub(crate) struct Nnunet {
    encoder: Vec<Stage>,
    decoder: Vec<DecoderStage>,
}

/// Convolution, normalisation, leaky ReLU.
#[derive(Debug)]
struct Unit {
    conv: Conv3d,
    norm: InstanceNorm,
}

impl Unit {
    fn forward(&self, xs: &Tensor) -> Tensor {
        leaky_relu(&self.norm.forward(&self.conv.forward(xs)))
    }
}

/// The units of a stage.
#[derive(Debug)]
struct Stage(Vec<Unit>);

/// Sizes of a stage.
#[derive(Debug, Clone, Copy)]
struct StageShape {
    inputs: i64,
    outputs: i64,
    kernel: [i64; 3],
    stride: [i64; 3],
}

impl Stage {
    fn new(path: Path<'_>, shape: StageShape) -> Self {
        let StageShape { inputs, outputs, kernel, stride } = shape;
        let unit = |index: usize| {
            let path = &path / "convs" / index;
            let (inputs, stride) = if index == 0 { (inputs, stride) } else { (outputs, [1; 3]) };
            let conv = Conv::same(inputs, outputs, kernel).stride(stride).start(Start::He);
            Unit { conv: Conv3d::new(&path / "conv", conv), norm: InstanceNorm::new(&path / "norm", outputs) }
        };
        Self((0..UNITS).map(unit).collect())
    }

    fn forward(&self, xs: &Tensor) -> Tensor {
        self.0.iter().fold(xs.shallow_clone(), |xs, unit| unit.forward(&xs))
    }
}

#[derive(Debug)]
struct DecoderStage {
    transpconv: ConvTranspose3d,
    stage: Stage,
    /// The head of this resolution. Only the last one's is used: the others are for deep supervision, and are kept so
    /// that checkpoints fit.
    seg_layer: Conv3d,
}

impl DecoderStage {
    fn new(path: &Path<'_>, config: &NnunetConfig, index: usize) -> Self {
        let sides = |sizes: [usize; 3]| sizes.map(|side| side as i64);
        // It undoes the step from `skip` to `below`.
        let below = config.stages[config.stages.len() - 1 - index];
        let skip = config.stages[config.stages.len() - 2 - index];
        let (inputs, outputs) = (below.features as i64, skip.features as i64);
        let bias = config.decoder_bias;
        let up = Conv::patches(inputs, outputs, sides(below.stride)).bias(bias).start(Start::He);
        let head = Conv::same(outputs, CLASSES, [1; 3]).bias(bias).start(Start::He);
        let shape = StageShape {
            inputs: 2 * outputs,
            outputs,
            kernel: sides(config.decoder_kernels[index]),
            stride: [1; 3],
        };
        Self {
            transpconv: ConvTranspose3d::new(path / "transpconvs" / index, up),
            stage: Stage::new(path / "stages" / index, shape),
            seg_layer: Conv3d::new(path / "seg_layers" / index, head),
        }
    }
}

impl Nnunet {
    pub(crate) fn new(path: &Path<'_>, config: &NnunetConfig) -> Self {
        let (encoder, decoder) = (path / "encoder" / "stages", path / "decoder");
        let mut inputs = 1;
        let stages = config.stages.iter().enumerate().map(|(index, stage)| {
            let outputs = stage.features as i64;
            let shape = StageShape {
                inputs,
                outputs,
                kernel: stage.kernel.map(|side| side as i64),
                stride: stage.stride.map(|side| side as i64),
            };
            inputs = outputs;
            Stage::new(&encoder / index / 0, shape)
        });
        Self {
            encoder: stages.collect(),
            decoder: (0..config.stages.len() - 1)
                .map(|index| DecoderStage::new(&decoder, config, index))
                .collect(),
        }
    }

    /// # Shapes
    /// `[B, 1, D, H, W]` to `[B, 2, D, H, W]`.
    pub(crate) fn forward(&self, image: &Tensor, _mode: Mode, observe: &mut Observe<'_>) -> Tensor {
        let mut skips = Vec::new();
        let mut xs = image.shallow_clone();
        for (index, stage) in self.encoder.iter().enumerate() {
            xs = stage.forward(&xs);
            observe(if index + 1 == self.encoder.len() { "bottleneck" } else { SKIPS[index] }, &xs);
            skips.push(xs.shallow_clone());
        }
        skips.pop();
        let mut logits = Tensor::default();
        for (index, stage) in self.decoder.iter().enumerate() {
            let skip = skips.pop().unwrap_or_default();
            let upsampled = stage.transpconv.forward(&xs);
            xs = stage.stage.forward(&Tensor::cat(&[upsampled, skip], 1));
            observe(DECODED[index], &xs);
            if index + 1 == self.decoder.len() {
                logits = stage.seg_layer.forward(&xs);
            }
        }
        logits
    }
}

/// Names of the encoder's maps.
const SKIPS: [&str; 9] =
    ["skip_0", "skip_1", "skip_2", "skip_3", "skip_4", "skip_5", "skip_6", "skip_7", "skip_8"];

/// Names of the decoder's maps.
const DECODED: [&str; 9] = [
    "decoder_0",
    "decoder_1",
    "decoder_2",
    "decoder_3",
    "decoder_4",
    "decoder_5",
    "decoder_6",
    "decoder_7",
    "decoder_8",
];
