//! What tch lacks, in one place: layers with PyTorch's names and initial values.
//!
//! Every function that makes parameters takes the [`Path`] they live under, so that a parameter's name is the path of
//! struct fields and the key in a checkpoint.

use tch::{
    Device, Kind, Tensor,
    nn::{Init, Path},
};

use crate::precision::{full, operand};

/// A parameter with PyTorch's default for weights and biases of linear and convolution layers: uniform within
/// `1 / sqrt(fan_in)`.
pub(crate) fn uniform(path: &Path<'_>, name: &str, shape: &[i64], fan_in: i64) -> Tensor {
    let bound = 1.0 / (fan_in as f64).sqrt();
    path.var(name, shape, Init::Uniform { lo: -bound, up: bound })
}

/// `y = x W^T + b` over the last axis.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weights at `init` and a bias of zero.
    pub(crate) fn with_init(path: Path<'_>, inputs: i64, outputs: i64, init: Init) -> Self {
        Self {
            weight: path.var("weight", &[outputs, inputs], init),
            bias: path.var("bias", &[outputs], Init::Const(0.0)),
        }
    }

    /// PyTorch's initial values.
    pub(crate) fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        Self {
            weight: uniform(&path, "weight", &[outputs, inputs], inputs),
            bias: uniform(&path, "bias", &[outputs], inputs),
        }
    }

    /// # Shapes
    /// `[..., inputs]` to `[..., outputs]`.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        linear(xs, &self.weight, Some(&self.bias))
    }
}

/// Rows, inputs and outputs from which on [`linear`] is a convolution on the CPU. They leave the products of `tiny` to
/// libtorch: as convolutions their other rounding moved one entry of a golden gradient (`blocks.4.adapter.conv.bias`) by
/// 3.2e-3 of its norm, where 2e-3 is allowed. Wider products are held to the plain form and to the golden ViT-B logits.
const CONVOLVED: [i64; 3] = [512, 128, 64];

/// Images from which on libtorch gives a 1 x 1 convolution to oneDNN where there is one thread only; with several threads one
/// image is enough.
const IMAGES_OF_ONE_THREAD: i64 = 16;

/// `y = x W^T + b` over the last axis, in the thread's precision.
///
/// libtorch's matrix products on the CPU are MKL's, which on other vendors' processors uses half of what they can do. Its
/// convolutions are oneDNN's, which asks the processor. A product with many rows is therefore given to it as a
/// 1 x 1 convolution over as many pixels; nothing is copied, since the last axis is that of channels.
///
/// # Shapes
/// `xs` `[..., inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]`; gives `[..., outputs]`.
pub(crate) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let (xs, weight, bias) = (operand(xs), operand(weight), bias.map(operand));
    let [outputs, inputs] = [weight.size()[0], weight.size()[1]];
    let rows = xs.numel() as i64 / inputs;
    let narrow = [rows, inputs, outputs].iter().zip(CONVOLVED).any(|(size, least)| *size < least);
    if xs.device() != Device::Cpu || xs.kind() != Kind::Float || narrow {
        return xs.linear(&weight, bias);
    }
    let images = if tch::get_num_threads() == 1 && rows % IMAGES_OF_ONE_THREAD == 0 {
        IMAGES_OF_ONE_THREAD
    } else {
        1
    };
    convolved(&xs, &weight, bias, images)
}

/// The product as a convolution over the pixels of `images` images, which divide the rows.
fn convolved(xs: &Tensor, weight: &Tensor, bias: Option<Tensor>, images: i64) -> Tensor {
    let [outputs, inputs] = [weight.size()[0], weight.size()[1]];
    let mut size = xs.size();
    if let Some(last) = size.last_mut() {
        *last = outputs;
    }
    xs.reshape([images, -1, 1, inputs])
        .permute([0, 3, 1, 2])
        .conv2d(&weight.view([outputs, inputs, 1, 1]), bias, 1, 0, 1, 1)
        .permute([0, 2, 3, 1])
        .reshape(size)
}

/// `branch + xs`, where `branch` was computed for this sum alone: its memory is used for the result if it can hold it.
pub(crate) fn add_residual(mut branch: Tensor, xs: &Tensor) -> Tensor {
    if branch.kind() == xs.kind() { branch.g_add_(xs) } else { branch + xs }
}

/// Whether operations on this thread record a graph. tch can set this, but not ask.
pub(crate) fn records_graph() -> bool {
    let probe = Tensor::zeros([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    (probe * 1.0).requires_grad()
}

/// Normalisation over the last axis, with weight and bias.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(path: Path<'_>, channels: i64, eps: f64) -> Self {
        Self {
            weight: path.var("weight", &[channels], Init::Const(1.0)),
            bias: path.var("bias", &[channels], Init::Const(0.0)),
            eps,
        }
    }

    /// # Shapes
    /// `[..., channels]`, unchanged.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        full(xs).layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, true)
    }

    /// The same over axis 1 of a channels-first map. In memory the result's channels lie together, as the next
    /// convolution likes them.
    ///
    /// # Shapes
    /// `[B, channels, H, W, D]`, unchanged.
    pub(crate) fn forward_channels_first(&self, xs: &Tensor) -> Tensor {
        self.forward(&xs.permute([0, 2, 3, 4, 1])).permute([0, 4, 1, 2, 3])
    }
}

/// A 3D convolution of stride 1 that keeps the size of its input.
#[derive(Debug)]
pub(crate) struct Conv3d {
    weight: Tensor,
    bias: Option<Tensor>,
    groups: i64,
}

/// The shape of a [`Conv3d`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv3dShape {
    pub(crate) inputs: i64,
    pub(crate) outputs: i64,
    /// Side of the cubic kernel; odd.
    pub(crate) kernel: i64,
    pub(crate) groups: i64,
    pub(crate) bias: bool,
}

impl Conv3d {
    pub(crate) fn new(path: Path<'_>, shape: Conv3dShape) -> Self {
        let Conv3dShape { inputs, outputs, kernel, groups, bias } = shape;
        let fan_in = inputs / groups * kernel.pow(3);
        Self {
            weight: uniform(&path, "weight", &[outputs, inputs / groups, kernel, kernel, kernel], fan_in),
            bias: bias.then(|| uniform(&path, "bias", &[outputs], fan_in)),
            groups,
        }
    }

    /// The kernel, `[outputs, inputs / groups, kernel, kernel, kernel]`.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// # Shapes
    /// `[B, inputs, X, Y, Z]` to `[B, outputs, X, Y, Z]`.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let padding = self.weight.size()[4] / 2;
        conv3d(xs, &self.weight, self.bias.as_ref(), padding, self.groups)
    }
}

/// A 3D convolution of stride 1 in the thread's precision.
///
/// # Shapes
/// `xs` `[B, C, X, Y, Z]`, `weight` `[O, C / groups, kernel, kernel, kernel]`, `bias` `[O]`.
pub(crate) fn conv3d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    padding: i64,
    groups: i64,
) -> Tensor {
    operand(xs).conv3d(&operand(weight), bias.map(operand), 1, padding, 1, groups)
}

/// What [`instance_norm`] adds to the variance.
pub(crate) const INSTANCE_NORM_EPS: f64 = 1e-5;

/// Normalisation of each channel of each sample over space, without parameters.
///
/// # Shapes
/// `[B, C, X, Y, Z]`, unchanged.
pub(crate) fn instance_norm(xs: &Tensor) -> Tensor {
    const NO_TENSOR: Option<Tensor> = None;
    full(xs).instance_norm(NO_TENSOR, NO_TENSOR, NO_TENSOR, NO_TENSOR, true, 0.0, INSTANCE_NORM_EPS, false)
}

/// How the corners of two grids correspond in an interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corners {
    /// Centres of the corner voxels coincide.
    Centres,
    /// Outer edges of the corner voxels coincide (half-pixel centres).
    Edges,
}

/// Trilinear interpolation to a cube of side `side`.
///
/// # Shapes
/// `[B, C, X, Y, Z]` to `[B, C, side, side, side]`.
pub(crate) fn resize(xs: &Tensor, side: i64, corners: Corners) -> Tensor {
    xs.upsample_trilinear3d([side, side, side], corners == Corners::Centres, None, None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A product with so many rows that it is given away as a convolution, and the same row by row.
    #[test]
    fn many_rows_are_multiplied_as_few_are() {
        tch::manual_seed(4);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let [rows, inputs, outputs] = CONVOLVED;
        let (weight, bias) = (random(&[outputs, inputs]), random(&[outputs]));
        // The second input's last axis is not the innermost in memory.
        let inputs = [random(&[3, rows, inputs]), random(&[3, inputs, rows]).transpose(1, 2)];
        for (xs, images) in inputs.iter().flat_map(|xs| [(xs, 1), (xs, IMAGES_OF_ONE_THREAD)]) {
            for bias in [Some(&bias), None] {
                let bias_of = |bias: Option<&Tensor>| bias.map(Tensor::shallow_clone);
                let found = convolved(xs, &weight, bias_of(bias), images);
                assert_eq!(found.size(), linear(xs, &weight, bias).size());
                let plain = xs.linear(&weight, bias);
                assert_eq!(found.size(), plain.size());
                assert!((&found - &plain).abs().max().double_value(&[]) < 1e-4);

                let inputs: Vec<&Tensor> = [xs, &weight].into_iter().chain(bias).collect();
                let gradients =
                    |ys: &Tensor| Tensor::run_backward(&[ys.square().sum(None)], &inputs, false, false);
                for (a, b) in gradients(&found).iter().zip(gradients(&plain)) {
                    let relative = (a - &b).norm().double_value(&[]) / b.norm().double_value(&[]);
                    assert!(relative < 1e-5, "gradient differs by {relative}");
                }
            }
        }
    }

    #[test]
    fn the_residual_takes_the_memory_of_its_branch_only_where_it_fits() {
        let xs = Tensor::from_slice(&[1.0f32, 2.0]);
        let branch = Tensor::from_slice(&[0.5f32, 0.25]);
        let memory = branch.data_ptr();
        let sum = add_residual(branch, &xs);
        assert_eq!((Vec::<f32>::try_from(&sum).unwrap(), sum.data_ptr()), (vec![1.5, 2.25], memory));
        let rounded = Tensor::from_slice(&[0.5f32, 0.25]).to_kind(Kind::BFloat16);
        assert_eq!(add_residual(rounded, &xs).kind(), Kind::Float);
        assert_eq!(Vec::<f32>::try_from(&xs).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn whether_a_graph_is_recorded_is_known() {
        assert!(records_graph());
        {
            let _no_grad = tch::no_grad_guard();
            assert!(!records_graph());
        }
        assert!(records_graph());
    }
}
