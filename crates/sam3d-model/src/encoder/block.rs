//! A transformer block: windowed attention and MLP, each with a residual connection, and the tuned modules.

use tch::Tensor;

use super::{
    attention::Attention,
    peft::BlockTuning,
    window::{TokenCodes, Windows},
};
use crate::{
    config::EncoderConfig,
    tch_ext::{LayerNorm, Linear, Path, add_residual, records_graph},
};

const NORM_EPS: f64 = 1e-6;

/// Tokens whose widest activation, the hidden one of the MLP, takes 25 MB at ViT-B: it stays in a processor's cache, and
/// below the size from which the allocator asks the system for fresh memory each time.
const ROWS_AT_ONCE: i64 = 2048;

/// A transformer block of SAM with its tuned modules. Blocks with an even index attend in shifted windows.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) tuning: BlockTuning,
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    windows: Windows,
    shifted: bool,
}

impl Block {
    pub(crate) fn new(path: Path<'_>, config: &EncoderConfig, index: usize) -> Self {
        let channels = config.embed_dim as i64;
        Self {
            norm1: LayerNorm::with_eps(&path / "norm1", channels, NORM_EPS),
            attn: Attention::new(&path / "attn", config, index),
            norm2: LayerNorm::with_eps(&path / "norm2", channels, NORM_EPS),
            mlp: Mlp::new(&path / "mlp", channels, channels * config.mlp_ratio as i64),
            tuning: BlockTuning::new(&path, config, index),
            windows: Windows { grid: config.token_grid as i64, side: config.window as i64 },
            shifted: index.is_multiple_of(2),
        }
    }

    pub(crate) fn reset_depth_positions(&mut self) {
        self.attn.reset_depth_positions();
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged; with Med-tuning its carried channels follow.
    pub(crate) fn forward(&self, input: &Tensor, codes: &TokenCodes) -> Tensor {
        let xs = self.add_attention(&self.tuning.before(input), codes);
        self.tuning.after(self.add_mlp(xs), input)
    }

    /// `x + attention(norm1(x))`.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    pub(crate) fn add_attention(&self, xs: &Tensor, codes: &TokenCodes) -> Tensor {
        add_residual(self.tuning.after_attention(self.attend(self.norm1.forward(xs), codes)), xs)
    }

    /// `x + mlp(norm2(x))`; without a graph the result takes the memory of `xs`.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    pub(crate) fn add_mlp(&self, xs: Tensor) -> Tensor {
        if records_graph() {
            return add_residual(self.mlp_branch(&xs), &xs);
        }
        // Every token is processed independently, so parts that fit the cache are processed in turn, in place.
        for mut rows in xs.view([-1, xs.size()[4]]).split(ROWS_AT_ONCE, 0) {
            rows += self.mlp_branch(&rows);
        }
        xs
    }

    /// # Shapes
    /// Tokens `[..., E]`, unchanged.
    fn mlp_branch(&self, xs: &Tensor) -> Tensor {
        self.tuning.after_mlp(self.mlp.forward(&self.norm2.forward(xs)))
    }

    /// Attention within windows; without a graph the memory of `xs` may be written to.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    fn attend(&self, xs: Tensor, codes: &TokenCodes) -> Tensor {
        let by = if self.shifted { self.windows.side / 2 } else { 0 };
        let roll = |xs: Tensor, by: i64| if by == 0 { xs } else { xs.roll([by, by, by], [1, 2, 3]) };
        let windows = self.windows.partition(&roll(xs, -by));
        let attend = |windows: &Tensor, start: i64| {
            let regions = self.shifted.then(|| codes.regions_of(start, windows.size()[0]));
            self.attn.forward(windows, codes, regions.as_ref())
        };
        let attended = if records_graph() {
            attend(&windows, 0)
        } else {
            let at_once = (ROWS_AT_ONCE / windows.size()[1]).max(1);
            let mut start = 0;
            for mut part in windows.split(at_once, 0) {
                part.copy_(&attend(&part, start));
                start += at_once;
            }
            windows
        };
        roll(self.windows.merge(&attended), by)
    }
}

/// `lin2(gelu(lin1(x)))`, with the exact (erf) GELU.
#[derive(Debug)]
struct Mlp {
    lin1: Linear,
    lin2: Linear,
}

impl Mlp {
    fn new(path: Path<'_>, channels: i64, hidden: i64) -> Self {
        Self {
            lin1: Linear::new(&path / "lin1", channels, hidden),
            lin2: Linear::new(&path / "lin2", hidden, channels),
        }
    }

    fn forward(&self, xs: &Tensor) -> Tensor {
        let mut hidden = self.lin1.forward(xs);
        // The graph needs the GELU's input, so the result may overwrite it only without a graph.
        let hidden = if records_graph() { hidden.gelu("none") } else { hidden.gelu_("none") };
        self.lin2.forward(&hidden)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, nn::VarStore};

    use super::*;
    use crate::ModelConfig;

    impl Block {
        /// The definition, all tokens at once.
        fn forward_plain(&self, xs: &Tensor, codes: &TokenCodes) -> Tensor {
            let xs = self.tuning.before(xs);
            let by = if self.shifted { self.windows.side / 2 } else { 0 };
            let windows = self.windows.partition(&self.norm1.forward(&xs).roll([-by, -by, -by], [1, 2, 3]));
            let regions = self.shifted.then(|| codes.regions.repeat([xs.size()[0], 1, 1]));
            let attended = self.attn.forward(&windows, codes, regions.as_ref());
            let xs = xs + self.windows.merge(&attended).roll([by, by, by], [1, 2, 3]);
            let hidden = self.mlp.lin1.forward(&self.norm2.forward(&xs)).gelu("none");
            xs + self.mlp.lin2.forward(&hidden)
        }
    }

    #[test]
    fn in_parts_and_in_place_is_the_same() {
        tch::manual_seed(5);
        // 3456 tokens in 54 windows, which neither kind of part divides.
        let config = EncoderConfig {
            embed_dim: 12,
            num_heads: 2,
            token_grid: 12,
            window: 4,
            ..ModelConfig::tiny().encoder
        };
        let codes = Windows { grid: 12, side: 4 }.codes(Device::Cpu);
        for index in [0, 1] {
            let store = VarStore::new(Device::Cpu);
            let block = Block::new(Path::root(&store, 5), &config, index);
            let xs = Tensor::randn([2, 12, 12, 12, 12], (Kind::Float, Device::Cpu));
            let before = xs.copy();
            let recorded = block.forward(&xs, &codes);
            let _no_grad = tch::no_grad_guard();
            let (found, plain) = (block.forward(&xs, &codes), block.forward_plain(&xs, &codes));
            for (what, ys) in [("recorded", recorded), ("in parts", found)] {
                let difference = (ys - &plain).abs().max().double_value(&[]);
                assert!(difference < 1e-5, "block {index} {what}: {difference}");
            }
            assert!(xs.equal(&before), "the input was written to");
        }
    }
}
