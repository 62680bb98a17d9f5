//! Training without storing activations: blocks run without a graph, and run again in the backward pass.
//!
//! libtorch's graph would hold every activation of every block until the backward pass. Instead the input of each block
//! is kept, and in a reverse sweep each block is run again with a graph, which is used and dropped before the next.

use tch::{Kind, Tensor};

use super::ImageEncoder;

/// The inputs that the backward sweep needs: of every block, and of each neck.
#[derive(Debug)]
pub(crate) struct Tape {
    inputs: Vec<Tensor>,
    levels: Vec<Tensor>,
}

impl ImageEncoder {
    /// Like [`ImageEncoder::forward`], but the graph of the result begins at the necks.
    ///
    /// # Shapes
    /// As [`ImageEncoder::forward`].
    pub(crate) fn forward_taped(&self, image: &Tensor) -> (Vec<Tensor>, Tape) {
        let mut tape = Tape { inputs: Vec::new(), levels: Vec::new() };
        {
            let _no_grad = tch::no_grad_guard();
            let mut tokens = self.embed.forward(image);
            for (index, block) in self.blocks.iter().enumerate() {
                let output = block.forward(&tokens, &self.codes);
                tape.inputs.push(tokens);
                tokens = output;
                if self.levels.contains(&index) {
                    tape.levels.push(tokens.shallow_clone());
                }
            }
        }
        tape.levels = tape.levels.iter().map(|tokens| tokens.detach().set_requires_grad(true)).collect();
        let maps = tape.levels.iter().zip(&self.neck_3d).map(|(tokens, neck)| neck.forward(tokens)).collect();
        (maps, tape)
    }

    /// Carries the gradients that reached the necks' inputs back through the blocks and the embedding.
    pub(crate) fn backward_taped(&self, image: &Tensor, mut tape: Tape) {
        // The last block is the end of a level.
        let Some(last) = tape.levels.last() else { return };
        let mut gradient = Tensor::zeros_like(last);
        for (index, block) in self.blocks.iter().enumerate().rev() {
            if self.levels.contains(&index)
                && let Some(level) = tape.levels.pop()
            {
                gradient += level.grad();
            }
            let Some(input) = tape.inputs.pop() else { return };
            let input = input.detach().set_requires_grad(true);
            push(&block.forward(&input, &self.codes), &gradient);
            gradient = input.grad();
        }
        push(&self.embed.forward(image), &gradient);
    }
}

/// Runs the graph of `output` backward with `gradient` as the gradient of the loss by `output`.
fn push(output: &Tensor, gradient: &Tensor) {
    (output * gradient).sum(Kind::Float).backward();
}
