//! The mask decoder: feature maps (four as published) and the intensities become logits (spec: "Mask decoder").
//!
//! The classifier's first convolution is linear in its inputs, so each map's contribution to it is computed separately, at half
//! the resolution ([`doubled`]), and the part that does not depend on clicks is computed once.

mod doubled;

use tch::{Device, Tensor};

use self::doubled::Doubling;
use crate::{
    config::ModelConfig,
    precision::full,
    tch_ext::{Conv, Conv3d, Corners, EPS, Path, add_residual, conv3d, instance_norm, records_graph, resize},
};

/// Voxels normalised at a time, so that they stay in the cache.
const ROWS_AT_ONCE: i64 = 1024;

/// Background and target.
const CLASSES: i64 = 2;

/// A head for each map that is aggregated, and a classifier over all of them and the intensities.
#[derive(Debug)]
pub(crate) struct MaskDecoder {
    heads: Vec<TwoConvolutions>,
    classifier: TwoConvolutions,
    doubling: Doubling,
    head_channels: i64,
    grid: i64,
    crop: i64,
}

impl MaskDecoder {
    pub(crate) fn new(path: &Path<'_>, config: &ModelConfig) -> Self {
        let (maps, head) = (config.encoder.neck_channels as i64, config.decoder.head_channels as i64);
        let hidden = config.decoder.hidden_channels as i64;
        let heads = path / "mlahead";
        let grid = config.encoder.token_grid as i64;
        let levels = &config.decoder.levels;
        let joined = levels.len() as i64 * head + 1;
        Self {
            // The published names count from 2: head2 belongs to the first map.
            heads: levels
                .iter()
                .map(|level| TwoConvolutions::new(&heads / format!("head{}", level + 1), [maps, head, head]))
                .collect(),
            classifier: TwoConvolutions::new(path / "cls", [joined, hidden, CLASSES]),
            doubling: Doubling::new(grid, path.device()),
            head_channels: head,
            grid,
            crop: config.crop as i64,
        }
    }

    /// The contribution of one map to the classifier's first convolution; `slot` is its number among the aggregated maps, from 0.
    ///
    /// # Shapes
    /// Map `[B, C, G, G, G]` in (H, W, D) to `[B, hidden, 2G, 2G, 2G]`.
    pub(crate) fn map_contribution(&self, slot: usize, map: &Tensor) -> Tensor {
        let features = instance_norm(&self.heads[slot].forward(map)).relu_();
        let kernel = self.classifier.first.weight();
        self.doubling
            .convolve(&features, &kernel.narrow(1, slot as i64 * self.head_channels, self.head_channels))
    }

    /// The sum of the contributions of `maps`, each with its number among the aggregated maps, and of the intensities.
    ///
    /// # Shapes
    /// Maps `[B, C, G, G, G]` in (H, W, D), intensities `[B, 1, D, H, W]`; gives `[B, hidden, 2G, 2G, 2G]`.
    pub(crate) fn contributions(&self, maps: &[(usize, Tensor)], image: &Tensor) -> Tensor {
        // The contributions of maps have contiguous channels and are added to each other fastest.
        let maps = maps.iter().map(|(slot, map)| self.map_contribution(*slot, map));
        let sum = maps.reduce(|sum, contribution| add_residual(sum, &contribution));
        let image = self.image_contribution(image);
        sum.map_or_else(|| full(&image), |sum| add_residual(sum, &full(&image)))
    }

    /// The contribution of the intensities to the classifier's first convolution.
    ///
    /// # Shapes
    /// Intensities `[B, 1, D, H, W]` to `[B, hidden, 2G, 2G, 2G]` in (H, W, D).
    pub(crate) fn image_contribution(&self, image: &Tensor) -> Tensor {
        let intensities = resize(&image.permute([0, 1, 3, 4, 2]), 2 * self.grid, Corners::Edges);
        let kernel = self.classifier.first.weight();
        conv3d(&intensities, &kernel.narrow(1, self.heads.len() as i64 * self.head_channels, 1))
    }

    /// The logits from the sum of all contributions, which is overwritten if no graph is recorded.
    ///
    /// # Shapes
    /// `[B, hidden, 2G, 2G, 2G]` in (H, W, D) to `[B, 2, D, H, W]`.
    pub(crate) fn finish(&self, contributions: Tensor) -> Tensor {
        let logits = if records_graph() || contributions.device() != Device::Cpu {
            self.classifier.second.forward(&instance_norm(&contributions).relu_())
        } else {
            self.classify_in_place(&full(&contributions))
        };
        resize(&full(&logits), self.crop, Corners::Centres).permute([0, 1, 4, 2, 3])
    }

    /// The classifier after its first convolution, in place if the channels of that one's result are contiguous.
    ///
    /// `relu((x - mean) / std)` is `relu(x - mean) / std`, and the division is moved into the next kernel: the rest of the
    /// normalisation is done while the voxels are in the cache.
    fn classify_in_place(&self, contributions: &Tensor) -> Tensor {
        let logits = contributions.unbind(0).into_iter().map(|sample| {
            let voxels = sample.permute([1, 2, 3, 0]).contiguous();
            let rows = voxels.view([-1, sample.size()[0]]);
            let count = rows.size()[0] as f64;
            let sum = |rows: &Tensor| rows.sum_dim_intlist(0, false, None);
            let parts = rows.split(ROWS_AT_ONCE, 0);
            // Sums of sums of parts: one long sum in float32 would lose digits.
            let mean = sum(&Tensor::stack(&parts.iter().map(sum).collect::<Vec<_>>(), 0)) / count;
            let centre = |mut part: Tensor| {
                part -= &mean;
                let squares = sum(&part.square());
                let _in_place = part.relu_();
                squares
            };
            let squares: Vec<Tensor> = parts.into_iter().map(centre).collect();
            let scale = (sum(&Tensor::stack(&squares, 0)) / count + EPS).rsqrt();
            let kernel = self.classifier.second.weight() * scale.view([1, -1, 1, 1, 1]);
            conv3d(&voxels.permute([3, 0, 1, 2]).unsqueeze(0), &kernel)
        });
        Tensor::cat(&logits.collect::<Vec<_>>(), 0)
    }
}

/// Convolution, instance norm, ReLU, convolution. Numbered like the published checkpoint's sequence.
#[derive(Debug)]
struct TwoConvolutions {
    first: Conv3d,
    second: Conv3d,
}

impl TwoConvolutions {
    fn new(path: Path<'_>, [inputs, hidden, outputs]: [i64; 3]) -> Self {
        let conv = |inputs, outputs| Conv::same(inputs, outputs, [3; 3]).bias(false);
        Self {
            first: Conv3d::new(&path / "0", conv(inputs, hidden)),
            second: Conv3d::new(&path / "3", conv(hidden, outputs)),
        }
    }

    /// # Shapes
    /// `[B, inputs, X, Y, Z]` to `[B, outputs, X, Y, Z]`.
    fn forward(&self, xs: &Tensor) -> Tensor {
        self.second.forward(&instance_norm(&self.first.forward(xs)).relu_())
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, nn::VarStore};

    use super::*;

    /// The logits without a graph, in place and normalised by the kernel, are those with one.
    #[test]
    fn in_place_is_as_by_the_definition() {
        tch::manual_seed(8);
        let config = ModelConfig::tiny();
        let decoder = MaskDecoder::new(&Path::root(&VarStore::new(Device::Cpu), 8), &config);
        let (hidden, side) = (config.decoder.hidden_channels as i64, 2 * config.encoder.token_grid as i64);
        let together = Tensor::randn([2, side, side, side, hidden], (Kind::Float, Device::Cpu)) * 3.0 + 5.0;
        let contributions = together.permute([0, 4, 1, 2, 3]);
        let expected = decoder.finish(contributions.copy()).detach();
        // With channels together in memory, and apart.
        for contributions in [contributions.copy(), contributions.contiguous()] {
            let _no_grad = tch::no_grad_guard();
            let found = decoder.finish(contributions);
            assert_eq!(found.size(), expected.size());
            assert!((found - &expected).abs().max().double_value(&[]) < 1e-5);
        }
    }
}
