//! What is kept of a crop between clicks.

use tch::Tensor;

/// Everything of one batch of crops that a click does not change.
///
/// It holds the map that prompts change, the deepest (C G^3 values), and the decoder's shares of the other maps and of
/// the intensities (hidden (2G)^3 values), all float32: 168 MB for each crop at ViT-B, 2.6 MB at tiny.
#[derive(Debug)]
pub struct Embedding {
    /// The maps that prompts change, `[B, C, G, G, G]`, by their number among those aggregated; none for the prompt-free
    /// variant.
    pub(super) prompted: Vec<(usize, Tensor)>,
    /// The sum of the shares that prompts do not change, `[B, hidden, 2G, 2G, 2G]`.
    pub(crate) shares: Tensor,
}

impl Embedding {
    /// Bytes of memory it holds on its device.
    pub fn bytes(&self) -> usize {
        let tensors = self.prompted.iter().map(|(_, map)| map).chain([&self.shares]);
        tensors.map(|tensor| tensor.numel() * tensor.kind().elt_size_in_bytes()).sum()
    }
}
