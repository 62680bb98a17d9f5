//! Attention within a cubic window, with SAM's fused projections and relative positions decomposed over three axes:
//! `score(q, k) = q.k / sqrt(d) + lr (q.Rh[h_q - h_k] + q.Rw[w_q - w_k] + q.Rd[d_q - d_k])`, and -100 between tokens of
//! a shifted window that come from different regions.
//!
//! All of it is a product of per-token features, so the features are appended to queries and keys and the scores are
//! never written to memory: `q' = [q / sqrt(d), lr q.Rh[h_q - .], lr q.Rw[w_q - .], lr q.Rd[d_q - .], 100 region]` and
//! `k' = [k, h, w, d, region]` with one-hot h, w, d and region. Adding 100 within a region is adding -100 across
//! regions, for a softmax.

use tch::Tensor;

use super::window::TokenCodes;
use crate::{
    config::EncoderConfig,
    precision::operand,
    relative_position::resized,
    tch_ext::{Init, Linear, Path},
};

/// Added to the score of two tokens of the same region.
const REGION_SCORE: f64 = 100.0;

/// Multi-head attention over the tokens of one window.
#[derive(Debug)]
pub(crate) struct Attention {
    qkv: Linear,
    proj: Linear,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    rel_pos_d: Tensor,
    lr: Tensor,
    heads: i64,
    side: i64,
}

impl Attention {
    pub(crate) fn new(path: Path<'_>, config: &EncoderConfig, block: usize) -> Self {
        let channels = config.embed_dim as i64;
        let heads = config.num_heads as i64;
        let rows = config.rel_pos_rows(block) as i64;
        let table = |name: &str| path.var(name, &[rows, channels / heads], Init::Normal { stdev: 0.02 });
        Self {
            rel_pos_h: table("rel_pos_h"),
            rel_pos_w: table("rel_pos_w"),
            rel_pos_d: table("rel_pos_d"),
            lr: path.var("lr", &[], Init::Const(1.0)),
            qkv: Linear::new(&path / "qkv", channels, 3 * channels),
            proj: Linear::new(&path / "proj", channels, channels),
            heads,
            side: config.window as i64,
        }
    }

    /// Sets the relative positions along depth to the mean of SAM's two: the published start after loading SAM.
    pub(crate) fn reset_depth_positions(&mut self) {
        let _no_grad = tch::no_grad_guard();
        self.rel_pos_d.copy_(&((&self.rel_pos_h + &self.rel_pos_w) * 0.5));
    }

    /// Attends within each window; `regions` keeps those of a shifted window apart.
    ///
    /// # Shapes
    /// Windows `[N, L, E]` with `L = side^3`, unchanged; `regions` `[N, L, 8]`.
    pub(crate) fn forward(&self, xs: &Tensor, codes: &TokenCodes, regions: Option<&Tensor>) -> Tensor {
        let (windows, tokens, channels) = (xs.size()[0], xs.size()[1], xs.size()[2]);
        let width = channels / self.heads;
        let [queries, keys, values] = self.features(xs, codes, regions);
        let mixed = Tensor::scaled_dot_product_attention::<Tensor>(
            &queries,
            &keys,
            &values,
            None,
            0.0,
            false,
            (width as f64).powf(-0.5),
            false,
        );
        let mixed = mixed.narrow(3, 0, width).transpose(1, 2).reshape([windows, tokens, channels]);
        self.proj.forward(&mixed)
    }

    /// Queries and keys with the features appended to them, and padded values.
    ///
    /// # Shapes
    /// As [`Self::forward`]; gives three of `[N, heads, L, E / heads + 3 side]`, with regions 8 wider.
    fn features(&self, xs: &Tensor, codes: &TokenCodes, regions: Option<&Tensor>) -> [Tensor; 3] {
        let (windows, tokens, channels) = (xs.size()[0], xs.size()[1], xs.size()[2]);
        let width = channels / self.heads;
        let qkv = self.qkv.forward(xs).view([windows, tokens, 3, self.heads, width]).permute([2, 0, 3, 1, 4]);
        let (query, key, value) = (qkv.get(0), qkv.get(1), qkv.get(2));

        let for_all = |code: &Tensor| code.expand([windows, self.heads, tokens, code.size()[3]], false);
        // The kernel scales the whole score, the method only the product of queries and keys.
        let scale = (width as f64).powf(-0.5);
        let relative = self.relative_scores(&query, &codes.offsets) / scale;
        let axes = for_all(&operand(&codes.axes).view([1, 1, tokens, -1]));
        let mut queries = vec![query, relative];
        let mut keys = vec![key, axes];
        if let Some(regions) = regions {
            let regions = operand(regions).unsqueeze(1);
            queries.push(for_all(&(&regions * (REGION_SCORE / scale))));
            keys.push(for_all(&regions));
        }
        let (queries, keys) = (Tensor::cat(&queries, 3), Tensor::cat(&keys, 3));
        // libtorch's memory-efficient kernel wants values as wide as keys and silently writes the scores otherwise.
        let padding = queries.size()[3] - width;
        [queries, keys, value.constant_pad_nd([0, padding])]
    }

    /// The products of each query with the relative positions of every place along each axis, times `lr`.
    ///
    /// # Shapes
    /// Queries `[N, heads, L, E / heads]` to `[N, heads, L, 3 side]`; `offsets` as in [`TokenCodes`].
    fn relative_scores(&self, query: &Tensor, offsets: &Tensor) -> Tensor {
        let tables = [&self.rel_pos_h, &self.rel_pos_w, &self.rel_pos_d]
            .map(|table| resized(table, self.side) * &self.lr);
        let size = query.size();
        // Every query times every offset; each query then picks the offsets towards the places of its own window.
        query.matmul(&operand(&Tensor::cat(&tables, 0)).tr()).gather(
            3,
            &offsets.expand([size[0], size[1], size[2], 3 * self.side], false),
            false,
        )
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, nn::VarStore};

    use super::*;
    use crate::{ModelConfig, encoder::window::Windows};

    impl Attention {
        /// The definition, with score matrices.
        fn forward_plain(&self, xs: &Tensor, codes: &TokenCodes, shifted: bool) -> Tensor {
            let (windows, tokens, channels) = (xs.size()[0], xs.size()[1], xs.size()[2]);
            let width = channels / self.heads;
            let qkv =
                self.qkv.forward(xs).view([windows, tokens, 3, self.heads, width]).permute([2, 0, 3, 1, 4]);
            let (query, key, value) = (qkv.get(0), qkv.get(1), qkv.get(2));
            let mut scores = query.matmul(&key.transpose(2, 3)) * (width as f64).powf(-0.5);
            let place =
                |token: i64| [token / self.side.pow(2), token / self.side % self.side, token % self.side];
            let tables =
                [&self.rel_pos_h, &self.rel_pos_w, &self.rel_pos_d].map(|table| resized(table, self.side));
            for q in 0..tokens {
                for k in 0..tokens {
                    let position = (0..3)
                        .fold(Tensor::zeros([width], (Kind::Float, Device::Cpu)), |sum, axis| {
                            sum + tables[axis].get(place(q)[axis] - place(k)[axis] + self.side - 1)
                        });
                    let mut score = scores.select(2, q).select(2, k);
                    score += query.select(2, q).matmul(&position) * &self.lr;
                }
            }
            if shifted {
                let same = codes.regions.matmul(&codes.regions.transpose(1, 2));
                let mask = ((same - 1.0) * 100.0).repeat([windows / codes.regions.size()[0], 1, 1]);
                scores += mask.unsqueeze(1);
            }
            let mixed = scores.softmax(-1, None::<Kind>).matmul(&value);
            self.proj.forward(&mixed.transpose(1, 2).reshape([windows, tokens, channels]))
        }
    }

    #[test]
    fn equals_the_definition_with_score_matrices() {
        tch::manual_seed(1);
        let _no_grad = tch::no_grad_guard();
        let config = EncoderConfig {
            embed_dim: 12,
            num_heads: 2,
            token_grid: 4,
            window: 2,
            sam_window: 3,
            ..ModelConfig::tiny().encoder
        };
        let store = VarStore::new(Device::Cpu);
        let mut attention = Attention::new(Path::root(&store, 1), &config, 0);
        let unit = |rows: i64| Tensor::randn([rows, 6], (Kind::Float, Device::Cpu));
        for table in [&mut attention.rel_pos_h, &mut attention.rel_pos_w, &mut attention.rel_pos_d] {
            table.copy_(&unit(5));
        }
        let codes = Windows { grid: 4, side: 2 }.codes(Device::Cpu);
        let xs = Tensor::randn([16, 8, 12], (Kind::Float, Device::Cpu));
        for shifted in [false, true] {
            let regions = shifted.then(|| codes.regions_of(0, 16));
            let found = attention.forward(&xs, &codes, regions.as_ref());
            // The kernel without score matrices is number 1 in libtorch's numbering, and needs the padding.
            let [queries, keys, values] = attention.features(&xs, &codes, regions.as_ref());
            let kernel = |values: &Tensor| {
                let none = None::<Tensor>;
                Tensor::internal_fused_sdp_choice(&queries, &keys, values, none, 0.0, false, 1.0, false)
            };
            assert_eq!((kernel(&values), kernel(&values.narrow(3, 0, 6))), (1, 0), "shifted {shifted}");
            let difference =
                (found - attention.forward_plain(&xs, &codes, shifted)).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "shifted {shifted}: {difference}");
        }
    }
}
