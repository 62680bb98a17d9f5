use serde::{Deserialize, Serialize};

use crate::{BoundingBox, Extent, GeomError};

/// Whether a click marks the target or the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PointLabel {
    /// The voxel belongs to the target.
    #[default]
    Positive,
    /// The voxel does not belong to the target.
    Negative,
}

/// One click: a voxel and its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Voxel index, `[D, H, W]`.
    pub index: [usize; 3],
    /// Whether the voxel belongs to the target.
    pub label: PointLabel,
}

impl Point {
    /// A positive click on the voxel `index`, `[D, H, W]`.
    pub fn positive(index: [usize; 3]) -> Self {
        Self { index, label: PointLabel::Positive }
    }
}

/// The clicks on one grid: at least one, every one inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    points: Vec<Point>,
    extent: Extent,
    bounds: BoundingBox,
}

impl Prompt {
    /// The clicks `points` on a grid of `extent` voxels.
    ///
    /// # Errors
    /// [`GeomError::PromptEmpty`] without points, [`GeomError::PointOutside`] for the first one outside the grid.
    pub fn new(points: Vec<Point>, extent: Extent) -> Result<Self, GeomError> {
        if let Some(point) = points.iter().find(|point| !extent.contains(point.index)) {
            return Err(GeomError::PointOutside { index: point.index, extent });
        }
        let bounds =
            BoundingBox::around(points.iter().map(|point| point.index)).ok_or(GeomError::PromptEmpty)?;
        Ok(Self { points, extent, bounds })
    }

    /// The clicks, in the order given.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The grid the clicks are on.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The smallest box around all clicks.
    pub fn bounding_box(&self) -> BoundingBox {
        self.bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_nothing_and_points_outside() {
        let extent = Extent::new([2, 3, 4]).unwrap();
        assert_eq!(Prompt::new(vec![], extent), Err(GeomError::PromptEmpty));
        assert!(Prompt::new(vec![Point::positive([0, 3, 0])], extent).is_err());
    }

    #[test]
    fn bounding_box_of_two_clicks() {
        let extent = Extent::new([9, 9, 9]).unwrap();
        let prompt =
            Prompt::new(vec![Point::positive([1, 8, 2]), Point::positive([4, 3, 2])], extent).unwrap();
        assert_eq!(prompt.bounding_box().midpoint(), [2, 5, 2]);
    }
}
