//! What clients draw as voxels becomes prompts: a stroke becomes rows of voxels, a filled outline becomes rectangles.

use std::collections::BTreeMap;

use sam3d_geom::PointLabel;
use sam3d_infer::Prompt;
use sam3d_nnia::Array;

use super::mask::VoxelBox;
use crate::refusal::Refusal;

/// A drawing: voxels in a box of the image, `[k, j, i]`.
#[derive(Debug)]
pub(super) struct Drawing {
    low: [usize; 3],
    shape: [usize; 3],
    is_set: Vec<bool>,
}

/// A row of voxels along one axis: the first and the last, `[k, j, i]`.
type Row = [[usize; 3]; 2];

impl Drawing {
    /// The drawing in `array`, which lies in the box `bounds` of an image of `shape_kji`; without a box, in all of it.
    pub(super) fn new(
        array: &Array,
        bounds: Option<VoxelBox>,
        shape_kji: [usize; 3],
    ) -> Result<Self, Refusal> {
        let bounds = bounds.unwrap_or(shape_kji.map(|size| [0, size]));
        if (0..3).any(|axis| bounds[axis][0] >= bounds[axis][1] || bounds[axis][1] > shape_kji[axis]) {
            let detail =
                format!("interaction_bbox {bounds:?} is empty or lies outside the image of {shape_kji:?}");
            return Err(Refusal::bad_request(detail));
        }
        let shape = bounds.map(|[low, high]| high - low);
        if array.shape() != shape {
            let found = array.shape();
            return Err(Refusal::bad_request(format!(
                "the drawing has the shape {found:?}, expected {shape:?}"
            )));
        }
        Ok(Self { low: bounds.map(|[low, _]| low), shape, is_set: array.is_set().collect() })
    }

    fn at(&self, [k, j, i]: [usize; 3]) -> usize {
        (k * self.shape[1] + j) * self.shape[2] + i
    }

    /// The rows along `axis`, in the order of the volume.
    fn rows(&self, axis: usize) -> Vec<Row> {
        let [a, b] = others(axis);
        let mut rows = Vec::new();
        for first in 0..self.shape[a] {
            for second in 0..self.shape[b] {
                let mut voxel = [0; 3];
                (voxel[a], voxel[b]) = (first, second);
                let mut open: Option<[usize; 3]> = None;
                for along in 0..=self.shape[axis] {
                    voxel[axis] = along;
                    let is_set = along < self.shape[axis] && self.is_set[self.at(voxel)];
                    match (open, is_set) {
                        (None, true) => open = Some(voxel),
                        (Some(start), false) => {
                            let mut last = voxel;
                            last[axis] -= 1;
                            rows.push([start, last]);
                            open = None;
                        }
                        _ => {}
                    }
                }
            }
        }
        rows
    }

    /// The axis along which the drawing has the fewest rows, and these.
    fn fewest_rows(&self) -> (usize, Vec<Row>) {
        let rows = [2, 1, 0].map(|axis| (axis, self.rows(axis)));
        rows.into_iter().min_by_key(|(_, rows)| rows.len()).unwrap_or_default()
    }

    /// The strokes that cover exactly these voxels, at most `most`.
    pub(super) fn scribbles(&self, label: PointLabel, most: usize) -> Result<Vec<Prompt>, Refusal> {
        let (_, rows) = self.fewest_rows();
        check_number(rows.len(), most)?;
        let stroke = |row: Row| {
            let [first, last] = row.map(|voxel| self.ijk(voxel));
            let path = if first == last { vec![first] } else { vec![first, last] };
            Prompt::Scribble { path, width: 1.0, label }
        };
        Ok(rows.into_iter().map(stroke).collect())
    }

    /// The rectangles that cover what the outlines enclose, slice by slice; at most `most`.
    pub(super) fn regions(mut self, label: PointLabel, most: usize) -> Result<Vec<Prompt>, Refusal> {
        self.fill();
        let (axis, rows) = self.fewest_rows();
        let [a, b] = others(axis);
        // Equal rows beside each other are one rectangle.
        let mut open: BTreeMap<[usize; 3], Row> = BTreeMap::new();
        let mut regions = Vec::new();
        for row @ [first, last] in rows {
            let key = [first[a], first[axis], last[axis]];
            match open.get_mut(&key) {
                Some([_, end]) if end[b] + 1 == first[b] => *end = last,
                _ => regions.extend(open.insert(key, row)),
            }
        }
        regions.extend(open.into_values());
        check_number(regions.len(), most)?;
        let rectangle = |region: Row| {
            let [first, last] = region.map(|voxel| self.ijk(voxel));
            Prompt::Box { first, last, label }
        };
        Ok(regions.into_iter().map(rectangle).collect())
    }

    /// Fills what is enclosed in the drawing's slice; a drawing in several slices along every axis stays as it is.
    fn fill(&mut self) {
        let occupied = |axis: usize| {
            let [a, b] = others(axis);
            let is_occupied = |slice: &usize| {
                (0..self.shape[a]).any(|first| {
                    (0..self.shape[b]).any(|second| {
                        let mut voxel = [0; 3];
                        (voxel[axis], voxel[a], voxel[b]) = (*slice, first, second);
                        self.is_set[self.at(voxel)]
                    })
                })
            };
            (0..self.shape[axis]).filter(is_occupied).collect::<Vec<_>>()
        };
        let in_one_slice = (0..3).find_map(|axis| match occupied(axis)[..] {
            [slice] => Some((axis, slice)),
            _ => None,
        });
        let Some((axis, slice)) = in_one_slice else { return };
        let [a, b] = others(axis);
        let (height, width) = (self.shape[a], self.shape[b]);
        let voxel = |first: usize, second: usize| {
            let mut voxel = [0; 3];
            (voxel[axis], voxel[a], voxel[b]) = (slice, first, second);
            voxel
        };
        // Whatever can be reached from the border is outside.
        let mut outside = vec![false; height * width];
        let is_border =
            |first, second| first == 0 || second == 0 || first + 1 == height || second + 1 == width;
        let mut waiting: Vec<(usize, usize)> = (0..height)
            .flat_map(|first| (0..width).map(move |second| (first, second)))
            .filter(|(first, second)| is_border(*first, *second))
            .collect();
        while let Some((first, second)) = waiting.pop() {
            let reached = &mut outside[first * width + second];
            if *reached || self.is_set[self.at(voxel(first, second))] {
                continue;
            }
            *reached = true;
            waiting.extend(first.checked_sub(1).map(|first| (first, second)));
            waiting.extend(second.checked_sub(1).map(|second| (first, second)));
            waiting.extend((first + 1 < height).then_some((first + 1, second)));
            waiting.extend((second + 1 < width).then_some((first, second + 1)));
        }
        for first in 0..height {
            for second in 0..width {
                let at = self.at(voxel(first, second));
                self.is_set[at] = !outside[first * width + second];
            }
        }
    }

    /// A voxel of the drawing as one of the image, `[i, j, k]`.
    fn ijk(&self, [k, j, i]: [usize; 3]) -> [usize; 3] {
        [self.low[2] + i, self.low[1] + j, self.low[0] + k]
    }
}

fn others(axis: usize) -> [usize; 2] {
    match axis {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    }
}

fn check_number(found: usize, most: usize) -> Result<(), Refusal> {
    if found <= most {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "the drawing consists of {found} rows of voxels, at most {most} are accepted: draw less at a time"
    )))
}

#[cfg(test)]
mod tests {
    use sam3d_geom::PointLabel::{Negative, Positive};
    use sam3d_nnia::{ElementType, pack, unpack};

    use super::*;

    /// A drawing of lines of `.` and `#` in the slice k = 3 of an image of 5 x 8 x 9 voxels, whose box begins at (3, 1, 2).
    fn drawing(lines: &[&str]) -> Drawing {
        let shape = [1, lines.len(), lines[0].len()];
        let set = lines.iter().flat_map(|line| line.bytes().map(|byte| byte == b'#'));
        let array = unpack(&pack(ElementType::Uint8, shape, set), 100).unwrap();
        let bounds = [[3, 4], [1, 1 + shape[1]], [2, 2 + shape[2]]];
        Drawing::new(&array, Some(bounds), [5, 8, 9]).unwrap()
    }

    #[test]
    fn a_stroke_becomes_its_rows() {
        let stroke =
            |path: &[[usize; 3]]| Prompt::Scribble { path: path.to_vec(), width: 1.0, label: Negative };
        let strokes = drawing(&["##.#", "...#"]).scribbles(Negative, 10).unwrap();
        assert_eq!(strokes, [stroke(&[[2, 1, 3], [3, 1, 3]]), stroke(&[[5, 1, 3]]), stroke(&[[5, 2, 3]])]);
        // Upright, the same is one row.
        let strokes = drawing(&["#", "#", "#"]).scribbles(Negative, 1).unwrap();
        assert_eq!(strokes, [stroke(&[[2, 1, 3], [2, 3, 3]])]);
        let refused = drawing(&["#.#.#"]).scribbles(Negative, 2).unwrap_err();
        assert!(refused.detail.contains("3 rows of voxels"), "{}", refused.detail);
        assert!(drawing(&["..."]).scribbles(Positive, 2).unwrap().is_empty());
    }

    #[test]
    fn an_outline_is_filled_and_becomes_rectangles() {
        let region = |first, last| Prompt::Box { first, last, label: Positive };
        let filled = [region([3, 1, 3], [5, 1, 3]), region([2, 2, 3], [6, 4, 3])];
        for lines in [&[".###.", "#####", "#####", "#####"], &[".###.", "#...#", "#...#", "#####"]] {
            let mut regions = drawing(lines).regions(Positive, 10).unwrap();
            regions.sort_by_key(|region| match region {
                Prompt::Box { first, .. } => first[1],
                _ => unreachable!(),
            });
            assert_eq!(regions, filled, "{lines:?}");
        }
        // An open line encloses nothing.
        let open = drawing(&["###", "#..", "#.#"]).regions(Positive, 10).unwrap();
        assert_eq!(open.len(), 3);
    }

    #[test]
    fn drawings_that_do_not_fit_are_refused() {
        let array = unpack(&pack(ElementType::Bool, [2, 2, 2], [true]), 8).unwrap();
        let refused = |bounds| Drawing::new(&array, bounds, [5, 8, 9]).unwrap_err().detail;
        assert!(refused(None).contains("expected [5, 8, 9]"));
        assert!(refused(Some([[0, 2], [0, 2], [0, 3]])).contains("expected [2, 2, 3]"));
        assert!(refused(Some([[4, 6], [0, 2], [0, 2]])).contains("outside the image"));
        assert!(refused(Some([[2, 2], [0, 2], [0, 2]])).contains("is empty"));
        assert!(Drawing::new(&array, Some([[3, 5], [6, 8], [7, 9]]), [5, 8, 9]).is_ok());
    }
}
