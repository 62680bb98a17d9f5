//! Means of probabilities: over mirror images of the crop, and over several networks.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/golden_network.rs"]
mod golden_network;

use ndarray::Array3;
use sam3d_geom::{
    Affine, Extent, Intensity, Interpolation, Orientation, Point, PointLabel, Preprocessing, Spacing,
};
use sam3d_infer::{InferError, LogStep, Prompt, Segmenter, SessionLog, TestTimeAugmentation};
use sam3d_io::{Grid, ValueType, Volume, crop::CropWindow};
use sam3d_model::{CropPrompt, DenseChannel, DensePrompts, ModelConfig};
use sam3d_testkit::by_name;
use tch::Tensor;

use self::golden_network::by_name_network;
use PointLabel::Positive;

const SIDE: usize = 72;

/// A cube of 1 mm whose stored axes run as those of the network: nothing is resampled.
fn volume() -> Volume {
    let affine = Affine::new([[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
    let grid = Grid::from_affine([SIDE; 3], affine).unwrap();
    let values = by_name("averages.volume", SIDE.pow(3)).into_iter().map(|u| (100.0 * u).round() as f32);
    let data = Array3::from_shape_vec([SIDE; 3], values.collect()).unwrap();
    Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None }
}

fn preprocessing() -> Preprocessing {
    Preprocessing {
        intensity: Intensity::new([-100.0, 100.0], 0.0, 50.0).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    }
}

fn dense() -> ModelConfig {
    let mut config = ModelConfig::tiny();
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    config
}

fn flipping(config: &ModelConfig) -> Segmenter {
    let networks = vec![by_name_network(config)];
    Segmenter::average(networks, preprocessing(), TestTimeAugmentation::Flips, 0).unwrap()
}

/// A crop's values with libtorch's own mirroring along the axes of `bits`.
fn flip(values: &[f32], bits: usize) -> Vec<f32> {
    let axes: Vec<i64> = (0..3).filter(|axis| bits >> axis & 1 == 1).collect();
    let flipped = Tensor::from_slice(values).view([64, 64, 64]).flip(axes).contiguous();
    Vec::try_from(flipped.flatten(0, -1)).unwrap()
}

/// The mean of eight predictions, each of a mirrored crop with its prompts, mirrored back.
fn mean_of_eight(
    config: &ModelConfig,
    crop: &[f32],
    clicks: &[Point],
    shown: &[(DenseChannel, Vec<f32>)],
) -> Vec<f64> {
    let network = by_name_network(config);
    let mut mean = vec![0.0; crop.len()];
    for bits in 0..8 {
        let mirror = |axis: usize, at: usize| if bits >> axis & 1 == 1 { 63 - at } else { at };
        let moved = clicks
            .iter()
            .map(|click| Point { index: [0, 1, 2].map(|axis| mirror(axis, click.index[axis])), ..*click });
        let clicks = sam3d_geom::Prompt::new(moved.collect(), Extent::new([64; 3]).unwrap()).ok();
        let is_prompted = clicks.is_some() || !shown.is_empty();
        let mut dense = DensePrompts::default();
        for (channel, values) in shown {
            dense = dense.with(*channel, &flip(values, bits)).unwrap();
        }
        let prompts = if is_prompted { vec![CropPrompt { clicks, dense }] } else { vec![] };
        let found = flip(&network.predict(&flip(crop, bits), &prompts).unwrap(), bits);
        mean.iter_mut().zip(found).for_each(|(mean, p)| *mean += f64::from(p) / 8.0);
    }
    mean
}

fn assert_close(found: &Array3<f32>, expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let far = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(far < 1e-6, "{far}");
}

#[test]
fn flips_are_the_mean_of_eight_predictions() {
    // Weights that know no labels: for them clicks are the networks' alone.
    let config = ModelConfig::tiny();
    let (flipped, plain) = (flipping(&config), Segmenter::new(by_name_network(&config), preprocessing(), 0));
    let [mut session, mut once] = [&flipped, &plain].map(|segmenter| segmenter.session(volume()).unwrap());
    let window = CropWindow::around([36; 3].map(|n| n as i64), 64);
    let crop = session.image().crop(window).unwrap().into_raw_vec_and_offset().0;
    let in_crop = |ijk: [usize; 3], label| {
        let [i, j, k] = ijk;
        Point { index: window.crop_from_volume([k, j, i]).unwrap(), label }
    };
    let answer = |session: &mut sam3d_infer::Session| session.answer().unwrap().unwrap().values().to_owned();

    let inside = [36, 36, 36];
    for session in [&mut session, &mut once] {
        session.add(Prompt::click(inside, Positive)).unwrap();
    }
    let first = answer(&mut session);
    let clicks = [in_crop(inside, Positive)];
    assert_close(&first, &mean_of_eight(&config, &crop, &clicks, &[]));
    assert_ne!(first, answer(&mut once));

    // Of prompts of weights that know labels, boxes: clicks hold, and the mask far from them stays.
    let config = dense();
    let in_box = |low: [usize; 3], high: [usize; 3]| -> Vec<f32> {
        let corners = [low, high].map(|ijk| in_crop(ijk, Positive).index);
        let inside =
            |at: [usize; 3]| (0..3).all(|axis| (corners[0][axis]..=corners[1][axis]).contains(&at[axis]));
        (0..64 * 64 * 64).map(|n| f32::from(u8::from(inside([n / 4096, n / 64 % 64, n % 64])))).collect()
    };
    let (low, high, higher) = ([29, 30, 31], [43, 42, 41], [43, 44, 45]);
    let mut session = flipping(&config).session(volume()).unwrap();
    session.add(Prompt::Box { first: low, last: high, label: Positive }).unwrap();
    let first = answer(&mut session);
    let region = (DenseChannel::RegionInside, in_box(low, high));
    assert_close(&first, &mean_of_eight(&config, &crop, &[], &[region]));
    session.add(Prompt::Box { first: low, last: higher, label: Positive }).unwrap();
    let previous: Vec<f32> = first.iter().map(|p| f32::from(u8::from(*p > 0.5))).collect();
    assert!(previous.contains(&1.0) && previous.contains(&0.0), "the previous mask must matter");
    let shown = [(DenseChannel::PreviousMask, previous), (DenseChannel::RegionInside, in_box(low, higher))];
    assert_close(&answer(&mut session), &mean_of_eight(&config, &crop, &[], &shown));
}

#[test]
fn flips_of_the_prompt_free_variant() {
    let config = ModelConfig::tiny().auto(64);
    let mut small = volume();
    small.data = small.data.slice(ndarray::s![..64, ..64, ..64]).to_owned();
    small.grid = Grid::from_affine([64; 3], *volume().grid.world_from_ijk()).unwrap();
    let mut session = flipping(&config).session(small).unwrap();
    session.add_step(LogStep::default(), &mut |_| ()).unwrap();
    let image = session.image().whole().unwrap().into_owned().into_raw_vec_and_offset().0;
    let expected = mean_of_eight(&config, &image, &[], &[]);
    assert_close(&session.answer().unwrap().unwrap().values().to_owned(), &expected);
}

#[test]
fn the_same_network_twice_is_the_network_and_its_log_names_both() {
    let config = ModelConfig::tiny();
    let network = || by_name_network(&config);
    let one = Segmenter::new(network(), preprocessing(), 0);
    let none = TestTimeAugmentation::None;
    let two = Segmenter::average(vec![network(), network()], preprocessing(), none, 1 << 30).unwrap();
    let [mut alone, mut both] = [&one, &two].map(|segmenter| segmenter.session(volume()).unwrap());
    for session in [&mut alone, &mut both] {
        session.add(Prompt::click([36, 36, 36], Positive)).unwrap();
        session.add(Prompt::click([40, 30, 37], Positive)).unwrap();
    }
    assert_eq!(alone.answer().unwrap(), both.answer().unwrap());

    let hash = one.weights_sha256().unwrap()[0].clone();
    assert_eq!(two.weights_sha256().unwrap(), [hash.clone(), hash.clone()]);
    let text = both.log().unwrap().to_json().unwrap();
    assert_eq!(text.matches(&hash).count(), 2);
    assert!(text.contains("\"sam3d_session\": 2"), "older programs refuse it: {text}");
    assert!(alone.log().unwrap().to_json().unwrap().contains("\"sam3d_session\": 1"));
    let log = SessionLog::from_json(&text).unwrap();
    let mut again = two.session(volume()).unwrap();
    again.replay(&log, false, &mut |_| ()).unwrap();
    assert_eq!(again.answer().unwrap(), both.answer().unwrap());
    let refused = one.session(volume()).unwrap().replay(&log, false, &mut |_| ()).unwrap_err();
    assert!(matches!(refused, InferError::LogMismatch { what: "weights", .. }), "{refused}");

    let refused =
        flipping(&config).session(volume()).unwrap().replay(&alone.log().unwrap(), false, &mut |_| ());
    let text = refused.unwrap_err().to_string();
    assert_eq!(text, "the session was recorded with test-time augmentation none, not flips");
}

#[test]
fn networks_of_different_kinds_are_not_averaged() {
    let mut small = ModelConfig::tiny();
    (small.crop, small.encoder.token_grid, small.encoder.window) = (32, 8, 4);
    for (other, what) in [(small, "size of the crop"), (dense(), "set of accepted prompts")] {
        let networks = vec![by_name_network(&ModelConfig::tiny()), by_name_network(&other)];
        let refused = Segmenter::average(networks, preprocessing(), TestTimeAugmentation::None, 0);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(what) && text.contains("network 2"), "{text}");
    }
}
