//! SAM's image encoder, adapted to volumes (spec: "Image encoder").

mod attention;
mod block;
mod neck;
mod patch_embed;
mod peft;
mod recompute;
mod window;

use tch::Tensor;

use self::{
    block::Block,
    neck::Neck,
    patch_embed::PatchEmbed,
    window::{TokenCodes, Windows},
};
use crate::{config::EncoderConfig, tch_ext::Path};

/// Patch and slice embedding, the blocks, and a neck for each level whose map is used.
#[derive(Debug)]
pub(crate) struct ImageEncoder {
    pub(crate) embed: PatchEmbed,
    blocks: Vec<Block>,
    neck_3d: Vec<Neck>,
    /// The blocks after which the necks read the tokens.
    levels: Vec<usize>,
    codes: TokenCodes,
}

impl ImageEncoder {
    /// An encoder with necks for `levels`, counted from 1.
    pub(crate) fn new(path: &Path<'_>, config: &EncoderConfig, levels: &[usize]) -> Self {
        let windows = Windows { grid: config.token_grid as i64, side: config.window as i64 };
        let (blocks, necks) = (path / "blocks", path / "neck_3d");
        Self {
            embed: PatchEmbed::new(path, config),
            blocks: (0..config.depth).map(|i| Block::new(&blocks / i, config, i)).collect(),
            neck_3d: levels.iter().map(|level| Neck::new(&necks / (level - 1), config)).collect(),
            levels: levels.iter().map(|level| config.levels()[level - 1]).collect(),
            codes: windows.codes(path.device()),
        }
    }

    pub(crate) fn reset_depth_positions(&mut self) {
        for block in &mut self.blocks {
            block.reset_depth_positions();
        }
    }

    /// # Shapes
    /// Intensities `[B, 1, D, H, W]` to feature maps `[B, C, G, G, G]` in (H, W, D), from shallow to deep.
    pub(crate) fn forward(&self, image: &Tensor) -> Vec<Tensor> {
        self.forward_traced(image, &mut |_, _| {})
    }

    /// Like [`Self::forward`], and shows `observe` the tokens: 0 for the embedding, i + 1 after block i.
    pub(crate) fn forward_traced(
        &self,
        image: &Tensor,
        observe: &mut dyn FnMut(usize, &Tensor),
    ) -> Vec<Tensor> {
        let always = &mut |at, tokens: &Tensor| {
            observe(at, tokens);
            true
        };
        self.forward_while(image, always).unwrap_or_default()
    }

    /// Like [`Self::forward`], and asks `go_on` after the embedding (0) and after each block (i + 1) whether to go on, showing
    /// it the tokens. `None` if it was not to.
    pub(crate) fn forward_while(
        &self,
        image: &Tensor,
        go_on: &mut dyn FnMut(usize, &Tensor) -> bool,
    ) -> Option<Vec<Tensor>> {
        let mut tokens = self.embed.forward(image);
        if !go_on(0, &tokens) {
            return None;
        }
        let mut maps = Vec::with_capacity(self.levels.len());
        for (index, block) in self.blocks.iter().enumerate() {
            tokens = block.forward(&tokens, &self.codes);
            if !go_on(index + 1, &tokens) {
                return None;
            }
            if self.levels.contains(&index) {
                maps.push(self.neck_3d[maps.len()].forward(&tokens));
            }
        }
        Some(maps)
    }
}

/// Single layers, for benches. Tokens are `[B, G, G, G, E]` in (H, W, D).
#[cfg(feature = "bench")]
impl ImageEncoder {
    pub(crate) fn adapter(&self, block: usize, tokens: &Tensor) -> Tensor {
        self.blocks[block].tuning.before(tokens)
    }

    pub(crate) fn attention(&self, block: usize, tokens: &Tensor) -> Tensor {
        self.blocks[block].add_attention(tokens, &self.codes)
    }

    pub(crate) fn mlp(&self, block: usize, tokens: &Tensor) -> Tensor {
        self.blocks[block].add_mlp(tokens.copy())
    }

    pub(crate) fn block(&self, block: usize, tokens: &Tensor) -> Tensor {
        self.blocks[block].forward(tokens, &self.codes)
    }

    pub(crate) fn neck(&self, level: usize, tokens: &Tensor) -> Tensor {
        self.neck_3d[level].forward(tokens)
    }
}
