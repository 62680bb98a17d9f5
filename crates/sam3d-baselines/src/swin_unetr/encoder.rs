//! The Swin encoder: patches of 2 x 2 x 2 voxels, and four stages of two blocks and a patch merging.

use tch::Tensor;

use super::{
    SwinUnetrConfig,
    block::{Block, windows},
    merging::PatchMerging,
};
use crate::layers::{Conv, Conv3d, Path, channels_first, channels_last, layer_norm};

/// Side of a patch.
const PATCH: i64 = 2;

#[derive(Debug)]
pub(super) struct SwinVit {
    patch_embed: Conv3d,
    stages: [Stage; 4],
}

#[derive(Debug)]
struct Stage {
    blocks: [Block; 2],
    downsample: PatchMerging,
}

impl SwinVit {
    pub(super) fn new(path: &Path<'_>, config: &SwinUnetrConfig) -> Self {
        let embedding = Conv::patches(1, config.feature_size as i64, [PATCH; 3]);
        let window = config.window as i64;
        let stage = |index: usize| {
            let channels = (config.feature_size << index) as i64;
            let heads = config.num_heads[index] as i64;
            let grid = config.crop.map(|side| (side as i64 / PATCH) >> index);
            let path = path / format!("layers{}", index + 1) / 0;
            let block = |number: usize| {
                let windows = windows(grid, window, number % 2 == 1);
                Block::new(&path / "blocks" / number, channels, heads, window, windows)
            };
            Stage {
                blocks: [block(0), block(1)],
                downsample: PatchMerging::new(&path / "downsample", channels, config.corrected),
            }
        };
        Self {
            patch_embed: Conv3d::new(path / "patch_embed" / "proj", embedding),
            stages: std::array::from_fn(stage),
        }
    }

    /// The embedded patches and the output of each stage, normalised over channels.
    ///
    /// # Shapes
    /// `[B, 1, D, H, W]` to maps `[B, C 2^i, D / 2^(i+1), H / 2^(i+1), W / 2^(i+1)]`, i from 0 to 4.
    pub(super) fn forward(&self, image: &Tensor) -> [Tensor; 5] {
        let mut xs = channels_last(&self.patch_embed.forward(image)).contiguous();
        let first = channels_first(&layer_norm(&xs));
        let deeper = self.stages.each_ref().map(|stage| {
            for block in &stage.blocks {
                xs = block.forward(&xs);
            }
            xs = stage.downsample.forward(&xs);
            channels_first(&layer_norm(&xs))
        });
        let [second, third, fourth, fifth] = deeper;
        [first, second, third, fourth, fifth]
    }
}
