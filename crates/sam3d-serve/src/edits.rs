//! Changes that a person paints into a mask, which hold whatever the network answers.

use ndarray::{Array3, s};
use sam3d_infer::MaskPart;
use serde::Deserialize;

use crate::{prompts::PromptRules, refusal::Refusal};

/// Most edits of one object: each stroke of a brush is one.
const MOST_EDITS: usize = 2000;

/// Voxels that are added to a mask or removed from it, as first voxel and number of voxels of each run in C order of `[k, j, i]`,
/// ascending.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Edit {
    Paint(Vec<[usize; 2]>),
    Erase(Vec<[usize; 2]>),
}

impl Edit {
    fn runs(&self) -> &[[usize; 2]] {
        match self {
            Self::Paint(runs) | Self::Erase(runs) => runs,
        }
    }
}

/// Checks number, size and place of `edits` in a volume of shape `[k, j, i]`.
pub(crate) fn check(edits: &[Edit], shape_kji: [usize; 3], rules: PromptRules) -> Result<(), Refusal> {
    if edits.len() > MOST_EDITS {
        return Err(Refusal::bad_request(format!(
            "{} edits, at most {MOST_EDITS} are accepted",
            edits.len()
        )));
    }
    let runs: usize = edits.iter().map(|edit| edit.runs().len()).sum();
    if runs > rules.most_runs {
        return Err(Refusal::bad_request(format!(
            "{runs} runs of voxels, at most {} are accepted",
            rules.most_runs
        )));
    }
    let voxels: usize = shape_kji.iter().product();
    for edit in edits {
        let mut end = 0;
        for [start, length] in edit.runs() {
            if *start < end || *length == 0 {
                let detail = "the runs of an edit overlap, are empty, or are not in ascending order";
                return Err(Refusal::bad_request(detail));
            }
            end = start.checked_add(*length).filter(|end| *end <= voxels).ok_or_else(|| {
                Refusal::bad_request(format!(
                    "a run of an edit lies outside the {voxels} voxels of the volume"
                ))
            })?;
        }
    }
    Ok(())
}

/// `mask` with `edits`, which were checked, one after another.
pub(crate) fn apply(mask: MaskPart, edits: &[Edit], shape_kji: [usize; 3]) -> MaskPart {
    let painted = edits.iter().filter(|edit| matches!(edit, Edit::Paint(_))).flat_map(Edit::runs);
    let boxes = painted.flat_map(|[start, length]| rows(*start, *length, shape_kji));
    let own = (!mask.values.is_empty()).then(|| {
        let sizes: [usize; 3] = mask.values.dim().into();
        (mask.start, std::array::from_fn(|axis| mask.start[axis] + sizes[axis]))
    });
    let around = boxes
        .map(|([k, j, i], length)| ([k, j, i], [k + 1, j + 1, i + length]))
        .chain(own)
        .reduce(|(low, high), (start, end)| (pick(usize::min, low, start), pick(usize::max, high, end)));
    let Some((start, end)) = around else { return mask };
    let mut values = Array3::zeros(std::array::from_fn::<_, 3, _>(|axis| end[axis] - start[axis]));
    if let Some((low, high)) = own {
        let [k, j, i] = std::array::from_fn(|axis| low[axis] - start[axis]..high[axis] - start[axis]);
        values.slice_mut(s![k, j, i]).assign(&mask.values);
    }
    for edit in edits {
        let value = u8::from(matches!(edit, Edit::Paint(_)));
        for ([k, j, i], length) in
            edit.runs().iter().flat_map(|[start, length]| rows(*start, *length, shape_kji))
        {
            // What is erased may lie beside the mask.
            let (first, last) = (i.max(start[2]), (i + length).min(end[2]));
            let is_in = (start[0]..end[0]).contains(&k) && (start[1]..end[1]).contains(&j) && first < last;
            if is_in {
                values
                    .slice_mut(s![k - start[0], j - start[1], first - start[2]..last - start[2]])
                    .fill(value);
            }
        }
    }
    MaskPart { start, values }
}

/// The parts of a run in each row along i: first voxel `[k, j, i]` and length.
pub(crate) fn rows(
    start: usize,
    length: usize,
    [_, rows, columns]: [usize; 3],
) -> impl Iterator<Item = ([usize; 3], usize)> {
    let end = start + length;
    let mut at = start;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let (i, row) = (at % columns, at / columns);
        let part = (columns - i).min(end - at);
        at += part;
        Some(([row / rows, row % rows, i], part))
    })
}

fn pick(of: fn(usize, usize) -> usize, a: [usize; 3], b: [usize; 3]) -> [usize; 3] {
    std::array::from_fn(|axis| of(a[axis], b[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam3d_infer::Accepts;

    const SHAPE: [usize; 3] = [2, 3, 4];

    fn painted(mask: MaskPart, edits: &[Edit]) -> Vec<usize> {
        let mut whole = Array3::<u8>::zeros(SHAPE);
        apply(mask, edits, SHAPE).paint(&mut whole, 1).unwrap();
        whole.iter().enumerate().filter(|(_, value)| **value == 1).map(|(at, _)| at).collect()
    }

    #[test]
    fn edits_hold_one_after_another() {
        let paint = Edit::Paint(vec![[2, 4], [20, 1]]);
        let erase = Edit::Erase(vec![[0, 4], [23, 1]]);
        assert_eq!(painted(MaskPart::default(), std::slice::from_ref(&paint)), [2, 3, 4, 5, 20]);
        assert_eq!(painted(MaskPart::default(), &[paint.clone(), erase.clone()]), [4, 5, 20]);
        assert_eq!(painted(MaskPart::default(), &[erase.clone(), paint.clone()]), [2, 3, 4, 5, 20]);
        let mask = MaskPart { start: [0, 0, 3], values: Array3::ones([1, 2, 1]) };
        assert_eq!(painted(mask.clone(), &[]), [3, 7]);
        assert_eq!(painted(mask.clone(), std::slice::from_ref(&erase)), [7]);
        assert_eq!(painted(mask, &[paint]), [2, 3, 4, 5, 7, 20]);
        assert!(painted(MaskPart::default(), &[erase]).is_empty());
    }

    #[test]
    fn a_run_is_split_into_rows() {
        let found: Vec<_> = rows(2, 12, SHAPE).collect();
        assert_eq!(found, [([0, 0, 2], 2), ([0, 1, 0], 4), ([0, 2, 0], 4), ([1, 0, 0], 2)]);
    }

    #[test]
    fn edits_outside_or_out_of_order_are_refused() {
        let accepts = Accepts { clicks: true, negative_clicks: false, shapes: false };
        let rules = PromptRules { most: 9, most_corners: 9, most_runs: 3, accepts };
        let refused = |edits: &[Edit]| check(edits, SHAPE, rules).unwrap_err().detail;
        assert!(
            check(&[Edit::Paint(vec![[0, 2], [2, 1]]), Edit::Erase(vec![[23, 1]])], SHAPE, rules).is_ok()
        );
        assert!(refused(&[Edit::Paint(vec![[23, 2]])]).contains("outside the 24 voxels"));
        assert!(refused(&[Edit::Paint(vec![[usize::MAX, 2]])]).contains("outside"));
        assert!(refused(&[Edit::Erase(vec![[4, 2], [5, 1]])]).contains("overlap"));
        assert!(refused(&[Edit::Erase(vec![[4, 0]])]).contains("empty"));
        assert!(refused(&[Edit::Erase(vec![[0, 1], [2, 1], [4, 1], [6, 1]])]).contains("4 runs"));
        assert!(refused(&vec![Edit::Erase(vec![]); 2001]).contains("2001 edits"));
    }
}
