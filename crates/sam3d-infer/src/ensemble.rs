//! One crop seen more than once: by several networks, or in every orientation.
//!
//! With [`TestTimeAugmentation::Flips`] a network sees the crop and its seven mirror images along depth, height and width;
//! the prompts are mirrored with it, and its probabilities are mirrored back. The answer is the mean of the probabilities of all
//! networks and orientations.

use std::fmt;

use ndarray::{Array3, ArrayView3, Axis};
use sam3d_geom::Point;
use sam3d_model::{CropPrompt, DenseChannel, DensePrompts, Embedding, Sam3d};
use serde::{Deserialize, Serialize};

use crate::{InferError, placement::Placement};

/// What a network sees of a crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestTimeAugmentation {
    /// The crop.
    #[default]
    None,
    /// The crop and its mirror images along every combination of axes: eight in all, at eight times the cost.
    Flips,
}

impl TestTimeAugmentation {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::None, Self::Flips];

    /// Name, as typed and as written into session logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Flips => "flips",
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// The mirror images, the crop itself first.
    fn flips(self) -> Vec<Flip> {
        let images = match self {
            Self::None => 1,
            Self::Flips => 8,
        };
        (0..images).map(|bits| Flip(std::array::from_fn(|axis| bits >> axis & 1 == 1))).collect()
    }
}

impl fmt::Display for TestTimeAugmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The axes, of (D, H, W), along which a crop is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flip([bool; 3]);

impl Flip {
    /// The crop mirrored, in C order.
    fn crop(self, crop: ArrayView3<'_, f32>) -> Array3<f32> {
        let mut mirrored = crop;
        for axis in (0..3).filter(|axis| self.0[*axis]) {
            mirrored.invert_axis(Axis(axis));
        }
        // Values that are contiguous but reversed would be copied as they lie in memory.
        let mut values = Array3::zeros(crop.dim());
        values.assign(&mirrored);
        values
    }

    fn is_none(self) -> bool {
        self == Self([false; 3])
    }

    fn clicks(self, clicks: &[Point], side: usize) -> Vec<Point> {
        let mirror = |axis: usize, at: usize| if self.0[axis] { side - 1 - at } else { at };
        let index = |point: &Point| std::array::from_fn(|axis| mirror(axis, point.index[axis]));
        clicks.iter().map(|point| Point { index: index(point), ..*point }).collect()
    }

    fn dense(self, dense: &DensePrompts, side: usize) -> Result<DensePrompts, InferError> {
        if self.is_none() {
            return Ok(dense.clone());
        }
        let mut mirrored = DensePrompts::default();
        for channel in DenseChannel::ALL {
            let Some(values) = dense.channel(channel) else { continue };
            let values = ArrayView3::from_shape([side; 3], values)
                .map_err(|_| InferError::Internal("size of a dense prompt"))?;
            mirrored = mirrored.with(channel, &self.crop(values).into_raw_vec_and_offset().0)?;
        }
        Ok(mirrored)
    }
}

/// What the networks keep of one crop: the embedding of each orientation by each network.
#[derive(Debug)]
pub(crate) struct CropEmbeddings(Vec<Embedding>);

impl CropEmbeddings {
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(Embedding::bytes).sum()
    }
}

/// One network or several of one kind, whose probabilities are averaged.
#[derive(Debug)]
pub(crate) struct Ensemble {
    /// At least one.
    networks: Vec<Sam3d>,
    augmentation: TestTimeAugmentation,
}

impl Ensemble {
    pub(crate) fn new(networks: Vec<Sam3d>, augmentation: TestTimeAugmentation) -> Self {
        Self { networks, augmentation }
    }

    pub(crate) fn networks(&self) -> &[Sam3d] {
        &self.networks
    }

    pub(crate) fn augmentation(&self) -> TestTimeAugmentation {
        self.augmentation
    }

    /// Encodes a crop, `[P, P, P]`, and asks `go_on` after each block of an encoder whether to go on; `None` if not.
    pub(crate) fn embed(
        &self,
        crop: ArrayView3<'_, f32>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<CropEmbeddings>, InferError> {
        let mut embeddings = Vec::new();
        for flip in self.augmentation.flips() {
            let seen = flip.crop(crop);
            let values = seen.as_slice().ok_or(InferError::Internal("layout of a crop"))?;
            for network in &self.networks {
                match network.embed_while(values, go_on)? {
                    Some(embedding) => embeddings.push(embedding),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(CropEmbeddings(embeddings)))
    }

    /// The target's probability in the crop of `placement`, `[P, P, P]`.
    pub(crate) fn decode(
        &self,
        embeddings: &CropEmbeddings,
        placement: &Placement,
        dense: &DensePrompts,
    ) -> Result<Array3<f32>, InferError> {
        let side = placement.window.side();
        let mut mean = Mean::default();
        for (flip, embeddings) in
            self.augmentation.flips().into_iter().zip(embeddings.0.chunks(self.networks.len()))
        {
            let clicks = flip.clicks(&placement.clicks, side);
            let clicks = Placement { clicks, ..placement.clone() }.prompt()?;
            let prompt = [CropPrompt { clicks, dense: flip.dense(dense, side)? }];
            for (network, embedding) in self.networks.iter().zip(embeddings) {
                mean.add(&network.predict_embedded(embedding, &prompt)?, flip, side)?;
            }
        }
        mean.finish()
    }

    /// The target's probability in a crop by the prompt-free variant.
    pub(crate) fn predict(&self, crop: ArrayView3<'_, f32>) -> Result<Array3<f32>, InferError> {
        let side = crop.dim().0;
        let mut mean = Mean::default();
        for flip in self.augmentation.flips() {
            let seen = flip.crop(crop);
            let values = seen.as_slice().ok_or(InferError::Internal("layout of a window"))?;
            for network in &self.networks {
                mean.add(&network.predict(values, &[])?, flip, side)?;
            }
        }
        mean.finish()
    }
}

/// The mean of probabilities.
#[derive(Debug, Default)]
struct Mean {
    sum: Option<Array3<f32>>,
    count: usize,
}

impl Mean {
    /// Adds the probabilities of a crop that was seen as `flip` of it.
    fn add(&mut self, values: &[f32], flip: Flip, side: usize) -> Result<(), InferError> {
        let values = ArrayView3::from_shape([side; 3], values)
            .map_err(|_| InferError::Internal("shape of a prediction"))?;
        let values = flip.crop(values);
        self.count += 1;
        match &mut self.sum {
            Some(sum) => *sum += &values,
            None => self.sum = Some(values),
        }
        Ok(())
    }

    fn finish(self) -> Result<Array3<f32>, InferError> {
        let sum = self.sum.ok_or(InferError::Internal("a mean of nothing"))?;
        Ok(if self.count == 1 { sum } else { sum / self.count as f32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_moves_voxels_clicks_and_dense_prompts_alike_and_is_its_own_inverse() {
        let side = 4;
        let marked = [3, 0, 2];
        let mut crop = Array3::<f32>::zeros([side; 3]);
        crop[marked] = 1.0;
        let dense =
            DensePrompts::default().with(DenseChannel::RegionInside, crop.as_slice().unwrap()).unwrap();
        let flips = TestTimeAugmentation::Flips.flips();
        assert!(flips[0].is_none() && flips.len() == 8);
        let mut places = Vec::new();
        for flip in flips {
            let click = flip.clicks(&[Point::positive(marked)], side)[0].index;
            let mirrored = flip.crop(crop.view());
            assert_eq!((mirrored[click], mirrored.sum()), (1.0, 1.0));
            let region = flip.dense(&dense, side).unwrap();
            assert_eq!(region.channel(DenseChannel::RegionInside).unwrap(), mirrored.as_slice().unwrap());
            assert_eq!(region.channel(DenseChannel::PreviousMask), None);
            assert_eq!(flip.crop(mirrored.view()), crop);
            assert!(!places.contains(&click));
            places.push(click);
        }
        assert_eq!(TestTimeAugmentation::None.flips(), [Flip([false; 3])]);
    }
}
