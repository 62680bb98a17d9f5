//! Contours along the edges of a mask's voxels.

use ndarray::ArrayView2;

/// A corner between pixels, `[column, row]`: corner `[c, r]` is half a pixel before the centre of pixel `[c, r]` on both axes.
pub(super) type Corner = [usize; 2];

/// The closed contours of the pixels of `mask`, `[row, column]`, that are not 0: outer ones and holes, each only with the
/// corners where it turns and without its first one repeated.
///
/// Every edge between a pixel of the mask and one outside belongs to one contour, walked with the mask on its right. Where two
/// pixels touch at a corner alone the contour turns towards the mask, so that it never meets itself and the two stay apart.
pub(super) fn contours(mask: ArrayView2<'_, u8>) -> Vec<Vec<Corner>> {
    let mut edges = Edges::of(mask);
    let mut contours = Vec::new();
    for row in 0..=mask.dim().0 {
        for column in 0..=mask.dim().1 {
            while let Some(direction) = edges.any_from([column, row]) {
                contours.push(edges.walk([column, row], direction));
            }
        }
    }
    contours
}

/// A step from a corner to the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Right,
    Down,
    Left,
    Up,
}

impl Direction {
    const ALL: [Self; 4] = [Self::Right, Self::Down, Self::Left, Self::Up];

    fn turned_right(self) -> Self {
        match self {
            Self::Right => Self::Down,
            Self::Down => Self::Left,
            Self::Left => Self::Up,
            Self::Up => Self::Right,
        }
    }

    fn step(self, [column, row]: Corner) -> Corner {
        match self {
            Self::Right => [column + 1, row],
            Self::Down => [column, row + 1],
            Self::Left => [column.saturating_sub(1), row],
            Self::Up => [column, row.saturating_sub(1)],
        }
    }
}

/// Edges that no contour has yet: for each corner a bit for each direction.
struct Edges {
    columns: usize,
    bits: Vec<u8>,
}

impl Edges {
    fn of(mask: ArrayView2<'_, u8>) -> Self {
        let (rows, columns) = mask.dim();
        let mut edges = Self { columns: columns + 1, bits: vec![0; (rows + 1) * (columns + 1)] };
        let inside = |row: Option<usize>, column: Option<usize>| {
            row.zip(column).and_then(|(row, column)| mask.get([row, column])).is_some_and(|value| *value != 0)
        };
        for ((row, column), _) in mask.indexed_iter().filter(|(_, value)| **value != 0) {
            let (r, c) = (Some(row), Some(column));
            if !inside(row.checked_sub(1), c) {
                edges.add([column, row], Direction::Right);
            }
            if !inside(r, Some(column + 1)) {
                edges.add([column + 1, row], Direction::Down);
            }
            if !inside(Some(row + 1), c) {
                edges.add([column + 1, row + 1], Direction::Left);
            }
            if !inside(r, column.checked_sub(1)) {
                edges.add([column, row + 1], Direction::Up);
            }
        }
        edges
    }

    fn place(&self, [column, row]: Corner) -> usize {
        row * self.columns + column
    }

    fn add(&mut self, from: Corner, direction: Direction) {
        let place = self.place(from);
        self.bits[place] |= 1 << direction as u8;
    }

    /// Takes the edge away, and says whether it was there.
    fn take(&mut self, from: Corner, direction: Direction) -> bool {
        let place = self.place(from);
        let bit = 1 << direction as u8;
        let was_there = self.bits[place] & bit != 0;
        self.bits[place] &= !bit;
        was_there
    }

    fn any_from(&mut self, from: Corner) -> Option<Direction> {
        let place = self.place(from);
        Direction::ALL.into_iter().find(|direction| self.bits[place] & (1 << *direction as u8) != 0)
    }

    /// The contour that begins at `start` in `direction`.
    fn walk(&mut self, start: Corner, direction: Direction) -> Vec<Corner> {
        let (mut corners, mut at, mut direction) = (vec![start], start, direction);
        while self.take(at, direction) {
            at = direction.step(at);
            // To the right first, towards the mask; a contour goes on somewhere from every corner but the start.
            let right = direction.turned_right();
            let next = [right, direction, right.turned_right().turned_right()]
                .into_iter()
                .find(|next| self.bits[self.place(at)] & (1 << *next as u8) != 0);
            let Some(next) = next else { break };
            if next != direction {
                corners.push(at);
            }
            direction = next;
        }
        corners
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    use super::*;

    #[test]
    fn a_square_has_four_corners_and_a_ring_two_contours() {
        assert_eq!(contours(arr2(&[[1, 1], [1, 1]]).view()), [[[0, 0], [2, 0], [2, 2], [0, 2]]]);
        let ring = contours(arr2(&[[1, 1, 1], [1, 0, 1], [1, 1, 1]]).view());
        assert_eq!(ring.len(), 2);
        assert_eq!(ring[0], [[0, 0], [3, 0], [3, 3], [0, 3]]);
        assert_eq!(ring[1].len(), 4);
        assert!(contours(Array2::zeros([2, 2]).view()).is_empty());
    }

    #[test]
    fn pixels_that_touch_at_a_corner_are_apart() {
        for mask in [[[1, 0], [0, 1]], [[0, 1], [1, 0]]] {
            let found = contours(arr2(&mask).view());
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
        }
    }
}
