//! The block of encoder and decoder: norms, windowed attention and an MLP.

use tch::Tensor;

use super::NnformerConfig;
use crate::{
    Mode,
    layers::{LayerNorm, Linear, Path, drop_path, gelu},
    window_attention::{Queries, RelativePositions, WindowAttention, place_in_cube},
    windows::Windows,
};

#[derive(Debug)]
pub(super) struct Block {
    norm1: LayerNorm,
    attn: WindowAttention,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    windows: Windows,
    drop_rate: f64,
}

impl Block {
    /// A block on the grid of encoder stage `stage`, shifted if `number` is odd and the grid allows it.
    pub(super) fn new(
        path: Path<'_>,
        config: &NnformerConfig,
        stage: usize,
        number: usize,
        queries: Queries,
        drop_rate: f64,
    ) -> Self {
        let (channels, heads) = (config.channels(stage), config.num_heads[stage] as i64);
        let window = config.windows[stage] as i64;
        let grid = config.grid(stage);
        let mlp = &path / "mlp";
        Self {
            norm1: LayerNorm::new(&path / "norm1", channels),
            attn: WindowAttention::new(
                &path / "attn",
                channels,
                heads,
                &positions(window, config.corrected),
                queries,
            ),
            norm2: LayerNorm::new(&path / "norm2", channels),
            fc1: Linear::new(&mlp / "fc1", channels, 4 * channels),
            fc2: Linear::new(&mlp / "fc2", 4 * channels, channels),
            windows: windows(grid, window, number % 2 == 1),
            drop_rate,
        }
    }

    /// # Shapes
    /// `[B, D, H, W, C]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor, mode: Mode) -> Tensor {
        let attended = self.attn.forward(&self.norm1.forward(xs), &self.windows);
        self.finish(xs, &attended, mode)
    }

    /// The block that joins the upsampled map with the skip: queries from the one, not projected, keys and values from
    /// the other.
    ///
    /// # Shapes
    /// Both `[B, D, H, W, C]`, unchanged.
    pub(super) fn forward_joining(&self, upsampled: &Tensor, skip: &Tensor, mode: Mode) -> Tensor {
        let (queries, keys) = (self.norm1.forward(upsampled), self.norm1.forward(skip));
        let attended = self.attn.forward_queries(&queries, &keys, &self.windows);
        self.finish(&(upsampled + skip), &attended, mode)
    }

    fn finish(&self, residual: &Tensor, attended: &Tensor, mode: Mode) -> Tensor {
        let xs = residual + drop_path(attended, self.drop_rate, mode);
        let hidden = gelu(&self.fc1.forward(&self.norm2.forward(&xs)));
        &xs + drop_path(&self.fc2.forward(&hidden), self.drop_rate, mode)
    }
}

/// Windows of side `window` on `grid`, shifted by half a window if `shifted`, unless an axis of the grid is no longer
/// than a window: then no axis is shifted.
fn windows(grid: [i64; 3], window: i64, shifted: bool) -> Windows {
    let shift = if shifted && grid.iter().all(|length| *length > window) { window / 2 } else { 0 };
    Windows::new(grid, [window; 3], [shift; 3])
}

/// The table's entries for a window of side `window`. The published index multiplies the offset along D by
/// `3 window - 1`, where `(2 window - 1)^2` gives every offset an entry of its own.
fn positions(window: i64, corrected: bool) -> RelativePositions {
    let places: Vec<[i64; 3]> = (0..window.pow(3)).map(|token| place_in_cube(token, window)).collect();
    let row = 2 * window - 1;
    let first = if corrected { row * row } else { 3 * window - 1 };
    RelativePositions::new(&places, window, [first, row, 1])
}

/// `count` rates that rise linearly from 0 to `last`.
pub(super) fn drop_rates(last: f64, count: usize) -> Vec<f64> {
    (0..count).map(|index| last * index as f64 / (count - 1) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_axis_stops_the_shift_along_all() {
        assert_eq!(windows([8, 10, 10], 6, true), Windows::new([8, 10, 10], [6; 3], [3; 3]));
        assert_eq!(windows([4, 5, 5], 4, true), Windows::new([4, 5, 5], [4; 3], [0; 3]));
    }

    #[test]
    fn the_published_index_shares_entries_and_the_corrected_does_not() {
        let distinct = |corrected| {
            let mut index = positions(4, corrected).index;
            index.sort_unstable();
            index.dedup();
            index.len()
        };
        assert_eq!(distinct(true), 7 * 7 * 7);
        // Offsets 0..6 times 11, 7 and 1: everything from 0 to 114 that these sums reach.
        assert_eq!(distinct(false), 115);
        assert_eq!(positions(4, true).rows, 343);
    }

    #[test]
    fn rates_rise_linearly() {
        assert_eq!(drop_rates(0.2, 3), [0.0, 0.1, 0.2]);
    }
}
