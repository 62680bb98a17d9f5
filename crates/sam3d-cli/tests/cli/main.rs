//! The program as users run it.

mod averages;
mod comparison;
mod convert_volume;
mod data;
mod dicom;
mod dicomweb;
mod eval;
mod eval_corrections;
mod eval_methods;
mod help;
mod hospital;
mod info;
mod measure;
mod metrics;
mod nnunet;
mod orthanc;
mod segment;
mod segment_prompts;
mod segment_volume;
mod study;
mod support;
mod train;
mod weights;
