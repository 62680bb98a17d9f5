//! SAM's prompt encoder: clicks become tokens, by random Fourier features of their place and an embedding of their label.
//!
//! Boxes and masks are prompts of SAM as well. They are not used here; their parameters are kept, so that checkpoints
//! fit.

use std::f64::consts::PI;

use sam3d_geom::PointLabel;
use tch::{Device, Kind, Tensor};

use super::{config::Sam2dConfig, layers::Conv2d, network::PixelPoint};
use crate::tch_ext::{Init, LayerNorm, Path};

/// Channels of the last of the two convolutions that shrink a mask prompt.
const MASK_CHANNELS: i64 = 16;

/// Embeddings of places and labels.
#[derive(Debug)]
pub(super) struct PromptEncoder2d {
    gaussian: Tensor,
    negative: Tensor,
    positive: Tensor,
    not_a_point: Tensor,
    no_mask: Tensor,
    image_side: f64,
    grid: i64,
}

impl PromptEncoder2d {
    pub(super) fn new(path: &Path<'_>, config: &Sam2dConfig) -> Self {
        let channels = config.channels as i64;
        let normal = Init::Normal { stdev: 1.0 };
        let token = |path: Path<'_>| path.var("weight", &[1, channels], normal);
        let points = path / "point_embeddings";
        // Corners of boxes, and mask prompts.
        let _unused = [token(&points / 2), token(&points / 3)];
        let shrink = path / "mask_downscaling";
        let quarter = MASK_CHANNELS / 4;
        let _unused = [
            Conv2d::new(&shrink / 0, [1, quarter, 2, 2], true),
            Conv2d::new(&shrink / 3, [quarter, MASK_CHANNELS, 2, 2], true),
            Conv2d::new(&shrink / 6, [MASK_CHANNELS, channels, 1, 1], true),
        ];
        let _unused = [
            LayerNorm::with_eps(&shrink / 1, quarter, 1e-6),
            LayerNorm::with_eps(&shrink / 4, MASK_CHANNELS, 1e-6),
        ];
        Self {
            gaussian: (path / "pe_layer").var(
                "positional_encoding_gaussian_matrix",
                &[2, channels / 2],
                normal,
            ),
            negative: token(&points / 0),
            positive: token(&points / 1),
            not_a_point: token(path / "not_a_point_embed"),
            no_mask: token(path / "no_mask_embed"),
            image_side: config.image_side() as f64,
            grid: config.grid() as i64,
        }
    }

    /// The tokens of `points` and of one padding point in place of a box.
    ///
    /// # Shapes
    /// `[1, N + 1, C]`.
    pub(super) fn tokens(&self, points: &[PixelPoint]) -> Tensor {
        let coordinates: Vec<f32> = points
            .iter()
            .flat_map(|point| point.xy.map(|at| ((at + 0.5) / self.image_side) as f32))
            .collect();
        let count = points.len() as i64;
        let places = Tensor::from_slice(&coordinates).view([count, 2]).to_device(self.device());
        let labels: Vec<&Tensor> = points
            .iter()
            .map(|point| match point.label {
                PointLabel::Positive => &self.positive,
                PointLabel::Negative => &self.negative,
            })
            .collect();
        let mut tokens = self.fourier(&places);
        if !labels.is_empty() {
            tokens += Tensor::cat(&labels, 0);
        }
        // The padding point has no place, only an embedding.
        Tensor::cat(&[&tokens, &self.not_a_point], 0).unsqueeze(0)
    }

    /// The embedding of no mask prompt, added to the image embedding.
    ///
    /// # Shapes
    /// `[1, C, 1, 1]`.
    pub(super) fn no_mask(&self) -> Tensor {
        self.no_mask.view([1, -1, 1, 1])
    }

    /// The places of the image embedding's tokens.
    ///
    /// # Shapes
    /// `[1, C, G, G]`.
    pub(super) fn places_of_grid(&self) -> Tensor {
        let grid = self.grid;
        let centres = (Tensor::arange(grid, (Kind::Float, self.device())) + 0.5) / grid as f64;
        let x = centres.view([1, grid]).expand([grid, grid], false);
        let y = centres.view([grid, 1]).expand([grid, grid], false);
        self.fourier(&Tensor::stack(&[x, y], 2)).permute([2, 0, 1]).unsqueeze(0)
    }

    /// # Shapes
    /// Places (x, y) in [0, 1] `[..., 2]` to `[..., C]`.
    fn fourier(&self, places: &Tensor) -> Tensor {
        let angles = (places * 2.0 - 1.0).matmul(&self.gaussian) * (2.0 * PI);
        Tensor::cat(&[angles.sin(), angles.cos()], -1)
    }

    fn device(&self) -> Device {
        self.gaussian.device()
    }
}
