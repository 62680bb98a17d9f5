use serde::{Deserialize, Serialize};

use crate::{Extent, GeomError};

/// A box of voxels, `[D, H, W]`, half open: `start` is its first voxel and `end` one past its last.
///
/// Coordinates may be negative or beyond a grid: a crop may stick out of the volume it is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedBox", into = "UncheckedBox")]
pub struct BoundingBox {
    start: [i64; 3],
    end: [i64; 3],
}

impl BoundingBox {
    /// The box from `start` up to, and without, `end`.
    ///
    /// # Errors
    /// [`GeomError::BoxEmpty`] if an axis has no voxel, [`GeomError::BoxTooLarge`] if it has more than an `isize` counts.
    pub fn new(start: [i64; 3], end: [i64; 3]) -> Result<Self, GeomError> {
        if start.iter().zip(&end).any(|(s, e)| s >= e) {
            return Err(GeomError::BoxEmpty { start, end });
        }
        let countable = |(s, e): (&i64, &i64)| e.checked_sub(*s).is_some_and(|n| isize::try_from(n).is_ok());
        if start.iter().zip(&end).all(countable) {
            Ok(Self { start, end })
        } else {
            Err(GeomError::BoxTooLarge { start, end })
        }
    }

    /// The smallest box that holds every one of `indices` (`[D, H, W]`), each below `i64::MAX`; `None` if there are none.
    pub fn around(indices: impl IntoIterator<Item = [usize; 3]>) -> Option<Self> {
        // No array has an index that does not fit.
        let mut indices = indices
            .into_iter()
            .map(|index| index.map(|i| i64::try_from(i).unwrap_or(i64::MAX).min(i64::MAX - 1)));
        let first = indices.next()?;
        let (start, last) = indices.fold((first, first), |(low, high), index| {
            (std::array::from_fn(|a| low[a].min(index[a])), std::array::from_fn(|a| high[a].max(index[a])))
        });
        Some(Self { start, end: last.map(|i| i + 1) })
    }

    /// First voxel, `[D, H, W]`.
    pub fn start(self) -> [i64; 3] {
        self.start
    }

    /// One past the last voxel, `[D, H, W]`.
    pub fn end(self) -> [i64; 3] {
        self.end
    }

    /// Number of voxels along each axis, `[D, H, W]`.
    pub fn sizes(self) -> [usize; 3] {
        std::array::from_fn(|axis| (self.end[axis] - self.start[axis]) as usize)
    }

    /// The voxel halfway between the first and the last, rounded down: `(max + min) / 2` of the published protocol.
    pub fn midpoint(self) -> [i64; 3] {
        // Half of the distance from the first voxel, rounded so that the sum of both is rounded down.
        std::array::from_fn(|axis| {
            let (first, last) = (self.start[axis], self.end[axis] - 1);
            (first & last) + ((first ^ last) >> 1)
        })
    }

    /// The part of the box inside a grid of `extent`; `None` if they do not meet.
    pub fn clip(self, extent: Extent) -> Option<Self> {
        let sizes = extent.sizes();
        let start = self.start.map(|s| s.max(0));
        let end = std::array::from_fn(|axis| self.end[axis].min(sizes[axis] as i64));
        Self::new(start, end).ok()
    }
}

/// A box as written to files: nothing is checked yet.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedBox {
    start: [i64; 3],
    end: [i64; 3],
}

impl TryFrom<UncheckedBox> for BoundingBox {
    type Error = GeomError;

    fn try_from(corners: UncheckedBox) -> Result<Self, GeomError> {
        Self::new(corners.start, corners.end)
    }
}

impl From<BoundingBox> for UncheckedBox {
    fn from(bounds: BoundingBox) -> Self {
        Self { start: bounds.start, end: bounds.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_can_hold_valid_boxes_only() {
        let bounds = BoundingBox::new([-2, 1, 3], [2, 3, 9]).unwrap();
        let text = serde_json::to_string(&bounds).unwrap();
        assert_eq!(text, r#"{"start":[-2,1,3],"end":[2,3,9]}"#);
        assert_eq!(serde_json::from_str::<BoundingBox>(&text).unwrap(), bounds);
        for bad in [
            r#"{"start":[5,0,0],"end":[2,1,1]}"#,
            r#"{"start":[0,0,0],"end":[1,1,0]}"#,
            r#"{"start":[-9223372036854775808,0,0],"end":[9223372036854775807,1,1]}"#,
        ] {
            assert!(serde_json::from_str::<BoundingBox>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn midpoints_are_rounded_down_and_do_not_overflow() {
        let far = i64::MAX - 4;
        let bounds = BoundingBox::new([-4, -4, far], [-1, 1, far + 4]).unwrap();
        assert_eq!(bounds.midpoint(), [-3, -2, far + 1]);
        let low = BoundingBox::new([i64::MIN, -3, 0], [i64::MIN + 2, 1, 1]).unwrap();
        assert_eq!(low.midpoint(), [i64::MIN, -2, 0]);
        assert_eq!(BoundingBox::around([[usize::MAX, 0, 0]]).unwrap().sizes(), [1, 1, 1]);
    }

    #[test]
    fn around_points_and_midpoint() {
        let bounds = BoundingBox::around([[3, 5, 7], [4, 2, 7]]).unwrap();
        assert_eq!((bounds.start(), bounds.end()), ([3, 2, 7], [5, 6, 8]));
        assert_eq!(bounds.midpoint(), [3, 3, 7]);
        assert!(BoundingBox::around([]).is_none());
    }

    #[test]
    fn clip_to_a_grid() {
        let extent = Extent::new([4, 4, 4]).unwrap();
        let bounds = BoundingBox::new([-2, 1, 3], [2, 3, 9]).unwrap();
        assert_eq!(bounds.clip(extent).unwrap(), BoundingBox::new([0, 1, 3], [2, 3, 4]).unwrap());
        assert_eq!(BoundingBox::new([4, 0, 0], [5, 1, 1]).unwrap().clip(extent), None);
    }
}
