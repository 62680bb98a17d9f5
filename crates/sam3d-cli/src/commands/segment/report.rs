//! What `sam3d segment` says when it is done.

use std::{fmt, path::PathBuf};

use ndarray::Array3;
use sam3d_io::Volume;
use sam3d_metrics::Overlap;
use serde::Serialize;

use crate::{args::SegmentArgs, output::Measured};

#[derive(Serialize)]
pub(super) struct Report {
    mask: PathBuf,
    probability: Option<PathBuf>,
    overlays: Option<PathBuf>,
    clicks_ijk: Vec<[usize; 3]>,
    /// Crops or windows that the network saw.
    crops: usize,
    pub(super) voxels: u64,
    volume_ml: f64,
    dice: Option<Measured>,
}

impl Report {
    pub(super) fn new(
        args: &SegmentArgs,
        image: &Volume,
        mask: &Array3<u8>,
        truth: Option<&Array3<u8>>,
        clicks_ijk: Vec<[usize; 3]>,
        crops: usize,
    ) -> anyhow::Result<Self> {
        let voxels = mask.iter().filter(|value| **value != 0).count() as u64;
        let voxel_mm3: f64 = image.grid.spacing_ijk_mm().iter().product();
        let dice = truth
            .map(|truth| Overlap::between(truth.view(), mask.view()).map(|overlap| Measured(overlap.dice())))
            .transpose()?;
        Ok(Self {
            mask: args.out.clone(),
            probability: args.prob_out.clone(),
            overlays: args.overlay.clone(),
            clicks_ijk,
            crops,
            voxels,
            volume_ml: voxels as f64 * voxel_mm3 / 1000.0,
            dice,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mask         {}", self.mask.display())?;
        if self.crops > 1 {
            writeln!(f, "crops        {}", self.crops)?;
        }
        writeln!(f, "volume       {:.2} ml ({} voxels)", self.volume_ml, self.voxels)?;
        if let Some(dice) = self.dice {
            writeln!(f, "dice         {}", dice.text(4, ""))?;
        }
        if let Some(path) = &self.probability {
            writeln!(f, "probability  {}", path.display())?;
        }
        if let Some(path) = &self.overlays {
            writeln!(f, "pictures     {}", path.join("overlay_views.png").display())?;
        }
        Ok(())
    }
}
