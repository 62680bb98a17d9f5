//! Clipping and normalising, in place.

use ndarray::Array3;
use rayon::prelude::*;
use sam3d_geom::Intensity;

/// Limits every value to the clip range, in HU.
pub fn clip(values: &mut Array3<f32>, intensity: Intensity) {
    let [low, high] = intensity.clip_hu().map(|bound| bound as f32);
    for_each_voxel(values, |value| *value = value.clamp(low, high));
}

/// Subtracts the mean and divides by the standard deviation. Values are to be clipped before.
pub fn normalise(values: &mut Array3<f32>, intensity: Intensity) {
    let (mean, std) = (intensity.mean() as f32, intensity.std() as f32);
    for_each_voxel(values, |value| *value = (*value - mean) / std);
}

fn for_each_voxel(values: &mut Array3<f32>, change: impl Fn(&mut f32) + Sync + Send) {
    /// Values per task: enough that handing out the task costs nothing.
    const CHUNK: usize = 1 << 16;
    match values.as_slice_memory_order_mut() {
        Some(slice) => slice.par_chunks_mut(CHUNK).for_each(|chunk| chunk.iter_mut().for_each(&change)),
        None => values.iter_mut().for_each(change),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;

    use super::*;

    #[test]
    fn clips_then_normalises() {
        let intensity = Intensity::new([-50.0, 150.0], 50.0, 20.0).unwrap();
        let mut values = arr3(&[[[-1000.0, -50.0], [0.0, 3000.0]]]);
        clip(&mut values, intensity);
        assert_eq!(values, arr3(&[[[-50.0, -50.0], [0.0, 150.0]]]));
        normalise(&mut values, intensity);
        assert_eq!(values, arr3(&[[[-5.0, -5.0], [-2.5, 5.0]]]));
    }
}
