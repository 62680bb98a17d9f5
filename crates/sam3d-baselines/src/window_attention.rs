//! Attention within the windows of a token grid, with a table of relative positions, for Swin-UNETR and nnFormer.

use tch::{Kind, Tensor};

use crate::{
    layers::{Init, Linear, Path},
    windows::Windows,
};

/// Which entry of the table of relative positions belongs to each pair of tokens of a window.
#[derive(Debug, Clone)]
pub(crate) struct RelativePositions {
    /// Entries of the table.
    pub(crate) rows: i64,
    /// The entry for each pair of tokens, in C order over (query, key).
    pub(crate) index: Vec<i64>,
}

impl RelativePositions {
    /// For tokens at `places` of a window of which a side holds `side` tokens: the offset along each axis, from 0, times
    /// `strides`, summed.
    pub(crate) fn new(places: &[[i64; 3]], side: i64, strides: [i64; 3]) -> Self {
        let index = places
            .iter()
            .flat_map(|a| {
                places.iter().map(move |b| {
                    (0..3).map(|axis| (a[axis] - b[axis] + side - 1) * strides[axis]).sum::<i64>()
                })
            })
            .collect();
        Self { rows: (2 * side - 1).pow(3), index }
    }
}

/// The place of token `index` (C order) in a cube of side `side`.
pub(crate) fn place_in_cube(index: i64, side: i64) -> [i64; 3] {
    [index / (side * side), index / side % side, index % side]
}

/// Multi-head attention over the tokens of a window: `softmax(q k^T / sqrt(d) + positions + mask) v`, projected.
#[derive(Debug)]
pub(crate) struct WindowAttention {
    relative_position_bias_table: Tensor,
    index: Tensor,
    /// `qkv`, or `kv` where the queries come from elsewhere.
    fused: Linear,
    proj: Linear,
    heads: i64,
}

/// Where queries come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queries {
    /// The tokens themselves, projected (`qkv`).
    Projected,
    /// Other tokens, as they are (`kv`).
    Given,
}

impl WindowAttention {
    pub(crate) fn new(
        path: Path<'_>,
        channels: i64,
        heads: i64,
        positions: &RelativePositions,
        queries: Queries,
    ) -> Self {
        let init = Init::Normal { stdev: 0.02 };
        let fused = match queries {
            Queries::Projected => Linear::new(&path / "qkv", channels, 3 * channels),
            Queries::Given => Linear::new(&path / "kv", channels, 2 * channels),
        };
        Self {
            relative_position_bias_table: path.var(
                "relative_position_bias_table",
                &[positions.rows, heads],
                init,
            ),
            index: Tensor::from_slice(&positions.index).to_device(path.device()),
            fused,
            proj: Linear::new(&path / "proj", channels, channels),
            heads,
        }
    }

    /// # Shapes
    /// Normalised tokens `[B, D, H, W, C]` of the grid of `windows`; unchanged.
    pub(crate) fn forward(&self, xs: &Tensor, windows: &Windows) -> Tensor {
        let [query, key, value] = self.split(&windows.partition(xs));
        self.attend(&query, &key, &value, windows)
    }

    /// # Shapes
    /// Queries and normalised tokens `[B, D, H, W, C]` of the grid of `windows`; unchanged.
    pub(crate) fn forward_queries(&self, queries: &Tensor, xs: &Tensor, windows: &Windows) -> Tensor {
        let [key, value] = self.split(&windows.partition(xs));
        let queries = windows.partition(queries);
        let (count, tokens, channels) = (queries.size()[0], queries.size()[1], queries.size()[2]);
        let query = queries.view([count, tokens, self.heads, channels / self.heads]).transpose(1, 2);
        self.attend(&query, &key, &value, windows)
    }

    /// The parts of the fused projection, each `[B * windows, heads, L, C / heads]`.
    fn split<const PARTS: usize>(&self, xs: &Tensor) -> [Tensor; PARTS] {
        let (count, tokens, channels) = (xs.size()[0], xs.size()[1], xs.size()[2]);
        let parts = self
            .fused
            .forward(xs)
            .view([count, tokens, PARTS as i64, self.heads, channels / self.heads])
            .permute([2, 0, 3, 1, 4]);
        std::array::from_fn(|part| parts.get(part as i64))
    }

    fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, windows: &Windows) -> Tensor {
        let [count, heads, tokens, width] = <[i64; 4]>::try_from(query.size()).unwrap_or_default();
        let mut scores = (query * (width as f64).powf(-0.5)).matmul(&key.transpose(2, 3)) + self.positions();
        if let Some(mask) = windows.mask(query.device()) {
            let batch = count / mask.size()[0];
            scores = scores.view([batch, -1, heads, tokens, tokens]) + mask.unsqueeze(1).unsqueeze(0);
            scores = scores.view([count, heads, tokens, tokens]);
        }
        let mixed = scores.softmax(-1, None::<Kind>).matmul(value);
        let mixed = mixed.transpose(1, 2).reshape([count, tokens, heads * width]);
        windows.merge(&self.proj.forward(&mixed))
    }

    /// The table's entry for each pair of tokens, `[heads, L, L]`.
    fn positions(&self) -> Tensor {
        let tokens = (self.index.size()[0] as f64).sqrt().round() as i64;
        let entries = self.relative_position_bias_table.index_select(0, &self.index);
        entries.view([tokens, tokens, self.heads]).permute([2, 0, 1])
    }
}
