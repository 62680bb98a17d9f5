//! The 2D SAM as published (Kirillov et al., "Segment Anything", 2023), a baseline when applied slice by slice.
//!
//! Image encoder, prompt encoder for clicks, and mask decoder, with the names of SAM's checkpoints, which are read as
//! they are ([`Sam2d::read`]). It is not trained here.

mod attention;
mod config;
mod image;
mod image_encoder;
mod layers;
mod load;
mod mask_decoder;
mod network;
mod prompt_encoder;
#[cfg(test)]
mod tests;

pub use config::{MASKS, Sam2dConfig};
pub use image::RgbImage;
pub use network::{ImageEmbedding, Masks, PixelPoint, Sam2d};
