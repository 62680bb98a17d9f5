//! An RT structure set, each of its structures as a mask.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sam3d_geom::Affine;
use sam3d_io::{Grid, dicom::StructureSet};

fuzz_target!(|bytes: &[u8]| {
    let rows = [[-1.0, 0.0, 0.0, 4.0], [0.0, -1.0, 0.0, 4.0], [0.0, 0.0, 2.5, -5.0]];
    let grid = Affine::new(rows)
        .map_err(|_| ())
        .and_then(|affine| Grid::from_affine([8, 7, 5], affine).map_err(|_| ()));
    let grid = grid.expect("a sound grid");
    if let Ok(set) = StructureSet::read(&sam3d_fuzz::file("a.dcm", bytes)) {
        for roi in &set.rois {
            if let Ok(mask) = roi.mask(&grid) {
                assert!(mask.iter().all(|value| *value <= 1));
            }
        }
    }
});
