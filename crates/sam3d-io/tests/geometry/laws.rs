use ndarray::{Array3, ArrayView3, Axis, s};
use proptest::prelude::*;
use sam3d_geom::{Extent, Spacing};
use sam3d_io::{crop::CropWindow, resample};

use super::distinct;

/// The definition: eight neighbours, weighted, in f64.
fn trilinear(volume: ArrayView3<'_, f32>, position: [f64; 3]) -> f64 {
    let sizes: [usize; 3] = volume.dim().into();
    let mut sum = 0.0;
    for corner in 0..8usize {
        let (mut weight, mut index) = (1.0, [0; 3]);
        for axis in 0..3 {
            let clamped = position[axis].clamp(0.0, (sizes[axis] - 1) as f64);
            let upper = corner >> axis & 1;
            weight *= if upper == 1 { clamped.fract() } else { 1.0 - clamped.fract() };
            index[axis] = (clamped as usize + upper).min(sizes[axis] - 1);
        }
        sum += weight * f64::from(volume[index]);
    }
    sum
}

fn shape() -> impl Strategy<Value = [usize; 3]> {
    proptest::array::uniform3(1usize..9)
}

fn volume(shape: [usize; 3]) -> Array3<f32> {
    distinct(shape).mapv(|value| (value * 37.0) % 101.0 - 50.0)
}

proptest! {
    #[test]
    fn to_spacing_is_trilinear(shape in shape(), factors in proptest::array::uniform3(0.3..4.0f64)) {
        let volume = volume(shape);
        let resampled = resample::to_spacing(volume.view(), factors).unwrap();
        let sizes = resampled.dim();
        for (axis, size) in [sizes.0, sizes.1, sizes.2].into_iter().enumerate() {
            prop_assert_eq!(size, ((shape[axis] as f64 * factors[axis]).floor() as usize).max(1));
        }
        for ((d, h, w), value) in resampled.indexed_iter() {
            let output = [d, h, w];
            let position = std::array::from_fn(|a| (output[a] as f64 + 0.5) / factors[a] - 0.5);
            prop_assert!((f64::from(*value) - trilinear(volume.view(), position)).abs() < 1e-4);
        }
    }

    #[test]
    fn to_shape_is_trilinear(shape in shape(), target in shape()) {
        let volume = volume(shape);
        let resampled = resample::to_shape(volume.view(), Extent::new(target).unwrap()).unwrap();
        for ((d, h, w), value) in resampled.indexed_iter() {
            let output = [d, h, w];
            let position =
                std::array::from_fn(|a| (output[a] as f64 + 0.5) * shape[a] as f64 / target[a] as f64 - 0.5);
            prop_assert!((f64::from(*value) - trilinear(volume.view(), position)).abs() < 1e-4);
        }
    }

    /// The path for very anisotropic volumes (in the plane first, then along the depth) gives the same values.
    #[test]
    fn order_of_axes_does_not_matter(shape in shape(), factors in proptest::array::uniform3(0.3..4.0f64)) {
        let volume = volume(shape);
        let at_once = resample::to_spacing(volume.view(), factors).unwrap();
        let in_plane = resample::to_spacing(volume.view(), [1.0, factors[1], factors[2]]).unwrap();
        let then_depth = resample::to_spacing(in_plane.view(), [factors[0], 1.0, 1.0]).unwrap();
        prop_assert_eq!(at_once.dim(), then_depth.dim());
        prop_assert!(at_once.iter().zip(&then_depth).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn a_view_in_any_order_resamples_like_its_copy(shape in shape(), factors in proptest::array::uniform3(0.3..4.0f64)) {
        let volume = volume(shape);
        let mut view = volume.view().permuted_axes([1, 2, 0]);
        view.invert_axis(Axis(2));
        let copy = view.as_standard_layout().into_owned();
        prop_assert_eq!(
            resample::to_spacing(view, factors).unwrap(),
            resample::to_spacing(copy.view(), factors).unwrap()
        );
    }

    /// A part alone gives what it gives in a volume of zeros, and nothing reaches beyond its result.
    #[test]
    fn a_part_resizes_as_in_its_volume(
        shape in shape(),
        to in shape(),
        corners in proptest::array::uniform3((0usize..12, 1usize..12)),
    ) {
        let start: [usize; 3] = std::array::from_fn(|axis| corners[axis].0 % shape[axis]);
        let end: [usize; 3] =
            std::array::from_fn(|axis| (start[axis] + corners[axis].1).min(shape[axis]));
        let inside = s![start[0]..end[0], start[1]..end[1], start[2]..end[2]];
        let mut whole = Array3::zeros(shape);
        whole.slice_mut(inside).assign(&(volume(shape).slice(inside).mapv(|value| value + 1.0)));
        let (from, to) = (Extent::new(shape).unwrap(), Extent::new(to).unwrap());
        let expected = resample::to_shape(whole.view(), to).unwrap();
        let mut found = Array3::zeros(to.sizes());
        if let Some(part) =
            resample::to_shape_of_part(whole.slice(inside), start, from, to).unwrap() {
 part.of(&mut found).assign(&part.values);
        }
        prop_assert_eq!(found, expected);
    }

    /// What is inside the volume comes back to where it was; nothing else changes.
    #[test]
    fn paste_undoes_extract(
        shape in shape(),
        start in proptest::array::uniform3(-12i64..12),
        side in 1usize..8,
    ) {
        let volume = distinct(shape);
        let window = CropWindow::new(start, side);
        let crop = window.extract(volume.view(), -1.0);
        prop_assert_eq!(crop.shape(), [side; 3]);

        let mut pasted = Array3::zeros(shape);
        window.paste(crop.view(), &mut pasted).unwrap();
        for ((d, h, w), value) in pasted.indexed_iter() {
            let inside = window.crop_from_volume([d, h, w]);
            prop_assert_eq!(*value, if inside.is_some() { volume[[d, h, w]] } else { 0.0 });
        }
        let extent = Extent::new(shape).unwrap();
        for ((d, h, w), value) in crop.indexed_iter() {
            let index = window.volume_from_crop([d, h, w]);
            match index.map(usize::try_from) {
                [Ok(a), Ok(b), Ok(c)] if extent.contains([a, b, c]) => {
                    prop_assert_eq!(*value, volume[[a, b, c]]);
                    prop_assert_eq!(window.crop_from_volume([a, b, c]), Some([d, h, w]));
                }
                _ => prop_assert_eq!(*value, -1.0),
            }
        }
        let inside: usize = window.pads(extent).iter().map(|[before, after]| side - before - after).product();
        prop_assert_eq!(crop.iter().filter(|value| **value >= 0.0).count(), inside);
    }
}

#[test]
fn a_constant_stays_constant_and_the_same_size_is_the_same_volume() {
    let constant = Array3::from_elem([3, 4, 5], 7.5f32);
    assert!(
        resample::to_spacing(constant.view(), [2.3, 0.7, 1.1]).unwrap().iter().all(|value| *value == 7.5)
    );
    let volume = volume([3, 4, 5]);
    assert_eq!(resample::to_spacing(volume.view(), [1.0; 3]).unwrap(), volume);
    assert_eq!(resample::to_shape(volume.view(), Extent::new([3, 4, 5]).unwrap()).unwrap(), volume);
}

#[test]
fn factors_are_the_spacing_over_the_target() {
    let (spacing, target) = (Spacing::new([3.0, 0.5, 1.0]).unwrap(), Spacing::new([1.5, 1.0, 1.0]).unwrap());
    assert_eq!(resample::factors(spacing, target), [2.0, 0.5, 1.0]);
}
