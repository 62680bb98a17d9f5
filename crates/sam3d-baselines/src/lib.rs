//! The fully automatic networks that 3DSAM-adapter is compared with, on libtorch: nnU-Net's network, TransBTS, nnFormer,
//! Swin-UNETR, UNETR++ and 3D UX-Net, with the published sizes, parameter names and, by default, faults.
//!
//! # Shapes
//! `B` batch, `D H W` depth, height, width, `C` or `E` channels, `N` tokens, `L` tokens of a window. A network takes a
//! crop `[B, 1, D, H, W]` and gives logits `[B, 2, D, H, W]` of background and target. Tokens are numbered
//! (d * H + h) * W + w.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod blocks;
mod check;
mod checkpoint;
mod config;
#[cfg(test)]
mod golden_tests;
mod import;
mod layers;
mod network;
mod nnformer;
mod nnunet;
mod swin_unetr;
mod transbts;
mod unetr_pp;
mod ux_net;
mod window_attention;
mod windows;

pub use checkpoint::{BaselineCheckpoint, BaselineMetadata, FORMAT_VERSION};
pub use config::{Method, NetworkConfig, Size};
pub use import::convert;
pub use network::{Baseline, Mode};
pub use nnformer::NnformerConfig;
pub use nnunet::{NnunetConfig, NnunetStage};
pub use swin_unetr::SwinUnetrConfig;
pub use transbts::TransbtsConfig;
pub use unetr_pp::UnetrPpConfig;
pub use ux_net::UxNetConfig;
