//! Transforms that read each output voxel between input voxels, evaluated only where the output is wanted.
//!
//! A chain of them is evaluated backwards: the wanted output region says which region of the step before is read, down to
//! the volume itself. Every voxel gets the same arithmetic as if the whole volume had been transformed, so the result is
//! the same to the last bit.

use ndarray::{Array3, ArrayView3, s};

use crate::prepared::Region;
use sam3d_io::IoError;

/// One step of resampling. All arrays are `[D, H, W]` and contiguous.
pub(super) trait Warp {
    /// Number of voxels of the output.
    fn output_sizes(&self) -> [usize; 3];

    /// The smallest region of the input that holds all that `output` is read from.
    fn input_of(&self, output: Region) -> Region;

    /// The region `output`, from the values `input` of the region [`input_of`](Self::input_of) it.
    fn apply(&self, input: &Array3<f32>, output: Region) -> Array3<f32>;

    /// A region that holds every output voxel which reads a voxel of `input`; it may be larger, and empty.
    fn output_of(&self, input: Region) -> Region;
}

/// All of the output of one step on `image`; of an image without voxels, zeros.
pub(super) fn transform_whole(step: &impl Warp, image: ArrayView3<'_, f32>) -> Array3<f32> {
    let output = Region::whole(step.output_sizes());
    if image.is_empty() || output.is_empty() {
        return Array3::zeros(output.sizes);
    }
    let [d, h, w] = [0, 1, 2].map(|axis| step.input_of(output).range(axis));
    step.apply(&image.slice(s![d, h, w]).as_standard_layout().into_owned(), output)
}

/// Steps of resampling, the first one first.
pub(super) struct Chain {
    input_sizes: [usize; 3],
    steps: Vec<Box<dyn Warp>>,
}

impl Chain {
    /// A chain without steps, on volumes of `input_sizes` voxels.
    pub(super) fn new(input_sizes: [usize; 3]) -> Self {
        Self { input_sizes, steps: Vec::new() }
    }

    /// Adds a step made for the sizes that the chain has so far.
    pub(super) fn push<W: Warp + 'static>(&mut self, step: impl FnOnce([usize; 3]) -> W) {
        let step = step(self.output_sizes());
        self.steps.push(Box::new(step));
    }

    pub(super) fn output_sizes(&self) -> [usize; 3] {
        self.steps.last().map_or(self.input_sizes, |step| step.output_sizes())
    }

    /// The region `output`, of the values that `read` gives of the input; `output` is not empty.
    pub(super) fn evaluate(
        &self,
        output: Region,
        read: impl FnOnce(Region) -> Result<Array3<f32>, IoError>,
    ) -> Result<Array3<f32>, IoError> {
        let mut regions = vec![output];
        let mut region = output;
        for step in self.steps.iter().rev() {
            region = step.input_of(region);
            regions.push(region);
        }
        let values = read(region)?;
        let outputs = regions.iter().rev().skip(1);
        Ok(self.steps.iter().zip(outputs).fold(values, |values, (step, output)| step.apply(&values, *output)))
    }

    /// A region that holds every output voxel which reads a voxel of `input`.
    pub(super) fn output_of(&self, input: Region) -> Region {
        self.steps.iter().fold(input, |region, step| step.output_of(region))
    }
}

/// Two neighbours along an axis and the share of the upper one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    pub(super) lower: usize,
    pub(super) upper: usize,
    pub(super) share: f32,
}

impl Tap {
    /// The neighbours of `position` on an axis of `size` voxels, edges clamped.
    pub(super) fn at(position: f64, size: usize) -> Self {
        let last = size - 1;
        let position = position.clamp(0.0, last as f64);
        let lower = position as usize;
        Self { lower, upper: (lower + 1).min(last), share: (position - lower as f64) as f32 }
    }

    pub(super) fn between(self, lower: f32, upper: f32) -> f32 {
        lower + (upper - lower) * self.share
    }

    /// The same neighbours, counted from `start`.
    pub(super) fn relative_to(self, start: usize) -> Self {
        Self { lower: self.lower - start, upper: self.upper - start, share: self.share }
    }
}

/// First and one past the last index that `taps` read; `None` without taps.
pub(super) fn span<'a>(taps: impl IntoIterator<Item = &'a Tap>) -> Option<(usize, usize)> {
    taps.into_iter().fold(None, |span: Option<(usize, usize)>, tap| {
        let (start, end) = span.unwrap_or((tap.lower, tap.upper + 1));
        Some((start.min(tap.lower), end.max(tap.upper + 1)))
    })
}
