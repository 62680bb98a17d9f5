//! Random Fourier features of positions (Tancik et al. 2020), as SAM encodes its points; the visual sampler replaces them.

use std::f64::consts::PI;

use sam3d_geom::Prompt;
use tch::{Kind, Tensor};

use super::sampler::coordinates;

/// The features of the clicks' positions.
///
/// # Shapes
/// `matrix` `[3, F]`; gives `[1, N, 2 F]`.
pub(super) fn of_points(matrix: &Tensor, prompt: &Prompt) -> Tensor {
    let places = Tensor::from_slice(&coordinates(prompt)).view([1, -1, 3]).to_device(matrix.device());
    features(matrix, &places)
}

/// The features of the tokens' positions in a grid of side `grid`, in (H, W, D).
///
/// # Shapes
/// `matrix` `[3, F]`; gives `[1, G^3, 2 F]`.
pub(super) fn of_grid(matrix: &Tensor, grid: i64) -> Tensor {
    let centres = (Tensor::arange(grid, (Kind::Float, matrix.device())) + 0.5) * 2.0 / grid as f64 - 1.0;
    let along = |shape: [i64; 3]| centres.view(shape).expand([grid, grid, grid], false);
    // As for clicks: depth, width, height.
    let places =
        Tensor::stack(&[along([1, 1, grid]), along([1, grid, 1]), along([grid, 1, 1])], 3).view([1, -1, 3]);
    features(matrix, &places)
}

fn features(matrix: &Tensor, places: &Tensor) -> Tensor {
    let angles = places.matmul(matrix) * (2.0 * PI);
    Tensor::cat(&[angles.sin(), angles.cos()], -1)
}

#[cfg(test)]
mod tests {
    use sam3d_geom::{Extent, Point};
    use tch::Device;

    use super::*;

    #[test]
    fn a_click_in_the_middle_of_a_token_has_that_token_s_features() {
        tch::manual_seed(8);
        let matrix = Tensor::randn([3, 5], (Kind::Float, Device::Cpu));
        let grid = of_grid(&matrix, 4);
        assert_eq!(grid.size(), [1, 64, 10]);
        // On a crop of side 12 a token covers three voxels: voxel 4 is the middle of token 1.
        let prompt = Prompt::new(vec![Point::positive([10, 1, 4])], Extent::new([12; 3]).unwrap()).unwrap();
        let click = of_points(&matrix, &prompt);
        let [h, w, d] = [0, 1, 3];
        let difference =
            (click.select(1, 0) - grid.select(1, h * 16 + w * 4 + d)).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "{difference}");
    }
}
