use ndarray::{ArrayView2, ArrayView3, Axis, parallel::prelude::*};
use sam3d_geom::BoundingBox;

/// The smallest box around the voxels of either mask; `None` if both are empty. The masks have the same shape.
pub(crate) fn bounds_of_union(truth: ArrayView3<u8>, prediction: ArrayView3<u8>) -> Option<BoundingBox> {
    let slices = truth.axis_iter(Axis(0)).into_par_iter().zip(prediction.axis_iter(Axis(0)));
    let extremes: Vec<[usize; 3]> = slices
        .enumerate()
        .flat_map_iter(|(d, (truth, prediction))| {
            row_extremes(truth, prediction).into_iter().map(move |[h, w]| [d, h, w])
        })
        .collect();
    BoundingBox::around(extremes)
}

/// First and last voxel of either mask in every row of a slice, `[H, W]`.
fn row_extremes(truth: ArrayView2<u8>, prediction: ArrayView2<u8>) -> Vec<[usize; 2]> {
    let mut extremes = Vec::new();
    for (h, (truth, prediction)) in truth.outer_iter().zip(prediction.outer_iter()).enumerate() {
        let either = |w: &usize| truth[*w] | prediction[*w] != 0;
        let columns = 0..truth.len();
        if let Some(first) = columns.clone().find(either) {
            let last = columns.rev().find(either).unwrap_or(first);
            extremes.extend([[h, first], [h, last]]);
        }
    }
    extremes
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn box_around_two_masks() {
        let mut truth = Array3::zeros([4, 5, 6]);
        let mut prediction = truth.clone();
        assert_eq!(bounds_of_union(truth.view(), prediction.view()), None);
        truth[[1, 4, 2]] = 1;
        prediction[[2, 3, 5]] = 7;
        let bounds = bounds_of_union(truth.view(), prediction.view()).unwrap();
        assert_eq!((bounds.start(), bounds.end()), ([1, 3, 2], [3, 5, 6]));
    }
}
