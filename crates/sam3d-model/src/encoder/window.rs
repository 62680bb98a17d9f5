//! Cubic attention windows: partition, its inverse, and the mask of shifted windows (Liu et al., Swin Transformer, 2021).

use tch::{Device, Kind, Tensor};

/// Tokens of one window are `side^3`; windows tile a grid of `grid^3` tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) grid: i64,
    pub(crate) side: i64,
}

impl Windows {
    /// # Shapes
    /// `[B, G, G, G, E]` to `[B * windows, side^3, E]`.
    pub(crate) fn partition(self, xs: &Tensor) -> Tensor {
        let (count, side) = (self.grid / self.side, self.side);
        let (batch, channels) = (xs.size()[0], xs.size()[4]);
        xs.reshape([batch, count, side, count, side, count, side, channels])
            .permute([0, 1, 3, 5, 2, 4, 6, 7])
            .reshape([batch * count.pow(3), side.pow(3), channels])
    }

    /// # Shapes
    /// `[B * windows, side^3, E]` to `[B, G, G, G, E]`.
    pub(crate) fn merge(self, xs: &Tensor) -> Tensor {
        let (count, side) = (self.grid / self.side, self.side);
        let channels = xs.size()[2];
        xs.reshape([-1, count, count, count, side, side, side, channels])
            .permute([0, 1, 4, 2, 5, 3, 6, 7])
            .reshape([-1, self.grid, self.grid, self.grid, channels])
    }

    /// What is added to the scores of shifted windows: -100 between tokens that were not neighbours before the shift.
    ///
    /// # Shapes
    /// `[windows, side^3, side^3]`.
    pub(crate) fn shift_mask(self, device: Device) -> Tensor {
        let axis = self.region_of_axis(device);
        // A region is named by its three digits in base 3; each axis has the regions 0, 1 and 2.
        let regions = axis.view([-1, 1, 1]) * 9 + axis.view([1, -1, 1]) * 3 + axis.view([1, 1, -1]);
        let regions = self.partition(&regions.view([1, self.grid, self.grid, self.grid, 1])).squeeze_dim(2);
        let differs = regions.unsqueeze(2).ne_tensor(&regions.unsqueeze(1));
        differs.to_kind(Kind::Float) * -100.0
    }

    /// Each axis is cut at `-side` and `-side / 2` after the roll.
    fn region_of_axis(self, device: Device) -> Tensor {
        let index = Tensor::arange(self.grid, (Kind::Float, device));
        let past = |cut: i64| index.ge((self.grid - cut) as f64).to_kind(Kind::Float);
        past(self.side) + past(self.side / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_undoes_partition() {
        let windows = Windows { grid: 4, side: 2 };
        let xs = Tensor::arange(2 * 64 * 3, (Kind::Float, Device::Cpu)).view([2, 4, 4, 4, 3]);
        let parts = windows.partition(&xs);
        assert_eq!(parts.size(), [16, 8, 3]);
        assert!(windows.merge(&parts).equal(&xs));
        // The second token of the first window is its neighbour along the last axis.
        assert_eq!(parts.double_value(&[0, 1, 0]), xs.double_value(&[0, 0, 0, 1, 0]));
    }

    #[test]
    fn only_windows_at_the_far_edge_are_masked() {
        let mask = Windows { grid: 4, side: 2 }.shift_mask(Device::Cpu);
        assert_eq!(mask.size(), [8, 8, 8]);
        assert_eq!(mask.get(0).abs().max().double_value(&[]), 0.0);
        // The last window holds one token of each of eight regions: it attends to itself only.
        let last = mask.get(7);
        assert_eq!(last.diagonal(0, 0, 1).sum(None).double_value(&[]), 0.0);
        assert_eq!(last.sum(None).double_value(&[]), -100.0 * 56.0);
    }
}
