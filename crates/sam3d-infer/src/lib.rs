//! From prompts to a mask: the one implementation, shared by the program, the server and the evaluation.
//!
//! - [`Segmenter`]: a network with its preprocessing, owned by one thread. [`Segmenter::accepts`] says which prompts its
//!   weights understand. The probabilities of several networks, or of mirror images of the crop ([`TestTimeAugmentation`]),
//!   are averaged.
//! - [`Session`]: one object in one volume: prompts are added one after another (or several together), undone and redone;
//!   the mask lies in the file's own grid. [`SessionLog`] replays to the same mask, bit for bit.
//! - [`Image`]: a volume as the network sees it; only the requested crops are resampled.
//! - [`placement`]: the rule for where the crop lies. [`grow`]: targets larger than the crop.
//!
//! # How a click becomes a mask
//! [`Session::add`] maps the click to the resampled grid, places the crop ([`placement`]), encodes it ([`Sam3d::embed`],
//! kept for the next click, or done ahead of the first: [`Session::encode_ahead`]), decodes all clicks so far, and keeps the probability as the session's [`Answer`].
//! [`Session::mask`] resizes only the part of the file's grid that the answer covers.
//!
//! [`Sam3d::embed`]: sam3d_model::Sam3d::embed

mod answer;
mod change;
mod correction;
mod ensemble;
mod error;
pub mod grow;
mod image;
mod log;
mod lru;
pub mod placement;
mod prompt;
mod run_mask;
mod segmenter;
mod session;
mod shape;
mod weights;

pub use answer::{Answer, MaskPart};
pub use change::{Ahead, Change, Progress};
pub use ensemble::TestTimeAugmentation;
pub use error::InferError;
pub use image::{Image, NativeVoxels};
pub use log::{LogStep, SessionLog};
pub use lru::Lru;
pub use prompt::{Accepts, MaskRuns, Position, Prompt, SCRIBBLE_WIDTH};
pub use segmenter::{Segmenter, SegmenterOptions};
pub use session::Session;
pub use weights::{BUILT_IN, BuiltInWeights, Weights};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
