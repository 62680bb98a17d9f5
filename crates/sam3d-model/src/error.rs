use std::path::PathBuf;

use sam3d_geom::{Extent, GeomError};

use crate::{DenseChannel, import::ImportError};

/// Errors of networks and their checkpoints.
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
        /// The values allowed.
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
    /// There are more or fewer prompts than crops in the batch.
    #[error("found {found} prompts for a batch of {expected}")]
    PromptCount {
        /// Prompts handed in.
        found: usize,
        /// Batch size.
        expected: usize,
    },
    /// Clicks are given on another grid than the crop's.
    #[error("clicks are on a grid of {found} voxels, expected a crop of side {side}")]
    PromptExtent {
        /// The clicks' grid.
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
    /// Dense prompts were given to a network without an encoder of them.
    #[error("the network was built without dense prompts: it takes clicks, but no mask, region or scribble")]
    DensePromptsUnsupported,
    /// A channel of dense prompts does not have as many voxels as the crop.
    #[error("the {channel} has {found} voxels, expected {} (a crop of side {side})", side.pow(3))]
    DenseSize {
        /// The channel.
        channel: DenseChannel,
        /// Its voxels.
        found: usize,
        /// The crop's side.
        side: usize,
    },
    /// A channel of dense prompts has a value outside 0 to 1.
    #[error("the {channel} has the value {found}, expected values from 0 to 1")]
    DenseValue {
        /// The channel.
        channel: DenseChannel,
        /// The value.
        found: f32,
    },
    /// A checkpoint's tensors differ from the network's in names, shapes or types.
    #[error("weights do not fit the model: {detail}")]
    Weights {
        /// The first difference.
        detail: String,
    },
    /// A checkpoint file is damaged, of another kind or of a newer version.
    #[error("{path}: {detail}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The fault.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// The action that failed: read or write.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is not safetensors, or is truncated.
    #[error(
        "{path}: not a complete safetensors file ({detail}); files of PyTorch (.pth, .pth.tar) have to be converted first"
    )]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// The fault.
        detail: String,
    },
    /// The size of a network does not follow from its tensors.
    #[error("{path}: the tensors fit none of tiny, vit_b, vit_l and vit_h, and no size was given")]
    SizeUnknown {
        /// The file.
        path: PathBuf,
    },
    /// The file with the tensors that a checkpoint leaves out does not exist.
    #[error(
        "{checkpoint} holds the trained tensors only, and {base} with the other tensors (SHA-256 {sha256}) does not exist"
    )]
    BaseMissing {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// The other file's path.
        base: PathBuf,
        /// Its SHA-256.
        sha256: String,
    },
    /// The file with the tensors that a checkpoint leaves out is not the one it was trained with.
    #[error(
        "{path} is not the file that {checkpoint} was trained on: its SHA-256 is {found}, expected {expected}"
    )]
    BaseDiffers {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// The other file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The SHA-256 in the checkpoint.
        expected: String,
    },
    /// A checkpoint of another program could not be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A geometry is not valid.
    #[error(transparent)]
    Geometry(#[from] GeomError),
    /// An operation of libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}
