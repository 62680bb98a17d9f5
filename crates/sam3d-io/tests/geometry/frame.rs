//! The way from a file's voxel to the resampled one and from a probability back to the file's grid.

use ndarray::Array3;
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use sam3d_io::{
    Grid, IoError, ValueType, Volume,
    crop::CropWindow,
    prepare::{PreparedImage, native_label, prepare_clipped, prepare_crop, prepare_image, prepare_label},
    resample::PartOfVolume,
};

/// 4 x 6 x 3 voxels (i, j, k) of 2 x 1.5 x 3 mm: i runs to inferior, j to the right, k to anterior.
fn volume() -> Volume {
    let rows = [[0.0, 1.5, 0.0, -40.0], [0.0, 0.0, 3.0, 20.0], [-2.0, 0.0, 0.0, 7.0]];
    let grid = Grid::from_affine([4, 6, 3], Affine::new(rows).unwrap()).unwrap();
    let data = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| (100 * k + 10 * j + i) as f32);
    Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None }
}

fn preprocessing() -> Preprocessing {
    Preprocessing {
        intensity: Intensity::new([5.0, 150.0], 50.0, 10.0).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    }
}

#[test]
fn voxels_map_to_resampled_voxels() {
    let frame = prepare_image(&volume(), &preprocessing()).unwrap().frame;
    assert_eq!(frame.factors(), [2.0, 3.0, 1.5]);
    assert_eq!(frame.native_extent().sizes(), [4, 3, 6]);
    assert_eq!(frame.resampled_extent().sizes(), [8, 9, 9]);
    // D = 3 - i, H = 2 - k, W = 5 - j; then floor((n + 0.5) * factor).
    assert_eq!(frame.resampled_from_native_ijk([0, 0, 0]).unwrap(), [7, 7, 8]);
    assert_eq!(frame.resampled_from_native_ijk([3, 5, 2]).unwrap(), [1, 1, 0]);
    assert_eq!(frame.resampled_from_native_ijk([1, 4, 2]).unwrap(), [5, 1, 2]);
    let error = frame.resampled_from_native_ijk([0, 6, 0]).unwrap_err();
    assert!(matches!(error, IoError::VoxelOutside { index: [0, 6, 0], last: [3, 5, 2] }), "{error}");
}

#[test]
fn clipped_is_the_image_before_normalisation() {
    let clipped = prepare_clipped(&volume(), &preprocessing()).unwrap().image;
    let image = prepare_image(&volume(), &preprocessing()).unwrap().image;
    assert!(clipped.iter().all(|value| (5.0..=150.0).contains(value)));
    assert_eq!(clipped.mapv(|value| (value - 50.0) / 10.0), image);
}

/// Where slices are more than three times as far apart as voxels within one, none is mixed with its neighbour.
#[test]
fn distant_slices_are_not_mixed() {
    let apart = Preprocessing { interpolation: Interpolation::SlicesApart, ..preprocessing() };
    let stacked = |distance_mm: f64| {
        let rows = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, distance_mm, 0.0]];
        let grid = Grid::from_affine([4, 4, 3], Affine::new(rows).unwrap()).unwrap();
        let data = Array3::from_shape_fn(grid.shape_kji(), |(k, _, _)| if k == 1 { 100.0 } else { 10.0 });
        Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None }
    };
    let mixed = |volume: &Volume, preprocessing: &Preprocessing| {
        let image = prepare_clipped(volume, preprocessing).unwrap().image;
        image.iter().any(|value| ![10.0, 100.0].iter().any(|pure| (value - pure).abs() < 1e-3))
    };
    assert!(mixed(&stacked(4.0), &preprocessing()));
    assert!(mixed(&stacked(3.0), &apart), "trilinear up to a ratio of three");
    assert!(!mixed(&stacked(4.0), &apart));
    let label = prepare_label(&stacked(4.0), 100, &apart).unwrap();
    assert_eq!(label.sum(), 4 * 4 * 4, "each slice four times");
}

/// A clicked voxel, marked in the resampled grid, comes back around the voxel that was clicked.
#[test]
fn probability_comes_back_to_the_stored_axes() {
    let frame = prepare_image(&volume(), &preprocessing()).unwrap().frame;
    for ijk in [[0, 0, 0], [3, 5, 2], [1, 4, 2], [2, 1, 0]] {
        let mut probability = Array3::zeros(frame.resampled_extent().sizes());
        probability[frame.resampled_from_native_ijk(ijk).unwrap()] = 1.0;
        let native = frame.to_native(probability.view()).unwrap();
        assert_eq!(native.shape(), frame.grid().shape_kji());
        let largest = native.iter().copied().fold(0.0, f32::max);
        assert_eq!(native[[ijk[2], ijk[1], ijk[0]]], largest);
        assert!(largest > 0.0);
    }
    assert!(frame.to_native(Array3::zeros([9, 9, 8]).view()).is_err());
}

#[test]
fn a_crop_comes_back_as_the_volume_that_holds_it() {
    let frame = prepare_image(&volume(), &preprocessing()).unwrap().frame;
    let extent = frame.resampled_extent();
    for start in [[0, 0, 0], [-2, 5, -1], [3, 3, 4], [6, -3, 7], [9, 0, 0], [-4, 0, 0]] {
        let window = CropWindow::new(start, 4);
        let crop = Array3::from_shape_fn([4; 3], |(d, h, w)| 0.1 + 0.013 * (16 * d + 4 * h + w) as f32);
        let mut whole = Array3::zeros(extent.sizes());
        window.paste(crop.view(), &mut whole).unwrap();
        let expected = frame.axis_map().to_dhw(frame.to_native(whole.view()).unwrap().view()).unwrap();
        let mut found = Array3::zeros(frame.native_extent().sizes());
        let (inside_from, inside) = window.part_inside(crop.view(), extent).unwrap();
        if let Some(part) = frame.native_part(inside_from, inside).unwrap() {
            part.of(&mut found).assign(&part.values);
            let (from, values) = frame.axis_map().part_to_stored(part.start, part.values.view());
            let mut stored = Array3::zeros(frame.grid().shape_kji());
            PartOfVolume { start: from, values: values.clone() }.of(&mut stored).assign(&values);
            assert_eq!(stored, frame.to_native(whole.view()).unwrap(), "{start:?}");
        }
        assert_eq!(found, expected, "{start:?}");
    }
    let window = CropWindow::new([0; 3], 4);
    assert!(window.part_inside(Array3::<f32>::zeros([4, 4, 5]).view(), extent).is_err());
    assert!(frame.native_part([7, 7, 7], Array3::zeros([4; 3]).view()).is_err());
}

/// A crop resampled by itself is the crop of the resampled volume, to the last bit.
#[test]
fn a_crop_needs_its_surroundings_only() {
    let intensity = preprocessing().intensity;
    let slices_apart = Preprocessing { interpolation: Interpolation::SlicesApart, ..preprocessing() };
    let coarse = Preprocessing { spacing_mm: Spacing::new([2.3, 1.7, 3.1]).unwrap(), ..preprocessing() };
    let fine = Preprocessing { spacing_mm: Spacing::new([0.4, 0.7, 0.3]).unwrap(), ..preprocessing() };
    for preprocessing in [preprocessing(), slices_apart, coarse, fine] {
        let volume = volume();
        let PreparedImage { image, frame } = prepare_image(&volume, &preprocessing).unwrap();
        for start in [[0, 0, 0], [-2, 1, -1], [1, 3, 2], [6, -3, 7], [90, 0, 0], [-5, -5, -5]] {
            for side in [1, 4, 40] {
                let window = CropWindow::new(start, side);
                let found = prepare_crop(volume.data.view(), &frame, intensity, window).unwrap();
                assert_eq!(found, window.extract(image.view(), 0.0), "{start:?} {side}");
            }
        }
    }
}

#[test]
fn label_is_the_target_class_alone() {
    let mut label = volume();
    label.data.mapv_inplace(|value| if value >= 100.0 { 2.0 } else { 1.0 });
    let native = native_label(&label, 2);
    assert_eq!(native.iter().map(|voxel| u64::from(*voxel)).sum::<u64>(), 48);
    // Anterior of the file's k = 0: in [D, H, W] the first two of three rows, three voxels each.
    let resampled = prepare_label(&label, 2, &preprocessing()).unwrap();
    assert_eq!(resampled.dim(), (8, 9, 9));
    assert!(resampled.indexed_iter().all(|((_, h, _), voxel)| *voxel == u8::from(h < 6)));
    assert!(prepare_label(&label, 3, &preprocessing()).unwrap().iter().all(|voxel| *voxel == 0));
}
