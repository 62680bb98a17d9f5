//! A crop becomes tokens: SAM's patch embedding of every slice, then a depth-wise convolution over slices.
//!
//! By definition the crop of side P is first upsampled to `S = 16 G`. Upsampling by `s = S / P` followed by a convolution
//! with 16 taps and stride 16 is one convolution with `16 / s + 2` taps and stride `16 / s` on the crop padded by one
//! replicated voxel, with the interpolation folded into the kernel. So nothing of size `S^3` exists where s divides 16.

use tch::{
    Device, Kind, Tensor,
    nn::{Init, Path},
};

use crate::{
    config::EncoderConfig,
    tch_ext::{Corners, resize},
};

/// Patch embedding (SAM's, frozen), slice embedding and positions (new, trained).
#[derive(Debug)]
pub(crate) struct PatchEmbed {
    patch_weight: Tensor,
    patch_bias: Tensor,
    slice_weight: Tensor,
    slice_bias: Tensor,
    pos_embed: Tensor,
    depth_embed: Tensor,
    grid: i64,
    patch: i64,
}

impl PatchEmbed {
    pub(crate) fn new(path: &Path<'_>, config: &EncoderConfig) -> Self {
        let channels = config.embed_dim as i64;
        let (grid, patch) = (config.token_grid as i64, config.patch_size as i64);
        let within = |fan_in: i64| {
            let bound = 1.0 / (fan_in as f64).sqrt();
            Init::Uniform { lo: -bound, up: bound }
        };
        let patch_fan_in = 3 * patch * patch;
        let small = Init::Randn { mean: 0.0, stdev: 0.02 };
        let project = path / "patch_embed" / "proj";
        let slice = path / "slice_embed";
        Self {
            patch_weight: project.var("weight", &[channels, 3, patch, patch], within(patch_fan_in)),
            patch_bias: project.var("bias", &[channels], within(patch_fan_in)),
            slice_weight: slice.var("weight", &[channels, 1, 1, 1, patch], within(patch)),
            slice_bias: slice.var("bias", &[channels], within(patch)),
            pos_embed: path.var("pos_embed", &[1, 2 * grid, 2 * grid, channels], small),
            depth_embed: path.var("depth_embed", &[1, grid, channels], Init::Const(1.0)),
            grid,
            patch,
        }
    }

    /// # Shapes
    /// Intensities `[B, 1, D, H, W]` to tokens `[B, G, G, G, E]` in (H, W, D).
    pub(crate) fn forward(&self, image: &Tensor) -> Tensor {
        self.embed_slices(image) + self.positions()
    }

    /// Embeds the slices of the crop, then every patch of slices of the result.
    ///
    /// # Shapes
    /// As [`Self::forward`], without positions.
    pub(crate) fn embed_slices(&self, image: &Tensor) -> Tensor {
        let side = self.grid * self.patch;
        let crop = image.size()[2];
        let scale = side / crop;
        // A stride of one voxel has no room for the fold: 16 taps at scale 16 reach beyond one voxel of padding.
        let folds = side % crop == 0 && self.patch % scale == 0 && scale > 1 && scale < self.patch;
        let (voxels, fold) = if folds {
            (image.shallow_clone(), Fold::of(scale, self.patch, image.device()))
        } else {
            (resize(image, side, Corners::Edges), Fold::none(self.patch, image.device()))
        };
        self.convolve(&voxels, &fold)
    }

    /// The patch embedding of each slice and the slice embedding, with the interpolation `fold` in both kernels.
    ///
    /// # Shapes
    /// `[B, 1, X, X, X]` in (D, H, W) with `X = stride G` to `[B, G, G, G, E]` in (H, W, D).
    fn convolve(&self, voxels: &Tensor, fold: &Fold) -> Tensor {
        let size = voxels.size();
        let (batch, side) = (size[0], size[2]);
        let (grid, stride, padding) = (self.grid, fold.stride, fold.padding);
        let channels = self.patch_bias.size()[0];
        // The published input repeats one intensity three times, so the kernel is summed over its input channels.
        let kernel = self.patch_weight.sum_dim_intlist([1].as_slice(), true, None);
        let kernel = fold.weights.tr().matmul(&kernel).matmul(&fold.weights);
        let patches = voxels
            .view([batch * side, 1, side, side])
            .replication_pad2d([padding; 4])
            .conv2d(&kernel, Some(&self.patch_bias), stride, 0, 1, 1)
            .view([batch, side, channels, grid, grid]);
        let (first, last) = (patches.narrow(1, 0, 1), patches.narrow(1, side - 1, 1));
        let patches = match padding {
            0 => patches,
            _ => Tensor::cat(&[&first, &patches, &last], 1),
        };
        let taps =
            self.slice_weight.view([channels, self.patch]).matmul(&fold.weights).view([channels, 1, 1, -1]);
        let weighted = |tap: i64| {
            let slices = patches.slice(1, tap, tap + stride * (grid - 1) + 1, stride);
            slices * taps.select(3, tap)
        };
        let sum = (1..taps.size()[3]).fold(weighted(0), |sum, tap| sum + weighted(tap));
        sum.permute([0, 3, 4, 1, 2]) + &self.slice_bias
    }

    /// SAM's position embedding, pooled 2 x 2, along H and W, and the new one along D.
    ///
    /// # Shapes
    /// `[1, G, G, G, E]` in (H, W, D).
    fn positions(&self) -> Tensor {
        let in_plane = self
            .pos_embed
            .permute([0, 3, 1, 2])
            .avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)
            .permute([0, 2, 3, 1])
            .unsqueeze(3);
        in_plane + self.depth_embed.view([1, 1, 1, self.grid, -1])
    }
}

/// An interpolation in front of a strided convolution, as a matrix to fold into its kernel.
#[derive(Debug)]
struct Fold {
    /// `[taps of the original kernel, taps of the folded one]`.
    weights: Tensor,
    stride: i64,
    padding: i64,
}

impl Fold {
    /// No interpolation: the original kernel.
    fn none(patch: i64, device: Device) -> Self {
        Self { weights: Tensor::eye(patch, (Kind::Float, device)), stride: patch, padding: 0 }
    }

    /// Linear interpolation by `scale` with half-pixel centres, on voxels padded by one.
    fn of(scale: i64, patch: i64, device: Device) -> Self {
        let stride = patch / scale;
        let taps = stride + 2;
        let mut weights = vec![0f32; (patch * taps) as usize];
        for tap in 0..patch {
            // Where the original tap reads, in padded voxels from the start of the patch.
            let position = (tap as f64 + 0.5) / scale as f64 - 0.5 + 1.0;
            let (left, share) = (position.floor(), position.fract());
            let row = (tap * taps + left as i64) as usize;
            weights[row] += (1.0 - share) as f32;
            weights[row + 1] += share as f32;
        }
        let weights = Tensor::from_slice(&weights).view([patch, taps]).to_device(device);
        Self { weights, stride, padding: 1 }
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;

    use super::*;
    use crate::ModelConfig;

    impl PatchEmbed {
        /// The definition: upsample, embed every slice, then every patch of slices.
        fn embed_slices_plain(&self, image: &Tensor) -> Tensor {
            let (side, channels) = (self.grid * self.patch, self.patch_bias.size()[0]);
            let slices = resize(image, side, Corners::Edges).expand([-1, 3, -1, -1, -1], false);
            let slices = slices.transpose(1, 2).reshape([-1, 3, side, side]);
            let patches = slices.conv2d(&self.patch_weight, Some(&self.patch_bias), self.patch, 0, 1, 1);
            patches
                .view([-1, side, channels, self.grid, self.grid])
                .permute([0, 2, 3, 4, 1])
                .conv3d(&self.slice_weight, Some(&self.slice_bias), [1, 1, self.patch], 0, 1, channels)
                .permute([0, 2, 3, 4, 1])
        }
    }

    #[test]
    fn equals_the_definition_at_every_scale() {
        tch::manual_seed(2);
        let config = EncoderConfig { embed_dim: 6, token_grid: 4, window: 2, ..ModelConfig::tiny().encoder };
        let store = VarStore::new(Device::Cpu);
        let embed = PatchEmbed::new(&store.root(), &config);
        // Scales 8, 4, 2, 1 and, where the fold does not hold, 8/3.
        for crop in [8, 16, 32, 64, 24] {
            let image = Tensor::randn([2, 1, crop, crop, crop], (Kind::Float, Device::Cpu));
            let (found, expected) = (embed.embed_slices(&image), embed.embed_slices_plain(&image));
            let difference = (&found - &expected).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "crop {crop}: {difference}");
            let gradient = |tokens: &Tensor| {
                Tensor::run_backward(&[tokens.square().sum(None)], &[&embed.slice_weight], false, false)
            };
            let (a, b) = (gradient(&found), gradient(&expected));
            let relative = (&a[0] - &b[0]).norm().double_value(&[]) / b[0].norm().double_value(&[]);
            assert!(relative < 1e-5, "crop {crop}: gradient differs by {relative}");
        }
    }
}
