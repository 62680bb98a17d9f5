//! Training cases in memory: resampled and clipped once where memory allows.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::Array3;
use sam3d_geom::Preprocessing;
use sam3d_io::{
    ReadLimits,
    dataset::Case,
    prepare::{prepare_clipped, prepare_label},
};

use crate::TrainError;

/// A case ready to be augmented.
#[derive(Debug)]
pub struct PreparedCase {
    /// Clipped intensities in HU, `[D, H, W]`, resampled.
    pub image: Array3<f32>,
    /// 0 and 1, on the same grid.
    pub label: Array3<u8>,
}

impl PreparedCase {
    /// Reads and prepares `case`.
    ///
    /// # Errors
    /// [`TrainError::Io`] if a file cannot be read, [`TrainError::LabelGrid`] if the two do not fit.
    pub fn read(case: &Case, target_class: u32, preprocessing: &Preprocessing) -> Result<Self, TrainError> {
        let image = sam3d_io::read(&case.image, ReadLimits::default())?;
        let label = sam3d_io::read(&case.label, ReadLimits::default())?;
        let image = prepare_clipped(&image, preprocessing)?.image;
        let label = prepare_label(&label, target_class, preprocessing)?;
        if image.dim() != label.dim() {
            return Err(TrainError::LabelGrid { image: image.dim().into(), label: label.dim().into() });
        }
        Ok(Self { image, label })
    }

    fn bytes(&self) -> usize {
        self.image.len() * size_of::<f32>() + self.label.len()
    }
}

/// The cases of a split, kept in memory up to a budget. Which cases are kept changes no result.
#[derive(Debug)]
pub struct CaseStore<'a> {
    cases: Vec<&'a Case>,
    target_class: u32,
    preprocessing: &'a Preprocessing,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    cases: Vec<Option<Arc<PreparedCase>>>,
    bytes_left: usize,
}

impl<'a> CaseStore<'a> {
    /// A store for `cases` that keeps at most `budget_bytes` of them.
    pub fn new(
        cases: Vec<&'a Case>,
        target_class: u32,
        preprocessing: &'a Preprocessing,
        budget_bytes: usize,
    ) -> Self {
        let kept = Mutex::new(Kept { cases: vec![None; cases.len()], bytes_left: budget_bytes });
        Self { cases, target_class, preprocessing, kept }
    }

    /// Number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// The case's name.
    pub fn id(&self, index: usize) -> &str {
        self.cases[index].id.as_str()
    }

    /// Case number `index`, from memory or prepared now.
    ///
    /// # Errors
    /// As [`PreparedCase::read`].
    pub fn get(&self, index: usize) -> Result<Arc<PreparedCase>, TrainError> {
        // A poisoned lock is harmless: entries are written whole.
        if let Some(case) = &self.kept.lock().unwrap_or_else(PoisonError::into_inner).cases[index] {
            return Ok(Arc::clone(case));
        }
        let case = Arc::new(PreparedCase::read(self.cases[index], self.target_class, self.preprocessing)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.cases[index].is_none() && case.bytes() <= kept.bytes_left {
            kept.bytes_left -= case.bytes();
            kept.cases[index] = Some(Arc::clone(&case));
        }
        Ok(case)
    }
}
