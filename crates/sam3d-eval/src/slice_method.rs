//! The 2D SAM, slice by slice.

use std::{
    cell::RefCell,
    collections::{BTreeMap, btree_map::Entry},
};

use ndarray::{Array3, ArrayView2, Axis};
use sam3d_geom::{Point, Preprocessing};
use sam3d_model::sam2d::{ImageEmbedding, PixelPoint, RgbImage, Sam2d};

use crate::EvalError;
use crate::{EvaluationCase, Method, Prediction, Prompting, method::sigmoid};

/// SAM with clicks in each slice that has target, as the paper compares with it: slices along D of the resampled volume,
/// the clip range mapped linearly to 0 to 255 in all three colours. Of SAM's three masks the one with the highest
/// predicted IoU is used; the paper does not specify which. Slices without clicks have no mask.
#[derive(Debug)]
pub struct SliceMethod {
    network: Sam2d,
    preprocessing: Preprocessing,
    /// The slices of the last case that were embedded: every set of clicks is in the same ones.
    embedded: RefCell<(String, BTreeMap<usize, ImageEmbedding>)>,
}

impl SliceMethod {
    /// The method of `network`, whose volumes are prepared by `preprocessing`.
    pub fn new(network: Sam2d, preprocessing: Preprocessing) -> Self {
        Self { network, preprocessing, embedded: RefCell::default() }
    }

    /// A slice of the normalised image as SAM sees it.
    fn picture(&self, slice: ArrayView2<'_, f32>) -> Result<RgbImage, EvalError> {
        let intensity = self.preprocessing.intensity;
        let [low, high] = intensity.clip_hu();
        let grey = |value: &f32| {
            let hu = f64::from(*value) * intensity.std() + intensity.mean();
            (255.0 * ((hu - low) / (high - low)).clamp(0.0, 1.0)) as f32
        };
        let values: Vec<f32> = slice.iter().map(grey).collect();
        Ok(RgbImage::grey(&values, [slice.nrows(), slice.ncols()])?)
    }
}

impl Method for SliceMethod {
    fn name(&self) -> &'static str {
        "sam2d"
    }

    fn prompting(&self) -> Prompting {
        Prompting::PerSlice
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn tuned_parameters(&self) -> Option<u64> {
        Some(0)
    }

    fn predict(&self, case: &EvaluationCase, clicks: &[Point]) -> Result<Prediction, EvalError> {
        let image = case.image()?;
        let mut by_slice: BTreeMap<usize, Vec<PixelPoint>> = BTreeMap::new();
        for Point { index: [d, h, w], label } in clicks {
            let xy = [*w as f64, *h as f64];
            by_slice.entry(*d).or_default().push(PixelPoint { xy, label: *label });
        }
        let mut embedded = self.embedded.borrow_mut();
        if embedded.0 != case.id() {
            *embedded = (case.id().to_owned(), BTreeMap::new());
        }
        let mut probability = Array3::zeros(image.dim());
        for (d, points) in by_slice {
            let slice = image.index_axis(Axis(0), d);
            let embedding = match embedded.1.entry(d) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.network.embed(&self.picture(slice)?)?),
            };
            let masks = self.network.decode(embedding, &points)?;
            let logits = masks.logits(masks.best())?;
            let mut target = probability.index_axis_mut(Axis(0), d);
            target.iter_mut().zip(logits).for_each(|(value, logit)| *value = sigmoid(logit));
        }
        Ok(Prediction::Resampled(probability))
    }
}
