//! Whole runs of the comparison networks at their small presets on two phantoms.
#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

#[path = "support/phantoms.rs"]
mod phantoms;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use sam3d_baselines::{BaselineCheckpoint, Method, Size};
use sam3d_data::dataset::{Dataset, comparison_preprocessing};
use sam3d_model::TensorFile;
use sam3d_train::{
    baseline::BaselineConfig,
    communicator::Communicator,
    config::TrainConfig,
    fit::{Ended, FitOptions, Outcome, fit, trial::trial},
    run::{Invocation, RunDirectory, StepRecord},
};
use tch::Device;

use self::phantoms::data;

/// The published recipe at the small preset, with epochs of four steps.
fn config(method: Method, out: &Path, epochs: u64) -> TrainConfig {
    let mut config = TrainConfig::comparison(method);
    config.baseline = Some(BaselineConfig::new(method, Size::Small));
    config.data = Some(data().to_owned());
    config.out = Some(out.to_owned());
    config.train.epochs = epochs;
    config.train.crops_per_case = 4;
    config.train.validate_every = 100;
    config
}

/// libtorch has one generator for the process: two tests at a time would draw each other's numbers.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(config: &TrainConfig, resume: bool) -> Outcome {
    let (stop, ranks) = (AtomicBool::new(false), Communicator::alone());
    let options = FitOptions {
        device: Device::Cpu,
        resume,
        stop: &stop,
        ranks: &ranks,
        invocation: Invocation::default(),
    };
    fit(config, &options, &mut |_| {}).unwrap()
}

fn steps(path: PathBuf) -> Vec<StepRecord> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_network_learns_in_twenty_steps() {
    let _alone = alone();
    let full = std::env::var_os("SAM3D_FULL_TESTS").is_some();
    if !full {
        println!("SKIPPED for all but UNETR++: takes minutes; runs with `cargo xtask test --full`");
    }
    for method in Method::ALL.into_iter().filter(|method| full || *method == Method::UnetrPp) {
        let place = tempfile::tempdir().unwrap();
        let config = config(method, &place.path().join("run"), 5);
        let outcome = run(&config, false);
        assert_eq!(outcome.ended, Ended::Complete);
        let steps = steps(outcome.directory.steps_path());
        assert_eq!(steps.len(), 20, "{method:?}");
        assert!(steps.iter().all(|step| step.taken && step.cases.len() == 2 && step.grad_norms[0] > 0.0));
        let mean = |steps: &[StepRecord]| {
            steps.iter().map(|step| step.loss.unwrap()).sum::<f64>() / steps.len() as f64
        };
        let (first, last) = (mean(&steps[..4]), mean(&steps[16..]));
        println!("{}: loss {first:.4} in the first epoch, {last:.4} in the fifth", method.name());
        assert!(last < 0.95 * first, "{method:?}: {first} {last}");

        let checkpoint = BaselineCheckpoint::read(&outcome.directory.best_path()).unwrap();
        assert_eq!(checkpoint.metadata.network, method.config(Size::Small));
        let dataset = Dataset::named("demo").unwrap();
        let preprocessing = comparison_preprocessing(&dataset).unwrap();
        assert_eq!(checkpoint.metadata.preprocessing, Some(preprocessing));
        assert_eq!(checkpoint.metadata.provenance.epoch, Some(5));
        checkpoint.into_network(Device::Cpu).unwrap();
        assert_eq!(RunDirectory::read_config(outcome.directory.path()).unwrap(), config);
    }
}

/// TransBTS drops values at random and remembers batch statistics; a run that goes on must do both as if it had not been
/// interrupted.
#[test]
fn a_resumed_run_is_the_same_to_the_last_bit() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let whole = run(&config(Method::Transbts, &place.path().join("whole"), 2), false);
    let mut parts = config(Method::Transbts, &place.path().join("parts"), 2);
    parts.train.stop_after = Some(1);
    assert_eq!(run(&parts, false).ended, Ended::StopAfter);
    parts.train.stop_after = None;
    let parts = run(&parts, true);
    let losses = |outcome: &Outcome| -> Vec<_> {
        steps(outcome.directory.steps_path()).iter().map(|step| step.loss).collect()
    };
    assert_eq!(losses(&whole), losses(&parts));
    let tensors = |outcome: &Outcome| TensorFile::read(&outcome.directory.last_path()).unwrap().tensors;
    let (whole, parts) = (tensors(&whole), tensors(&parts));
    assert!(whole.keys().any(|name| name.ends_with("running_var")));
    for (name, tensor) in &whole {
        assert!(tensor.equal(&parts[name]), "{name}");
    }
}

/// The published recipe leaves out crops that fill no batch; here that would be all of them.
#[test]
fn an_epoch_with_fewer_crops_than_a_step_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let mut config = config(Method::UnetrPp, &place.path().join("run"), 1);
    (config.train.crops_per_case, config.train.accumulate) = (1, 2);
    let (stop, ranks) = (AtomicBool::new(false), Communicator::alone());
    let options = FitOptions {
        device: Device::Cpu,
        resume: false,
        stop: &stop,
        ranks: &ranks,
        invocation: Invocation::default(),
    };
    let _alone = alone();
    let of_run = fit(&config, &options, &mut |_| {}).map(|_| ()).map_err(Box::new);
    let of_trial = trial(&config, Device::Cpu, &mut |_| true).map(|_| ()).map_err(Box::new);
    for refused in [of_run, of_trial] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("has 2 crops") && error.contains("than the 4 of one step"), "{error}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let refused = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = config(Method::UxNet, Path::new("nowhere"), 1);
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    let baseline =
        |change: &dyn Fn(&mut BaselineConfig)| refused(&|config| config.baseline.iter_mut().for_each(change));
    assert!(baseline(&|baseline| baseline.corrected = true).contains("no fault to correct"));
    let other = Method::Nnunet.config(Size::Small);
    assert!(
        baseline(&|baseline| baseline.network = Some(other.clone()))
            .contains("baseline.network.method is nnunet, expected it to be")
    );
    assert!(refused(&|config| config.point_labels = true).contains("point_labels"));
}

#[test]
fn settings_survive_the_file() {
    for method in Method::ALL {
        let mut config = TrainConfig::comparison(method);
        config.validate().unwrap();
        assert_eq!(toml::from_str::<TrainConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        if let Some(baseline) = &mut config.baseline {
            baseline.network = Some(method.config(Size::Small));
        }
        assert_eq!(toml::from_str::<TrainConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }
}
