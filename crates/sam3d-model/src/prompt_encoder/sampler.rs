//! The visual sampler: a click is represented by the image feature at its voxel.

use sam3d_geom::Prompt;
use tch::Tensor;

/// Trilinear interpolation, in libtorch's numbering.
const BILINEAR: i64 = 0;
/// Zeros outside the map, in libtorch's numbering.
const ZEROS: i64 = 0;

/// The features of `map` at the clicks of `prompt`.
///
/// # Shapes
/// `map` `[1, C, G, G, G]` in (H, W, D); gives `[1, N, C]`.
pub(crate) fn sample(map: &Tensor, prompt: &Prompt) -> Tensor {
    let count = prompt.points().len() as i64;
    let grid = Tensor::from_slice(&coordinates(prompt))
        .view([1, 1, 1, count, 3])
        .to_device(map.device())
        .to_kind(map.kind());
    let sampled = map.grid_sampler(&grid, BILINEAR, ZEROS, false);
    sampled.view([1, -1, count]).transpose(1, 2)
}

/// The clicks' positions in the crop, from -1 to 1, each as depth, width, height: `grid_sample` takes coordinates from the last
/// axis to the first, and maps are laid out (H, W, D).
pub(super) fn coordinates(prompt: &Prompt) -> Vec<f32> {
    let sizes = prompt.extent().sizes();
    prompt
        .points()
        .iter()
        .flat_map(|point| {
            let [d, h, w] = std::array::from_fn(|axis| {
                ((point.index[axis] as f64 + 0.5) * 2.0 / sizes[axis] as f64 - 1.0) as f32
            });
            [d, w, h]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use sam3d_geom::{Extent, Point};
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn reads_the_voxel_under_the_click() {
        // Three channels that hold the voxel's own h, w and d: swapped axes would show.
        let axis = Tensor::arange(4, (Kind::Float, Device::Cpu));
        let along = |shape: [i64; 3]| axis.view(shape).expand([4, 4, 4], false);
        let map = Tensor::stack(&[along([4, 1, 1]), along([1, 4, 1]), along([1, 1, 4])], 0).unsqueeze(0);
        let extent = Extent::new([4, 4, 4]).unwrap();
        let prompt =
            Prompt::new(vec![Point::positive([3, 1, 2]), Point::positive([0, 2, 1])], extent).unwrap();
        let features = sample(&map, &prompt);
        assert_eq!(features.size(), [1, 2, 3]);
        let expected = [[1.0, 2.0, 3.0], [2.0, 1.0, 0.0]];
        for (n, hwd) in expected.iter().enumerate() {
            for (channel, value) in hwd.iter().enumerate() {
                assert_eq!(features.double_value(&[0, n as i64, channel as i64]), *value);
            }
        }
    }
}
