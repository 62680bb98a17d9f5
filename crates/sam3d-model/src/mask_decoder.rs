//! The mask decoder: four feature maps and the intensities become logits (spec: "Mask decoder").

use tch::{Tensor, nn::Path};

use crate::{
    config::ModelConfig,
    tch_ext::{Conv3d, Conv3dShape, Corners, instance_norm, resize},
};

/// Background and target.
const CLASSES: i64 = 2;

/// A head for each of four maps, and a classifier over all of them and the intensities.
#[derive(Debug)]
pub(crate) struct MaskDecoder {
    heads: Vec<TwoConvolutions>,
    classifier: TwoConvolutions,
    grid: i64,
    crop: i64,
}

impl MaskDecoder {
    pub(crate) fn new(path: &Path<'_>, config: &ModelConfig) -> Self {
        let (maps, head) = (config.encoder.neck_channels as i64, config.decoder.head_channels as i64);
        let hidden = config.decoder.hidden_channels as i64;
        let heads = path / "mlahead";
        Self {
            // The published names count from 2: head2 belongs to the first map.
            heads: (2..6)
                .map(|i| TwoConvolutions::new(&heads / format!("head{i}"), [maps, head, head]))
                .collect(),
            classifier: TwoConvolutions::new(path / "cls", [4 * head + 1, hidden, CLASSES]),
            grid: config.encoder.token_grid as i64,
            crop: config.crop as i64,
        }
    }

    /// # Shapes
    /// Four maps `[B, C, G, G, G]` in (H, W, D) and intensities `[B, 1, D, H, W]`; logits `[B, 2, D, H, W]`.
    pub(crate) fn forward(&self, maps: &[Tensor], image: &Tensor) -> Tensor {
        let side = 2 * self.grid;
        let mut inputs: Vec<Tensor> = self
            .heads
            .iter()
            .zip(maps)
            .map(|(head, map)| resize(&instance_norm(&head.forward(map)).relu(), side, Corners::Centres))
            .collect();
        let intensities = image.permute([0, 1, 3, 4, 2]);
        inputs.push(resize(&intensities, side, Corners::Edges));
        let logits = self.classifier.forward(&Tensor::cat(&inputs, 1));
        resize(&logits, self.crop, Corners::Centres).permute([0, 1, 4, 2, 3])
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
        let conv = |inputs, outputs| Conv3dShape { inputs, outputs, kernel: 3, groups: 1, bias: false };
        Self {
            first: Conv3d::new(&path / "0", conv(inputs, hidden)),
            second: Conv3d::new(&path / "3", conv(hidden, outputs)),
        }
    }

    /// # Shapes
    /// `[B, inputs, X, Y, Z]` to `[B, outputs, X, Y, Z]`.
    fn forward(&self, xs: &Tensor) -> Tensor {
        self.second.forward(&instance_norm(&self.first.forward(xs)).relu())
    }
}
