//! Data sets of CT volumes, and the crops that a network is trained on. Links no libtorch.
//!
//! - [`dataset`]: names, layouts and checks of data sets, the prepared data set and its statistics; [`splits`]: training,
//!   validation and test cases.
//! - [`prepared`]: a case oriented, resampled and clipped; [`cache`]: such cases on the disk; [`case_store`]: which of both.
//! - [`crops`]: the crop that a (seed, epoch, case) stands for; [`augment`]: how it is varied; [`loader`]: worker threads
//!   that draw crops ahead. A draw depends on seed, epoch and case alone, never on the number or order of workers.
//! - [`sampling`]: seeded random generators and clicks inside a label.
//! - [`simulated_user`]: prompts drawn from the truth, and corrections of a prediction.
//! - [`phantom`]: synthetic CTs with tumours.
//! - [`preparation`]: archives unpacked, cases checked and split; `download`, `hub` and `sam_weights` (feature `download`):
//!   files over HTTPS; [`sample`]: two CTs that anyone can get. [`progress`] tells how far they are; [`shard`]: one job's part of the cases.
//!
//! Every array is `[D, H, W]`, as in [`sam3d_io`] after reading.

pub mod augment;
pub mod cache;
pub mod case_store;
pub mod crops;
pub mod dataset;
#[cfg(feature = "download")]
pub mod download;
#[cfg(feature = "download")]
pub mod hub;
pub mod loader;
pub mod nnunet;
pub mod phantom;
pub mod preparation;
pub mod prepared;
pub mod progress;
#[cfg(feature = "download")]
pub mod sam_weights;
pub mod sample;
pub mod sampling;
pub mod shard;
pub mod simulated_user;
pub mod splits;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
