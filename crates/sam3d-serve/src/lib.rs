//! Clicks over HTTP: a page that shows a CT and segments what is clicked, and the protocols of MONAI Label, which 3D Slicer,
//! OHIF and MITK speak, and of nnInteractive, which 3D Slicer, napari and MITK speak.
//!
//! # How an answer is made
//! A request names an image (a file of the studies' directory, or an upload) and its prompts, clicks above all, in voxels `i, j, k` of
//! the file. The image is read once; one thread owns the segmenter and answers from a bounded queue. The prompts of a request are
//! the steps of a [`sam3d_infer::Session`], which goes on where the last request left it; the mask is the one that
//! `sam3d segment --session` computes from the session's log.
//!
//! # What a client cannot do
//! No text of a client becomes a path: images are looked up in a listing the server made, uploads have generated names
//! in a private temporary directory each. Body, voxels, uploads, connections, prompts and queue are bounded by [`Limits`]. Without a token
//! only this computer is served, and only under its own name ([`access`]).
//!
//! Nothing here prints, exits or reads the environment: the caller binds, runs, and says when to stop.

pub mod access;
mod answer;
mod api;
mod archive;
mod clients;
mod config;
mod dicom_file;
mod edits;
mod error;
mod form;
mod images;
mod labels;
mod mask_file;
mod memory;
mod metrics;
mod model;
mod monai;
mod names;
mod nninteractive;
mod pace;
mod page;
mod private;
mod prompts;
mod received;
mod refusal;
mod room;
mod routes;
mod series;
mod series_upload;
mod server;
mod source;
mod state;
mod studies;
mod truths;
mod uploads;
mod workspaces;

pub use archive::ArchiveConfig;
pub use config::{Config, Limits};
pub use error::ServeError;
pub use server::Server;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
