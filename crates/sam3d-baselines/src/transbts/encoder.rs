//! The convolutional encoder: residual blocks with group normalisation, and three steps down.

use tch::Tensor;

use super::TransbtsConfig;
use crate::{
    Mode,
    layers::{Conv, Conv3d, GroupNorm, Path},
};

/// Groups of the norms.
const GROUPS: i64 = 8;

#[derive(Debug)]
pub(super) struct Encoder {
    init_conv: Conv3d,
    levels: [Level; 4],
    stem_dropout: f64,
    stem_dropout_in_evaluation: bool,
}

/// The step down to a level (none to the first) and its blocks.
#[derive(Debug)]
struct Level {
    down: Option<Conv3d>,
    blocks: Vec<EnBlock>,
}

impl Encoder {
    pub(super) fn new(path: &Path<'_>, config: &TransbtsConfig) -> Self {
        let c = config.base_channels as i64;
        let level = |index: usize, blocks: &[&str]| {
            let channels = c << index;
            Level {
                down: (index > 0).then(|| {
                    let shape = Conv::same(channels / 2, channels, [3; 3]).stride([2; 3]);
                    Conv3d::new(path / format!("EnDown{index}") / "conv", shape)
                }),
                blocks: blocks
                    .iter()
                    .map(|block| EnBlock::new(path / format!("EnBlock{block}"), channels))
                    .collect(),
            }
        };
        Self {
            init_conv: Conv3d::new(path / "InitConv" / "conv", Conv::same(1, c, [3; 3])),
            levels: [
                level(0, &["1"]),
                level(1, &["2_1", "2_2"]),
                level(2, &["3_1", "3_2"]),
                level(3, &["4_1", "4_2", "4_3", "4_4"]),
            ],
            stem_dropout: config.stem_dropout,
            stem_dropout_in_evaluation: config.stem_dropout_in_evaluation,
        }
    }

    /// The three skips and the deepest map.
    ///
    /// # Shapes
    /// `[B, 1, D, H, W]` to skips `[B, C 2^i, D / 2^i, H / 2^i, W / 2^i]` and a map of the same form with i = 3.
    pub(super) fn forward(&self, image: &Tensor, mode: Mode) -> ([Tensor; 3], Tensor) {
        let drops = mode == Mode::Train || self.stem_dropout_in_evaluation;
        let mut xs = self.init_conv.forward(image).feature_dropout(self.stem_dropout, drops);
        let outputs = self.levels.each_ref().map(|level| {
            if let Some(down) = &level.down {
                xs = down.forward(&xs);
            }
            xs = level.blocks.iter().fold(xs.shallow_clone(), |xs, block| block.forward(&xs));
            xs.shallow_clone()
        });
        let [first, second, third, deepest] = outputs;
        ([first, second, third], deepest)
    }
}

/// `x + conv2(ReLU(bn2(conv1(ReLU(bn1(x))))))`; what the checkpoints call "bn" is group normalisation.
#[derive(Debug)]
struct EnBlock {
    bn1: GroupNorm,
    conv1: Conv3d,
    bn2: GroupNorm,
    conv2: Conv3d,
}

impl EnBlock {
    fn new(path: Path<'_>, channels: i64) -> Self {
        let conv = |name: &str| Conv3d::new(&path / name, Conv::same(channels, channels, [3; 3]));
        let norm = |name: &str| GroupNorm::new(&path / name, channels, GROUPS);
        Self { bn1: norm("bn1"), conv1: conv("conv1"), bn2: norm("bn2"), conv2: conv("conv2") }
    }

    fn forward(&self, xs: &Tensor) -> Tensor {
        let inner = self.conv1.forward(&self.bn1.forward(xs).relu());
        xs + self.conv2.forward(&self.bn2.forward(&inner).relu())
    }
}
