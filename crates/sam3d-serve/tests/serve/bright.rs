//! A network set by hand: it finds what is brighter than the rest of its crop, so that a click beside something bright
//! gives a mask of it. Clicks sway it a little, so that each has an answer of its own. Untrained weights would give noise.

use std::sync::Mutex;

use ndarray::Array3;
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use sam3d_io::Grid;
use sam3d_model::{ModelConfig, Sam3d};
use tch::{Device, Kind, Tensor};

/// Every part of the published network, as small as its sizes allow; crop 32.
pub(crate) fn config() -> ModelConfig {
    let mut config = ModelConfig::tiny();
    config.crop = 32;
    config.encoder.embed_dim = 24;
    config.encoder.num_heads = 2;
    config.encoder.depth = 4;
    config.encoder.global_blocks = vec![];
    config.encoder.token_grid = 8;
    config.encoder.window = 4;
    config.encoder.neck_channels = 16;
    config.decoder.head_channels = 4;
    config.decoder.hidden_channels = 4;
    if let Some(prompt) = &mut config.prompt {
        prompt.num_heads = 2;
        prompt.mlp_dim = 16;
    }
    config
}

/// A network of `config` with the same random parameters each time: libtorch draws them from one generator for the
/// process, so tests must not draw at the same time.
fn seeded(config: &ModelConfig) -> Sam3d {
    static DRAWING: Mutex<()> = Mutex::new(());
    let _drawing = DRAWING.lock().unwrap();
    Sam3d::new(config, Device::Cpu, 7).unwrap()
}

/// The network of `config` that finds what is bright.
pub(crate) fn network_of(config: &ModelConfig) -> Sam3d {
    let network = seeded(config);
    let parameters = network.parameters();
    let _no_grad = tch::no_grad_guard();
    let set = |name: &str, change: &dyn Fn(&Tensor)| change(&parameters[name]);
    // The first hidden channel becomes the normalised intensity, with a hundredth of what maps and clicks say.
    set("mask_decoder.cls.0.weight", &|weight| {
        let _ = weight.shallow_clone().g_mul_scalar_(0.01);
        let intensity = weight.size()[1] - 1;
        let _ = weight.get(0).get(intensity).get(1).get(1).get(1).fill_(1.0);
    });
    // Untrained, the encoder of dense prompts ends in zeros: boxes and strokes sway the mask as clicks do.
    for name in parameters.keys().filter(|name| name.starts_with("prompt_encoder.dense.")) {
        set(name, &|tensor| {
            let values = Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)).g_mul_scalar(0.7);
            tensor.shallow_clone().copy_(&values.sin().reshape(tensor.size()));
        });
    }
    // The target's logit is that channel, the background's is 0: sure where it is far above the mean.
    set("mask_decoder.cls.3.weight", &|weight| {
        let _ = weight.shallow_clone().zero_();
        let _ = weight.get(1).get(0).get(1).get(1).get(1).fill_(4.0);
    });
    network
}

/// The threshold that separates what is bright: a logit of 4 for each standard deviation above the mean.
pub(crate) const THRESHOLD: f64 = 0.98;

pub(crate) fn preprocessing() -> Preprocessing {
    Preprocessing {
        intensity: Intensity::new([-100.0, 200.0], 20.0, 60.0).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    }
}

/// Centres of the bright balls of [`volume`], voxels `[i, j, k]`.
pub(crate) const BALLS: [[usize; 3]; 2] = [[14, 18, 10], [50, 40, 20]];

/// 64 x 56 x 30 voxels (i, j, k) of 1 x 1 x 1.5 mm, oblique, from left, posterior and superior, with two bright balls.
pub(crate) fn grid() -> Grid {
    let (sin, cos) = 0.1f64.sin_cos();
    let affine =
        Affine::new([[cos, -sin, 0.0, -10.0], [sin, cos, 0.0, 25.0], [0.0, 0.0, -1.5, 70.0]]).unwrap();
    Grid::from_affine([64, 56, 30], affine).unwrap()
}

/// Voxels `[k, j, i]` in Hounsfield units; `shift` tells one volume from another.
pub(crate) fn volume(shift: i16) -> Array3<i16> {
    Array3::from_shape_fn(grid().shape_kji(), |(k, j, i)| {
        let in_ball = BALLS.iter().any(|[a, b, c]| {
            let square = |x: usize, y: usize| (x as f64 - y as f64).powi(2);
            square(i, *a) + square(j, *b) + 2.25 * square(k, *c) < 36.0
        });
        let texture = ((i * 7 + j * 13 + k * (29 + shift as usize)) % 41) as i16;
        shift + texture + if in_ball { 150 } else { 0 }
    })
}
