//! The 3DSAM-adapter network (Gong et al., "3DSAM-adapter: Holistic adaptation of SAM from 2D to 3D for promptable
//! medical image segmentation", 2023) on libtorch.
//!
//! SAM's image encoder is kept frozen; spatial adapters, position and depth embeddings, a visual-sampler prompt encoder
//! and a multi-layer 3D decoder are trained.
//!
//! # Shapes
//! `B` batch, `C` channels of a feature map, `D H W` depth, height, width of the crop (all equal to its side `P`),
//! `G` side of the token grid, `S = 16 G` side of the upsampled crop, `L` tokens of a window, `E` channels of a token,
//! `N` points. Crops and logits are laid out (D, H, W); tokens and feature maps (H, W, D), as in the published weights.
//!
//! # Threads
//! A tensor is `Send` but not `Sync`: one thread owns a network. Gradient mode belongs to the thread; inference here
//! turns it off for its own duration.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod base;
mod card;
mod checkpoint;
mod config;
mod convert;
mod encoder;
mod error;
#[cfg(test)]
mod golden_tests;
mod import;
#[cfg(feature = "bench")]
pub mod layers;
mod mask_decoder;
mod network;
mod precision;
mod preset;
mod prompt;
mod prompt_encoder;
mod relative_position;
mod role;
pub mod sam2d;
pub mod tch_ext;
mod tensor_file;
mod tuning;
mod weights;

pub use base::{Base, sha256_of};
pub use card::Card;
pub use checkpoint::{Checkpoint, FORMAT_VERSION, Metadata, Provenance, WriteOptions};
pub use config::{DecoderConfig, EncoderConfig, ModelConfig, PointFeatures, PromptConfig};
pub use convert::{ConvertOptions, convert};
pub use error::ModelError;
pub use import::ImportError;
pub use network::{Embedding, Module, ParameterCount, Recompute, Sam3d};
pub use precision::Precision;
pub use preset::Preset;
pub use prompt::{CropPrompt, DenseChannel, DensePrompts};
pub use role::{Role, role};
pub use tensor_file::{Description, TEMPORARY_PREFIX, TensorFile};
pub use tuning::Tuning;
pub use weights::{load_all, read_tensors};
