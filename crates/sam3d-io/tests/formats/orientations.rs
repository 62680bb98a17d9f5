//! One volume in all 48 orientations and every format: the same voxels after orientation, and written back as it was.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use ndarray::Array3;
use sam3d_geom::{Affine, Orientation};
use sam3d_io::{Grid, atomic::Overwrite, orient::AxisMap};

use super::read;

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
const SPACING_DHW: [f64; 3] = [5.0, 1.5, 2.0];
const SHAPE_DHW: [usize; 3] = [2, 3, 4];

/// Distinct values of the volume as it lies in the patient.
fn patient() -> Array3<i16> {
    Array3::from_shape_fn(SHAPE_DHW, |(d, h, w)| (100 * d + 10 * h + w) as i16 - 50)
}

/// A grid whose stored axis `axes[a]` runs along (or, with `flips[a]`, against) the axis `a` of `[D, H, W]`, turned by
/// an angle that leaves every axis nearest to its own.
fn grid(axes: [usize; 3], flips: [bool; 3], turn: f64) -> Grid {
    // Superior, posterior, left, in RAS.
    let (sin, cos) = turn.sin_cos();
    let directions = [[0.0, 0.0, 1.0], [sin, -cos, 0.0], [-cos, -sin, 0.0]];
    let mut rows = [[0.0; 4]; 3];
    let mut shape_ijk = [0; 3];
    for a in 0..3 {
        shape_ijk[axes[a]] = SHAPE_DHW[a];
        let step = SPACING_DHW[a] * if flips[a] { -1.0 } else { 1.0 };
        for (row, direction) in rows.iter_mut().zip(directions[a]) {
            row[axes[a]] = direction * step;
            if flips[a] {
                row[3] -= direction * step * (SHAPE_DHW[a] - 1) as f64;
            }
        }
    }
    Grid::from_affine(shape_ijk, Affine::new(rows).unwrap()).unwrap()
}

/// `values` as MetaImage, which the library does not write.
fn write_meta_image(path: &Path, values: &Array3<i16>, grid: &Grid) {
    let (rows, spacing) = (grid.world_from_ijk().rows(), grid.spacing_ijk_mm());
    let lps = |row: usize, value: f64| if row < 2 { -value } else { value };
    let mut matrix = String::new();
    for (axis, spacing) in spacing.into_iter().enumerate() {
        for (row, values) in rows.iter().enumerate() {
            write!(matrix, " {}", lps(row, values[axis]) / spacing).unwrap();
        }
    }
    let [i, j, k] = grid.shape_ijk();
    let [x, y, z] = [0, 1, 2].map(|row| lps(row, rows[row][3]));
    let mut bytes = format!(
        "ObjectType = Image\nNDims = 3\nTransformMatrix ={matrix}\nOffset = {x} {y} {z}\n\
         ElementSpacing = {} {} {}\nDimSize = {i} {j} {k}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n",
        spacing[0], spacing[1], spacing[2]
    )
    .into_bytes();
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn all_forty_eight_in_every_format() {
    let directory = tempfile::tempdir().unwrap();
    for (axes, bits, turn) in
        ORDERS.into_iter().flat_map(|axes| (0..8).map(move |bits| (axes, bits, f64::from(bits) / 20.0)))
    {
        let flips = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
        let grid = grid(axes, flips, turn);
        let stored = AxisMap::new(&grid, Orientation::Lps).to_stored(patient().view()).unwrap();
        let paths: [PathBuf; 3] = ["a.nii.gz", "a.nrrd", "a.mha"].map(|name| directory.path().join(name));
        for path in &paths[..2] {
            sam3d_io::write(path, stored.view(), &grid, Overwrite::Replace).unwrap();
        }
        write_meta_image(&paths[2], &stored, &grid);
        for path in &paths {
            let volume = read(path).unwrap();
            let map = AxisMap::new(&volume.grid, Orientation::Lps);
            assert_eq!((map.axes(), map.flips()), (axes, flips), "{}", path.display());
            let oriented = map.to_dhw(volume.data.view()).unwrap();
            assert_eq!(oriented, patient().mapv(f32::from), "{} {axes:?} {flips:?}", path.display());
            for (found, expected) in map.spacing(&volume.grid).unwrap().mm().iter().zip(SPACING_DHW) {
                assert!((found - expected).abs() < 1e-6);
            }
            // A mask goes back to the stored axes and the same place.
            let mask = map.to_stored(oriented.mapv(|value| u8::from(value > 0.0)).view()).unwrap();
            for name in ["mask.nii", "mask.seg.nrrd"] {
                let path = directory.path().join(name);
                sam3d_io::write(&path, mask.view(), &volume.grid, Overwrite::Replace).unwrap();
                let back = read(&path).unwrap();
                assert_eq!(back.data, volume.data.mapv(|value| f32::from(u8::from(value > 0.0))));
                let rows = back.grid.world_from_ijk().rows();
                for (a, b) in rows.iter().flatten().zip(volume.grid.world_from_ijk().rows().iter().flatten())
                {
                    assert!((a - b).abs() < 1e-5, "{rows:?}");
                }
            }
        }
    }
}
