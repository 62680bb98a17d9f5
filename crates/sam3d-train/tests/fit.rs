//! Whole runs of a small network on two phantoms: what the options of a run do.
#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

#[path = "support/phantoms.rs"]
mod phantoms;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, atomic::AtomicBool},
};

use sam3d_model::{Checkpoint, TensorFile};
use sam3d_train::{
    TrainError,
    communicator::Communicator,
    config::TrainConfig,
    fit::{Ended, Event, FitOptions, Outcome, fit, trial::trial},
    run::{EpochRecord, Invocation, Manifest, RunDirectory, StepRecord},
};
use tch::Device;

use self::phantoms::data;

const SMALL: &str = r#"
[model]
crop = 32
encoder = { embed_dim = 16, depth = 4, num_heads = 2, mlp_ratio = 2, global_blocks = [], token_grid = 8, patch_size = 16, window = 4, sam_window = 14, neck_channels = 16 }
prompt = { depth = 1, num_heads = 2, mlp_dim = 16, global_queries = 4, attention_downsample_rate = 2, num_pos_feats = 4 }
decoder = { head_channels = 8, hidden_channels = 8 }
"#;

fn config(out: &Path, settings: &str) -> TrainConfig {
    let mut config: TrainConfig = toml::from_str(&format!("{settings}\n{SMALL}")).unwrap();
    config.data = Some(data().to_owned());
    config.out = Some(out.to_owned());
    config
}

/// Initial weights come from libtorch's one generator, which runs at the same time would draw from in turn.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run_with(
    config: &TrainConfig,
    resume: bool,
    observe: &mut dyn FnMut(&Event<'_>),
) -> Result<Outcome, Box<TrainError>> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (stop, ranks) = (AtomicBool::new(false), Communicator::alone());
    let options = FitOptions {
        device: Device::Cpu,
        resume,
        stop: &stop,
        ranks: &ranks,
        invocation: Invocation::default(),
    };
    fit(config, &options, observe).map_err(Box::new)
}

fn run(config: &TrainConfig) -> Outcome {
    run_with(config, false, &mut |_| {}).unwrap()
}

fn lines<R: serde::de::DeserializeOwned>(path: PathBuf) -> Vec<R> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn losses(outcome: &Outcome) -> Vec<f64> {
    let steps: Vec<StepRecord> = lines(outcome.directory.steps_path());
    steps.iter().map(|step| step.loss.unwrap()).collect()
}

#[test]
fn a_batch_is_the_same_as_its_parts_accumulated() {
    let place = tempfile::tempdir().unwrap();
    let settings = |batch: usize, accumulate: usize| {
        format!(
            "train = {{ epochs = 1, crops_per_case = 5, batch_size = {batch}, accumulate = {accumulate} }}"
        )
    };
    let batches = run(&config(&place.path().join("batches"), &settings(4, 1)));
    let parts = run(&config(&place.path().join("parts"), &settings(1, 4)));
    // Ten crops: two steps of four, one of two.
    assert_eq!((batches.progress.steps, parts.progress.steps), (3, 3));
    for (a, b) in losses(&batches).iter().zip(losses(&parts)) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn averaged_weights_are_what_checkpoints_hold_and_raw_ones_what_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let averaged =
        config(&place.path().join("a"), "train = { epochs = 1, crops_per_case = 2, ema_decay = 0.9 }");
    let plain = config(&place.path().join("b"), "train = { epochs = 1, crops_per_case = 2 }");
    let (averaged, plain) = (run(&averaged), run(&plain));
    assert_eq!(losses(&averaged), losses(&plain));
    let last = |outcome: &Outcome| Checkpoint::read(&outcome.directory.last_path()).unwrap().tensors;
    let (averaged_weights, plain_weights) = (last(&averaged), last(&plain));
    let state = TensorFile::read(&averaged.directory.state_path()).unwrap().tensors;
    let name = "mask_decoder.cls.3.weight";
    assert!(!averaged_weights[name].equal(&plain_weights[name]));
    assert!(state[&format!("weight/{name}")].equal(&plain_weights[name]));
    assert!(state[&format!("average/{name}")].equal(&averaged_weights[name]));
}

#[test]
fn a_run_ends_when_its_validation_loss_falls_no_more_or_its_epochs_are_done() {
    let place = tempfile::tempdir().unwrap();
    // With such a rate no weight changes, so no validation is better than the first.
    let still = "optimiser = { learning_rate = 1e-12 }\n\
        train = { epochs = 50, patience = 2, validate_every = 2, schedule = \"constant\" }";
    let outcome = run(&config(&place.path().join("still"), still));
    assert_eq!((outcome.ended, outcome.progress.epochs), (Ended::NoBetter, 6));
    let epochs: Vec<EpochRecord> = lines(outcome.directory.metrics_path());
    let validated: Vec<bool> = epochs.iter().map(|epoch| epoch.validation_loss.is_some()).collect();
    assert_eq!(validated, [false, true, false, true, false, true]);
    assert_eq!(outcome.progress.best_epoch, Some(1));

    let outcome = run(&config(&place.path().join("whole"), "fold = 1\ntrain = { epochs = 1 }"));
    assert_eq!((outcome.ended, outcome.progress.epochs), (Ended::Complete, 1));
}

#[test]
fn steps_that_are_not_finite_are_left_out_and_too_many_of_them_end_the_run() {
    let place = tempfile::tempdir().unwrap();
    // Beyond what a 32-bit loss can be.
    let settings = "loss = { dice_weight = 1e39 }\n\
        train = { epochs = 2, crops_per_case = 2, max_skipped_steps = 4 }";
    let broken = config(&place.path().join("broken"), settings);
    let mut skipped = Vec::new();
    let error = run_with(&broken, false, &mut |event| {
        if let Event::Skipped { cases, report } = event {
            assert!(!report.taken && !report.loss.is_finite());
            skipped.push(cases.to_vec());
        }
    })
    .unwrap_err()
    .to_string();
    assert_eq!(skipped.len(), 5, "{skipped:?}");
    assert!(error.contains(&skipped[4][0]) && error.contains("train.max_skipped_steps"), "{error}");
    // The epoch before is saved, with the weights as they were at the start.
    let directory = place.path().join("broken");
    let epochs: Vec<EpochRecord> = lines(directory.join("metrics.jsonl"));
    assert_eq!((epochs.len(), epochs[0].skipped, epochs[0].train_loss), (1, 4, None));
    let mut mended = broken.clone();
    mended.loss.dice_weight = 0.5;
    let outcome = run_with(&mended, true, &mut |_| {}).unwrap();
    assert_eq!((outcome.progress.steps, outcome.progress.skipped), (4, 4));
    let fresh = run(&config(&place.path().join("fresh"), "train = { epochs = 2, crops_per_case = 2 }"));
    let steps: Vec<StepRecord> = lines(outcome.directory.steps_path());
    // Nothing was learned in the first epoch, so the second begins with untouched weights.
    assert!(steps[..4].iter().all(|step| step.loss.is_none() && !step.taken));
    assert_ne!(steps[4].loss, Some(losses(&fresh)[4]));
}

/// A rate at which the first step ruins the weights: every loss after it is NaN.
#[test]
fn a_validation_loss_that_is_not_finite_is_not_the_best() {
    let place = tempfile::tempdir().unwrap();
    let settings = "optimiser = { learning_rate = 1e30 }\ntrain = { epochs = 1 }";
    let outcome = run(&config(&place.path().join("run"), settings));
    let epochs: Vec<EpochRecord> = lines(outcome.directory.metrics_path());
    assert_eq!((epochs.len(), epochs[0].validation_loss), (1, None));
    assert_eq!((outcome.progress.best, outcome.progress.best_epoch), (None, None));
    assert!(outcome.directory.last_path().exists() && !outcome.directory.best_path().exists());
}

#[test]
fn a_directory_belongs_to_one_run_at_a_time_and_is_free_after_it() {
    let place = tempfile::tempdir().unwrap();
    let config = config(&place.path().join("run"), "train = { epochs = 2, stop_after = 1 }");
    let mut refused = 0;
    let first = run_with(&config, false, &mut |event| {
        if let Event::Started { .. } = event {
            let error = RunDirectory::create(&place.path().join("run")).map(|_| ()).unwrap_err();
            assert!(matches!(error, TrainError::RunInUse { .. }), "{error}");
            refused += 1;
        }
    });
    assert_eq!((first.unwrap().ended, refused), (Ended::StopAfter, 1));
    let rest = TrainConfig {
        train: sam3d_train::config::LoopConfig { stop_after: None, ..config.train.clone() },
        ..config
    };
    assert_eq!(run_with(&rest, true, &mut |_| {}).unwrap().ended, Ended::Complete);
}

#[test]
fn a_run_whose_length_is_a_time_spends_it_whatever_interrupts_it() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("run");
    // A validation ends the run, and none comes before. The rate falls to a tenth over the time.
    let settings = "train = { epochs = 1, minutes = 0.05, end_factor = 0.1, validate_every = 1000, save_every_steps = 1, \
        max_minutes = 1e-6 }";
    let mut interrupted = config(&out, settings);
    let mut seconds = None;
    let first = run_with(&interrupted, false, &mut |event| {
        if let Event::Started { seconds: given, .. } = event {
            seconds = *given;
        }
    })
    .unwrap();
    assert_eq!((first.ended, seconds), (Ended::OutOfTime, Some([3.0, 0.0])));
    interrupted.train.max_minutes = None;
    let mut half = None;
    let stop_at_half = TrainConfig {
        train: sam3d_train::config::LoopConfig { minutes: Some(0.01), ..interrupted.train.clone() },
        ..interrupted.clone()
    };
    let middle = run_with(&stop_at_half, true, &mut |event| {
        if let Event::Epoch { record, .. } = event {
            half = record.validation_loss;
        }
    })
    .unwrap();
    assert!(middle.ended == Ended::Complete && middle.progress.trained_seconds >= 0.6 && half.is_some());
    let outcome = run_with(&interrupted, true, &mut |_| {}).unwrap();
    assert_eq!((outcome.ended, outcome.progress.step), (Ended::Complete, 0));
    let steps: Vec<StepRecord> = lines(outcome.directory.steps_path());
    let trained: f64 = steps.iter().map(|step| step.seconds).sum();
    assert!((trained - outcome.progress.trained_seconds).abs() < 1e-6, "{trained}");
    let last = steps.last().unwrap();
    assert!(trained >= 3.0 && trained - last.seconds < 3.0, "{trained}");
    assert!(outcome.progress.epochs > 1, "{:?}", outcome.progress);
    // The rate of a step follows from the time before it.
    let before = (trained - last.seconds) / 3.0;
    assert!((last.learning_rate / 4e-4 - (1.0 - 0.9 * before)).abs() < 1e-6, "{last:?}");
    let epochs: Vec<EpochRecord> = lines(outcome.directory.metrics_path());
    assert!(epochs.last().unwrap().validation_loss.is_some());
    assert!(outcome.directory.best_path().exists());
    // What is complete stays complete.
    assert_eq!(run_with(&interrupted, true, &mut |_| {}).unwrap().progress.steps, outcome.progress.steps);
}

#[test]
fn labelled_points_are_trained_and_another_split_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let labelled = config(&place.path().join("labelled"), "point_labels = true\ntrain = { epochs = 1 }");
    let outcome = run(&labelled);
    let checkpoint = Checkpoint::read(&outcome.directory.last_path()).unwrap();
    assert!(checkpoint.metadata.model.prompt.unwrap().point_labels);
    let embedding = &checkpoint.tensors["prompt_encoder.point_labels"];
    // Positive and negative points occurred, and each moved its row away from zero.
    for row in 0..2 {
        assert!(embedding.get(row).abs().max().double_value(&[]) > 0.0, "row {row}");
    }

    let manifest = Manifest::read(&outcome.directory).unwrap();
    assert_eq!((manifest.base.path.to_str(), manifest.sessions.len()), (Some("base.safetensors"), 1));
    let error = run_with(&TrainConfig { fold: 1, ..labelled }, true, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("manifest.json") && error.contains("split"), "{error}");
}

#[test]
fn full_checkpoints_need_nothing_else_and_others_start_a_run() {
    let place = tempfile::tempdir().unwrap();
    let full = run(&config(&place.path().join("full"), "train = { epochs = 1, full_checkpoints = true }"));
    let last = full.directory.last_path();
    fs::rename(&last, place.path().join("alone.safetensors")).unwrap();
    let alone = Checkpoint::read(&place.path().join("alone.safetensors")).unwrap();
    assert_eq!(alone.metadata.base, None);

    // A run that starts from another run's partial checkpoint keeps that run's base.
    let first = run(&config(&place.path().join("first"), "train = { epochs = 1 }"));
    let mut second = config(&place.path().join("second"), "seed = 9\ntrain = { epochs = 1 }");
    second.pretrained = Some(first.directory.last_path());
    let second = run(&second);
    let base = Manifest::read(&second.directory).unwrap().base;
    assert_eq!(base.path, fs::canonicalize(first.directory.base_path()).unwrap());
    assert!(!second.directory.base_path().exists());
    let weights = Checkpoint::read(&second.directory.last_path()).unwrap().tensors;
    let name = "image_encoder.blocks.0.attn.qkv.weight";
    assert!(weights[name].equal(&Checkpoint::read(&first.directory.last_path()).unwrap().tensors[name]));
}

const INTERACTIVE: &str = "variant = { dense_prompts = true }\noptimiser = { learning_rate = 2e-3 }\n";

fn interactive(out: &Path, train: &str) -> TrainConfig {
    config(out, &format!("{INTERACTIVE}train = {{ {train} }}"))
}

#[test]
fn a_network_learns_from_a_simulated_user_and_resumes_exactly() {
    let place = tempfile::tempdir().unwrap();
    let train = "epochs = 6, crops_per_case = 4, batch_size = 2, interaction = { rounds = 2 }";
    let config = interactive(&place.path().join("whole"), train);
    let whole = run(&config);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let all = losses(&whole);
    assert_eq!(all.len(), 24);
    println!("{all:?}");
    assert!(mean(&all[20..]) < 0.9 * mean(&all[..4]), "{all:?}");
    let epochs: Vec<EpochRecord> = lines(whole.directory.metrics_path());
    for epoch in &epochs {
        let [first, last] = epoch.validation_rounds.unwrap();
        assert_eq!(epoch.validation_loss, Some((first + last) / 2.0));
    }
    // The encoder of dense prompts begins at zero and was used.
    let checkpoint = Checkpoint::read(&whole.directory.last_path()).unwrap();
    let dense = checkpoint.tensors.iter().filter(|(name, _)| name.starts_with("prompt_encoder.dense."));
    assert!(dense.clone().count() > 0);
    for (name, tensor) in dense {
        assert!(tensor.abs().max().double_value(&[]) > 0.0, "{name}");
    }

    let mut parts = TrainConfig { out: Some(place.path().join("parts")), ..config };
    parts.train.stop_after = Some(2);
    assert_eq!(run(&parts).ended, Ended::StopAfter);
    parts.train.stop_after = None;
    let parts = run_with(&parts, true, &mut |_| {}).unwrap();
    assert_eq!(losses(&parts), all);
    let state = |outcome: &Outcome| TensorFile::read(&outcome.directory.state_path()).unwrap().tensors;
    let (whole, parts) = (state(&whole), state(&parts));
    assert!(whole.keys().eq(parts.keys()));
    for (name, tensor) in &whole {
        assert!(tensor.equal(&parts[name]), "{name}");
    }
}

#[test]
fn one_round_of_published_clicks_is_the_published_step_and_batches_can_be_accumulated() {
    let place = tempfile::tempdir().unwrap();
    let run = |name: &str, train: &str| losses(&run(&interactive(&place.path().join(name), train)));
    let plain = run("plain", "epochs = 1, crops_per_case = 2");
    let first = "{ click = 0.0, bounding_box = 0.0, lasso = 0.0, scribble = 0.0, mask = 0.0 }";
    let published =
        format!("epochs = 1, crops_per_case = 2, interaction = {{ rounds = 1, first = {first} }}");
    assert_eq!(run("published", &published), plain);

    let rounds = "epochs = 1, crops_per_case = 4, interaction = { rounds = 3 }";
    let batches = run("batches", &format!("{rounds}, batch_size = 4"));
    let parts = run("parts", &format!("{rounds}, accumulate = 4"));
    assert_eq!((batches.len(), parts.len()), (2, 2));
    for (a, b) in batches.iter().zip(parts) {
        // A voxel whose logits are equal but for rounding may be predicted otherwise, and corrected.
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}

#[test]
fn a_trial_takes_three_steps_and_writes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let config = config(&place.path().join("run"), "train = { epochs = 7 }");
    let mut shape = None;
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let trial = trial(&config, Device::Cpu, &mut |found| {
        shape = Some(*found);
        true
    });
    let (trial, shape) = (trial.unwrap().unwrap(), shape.unwrap());
    assert_eq!((shape.train_cases, shape.validation_cases, shape.steps_per_epoch), (2, 1, 2));
    assert_eq!((trial.step_seconds.len(), trial.losses.len()), (3, 3));
    assert!(trial.epoch_seconds > 0.0 && trial.losses.iter().all(|loss| loss.is_finite()));
    assert!(!place.path().join("run").exists() && trial.interaction_cost.is_none());
    let rounds = interactive(&place.path().join("run"), "interaction = { rounds = 4 }");
    let trial = sam3d_train::fit::trial::trial(&rounds, Device::Cpu, &mut |_| true).unwrap().unwrap();
    let cost = trial.interaction_cost.unwrap();
    println!("a step of four rounds takes {cost:.2} times as long as one of one");
    assert!(cost > 0.0 && trial.losses.iter().all(|loss| loss.is_finite()));
    assert!(sam3d_train::fit::trial::trial(&config, Device::Cpu, &mut |_| false).unwrap().is_none());
}
