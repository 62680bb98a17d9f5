//! SAM's image encoder: a vision transformer with windowed attention in all but four blocks.

use tch::Tensor;

use super::{
    attention::{Attention, Grid},
    config::Sam2dConfig,
    layers::{Conv2d, norm_channels},
};
use crate::tch_ext::{Init, LayerNorm, Linear, Path};

const NORM_EPS: f64 = 1e-6;

/// Patch embedding, blocks and neck.
#[derive(Debug)]
pub(super) struct ImageEncoder2d {
    patch_embed: Conv2d,
    pos_embed: Tensor,
    blocks: Vec<Block>,
    neck: Neck,
}

impl ImageEncoder2d {
    pub(super) fn new(path: &Path<'_>, config: &Sam2dConfig) -> Self {
        let encoder = &config.encoder;
        let (channels, patch) = (encoder.embed_dim as i64, encoder.patch_size as i64);
        let grid = config.grid() as i64;
        let blocks = path / "blocks";
        Self {
            patch_embed: Conv2d::new(path / "patch_embed" / "proj", [3, channels, patch, patch], true),
            pos_embed: path.var("pos_embed", &[1, grid, grid, channels], Init::Normal { stdev: 0.02 }),
            blocks: (0..encoder.depth).map(|i| Block::new(&blocks / i, config, i)).collect(),
            neck: Neck::new(path / "neck", channels, config.channels as i64),
        }
    }

    /// # Shapes
    /// Normalised image `[B, 3, S, S]` to its embedding `[B, C, S / 16, S / 16]`.
    pub(super) fn forward(&self, image: &Tensor) -> Tensor {
        let mut tokens = self.patch_embed.forward(image).permute([0, 2, 3, 1]) + &self.pos_embed;
        for block in &self.blocks {
            tokens = block.forward(&tokens);
        }
        self.neck.forward(&tokens.permute([0, 3, 1, 2]))
    }
}

/// Attention in windows or over the whole grid, then an MLP.
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    lin1: Linear,
    lin2: Linear,
    /// Side of the attention window in tokens; `None` attends globally.
    window: Option<i64>,
}

impl Block {
    fn new(path: Path<'_>, config: &Sam2dConfig, index: usize) -> Self {
        let encoder = &config.encoder;
        let channels = encoder.embed_dim as i64;
        let hidden = channels * encoder.mlp_ratio as i64;
        let mlp = &path / "mlp";
        Self {
            norm1: LayerNorm::with_eps(&path / "norm1", channels, NORM_EPS),
            attn: Attention::new(&path / "attn", encoder, index),
            norm2: LayerNorm::with_eps(&path / "norm2", channels, NORM_EPS),
            lin1: Linear::new(&mlp / "lin1", channels, hidden),
            lin2: Linear::new(&mlp / "lin2", hidden, channels),
            window: (!encoder.global_blocks.contains(&index)).then_some(encoder.sam_window as i64),
        }
    }

    /// # Shapes
    /// Tokens `[B, G, G, E]`, unchanged.
    fn forward(&self, xs: &Tensor) -> Tensor {
        let normed = self.norm1.forward(xs);
        let attended = match self.window {
            Some(side) => {
                let grid = Grid { rows: normed.size()[1], columns: normed.size()[2], window: side };
                grid.merge(&self.attn.forward(&grid.partition(&normed)))
            }
            None => self.attn.forward(&normed),
        };
        let xs = xs + attended;
        &xs + self.lin2.forward(&self.lin1.forward(&self.norm2.forward(&xs)).gelu("none"))
    }
}

/// 1 x 1 convolution, norm, 3 x 3 convolution, norm. Numbered like SAM's sequence.
#[derive(Debug)]
struct Neck {
    project: Conv2d,
    norm1: LayerNorm,
    smooth: Conv2d,
    norm2: LayerNorm,
}

impl Neck {
    fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        Self {
            project: Conv2d::new(&path / "0", [inputs, outputs, 1, 1], false),
            norm1: LayerNorm::with_eps(&path / "1", outputs, NORM_EPS),
            smooth: Conv2d::new(&path / "2", [outputs, outputs, 3, 1], false),
            norm2: LayerNorm::with_eps(&path / "3", outputs, NORM_EPS),
        }
    }

    /// # Shapes
    /// `[B, E, G, G]` to `[B, C, G, G]`.
    fn forward(&self, xs: &Tensor) -> Tensor {
        let xs = norm_channels(&self.norm1, &self.project.forward(xs));
        norm_channels(&self.norm2, &self.smooth.forward(&xs.contiguous()))
    }
}
