use rand::{Rng, RngExt};

/// A smooth random function of space: uniform values on a lattice, interpolated; within [-1, 1], mean 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct SmoothNoise {
    seed: u64,
    /// Distance between lattice points: about the size of a bump.
    scale_mm: f64,
}

impl SmoothNoise {
    pub(super) fn draw(rng: &mut impl Rng, scale_mm: f64) -> Self {
        Self { seed: rng.random(), scale_mm }
    }

    /// Value at the position `point_mm`.
    pub(super) fn at(&self, point_mm: [f64; 3]) -> f64 {
        let lattice = point_mm.map(|x| x / self.scale_mm);
        let cell = lattice.map(|x| x.floor() as i64);
        // A quintic fade has no first or second derivative at the lattice planes, which would show as creases.
        let fade: [f64; 3] = std::array::from_fn(|axis| {
            let t = lattice[axis] - cell[axis] as f64;
            t * t * t * (t * (6.0 * t - 15.0) + 10.0)
        });
        (0..8u8).fold(0.0, |sum, corner| {
            let upper: [bool; 3] = std::array::from_fn(|axis| corner >> axis & 1 == 1);
            let weight: f64 = upper.iter().zip(fade).map(|(up, t)| if *up { t } else { 1.0 - t }).product();
            let node = std::array::from_fn(|axis| cell[axis] + i64::from(upper[axis]));
            sum + weight * self.node(node)
        })
    }

    fn node(&self, index: [i64; 3]) -> f64 {
        // Odd factors far apart tell the axes apart; one round of mixing does the rest.
        const FACTORS: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9];
        let position = index
            .iter()
            .zip(FACTORS)
            .fold(0u64, |sum, (i, factor)| sum.wrapping_add((*i as u64).wrapping_mul(factor)));
        (mix(self.seed ^ position) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// The output function of splitmix64: every input bit reaches every output bit.
fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::rng_for;

    #[test]
    fn noise_is_bounded_smooth_and_centred() {
        let noise = SmoothNoise::draw(&mut rng_for(1, 0, "noise"), 5.0);
        let values: Vec<f64> = (0..20_000).map(|i| noise.at([f64::from(i) * 0.1, 3.3, -7.9])).collect();
        assert!(values.iter().all(|v| v.abs() <= 1.0));
        assert!((values.iter().sum::<f64>() / values.len() as f64).abs() < 0.05);
        // A step of 0.02 lattice units moves a quintic fade by at most 0.0375 of the largest difference, 2.
        assert!(values.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.08));
    }
}
