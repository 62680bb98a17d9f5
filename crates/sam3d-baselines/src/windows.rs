//! A token grid cut into windows: padding, shift, partition, its inverse, and the mask of shifted windows
//! (Liu et al., "Swin Transformer", 2021).

use tch::{Device, Kind, Tensor};

/// Added to the score of two tokens of a window from different regions of the grid.
const OTHER_REGION: f64 = -100.0;

/// How a grid of tokens is cut into windows. Sizes are along (D, H, W).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    grid: [i64; 3],
    window: [i64; 3],
    shift: [i64; 3],
}

impl Windows {
    pub(crate) fn new(grid: [i64; 3], window: [i64; 3], shift: [i64; 3]) -> Self {
        Self { grid, window, shift }
    }

    /// Sides of a window.
    pub(crate) fn window(&self) -> [i64; 3] {
        self.window
    }

    /// Windows along each axis of the padded grid.
    fn counts(&self) -> [i64; 3] {
        std::array::from_fn(|axis| (self.grid[axis] + self.window[axis] - 1) / self.window[axis])
    }

    fn padded(&self) -> [i64; 3] {
        let counts = self.counts();
        std::array::from_fn(|axis| counts[axis] * self.window[axis])
    }

    fn is_shifted(&self) -> bool {
        self.shift != [0; 3]
    }

    /// Pads with zeros at the far ends, rolls if shifted, and cuts. Windows and the tokens in them are in C order.
    ///
    /// # Shapes
    /// `[B, D, H, W, C]` to `[B * windows, L, C]`.
    pub(crate) fn partition(&self, xs: &Tensor) -> Tensor {
        let [pad_d, pad_h, pad_w] = std::array::from_fn(|axis| self.padded()[axis] - self.grid[axis]);
        let mut xs = xs.constant_pad_nd([0, 0, 0, pad_w, 0, pad_h, 0, pad_d]);
        if self.is_shifted() {
            xs = xs.roll(self.shift.map(|shift| -shift), [1, 2, 3]);
        }
        self.cut(&xs)
    }

    /// Undoes [`partition`](Self::partition).
    ///
    /// # Shapes
    /// `[B * windows, L, C]` to `[B, D, H, W, C]`.
    pub(crate) fn merge(&self, xs: &Tensor) -> Tensor {
        let ([nd, nh, nw], [wd, wh, ww]) = (self.counts(), self.window);
        let ([pd, ph, pw], [d, h, w]) = (self.padded(), self.grid);
        let channels = xs.size()[2];
        let mut xs = xs
            .reshape([-1, nd, nh, nw, wd, wh, ww, channels])
            .permute([0, 1, 4, 2, 5, 3, 6, 7])
            .reshape([-1, pd, ph, pw, channels]);
        if self.is_shifted() {
            xs = xs.roll(self.shift, [1, 2, 3]);
        }
        xs.narrow(1, 0, d).narrow(2, 0, h).narrow(3, 0, w)
    }

    /// The mask added to the scores of a shifted grid's tokens; `None` for an unshifted grid, where padded tokens are not
    /// masked.
    ///
    /// # Shapes
    /// `[windows, L, L]`.
    pub(crate) fn mask(&self, device: Device) -> Option<Tensor> {
        if !self.is_shifted() {
            return None;
        }
        let padded = self.padded();
        // Each axis is cut at two places into three regions, an axis without shift not at all.
        let regions = |axis: usize| {
            let index = Tensor::arange(padded[axis], (Kind::Float, device));
            let past = |cut: i64| index.ge((padded[axis] - cut) as f64).to_kind(Kind::Float);
            let count = if self.shift[axis] == 0 { 0.0 } else { 1.0 };
            (past(self.window[axis]) + past(self.shift[axis])) * count
        };
        let [d, h, w] = [regions(0), regions(1), regions(2)];
        let all = d.view([-1, 1, 1]) * 9.0 + h.view([1, -1, 1]) * 3.0 + w.view([1, 1, -1]);
        let all = self.cut(&all.view([1, padded[0], padded[1], padded[2], 1])).squeeze_dim(2);
        let differ = all.unsqueeze(2).ne_tensor(&all.unsqueeze(1));
        Some(differ.to_kind(Kind::Float) * OTHER_REGION)
    }

    fn cut(&self, xs: &Tensor) -> Tensor {
        let ([nd, nh, nw], [wd, wh, ww]) = (self.counts(), self.window);
        let channels = xs.size()[4];
        xs.reshape([-1, nd, wd, nh, wh, nw, ww, channels]).permute([0, 1, 3, 5, 2, 4, 6, 7]).reshape([
            -1,
            wd * wh * ww,
            channels,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> [Windows; 4] {
        [
            Windows::new([4, 4, 4], [2, 2, 2], [0, 0, 0]),
            Windows::new([3, 5, 4], [2, 2, 2], [1, 1, 1]),
            Windows::new([2, 7, 5], [2, 3, 3], [0, 1, 1]),
            Windows::new([1, 3, 2], [2, 2, 2], [0, 0, 0]),
        ]
    }

    #[test]
    fn merge_undoes_partition() {
        for windows in cases() {
            let [d, h, w] = windows.grid;
            let xs = Tensor::arange(2 * d * h * w * 3, (Kind::Float, Device::Cpu)).view([2, d, h, w, 3]);
            assert!(windows.merge(&windows.partition(&xs)).equal(&xs), "{windows:?}");
        }
    }

    #[test]
    fn tokens_of_an_unshifted_window_are_in_c_order() {
        let windows = Windows::new([2, 2, 3], [2, 2, 2], [0; 3]);
        let xs = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([1, 2, 2, 3, 1]);
        let parts = Vec::<f32>::try_from(windows.partition(&xs).flatten(0, -1)).unwrap();
        // The second window holds the last column and a column of padding.
        assert_eq!(parts, [0., 1., 3., 4., 6., 7., 9., 10., 2., 0., 5., 0., 8., 0., 11., 0.]);
    }

    /// By definition, two tokens of a window may meet if no cut lies between them, counted on the padded grid.
    #[test]
    fn mask_separates_what_the_cuts_separate() {
        for windows in cases() {
            let Some(mask) = windows.mask(Device::Cpu) else {
                assert!(!windows.is_shifted());
                continue;
            };
            let (padded, counts) = (windows.padded(), windows.counts());
            let place = |window: i64, token: i64| -> [i64; 3] {
                let split = |n: i64, sizes: [i64; 3]| {
                    [n / (sizes[1] * sizes[2]), n / sizes[2] % sizes[1], n % sizes[2]]
                };
                let (window, token) = (split(window, counts), split(token, windows.window));
                std::array::from_fn(|axis| window[axis] * windows.window[axis] + token[axis])
            };
            let [count, tokens, _] = mask.size3().unwrap().into();
            for window in 0..count {
                for a in 0..tokens {
                    for b in 0..tokens {
                        let (p, q) = (place(window, a), place(window, b));
                        let apart = (0..3).any(|axis| {
                            windows.shift[axis] != 0
                                && [windows.window[axis], windows.shift[axis]].iter().any(|cut| {
                                    let at = padded[axis] - cut;
                                    (p[axis] < at) != (q[axis] < at)
                                })
                        });
                        let expected = if apart { -100.0 } else { 0.0 };
                        assert_eq!(mask.double_value(&[window, a, b]), expected, "{windows:?} {p:?} {q:?}");
                    }
                }
            }
        }
    }
}
