//! What a step of a session did, and how far it is.

use std::time::Duration;

/// The effect of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The box outside of which the mask is unchanged: its first voxel and one past its last, `[k, j, i]` of the file's grid.
    /// `None` if no voxel can have changed.
    pub region: Option<[[usize; 3]; 2]>,
    /// Number of prompts, of all steps, that lie outside the crop and are not used in it.
    pub outside: usize,
    /// Number of crops (windows for the prompt-free variant) that the network processed.
    pub crops: usize,
    /// Number of clicks of this step that the network alone would have contradicted.
    pub held: usize,
    /// Whether the mask reaches the border of the crops.
    pub is_cut_off: bool,
    /// Time of the encoder; `None` if the embedding was known.
    pub encoding: Option<Duration>,
    /// Time of everything else in the network.
    pub decoding: Duration,
}

/// What [`Session::encode_ahead`](crate::Session::encode_ahead) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// Nothing: the crop had been encoded before.
    Known,
    /// It encoded the crop, in this time.
    Encoded(Duration),
    /// It was stopped before the end.
    Stopped,
}

/// Progress of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The encoder runs.
    Encoding,
    /// The decoder runs.
    Decoding,
    /// Crops or windows as (done, total); with growing, the total is the limit.
    Crops(usize, usize),
}
