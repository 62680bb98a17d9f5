//! From clicks on a prepared volume to a probability in the file's own grid.

use ndarray::{Array3, ArrayView3};
use sam3d_geom::{BoundingBox, Extent, Point, PointLabel, Prompt};
use sam3d_io::{
    crop::CropWindow,
    prepare::{Frame, PreparedImage},
};
use sam3d_model::{CropPrompt, Embedding, Sam3d};

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

/// Places a crop of side `side` for `points`, voxels `[D, H, W]` of the resampled volume of `extent`. Negative points do
/// not move it.
///
/// # Errors
/// [`TrainError::Geometry`] without points or with a point outside the volume; [`TrainError::ClicksTooFarApart`] if no
/// click lies in the crop.
pub fn place(points: &[Point], extent: Extent, side: usize) -> Result<Placement, TrainError> {
    let all = Prompt::new(points.to_vec(), extent)?;
    let positive = points.iter().filter(|point| point.label == PointLabel::Positive);
    let bounds = BoundingBox::around(positive.map(|point| point.index)).unwrap_or(all.bounding_box());
    let window = CropWindow::around(bounds.midpoint(), side);
    placed(&all, window)
}

/// As [`place`], but a later click moves the crop only if it lies outside the middle half of it along some axis: what
/// was encoded for the first click then serves the next ones. The crop depends on the clicks and their order alone, and
/// for one click it is that of [`place`].
///
/// # Errors
/// As [`place`].
pub fn place_steadily(points: &[Point], extent: Extent, side: usize) -> Result<Placement, TrainError> {
    let all = Prompt::new(points.to_vec(), extent)?;
    let around = |clicks: &[Point]| {
        let bounds = BoundingBox::around(clicks.iter().map(|point| point.index));
        CropWindow::around(bounds.unwrap_or(all.bounding_box()).midpoint(), side)
    };
    let middle = side / 4..side - side / 4;
    let mut window = around(&points[..1]);
    for (number, point) in points.iter().enumerate() {
        let kept =
            window.crop_from_volume(point.index).is_some_and(|at| at.iter().all(|n| middle.contains(n)));
        if !kept {
            window = around(&points[..=number]);
        }
    }
    placed(&all, window)
}

/// The clicks of `all` that lie in `window`.
fn placed(all: &Prompt, window: CropWindow) -> Result<Placement, TrainError> {
    let side = window.side();
    let inside: Vec<Point> = all
        .points()
        .iter()
        .filter_map(|point| Some(Point { index: window.crop_from_volume(point.index)?, label: point.label }))
        .collect();
    let outside = all.points().len() - inside.len();
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
    let found = probability_in_crop(network, &embed(network, image, placement.window)?, placement)?;
    let mut whole = Array3::zeros(image.dim());
    placement.window.paste(found.view(), &mut whole)?;
    Ok(whole)
}

/// What the encoder makes of the crop `window` of `image` (`[D, H, W]`, resampled and normalised).
///
/// # Errors
/// [`TrainError::Model`] if the window does not fit the network.
pub fn embed(
    network: &Sam3d,
    image: ArrayView3<'_, f32>,
    window: CropWindow,
) -> Result<Embedding, TrainError> {
    // Zero is the mean intensity: crops are padded after normalisation.
    let crop = window.extract(image, 0.0);
    let values: Vec<f32> = crop.iter().copied().collect();
    Ok(network.embed(&values)?)
}

/// The target's probability in the crop of `placement`, `[P, P, P]`, from what [`embed`] made of that crop.
///
/// # Errors
/// [`TrainError::Model`] if the placement does not fit the network.
pub fn probability_in_crop(
    network: &Sam3d,
    embedding: &Embedding,
    placement: &Placement,
) -> Result<Array3<f32>, TrainError> {
    let found = network.predict_embedded(embedding, &[CropPrompt::from(placement.prompt.clone())])?;
    Array3::from_shape_vec([placement.window.side(); 3], found)
        .map_err(|_| TrainError::Internal("crop shape"))
}

/// A crop's probability in the file's own grid, `[k, j, i]`, zero outside the crop.
///
/// # Errors
/// [`TrainError::Io`] if the crop is not of the window's side.
pub fn native_from_crop(
    frame: &Frame,
    window: CropWindow,
    probability: ArrayView3<'_, f32>,
) -> Result<Array3<f32>, TrainError> {
    let mut whole = Array3::zeros(frame.resampled_extent().sizes());
    window.paste(probability, &mut whole)?;
    Ok(frame.to_native(whole.view())?)
}

/// The mask (0 or 1) of the voxels whose probability is above `threshold`.
pub fn mask_above(probability: ArrayView3<'_, f32>, threshold: f64) -> Array3<u8> {
    probability.mapv(|p| u8::from(f64::from(p) > threshold))
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
    fn a_negative_click_does_not_move_the_crop() {
        let negative = Point { index: [10, 20, 60], label: PointLabel::Negative };
        let placement = place(&[Point::positive([10, 20, 30]), negative], extent(), 64).unwrap();
        assert_eq!(placement.window.start(), [-22, -12, -2]);
        assert_eq!(placement.prompt.points()[1].label, PointLabel::Negative);
    }

    #[test]
    fn clicks_beyond_the_crop_are_counted_or_refused() {
        let far = [[0, 45, 40], [99, 45, 40], [50, 45, 40]].map(Point::positive);
        let placement = place(&far, extent(), 64).unwrap();
        assert_eq!((placement.prompt.points().len(), placement.outside), (1, 2));
        let error = place(&far[..2], extent(), 64).unwrap_err().to_string();
        assert!(error.contains("100") && error.contains("64"), "{error}");
    }

    #[test]
    fn a_steady_crop_moves_only_for_a_click_near_its_edge() {
        let steady = |clicks: &[[usize; 3]]| {
            let points: Vec<Point> = clicks.iter().copied().map(Point::positive).collect();
            place_steadily(&points, extent(), 32).unwrap().window
        };
        let first = steady(&[[50, 45, 40]]);
        assert_eq!(first, place(&[Point::positive([50, 45, 40])], extent(), 32).unwrap().window);
        // The middle half of the crop of 32 around 50 runs from 42 to 57.
        assert_eq!(steady(&[[50, 45, 40], [42, 45, 40], [57, 45, 40]]), first);
        assert_eq!(steady(&[[50, 45, 40], [58, 45, 40]]).start(), [38, 29, 24]);
        let empty = place_steadily(&[], extent(), 32).unwrap_err();
        assert!(matches!(empty, TrainError::Geometry(_)), "{empty}");
    }

    #[test]
    fn the_threshold_itself_is_outside() {
        let probability = Array3::from_shape_vec([1, 1, 3], vec![0.25, 0.5, 0.75]).unwrap();
        assert_eq!(mask_above(probability.view(), 0.5).into_raw_vec_and_offset().0, [0, 0, 1]);
    }
}
