//! The position of the crop.
//!
//! For clicks given together the crop is centred on the middle of the bounding box around the positive ones, as published.
//! Later prompts leave the crop where it is, so that its embedding can be reused, unless one of them lies outside its middle
//! half. Then it is centred on the middle of all prompts so far or, if that crop would not contain the new ones, on the new
//! ones alone.

use sam3d_geom::{BoundingBox, Extent, Point, PointLabel, Prompt};
use sam3d_io::crop::CropWindow;

use crate::InferError;

/// The crop of side `side` for prompts that span `new`, voxels `[D, H, W]` of the resampled volume. `current` is the crop so
/// far and the box around the prompts so far, if there were any.
pub fn window(current: Option<(CropWindow, BoundingBox)>, new: BoundingBox, side: usize) -> CropWindow {
    let Some((crop, earlier)) = current else { return CropWindow::around(new.midpoint(), side) };
    if holds(crop, new, side / 4) {
        return crop;
    }
    let all = CropWindow::around(union(earlier, new).midpoint(), side);
    if holds(all, new, 0) { all } else { CropWindow::around(new.midpoint(), side) }
}

/// The smallest box that holds both.
pub fn union(a: BoundingBox, b: BoundingBox) -> BoundingBox {
    let start = std::array::from_fn(|axis| a.start()[axis].min(b.start()[axis]));
    let end = std::array::from_fn(|axis| a.end()[axis].max(b.end()[axis]));
    // Two boxes that hold voxels have a union that does.
    BoundingBox::new(start, end).unwrap_or(a)
}

/// The box that determines the crop of `points`: around the positive ones, or around all if there are none.
pub fn deciding_box(points: &[Point]) -> Option<BoundingBox> {
    let positive = points.iter().filter(|point| point.label == PointLabel::Positive);
    BoundingBox::around(positive.map(|point| point.index))
        .or_else(|| BoundingBox::around(points.iter().map(|point| point.index)))
}

/// Whether every voxel of `bounds` lies in `crop`, at least `margin` voxels from its border.
fn holds(crop: CropWindow, bounds: BoundingBox, margin: usize) -> bool {
    let (margin, side) = (margin as i64, crop.side() as i64);
    (0..3).all(|axis| {
        let start = crop.start()[axis];
        bounds.start()[axis] >= start.saturating_add(margin)
            && bounds.end()[axis] <= start.saturating_add(side - margin)
    })
}

/// A crop and the clicks in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// The crop.
    pub window: CropWindow,
    /// The clicks inside the crop, in its own voxels.
    pub clicks: Vec<Point>,
    /// Number of clicks outside the crop.
    pub outside: usize,
}

impl Placement {
    /// The clicks of `points`, voxels of the resampled volume, that lie in `window`.
    pub fn of(points: &[Point], window: CropWindow) -> Self {
        let clicks: Vec<Point> = points
            .iter()
            .filter_map(|point| Some(Point { index: window.crop_from_volume(point.index)?, ..*point }))
            .collect();
        let outside = points.len() - clicks.len();
        Self { window, clicks, outside }
    }

    /// The clicks as the network takes them; `None` without any.
    ///
    /// # Errors
    /// [`InferError::Geometry`] if a click lies outside the crop.
    pub fn prompt(&self) -> Result<Option<Prompt>, InferError> {
        if self.clicks.is_empty() {
            return Ok(None);
        }
        Ok(Some(Prompt::new(self.clicks.clone(), Extent::new([self.window.side(); 3])?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(points: &[Point], side: usize) -> Placement {
        Placement::of(points, window(None, deciding_box(points).unwrap(), side))
    }

    #[test]
    fn one_click_is_the_centre_of_its_crop() {
        let placement = place(&[Point::positive([10, 20, 30])], 64);
        assert_eq!(placement.window.start(), [-22, -12, -2]);
        assert_eq!(placement.clicks[0].index, [32, 32, 32]);
    }

    #[test]
    fn a_negative_click_does_not_move_the_crop() {
        let negative = Point { index: [10, 20, 60], label: PointLabel::Negative };
        let placement = place(&[Point::positive([10, 20, 30]), negative], 64);
        assert_eq!(placement.window.start(), [-22, -12, -2]);
        assert_eq!(placement.clicks[1].label, PointLabel::Negative);
    }

    #[test]
    fn clicks_beyond_the_crop_are_counted() {
        let far = [[0, 45, 40], [99, 45, 40], [50, 45, 40]].map(Point::positive);
        let placement = place(&far, 64);
        assert_eq!((placement.clicks.len(), placement.outside), (1, 2));
        assert!(place(&far[..2], 64).clicks.is_empty());
        assert_eq!(deciding_box(&[]), None);
    }

    #[test]
    fn a_later_click_moves_the_crop_only_near_its_border() {
        let steady = |clicks: &[[usize; 3]]| {
            let mut current: Option<(CropWindow, BoundingBox)> = None;
            for click in clicks {
                let new = BoundingBox::around([*click]).unwrap();
                let crop = window(current, new, 32);
                current = Some((crop, current.map_or(new, |(_, earlier)| union(earlier, new))));
            }
            current.unwrap().0
        };
        let first = steady(&[[50, 45, 40]]);
        assert_eq!(first, place(&[Point::positive([50, 45, 40])], 32).window);
        // The middle half of the crop of 32 around 50 runs from 42 to 57.
        assert_eq!(steady(&[[50, 45, 40], [42, 45, 40], [57, 45, 40]]), first);
        assert_eq!(steady(&[[50, 45, 40], [58, 45, 40]]).start(), [38, 29, 24]);
        // The middle of both would be a crop that holds neither.
        assert_eq!(steady(&[[5, 45, 40], [95, 45, 40]]).start(), [79, 29, 24]);
    }
}
