//! A crop becomes tokens: SAM's patch embedding of every slice, then a depth-wise convolution over slices.

use tch::{
    Tensor,
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

    /// Upsamples the crop to `S = 16 G`, embeds its S slices, then every 16 slices of the result.
    ///
    /// # Shapes
    /// As [`Self::forward`], without positions.
    pub(crate) fn embed_slices(&self, image: &Tensor) -> Tensor {
        let (batch, grid, patch) = (image.size()[0], self.grid, self.patch);
        let side = grid * patch;
        let channels = self.patch_bias.size()[0];
        // The published input repeats one intensity three times, so the kernel is summed over its input channels.
        let kernel = self.patch_weight.sum_dim_intlist([1].as_slice(), true, None);
        let slices = resize(image, side, Corners::Edges).view([batch * side, 1, side, side]);
        let patches = slices
            .conv2d(&kernel, Some(&self.patch_bias), patch, 0, 1, 1)
            .view([batch, grid, patch, channels, grid, grid]);
        let taps = self.slice_weight.view([channels, patch]);
        Tensor::einsum("bdtchw,ct->bhwdc", &[patches, taps], None::<i64>) + &self.slice_bias
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
