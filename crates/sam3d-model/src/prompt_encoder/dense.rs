//! The encoder of dense prompts: SAM's encoder of masks in 3D, whose features are added to the deepest map.

use tch::{Device, Kind, Tensor};

use crate::{
    precision::full,
    prompt::{DenseChannel, DensePrompts},
    tch_ext::{Conv, Conv3d, Corners, LayerNorm, Path, Start, resize},
};

/// Voxels of the resized channels along each axis of a token.
const VOXELS_OF_TOKEN: i64 = 4;
/// Channels after the first and the second convolution.
const WIDTHS: [i64; 2] = [8, 32];
const NORM_EPS: f64 = 1e-6;

/// Two convolutions that halve the side, each with norm and GELU, and a projection that begins at zero. Numbered like the
/// sequence in SAM's mask encoder.
#[derive(Debug)]
pub(super) struct DenseEncoder {
    first: Conv3d,
    norm1: LayerNorm,
    second: Conv3d,
    norm2: LayerNorm,
    project: Conv3d,
}

impl DenseEncoder {
    /// An encoder for maps of `channels`.
    pub(super) fn new(path: &Path<'_>, channels: i64) -> Self {
        let [narrow, wide] = WIDTHS;
        Self {
            first: Conv3d::new(path / "0", Conv::patches(DenseChannel::ALL.len() as i64, narrow, [2; 3])),
            norm1: LayerNorm::with_eps(path / "1", narrow, NORM_EPS),
            second: Conv3d::new(path / "3", Conv::patches(narrow, wide, [2; 3])),
            norm2: LayerNorm::with_eps(path / "4", wide, NORM_EPS),
            // Zero at the start: the network then begins as one without dense prompts.
            project: Conv3d::new(path / "6", Conv::same(wide, channels, [1; 3]).start(Start::Zero)),
        }
    }

    /// The features to add to a map of side `grid`. Each token depends on its own block of voxels only, so without prompts all
    /// tokens are equal and one is computed.
    ///
    /// # Shapes
    /// `[1, C, grid, grid, grid]` in (H, W, D); `[1, C, 1, 1, 1]` without prompts.
    pub(super) fn forward(&self, dense: &DensePrompts, grid: i64, device: Device) -> Tensor {
        let voxels = stacked(dense).map_or_else(
            || {
                let side = VOXELS_OF_TOKEN;
                Tensor::zeros([1, DenseChannel::ALL.len() as i64, side, side, side], (Kind::Float, device))
            },
            |channels| resized(&channels.to_device(device), VOXELS_OF_TOKEN * grid),
        );
        let xs = self.norm1.forward_channels_first(&self.first.forward(&voxels)).gelu("none");
        let xs = self.norm2.forward_channels_first(&self.second.forward(&xs)).gelu("none");
        full(&self.project.forward(&xs))
    }
}

/// The channels as one tensor on the CPU; `None` if all are empty.
///
/// # Shapes
/// `[1, 5, P, P, P]` in (D, H, W).
fn stacked(dense: &DensePrompts) -> Option<Tensor> {
    let count = DenseChannel::ALL.into_iter().find_map(|channel| Some(dense.channel(channel)?.len()))?;
    let channels = DenseChannel::ALL.map(|channel| match dense.channel(channel) {
        Some(values) => Tensor::from_slice(values),
        None => Tensor::zeros([count as i64], (Kind::Float, Device::Cpu)),
    });
    let side = (count as f64).cbrt().round() as i64;
    Some(Tensor::stack(&channels, 0).view([1, DenseChannel::ALL.len() as i64, side, side, side]))
}

/// Channels on a grid of side `side`: averages over smaller voxels, trilinear between larger ones.
///
/// # Shapes
/// `[1, C, P, P, P]` in (D, H, W) to `[1, C, side, side, side]` in (H, W, D).
fn resized(channels: &Tensor, side: i64) -> Tensor {
    let channels = channels.permute([0, 1, 3, 4, 2]);
    let found = channels.size()[2];
    if found > side {
        channels.adaptive_avg_pool3d([side, side, side])
    } else if found < side {
        resize(&channels, side, Corners::Edges)
    } else {
        channels
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;

    use super::*;
    use crate::tch_ext::Init;

    const GRID: i64 = 4;

    /// An encoder whose projection is not zero.
    fn encoder(store: &VarStore) -> DenseEncoder {
        let encoder = DenseEncoder::new(&Path::root(store, 5), 6);
        let _no_grad = tch::no_grad_guard();
        let weight = encoder.project.weight();
        let values = Path::root(store, 6).var("values", &weight.size(), Init::Uniform { bound: 1.0 });
        weight.shallow_clone().copy_(&values);
        encoder
    }

    /// One voxel of a crop of side `side`.
    fn voxel(channel: DenseChannel, side: usize, [d, h, w]: [usize; 3]) -> DensePrompts {
        let mut values = vec![0.0; side.pow(3)];
        values[(d * side + h) * side + w] = 1.0;
        DensePrompts::default().with(channel, &values).unwrap()
    }

    #[test]
    fn a_voxel_changes_the_tokens_over_it_in_its_channel_s_way() {
        let store = VarStore::new(Device::Cpu);
        let encoder = encoder(&store);
        let empty = encoder.forward(&DensePrompts::default(), GRID, Device::Cpu);
        assert_eq!(empty.size(), [1, 6, 1, 1, 1]);
        // Averaged (side 32 and the uneven 24), as it is (16), and interpolated (8), where neighbours change, too.
        for (side, spreads) in [(32, 0), (24, 0), (16, 0), (8, 1)] {
            let at = |token: usize| token * side / GRID as usize;
            let mut seen = Vec::new();
            for channel in DenseChannel::ALL {
                let dense = voxel(channel, side, [at(3), at(0), at(1)]);
                let found = encoder.forward(&dense, GRID, Device::Cpu);
                assert_eq!(found.size(), [1, 6, GRID, GRID, GRID]);
                let changed = (&found - &empty).abs().amax([1], false).gt(1e-4).squeeze_dim(0);
                // Tokens are laid out (H, W, D).
                assert_eq!(changed.int64_value(&[0, 1, 3]), 1, "{channel}, side {side}");
                let distance = |[h, w, d]: [i64; 3]| h.max((w - 1).abs()).max((d - 3).abs());
                let others = (0..GRID.pow(3)).map(|i| [i / 16, i / 4 % 4, i % 4]);
                for token in others.filter(|token| distance(*token) > spreads) {
                    assert_eq!(changed.int64_value(&token), 0, "{channel}, side {side}: {token:?}");
                }
                seen.push(found);
            }
            for (a, b) in seen.iter().zip(&seen[1..]) {
                assert!((a - b).abs().max().double_value(&[]) > 1e-4, "side {side}");
            }
        }
    }

    #[test]
    fn averages_are_by_area() {
        let values = Tensor::arange(6i64.pow(3), (Kind::Float, Device::Cpu)).view([1, 1, 6, 6, 6]);
        let expected = |d: i64, h: i64, w: i64| {
            values.narrow(2, 3 * d, 3).narrow(3, 3 * h, 3).narrow(4, 3 * w, 3).mean(Kind::Float)
        };
        let found = resized(&values, 2);
        for (d, h, w) in [(0, 0, 1), (1, 0, 0), (0, 1, 0), (1, 1, 0)] {
            let difference = found.double_value(&[0, 0, h, w, d]) - expected(d, h, w).double_value(&[]);
            assert!(difference.abs() < 1e-4, "{difference}");
        }
    }
}
