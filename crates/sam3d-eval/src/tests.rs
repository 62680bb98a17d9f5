//! The protocol around methods whose predictions one can foresee.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use ndarray::Array3;
use sam3d_data::dataset::{Case, CaseId};
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Point, Preprocessing, Spacing};
use sam3d_infer::Answer;
use sam3d_io::{Grid, ReadLimits, atomic::Overwrite, crop::CropWindow, nifti};

use super::*;

const TARGET: u32 = 2;

/// Predicts a cube of 7 voxels around the middle of its clicks, in the form asked for.
struct Cube {
    preprocessing: Preprocessing,
    prompting: Prompting,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Crop,
    Resampled,
    Native,
}

impl Cube {
    fn new(prompting: Prompting, form: Form) -> Self {
        let preprocessing = Preprocessing {
            intensity: Intensity::new([0.0, 100.0], 50.0, 25.0).unwrap(),
            spacing_mm: Spacing::new([1.0; 3]).unwrap(),
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        };
        Self { preprocessing, prompting, form }
    }
}

impl Method for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn prompting(&self) -> Prompting {
        self.prompting
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn tuned_parameters(&self) -> Option<u64> {
        None
    }

    fn predict(&self, case: &EvaluationCase, clicks: &[Point]) -> Result<Prediction, EvalError> {
        let bounds = sam3d_geom::BoundingBox::around(clicks.iter().map(|click| click.index));
        let middle = bounds.map_or([8; 3], |bounds| bounds.midpoint());
        let window = CropWindow::around(middle, 7);
        let probability = Array3::from_elem([7; 3], 0.9);
        let mut whole = Array3::zeros(case.image()?.dim());
        window.paste(probability.view(), &mut whole)?;
        Ok(match self.form {
            Form::Crop => {
                let extent = case.frame().resampled_extent();
                Prediction::Part(Arc::new(Answer::of_crop(window, probability.view(), extent)?))
            }
            Form::Resampled => Prediction::Resampled(whole),
            Form::Native => {
                let stored = case.frame().to_native(whole.view())?;
                Prediction::Native(case.frame().axis_map().to_dhw(stored.view())?)
            }
        })
    }
}

/// A case of 20 x 18 x 8 voxels (i, j, k) of 1 x 1 x 2 mm whose target is the box from `start` up to `end` (`[k, j, i]`).
fn write_case(directory: &Path, id: &str, start: [usize; 3], end: [usize; 3]) -> Case {
    let affine = Affine::new([[-1.0, 0.0, 0.0, 9.0], [0.0, -1.0, 0.0, 5.0], [0.0, 0.0, 2.0, -3.0]]).unwrap();
    let grid = Grid::from_affine([20, 18, 8], affine).unwrap();
    let label = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| {
        let inside = [k, j, i].iter().zip(start.iter().zip(end)).all(|(n, (s, e))| s <= n && *n < e);
        if inside { TARGET as u8 } else { 1 }
    });
    let image = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| (k * 100 + j * 10 + i) as i16);
    let case = Case {
        id: CaseId::new(id).unwrap(),
        image: directory.join(format!("{id}.nii")),
        label: directory.join(format!("{id}_label.nii")),
        label_on_image_voxels: false,
    };
    nifti::write(&case.image, image.view(), &grid, Overwrite::Replace).unwrap();
    nifti::write(&case.label, label.view(), &grid, Overwrite::Replace).unwrap();
    case
}

fn cases(directory: &Path) -> Vec<Case> {
    (0..5).map(|n| write_case(directory, &format!("case{n}"), [2, 3 + n, 4], [6, 9 + n, 11])).collect()
}

type Outcomes = Vec<Result<CaseEvaluation, String>>;

fn run(method: &Cube, cases: &[Case], config: &EvalConfig, readers: usize) -> Outcomes {
    let pipeline = Pipeline { method, target_class: TARGET, config, limits: ReadLimits::default(), readers };
    let mut outcomes = vec![None; cases.len()];
    let kept = Mutex::new(0);
    let keep = |score: &ClickScore, mask: ndarray::ArrayView3<'_, u8>, grid: &Grid| {
        assert_eq!(mask.shape(), grid.shape_kji());
        let ml = mask.iter().filter(|value| **value != 0).count() as f64 * 2.0 / 1000.0;
        assert!((ml - score.prediction_ml).abs() < 1e-12, "{score:?}");
        *kept.lock().unwrap() += 1;
        Ok(())
    };
    let references: Vec<&Case> = cases.iter().collect();
    pipeline
        .run(&references, &keep, &mut |index, outcome| {
            outcomes[index] =
                Some(outcome.map(|evaluated| evaluated.evaluation).map_err(|error| error.to_string()));
        })
        .unwrap();
    let outcomes: Outcomes = outcomes.into_iter().map(|outcome| outcome.expect("an outcome")).collect();
    let scores: usize = outcomes.iter().flatten().map(|evaluation| evaluation.scores.len()).sum();
    assert_eq!(*kept.lock().unwrap(), scores);
    outcomes
}

fn quick() -> EvalConfig {
    EvalConfig { points: vec![1, 3], click_sets: 2, ball: true, ..EvalConfig::default() }
}

#[test]
fn the_form_of_a_prediction_and_the_number_of_readers_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cases = cases(directory.path());
    let crops = run(&Cube::new(Prompting::PerVolume, Form::Crop), &cases, &quick(), 1);
    for (form, readers) in [(Form::Crop, 3), (Form::Resampled, 2), (Form::Native, 9)] {
        assert_eq!(run(&Cube::new(Prompting::PerVolume, form), &cases, &quick(), readers), crops);
    }
    let first = crops[0].as_ref().unwrap();
    let described: Vec<_> = first.scores.iter().map(|score| (score.points, score.click_set)).collect();
    assert_eq!(described, [(1, 0), (1, 1), (3, 0), (3, 1)]);
    assert_eq!(first.balls.len(), 4);
    for score in &first.scores {
        assert_eq!(score.clicks_ijk.len(), score.points);
        assert!(score.dice > 0.1 && score.nsd[0] > 0.5 && score.hausdorff_95_mm.is_some(), "{score:?}");
        // 4 x 6 x 7 voxels of 2 mm³.
        assert!((score.truth_ml - 0.336).abs() < 1e-12);
        // 7 x 6 voxels of 1 mm in a slice: from edge to edge of the longer side, one row apart from each other at the ends.
        assert!((score.truth_diameter_mm.unwrap() - 74f64.sqrt()).abs() < 1e-5, "{score:?}");
        assert!(
            score.diameter_error_mm().is_some()
                && score.volume_error_ml() == score.prediction_ml - score.truth_ml
        );
        let inside = |[i, j, k]: &[usize; 3]| (4..11).contains(i) && (3..9).contains(j) && (2..6).contains(k);
        assert!(score.clicks_ijk.iter().all(inside), "{score:?}");
    }
}

#[test]
fn methods_without_clicks_predict_once_and_those_by_slice_click_in_each() {
    let directory = tempfile::tempdir().unwrap();
    let cases = cases(directory.path());
    let config = EvalConfig { ball: false, ..quick() };
    let automatic = run(&Cube::new(Prompting::None, Form::Crop), &cases, &config, 1);
    let scores = &automatic[0].as_ref().unwrap().scores;
    assert_eq!((scores.len(), scores[0].points, scores[0].clicks_ijk.len()), (1, 0, 0));
    for position in Position::ALL {
        let config = EvalConfig { position, ..config.clone() };
        let by_slice = run(&Cube::new(Prompting::PerSlice, Form::Crop), &cases, &config, 1);
        let scores = &by_slice[0].as_ref().unwrap().scores;
        // The target's 4 slices of 2 mm are 8 of 1 mm.
        let clicks: Vec<usize> = scores.iter().map(|score| score.clicks_ijk.len()).collect();
        assert_eq!(clicks, [8, 8, 24, 24], "{position:?}");
    }
}

#[test]
fn a_case_that_fails_does_not_stop_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut cases = cases(directory.path());
    fs::write(&cases[1].image, "no volume").unwrap();
    cases[3] = write_case(directory.path(), "empty", [0; 3], [0; 3]);
    let outcomes = run(&Cube::new(Prompting::PerVolume, Form::Crop), &cases, &quick(), 2);
    let failed: Vec<bool> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false, true, false]);
    assert!(outcomes[3].as_ref().unwrap_err().contains("no voxel of the target"), "{:?}", outcomes[3]);
}

#[test]
fn spreads_over_cases_and_over_clicks_are_told_apart() {
    let score = |case: &str, click_set: usize, dice: f64| ClickScore {
        case: case.to_owned(),
        points: 1,
        click_set,
        clicks_ijk: vec![[0; 3]],
        dice,
        nsd: vec![1.0],
        hausdorff_95_mm: None,
        average_distance_mm: None,
        truth_ml: 1.0,
        prediction_ml: 0.0,
        truth_diameter_mm: None,
        prediction_diameter_mm: None,
    };
    let evaluation = |case: &str, dice: [f64; 2]| CaseEvaluation {
        case: case.to_owned(),
        scores: vec![score(case, 0, dice[0]), score(case, 1, dice[1])],
        balls: Vec::new(),
        corrections: Vec::new(),
    };
    let cases = [evaluation("a", [0.25, 0.75]), evaluation("b", [0.75, 1.0])];
    let summary = summarise(&EvalConfig::default(), &cases);
    assert_eq!((summary.len(), summary[0].points, summary[0].ball), (1, 1, None));
    let dice = summary[0].dice;
    assert_eq!((dice.cases.mean, dice.cases.std), (0.6875, 0.1875));
    assert_eq!((dice.click_sets.mean, dice.click_sets.std), (0.6875, 0.1875));
    assert_eq!(dice.click_std, (0.25 + 0.125) / 2.0);
    // Of two cases a quarter of the resamples holds one of them alone.
    assert_eq!((dice.interval.low, dice.interval.high), (0.5, 0.875));
    assert_eq!(summary[0].nsd[0].interval, Interval { low: 1.0, high: 1.0 });
}
