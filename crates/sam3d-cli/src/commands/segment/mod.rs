//! `sam3d segment`: clicks in a CT become a mask in the CT's own grid.

mod predict;
mod report;

use std::{fs, path::Path};

use anyhow::{Context, bail};
use ndarray::Array3;
use sam3d_geom::{BoundingBox, PointLabel, Preprocessing};
use sam3d_io::{
    OutputFormat, Volume,
    atomic::Overwrite,
    check_same_grid,
    nrrd::Segment,
    orient::AxisMap,
    overlay::{self, Overlay},
    prepare::{PreparedImage, prepare_image},
};
use sam3d_train::predict::mask_above;

use self::report::Report;
use super::{network, writable::check_writable};
use crate::{
    args::{GlobalArgs, SegmentArgs},
    output, runtime,
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
    let image = args.reading.read(&args.image)?;
    let clicks = clicks(args, &image)?;
    let truth = args.truth.as_ref().map(|path| read_truth(path, args, &image)).transpose()?;
    let device = runtime::device(global.device)?;
    let (mut network, preprocessing) =
        network::load_any(&args.weights, args.base.as_deref(), args.dataset.as_deref(), device)?;
    network.set_precision(args.precision);
    predict::check_clicks(args, &network)?;
    if let Some(directory) = &args.overlay {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        check_writable(&directory.join("overlay_views.png"), true)?;
    }

    let prepared = prepare_image(&image, &preprocessing)?;
    let found = predict::probability(args, &network, &prepared, &clicks)?;
    let mask = mask_above(found.probability.view(), args.threshold);
    let report = Report::new(args, &image, &mask, truth.as_ref(), clicks.clone(), found.crops)?;
    if report.voxels == 0 {
        tracing::warn!("the mask is empty: no voxel's probability is above {}", args.threshold);
    }

    // The larger file first: on a full disk it fails before the mask is there.
    let overwrite = if args.force { Overwrite::Replace } else { Overwrite::Refuse };
    if let Some(path) = &args.prob_out {
        sam3d_io::write_f32(path, found.probability.view(), &image.grid, overwrite)?;
    }
    let label = args.label.get();
    let labelled = mask.mapv(|value| value * label);
    let segments = [Segment::new(&args.name, label)];
    sam3d_io::write_segmentation(&args.out, labelled.view(), &image.grid, &segments, overwrite)?;
    if let Some(directory) = &args.overlay {
        let through = clicks.first().copied().unwrap_or_else(|| middle_of(&mask));
        draw(directory, &image, &prepared, &preprocessing, through, truth.as_ref(), &mask)?;
    }
    output::emit(&report, global.json)
}

/// The clicked voxels `[i, j, k]`.
fn clicks(args: &SegmentArgs, image: &Volume) -> anyhow::Result<Vec<[usize; 3]>> {
    if !args.points.is_empty() && args.points.iter().all(|point| point.label == PointLabel::Negative) {
        bail!("every --point is negative; give at least one inside the target");
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
    let truth = sam3d_io::read_label(path, &image.grid, args.reading.limits())?;
    check_same_grid((&args.image, &image.grid), (path, &truth.grid))?;
    Ok(truth.data.mapv(|value| u8::from(value != 0.0)))
}

/// The middle of the box around the mask, `[i, j, k]`; of the volume if the mask is empty.
fn middle_of(mask: &Array3<u8>) -> [usize; 3] {
    let voxels = mask.indexed_iter().filter(|(_, value)| **value != 0).map(|((k, j, i), _)| [i, j, k]);
    let (depth, height, width) = mask.dim();
    BoundingBox::around(voxels)
        .map_or([width / 2, height / 2, depth / 2], |bounds| bounds.midpoint().map(|n| n.max(0) as usize))
}

/// Pictures through `click`, always in radiological orientation.
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
