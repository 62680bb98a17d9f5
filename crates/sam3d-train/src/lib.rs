//! Parameter-efficient training of 3DSAM-adapter, prediction from clicks, and the evaluation protocol.
//!
//! What is SAM's stays frozen; adapters, norms, necks, prompt encoder and decoder learn. Nothing here prints: a caller
//! is told of progress through an observer.

pub mod auto;
pub mod ball;
pub mod baseline;
#[cfg(any(feature = "distributed", test))]
mod buckets;
pub mod communicator;
pub mod config;
pub mod ema;
mod error;
pub mod evaluate;
pub mod fit;
pub mod grow;
pub mod loss;
mod model_choice;
#[cfg(feature = "distributed")]
mod mpi_world;
pub mod optimiser;
pub mod predict;
pub mod run;
pub mod schedule;
pub mod sliding_window;
pub mod step;
pub mod trainee;
pub mod variant;

pub use error::TrainError;
