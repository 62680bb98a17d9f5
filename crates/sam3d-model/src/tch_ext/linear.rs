//! Linear layers, by the faster of libtorch's two ways.

use tch::{Device, Kind, Tensor};

use super::{Path, Start};
use crate::precision::operand;

/// `y = x W^T + b` over the last axis.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// PyTorch's initial values.
    pub fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        Self::starting(path, inputs, outputs, Start::Default)
    }

    /// Initial values as `start` says.
    pub fn starting(path: Path<'_>, inputs: i64, outputs: i64, start: Start) -> Self {
        let bias = Some(path.var("bias", &[outputs], start.bias(inputs)));
        Self { bias, ..Self::starting_without_bias(path, inputs, outputs, start) }
    }

    /// PyTorch's initial values, and no bias.
    pub fn without_bias(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        Self::starting_without_bias(path, inputs, outputs, Start::Default)
    }

    /// Initial values as `start` says, and no bias.
    pub fn starting_without_bias(path: Path<'_>, inputs: i64, outputs: i64, start: Start) -> Self {
        Self { weight: path.var("weight", &[outputs, inputs], start.weight(inputs)), bias: None }
    }

    /// # Shapes
    /// `[..., inputs]` to `[..., outputs]`.
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        linear(xs, &self.weight, self.bias.as_ref())
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
/// libtorch's matrix products on the CPU are MKL's, which reach half of the peak on other vendors' processors. Its
/// convolutions are oneDNN's, which chooses kernels by the processor's features. A product with many rows is therefore
/// computed as a 1 x 1 convolution over as many pixels; nothing is copied, since the last axis is that of channels.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A product with enough rows to be computed as a convolution, and the same row by row.
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
}
