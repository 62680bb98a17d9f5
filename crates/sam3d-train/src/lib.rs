//! Parameter-efficient training of 3DSAM-adapter and of the comparison networks.
//!
//! SAM's weights stay frozen; adapters, norms, necks, prompt encoder and decoder are trained. Nothing here prints:
//! progress is reported to the caller through an observer.

pub mod baseline;
#[cfg(any(feature = "distributed", test))]
mod buckets;
pub mod communicator;
pub mod config;
pub mod ema;
mod error;
pub mod fit;
pub mod interaction;
pub mod loss;
mod model_choice;
#[cfg(feature = "distributed")]
mod mpi_world;
pub mod optimiser;
pub mod run;
pub mod schedule;
pub mod step;
pub mod trainable;
pub mod variant;

pub use error::TrainError;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
