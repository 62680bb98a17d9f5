//! The commands, one file or directory each.

pub mod archive;
pub mod compare;
pub mod convert;
pub mod convert_volume;
pub mod data;
pub mod eval;
pub mod info;
pub mod mask;
pub mod mask_output;
pub mod measure;
pub mod metrics;
pub mod models;
pub mod prompts;
pub mod segment;
pub mod segmenter;
pub mod serve;
pub mod study;
pub mod train;
pub mod weights;
pub mod writable;
