//! Draws that training, validation and evaluation share: the generator of a case, clicks, and prompts.
//!
//! Points are voxel indices `[D, H, W]` of the array they were drawn from.

use ndarray::{ArrayView1, ArrayView3, Axis};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Points a training prompt takes from the target.
pub const TRAINING_TARGET_POINTS: usize = 10;
/// Points a training prompt takes from the whole crop, target or not.
pub const TRAINING_ANY_POINTS: usize = 20;
/// Points of a validation prompt.
pub const VALIDATION_POINTS: usize = 10;

/// The generator for one case in one epoch.
///
/// Its 32-byte ChaCha8 seed is SHA-256 over `seed` and `epoch` (8 bytes each, little endian) and the UTF-8 bytes of
/// `case_id`. Nothing else is used, so the number of workers and the order of cases do not affect draws. Evaluation, which has
/// no epochs, passes 0.
pub fn rng_for(seed: u64, epoch: u64, case_id: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(epoch.to_le_bytes());
    hash.update(case_id.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// `count` target voxels (non-zero in `label`), uniform and with replacement; none if there is no target.
pub fn clicks(label: ArrayView3<'_, u8>, count: usize, rng: &mut impl Rng) -> Vec<[usize; 3]> {
    draw_where(label, count, rng, |value| value != 0)
}

/// The published training prompt: 10 target voxels and then 20 of any kind; only the 20 where there is no target.
pub fn training_prompt(label: ArrayView3<'_, u8>, rng: &mut impl Rng) -> Vec<[usize; 3]> {
    let mut points = clicks(label, TRAINING_TARGET_POINTS, rng);
    points.extend(draw_where(label, TRAINING_ANY_POINTS, rng, |_| true));
    points
}

/// The published validation prompt: 10 target voxels, or 10 of any kind where there is no target.
pub fn validation_prompt(label: ArrayView3<'_, u8>, rng: &mut impl Rng) -> Vec<[usize; 3]> {
    let points = clicks(label, VALIDATION_POINTS, rng);
    if points.is_empty() { draw_where(label, VALIDATION_POINTS, rng, |_| true) } else { points }
}

/// `count` voxels whose value is `wanted`, uniform and with replacement; none if no voxel is.
fn draw_where(
    label: ArrayView3<'_, u8>,
    count: usize,
    rng: &mut impl Rng,
    wanted: impl Fn(u8) -> bool,
) -> Vec<[usize; 3]> {
    let candidates = label.iter().filter(|value| wanted(**value)).count();
    if candidates == 0 {
        return Vec::new();
    }
    // Ranks are drawn first and looked up in one pass: a list of all candidates would be as large as the volume.
    let mut ranks: Vec<(usize, usize)> =
        (0..count).map(|draw| (rng.random_range(0..candidates), draw)).collect();
    ranks.sort_unstable();
    let mut points = vec![[0; 3]; count];
    let mut pending = ranks.into_iter().peekable();
    let mut before = 0;
    for ((d, h), row) in rows(label) {
        let matching = row.iter().filter(|value| wanted(**value)).count();
        // Most rows hold no voxel that was drawn.
        if pending.peek().is_some_and(|(rank, _)| *rank < before + matching) {
            let columns = row.iter().enumerate().filter(|(_, value)| wanted(**value));
            for (rank, (w, _)) in (before..).zip(columns) {
                while let Some((_, draw)) = pending.next_if(|(wanted_rank, _)| *wanted_rank == rank) {
                    points[draw] = [d, h, w];
                }
            }
        }
        if pending.peek().is_none() {
            break;
        }
        before += matching;
    }
    points
}

/// The rows along W with their index along D and H.
fn rows(label: ArrayView3<'_, u8>) -> impl Iterator<Item = ((usize, usize), ArrayView1<'_, u8>)> {
    let (depth, height, _) = label.dim();
    (0..depth).flat_map(move |d| {
        let plane = label.index_axis_move(Axis(0), d);
        (0..height).map(move |h| ((d, h), plane.index_axis_move(Axis(0), h)))
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn label_with(targets: &[[usize; 3]]) -> Array3<u8> {
        let mut label = Array3::zeros((3, 4, 5));
        for target in targets {
            label[*target] = 1;
        }
        label
    }

    #[test]
    fn generator_depends_on_seed_epoch_and_case() {
        let draw = |seed, epoch, case| rng_for(seed, epoch, case).random::<u64>();
        assert_eq!(draw(1, 2, "case_7"), draw(1, 2, "case_7"));
        let others = [draw(0, 2, "case_7"), draw(1, 3, "case_7"), draw(1, 2, "case_8"), draw(2, 1, "case_7")];
        assert!(others.iter().all(|other| *other != draw(1, 2, "case_7")));
    }

    #[test]
    fn clicks_are_uniform_over_the_target() {
        let targets = [[0, 0, 1], [1, 3, 2], [2, 3, 4]];
        let points = clicks(label_with(&targets).view(), 3000, &mut rng_for(0, 0, "a"));
        for target in targets {
            let share = points.iter().filter(|point| **point == target).count();
            // Binomial with mean 1000 and standard deviation 26.
            assert!((850..1150).contains(&share), "{target:?} drawn {share} times");
        }
        assert_eq!(points.len(), 3000);
    }

    #[test]
    fn prompts_with_and_without_target() {
        let mut rng = rng_for(0, 0, "a");
        let label = label_with(&[[1, 1, 1], [2, 0, 3]]);
        let prompt = training_prompt(label.view(), &mut rng);
        assert_eq!(prompt.len(), 30);
        assert!(prompt[..10].iter().all(|point| label[*point] == 1));
        assert!(prompt[10..].iter().any(|point| label[*point] == 0));
        assert!(validation_prompt(label.view(), &mut rng).iter().all(|point| label[*point] == 1));

        let empty = label_with(&[]);
        assert!(clicks(empty.view(), 3, &mut rng).is_empty());
        assert_eq!(training_prompt(empty.view(), &mut rng).len(), 20);
        assert_eq!(validation_prompt(empty.view(), &mut rng).len(), 10);
    }
}
