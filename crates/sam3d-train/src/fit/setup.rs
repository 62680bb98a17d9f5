//! The start of a run: its cases and its network.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sam3d_baselines::{Baseline, BaselineCheckpoint};
use sam3d_data::{
    augment::AugmentConfig,
    case_store::CaseStore,
    crops::{Crops, Sampling},
    dataset::{PreparedDataset, comparison_preprocessing},
    splits::Part,
};
use sam3d_model::{Base, Checkpoint, ConvertOptions, ModelError, Sam3d, TensorFile, convert, sha256_of};
use sam3d_pickle::Limits;
use tch::{Device, Tensor};

use super::learner::TrainingCrops;
use crate::{
    TrainError,
    baseline::BaselineConfig,
    config::{ModelChoice, TrainConfig},
    run::{BASE_FILE, RunDirectory},
    trainable::TrainableNetwork,
};

/// The loaders of a run's crops.
pub(crate) fn crops(config: &TrainConfig, prepared: &PreparedDataset) -> Result<TrainingCrops, TrainError> {
    let dataset = &prepared.dataset;
    let storage = config.storage()?;
    let (preprocessing, sampling) = match &config.baseline {
        None => {
            let published = || AugmentConfig::published(dataset.in_plane_augmentation);
            let augmentation = config.augmentation.clone().unwrap_or_else(published);
            let side = config.network().crop;
            (dataset.preprocessing, Sampling::Clicks { augmentation, side })
        }
        Some(baseline) => {
            let augmentation = baseline.augmentation(dataset);
            let sides = baseline.network()?.crop();
            (comparison_preprocessing(dataset)?, Sampling::Comparison { augmentation, sides })
        }
    };
    let crops = |part: Part| {
        let cases: Vec<_> = prepared.part(config.fold, part)?.into_iter().cloned().collect();
        if cases.is_empty() {
            return Err(TrainError::SplitEmpty { dataset: dataset.name.clone(), split: part.name() });
        }
        let cases = CaseStore::new(cases, dataset.target_class, preprocessing, storage.clone());
        Ok(Arc::new(Crops { cases, sampling: sampling.clone(), seed: config.seed }))
    };
    Ok(TrainingCrops { train: crops(Part::Train)?, validation: crops(Part::Validation)? })
}

/// A network before its first step.
pub(crate) struct Start {
    pub(crate) network: TrainableNetwork,
    /// The file it starts from, in full and with its hash; `None` if what stays frozen is in no file yet.
    pub(crate) base: Option<Base>,
    /// SHA-256 of the file named as `pretrained`.
    pub(crate) pretrained_sha256: Option<String>,
}

impl Start {
    /// The network of `config`: its weights from `pretrained` where that has them, the others at random.
    pub(crate) fn of(config: &TrainConfig, device: Device) -> Result<Self, TrainError> {
        if let Some(baseline) = &config.baseline {
            return Self::of_baseline(config, baseline, device);
        }
        let mut network = Sam3d::new(&config.network(), device, config.seed)?;
        let Some(path) = &config.pretrained else {
            let network = TrainableNetwork::Sam3d(Box::new(network));
            return Ok(Self { network, base: None, pretrained_sha256: None });
        };
        let (tensors, base) = read_weights(path, config)?;
        load(&mut network, &tensors)
            .map_err(|error| ModelError::Checkpoint { path: path.clone(), detail: error.to_string() })?;
        let network = TrainableNetwork::Sam3d(Box::new(network));
        Ok(Self { network, base, pretrained_sha256: Some(sha256_of(path)?) })
    }

    fn of_baseline(
        config: &TrainConfig,
        baseline: &BaselineConfig,
        device: Device,
    ) -> Result<Self, TrainError> {
        let mut network = Baseline::new(&baseline.network()?, device, config.seed)?;
        if let Some(path) = &baseline.swin_encoder {
            network.load_swin_encoder(path, &Limits::default())?;
        }
        let path = config.pretrained.as_ref();
        if let Some(path) = path {
            network
                .load(&BaselineCheckpoint::read(path)?.tensors)
                .map_err(|error| ModelError::Checkpoint { path: path.clone(), detail: error.to_string() })?;
        }
        let started_from = path.or(baseline.swin_encoder.as_ref());
        let pretrained_sha256 = started_from.map(|path| sha256_of(path)).transpose()?;
        Ok(Self { network: TrainableNetwork::Baseline(Box::new(network)), base: None, pretrained_sha256 })
    }

    /// The file with what stays frozen; it is written into `directory` if it is in none yet.
    pub(crate) fn base(&self, directory: &RunDirectory) -> Result<Base, TrainError> {
        if let Some(base) = &self.base {
            return Ok(base.clone());
        }
        let TrainableNetwork::Sam3d(network) = &self.network else {
            // Nothing stays frozen in a comparison network.
            return Ok(Base::default());
        };
        let trained = network.trained_parameters();
        let mut tensors = network.parameters();
        tensors.retain(|name, _| !trained.contains_key(name));
        let path = directory.base_path();
        TensorFile { tensors, metadata: HashMap::new() }.write(&path)?;
        Ok(Base::of(&path, PathBuf::from(BASE_FILE))?)
    }
}

/// The network of a resumed run: frozen weights from its base, everything else to be restored.
pub(crate) fn network_of_base(
    config: &TrainConfig,
    device: Device,
    directory: &RunDirectory,
    base: &Base,
) -> Result<TrainableNetwork, TrainError> {
    if let Some(baseline) = &config.baseline {
        return Ok(TrainableNetwork::Baseline(Box::new(Baseline::new(
            &baseline.network()?,
            device,
            config.seed,
        )?)));
    }
    let mut network = Sam3d::new(&config.network(), device, config.seed)?;
    let tensors = base.read(&directory.last_path(), None)?.tensors;
    load(&mut network, &tensors)?;
    Ok(TrainableNetwork::Sam3d(Box::new(network)))
}

/// The weights in `path`, and the file that holds what stays frozen if a checkpoint can refer to it.
fn read_weights(
    path: &Path,
    config: &TrainConfig,
) -> Result<(BTreeMap<String, Tensor>, Option<Base>), TrainError> {
    let absolute = |path: &Path| {
        fs::canonicalize(path).map_err(|source| TrainError::File {
            action: "find",
            path: path.to_owned(),
            source,
        })
    };
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        let checkpoint = Checkpoint::read(path)?;
        let base = match &checkpoint.metadata.base {
            // Weights that were frozen in that run are frozen in this one, too.
            Some(base) => Base { path: absolute(&base.locate(path, None)?)?, sha256: base.sha256.clone() },
            None => Base::of(path, absolute(path)?)?,
        };
        return Ok((checkpoint.tensors, Some(base)));
    }
    let ModelChoice::Preset(preset) = config.model else {
        let (field, found) = ("pretrained", path.display().to_string());
        let expected = "a .safetensors file for a network that is not a preset";
        return Err(TrainError::Setting { field, found, expected });
    };
    let options = ConvertOptions { preset: Some(preset), seed: config.seed, ..ConvertOptions::default() };
    let (network, _) = convert(path, &options)?;
    Ok((network.parameters(), None))
}

/// Copies `tensors` into the parameters of the same names. What stays frozen must be among them; what is trained begins
/// anew where its shape is another, as in a variant of the network.
fn load(network: &mut Sam3d, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
    let trained = network.trained_parameters();
    let parameters = network.parameters();
    if let Some(name) =
        parameters.keys().find(|name| !trained.contains_key(*name) && !tensors.contains_key(*name))
    {
        let detail = format!("{name} is missing, which training would not change");
        return Err(ModelError::Weights { detail });
    }
    let known = tensors
        .iter()
        .filter(|(name, tensor)| {
            let fits = |own: &Tensor| own.size() == tensor.size() || !trained.contains_key(*name);
            parameters.get(*name).is_some_and(fits)
        })
        .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
        .collect();
    network.load_some(&known)
}
