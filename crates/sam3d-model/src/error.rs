use std::path::PathBuf;

use sam3d_geom::{Extent, GeomError};

use crate::{DenseChannel, import::ImportError};

/// What can go wrong with a network or its checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A setting of the configuration does not fit the others.
    #[error("{field} is {found}, expected it to be {rule}")]
    Config {
        /// The field, as in the configuration file.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it must satisfy.
        rule: String,
    },
    /// An image does not have the shape the network takes.
    #[error("image has shape {found:?}, expected {expected:?} (batch, channel, D, H, W)")]
    ImageShape {
        /// The shape handed in.
        found: Vec<i64>,
        /// The shape the network takes.
        expected: Vec<i64>,
    },
    /// The number of prompts differs from the batch size.
    #[error("found {found} prompts for a batch of {expected}")]
    PromptCount {
        /// Prompts handed in.
        found: usize,
        /// Batch size.
        expected: usize,
    },
    /// A prompt is on another grid than the crop.
    #[error("a prompt is on a grid of {found} voxels, expected a crop of side {side}")]
    PromptExtent {
        /// The prompt's grid.
        found: Extent,
        /// The crop's side.
        side: usize,
    },
    /// A crop has neither clicks nor dense prompts.
    #[error("crop {sample} of the batch has no prompt, expected a click, a region, a scribble or a mask")]
    PromptMissing {
        /// The crop's number in the batch, from 0.
        sample: usize,
    },
    /// Dense prompts for a network that does not know them.
    #[error("the network was built without dense prompts: it takes clicks, but no mask, region or scribble")]
    DensePromptsUnsupported,
    /// A channel of dense prompts has another number of voxels than the crop.
    #[error("the {channel} has {found} voxels, expected those of a crop of side {side}")]
    DenseSize {
        /// The channel.
        channel: DenseChannel,
        /// Its voxels.
        found: usize,
        /// The crop's side.
        side: usize,
    },
    /// A channel of dense prompts has a value that is not from 0 to 1.
    #[error("the {channel} has the value {found}, expected values from 0 to 1")]
    DenseValue {
        /// The channel.
        channel: DenseChannel,
        /// The value.
        found: f32,
    },
    /// A tensor of a checkpoint is missing, of another shape or type, or unknown.
    #[error("weights do not fit the model: {detail}")]
    Weights {
        /// What differs.
        detail: String,
    },
    /// A checkpoint file is not what it should be.
    #[error("{path}: {detail}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file with the tensors that a checkpoint leaves out is not there.
    #[error(
        "{checkpoint} holds the trained tensors only, and {base} with the others is not there; give it with --base FILE \
         (SHA-256 {sha256})"
    )]
    BaseMissing {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// Where the other file was.
        base: PathBuf,
        /// Its SHA-256.
        sha256: String,
    },
    /// The file with the tensors that a checkpoint leaves out is not the one it was trained with.
    #[error(
        "{path} is not the file that {checkpoint} was trained on: its SHA-256 is {found}; give the right one with \
         --base FILE"
    )]
    BaseDiffers {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// The other file.
        path: PathBuf,
        /// Its SHA-256, which is not the one in the checkpoint.
        found: String,
    },
    /// A checkpoint of another program could not be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A geometry is not valid.
    #[error(transparent)]
    Geometry(#[from] GeomError),
    /// libtorch refused an operation whose failure depends on the input.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}
