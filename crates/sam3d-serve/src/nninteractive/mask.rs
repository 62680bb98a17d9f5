//! Masks as clients hold them: parts of the file's grid, and the box in which two of them differ.

use ndarray::{Array3, s};
use sam3d_infer::MaskPart;

/// A box of voxels `[k, j, i]`: the first, and one past the last, along each axis.
pub(super) type VoxelBox = [[usize; 2]; 3];

/// The box of all voxels of `mask`'s part; `None` if it has none.
fn extent(mask: &MaskPart) -> Option<VoxelBox> {
    let sizes: [usize; 3] = mask.values.dim().into();
    let bounds = std::array::from_fn(|axis| [mask.start[axis], mask.start[axis] + sizes[axis]]);
    (!mask.values.is_empty()).then_some(bounds)
}

fn union(a: VoxelBox, b: VoxelBox) -> VoxelBox {
    std::array::from_fn(|axis| [a[axis][0].min(b[axis][0]), a[axis][1].max(b[axis][1])])
}

/// Whether the voxel `[k, j, i]` belongs to `mask`.
pub(super) fn contains(mask: &MaskPart, voxel: [usize; 3]) -> bool {
    let mut inside = [0; 3];
    for axis in 0..3 {
        let Some(offset) = voxel[axis].checked_sub(mask.start[axis]) else { return false };
        inside[axis] = offset;
    }
    mask.values.get(inside).is_some_and(|value| *value != 0)
}

/// The voxels of a box in C order.
pub(super) fn voxels([k, j, i]: VoxelBox) -> impl Iterator<Item = [usize; 3]> {
    (k[0]..k[1]).flat_map(move |k| (j[0]..j[1]).flat_map(move |j| (i[0]..i[1]).map(move |i| [k, j, i])))
}

/// The smallest box around the voxels that `holds` is true of; `None` if there are none.
fn bounds(within: VoxelBox, holds: impl Fn([usize; 3]) -> bool) -> Option<VoxelBox> {
    let found = voxels(within).filter(|voxel| holds(*voxel)).map(|voxel| voxel.map(|at| [at, at + 1]));
    found.reduce(union)
}

/// The smallest box with every voxel in which two masks differ.
pub(super) fn changed(a: &MaskPart, b: &MaskPart) -> Option<VoxelBox> {
    let within = extent(a).into_iter().chain(extent(b)).reduce(union)?;
    bounds(within, |voxel| contains(a, voxel) != contains(b, voxel))
}

/// The same mask in the smallest box.
pub(super) fn trimmed(mask: &MaskPart) -> MaskPart {
    let bounds = extent(mask).and_then(|within| bounds(within, |voxel| contains(mask, voxel)));
    let Some(bounds) = bounds else { return MaskPart::default() };
    let [k, j, i] = std::array::from_fn(|axis| {
        let [first, end] = bounds[axis];
        first - mask.start[axis]..end - mask.start[axis]
    });
    MaskPart { start: bounds.map(|[first, _]| first), values: mask.values.slice(s![k, j, i]).to_owned() }
}

/// `later` in its part, and `earlier` elsewhere.
pub(super) fn over(later: &MaskPart, earlier: &MaskPart) -> MaskPart {
    let (Some(own), Some(other)) = (extent(later), extent(earlier)) else {
        return if later.values.is_empty() { earlier.clone() } else { later.clone() };
    };
    let all = union(own, other);
    let mut values = Array3::zeros(all.map(|[first, end]| end - first));
    for (part, [k, j, i]) in [(earlier, other), (later, own)].map(|(part, bounds)| {
        (part, std::array::from_fn(|axis| bounds[axis][0] - all[axis][0]..bounds[axis][1] - all[axis][0]))
    }) {
        values.slice_mut(s![k, j, i]).assign(&part.values);
    }
    MaskPart { start: all.map(|[first, _]| first), values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(start: [usize; 3], shape: [usize; 3], values: &[u8]) -> MaskPart {
        MaskPart { start, values: Array3::from_shape_vec(shape, values.to_vec()).unwrap() }
    }

    #[test]
    fn a_change_covers_the_old_mask_and_the_new_one() {
        let old = part([1, 1, 1], [1, 1, 4], &[0, 1, 1, 0]);
        let new = part([1, 1, 2], [2, 1, 2], &[1, 0, 0, 1]);
        // Both have (1, 1, 2); the old one alone (1, 1, 3), the new one alone (2, 1, 3).
        assert_eq!(changed(&old, &new), Some([[1, 3], [1, 2], [3, 4]]));
        assert_eq!(changed(&old, &MaskPart::default()), Some([[1, 2], [1, 2], [2, 4]]));
        assert_eq!(changed(&old, &trimmed(&old)), None);
        assert_eq!(changed(&MaskPart::default(), &MaskPart::default()), None);
        assert_eq!(trimmed(&old), part([1, 1, 2], [1, 1, 2], &[1, 1]));
        assert_eq!(trimmed(&part([5; 3], [1, 1, 2], &[0, 0])), MaskPart::default());
    }

    #[test]
    fn an_answer_counts_in_its_part_alone() {
        let base = part([0, 0, 0], [1, 1, 3], &[1, 1, 1]);
        let answer = part([0, 0, 2], [1, 2, 2], &[0, 1, 0, 1]);
        let both = over(&answer, &base);
        let set: Vec<_> = voxels([[0, 2], [0, 3], [0, 5]]).filter(|voxel| contains(&both, *voxel)).collect();
        assert_eq!(set, [[0, 0, 0], [0, 0, 1], [0, 0, 3], [0, 1, 3]]);
        assert_eq!(over(&MaskPart::default(), &base), base);
        assert_eq!(over(&answer, &MaskPart::default()), answer);
    }
}
