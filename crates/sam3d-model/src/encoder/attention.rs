//! Attention within a cubic window, with SAM's fused projections and relative positions decomposed over three axes:
//! `score(q, k) = q.k / sqrt(d) + lr (q.Rh[h_q - h_k] + q.Rw[w_q - w_k] + q.Rd[d_q - d_k])`.

use tch::{
    Kind, Tensor,
    nn::{Init, Path},
};

use crate::{config::EncoderConfig, tch_ext::Linear};

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
        let table =
            |name: &str| path.var(name, &[rows, channels / heads], Init::Randn { mean: 0.0, stdev: 0.02 });
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

    /// # Shapes
    /// Windows `[N, L, E]` with `L = side^3`, and a mask `[windows, L, L]` that is added to the scores (N is a multiple
    /// of `windows`); gives `[N, L, E]`.
    pub(crate) fn forward(&self, xs: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let (windows, tokens, channels) = (xs.size()[0], xs.size()[1], xs.size()[2]);
        let width = channels / self.heads;
        let qkv = self.qkv.forward(xs).view([windows, tokens, 3, self.heads, width]).permute([2, 0, 3, 1, 4]);
        let (query, key, value) = (qkv.get(0), qkv.get(1), qkv.get(2));

        let scale = (width as f64).powf(-0.5);
        let mut scores = (&query * scale).matmul(&key.transpose(-2, -1)) + self.relative_scores(&query);
        if let Some(mask) = mask {
            let count = mask.size()[0];
            let grouped = scores.view([windows / count, count, self.heads, tokens, tokens]);
            scores = (grouped + mask.unsqueeze(1)).view([windows, self.heads, tokens, tokens]);
        }
        let mixed = scores.softmax(-1, None::<Kind>).matmul(&value);
        self.proj.forward(&mixed.transpose(1, 2).reshape([windows, tokens, channels]))
    }

    /// # Shapes
    /// Queries `[N, heads, L, E / heads]` to `[N, heads, L, L]`.
    fn relative_scores(&self, query: &Tensor) -> Tensor {
        let (windows, heads, tokens, width) = query.size4().unwrap_or_default();
        let side = self.side;
        let query = query.reshape([windows * heads, side, side, side, width]);
        let along = |table: &Tensor, equation: &str| {
            Tensor::einsum(equation, &[&query, &self.offsets(table)], None::<i64>)
        };
        let h = along(&self.rel_pos_h, "nhwdc,hkc->nhwdk").unsqueeze(5).unsqueeze(6);
        let w = along(&self.rel_pos_w, "nhwdc,wkc->nhwdk").unsqueeze(4).unsqueeze(6);
        let d = along(&self.rel_pos_d, "nhwdc,dkc->nhwdk").unsqueeze(4).unsqueeze(5);
        ((h + w + d) * &self.lr).reshape([windows, heads, tokens, tokens])
    }

    /// The rows `q - k` of a table of relative positions, resized to the `2 side - 1` offsets of a window.
    ///
    /// # Shapes
    /// `[rows, E / heads]` to `[side, side, E / heads]`, indexed by q and k.
    fn offsets(&self, table: &Tensor) -> Tensor {
        let rows = 2 * self.side - 1;
        let resized = if table.size()[0] == rows {
            table.shallow_clone()
        } else {
            table.tr().unsqueeze(0).upsample_linear1d([rows], false, None).squeeze_dim(0).tr()
        };
        let index = Tensor::arange(self.side, (Kind::Int64, table.device()));
        let offset = index.unsqueeze(1) - index.unsqueeze(0) + (self.side - 1);
        resized.index_select(0, &offset.flatten(0, 1)).view([self.side, self.side, -1])
    }
}
