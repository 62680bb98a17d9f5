//! The chain as a whole over 2,000 draws: what is seen in the samples, not what was drawn inside.
//!
//! The seed is fixed, so nothing here is a matter of luck; the bounds say what luck would allow. A share over `n` draws,
//! and the empirical distribution of `n` values, is further from the truth than [`bound`] in one of a million runs
//! (Hoeffding; Dvoretzky, Kiefer and Wolfowitz).

use ndarray::{Array3, s};
use sam3d_data::{
    augment::{AugmentConfig, CaseVoxels, Resampling, Sample, training_sample},
    prepared::PreparedCase,
    sampling::rng_for,
};
use sam3d_geom::Intensity;

const DRAWS: u64 = 2000;
const SIDE: usize = 10;
/// Change of the image's value from voxel to voxel along D, H and W.
const SLOPES: [f32; 3] = [1.0, 10.0, 100.0];

/// What a share or an empirical distribution of `count` draws may differ by.
fn bound(count: usize) -> f64 {
    ((2.0f64 / 1e-6).ln() / (2.0 * count as f64)).sqrt()
}

fn check_share(what: &str, found: usize, of: usize, expected: f64) {
    let share = found as f64 / of as f64;
    assert!((share - expected).abs() <= bound(of), "{what}: {found} of {of}, expected {expected:.3}");
}

/// Whether `values` are uniform between `low` and `high`.
fn check_uniform(what: &str, mut values: Vec<f64>, low: f64, high: f64) {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let worst = values.iter().enumerate().map(|(rank, value)| {
        let expected = (value - low) / (high - low);
        (rank as f64 / count as f64 - expected).abs().max(((rank + 1) as f64 / count as f64 - expected).abs())
    });
    let worst = worst.fold(0.0, f64::max);
    assert!(worst <= bound(count), "{what}: the distribution of {count} values is off by {worst:.3}");
}

/// A volume whose value says where it is read, with one target voxel in its middle, and room around it for any crop.
fn ramp() -> PreparedCase {
    let image = Array3::from_shape_fn((41, 41, 41), |(d, h, w)| {
        [d, h, w].iter().zip(SLOPES).map(|(index, slope)| *index as f32 * slope).sum()
    });
    let mut label = Array3::zeros((41, 41, 41));
    label.slice_mut(s![19..22, 19..22, 19..22]).fill(1);
    PreparedCase::new(image, label).unwrap()
}

/// Clips nothing away and leaves values as they are.
fn plain() -> Intensity {
    Intensity::new([-1000.0, 10_000.0], 0.0, 1.0).unwrap()
}

fn samples(case: &PreparedCase, config: &AugmentConfig) -> Vec<Sample> {
    let source = CaseVoxels { voxels: case, intensity: plain() };
    (0..DRAWS)
        .map(|draw| training_sample(source, config, SIDE, &mut rng_for(5, draw, "ramp")).unwrap())
        .collect()
}

/// The published chain, always around the target.
fn around_the_target(in_plane: bool) -> AugmentConfig {
    AugmentConfig { shift_probability: 0.0, target_probability: 1.0, ..AugmentConfig::published(in_plane) }
}

/// Change of the value along D, H and W in the middle of the sample.
fn slopes(sample: &Sample) -> [f64; 3] {
    let middle = SIDE / 2;
    std::array::from_fn(|axis| {
        let mut next = [middle; 3];
        next[axis] += 1;
        f64::from(sample.image[next]) - f64::from(sample.image[[middle; 3]])
    })
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.02 * b.abs().max(0.1)
}

/// Whether a factor is 1 but for rounding.
fn near_one(factor: f64) -> bool {
    (factor - 1.0).abs() < 1e-3
}

#[test]
fn shifts_zooms_flips_and_turns_are_as_frequent_as_published() {
    let samples = samples(&ramp(), &around_the_target(false));
    let all = samples.len();
    // Along W nothing but the zoom changes the slope, which it divides by the factor.
    let factors: Vec<f64> = samples.iter().map(|sample| 100.0 / slopes(sample)[2].abs()).collect();
    let zoomed: Vec<f64> = factors.iter().copied().filter(|factor| !near_one(*factor)).collect();
    // A factor is floor(41 f) / 41 in effect, of which about one in sixteen is 1 by rounding.
    let unit = (42.0 / 41.0 - 1.0) / (1.25 - 0.85);
    check_share("zoom", zoomed.len(), all, 0.8 * (1.0 - unit));
    assert!(factors.iter().all(|factor| (0.82..=1.26).contains(factor)));
    let mean = factors.iter().sum::<f64>() / all as f64;
    // Half a voxel of 41 is lost by rounding down, in the four of five that are zoomed.
    let expected = 0.2 + 0.8 * (1.05 - 0.5 / 41.0);
    assert!((mean - expected).abs() <= 0.4 * bound(all), "mean factor {mean:.4}, expected {expected:.4}");

    let negative = |axis: usize| samples.iter().filter(|sample| slopes(sample)[axis] < 0.0).count();
    for axis in 0..3 {
        check_share(&format!("direction of axis {axis}"), negative(axis), all, 0.5);
    }
    // An odd number of quarter turns puts the slope of H along D.
    let swapped = samples.iter().zip(&factors).filter(|(sample, factor)| {
        let [d, h, _] = slopes(sample).map(|slope| slope.abs() * **factor);
        assert!(near(d.min(h), 1.0) && near(d.max(h), 10.0), "{d} {h}");
        d > h
    });
    check_share("odd turns", swapped.count(), all, 0.5 * 2.0 / 3.0);
}

#[test]
fn quarter_turns_are_uniform_where_nothing_is_flipped() {
    let config =
        AugmentConfig { flip_probability: 0.0, resampling: Resampling::None, ..around_the_target(false) };
    let samples = samples(&ramp(), &config);
    let is = |expected: [f64; 3]| samples.iter().filter(|sample| slopes(sample) == expected).count();
    check_share("no turn", is([1.0, 10.0, 100.0]), samples.len(), 0.5);
    for turned in [[-10.0, 1.0, 100.0], [-1.0, -10.0, 100.0], [10.0, -1.0, 100.0]] {
        check_share(&format!("{turned:?}"), is(turned), samples.len(), 1.0 / 6.0);
    }
}

#[test]
fn shifts_are_uniform() {
    let image = Array3::from_elem((24, 24, 24), 50.0);
    let case = PreparedCase::new(image, Array3::zeros((24, 24, 24))).unwrap();
    let shifts: Vec<f64> = samples(&case, &AugmentConfig::published(false))
        .iter()
        .map(|sample| {
            assert!(sample.image.iter().all(|value| (value - sample.image[[0; 3]]).abs() < 1e-4));
            f64::from(sample.image[[0; 3]]) - 50.0
        })
        .collect();
    let shifted: Vec<f64> = shifts.iter().copied().filter(|shift| *shift != 0.0).collect();
    check_share("shift", shifted.len(), shifts.len(), 0.5);
    check_uniform("shift", shifted, -20.0, 20.0);
}

#[test]
fn in_plane_rotations_and_zooms_are_as_published() {
    let unturned =
        AugmentConfig { flip_probability: 0.0, quarter_turn_probability: 0.0, ..around_the_target(true) };
    let rotated = |slopes: &[f64; 3]| (slopes[1] / slopes[2]).atan() - 0.1f64.atan();
    let all: Vec<[f64; 3]> = samples(&ramp(), &unturned).iter().map(slopes).collect();
    assert!(all.iter().all(|slopes| near(slopes[0], 1.0)), "depth is never resampled");
    let neither = all.iter().filter(|slopes| near(slopes[1], 10.0) && near(slopes[2], 100.0)).count();
    // Two factors are rounded to 1 together in one of 67.
    check_share("neither", neither, all.len(), 0.7 * (0.7 + 0.3 * (1.0 / 41.0 / 0.2f64).powi(2)));

    let published = AugmentConfig::published(true).resampling;
    let Resampling::InPlane { degrees, factors, .. } = published else { panic!("{published:?}") };
    let with = |rotation_probability, zoom_probability| AugmentConfig {
        resampling: Resampling::InPlane { degrees, rotation_probability, factors, zoom_probability },
        ..unturned.clone()
    };
    let all: Vec<f64> =
        samples(&ramp(), &with(0.3, 0.0)).iter().map(|sample| rotated(&slopes(sample))).collect();
    let angles: Vec<f64> = all.iter().copied().filter(|angle| angle.abs() > 1e-5).collect();
    check_share("rotation", angles.len(), all.len(), 0.3);
    check_uniform("angle", angles, (-30.0f64).to_radians(), 30.0f64.to_radians());

    let all: Vec<[f64; 3]> = samples(&ramp(), &with(0.0, 1.0)).iter().map(slopes).collect();
    let [h, w]: [Vec<f64>; 2] =
        [(1, 10.0), (2, 100.0)].map(|(axis, slope)| all.iter().map(|found| slope / found[axis]).collect());
    for factors in [&h, &w] {
        assert!(factors.iter().all(|factor| (0.86..=1.11).contains(factor)));
        let mean = factors.iter().sum::<f64>() / factors.len() as f64;
        assert!((mean - (1.0 - 0.5 / 41.0)).abs() <= 0.2 * bound(factors.len()), "{mean}");
    }
    let covariance = h.iter().zip(&w).map(|(h, w)| (h - 0.988) * (w - 0.988)).sum::<f64>() / h.len() as f64;
    assert!(
        covariance.abs() <= 0.02 * bound(h.len()),
        "the two factors are drawn each for itself: {covariance}"
    );
}

/// Without resampling, the value at the first voxel says where the crop begins.
#[test]
fn crops_lie_around_the_target_two_times_of_three_and_anywhere_else() {
    let position = |sample: &Sample| {
        let value = sample.image[[0; 3]];
        [(value % 100.0) as usize, (value / 100.0) as usize % 100, (value / 10_000.0) as usize]
    };
    let sides = [30, 36, 44];
    let image = Array3::from_shape_fn(sides, |(d, h, w)| (d + 100 * h + 10_000 * w) as f32);
    let mut label = Array3::zeros(sides);
    label.slice_mut(s![12..16, 20..24, 8..12]).fill(1);
    let case = PreparedCase::new(image, label).unwrap();
    let source = CaseVoxels { voxels: &case, intensity: Intensity::new([-1.0, 1e6], 0.0, 1.0).unwrap() };
    let config = AugmentConfig {
        shift_probability: 0.0,
        flip_probability: 0.0,
        quarter_turn_probability: 0.0,
        first_crop_factor: 1.0,
        resampling: Resampling::None,
        ..AugmentConfig::published(false)
    };
    let draw = |config: &AugmentConfig, draw| {
        position(&training_sample(source, config, SIDE, &mut rng_for(1, draw, "a")).unwrap())
    };
    let starts: Vec<[usize; 3]> = (0..DRAWS).map(|number| draw(&config, number)).collect();
    let target = [12..16, 20..24, 8..12].map(|range| range.start - SIDE / 2..range.end - SIDE / 2);
    let around = |start: &[usize; 3]| start.iter().zip(&target).all(|(start, range)| range.contains(start));
    let (on, off): (Vec<[usize; 3]>, Vec<[usize; 3]>) = starts.into_iter().partition(|start| around(start));
    // Few of the others begin there by chance: 64 voxels of 47,520.
    check_share("around the target", on.len(), DRAWS as usize, 2.0 / 3.0);
    for axis in 0..3 {
        for index in target[axis].clone() {
            let found = on.iter().filter(|start| start[axis] == index).count();
            check_share(&format!("target index {index} of axis {axis}"), found, on.len(), 0.25);
        }
        // A crop around a voxel near the border is moved inside, so that the first and last start are more frequent.
        let last = sides[axis] - SIDE;
        for (start, voxels) in [(0, SIDE / 2 + 1), (last, SIDE - SIDE / 2), (last / 2, 1)] {
            let found = off.iter().filter(|found| found[axis] == start).count();
            check_share(
                &format!("start {start} of axis {axis}"),
                found,
                off.len(),
                voxels as f64 / sides[axis] as f64,
            );
        }
    }

    // The second crop lies anywhere in the first: at one of three places for sides of 10 and 12.
    let config = AugmentConfig { first_crop_factor: 1.2, target_probability: 1.0, ..config };
    let mut one = Array3::zeros(sides);
    one[[14, 18, 22]] = 1;
    let case = PreparedCase::new(case.whole_image().clone(), one).unwrap();
    let source = CaseVoxels { voxels: &case, ..source };
    let starts: Vec<[usize; 3]> = (0..DRAWS)
        .map(|draw| position(&training_sample(source, &config, SIDE, &mut rng_for(2, draw, "a")).unwrap()))
        .collect();
    for (axis, centre) in [14, 18, 22].into_iter().enumerate() {
        for offset in 0..3 {
            let found = starts.iter().filter(|start| start[axis] == centre - 6 + offset).count();
            check_share(&format!("offset {offset} of axis {axis}"), found, starts.len(), 1.0 / 3.0);
        }
    }
}

/// How much of a crop is target, and where prompts lie: over all steps together.
#[test]
fn prompts_are_ten_of_the_target_and_twenty_of_the_crop() {
    let samples = samples(&ramp(), &AugmentConfig { shift_probability: 0.5, ..around_the_target(false) });
    let mut any: Vec<[usize; 3]> = Vec::new();
    for sample in &samples {
        assert_eq!(sample.points.len(), 30);
        assert!(sample.points[..10].iter().all(|point| sample.label[*point] == 1));
        any.extend(&sample.points[10..]);
    }
    for axis in 0..3 {
        for index in 0..SIDE {
            let found = any.iter().filter(|point| point[axis] == index).count();
            check_share(&format!("points at {index} of axis {axis}"), found, any.len(), 1.0 / SIDE as f64);
        }
    }
    // A cube of 27 voxels magnified by f has about 27 f^3, all of them in the crop.
    let mean = samples.iter().map(|sample| sample.label.iter().filter(|v| **v == 1).count()).sum::<usize>()
        as f64
        / samples.len() as f64;
    let expected = 27.0 * (0.2 + 0.8 * (1.25f64.powi(4) - 0.85f64.powi(4)) / (4.0 * 0.4));
    assert!(
        (mean / expected - 1.0).abs() < 0.12,
        "{mean:.2} target voxels on average, expected {expected:.2}"
    );
}
