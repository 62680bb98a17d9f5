//! For every place of a grid the nearest seed in its own slice: the first two passes of the distance transform.
//!
//! The pass along W is a look to the left and to the right. The pass along H is the lower envelope of parabolas, one for
//! each row with a seed (Felzenszwalb and Huttenlocher 2012), with the axis's spacing. What is stored is not the squared
//! distance but where the seed is, in the same four bytes: distances are then computed from whole voxels in double
//! precision, so that one that equals a tolerance is not rounded beyond it.

use rayon::prelude::*;
use sam3d_geom::Spacing;

use crate::{MetricsError, envelope::Envelope};

/// Where the nearest seed of a slice is: H in the upper half, W in the lower.
pub(crate) type PackedSeed = u32;

/// The slice has no seed.
pub(crate) const NO_SEED: PackedSeed = u32::MAX;

/// The longest side that leaves `NO_SEED` unused.
const LONGEST: usize = u16::MAX as usize;

/// The nearest seed in each place's slice.
pub(crate) struct NearestInSlices {
    /// `[D, H, W]`.
    pub(crate) sizes: [usize; 3],
    pub(crate) seeds: Vec<PackedSeed>,
}

impl NearestInSlices {
    /// Fails if a side is too long for a place to be stored.
    pub(crate) fn new(sizes: [usize; 3]) -> Result<Self, MetricsError> {
        if sizes.iter().any(|n| *n > LONGEST) {
            return Err(MetricsError::TooLarge { sizes });
        }
        Ok(Self { sizes, seeds: vec![NO_SEED; sizes.iter().product()] })
    }

    /// Finds the nearest seeds. `for_seeds_in_row(d, h, found)` calls `found(w)` for each seed of a row, ascending.
    pub(crate) fn find(
        &mut self,
        spacing: Spacing,
        for_seeds_in_row: impl Fn(usize, usize, &mut dyn FnMut(usize)) + Sync,
    ) {
        let [_, height, width] = self.sizes;
        let spacing_mm = spacing.mm();
        self.seeds.par_chunks_mut((height * width).max(1)).enumerate().for_each_init(
            || Slice::new(height, width, spacing_mm),
            |slice, (d, seeds)| {
                slice.find_along_w(|h, found| for_seeds_in_row(d, h, found));
                slice.find_along_h(seeds);
            },
        );
    }

    /// Squared distance in mm² from a place to the nearest seed of the grid; infinite if there is none.
    ///
    /// The third pass, for this place alone: slices further and further away, up to the nearest seed's distance.
    pub(crate) fn squared_distance_mm2(&self, [d, h, w]: [usize; 3], spacing_mm: [f64; 3]) -> f64 {
        let [depth, height, width] = self.sizes;
        let mut nearest_mm2 = f64::INFINITY;
        for slices in 0..depth {
            let along_d_mm = slices as f64 * spacing_mm[0];
            let along_d_mm2 = along_d_mm * along_d_mm;
            if along_d_mm2 >= nearest_mm2 || (slices > d && d + slices >= depth) {
                break;
            }
            let before = d.checked_sub(slices);
            let after = Some(d + slices).filter(|after| *after < depth && slices > 0);
            for slice in before.into_iter().chain(after) {
                let seed = self.seeds[(slice * height + h) * width + w];
                if seed != NO_SEED {
                    nearest_mm2 = nearest_mm2.min(squared_offset_mm2(seed, along_d_mm2, [h, w], spacing_mm));
                }
            }
        }
        nearest_mm2
    }
}

/// Squared distance in mm² between `[h, w]` and `seed`, `along_d_mm2` of it along D.
#[inline]
pub(crate) fn squared_offset_mm2(
    seed: PackedSeed,
    along_d_mm2: f64,
    [h, w]: [usize; 2],
    spacing_mm: [f64; 3],
) -> f64 {
    let along_h_mm = (h as f64 - f64::from(seed >> 16)) * spacing_mm[1];
    let along_w_mm = (w as f64 - f64::from(seed & 0xFFFF)) * spacing_mm[2];
    along_d_mm2 + along_h_mm * along_h_mm + along_w_mm * along_w_mm
}

/// Scratch of one slice.
struct Slice {
    width: usize,
    /// The rows with a seed, ascending.
    rows: Vec<u16>,
    /// For each of `rows`, W of the nearest seed to each place.
    nearest_w: Vec<u16>,
    /// Squared distance in mm² by voxels along W.
    along_w_mm2: Vec<f64>,
    envelope: Envelope,
}

impl Slice {
    fn new(height: usize, width: usize, spacing_mm: [f64; 3]) -> Self {
        Self {
            width,
            rows: Vec::new(),
            nearest_w: Vec::new(),
            along_w_mm2: (0..width).map(|w| (w as f64 * spacing_mm[2]).powi(2)).collect(),
            envelope: Envelope::new(height, spacing_mm[1]),
        }
    }

    fn find_along_w(&mut self, for_seeds_in_row: impl Fn(usize, &mut dyn FnMut(usize))) {
        self.rows.clear();
        self.nearest_w.clear();
        for h in 0..self.envelope.length() {
            let start = self.nearest_w.len();
            let mut last = None;
            for_seeds_in_row(h, &mut |w| {
                // Up to halfway between two seeds the left one is nearer.
                let nearer = last.map_or(0, |last| (last + w) / 2 + 1);
                if let Some(last) = last {
                    self.nearest_w.resize(start + nearer, last as u16);
                }
                last = Some(w);
                self.nearest_w.resize(start + w + 1, w as u16);
            });
            if let Some(last) = last {
                self.nearest_w.resize(start + self.width, last as u16);
                self.rows.push(h as u16);
            }
        }
    }

    fn find_along_h(&mut self, seeds: &mut [PackedSeed]) {
        if self.rows.is_empty() {
            seeds.fill(NO_SEED);
            return;
        }
        let Self { width, rows, nearest_w, along_w_mm2, envelope } = self;
        for w in 0..*width {
            envelope.clear();
            for (row, h) in rows.iter().enumerate() {
                let nearest = nearest_w[row * *width + w];
                let height_mm2 = along_w_mm2[w.abs_diff(usize::from(nearest))];
                envelope.push(*h, height_mm2, u32::from(*h) << 16 | u32::from(nearest));
            }
            envelope.for_each_lowest(|h, seed| seeds[h * *width + w] = seed);
        }
    }
}
