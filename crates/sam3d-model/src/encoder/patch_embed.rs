//! A crop becomes tokens: SAM's patch embedding of every slice, then a depth-wise convolution over slices.
//!
//! By definition the crop of side P is first upsampled to `S = 16 G`. Upsampling by `s = S / P` followed by a convolution
//! with 16 taps and stride 16 is one convolution with `16 / s + 2` taps and stride `16 / s` on the crop padded by one
//! replicated voxel, with the interpolation folded into the kernel. So nothing of size `S^3` exists where s divides 16.

use tch::{Device, Kind, Tensor};

use crate::{
    config::EncoderConfig,
    tch_ext::{Corners, Init, Path, linear, resize},
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
        let (in_plane, along_depth) = (Init::default_of(3 * patch * patch), Init::default_of(patch));
        let small = Init::Normal { stdev: 0.02 };
        let project = path / "patch_embed" / "proj";
        let slice = path / "slice_embed";
        Self {
            patch_weight: project.var("weight", &[channels, 3, patch, patch], in_plane),
            patch_bias: project.var("bias", &[channels], in_plane),
            slice_weight: slice.var("weight", &[channels, 1, 1, 1, patch], along_depth),
            slice_bias: slice.var("bias", &[channels], along_depth),
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
    /// Between the two there is nothing but a sum, so they are one kernel over a cube of voxels, the product of both; the
    /// embedded slices are never stored.
    ///
    /// # Shapes
    /// `[B, 1, X, X, X]` in (D, H, W) with `X = stride G` to `[B, G, G, G, E]` in (H, W, D).
    fn convolve(&self, voxels: &Tensor, fold: &Fold) -> Tensor {
        let (channels, taps) = (self.patch_bias.size()[0], fold.weights.size()[1]);
        // The published input repeats one intensity three times, so the kernel is summed over its input channels.
        let in_plane = self.patch_weight.sum_dim_intlist([1].as_slice(), false, None);
        let in_plane = fold.weights.tr().matmul(&in_plane).matmul(&fold.weights);
        let slice_weight = self.slice_weight.view([channels, self.patch]);
        let along_depth = slice_weight.matmul(&fold.weights);
        let kernel = along_depth.view([channels, taps, 1, 1]) * in_plane.unsqueeze(1);
        // Each slice brings its own bias into the sum over slices.
        let each_slice = slice_weight.sum_dim_intlist([1].as_slice(), false, None);
        let bias = &self.patch_bias * each_slice + &self.slice_bias;

        let padded = voxels.replication_pad3d([fold.padding; 6]).squeeze_dim(1);
        let cubes = (1..4).fold(padded, |cubes, axis| cubes.unfold(axis, taps, fold.stride));
        let cubes = cubes.permute([0, 2, 3, 1, 4, 5, 6]).flatten(4, 6);
        linear(&cubes, &kernel.flatten(1, 3), Some(&bias))
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
            let (left, fraction) = (position.floor(), position.fract());
            let row = (tap * taps + left as i64) as usize;
            weights[row] += (1.0 - fraction) as f32;
            weights[row + 1] += fraction as f32;
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
        let embed = PatchEmbed::new(&Path::root(&store, 2), &config);
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
