//! From clicks on a prepared volume to a probability in the file's own grid.

use ndarray::{Array3, ArrayView3};
use sam3d_geom::{BoundingBox, Extent, Point, Prompt};
use sam3d_io::{
    crop::CropWindow,
    prepare::{Frame, PreparedImage},
};
use sam3d_model::Sam3d;

use crate::TrainError;

/// Where the network looks for a set of clicks: a crop and the clicks in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// The crop, centred on the midpoint of the clicks' bounding box.
    pub window: CropWindow,
    /// The clicks that lie in the crop, in its own voxels.
    pub prompt: Prompt,
    /// Clicks that lie outside because the clicks are further apart than the crop is wide.
    pub outside: usize,
}

/// Places a crop of side `side` for `points`, voxels `[D, H, W]` of the resampled volume of `extent`.
///
/// # Errors
/// [`TrainError::Geometry`] without points or with a point outside the volume; [`TrainError::ClicksTooFarApart`] if no
/// click lies in the crop.
pub fn place(points: &[Point], extent: Extent, side: usize) -> Result<Placement, TrainError> {
    let all = Prompt::new(points.to_vec(), extent)?;
    let window = CropWindow::around(all.bounding_box().midpoint(), side);
    let inside: Vec<Point> = all
        .points()
        .iter()
        .filter_map(|point| Some(Point { index: window.crop_from_volume(point.index)?, label: point.label }))
        .collect();
    let outside = points.len() - inside.len();
    if inside.is_empty() {
        let span = largest_span(all.bounding_box());
        return Err(TrainError::ClicksTooFarApart { span, side });
    }
    Ok(Placement { window, prompt: Prompt::new(inside, Extent::new([side; 3])?)?, outside })
}

/// The target's probability for `placement`, zero outside the crop.
///
/// # Shapes
/// `image` and the result: `[D, H, W]`, resampled and normalised.
///
/// # Errors
/// [`TrainError::Model`] if the placement does not fit the network.
pub fn probability(
    network: &Sam3d,
    image: ArrayView3<'_, f32>,
    placement: &Placement,
) -> Result<Array3<f32>, TrainError> {
    let side = placement.window.side();
    // Zero is the mean intensity: crops are padded after normalisation.
    let crop = placement.window.extract(image, 0.0);
    let values: Vec<f32> = crop.iter().copied().collect();
    let found = network.predict(&values, std::slice::from_ref(&placement.prompt))?;
    let found = Array3::from_shape_vec([side; 3], found).map_err(|_| TrainError::Internal("crop shape"))?;
    let mut whole = Array3::zeros(image.dim());
    placement.window.paste(found.view(), &mut whole)?;
    Ok(whole)
}

/// The target's probability for `points` in the file's own grid.
///
/// # Shapes
/// `points` are voxels `[D, H, W]` of the resampled volume; the result is `[k, j, i]`.
///
/// # Errors
/// As [`place`] and [`probability`].
pub fn native_probability(
    network: &Sam3d,
    prepared: &PreparedImage,
    points: &[Point],
) -> Result<(Array3<f32>, Placement), TrainError> {
    let placement = place(points, prepared.frame.resampled_extent(), network.config().crop)?;
    let whole = probability(network, prepared.image.view(), &placement)?;
    Ok((prepared.frame.to_native(whole.view())?, placement))
}

/// The centre of the resampled voxel `index` in voxels of the native grid, `[D, H, W]`.
pub fn native_from_resampled(frame: &Frame, index: [i64; 3]) -> [f64; 3] {
    let factors = frame.factors();
    std::array::from_fn(|axis| (index[axis] as f64 + 0.5) / factors[axis] - 0.5)
}

fn largest_span(bounds: BoundingBox) -> usize {
    bounds.sizes().into_iter().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent() -> Extent {
        Extent::new([100, 90, 80]).unwrap()
    }

    #[test]
    fn one_click_is_the_centre_of_its_crop() {
        let placement = place(&[Point::positive([10, 20, 30])], extent(), 64).unwrap();
        assert_eq!(placement.window.start(), [-22, -12, -2]);
        assert_eq!(placement.prompt.points()[0].index, [32, 32, 32]);
    }

    #[test]
    fn clicks_beyond_the_crop_are_counted_or_refused() {
        let far = [[0, 45, 40], [99, 45, 40], [50, 45, 40]].map(Point::positive);
        let placement = place(&far, extent(), 64).unwrap();
        assert_eq!((placement.prompt.points().len(), placement.outside), (1, 2));
        let error = place(&far[..2], extent(), 64).unwrap_err().to_string();
        assert!(error.contains("100") && error.contains("64"), "{error}");
    }
}
