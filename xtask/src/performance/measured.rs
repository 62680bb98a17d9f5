//! What the measuring programs print.

use serde::Deserialize;

/// A first click and further ones.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Clicks {
    pub(super) model: String,
    pub(super) crop: usize,
    pub(super) batch: usize,
    pub(super) threads: usize,
    pub(super) first_seconds: f64,
    pub(super) further: Vec<Further>,
    pub(super) embedding_mib: u64,
    pub(super) peak_mib: Option<u64>,
}

/// Further clicks of one number of points.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Further {
    pub(super) points: usize,
    pub(super) seconds: f64,
}

impl Clicks {
    /// Seconds of a further click of the fewest points.
    pub(super) fn further_seconds(&self) -> f64 {
        self.further.first().map_or(f64::NAN, |further| further.seconds)
    }
}

/// Every layer by itself.
#[derive(Debug, Deserialize)]
pub(super) struct Layers {
    pub(super) model: String,
    pub(super) crop: usize,
    pub(super) matrix_product_gflops: f64,
    pub(super) convolution_gflops: f64,
    pub(super) layers: Vec<Layer>,
}

/// One layer.
#[derive(Debug, Deserialize)]
pub(super) struct Layer {
    pub(super) name: String,
    /// Runs in a first click; 0 for what other layers make up.
    pub(super) times: usize,
    /// Of one run.
    pub(super) gflop: f64,
    /// Of one run.
    pub(super) seconds: f64,
}

/// A training step.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) model: String,
    pub(super) crop: usize,
    pub(super) recompute: String,
    pub(super) seconds: f64,
    pub(super) peak_mib: Option<u64>,
}

/// Plain PyTorch.
#[derive(Debug, Deserialize)]
pub(super) struct Plain {
    pub(super) implementation: String,
    pub(super) forward_seconds: Vec<f64>,
    pub(super) peak_mib: u64,
}
