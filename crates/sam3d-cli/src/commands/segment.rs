//! `sam3d segment`: clicks in a CT become a mask in the CT's own grid.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ndarray::Array3;
use sam3d_geom::{Point, PointLabel, Preprocessing};
use sam3d_io::{
    OutputFormat, Volume,
    atomic::Overwrite,
    nrrd::Segment,
    orient::AxisMap,
    overlay::{self, Overlay},
    prepare::{PreparedImage, prepare_image},
};
use sam3d_metrics::Overlap;
use sam3d_train::predict::{mask_above, native_probability};
use serde::Serialize;

use super::{network, same_grid::check_same_grid, writable::check_writable};
use crate::{
    args::{GlobalArgs, SegmentArgs},
    output::{self, Measured},
    runtime,
};

/// Segments and writes the mask, then prints where it is and how large.
///
/// # Errors
/// If a file cannot be read or written, a point is outside, or the weights do not fit.
pub fn run(args: &SegmentArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    for path in [Some(&args.out), args.prob_out.as_ref()].into_iter().flatten() {
        check_writable(path, args.force)?;
        OutputFormat::of_path(path)?;
    }
    // What is quickly wrong is found before what takes long: points and truth before weights and network.
    let image = sam3d_io::read(&args.image, args.reading.limits())?;
    let clicks = clicks(args, &image)?;
    let truth = args.truth.as_ref().map(|path| read_truth(path, args, &image)).transpose()?;
    let device = runtime::device(global.device)?;
    let (network, preprocessing) = network::load(&args.weights, args.dataset.as_deref(), device)?;
    if let Some(directory) = &args.overlay {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        check_writable(&directory.join("overlay_views.png"), true)?;
    }

    let prepared = prepare_image(&image, &preprocessing)?;
    let points = clicks
        .iter()
        .map(|ijk| Ok(Point::positive(prepared.frame.resampled_from_native_ijk(*ijk)?)))
        .collect::<anyhow::Result<Vec<Point>>>()?;
    let (probability, placement) = native_probability(&network, &prepared, &points)?;
    if placement.outside > 0 {
        tracing::warn!(
            "{} of {} clicks lie outside the crop around their middle and are not used; segment distant parts one by one",
            placement.outside,
            points.len()
        );
    }
    let mask = mask_above(probability.view(), args.threshold);
    let report = Report::new(args, &image, &mask, truth.as_ref(), clicks.clone())?;
    if report.voxels == 0 {
        tracing::warn!("the mask is empty: no voxel's probability is above {}", args.threshold);
    }

    // The larger file first: on a full disk it fails before the mask is there.
    let overwrite = if args.force { Overwrite::Replace } else { Overwrite::Refuse };
    if let Some(path) = &args.prob_out {
        sam3d_io::write_f32(path, probability.view(), &image.grid, overwrite)?;
    }
    let label = args.label.get();
    let labelled = mask.mapv(|value| value * label);
    let segments = [Segment::new(&args.name, label)];
    sam3d_io::write_segmentation(&args.out, labelled.view(), &image.grid, &segments, overwrite)?;
    if let Some(directory) = &args.overlay {
        draw(directory, &image, &prepared, &preprocessing, clicks[0], truth.as_ref(), &mask)?;
    }
    output::emit(&report, global.json)
}

/// The clicked voxels `[i, j, k]`.
fn clicks(args: &SegmentArgs, image: &Volume) -> anyhow::Result<Vec<[usize; 3]>> {
    if args.points.iter().any(|point| point.label == PointLabel::Negative) {
        bail!(
            "negative clicks need weights trained with labelled points, which this version does not train; leave them out"
        );
    }
    args.points
        .iter()
        .map(|point| {
            point.voxel_ijk(args.space, &image.grid).with_context(|| args.image.display().to_string())
        })
        .collect()
}

/// The true mask, `[k, j, i]`: the voxels that are not 0.
fn read_truth(path: &Path, args: &SegmentArgs, image: &Volume) -> anyhow::Result<Array3<u8>> {
    let truth = sam3d_io::read(path, args.reading.limits())?;
    check_same_grid((&args.image, &image.grid), (path, &truth.grid))?;
    Ok(truth.data.mapv(|value| u8::from(value != 0.0)))
}

/// Pictures through the first click, always in radiological orientation.
fn draw(
    directory: &Path,
    image: &Volume,
    prepared: &PreparedImage,
    preprocessing: &Preprocessing,
    click: [usize; 3],
    truth: Option<&Array3<u8>>,
    mask: &Array3<u8>,
) -> anyhow::Result<()> {
    let axes = AxisMap::new(prepared.frame.grid(), sam3d_geom::Orientation::Lps);
    let hounsfield = axes.to_dhw(image.data.view())?;
    let truth = truth.map(|truth| axes.to_dhw(truth.view())).transpose()?;
    let prediction = axes.to_dhw(mask.view())?;
    overlay::write_views(
        &directory.join("overlay"),
        &Overlay {
            image: hounsfield.view(),
            spacing: axes.spacing(&image.grid)?,
            window_hu: overlay::window_around(preprocessing.intensity),
            click: axes.dhw_from_ijk(click),
            truth: truth.as_ref().map(|truth| truth.view()),
            prediction: prediction.view(),
        },
    )?;
    Ok(())
}

#[derive(Serialize)]
struct Report {
    mask: PathBuf,
    probability: Option<PathBuf>,
    overlays: Option<PathBuf>,
    clicks_ijk: Vec<[usize; 3]>,
    voxels: u64,
    volume_ml: f64,
    dice: Option<Measured>,
}

impl Report {
    fn new(
        args: &SegmentArgs,
        image: &Volume,
        mask: &Array3<u8>,
        truth: Option<&Array3<u8>>,
        clicks_ijk: Vec<[usize; 3]>,
    ) -> anyhow::Result<Self> {
        let voxels = mask.iter().filter(|value| **value != 0).count() as u64;
        let voxel_mm3: f64 = image.grid.spacing_ijk_mm().iter().product();
        let dice = truth
            .map(|truth| Overlap::between(truth.view(), mask.view()).map(|overlap| Measured(overlap.dice())))
            .transpose()?;
        Ok(Self {
            mask: args.out.clone(),
            probability: args.prob_out.clone(),
            overlays: args.overlay.clone(),
            clicks_ijk,
            voxels,
            volume_ml: voxels as f64 * voxel_mm3 / 1000.0,
            dice,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mask         {}", self.mask.display())?;
        writeln!(f, "volume       {:.2} ml ({} voxels)", self.volume_ml, self.voxels)?;
        if let Some(dice) = self.dice {
            writeln!(f, "dice         {}", dice.text(4, ""))?;
        }
        if let Some(path) = &self.probability {
            writeln!(f, "probability  {}", path.display())?;
        }
        if let Some(path) = &self.overlays {
            writeln!(f, "pictures     {}", path.join("overlay_views.png").display())?;
        }
        Ok(())
    }
}
