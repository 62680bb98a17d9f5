//! `sam3d segment`: prompts in a CT become a mask in the CT's own grid.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array3;
use sam3d_geom::{BoundingBox, Preprocessing};
use sam3d_infer::{
    Accepts, Change, InferError, LogStep, NativeVoxels, Position, Progress, Prompt, SegmenterOptions,
    Session, SessionLog,
};
use sam3d_io::{
    OutputFormat,
    atomic::{self, Overwrite},
    dicom::derived::SegmentationEncoding,
    nrrd::Segment,
    orient::AxisMap,
    overlay::{self, Overlay},
};
use sam3d_metrics::{IntensityStatistics, Overlap};
use serde::Serialize;

use super::{
    archive::OpenArchive,
    mask_output::{self, Described, MaskOutput},
    prompts, segmenter, weights,
    writable::check_writable,
};
use crate::{
    args::{GlobalArgs, SegmentArgs},
    measurements::Measurements,
    output::{self, MetricValue},
    runtime,
};

/// Segments, writes the mask, and prints its path and volume.
///
/// # Errors
/// If a file cannot be read or written, a point is outside the image, or the weights do not understand the prompts.
pub fn run(args: &SegmentArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let Some(archive) = OpenArchive::open(&args.archive)? else {
        return segment(args, global, |_| Ok(None));
    };
    if args.image.is_some() {
        bail!("give either --image or --dicomweb");
    }
    let output = MaskOutput::of_path(&args.out)?;
    if args.store && matches!(output, MaskOutput::Volume(_)) {
        bail!("--store: an archive stores .dcm and .rtstruct.dcm, not {}", args.out.display());
    }
    check_writable(&args.out, args.force)?;
    let uid = args.reading.series.as_deref().context("--dicomweb needs --series UID")?;
    let series = archive.fetch(uid, args.study.as_deref())?;
    let args = SegmentArgs { image: Some(series.directory().to_owned()), ..args.clone() };
    segment(&args, global, |path| {
        args.store.then(|| archive.store(&series.record().study, path).map(|uid| uid.to_string())).transpose()
    })
}

/// The same for an image on disk. `store` stores the mask's file elsewhere and says as what, if that is asked for.
fn segment(
    args: &SegmentArgs,
    global: &GlobalArgs,
    store: impl Fn(&Path) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<()> {
    check_writable(&args.out, args.force)?;
    let output = MaskOutput::of_path(&args.out)?;
    if let Some(path) = &args.prob_out {
        check_writable(path, args.force)?;
        OutputFormat::of_path(path)?;
    }
    if let Some(path) = &args.log {
        check_writable(path, args.force)?;
    }
    // Fast checks first: prompts and ground truth before weights and network.
    let recorded = args.session.as_deref().map(read_log).transpose()?;
    let source = output.source(args.image_path(), args.reading.series.as_deref())?;
    let image = args.reading.read(args.image_path())?;
    let steps = prompts::steps(args, &image)?;
    let truth = args.truth.as_ref().map(|path| prompts::read_mask(path, args, &image)).transpose()?;
    let options = SegmenterOptions {
        device: runtime::device(global.device)?,
        precision: args.precision,
        augmentation: args.tta,
        ..SegmenterOptions::default()
    };
    let options = segmenter::options(args.base.as_deref(), args.dataset.as_deref(), options)?;
    let weights = weights::resolve_all(&args.weights, global)?;
    let segmenter = segmenter::open(&weights, &options)?;
    if args.session.is_none() {
        prompts::check(args, segmenter.accepts(), &steps).with_context(|| weights::names(&weights))?;
    }
    if let Some(directory) = &args.overlay {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        check_writable(&directory.join("overlay_views.png"), true)?;
    }

    let mut session = segmenter.session(image).with_context(|| args.image_path().display().to_string())?;
    let change = answer(args, &mut session, steps, recorded.as_ref())?;
    warn(args, &session, change);
    let part = session.mask_part(args.threshold)?;
    let grid = session.image().grid().clone();
    let mut mask = Array3::zeros(grid.shape_kji());
    part.paint(&mut mask, 1)?;
    let clicked = clicked(&session);
    let mut report =
        Report::new(args, part.voxels(), &mask, truth.as_ref(), clicked.clone(), change.crops, &session)?;
    if report.voxels == 0 {
        tracing::warn!("the mask is empty: no voxel's probability is above {}", args.threshold);
    }

    // The larger file first: on a full disk it fails before the mask is written.
    let overwrite = if args.force { Overwrite::Replace } else { Overwrite::Refuse };
    if let Some(path) = &args.prob_out {
        let answer = session.answer()?.context("the session has no prompts")?;
        let probability = answer.native_probability(session.image().frame())?;
        sam3d_io::write(path, probability.view(), &grid, overwrite)?;
    }
    if let Some(directory) = &args.overlay {
        let through = clicked.first().copied().unwrap_or_else(|| middle_of(&mask));
        draw(directory, &session, segmenter.preprocessing(), through, truth.as_ref(), &mask)?;
    }
    if let Some(source) = &source {
        let described = Described {
            name: &args.name,
            kind: &args.kind,
            encoding: if args.label_map {
                SegmentationEncoding::LabelMap
            } else {
                SegmentationEncoding::Binary
            },
            weights: weights.iter().map(ToString::to_string).collect(),
            parameters: parameters(segmenter.weights_sha256()?, &session)?,
        };
        mask_output::write_object(&args.out, output, mask.view(), source, described, overwrite)?;
    } else {
        let label = args.label.get();
        mask.map_inplace(|value| *value *= label);
        let segments = [Segment::new(&args.name, label)];
        sam3d_io::write_segmentation(&args.out, mask.view(), &grid, &segments, overwrite)?;
    }
    if let Some(path) = &args.log {
        let text = session.log()?.to_json()?;
        atomic::write(path, overwrite, |file| std::io::Write::write_all(file, text.as_bytes()))?;
    }
    report.stored = store(&args.out)?;
    output::emit(&report, global.json)
}

/// What it takes to reproduce the mask, for a DICOM object: the hash of the weights, and the session if there is room for it.
fn parameters(weights_sha256: &[String], session: &Session) -> anyhow::Result<String> {
    let session: serde_json::Value = serde_json::from_str(&session.log()?.to_json()?)?;
    let whole = serde_json::json!({"weights_sha256": weights_sha256, "session": session}).to_string();
    if whole.len() <= MOST_PARAMETERS {
        return Ok(whole);
    }
    Ok(serde_json::json!({"weights_sha256": weights_sha256, "session": "too long to be stored here"})
        .to_string())
}

/// Characters that a DICOM object has room for.
const MOST_PARAMETERS: usize = 10_240;

fn read_log(path: &Path) -> anyhow::Result<SessionLog> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    SessionLog::from_json(&text).with_context(|| path.display().to_string())
}

/// Adds the steps of the command line, or replays a recorded session.
fn answer(
    args: &SegmentArgs,
    session: &mut Session,
    steps: Vec<LogStep>,
    recorded: Option<&SessionLog>,
) -> anyhow::Result<Change> {
    let bar = Bar::new();
    let mut progress = |progress| {
        if let Progress::Crops(done, all) = progress {
            bar.show(done, all);
        }
    };
    let Some(log) = recorded else {
        let mut change = None;
        for step in steps {
            change = Some(session.add_step(step, &mut progress)?);
        }
        return change.context(Accepts::PROMPT_NEEDED);
    };
    let path = args.session.as_deref().unwrap_or(Path::new(""));
    let change = match session.replay(log, false, &mut progress) {
        Err(error @ (InferError::LogMismatch { .. } | InferError::LogAugmentation { .. }))
            if args.force_session =>
        {
            tracing::warn!("{}: {error}; the mask will differ", path.display());
            session.replay(log, true, &mut progress)
        }
        result => result,
    };
    let change = change.with_context(|| path.display().to_string())?;
    change.with_context(|| format!("{}: the session has no prompts", path.display()))
}

fn warn(args: &SegmentArgs, session: &Session, change: Change) {
    if change.outside > 0 {
        tracing::warn!(
            "{} of {} prompts lie outside the crop and are not used in it; segment distant parts separately",
            change.outside,
            session.steps().map(|step| step.prompts.len()).sum::<usize>()
        );
    }
    if change.is_cut_off && args.grow {
        tracing::warn!(
            "the mask still reaches the border after {} crops; allow more with --max-crops, or check whether it leaks out of the target",
            change.crops
        );
    } else if change.is_cut_off {
        tracing::warn!("the mask reaches the crop's border; --grow follows it");
    }
}

/// The voxels `[i, j, k]` that were clicked.
fn clicked(session: &Session) -> Vec<[usize; 3]> {
    let prompts = session.steps().flat_map(|step| step.prompts.iter());
    prompts
        .filter_map(|prompt| match prompt {
            Prompt::Click { at: Position::Voxel(ijk), .. } => Some(*ijk),
            _ => None,
        })
        .collect()
}

/// The middle of the box around the mask, `[i, j, k]`; of the volume if the mask is empty.
fn middle_of(mask: &Array3<u8>) -> [usize; 3] {
    let voxels = mask.indexed_iter().filter(|(_, value)| **value != 0).map(|((k, j, i), _)| [i, j, k]);
    let (depth, height, width) = mask.dim();
    BoundingBox::around(voxels)
        .map_or([width / 2, height / 2, depth / 2], |bounds| bounds.midpoint().map(|n| n.max(0) as usize))
}

/// Writes pictures through `click`, always in radiological orientation.
fn draw(
    directory: &Path,
    session: &Session,
    preprocessing: &Preprocessing,
    click: [usize; 3],
    truth: Option<&Array3<u8>>,
    mask: &Array3<u8>,
) -> anyhow::Result<()> {
    let grid = session.image().grid();
    let axes = AxisMap::new(grid, sam3d_geom::Orientation::Lps);
    let hounsfield = match session.image().native() {
        Some(NativeVoxels::Whole(voxels)) => axes.to_dhw(voxels)?.mapv(f32::from),
        Some(NativeVoxels::Real(voxels)) => axes.to_dhw(voxels)?,
        None => bail!("the image has no original voxels to draw"),
    };
    let truth = truth.map(|truth| axes.to_dhw(truth.view())).transpose()?;
    let prediction = axes.to_dhw(mask.view())?;
    overlay::write_views(
        &directory.join("overlay"),
        &Overlay {
            image: hounsfield.view(),
            spacing: axes.spacing(grid)?,
            window_hu: overlay::window_around(preprocessing.intensity),
            click: axes.dhw_from_ijk(click),
            truth: truth.as_ref().map(|truth| truth.view()),
            prediction: prediction.view(),
        },
    )?;
    Ok(())
}

/// The result, as printed.
#[derive(Serialize)]
struct Report {
    mask: PathBuf,
    probability: Option<PathBuf>,
    overlays: Option<PathBuf>,
    session: Option<PathBuf>,
    /// SOP Instance UID of the object that the archive has stored.
    stored: Option<String>,
    clicks_ijk: Vec<[usize; 3]>,
    /// Crops or windows that the network saw in the last step.
    crops: usize,
    voxels: u64,
    volume_ml: f64,
    dice: Option<MetricValue>,
    /// `None` if the mask is empty.
    measurements: Option<Measurements>,
}

impl Report {
    fn new(
        args: &SegmentArgs,
        voxels: u64,
        mask: &Array3<u8>,
        truth: Option<&Array3<u8>>,
        clicks_ijk: Vec<[usize; 3]>,
        crops: usize,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let voxel_mm3: f64 = session.image().grid().spacing_ijk_mm().iter().product();
        let intensity_hu = match session.image().native() {
            Some(NativeVoxels::Whole(image)) => IntensityStatistics::of(image, mask.view())?,
            Some(NativeVoxels::Real(image)) => IntensityStatistics::of(image, mask.view())?,
            None => None,
        };
        let dice = truth
            .map(|truth| {
                Overlap::between(truth.view(), mask.view()).map(|overlap| MetricValue(overlap.dice()))
            })
            .transpose()?;
        Ok(Self {
            mask: args.out.clone(),
            probability: args.prob_out.clone(),
            overlays: args.overlay.clone(),
            session: args.log.clone(),
            stored: None,
            clicks_ijk,
            crops,
            voxels,
            volume_ml: voxels as f64 * voxel_mm3 / 1000.0,
            dice,
            measurements: Measurements::of(mask.view(), session.image().grid(), intensity_hu)?,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mask         {}", self.mask.display())?;
        if self.crops > 1 {
            writeln!(f, "crops        {}", self.crops)?;
        }
        writeln!(f, "volume       {:.2} ml ({} voxels)", self.volume_ml, self.voxels)?;
        if let Some(measurements) = &self.measurements {
            writeln!(f, "diameters    {}", measurements.diameters())?;
        }
        if let Some(dice) = self.dice {
            writeln!(f, "dice         {}", dice.text(4, ""))?;
        }
        if let Some(path) = &self.probability {
            writeln!(f, "probability  {}", path.display())?;
        }
        if let Some(path) = &self.overlays {
            writeln!(f, "pictures     {}", path.join("overlay_views.png").display())?;
        }
        if let Some(path) = &self.session {
            writeln!(f, "session      {}", path.display())?;
        }
        if let Some(uid) = &self.stored {
            writeln!(f, "stored       {uid}")?;
        }
        Ok(())
    }
}

/// A progress bar that appears with the first crop.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Self(ProgressBar::hidden())
    }

    fn show(&self, done: usize, all: usize) {
        if self.0.is_hidden() && self.0.length().is_none() {
            self.0.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            self.0.set_length(all as u64);
            // With an invalid template the bar has its default style.
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
