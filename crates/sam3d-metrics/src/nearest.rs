//! For every place of a grid the nearest seed in its own slice: the first two passes of the distance transform.
//!
//! The pass along W takes the nearer of the seeds to the left and to the right. The pass along H is the lower envelope of parabolas, one for
//! each row with a seed (Felzenszwalb and Huttenlocher 2012), with the axis's spacing. What is stored is not the squared
//! distance but where the seed is, in the same four bytes: distances are then computed from whole voxels in double
//! precision, so that one that equals a tolerance is not rounded beyond it.

use rayon::prelude::*;
use sam3d_geom::Spacing;

use crate::{MetricsError, envelope::Envelope};

/// A spacing in a unit whose length is a power of two: no bit is lost, and squares of distances neither overflow nor
/// vanish, whatever the spacing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScaledSpacing {
    /// Distance between neighbouring voxels, in units; the largest is at least 1 and less than 2.
    pub(crate) units: [f64; 3],
    /// Length of the unit in mm.
    pub(crate) unit_mm: f64,
}

impl ScaledSpacing {
    pub(crate) fn new(spacing: Spacing) -> Self {
        let mm = spacing.mm();
        let exponent = libm::ilogb(mm.into_iter().fold(0.0, f64::max));
        // A subnormal unit would have no finite inverse.
        let unit_mm = libm::ldexp(1.0, exponent.clamp(-1022, 1022));
        Self { units: mm.map(|mm| mm / unit_mm), unit_mm }
    }
}

/// Where the nearest seed of a slice is: H in the upper half, W in the lower.
pub(crate) type PackedSeed = u32;

/// Marks a place whose slice has no seed.
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
        spacing: ScaledSpacing,
        for_seeds_in_row: impl Fn(usize, usize, &mut dyn FnMut(usize)) + Sync,
    ) {
        let [_, height, width] = self.sizes;
        self.seeds.par_chunks_mut((height * width).max(1)).enumerate().for_each_init(
            || Slice::new(height, width, spacing.units),
            |slice, (d, seeds)| {
                slice.find_along_w(|h, found| for_seeds_in_row(d, h, found));
                slice.find_along_h(seeds);
            },
        );
    }

    /// Squared distance in units from a place to the nearest seed of the grid; infinite if there is none.
    ///
    /// The third pass, for this place alone: slices further and further away, up to the nearest seed's distance.
    pub(crate) fn squared_distance(&self, [d, h, w]: [usize; 3], units: [f64; 3]) -> f64 {
        let [depth, height, width] = self.sizes;
        let mut nearest = f64::INFINITY;
        for slices in 0..depth {
            let along_d = slices as f64 * units[0];
            let squared_d = along_d * along_d;
            if squared_d >= nearest || (slices > d && d + slices >= depth) {
                break;
            }
            let before = d.checked_sub(slices);
            let after = Some(d + slices).filter(|after| *after < depth && slices > 0);
            for slice in before.into_iter().chain(after) {
                let seed = self.seeds[(slice * height + h) * width + w];
                if seed != NO_SEED {
                    nearest = nearest.min(squared_offset(seed, squared_d, [h, w], units));
                }
            }
        }
        nearest
    }
}

/// Squared distance in units between `[h, w]` and `seed`, `squared_d` of it along D.
#[inline]
pub(crate) fn squared_offset(seed: PackedSeed, squared_d: f64, [h, w]: [usize; 2], units: [f64; 3]) -> f64 {
    let along_h = (h as f64 - f64::from(seed >> 16)) * units[1];
    let along_w = (w as f64 - f64::from(seed & 0xFFFF)) * units[2];
    squared_d + along_h * along_h + along_w * along_w
}

/// Buffers for one slice.
struct Slice {
    width: usize,
    /// The rows with a seed, ascending.
    rows: Vec<u16>,
    /// For each of `rows`, W of the nearest seed to each place.
    nearest_w: Vec<u16>,
    /// Squared distance in units by voxels along W.
    squared_w: Vec<f64>,
    envelope: Envelope,
}

impl Slice {
    fn new(height: usize, width: usize, units: [f64; 3]) -> Self {
        Self {
            width,
            rows: Vec::new(),
            nearest_w: Vec::new(),
            squared_w: (0..width).map(|w| (w as f64 * units[2]).powi(2)).collect(),
            envelope: Envelope::new(height, units[1]),
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
        let Self { width, rows, nearest_w, squared_w, envelope } = self;
        for w in 0..*width {
            let parabolas = rows.iter().zip(nearest_w[w..].iter().step_by(*width)).map(|(h, nearest)| {
                let height = squared_w[w.abs_diff(usize::from(*nearest))];
                (*h, height, u32::from(*h) << 16 | u32::from(*nearest))
            });
            envelope.for_each_lowest(parabolas, |h, seed| seeds[h * *width + w] = seed);
        }
    }
}
