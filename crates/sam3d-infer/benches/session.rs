//! What a prompt costs on the CPU: the first click, a further click of the published network, and corrections of a network
//! with dense prompts. `tiny`, or the preset in `SAM3D_BENCH_MODEL`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot get its input has failed")]

use std::{env, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array3;
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, PointLabel, Preprocessing, Spacing};
use sam3d_infer::{Image, Prompt, Segmenter, Session};
use sam3d_io::{Grid, ValueType, Volume};
use sam3d_model::{Preset, Sam3d};
use tch::Device;

fn preprocessing() -> Preprocessing {
    Preprocessing {
        intensity: Intensity::new([-100.0, 200.0], 20.0, 60.0).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    }
}

/// 160 voxels of 1 mm a side, as large as a crop and more.
fn image() -> Arc<Image> {
    let affine = Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
    let grid = Grid::from_affine([160; 3], affine).unwrap();
    let data = Array3::from_shape_fn([160; 3], |(k, j, i)| ((i * 7 + j * 13 + k * 29) % 41) as f32);
    let volume = Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None };
    Arc::new(Image::new(volume, &preprocessing()).unwrap())
}

/// A session with one click in the middle.
fn clicked(segmenter: &Segmenter, image: &Arc<Image>) -> Session {
    let mut session = segmenter.session_on(Arc::clone(image));
    session.add(Prompt::click([80; 3], PointLabel::Positive)).unwrap();
    session
}

fn prompts(criterion: &mut Criterion) {
    let wanted = env::var("SAM3D_BENCH_MODEL").unwrap_or_else(|_| "tiny".to_owned());
    let preset = Preset::ALL.into_iter().find(|preset| preset.name() == wanted).unwrap();
    let published = preset.config();
    let mut dense = published.clone();
    dense.prompt.as_mut().unwrap().enable_dense_prompts();
    let segmenter = |config| Segmenter::new(Sam3d::new(config, Device::Cpu, 0).unwrap(), preprocessing(), 0);
    let (published, dense) = (segmenter(&published), segmenter(&dense));
    let image = image();
    let mut group = criterion.benchmark_group(format!("session_{}", preset.name()));
    group.sample_size(10);
    group.bench_function("first click", |bencher| {
        bencher.iter(|| black_box(clicked(&published, &image).steps().len()));
    });
    let click = |label| Prompt::click([88, 84, 82], label);
    let stroke = Prompt::Scribble {
        path: vec![[70, 70, 80], [88, 76, 80], [92, 90, 80]],
        width: 3.0,
        label: PointLabel::Negative,
    };
    for (name, segmenter, prompt) in [
        ("further click, published network", &published, click(PointLabel::Positive)),
        ("corrective click", &dense, click(PointLabel::Negative)),
        ("corrective scribble", &dense, stroke),
    ] {
        let mut session = clicked(segmenter, &image);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                black_box(session.add(prompt.clone()).unwrap());
                session.undo().unwrap();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, prompts);
criterion_main!(benches);
