//! From an image to the target's probability: by clicks in one crop or several, or without clicks by sliding windows.

use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array3;
use sam3d_geom::{Point, PointLabel};
use sam3d_io::prepare::PreparedImage;
use sam3d_model::Sam3d;
use sam3d_train::{
    auto,
    grow::{GrowLimits, grow_on},
};

use crate::args::{PointArg, SegmentArgs};

/// A probability in the file's own grid, `[k, j, i]`.
pub(super) struct Found {
    pub(super) probability: Array3<f32>,
    /// Crops or windows that the network saw.
    pub(super) crops: usize,
}

/// Refuses clicks that the network does not take, and their absence where it needs them.
pub(super) fn check_clicks(args: &SegmentArgs, network: &Sam3d) -> anyhow::Result<()> {
    let weights = args.weights.display();
    match (network.config().prompt.is_some(), args.points.is_empty()) {
        (true, true) => bail!("{weights}: these weights segment what is clicked; add --point I,J,K"),
        (false, false) => {
            bail!("{weights}: weights of the prompt-free variant, which takes no clicks; leave out --point")
        }
        (false, true) if args.grow => {
            bail!("{weights}: weights of the prompt-free variant read the whole volume; leave out --grow")
        }
        _ => check_labels(args, network),
    }
}

/// A network that was not told which points are negative would take them for positive ones.
fn check_labels(args: &SegmentArgs, network: &Sam3d) -> anyhow::Result<()> {
    let knows_labels = network.config().prompt.as_ref().is_some_and(|prompt| prompt.point_labels);
    if !knows_labels && args.points.iter().any(|point| point.label == PointLabel::Negative) {
        bail!(
            "{}: trained without labelled points, so it cannot tell negative clicks from others; leave them out, or train \
             with point_labels = true",
            args.weights.display()
        );
    }
    Ok(())
}

/// The probability for `clicks`, voxels `[i, j, k]` of the file; everywhere if there are none.
pub(super) fn probability(
    args: &SegmentArgs,
    network: &Sam3d,
    prepared: &PreparedImage,
    clicks: &[[usize; 3]],
) -> anyhow::Result<Found> {
    let bar = Bar::new();
    if clicks.is_empty() {
        let mut windows = 0;
        let probability = auto::native_probability(network, prepared, &mut |done, all| {
            windows = all;
            bar.show(done, all);
        })?;
        return Ok(Found { probability, crops: windows });
    }
    let frame = &prepared.frame;
    let points = clicks
        .iter()
        .zip(&args.points)
        .map(|(ijk, PointArg { label, .. })| {
            Ok(Point { index: frame.resampled_from_native_ijk(*ijk)?, label: *label })
        })
        .collect::<anyhow::Result<Vec<Point>>>()?;
    let limits =
        GrowLimits { crops: if args.grow { args.max_crops.get() } else { 1 }, threshold: args.threshold };
    let mut progress = |done| {
        if args.grow {
            bar.show(done, limits.crops);
        }
    };
    let grown = grow_on(network, prepared.image.view(), &points, &limits, &mut progress)?;
    if grown.outside > 0 {
        tracing::warn!(
            "{} of {} clicks lie outside the crop around their middle and are not used in it; segment distant parts one by one",
            grown.outside,
            points.len()
        );
    }
    if grown.is_cut_off && args.grow {
        tracing::warn!(
            "the mask still runs on after {} crops; allow more with --max-crops, or look whether it has left the target",
            grown.crops.len()
        );
    } else if grown.is_cut_off {
        tracing::warn!("the mask runs into the crop's border; --grow follows it");
    }
    Ok(Found { probability: frame.to_native(grown.probability.view())?, crops: grown.crops.len() })
}

/// A progress bar that appears with the first step.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Self(ProgressBar::hidden())
    }

    fn show(&self, done: usize, all: usize) {
        if self.0.is_hidden() && self.0.length().is_none() {
            self.0.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            self.0.set_length(all as u64);
            // A template that does not parse would only cost the bar its looks.
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} crops, {eta} left") {
                self.0.set_style(style);
            }
            self.0.enable_steady_tick(Duration::from_millis(500));
        }
        self.0.set_position(done as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
