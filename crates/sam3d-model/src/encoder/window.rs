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

    /// The codes of this grid's tokens, for attention.
    pub(crate) fn codes(self, device: Device) -> TokenCodes {
        let side = self.side;
        let one_hot = Tensor::eye(side, (Kind::Float, device));
        let along = |shape: [i64; 4]| one_hot.view(shape).expand([side, side, side, side], false);
        let axes = Tensor::cat(
            &[along([side, 1, 1, side]), along([1, side, 1, side]), along([1, 1, side, side])],
            3,
        );
        let region = self.regions(device);
        let regions = region.unsqueeze(2).eq_tensor(&Tensor::arange(REGIONS, (Kind::Float, device)));
        TokenCodes {
            axes: axes.view([side.pow(3), 3 * side]),
            offsets: self.offsets(device),
            regions: regions.to_kind(Kind::Float),
        }
    }

    /// # Shapes
    /// `[L, 3 side]`: for every token and every place along each axis, the row of three tables of `2 side - 1` offsets,
    /// one below the other, that belongs to them.
    fn offsets(self, device: Device) -> Tensor {
        let side = self.side;
        let place = Tensor::arange(side, (Kind::Int64, device));
        // Indexed by the place of the query and that of the key.
        let between = place.unsqueeze(1) - place.unsqueeze(0) + (side - 1);
        let rows = 2 * side - 1;
        let along = |axis: i64, shape: [i64; 4]| {
            (&between + axis * rows).view(shape).expand([side, side, side, side], false)
        };
        let axes = [along(0, [side, 1, 1, side]), along(1, [1, side, 1, side]), along(2, [1, 1, side, side])];
        Tensor::cat(&axes, 3).view([side.pow(3), 3 * side])
    }

    /// After the roll of a shifted block, the last window along an axis holds tokens from both ends of that axis: those
    /// in its second half came from the other end. Three bits, one for each axis, tell the regions of a window apart.
    ///
    /// # Shapes
    /// `[windows, side^3]`, values 0 to 7.
    fn regions(self, device: Device) -> Tensor {
        let index = Tensor::arange(self.grid, (Kind::Float, device));
        let wrapped = index.ge((self.grid - self.side / 2) as f64).to_kind(Kind::Float);
        let region =
            wrapped.view([-1, 1, 1]) * 4.0 + wrapped.view([1, -1, 1]) * 2.0 + wrapped.view([1, 1, -1]);
        self.partition(&region.view([1, self.grid, self.grid, self.grid, 1])).squeeze_dim(2)
    }
}

/// Regions that one window of a shifted block can hold.
const REGIONS: i64 = 8;

/// Positions and regions of a window's tokens as one-hot features, so that relative positions and the mask of shifted
/// windows become part of the product of queries and keys.
#[derive(Debug)]
pub(crate) struct TokenCodes {
    /// Place along H, W and D, `[L, 3 side]`.
    pub(crate) axes: Tensor,
    /// Rows of relative positions towards every place along H, W and D, `[L, 3 side]`, int64.
    pub(crate) offsets: Tensor,
    /// Region within a shifted window, `[windows, L, 8]`.
    pub(crate) regions: Tensor,
}

impl TokenCodes {
    /// The regions of `count` windows from `start`, in a batch that holds all windows of each sample.
    ///
    /// # Shapes
    /// `[count, L, 8]`.
    pub(crate) fn regions_of(&self, start: i64, count: i64) -> Tensor {
        let windows = self.regions.size()[0];
        let of_each = (start..start + count).map(|window| window % windows).collect::<Vec<_>>();
        self.regions.index_select(0, &Tensor::from_slice(&of_each).to_device(self.regions.device()))
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

    /// The mask as the method defines it: each axis is cut at `-side` and `-side / 2` after the roll, and tokens of
    /// different regions are kept apart.
    fn defined_mask(windows: Windows) -> Tensor {
        let index = Tensor::arange(windows.grid, (Kind::Float, Device::Cpu));
        let past = |cut: i64| index.ge((windows.grid - cut) as f64).to_kind(Kind::Float);
        let axis = past(windows.side) + past(windows.side / 2);
        let regions = axis.view([-1, 1, 1]) * 9.0 + axis.view([1, -1, 1]) * 3.0 + axis.view([1, 1, -1]);
        let grid = windows.grid;
        let regions = windows.partition(&regions.view([1, grid, grid, grid, 1])).squeeze_dim(2);
        regions.unsqueeze(2).eq_tensor(&regions.unsqueeze(1)).to_kind(Kind::Float)
    }

    #[test]
    fn region_codes_meet_where_the_mask_is_open() {
        for windows in
            [Windows { grid: 4, side: 2 }, Windows { grid: 12, side: 4 }, Windows { grid: 4, side: 4 }]
        {
            let regions = windows.codes(Device::Cpu).regions;
            let same = regions.matmul(&regions.transpose(1, 2));
            assert!(same.equal(&defined_mask(windows)), "{windows:?}");
        }
    }

    #[test]
    fn regions_repeat_with_every_sample() {
        let codes = Windows { grid: 4, side: 2 }.codes(Device::Cpu);
        let expected = Tensor::cat(&[codes.regions.narrow(0, 6, 2), codes.regions.narrow(0, 0, 3)], 0);
        assert!(codes.regions_of(14, 5).equal(&expected));
    }

    #[test]
    fn axis_codes_name_the_place_of_a_token() {
        let codes = Windows { grid: 4, side: 2 }.codes(Device::Cpu).axes;
        // Token 5 of a window of side 2 stands at (1, 0, 1).
        assert_eq!(Vec::<f32>::try_from(codes.get(5)).unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
