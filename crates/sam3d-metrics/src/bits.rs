//! A mask with one bit per voxel, and the surface between its voxels.

use ndarray::{ArrayView3, Axis, Slice};
use rayon::prelude::*;

use crate::survey::{VoxelBox, contiguous};

/// The voxels of a box as bits, with one voxel of background on every side; rows along W start at a word.
pub(crate) struct BitMask {
    /// Of the padded box, `[D, H, W]`.
    sizes: [usize; 3],
    words_per_row: usize,
    words: Vec<u64>,
}

impl BitMask {
    /// The voxels of `volume` inside `bounds` whose value `belongs` to the mask.
    pub(crate) fn new<T: Copy + Sync + Send>(
        volume: ArrayView3<T>,
        bounds: VoxelBox,
        belongs: impl Fn(T) -> bool + Sync,
    ) -> Self {
        let inside = volume.slice_each_axis(|axis| {
            let axis = axis.axis.index();
            Slice::from(bounds.start[axis]..bounds.end[axis])
        });
        let sizes = bounds.sizes().map(|n| n + 2);
        let words_per_row = sizes[2].div_ceil(64);
        let mut words = vec![0; sizes[0] * sizes[1] * words_per_row];
        let slab = sizes[1] * words_per_row;
        // The first slab and the first row of each are background, and so are the last ones.
        let slabs = words.par_chunks_mut(slab).skip(1).zip(inside.axis_iter(Axis(0)));
        slabs.for_each(|(slab, slice)| {
            for (row, values) in slab.chunks_mut(words_per_row).skip(1).zip(slice.outer_iter()) {
                pack(&contiguous(values), row, &belongs);
            }
        });
        Self { sizes, words_per_row, words }
    }

    /// Sizes of the grid of cubes: one less than the padded box has voxels.
    pub(crate) fn cubes(&self) -> [usize; 3] {
        self.sizes.map(|n| n - 1)
    }

    fn row(&self, d: usize, h: usize) -> &[u64] {
        let start = (d * self.sizes[1] + h) * self.words_per_row;
        &self.words[start..start + self.words_per_row]
    }

    /// Calls `found(w, code)` for every cube of the row `[d, h]` of cubes that the surface crosses.
    ///
    /// Cube `i` lies between the padded box's voxels `i` and `i + 1` of each axis. The corner that is `a`, `b`, `c` voxels
    /// further along D, H, W is bit `4a + 2b + c` of the code.
    #[inline]
    pub(crate) fn surface_in_row(&self, d: usize, h: usize, mut found: impl FnMut(usize, u8)) {
        let rows = [self.row(d, h), self.row(d, h + 1), self.row(d + 1, h), self.row(d + 1, h + 1)];
        for word in 0..self.words_per_row {
            let here = rows.map(|row| row[word]);
            let next = rows.map(|row| row[word] >> 1 | row.get(word + 1).map_or(0, |bits| bits << 63));
            let any = here.iter().chain(&next).fold(0, |any, bits| any | bits);
            let all = here.iter().chain(&next).fold(u64::MAX, |all, bits| all & bits);
            let mut crossed = any & !all;
            while crossed != 0 {
                let bit = crossed.trailing_zeros() as usize;
                crossed &= crossed - 1;
                let corner = |bits: u64, place: usize| ((bits >> bit & 1) as u8) << place;
                let code = (0..4)
                    .map(|row| corner(here[row], 2 * row) | corner(next[row], 2 * row + 1))
                    .fold(0, |code, bits| code | bits);
                found(64 * word + bit, code);
            }
        }
    }
}

/// Sets bit `i + 1` of `row` where value `i` belongs to the mask.
fn pack<T: Copy>(values: &[T], row: &mut [u64], belongs: &impl Fn(T) -> bool) {
    for (group, values) in values.chunks(8).enumerate() {
        let mut bytes = [0; 8];
        for (byte, value) in bytes.iter_mut().zip(values) {
            *byte = u8::from(belongs(*value));
        }
        // Eight bytes of 0 or 1 become eight neighbouring bits: each product lands its byte's bit in the top byte.
        let bits = u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        let place = 8 * group + 1;
        row[place / 64] |= bits << (place % 64);
        if place % 64 > 56 && bits >> 7 != 0 {
            row[place / 64 + 1] |= bits >> 7;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn surface(mask: &BitMask) -> Vec<([usize; 3], u8)> {
        let [depth, height, _] = mask.cubes();
        let mut found = Vec::new();
        for (d, h) in (0..depth).flat_map(|d| (0..height).map(move |h| (d, h))) {
            mask.surface_in_row(d, h, |w, code| found.push(([d, h, w], code)));
        }
        found
    }

    #[test]
    fn one_voxel_has_eight_corners() {
        let mut volume = Array3::zeros([3, 4, 5]);
        volume[[1, 2, 3]] = 200u8;
        let bounds = VoxelBox { start: [1, 2, 3], end: [2, 3, 4] };
        let mask = BitMask::new(volume.view(), bounds, |value| value != 0);
        let found = surface(&mask);
        let corners = (0..8).map(|i| ([i >> 2 & 1, i >> 1 & 1, i & 1], 128 >> i));
        assert_eq!(found, corners.collect::<Vec<_>>());
    }

    #[test]
    fn codes_agree_with_the_voxels_across_words() {
        // A pattern without a period near a word's 64 bits, on rows that end at, before and after a word's end.
        for width in [61, 62, 63, 64, 126, 127, 200] {
            let volume =
                Array3::from_shape_fn([3, 3, width], |(d, h, w)| u8::from((d * 31 + h * 17 + w * w) % 7 < 4));
            let bounds = VoxelBox { start: [0; 3], end: [3, 3, width] };
            let voxel = |d: usize, h: usize, w: usize| {
                let inside = [d, h, w].iter().zip([3, 3, width]).all(|(i, n)| (1..=n).contains(i));
                u8::from(inside && volume[[d - 1, h - 1, w - 1]] != 0)
            };
            let mut expected = Vec::new();
            for (d, h, w) in ndarray::indices([4, 4, width + 1]) {
                let code = (0..8).map(|i| voxel(d + (i >> 2), h + (i >> 1 & 1), w + (i & 1)) << i).sum();
                if code != 0 && code != 255 {
                    expected.push(([d, h, w], code));
                }
            }
            assert_eq!(
                surface(&BitMask::new(volume.view(), bounds, |value| value != 0)),
                expected,
                "{width}"
            );
        }
    }
}
