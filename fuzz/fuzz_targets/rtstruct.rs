//! An RT structure set, each of its structures as a mask on its own slices, on an oblique grid and on a sheared one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sam3d_geom::Affine;
use sam3d_io::{
    Grid,
    dicom::{MaskOptions, StructureSet},
};

const AXIAL: [[f64; 4]; 3] = [[-1.0, 0.0, 0.0, 4.0], [0.0, -1.0, 0.0, 4.0], [0.0, 0.0, 2.5, -5.0]];
const OBLIQUE: [[f64; 4]; 3] = [[-0.9, 0.1, 0.3, 4.0], [0.1, -0.8, 0.9, 3.0], [0.2, 0.6, 1.7, -5.0]];
const SHEARED: [[f64; 4]; 3] = [[0.0, 1.0, 0.5, -3.0], [-1.0, 0.4, 0.0, 4.0], [0.0, 0.3, 2.0, -5.0]];

fuzz_target!(|bytes: &[u8]| {
    let Ok(set) = StructureSet::read(&sam3d_fuzz::file("a.dcm", bytes)) else { return };
    for rows in [AXIAL, OBLIQUE, SHEARED] {
        let grid = Grid::from_affine([8, 7, 5], Affine::new(rows).expect("an affine")).expect("a grid");
        for roi in &set.rois {
            for fill_gaps in [false, true] {
                if let Ok(made) = roi.mask(&grid, MaskOptions { fill_gaps }) {
                    assert_eq!(made.mask.shape(), grid.shape_kji());
                    assert!(made.mask.iter().all(|value| *value <= 1));
                    made.warnings.iter().for_each(|warning| assert!(!warning.to_string().is_empty()));
                }
            }
        }
    }
});
