//! Every element of two surfaces with its distance and size, for rules of one's own; what the other measures are means and
//! shares of.

use ndarray::{ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;
use sam3d_geom::Spacing;

use crate::{
    MetricsError,
    area::areas,
    bits::BitMask,
    comparison::Pair,
    error::check_same_shape,
    nearest::{NearestInSlices, ScaledSpacing},
    survey::survey,
};

/// One element of a surface (of a contour in a slice), between two by two by two neighbouring voxels (two by two).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SurfaceElement {
    /// Distance in mm to the nearest element of the other surface; infinite if the other mask is empty.
    pub distance_mm: f64,
    /// Area in mm² of a surface's element, length in mm of a contour's.
    pub size: f64,
}

/// The elements of two surfaces, or of two contours, each ascending by distance and then by size.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SurfaceElements {
    /// Elements of the truth, with their distances to the prediction.
    pub truth: Vec<SurfaceElement>,
    /// Elements of the prediction, with their distances to the truth.
    pub prediction: Vec<SurfaceElement>,
}

impl SurfaceElements {
    /// The elements of the surfaces of two masks, `[D, H, W]`, on a grid of `spacing`; every value but 0 belongs to a mask.
    ///
    /// They are those of [`SurfaceDistances`](crate::SurfaceDistances), which keeps each distinct distance once and is faster.
    ///
    /// # Errors
    /// As [`Comparison::between`](crate::Comparison::between).
    pub fn of_volumes(
        truth: ArrayView3<u8>,
        prediction: ArrayView3<u8>,
        spacing: Spacing,
    ) -> Result<Self, MetricsError> {
        check_same_shape(truth, prediction)?;
        let pair = Pair::new(truth, prediction, spacing);
        let Some([truth, prediction]) = pair.bits() else { return Ok(Self::default()) };
        let spacing = ScaledSpacing::new(pair.spacing);
        let areas = areas(spacing.units);
        let size = |code: u8| Some(areas[usize::from(code)] * spacing.unit_mm * spacing.unit_mm);
        both_ways([&truth, &prediction], truth.cubes(), spacing, &size)
    }

    /// The elements of the contours of two masks of one slice, `[H, W]`; every value but 0 belongs to a mask. `spacing` is the
    /// grid's, of which D is not used.
    ///
    /// A contour runs through the middles of the lines between neighbouring voxels: along a row or a column it is as long as
    /// their distance, around a corner half the diagonal.
    ///
    /// # Errors
    /// As [`Comparison::between`](crate::Comparison::between).
    pub fn of_slices(
        truth: ArrayView2<u8>,
        prediction: ArrayView2<u8>,
        spacing: Spacing,
    ) -> Result<Self, MetricsError> {
        let [truth, prediction] = [truth, prediction].map(|mask| mask.insert_axis(Axis(0)));
        check_same_shape(truth, prediction)?;
        let surveys = survey(truth, prediction, |value| u32::from(value != 0));
        let Some(bounds) = surveys.first().map(|survey| survey.bounds) else { return Ok(Self::default()) };
        let [truth, prediction] =
            [truth, prediction].map(|mask| BitMask::new(mask, bounds, |value| value != 0));
        let [_, h, w] = spacing.mm();
        // The same two numbers, and one of them again, are as valid.
        let spacing = ScaledSpacing::new(Spacing::new([h, h, w]).unwrap_or(spacing));
        let lengths = contour_lengths([spacing.units[1], spacing.units[2]]);
        // Of the cubes between the slice and the background before it, the far half is the slice.
        let size = |code: u8| lengths[usize::from(code >> 4)].map(|length| length * spacing.unit_mm);
        let [_, height, width] = truth.cubes();
        both_ways([&truth, &prediction], [1, height, width], spacing, &size)
    }
}

/// Length of the contour between four neighbouring voxels in the unit of `spacing`, `[H, W]`, by code: bit `2h + w` is the
/// voxel `h`, `w` further. `None` where no contour passes.
fn contour_lengths(spacing: [f64; 2]) -> [Option<f64>; 16] {
    let [h, w] = spacing;
    let around_a_corner = 0.5 * (h * h + w * w).sqrt();
    std::array::from_fn(|code| match code {
        0b0000 | 0b1111 => None,
        0b0011 | 0b1100 => Some(w),
        0b0101 | 0b1010 => Some(h),
        0b0110 | 0b1001 => Some(2.0 * around_a_corner),
        _ => Some(around_a_corner),
    })
}

/// The elements of both masks within `cubes`. `size` is that of an element by its code; `None` if there is none.
fn both_ways(
    [truth, prediction]: [&BitMask; 2],
    cubes: [usize; 3],
    spacing: ScaledSpacing,
    size: &(impl Fn(u8) -> Option<f64> + Sync),
) -> Result<SurfaceElements, MetricsError> {
    let mut nearest = NearestInSlices::new(cubes)?;
    let mut directed = |from: &BitMask, to: &BitMask| {
        nearest.find(spacing, |d, h, found| {
            to.surface_in_row(d, h, |w, code| {
                if size(code).is_some() {
                    found(w);
                }
            });
        });
        elements(from, &nearest, spacing, size)
    };
    Ok(SurfaceElements { truth: directed(truth, prediction), prediction: directed(prediction, truth) })
}

fn elements(
    from: &BitMask,
    nearest: &NearestInSlices,
    spacing: ScaledSpacing,
    size: &(impl Fn(u8) -> Option<f64> + Sync),
) -> Vec<SurfaceElement> {
    let [depth, height, _] = nearest.sizes;
    let of_slice = |d: usize| {
        let mut elements = Vec::new();
        for h in 0..height {
            from.surface_in_row(d, h, |w, code| {
                let Some(size) = size(code) else { return };
                let distance = nearest.squared_distance([d, h, w], spacing.units).sqrt();
                elements.push(SurfaceElement { distance_mm: distance * spacing.unit_mm, size });
            });
        }
        elements
    };
    let by_slice: Vec<Vec<SurfaceElement>> = (0..depth).into_par_iter().map(of_slice).collect();
    let mut elements = by_slice.concat();
    elements
        .par_sort_unstable_by(|a, b| a.distance_mm.total_cmp(&b.distance_mm).then(a.size.total_cmp(&b.size)));
    elements
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use ndarray::{Array2, Array3};

    use super::*;
    use crate::{Percentile, SurfaceDistances};

    fn element(distance_mm: f64, size: f64) -> SurfaceElement {
        SurfaceElement { distance_mm, size }
    }

    #[test]
    fn elements_add_up_to_the_surface() {
        let truth = Array3::from_shape_fn([9, 12, 70], |(d, h, w)| u8::from((d * h + w / 5) % 4 == 1));
        let prediction = Array3::from_shape_fn([9, 12, 70], |(d, h, w)| u8::from((d * h + w / 6) % 3 == 1));
        let spacing = Spacing::new([3.0, 0.7, 1.1]).unwrap();
        let elements = SurfaceElements::of_volumes(truth.view(), prediction.view(), spacing).unwrap();
        let distances = SurfaceDistances::between(truth.view(), prediction.view(), spacing).unwrap();
        for (elements, directed) in [
            (&elements.truth, distances.truth_to_prediction()),
            (&elements.prediction, distances.prediction_to_truth()),
        ] {
            let area: f64 = elements.iter().map(|element| element.size).sum();
            let moment: f64 = elements.iter().map(|element| element.size * element.distance_mm).sum();
            assert_relative_eq!(area, directed.area_mm2(), max_relative = 1e-12);
            assert_relative_eq!(moment / area, directed.average_mm().unwrap(), max_relative = 1e-12);
            let farthest = elements.last().map(|element| element.distance_mm);
            assert_eq!(farthest, directed.percentile_mm(Percentile::MAX));
        }
    }

    #[test]
    fn contours_of_two_pixels() {
        let mut truth = Array2::zeros([5, 9]);
        truth[[2, 3]] = 1;
        let mut prediction = Array2::zeros([5, 9]);
        prediction[[2, 5]] = 1;
        let spacing = Spacing::new([100.0, 2.0, 1.0]).unwrap();
        let found = SurfaceElements::of_slices(truth.view(), prediction.view(), spacing).unwrap();
        let corner = 0.5 * 5f64.sqrt();
        let expected = [1.0, 1.0, 2.0, 2.0].map(|mm| element(mm, corner));
        assert_eq!((found.truth.as_slice(), found.prediction.as_slice()), (&expected[..], &expected[..]));
    }

    #[test]
    fn contours_along_the_border_of_a_slice_are_closed() {
        // Two rows of three pixels fill the slice: the contour is as long as the rectangle of their centres is around, with
        // two whole steps and two corners, of one half each, in place of its corners.
        let full = Array2::ones([2, 3]);
        let spacing = Spacing::new([1.0, 3.0, 4.0]).unwrap();
        let found = SurfaceElements::of_slices(full.view(), full.view(), spacing).unwrap();
        let lengths: Vec<f64> = found.truth.iter().map(|element| element.size).collect();
        assert_eq!(lengths, [2.5, 2.5, 2.5, 2.5, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0]);
        assert!(found.truth.iter().all(|element| element.distance_mm == 0.0));
    }

    #[test]
    fn empty_masks_have_no_elements() {
        let (empty, full) = (Array2::zeros([2, 2]), Array2::ones([2, 2]));
        let spacing = Spacing::UNIT;
        let of = |truth: &Array2<u8>, prediction: &Array2<u8>| {
            SurfaceElements::of_slices(truth.view(), prediction.view(), spacing).unwrap()
        };
        assert_eq!(of(&empty, &empty), SurfaceElements::default());
        let missed = of(&full, &empty);
        assert!(missed.prediction.is_empty() && missed.truth.iter().all(|e| e.distance_mm == f64::INFINITY));
        let other = Array2::zeros([2, 3]);
        assert!(SurfaceElements::of_slices(full.view(), other.view(), spacing).is_err());
    }
}
