use ndarray::{Array3, ArrayViewMut1, Axis};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::{
    anatomy::{Layer, Scene},
    grid::PhantomGrid,
    shape::{Point, Shape},
};

/// Half the width over which a surface fades from one material to the next: the scanner's in-plane resolution.
const EDGE_MM: f64 = 0.9;
/// Positions within a slice's thickness (in slices) that are averaged: the partial volume of a thick slice.
const SLICE_SAMPLES: [f64; 2] = [-0.25, 0.25];

/// Outside the body.
const AIR_HU: f64 = -1000.0;

/// Image (HU) and label of `scene` on the canonical grid, `[D, H, W]`.
pub(super) fn render(scene: &Scene, grid: &PhantomGrid, rng: &mut impl Rng) -> (Array3<i16>, Array3<u8>) {
    let mut image = correlated_noise(grid.sizes, scene.noise_hu, rng);
    let mut label = Array3::zeros(grid.sizes);
    let slices =
        image.axis_iter_mut(Axis(0)).into_par_iter().zip(label.axis_iter_mut(Axis(0)).into_par_iter());
    slices.enumerate().for_each(|(d, (mut image, mut label))| {
        let rows = image.rows_mut().into_iter().zip(label.rows_mut());
        for (h, (values, labels)) in rows.enumerate() {
            render_row(scene, grid, [d, h], values, labels);
        }
    });
    (image.mapv(|value| value.round().clamp(-1024.0, 3071.0) as i16), label)
}

/// Adds the scene's intensities to `values` and sets `labels`, for the voxels `[d, h, ..]`.
fn render_row(
    scene: &Scene,
    grid: &PhantomGrid,
    [d, h]: [usize; 2],
    values: ArrayViewMut1<'_, f32>,
    labels: ArrayViewMut1<'_, u8>,
) {
    let position =
        |slice_offset: f64, w: usize| grid.patient_from_voxel([d as f64 + slice_offset, h as f64, w as f64]);
    let ends = [position(0.0, 0), position(0.0, grid.sizes[2] - 1)];
    // A row meets a handful of shapes; to ask all of them at every voxel would take ten times as long.
    let slice_reach_mm = grid.spacing_mm[0] * SLICE_SAMPLES[1] + EDGE_MM;
    let reached = |layer: &&Layer| layer.shape.may_meet(ends, layer.grow_mm + slice_reach_mm);
    let layers: Vec<&Layer> = scene.layers.iter().filter(reached).collect();
    let tumours: Vec<&Shape> = scene.tumours.iter().filter(|tumour| tumour.may_meet(ends, 0.0)).collect();
    for (w, (value, label)) in values.into_iter().zip(labels).enumerate() {
        let sum: f64 = SLICE_SAMPLES.iter().map(|offset| hounsfield(&layers, position(*offset, w))).sum();
        *value += (sum / SLICE_SAMPLES.len() as f64) as f32;
        let centre = position(0.0, w);
        *label = u8::from(tumours.iter().any(|tumour| tumour.distance_mm(centre) < 0.0));
    }
}

/// The intensity of `layers`, later ones over earlier ones, at `point`.
fn hounsfield(layers: &[&Layer], point: Point) -> f64 {
    let mut sum = 0.0;
    // From the top down, so that what is covered is not looked at.
    let mut uncovered = 1.0;
    for layer in layers.iter().rev() {
        let distance = layer.shape.distance_mm(point) - layer.grow_mm;
        if distance >= EDGE_MM {
            continue;
        }
        let here = layer.hu + layer.texture.map_or(0.0, |(noise, amplitude)| amplitude * noise.at(point));
        let covered = smooth_step((EDGE_MM - distance) / (2.0 * EDGE_MM));
        sum += uncovered * covered * here;
        uncovered *= 1.0 - covered;
        if uncovered < 1e-6 {
            return sum;
        }
    }
    sum + uncovered * AIR_HU
}

fn smooth_step(t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Gaussian noise of standard deviation `sigma_hu`, correlated between neighbours in a slice as filtered
/// back-projection leaves it; slices are independent.
fn correlated_noise(sizes: [usize; 3], sigma_hu: f32, rng: &mut impl Rng) -> Array3<f32> {
    let mut noise = Array3::zeros(sizes);
    // One generator per slice, so that slices can be filled in any order.
    let seeds: Vec<u64> = (0..sizes[0]).map(|_| rng.random()).collect();
    noise.axis_iter_mut(Axis(0)).into_par_iter().zip(seeds).for_each(|(mut slice, seed)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        slice.mapv_inplace(|_| rng.sample(StandardNormal));
        for axis in [Axis(0), Axis(1)] {
            for mut lane in slice.lanes_mut(axis) {
                smooth_lane(lane.iter_mut());
            }
        }
        // Each of the two passes leaves 1/16 + 1/4 + 1/16 of the variance.
        slice.mapv_inplace(|value: f32| value * sigma_hu / 0.375);
    });
    noise
}

/// The kernel (1, 2, 1) / 4 along one line, ends repeated.
fn smooth_lane<'a>(values: impl Iterator<Item = &'a mut f32>) {
    let mut values: Vec<&mut f32> = values.collect();
    let mut before = values.first().map_or(0.0, |first| **first);
    for i in 0..values.len() {
        let here = *values[i];
        let after = values.get(i + 1).map_or(here, |next| **next);
        *values[i] = 0.25 * before + 0.5 * here + 0.25 * after;
        before = here;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::rng_for;

    #[test]
    fn noise_has_the_asked_deviation_and_is_correlated_in_plane() {
        let noise = correlated_noise([4, 80, 80], 10.0, &mut rng_for(0, 0, "noise"));
        let count = noise.len() as f32;
        let variance = noise.iter().map(|v| v * v).sum::<f32>() / count;
        assert!((variance.sqrt() - 10.0).abs() < 0.5, "{}", variance.sqrt());
        let lagged = noise
            .slice(ndarray::s![.., .., 1..])
            .iter()
            .zip(noise.slice(ndarray::s![.., .., ..-1]))
            .map(|(a, b)| a * b)
            .sum::<f32>()
            / count;
        // The kernel (1, 2, 1) correlates neighbours by 2/3.
        assert!((lagged / variance - 0.66).abs() < 0.05, "{}", lagged / variance);
    }
}
