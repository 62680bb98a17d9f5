//! Corrections against networks that one can foresee.

use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use sam3d_infer::Position;
use sam3d_io::{Grid, ValueType, Volume};

use super::*;

/// A case of 20 x 18 x 8 voxels (i, j, k) of 1 x 1 x 2 mm with two boxes as target.
fn case() -> EvaluationCase {
    let affine = Affine::new([[-1.0, 0.0, 0.0, 9.0], [0.0, -1.0, 0.0, 5.0], [0.0, 0.0, 2.0, -3.0]]).unwrap();
    let grid = Grid::from_affine([20, 18, 8], affine).unwrap();
    let label = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| {
        let first = (2..6).contains(&k) && (3..10).contains(&j) && (4..11).contains(&i);
        let second = (1..3).contains(&k) && (13..16).contains(&j) && (14..18).contains(&i);
        f32::from(u8::from(first || second))
    });
    let volume = |data: Array3<f32>| Volume {
        data,
        grid: grid.clone(),
        nan_voxels: 0,
        value_type: ValueType::Float32,
        rescale: None,
    };
    let image = volume(Array3::zeros(grid.shape_kji()));
    let preprocessing = Preprocessing {
        intensity: Intensity::new([0.0, 100.0], 50.0, 25.0).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    };
    EvaluationCase::new("a", &image, &volume(label), 1, &preprocessing).unwrap()
}

/// A network that, at every click, draws or clears a ball of 3 mm around it.
struct Balls {
    mask: Array3<u8>,
    clicks: usize,
}

impl Balls {
    fn answer(&mut self, case: &EvaluationCase, prompt: Prompt) -> CorrectedMask {
        let Prompt::Click { at: Position::Voxel(voxel), label } = prompt else { unreachable!("{prompt:?}") };
        self.clicks += 1;
        let centre = case.frame().axis_map().dhw_from_ijk(voxel);
        let mm = case.native_spacing.mm();
        for ((d, h, w), value) in self.mask.indexed_iter_mut() {
            let squared: f64 = [d, h, w]
                .iter()
                .zip(centre)
                .zip(mm)
                .map(|((a, b), mm)| (a.abs_diff(b) as f64 * mm).powi(2))
                .sum();
            if squared <= 9.0 {
                *value = u8::from(label == PointLabel::Positive);
            }
        }
        CorrectedMask {
            mask: self.mask.clone(),
            is_held: false,
            encoder: Duration::from_millis(if self.clicks == 1 { 500 } else { 0 }),
            total: Duration::from_secs(1),
        }
    }
}

struct Seen {
    run: CorrectionRun,
    timings: Vec<PromptTiming>,
    masks: Vec<Array3<u8>>,
    clicks: Vec<Vec<[usize; 3]>>,
}

fn correct(
    config: CorrectionConfig,
    negative_clicks: bool,
    begin: impl Fn(&EvaluationCase) -> Array3<u8>,
) -> Seen {
    let case = case();
    let corrector = Corrector { case: &case, config, seed: 0, negative_clicks };
    let first = (config.first == FirstPrompt::Centre).then(|| corrector.centre().unwrap());
    let mut network = Balls { mask: begin(&case), clicks: 0 };
    let (mut masks, mut clicks) = (Vec::new(), Vec::new());
    let mut seen = |prompted: Prompted, mask: Arc<Array3<u8>>| {
        assert_eq!(prompted.points, masks.len());
        masks.push(Array3::clone(&mask));
        clicks.push(prompted.clicks_ijk);
        Ok(())
    };
    let (run, timings) =
        corrector.run(0, first, &mut |prompt| Ok(network.answer(&case, prompt)), &mut seen).unwrap();
    Seen { run, timings, masks, clicks }
}

fn empty(case: &EvaluationCase) -> Array3<u8> {
    Array3::zeros(case.truth.raw_dim())
}

#[test]
fn every_click_answers_the_mask_before_it() {
    for rule in [ClickRule::Largest, ClickRule::Imed3d, ClickRule::Random] {
        let config = CorrectionConfig { rule, ..CorrectionConfig::new(6, FirstPrompt::Centre) };
        let seen = correct(config, true, empty);
        let case = case();
        assert_eq!((seen.run.steps.len(), seen.masks.len(), seen.timings.len()), (6, 7, 7));
        let mut rng = rng_for(0, 0, "a/corrections");
        for (step, masks) in seen.run.steps.iter().zip(seen.masks.windows(2)) {
            let (truth, spacing) = (case.truth.view(), case.native_spacing);
            let below = |n| rng.random_range(0..n);
            let wanted = corrective_click(truth, masks[0].view(), spacing, rule, below).unwrap().unwrap();
            let CorrectionStep::Click { voxel_ijk, label, is_obeyed, .. } = *step else { panic!("{step:?}") };
            assert_eq!(case.frame().axis_map().dhw_from_ijk(voxel_ijk), wanted.point.index, "{rule}");
            assert_eq!((label, is_obeyed), (wanted.point.label, true));
        }
        let clicks: Vec<usize> = seen.clicks.iter().map(Vec::len).collect();
        assert_eq!(clicks, [1, 2, 3, 4, 5, 6, 7]);
        let times: Vec<_> =
            seen.timings.iter().map(|t| (t.corrections, t.encoder_seconds, t.other_seconds)).collect();
        assert_eq!(times[..2], [(0, 0.5, 0.5), (1, 0.0, 1.0)]);
        assert_eq!(correct(config, true, empty).run, seen.run, "corrections are deterministic");
    }
}

#[test]
fn without_a_first_prompt_the_first_click_corrects_an_empty_mask() {
    let none = correct(CorrectionConfig::new(3, FirstPrompt::None), true, empty);
    assert!(none.masks[0].iter().all(|value| *value == 0) && none.clicks[0].is_empty());
    let centre = correct(CorrectionConfig::new(2, FirstPrompt::Centre), true, empty);
    assert_eq!(none.masks[1..], centre.masks);
    assert_eq!(none.clicks[1..], centre.clicks);
}

#[test]
fn the_first_box_is_around_the_whole_target() {
    let case = case();
    let config = CorrectionConfig::new(1, FirstPrompt::Box);
    let corrector = Corrector { case: &case, config, seed: 0, negative_clicks: true };
    let (prompt, click) = corrector.target_box().unwrap();
    let (first, last) = ([4, 3, 1], [17, 15, 5]);
    assert_eq!((prompt, click), (Prompt::Box { first, last, label: PointLabel::Positive }, None));
}

#[test]
fn what_cannot_be_corrected_is_carried_forward() {
    // The network gives the truth and some voxels too many, which only clicks outside the target remove.
    let too_much = |case: &EvaluationCase| {
        let mut mask = case.truth.clone();
        mask.slice_mut(ndarray::s![7.., ..2, ..2]).fill(1);
        mask
    };
    let config = CorrectionConfig::new(3, FirstPrompt::Centre);
    let refused = correct(config, false, too_much);
    assert_eq!(refused.run.steps, [CorrectionStep::OnlyExcess; 3]);
    assert_eq!((refused.timings.len(), refused.clicks[3].len()), (1, 1));
    assert!(refused.masks.iter().all(|mask| *mask == refused.masks[0]));
    let labelled = correct(config, true, too_much);
    let CorrectionStep::Click { label, is_obeyed, .. } = labelled.run.steps[0] else {
        panic!("{:?}", labelled.run.steps)
    };
    assert_eq!((label, is_obeyed), (PointLabel::Negative, true));
    assert_eq!(labelled.run.steps[1..], [CorrectionStep::NoError; 2]);
    // Without clicks outside the target, a click goes where something is missing however much is too much elsewhere.
    let partly = |case: &EvaluationCase| {
        let mut mask = too_much(case);
        mask.slice_mut(ndarray::s![1..3, 13..16, 14..18]).fill(0);
        mask.slice_mut(ndarray::s![.., ..2, ..]).fill(1);
        mask
    };
    let CorrectionStep::Click { label, voxel_ijk, .. } = correct(config, false, partly).run.steps[0] else {
        panic!("a click is missing")
    };
    assert_eq!(label, PointLabel::Positive);
    assert!((14..18).contains(&voxel_ijk[0]), "{voxel_ijk:?}");
}
