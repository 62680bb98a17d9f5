use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};

use crate::check::{self, PUBLISHED_CROP};

/// Sizes of the plain convolutional U-Net that nnU-Net plans and trains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NnunetConfig {
    /// Sides of the crop (D, H, W); multiples of the product of the strides.
    pub crop: [usize; 3],
    /// The encoder's stages, from the crop's own resolution down.
    pub stages: Vec<NnunetStage>,
    /// Kernel (D, H, W) of each decoder stage, from the deepest up; one fewer than `stages`.
    pub decoder_kernels: Vec<[usize; 3]>,
    /// Whether transposed convolutions and heads have biases: yes in nnU-Net's version 2, no in version 1.
    pub decoder_bias: bool,
}

/// A stage of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NnunetStage {
    /// Channels.
    pub features: usize,
    /// Kernel of its two convolutions (D, H, W), odd.
    pub kernel: [usize; 3],
    /// Stride of the first of them.
    pub stride: [usize; 3],
}

impl NnunetConfig {
    /// The result of nnU-Net's planning rule for a patch of 64 x 160 x 160 at the spacings of the comparison.
    pub fn published() -> Self {
        let strides = [[1; 3], [2; 3], [2; 3], [2; 3], [2; 3], [1, 2, 2]];
        let stage = |(features, stride)| NnunetStage { features, kernel: [3; 3], stride };
        Self {
            crop: PUBLISHED_CROP,
            stages: [32, 64, 128, 256, 320, 320].into_iter().zip(strides).map(stage).collect(),
            decoder_kernels: vec![[3; 3]; 5],
            decoder_bias: true,
        }
    }

    /// The layout of version 1 with the plan of anisotropic data: the only one tried that has the published 30.76 M
    /// parameters.
    pub fn version_1() -> Self {
        let mut config = Self { decoder_bias: false, ..Self::published() };
        config.stages[0].kernel = [1, 3, 3];
        config.stages[1].stride = [1, 2, 2];
        config
    }

    /// Every part of the network on a small crop.
    pub fn small() -> Self {
        let strides = [[1; 3], [2; 3], [2; 3], [1, 2, 2]];
        let stage = |(features, stride)| NnunetStage { features, kernel: [3; 3], stride };
        Self {
            crop: [32, 64, 64],
            stages: [8, 16, 32, 40].into_iter().zip(strides).map(stage).collect(),
            decoder_kernels: vec![[3; 3]; 3],
            decoder_bias: true,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ModelError> {
        check::check(
            (2..=10).contains(&self.stages.len()),
            "stages",
            self.stages.len(),
            "between 2 and 10 in number",
        )?;
        let mut divisors = [1; 3];
        for NnunetStage { features, kernel, stride } in &self.stages {
            check::positive("stages.features", *features)?;
            for axis in 0..3 {
                odd("stages.kernel", kernel[axis])?;
                let step = stride[axis];
                check::check((1..=2).contains(&step), "stages.stride", step, "1 or 2")?;
                divisors[axis] *= step;
            }
        }
        check::multiples("crop", self.crop, divisors)?;
        let steps = self.stages.len() - 1;
        let found = self.decoder_kernels.len();
        check::check(found == steps, "decoder_kernels", found, &format!("{steps} in number"))?;
        self.decoder_kernels.iter().flatten().try_for_each(|side| odd("decoder_kernels", *side))
    }
}

fn odd(field: &'static str, found: usize) -> Result<(), ModelError> {
    check::check(found % 2 == 1 && found < 16, field, found, "odd and below 16")
}
