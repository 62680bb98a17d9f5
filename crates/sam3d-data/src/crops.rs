//! Crops of a dataset's cases, drawn by number: which crops an epoch has, in which order, and a loader for them.
//!
//! A crop is a function of the seed, the case and the number of the draw. Which thread draws it, and when, changes
//! nothing, and an epoch can be gone on with at any step: skip the jobs that are done.

use std::sync::Arc;

use rand::seq::SliceRandom;

use crate::{
    augment::{
        AugmentConfig, AugmentError, CaseVoxels, ComparisonAugment, Sample, comparison_sample,
        comparison_volume, training_sample, validation_sample,
    },
    case_store::CaseStore,
    dataset::CaseId,
    loader::{Loader, LoaderConfig},
    sampling::rng_for,
};

/// One crop to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CropJob {
    /// Number of the case in its store.
    pub case: usize,
    /// Number of the draw from this case, over all epochs.
    pub draw: u64,
    /// Its place in the order of its epoch.
    pub place: usize,
}

/// What crops are drawn for.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampling {
    /// Clicks: cubes with a prompt.
    Clicks {
        /// How training crops are varied.
        augmentation: AugmentConfig,
        /// Side of a crop, in voxels.
        side: usize,
    },
    /// The comparison networks: crops without a prompt, in turn around a target voxel and around another one. What is
    /// validated on is the whole volume, cut to its body.
    Comparison {
        /// How training crops are varied.
        augmentation: ComparisonAugment,
        /// Sides of a crop, in voxels.
        sides: [usize; 3],
    },
}

/// A crop and what it was drawn for.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnCrop {
    /// What was asked for.
    pub job: CropJob,
    /// The crop and its prompt.
    pub sample: Sample,
}

/// Why a crop could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("case {case}")]
pub struct CropError {
    /// The case.
    pub case: CaseId,
    /// Why.
    pub source: Box<AugmentError>,
}

/// A drawn crop, or the case that failed and why.
pub type CropResult = Result<DrawnCrop, CropError>;

/// Where crops come from.
#[derive(Debug)]
pub struct Crops {
    /// The cases.
    pub cases: CaseStore,
    /// What they are drawn for, and how.
    pub sampling: Sampling,
    /// Seed of every draw.
    pub seed: u64,
}

impl Crops {
    /// The crops of `epoch`: `per_case` of each case, in an order of that epoch.
    pub fn epoch(&self, epoch: u64, per_case: u64) -> Vec<CropJob> {
        let mut jobs: Vec<CropJob> = (0..self.cases.len())
            .flat_map(|case| {
                (0..per_case).map(move |crop| CropJob { case, draw: epoch * per_case + crop, place: 0 })
            })
            .collect();
        jobs.shuffle(&mut rng_for(self.seed, epoch, "order of cases"));
        for (place, job) in jobs.iter_mut().enumerate() {
            job.place = place;
        }
        jobs
    }

    /// Draws a training crop.
    ///
    /// # Errors
    /// [`CropError`], which names the case.
    pub fn training(&self, job: CropJob) -> CropResult {
        self.draw(job, |voxels| {
            let mut rng = rng_for(self.seed, job.draw, self.cases.id(job.case).as_str());
            match &self.sampling {
                Sampling::Clicks { augmentation, side } => {
                    training_sample(voxels, augmentation, *side, &mut rng)
                }
                Sampling::Comparison { augmentation, sides } => {
                    let on_target = job.place.is_multiple_of(2);
                    comparison_sample(voxels, augmentation, *sides, on_target, &mut rng)
                }
            }
        })
    }

    /// Draws the crop of a validation case, the same in every epoch; for the comparison networks the whole volume.
    ///
    /// # Errors
    /// [`CropError`], which names the case.
    pub fn validation(&self, case: usize) -> CropResult {
        self.draw(CropJob { case, draw: 0, place: 0 }, |voxels| match &self.sampling {
            Sampling::Clicks { side, .. } => {
                let mut rng = rng_for(self.seed, 0, self.cases.id(case).as_str());
                validation_sample(voxels, *side, &mut rng)
            }
            Sampling::Comparison { .. } => comparison_volume(voxels),
        })
    }

    /// Draws the training crops of `jobs` ahead of their use, in order.
    pub fn load_training(
        self: &Arc<Self>,
        jobs: impl IntoIterator<Item = CropJob, IntoIter: Send + 'static>,
        config: LoaderConfig,
    ) -> Loader<CropResult> {
        let crops = Arc::clone(self);
        Loader::new(jobs, move |job| crops.training(job), config)
    }

    /// Draws a crop; where an entry of the cache turns out to be damaged or gone, once more from a new one.
    fn draw(
        &self,
        job: CropJob,
        sample: impl Fn(CaseVoxels<'_>) -> Result<Sample, AugmentError>,
    ) -> CropResult {
        let intensity = self.cases.preprocessing().intensity;
        let attempt = || -> Result<Sample, AugmentError> {
            let voxels = self.cases.get(job.case)?;
            sample(CaseVoxels { voxels: &*voxels, intensity })
        };
        let drawn = match attempt() {
            Err(AugmentError::Voxels(error)) if self.cases.discard(job.case, &error) => attempt(),
            drawn => drawn,
        };
        drawn
            .map(|sample| DrawnCrop { job, sample })
            .map_err(|source| CropError { case: self.cases.id(job.case).clone(), source: Box::new(source) })
    }
}
