//! Attention over a square of tokens with relative positions decomposed over two axes:
//! `score(q, k) = q.k / sqrt(d) + q.Rh[h_q - h_k] + q.Rw[w_q - w_k]`.
//!
//! As in the volume's encoder the relative scores are products of per-token features, which are appended to queries and
//! keys, so that no score matrix is stored: of a global block at 64 x 64 tokens and 12 heads it would take 805 MB.

use tch::{Device, Kind, Tensor};

use crate::{
    EncoderConfig,
    relative_position::offsets,
    tch_ext::{Init, Linear, Path},
};

/// Multi-head attention of every token of a square to every other.
#[derive(Debug)]
pub(super) struct Attention {
    qkv: Linear,
    proj: Linear,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    heads: i64,
}

impl Attention {
    pub(super) fn new(path: Path<'_>, config: &EncoderConfig, block: usize) -> Self {
        let (channels, heads) = (config.embed_dim as i64, config.num_heads as i64);
        let rows = config.rel_pos_rows(block) as i64;
        let table = |name: &str| path.var(name, &[rows, channels / heads], Init::Normal { stdev: 0.02 });
        Self {
            rel_pos_h: table("rel_pos_h"),
            rel_pos_w: table("rel_pos_w"),
            qkv: Linear::new(&path / "qkv", channels, 3 * channels),
            proj: Linear::new(&path / "proj", channels, channels),
            heads,
        }
    }

    /// # Shapes
    /// Tokens `[B, X, X, E]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let size = xs.size();
        let (batch, side, channels) = (size[0], size[1], size[3]);
        let (tokens, width) = (side * side, channels / self.heads);
        let qkv = self.qkv.forward(xs).view([batch, tokens, 3, self.heads, width]).permute([2, 0, 3, 1, 4]);
        let (query, key, value) = (qkv.get(0), qkv.get(1), qkv.get(2));

        let places = places(side, xs.device()).view([1, 1, tokens, 2 * side]);
        let places = places.expand([batch, self.heads, tokens, 2 * side], false);
        let scale = (width as f64).powf(-0.5);
        let queries = Tensor::cat(&[&query * scale, self.relative_scores(&query, side)], 3);
        let keys = Tensor::cat(&[key, places], 3);
        // libtorch's memory-efficient kernel wants values as wide as keys and silently writes the scores otherwise.
        let values = value.constant_pad_nd([0, 2 * side]);
        let mixed = Tensor::scaled_dot_product_attention::<Tensor>(
            &queries, &keys, &values, None, 0.0, false, 1.0, false,
        );
        let mixed = mixed.narrow(3, 0, width).transpose(1, 2).reshape(size);
        self.proj.forward(&mixed)
    }

    /// The products of each query with the relative positions of every row and every column.
    ///
    /// # Shapes
    /// Queries `[B, heads, X^2, E / heads]` to `[B, heads, X^2, 2 X]`.
    fn relative_scores(&self, query: &Tensor, side: i64) -> Tensor {
        let size = query.size();
        let query = query.reshape([size[0] * size[1], side, side, size[3]]);
        let along = |table: &Tensor, equation: &str| {
            Tensor::einsum(equation, &[&query, &offsets(table, side)], None::<i64>)
        };
        let scores = [along(&self.rel_pos_h, "nhwc,hkc->nhwk"), along(&self.rel_pos_w, "nhwc,wkc->nhwk")];
        Tensor::cat(&scores, 3).view([size[0], size[1], size[2], 2 * side])
    }
}

/// One-hot codes of a token's row and column, `[X^2, 2 X]`.
fn places(side: i64, device: Device) -> Tensor {
    let one_hot = Tensor::eye(side, (Kind::Float, device));
    let along = |shape: [i64; 3]| one_hot.view(shape).expand([side, side, side], false);
    Tensor::cat(&[along([side, 1, side]), along([1, side, side])], 2).view([side * side, 2 * side])
}

/// A grid of tokens cut into square windows. At the far ends it is padded with zeros to whole windows; attention sees
/// the padding, as SAM does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) rows: i64,
    pub(super) columns: i64,
    pub(super) window: i64,
}

impl Grid {
    fn counts(self) -> [i64; 2] {
        [self.rows, self.columns].map(|size| (size as u64).div_ceil(self.window as u64) as i64)
    }

    /// # Shapes
    /// `[B, rows, columns, E]` to `[B * windows, window, window, E]`.
    pub(super) fn partition(self, xs: &Tensor) -> Tensor {
        let ([rows, columns], side) = (self.counts(), self.window);
        let (batch, channels) = (xs.size()[0], xs.size()[3]);
        xs.constant_pad_nd([0, 0, 0, columns * side - self.columns, 0, rows * side - self.rows])
            .view([batch, rows, side, columns, side, channels])
            .transpose(2, 3)
            .reshape([-1, side, side, channels])
    }

    /// # Shapes
    /// `[B * windows, window, window, E]` to `[B, rows, columns, E]`.
    pub(super) fn merge(self, xs: &Tensor) -> Tensor {
        let ([rows, columns], side) = (self.counts(), self.window);
        xs.view([-1, rows, columns, side, side, xs.size()[3]])
            .transpose(2, 3)
            .reshape([-1, rows * side, columns * side, xs.size()[3]])
            .narrow(1, 0, self.rows)
            .narrow(2, 0, self.columns)
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;

    use super::*;
    use crate::ModelConfig;

    #[test]
    fn windows_are_padded_and_put_back() {
        let xs = Tensor::arange(2 * 5 * 4 * 3, (Kind::Float, Device::Cpu)).view([2, 5, 4, 3]);
        let grid = Grid { rows: 5, columns: 4, window: 3 };
        let parts = grid.partition(&xs);
        assert_eq!(parts.size(), [2 * 2 * 2, 3, 3, 3]);
        assert!(grid.merge(&parts).equal(&xs));
        // The second window holds column 3 and two columns of padding.
        assert_eq!(parts.double_value(&[1, 0, 0, 0]), xs.double_value(&[0, 0, 3, 0]));
        assert_eq!(parts.get(1).narrow(1, 1, 2).abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn equals_the_definition_with_score_matrices() {
        tch::manual_seed(1);
        let _no_grad = tch::no_grad_guard();
        // Tables of 5 rows, read at windows of 3 as they are and at 4 after a resize.
        let config =
            EncoderConfig { embed_dim: 12, num_heads: 2, sam_window: 3, ..ModelConfig::tiny().encoder };
        let store = VarStore::new(Device::Cpu);
        let mut attention = Attention::new(Path::root(&store, 1), &config, 0);
        for table in [&mut attention.rel_pos_h, &mut attention.rel_pos_w] {
            table.copy_(&Tensor::randn([5, 6], (Kind::Float, Device::Cpu)));
        }
        for side in [3, 4] {
            let xs = Tensor::randn([2, side, side, 12], (Kind::Float, Device::Cpu));
            let tokens = side * side;
            let qkv = attention.qkv.forward(&xs).view([2, tokens, 3, 2, 6]).permute([2, 0, 3, 1, 4]);
            let (query, key, value) = (qkv.get(0), qkv.get(1), qkv.get(2));
            let scores = query.matmul(&key.transpose(2, 3)) * 6f64.powf(-0.5);
            let (rows, columns) = (offsets(&attention.rel_pos_h, side), offsets(&attention.rel_pos_w, side));
            for q in 0..tokens {
                for k in 0..tokens {
                    let position = rows.get(q / side).get(k / side) + columns.get(q % side).get(k % side);
                    let relative = (query.select(2, q) * position).sum_dim_intlist(-1, false, None::<Kind>);
                    let mut score = scores.select(2, q).select(2, k);
                    score += relative;
                }
            }
            let mixed = scores.softmax(-1, None::<Kind>).matmul(&value);
            let expected = attention.proj.forward(&mixed.transpose(1, 2).reshape([2, side, side, 12]));
            let difference = (attention.forward(&xs) - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "side {side}: {difference}");
        }
    }
}
