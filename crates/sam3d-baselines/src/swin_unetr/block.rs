//! A block of the Swin encoder: windowed attention and an MLP, each on the normalised tokens and added to them.

use tch::Tensor;

use crate::{
    layers::{LayerNorm, Linear, Path, gelu},
    window_attention::{Queries, RelativePositions, WindowAttention, place_in_cube},
    windows::Windows,
};

#[derive(Debug)]
pub(super) struct Block {
    norm1: LayerNorm,
    attn: WindowAttention,
    norm2: LayerNorm,
    linear1: Linear,
    linear2: Linear,
    windows: Windows,
}

impl Block {
    /// `window` is the side of a window that fits its grid.
    pub(super) fn new(path: Path<'_>, channels: i64, heads: i64, window: i64, windows: Windows) -> Self {
        let mlp = &path / "mlp";
        Self {
            norm1: LayerNorm::new(&path / "norm1", channels),
            attn: WindowAttention::new(
                &path / "attn",
                channels,
                heads,
                &positions(window, windows.window()),
                Queries::Projected,
            ),
            norm2: LayerNorm::new(&path / "norm2", channels),
            linear1: Linear::new(&mlp / "linear1", channels, 4 * channels),
            linear2: Linear::new(&mlp / "linear2", 4 * channels, channels),
            windows,
        }
    }

    /// # Shapes
    /// `[B, D, H, W, C]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let xs = xs + self.attn.forward(&self.norm1.forward(xs), &self.windows);
        let hidden = gelu(&self.linear1.forward(&self.norm2.forward(&xs)));
        &xs + self.linear2.forward(&hidden)
    }
}

/// The table's entries for a window of sides `sides` cut from one of side `window`.
///
/// A smaller window takes the top left corner of the full window's index: its token t counts as the full window's token
/// t, whose place it has along D only. That is right for a window that is smaller along D alone.
fn positions(window: i64, sides: [i64; 3]) -> RelativePositions {
    let tokens: i64 = sides.iter().product();
    let places: Vec<[i64; 3]> = (0..tokens).map(|token| place_in_cube(token, window)).collect();
    let row = 2 * window - 1;
    RelativePositions::new(&places, window, [row * row, row, 1])
}

/// Windows of side `window` on `grid`, shifted by half a window if `shifted`. An axis not longer than a window takes its
/// length for the window's side and is not shifted.
pub(super) fn windows(grid: [i64; 3], window: i64, shifted: bool) -> Windows {
    let side = grid.map(|length| length.min(window));
    let shift = grid.map(|length| if shifted && length > window { window / 2 } else { 0 });
    Windows::new(grid, side, shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_axis_is_one_window_without_shift() {
        assert_eq!(windows([4, 10, 10], 7, true), Windows::new([4, 10, 10], [4, 7, 7], [0, 3, 3]));
        assert_eq!(windows([16, 7, 10], 7, true), Windows::new([16, 7, 10], [7, 7, 7], [3, 0, 3]));
        assert_eq!(windows([16, 20, 20], 7, false), Windows::new([16, 20, 20], [7; 3], [0; 3]));
    }

    #[test]
    fn positions_are_offsets_along_the_three_axes() {
        let full = positions(7, [7; 3]);
        let pair =
            |full: &RelativePositions, tokens: i64, a: i64, b: i64| full.index[(a * tokens + b) as usize];
        // Token 57 stands at (1, 1, 1), token 100 at (2, 0, 2).
        assert_eq!(pair(&full, 343, 57, 100), (1 - 2 + 6) * 169 + (1 + 6) * 13 + (1 - 2 + 6));
        assert_eq!(full.rows, 2197);
        let flat = positions(7, [4, 7, 7]);
        assert_eq!(pair(&flat, 196, 57, 100), pair(&full, 343, 57, 100));
    }
}
