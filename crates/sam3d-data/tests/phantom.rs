//! Phantoms: what the demonstration's numbers rest on. A phantom must be neither trivial nor hopeless.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::LazyLock;

use ndarray::Array3;
use rayon::prelude::*;
use sam3d_data::{
    dataset::{Dataset, check_case, find_cases},
    phantom,
    sampling::{clicks, rng_for},
};
use sam3d_geom::{Orientation, Spacing};
use sam3d_io::{
    nifti::{self, ReadLimits},
    orient::AxisMap,
};

const CASES: u64 = 12;
const CLICKS: usize = 6;

/// A phantom as it is after reading: `[D, H, W]`.
struct Case {
    image: Array3<i16>,
    label: Array3<u8>,
    spacing: Spacing,
    axes: [usize; 3],
    flips: [bool; 3],
}

static FAMILY: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let case = |index| {
        let phantom = phantom::generate(0, index).unwrap();
        let map = AxisMap::new(&phantom.grid, Orientation::Lps);
        Case {
            image: map.to_dhw(phantom.image.view()).unwrap(),
            label: map.to_dhw(phantom.label.view()).unwrap(),
            spacing: map.spacing(&phantom.grid).unwrap(),
            axes: map.axes(),
            flips: map.flips(),
        }
    };
    (0..CASES).into_par_iter().map(case).collect()
});

impl Case {
    fn target_voxels(&self) -> usize {
        self.label.iter().filter(|value| **value == 1).count()
    }

    fn clicks(&self, number: usize) -> Vec<[usize; 3]> {
        clicks(self.label.view(), CLICKS, &mut rng_for(1, number as u64, "test"))
    }

    /// Offsets in mm from `click` to every target voxel.
    fn offsets_mm(&self, click: [usize; 3]) -> Vec<[f64; 3]> {
        let mm = self.spacing.mm();
        let target = self.label.indexed_iter().filter(|(_, value)| **value == 1);
        let offset = |index: [usize; 3]| std::array::from_fn(|a| (index[a] as f64 - click[a] as f64) * mm[a]);
        target.map(|((d, h, w), _)| offset([d, h, w])).collect()
    }
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_phantom_is_a_function_of_seed_and_case() {
    let [a, b] = [0, 0].map(|_| phantom::generate(3, 5).unwrap());
    assert_eq!((&a.image, &a.label, &a.grid), (&b.image, &b.label, &b.grid));
    let other = phantom::generate(4, 5).unwrap();
    assert!(other.image.dim() != a.image.dim() || other.image != a.image);
}

#[test]
fn grids_differ_between_cases() {
    for case in FAMILY.iter() {
        let [d, h, w] = case.spacing.mm();
        assert!(
            (1.5..=3.0).contains(&d) && (0.89..=1.31).contains(&h) && (h - w).abs() < 1e-6,
            "{d} {h} {w}"
        );
        assert!(case.image.len() < 1_500_000);
    }
    let mut stored: Vec<_> = FAMILY.iter().map(|case| (case.axes, case.flips)).collect();
    stored.sort_unstable();
    stored.dedup();
    assert!(stored.len() >= 6, "{} ways of storing {CASES} cases", stored.len());
}

/// Anatomy lies where the affine says: bone behind the middle, lesions on the patient's right.
#[test]
fn anatomy_follows_the_affine() {
    for case in FAMILY.iter() {
        let centre = |wanted: &dyn Fn(i16, u8) -> bool, axis: usize| {
            let voxels = case.image.indexed_iter().zip(&case.label);
            let inside = voxels.filter(|((_, hu), label)| wanted(**hu, **label));
            mean(inside.map(|(((d, h, w), _), _)| [d, h, w][axis] as f64)) / case.image.shape()[axis] as f64
        };
        assert!(centre(&|hu, _| hu > 300, 1) > 0.55);
        assert!(centre(&|_, label| label == 1, 2) < 0.5);
    }
}

#[test]
fn tumours_vary_in_size() {
    let radius_mm = |case: &Case| {
        let volume = case.target_voxels() as f64 * case.spacing.voxel_volume_mm3();
        (volume * 0.75 / std::f64::consts::PI).cbrt()
    };
    let radii: Vec<f64> = FAMILY.iter().map(radius_mm).collect();
    assert!(radii.iter().all(|radius| (9.0..20.0).contains(radius)), "{radii:.1?}");
    let spread =
        radii.iter().fold(0.0, |a: f64, b| a.max(*b)) - radii.iter().fold(99.0, |a: f64, b| a.min(*b));
    assert!(spread > 3.0, "{radii:.1?}");
}

/// No threshold in the body finds the tumours, not even one chosen per case with the answer in hand; nor does a band
/// between two thresholds on average.
#[test]
fn thresholding_fails() {
    let (one_sided, bands): (Vec<f64>, Vec<f64>) = FAMILY.par_iter().map(best_thresholds).unzip();
    assert!(one_sided.iter().all(|dice| *dice < 0.3), "{one_sided:.2?}");
    assert!(mean(bands.iter().copied()) < 0.3, "{bands:.2?}");
}

/// Best Dice of one threshold (from either side) and of a band, over the voxels of the body.
fn best_thresholds(case: &Case) -> (f64, f64) {
    const RANGE: std::ops::Range<i16> = -300..1200;
    let bins = RANGE.len();
    let mut below = vec![[0usize; 2]; bins + 1];
    for (hu, label) in case.image.iter().zip(&case.label).filter(|(hu, _)| **hu > RANGE.start) {
        below[(*hu - RANGE.start).min(RANGE.end - RANGE.start) as usize][usize::from(*label)] += 1;
    }
    for bin in 1..=bins {
        below[bin] = [0, 1].map(|class| below[bin][class] + below[bin - 1][class]);
    }
    let target = below[bins][1] as f64;
    let dice = |low: usize, high: usize| {
        let [other, hit] = [0, 1].map(|class| (below[high][class] - below[low][class]) as f64);
        2.0 * hit / (hit + other + target)
    };
    let one_sided = (0..=bins).map(|bin| dice(0, bin).max(dice(bin, bins))).fold(0.0, f64::max);
    // Soft tissue, in which all tumours lie.
    let band = (300..500)
        .flat_map(|low| (low + 1..500).map(move |high| (low, high)))
        .map(|(low, high)| dice(low, high))
        .fold(0.0, f64::max);
    (one_sided, band)
}

/// A ball around the click, of the one radius that does best over all cases, is a baseline that a network can beat.
#[test]
fn a_fixed_ball_does_moderately() {
    let mean_dice = |radius: f64| {
        mean(FAMILY.iter().enumerate().flat_map(|(number, case)| {
            let ball = 4.0 / 3.0 * std::f64::consts::PI * radius.powi(3) / case.spacing.voxel_volume_mm3();
            let target = case.target_voxels() as f64;
            case.clicks(number).into_iter().map(move |click| {
                let inside = |o: &[f64; 3]| o.iter().map(|v| v * v).sum::<f64>() <= radius * radius;
                let hit = case.offsets_mm(click).iter().filter(|o| inside(o)).count() as f64;
                2.0 * hit / (ball + target)
            })
        }))
    };
    let best = (8..24).into_par_iter().map(|radius| mean_dice(f64::from(radius))).reduce(|| 0.0, f64::max);
    assert!((0.35..0.52).contains(&best), "{best:.3}");
}

/// The network's crop of 64 voxels at the dataset's spacing, centred on a click, holds nearly all tumour voxels.
#[test]
fn one_crop_holds_the_tumours_of_a_case() {
    let dataset = Dataset::named("demo").unwrap();
    let half_mm = dataset.preprocessing.spacing_mm.mm().map(|mm| 32.0 * mm);
    let share = mean(FAMILY.iter().enumerate().flat_map(|(number, case)| {
        case.clicks(number).into_iter().map(move |click| {
            let offsets = case.offsets_mm(click);
            let held =
                offsets.iter().filter(|o| o.iter().zip(half_mm).all(|(v, half)| v.abs() < half)).count();
            held as f64 / offsets.len() as f64
        })
    }));
    assert!(share > 0.98, "{share:.4}");
}

#[test]
fn the_written_files_are_cases_of_the_demo_dataset() {
    let directory = tempfile::tempdir().unwrap();
    phantom::write_demo(directory.path(), 0, 2).unwrap();
    let dataset = Dataset::named("demo").unwrap();
    let cases = find_cases(&dataset, directory.path()).unwrap();
    assert_eq!(cases.len(), 2);
    for (index, case) in cases.iter().enumerate() {
        check_case(&dataset, case).unwrap();
        let image = nifti::read(&case.image, ReadLimits::default()).unwrap();
        let phantom = phantom::generate(0, index as u64).unwrap();
        assert_eq!(image.data, phantom.image.mapv(f32::from));
        assert_eq!(image.grid.shape_ijk(), phantom.grid.shape_ijk());
        assert_eq!(image.grid.world_from_ijk(), phantom.grid.world_from_ijk());
    }
}
