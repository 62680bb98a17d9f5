//! Overlays are written as PNG files of the promised size, or refused with a reason.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::{fs::File, io::BufReader, path::Path};

use ndarray::Array3;
use sam3d_geom::{Intensity, Spacing};
use sam3d_io::overlay::{Overlay, OverlayError, window_around, write_views};

fn size(path: &Path) -> (u32, u32) {
    let reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    reader.info().size()
}

#[test]
fn views_have_square_pixels_of_one_size() {
    let directory = tempfile::tempdir().unwrap();
    let image = Array3::<f32>::zeros((10, 20, 40));
    let mask = Array3::<u8>::zeros((10, 20, 40));
    let overlay = Overlay {
        image: image.view(),
        spacing: Spacing::new([3.0, 1.0, 1.0]).unwrap(),
        window_hu: [-160.0, 240.0],
        click: [9, 0, 39],
        truth: None,
        prediction: mask.view(),
    };
    let views = write_views(&directory.path().join("case_001"), &overlay).unwrap();
    // 40 mm, the longest side, is 576 pixels; so 20 mm are 288 and 30 mm are 432.
    assert_eq!(size(&views.axial), (576, 288));
    assert_eq!(size(&views.coronal), (576, 432));
    assert_eq!(size(&views.sagittal), (288, 432));
    assert_eq!(size(&views.combined), (576 + 576 + 288 + 16, 432));
    assert_eq!(views.axial, directory.path().join("case_001_axial.png"));
    // A second run replaces the pictures.
    write_views(&directory.path().join("case_001"), &overlay).unwrap();
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let image = Array3::<f32>::zeros((4, 5, 6));
    let [mask, other] = [(4, 5, 6), (4, 5, 7)].map(Array3::<u8>::zeros);
    let overlay = Overlay {
        image: image.view(),
        spacing: Spacing::new([1.0; 3]).unwrap(),
        window_hu: window_around(Intensity::new([-50.0, 150.0], 0.0, 1.0).unwrap()),
        click: [0, 0, 0],
        truth: Some(mask.view()),
        prediction: mask.view(),
    };
    assert_eq!(overlay.window_hu, [-90.0, 190.0]);
    let prefix = directory.path().join("view");
    let refused = |overlay: Overlay<'_>| write_views(&prefix, &overlay).unwrap_err();
    assert!(matches!(
        refused(Overlay { truth: Some(other.view()), ..overlay }),
        OverlayError::ShapeMismatch { mask: "truth", .. }
    ));
    assert!(matches!(
        refused(Overlay { prediction: other.view(), ..overlay }),
        OverlayError::ShapeMismatch { .. }
    ));
    assert!(matches!(refused(Overlay { click: [4, 0, 0], ..overlay }), OverlayError::Geometry(_)));
    assert!(matches!(
        refused(Overlay { window_hu: [1.0, 1.0], ..overlay }),
        OverlayError::WindowEmpty { .. }
    ));
    let missing = directory.path().join("no/such/view");
    let error = write_views(&missing, &overlay).unwrap_err();
    assert!(matches!(error, OverlayError::Write(_)));
    assert!(error.to_string().contains("view_axial.png"), "{error}");
}
