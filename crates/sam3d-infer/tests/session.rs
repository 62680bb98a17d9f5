//! Sessions: steps one after another, undone, redone, written and replayed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/golden_network.rs"]
mod golden_network;

use std::sync::Arc;

use ndarray::Array3;
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, PointLabel, Preprocessing, Spacing};
use sam3d_infer::{
    Ahead, Answer, Image, InferError, LogStep, MaskRuns, Prompt, Segmenter, Session, SessionLog,
};
use sam3d_io::{Grid, ValueType, Volume};
use sam3d_model::ModelConfig;
use sam3d_testkit::by_name;

use self::golden_network::by_name_network;
use PointLabel::{Negative, Positive};

/// 90 x 60 x 40 voxels (i, j, k) of 1 x 1 x 2 mm, from left, anterior and inferior.
fn volume() -> Volume {
    let rows = [[-1.0, 0.0, 0.0, 30.0], [0.0, -1.0, 0.0, 20.0], [0.0, 0.0, 2.0, -10.0]];
    let grid = Grid::from_affine([90, 60, 40], Affine::new(rows).unwrap()).unwrap();
    let values = by_name("session.volume", 90 * 60 * 40).into_iter().map(|u| (100.0 * u).round() as f32);
    let data = Array3::from_shape_vec(grid.shape_kji(), values.collect()).unwrap();
    Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None }
}

fn preprocessing() -> Preprocessing {
    Preprocessing {
        intensity: Intensity::new([-100.0, 100.0], 0.0, 50.0).unwrap(),
        spacing_mm: Spacing::new([1.5; 3]).unwrap(),
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    }
}

/// The tiny network with dense prompts or without, every parameter a function of its name.
fn segmenter(dense: bool) -> Segmenter {
    let mut config = ModelConfig::tiny();
    if dense {
        config.prompt.as_mut().unwrap().enable_dense_prompts();
    }
    Segmenter::new(by_name_network(&config), preprocessing(), 0)
}

fn session(segmenter: &Segmenter) -> Session {
    segmenter.session(volume()).unwrap()
}

fn answer(session: &mut Session) -> Arc<Answer> {
    session.answer().unwrap().unwrap()
}

/// One of every kind.
fn prompts() -> Vec<Prompt> {
    vec![
        Prompt::click([40, 30, 20], Positive),
        Prompt::click([44, 33, 22], Negative),
        Prompt::Box { first: [30, 20, 12], last: [52, 41, 27], label: Positive },
        Prompt::Scribble { path: vec![[36, 28, 21], [40, 31, 21]], width: 3.0, label: Negative },
        Prompt::Lasso {
            outline: vec![[33.0, 25.0, 19.0], [47.0, 24.5, 19.0], [46.0, 37.0, 19.0]],
            label: Positive,
        },
    ]
}

#[test]
fn a_log_replays_to_the_same_bits_and_names_what_it_belongs_to() {
    let segmenter = segmenter(true);
    let mut first = session(&segmenter);
    for prompt in prompts() {
        first.add(prompt).unwrap();
    }
    let text = first.log().unwrap().to_json().unwrap();
    let log = SessionLog::from_json(&text).unwrap();
    assert_eq!(log, first.log().unwrap());

    let mut again = session(&segmenter);
    let change = again.replay(&log, false, &mut |_| ()).unwrap().unwrap();
    assert!(change.region.is_some() && change.encoding.is_none());
    assert_eq!(answer(&mut again), answer(&mut first));
    assert_eq!(again.mask(0.5).unwrap(), first.mask(0.5).unwrap());
    // Given together the same prompts are another session: the previous mask is missing.
    let mut together = session(&segmenter);
    together.add_together(&prompts()).unwrap();
    assert_ne!(answer(&mut together), answer(&mut first));

    let mut other_volume = volume();
    other_volume.data[[0, 0, 0]] += 1.0;
    let mut other = segmenter.session(other_volume).unwrap();
    let refused = other.replay(&log, false, &mut |_| ()).unwrap_err();
    assert!(matches!(refused, InferError::LogMismatch { what: "an image", .. }), "{refused}");
    assert_eq!(other.steps().len(), 0);
    let plain = Segmenter::new(by_name_network(&ModelConfig::tiny()), preprocessing(), 0);
    let refused = plain.session(volume()).unwrap().replay(&log, false, &mut |_| ()).unwrap_err();
    assert!(matches!(refused, InferError::LogMismatch { what: "weights", .. }), "{refused}");
    assert_eq!(other.replay(&log, true, &mut |_| ()).unwrap().unwrap().crops, 1);

    let newer = text.replace("\"sam3d_session\": 1", "\"sam3d_session\": 99");
    assert!(SessionLog::from_json(&newer).unwrap_err().to_string().contains("version 99"));
    assert!(SessionLog::from_json("{}").is_err() && SessionLog::from_json("no log").is_err());
}

/// The image's hash does not depend on how its voxels are kept.
#[test]
fn an_image_of_whole_numbers_is_the_same_in_half_the_memory() {
    let roomy = Image::new(volume(), &preprocessing()).unwrap();
    let compact = Image::new(volume(), &preprocessing()).unwrap().compact();
    assert_eq!(2 * compact.bytes(), roomy.bytes());
    assert_eq!(compact.sha256(), roomy.sha256());
    assert_eq!(compact.whole().unwrap(), roomy.whole().unwrap());
    let mut fractional = volume();
    fractional.data[[1, 2, 3]] = 0.5;
    let fractional = Image::new(fractional, &preprocessing()).unwrap().compact();
    assert_eq!(fractional.bytes(), roomy.bytes());
}

/// A step finds the crop that was encoded ahead, with a budget of the segmenter's or without, and answers as it would have.
#[test]
fn a_crop_that_was_encoded_ahead_is_not_encoded_again() {
    let network = || by_name_network(&ModelConfig::tiny());
    let click = |i: usize| Prompt::click([i, 30, 20], Positive);
    let step = |i: usize| [LogStep::of([click(i)])];
    let mut plain = session(&segmenter(false));
    assert!(plain.add(click(70)).unwrap().encoding.is_some());
    for budget in [0, 1 << 30] {
        let segmenter = Segmenter::new(network(), preprocessing(), budget);
        let mut session = session(&segmenter);
        let stopped = session.encode_ahead(&step(40), &mut || false).unwrap();
        assert_eq!(stopped, Ahead::Stopped);
        assert!(session.add(click(40)).unwrap().encoding.is_some(), "nothing is kept of what was stopped");
        assert_eq!(session.encode_ahead(&step(40), &mut || true).unwrap(), Ahead::Known);
        // From the second click on a step stays in its crop: nothing else would be needed for the next one.
        assert_eq!(session.encode_ahead(&step(42), &mut || true).unwrap(), Ahead::Known);
        session.undo().unwrap();
        assert!(matches!(session.encode_ahead(&step(70), &mut || true).unwrap(), Ahead::Encoded(_)));
        assert_eq!(session.encode_ahead(&step(70), &mut || true).unwrap(), Ahead::Known);
        assert!(session.add(click(40)).unwrap().encoding.is_none(), "the crop in use is still there");
        session.undo().unwrap();
        assert!(session.add(click(70)).unwrap().encoding.is_none());
        assert_eq!(answer(&mut session), answer(&mut plain));
        assert!(session.encode_ahead(&[], &mut || true).is_ok(), "the crop of the steps so far");
        session.reset();
        assert!(matches!(session.encode_ahead(&[], &mut || true), Err(InferError::PromptRefused(_))));
    }
}

#[test]
fn undo_and_redo_walk_through_the_steps() {
    let segmenter = segmenter(true);
    let mut session = session(&segmenter);
    assert!(matches!(session.undo(), Err(InferError::NoStep("undo"))));
    assert!(
        session.answer().unwrap().is_none() && session.mask(0.5).unwrap().iter().all(|value| *value == 0)
    );
    let mut answers = Vec::new();
    for prompt in prompts().into_iter().take(3) {
        session.add(prompt).unwrap();
        answers.push(answer(&mut session));
    }
    assert!(answers[0] != answers[1] && answers[1] != answers[2]);
    session.undo().unwrap();
    assert_eq!(answer(&mut session), answers[1]);
    session.undo().unwrap();
    assert_eq!(answer(&mut session), answers[0]);
    session.redo().unwrap();
    assert_eq!((answer(&mut session), session.steps().len()), (Arc::clone(&answers[1]), 2));
    // A new prompt forgets what was undone.
    session.undo().unwrap();
    session.add(prompts()[1].clone()).unwrap();
    assert_eq!(answer(&mut session), answers[1]);
    assert!(matches!(session.redo(), Err(InferError::NoStep("redo"))));
    session.reset();
    assert!(session.answer().unwrap().is_none());
}

#[test]
fn what_weights_do_not_understand_is_refused_and_leaves_the_session_as_it_was() {
    let segmenter = segmenter(false);
    let accepts = segmenter.accepts();
    assert!(accepts.clicks && !accepts.negative_clicks && !accepts.shapes);
    let mut session = session(&segmenter);
    session.add(prompts()[0].clone()).unwrap();
    let before = answer(&mut session);
    for prompt in prompts().into_iter().skip(1) {
        let refused = session.add(prompt).unwrap_err();
        assert!(matches!(refused, InferError::PromptRefused(_)), "{refused}");
    }
    assert!(session.add_together(&[]).is_err());
    let outside = session.add(Prompt::click([90, 0, 0], Positive)).unwrap_err();
    assert!(outside.to_string().contains("i runs from 0 to 89"), "{outside}");
    assert_eq!((answer(&mut session), session.steps().len()), (before, 1));

    let far = [[2, 2, 2], [88, 58, 38]].map(|voxel| Prompt::click(voxel, Positive));
    let mut small = ModelConfig::tiny();
    small.crop = 32;
    small.encoder.token_grid = 8;
    small.encoder.window = 4;
    let small = Segmenter::new(by_name_network(&small), preprocessing(), 0);
    let refused = small.session(volume()).unwrap().add_together(&far).unwrap_err();
    assert!(matches!(refused, InferError::ClicksTooFarApart { side: 32, .. }), "{refused}");

    let shapes = [
        Prompt::Lasso { outline: vec![[1.0, 1.0, 1.0], [5.0, 1.0, 2.0], [5.0, 6.0, 3.0]], label: Positive },
        Prompt::Lasso { outline: vec![[1.0, 1.0, 1.0], [5.0, 1.0, 1.0]], label: Positive },
        Prompt::Lasso { outline: vec![[1.0, 1.0, 1.0], [5.0, 1.0, 1.0], [5.0, 99.0, 1.0]], label: Positive },
        Prompt::Scribble { path: vec![], width: 3.0, label: Positive },
        Prompt::Scribble { path: vec![[1, 2, 3]], width: f64::NAN, label: Positive },
        Prompt::Box { first: [1, 1, 1], last: [1, 60, 1], label: Positive },
        Prompt::Mask(MaskRuns { shape_ijk: [90, 60, 40], runs: vec![] }),
        Prompt::Mask(MaskRuns { shape_ijk: [9, 6, 4], runs: vec![[0, 1]] }),
        Prompt::Mask(MaskRuns { shape_ijk: [90, 60, 40], runs: vec![[215_999, 2]] }),
    ];
    let dense = self::segmenter(true);
    let mut session = self::session(&dense);
    for shape in shapes {
        assert!(session.add(shape.clone()).is_err(), "{shape:?}");
    }
}

#[test]
fn a_crop_that_moves_keeps_what_was_found_before() {
    let mut config = ModelConfig::tiny();
    config.crop = 32;
    config.encoder.token_grid = 8;
    config.encoder.window = 4;
    let segmenter = Segmenter::new(by_name_network(&config), preprocessing(), 0);
    let mut session = session(&segmenter);
    session.add(Prompt::click([20, 30, 20], Positive)).unwrap();
    let first = answer(&mut session);
    let change = session.add(Prompt::click([80, 30, 20], Positive)).unwrap();
    assert_eq!(change.outside, 1, "the first click lies outside the crop of the second");
    let both = answer(&mut session);
    let [depth, height, width] = first.values().dim().into();
    let [d0, h0, w0] = first.start();
    let kept = (0..depth).all(|d| {
        (0..height)
            .all(|h| (0..width).all(|w| both.at([d0 + d, h0 + h, w0 + w]) == first.values()[[d, h, w]]))
    });
    // The crops are 40 resampled voxels apart and 32 wide: nothing of the first is hidden.
    assert!(kept);
    let mask = session.mask(0.5).unwrap();
    let part = session.mask_part(0.5).unwrap();
    assert_eq!(mask.iter().map(|value| u64::from(*value)).sum::<u64>(), part.voxels());
    let [low, high] = change.region.unwrap();
    let inside = |at: [usize; 3]| (0..3).all(|axis| (low[axis]..high[axis]).contains(&at[axis]));
    assert!(mask.indexed_iter().all(|((k, j, i), value)| *value == 0 || inside([k, j, i])));
}

#[test]
fn a_mask_to_begin_from_is_the_answer_until_it_is_corrected() {
    let segmenter = segmenter(true);
    let mut session = session(&segmenter);
    let ball = Array3::from_shape_fn([40, 60, 90], |(k, j, i)| {
        let squared = |n: usize, centre: f64, mm: f64| ((n as f64 - centre) * mm).powi(2);
        u8::from(squared(k, 20.0, 2.0) + squared(j, 30.0, 1.0) + squared(i, 40.0, 1.0) <= 196.0)
    });
    let change = session.add(Prompt::Mask(MaskRuns::of(ball.view()))).unwrap();
    assert_eq!((change.crops, change.encoding), (0, None));
    let begun = session.mask(0.5).unwrap();
    let both = ball.iter().zip(&begun).filter(|(a, b)| **a == 1 && **b == 1).count() as f64;
    let dice = 2.0 * both / (ball.iter().chain(&begun).map(|value| f64::from(*value)).sum::<f64>());
    assert!(dice > 0.95, "resampled by nearest neighbour to 1.5 mm and back: {dice}");
    let alone = answer(&mut session);
    session.add(Prompt::click([40, 30, 20], Positive)).unwrap();
    assert_ne!(answer(&mut session), alone);
    // What lies far from both is not in the mask, whatever the network says of it: it was not in the mask to begin from.
    let mask = session.mask(0.5).unwrap();
    let far = |(k, j, i): (usize, usize, usize)| {
        let mm =
            [(k, 20, 2.0), (j, 30, 1.0), (i, 40, 1.0)].map(|(n, at, mm)| (n as f64 - f64::from(at)) * mm);
        mm.iter().map(|mm| mm * mm).sum::<f64>() > 900.0
    };
    assert!(mask.indexed_iter().all(|(index, value)| *value == 0 || !far(index)));
    // The click after the mask is not the click alone: the mask enters the network.
    let mut clicked = self::session(&segmenter);
    clicked.add(Prompt::click([40, 30, 20], Positive)).unwrap();
    assert_ne!(answer(&mut clicked), answer(&mut session));
}

/// Slices of the file are thinner than those of the resampled volume, and still no stroke is lost.
#[test]
fn shapes_thinner_than_a_resampled_voxel_are_drawn() {
    let coarse = Preprocessing { spacing_mm: Spacing::new([7.0, 5.0, 5.0]).unwrap(), ..preprocessing() };
    let mut config = ModelConfig::tiny();
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    let segmenter = Segmenter::new(by_name_network(&config), coarse, 0);
    let click = Prompt::click([44, 30, 20], Positive);
    let mut plain = segmenter.session(volume()).unwrap();
    plain.add(click.clone()).unwrap();
    for k in 18..23 {
        let thin = [
            Prompt::Scribble { path: vec![[42, 30, k]], width: 1.0, label: Positive },
            Prompt::Box { first: [41, 29, k], last: [41, 29, k], label: Positive },
            Prompt::Lasso {
                outline: [[41.0, 29.0], [42.0, 29.0], [42.0, 30.0]].map(|[i, j]| [i, j, k as f64]).to_vec(),
                label: Positive,
            },
        ];
        for shape in thin {
            let mut session = segmenter.session(volume()).unwrap();
            session.add_together(&[click.clone(), shape.clone()]).unwrap();
            assert_ne!(answer(&mut session).values(), answer(&mut plain).values(), "{shape:?}");
        }
    }
}

/// Whatever the network says: after each step the mask, on the file's grid, is as every click and stroke so far says.
#[test]
fn clicks_and_strokes_hold_for_weights_that_know_labels() {
    let clicks = [
        ([40, 30, 20], Positive),
        ([46, 33, 22], Negative),
        ([34, 25, 17], Positive),
        ([40, 38, 20], Negative),
    ];
    let stroke = [[50, 20, 24], [54, 24, 24]];
    let mut session = session(&segmenter(true));
    let mut held = 0;
    for (number, (voxel, label)) in clicks.into_iter().enumerate() {
        held += session.add(Prompt::click(voxel, label)).unwrap().held;
        let mask = session.mask(0.5).unwrap();
        for ([i, j, k], label) in &clicks[..=number] {
            assert_eq!(mask[[*k, *j, *i]] == 1, *label == Positive, "{i}, {j}, {k} after click {number}");
        }
    }
    assert!(held > 0, "the network alone obeys every click");
    session.add(Prompt::Scribble { path: stroke.to_vec(), width: 3.0, label: Positive }).unwrap();
    let mask = session.mask(0.5).unwrap();
    for step in 0..=4 {
        assert_eq!(mask[[24, 20 + step, 50 + step]], 1, "{step} along the stroke");
    }
    // The published network knows no labels: two clicks are what it says of two clicks.
    let mut published = self::session(&segmenter(false));
    for voxel in [[40, 30, 20], [46, 33, 22]] {
        assert_eq!(published.add(Prompt::click(voxel, Positive)).unwrap().held, 0);
    }
}
