use std::array::from_fn;

use ndarray::{Array3, ArrayView3, Axis, s};

/// Adds `shift_hu` to every voxel.
pub fn shift_intensity(image: &mut Array3<f32>, shift_hu: f32) {
    image.mapv_inplace(|value| value + shift_hu);
}

/// `array` with zeros around it, so that no axis is shorter than `target`; of an odd number the larger half comes after.
///
/// # Shapes
/// `[D, H, W]` to the larger of that and `target`, axis by axis.
pub fn pad_symmetric<T: Copy + Default>(array: ArrayView3<'_, T>, target: [usize; 3]) -> Array3<T> {
    let sizes: [usize; 3] = array.dim().into();
    let (padded, [d, h, w]) = padding(sizes, target);
    let mut out = Array3::default(padded);
    out.slice_mut(s![d..d + sizes[0], h..h + sizes[1], w..w + sizes[2]]).assign(&array);
    out
}

/// The sizes after [`pad_symmetric`], and how many zeros come before the volume on each axis.
pub(super) fn padding(sizes: [usize; 3], target: [usize; 3]) -> ([usize; 3], [usize; 3]) {
    let padded = from_fn(|axis| sizes[axis].max(target[axis]));
    (padded, from_fn(|axis| (padded[axis] - sizes[axis]) / 2))
}

/// First voxel of the crop of `sides` voxels centred on `centre`, moved as little as it takes to lie inside `extent`.
///
/// An axis shorter than the crop starts at 0.
pub fn centred_crop(centre: [usize; 3], extent: [usize; 3], sides: [usize; 3]) -> [usize; 3] {
    from_fn(|axis| centre[axis].saturating_sub(sides[axis] / 2).min(extent[axis].saturating_sub(sides[axis])))
}

/// `array` mirrored along the axes that are set.
pub fn flip<T: Copy>(mut array: Array3<T>, axes: [bool; 3]) -> Array3<T> {
    for (axis, _) in axes.iter().enumerate().filter(|(_, set)| **set) {
        array.invert_axis(Axis(axis));
    }
    array
}

/// `array` turned by `count` quarter turns in the (D, H) plane, from D towards H.
///
/// # Shapes
/// `[D, H, W]` to `[H, D, W]` for an odd count.
pub fn quarter_turns<T: Copy>(array: Array3<T>, count: usize) -> Array3<T> {
    match count % 4 {
        0 => array,
        1 => {
            let mut turned = array.permuted_axes([1, 0, 2]);
            turned.invert_axis(Axis(0));
            turned
        }
        2 => flip(array, [true, true, false]),
        _ => {
            let mut turned = array.permuted_axes([1, 0, 2]);
            turned.invert_axis(Axis(1));
            turned
        }
    }
}
