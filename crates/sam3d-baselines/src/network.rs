//! The networks behind one type: build, name the parameters, run.

use std::collections::BTreeMap;

use sam3d_model::ModelError;
use tch::{
    Device, Kind, Tensor,
    nn::{Path, VarStore},
};

use crate::{
    config::NetworkConfig, nnformer::Nnformer, nnunet::Nnunet, swin_unetr::SwinUnetr, transbts,
    transbts::Transbts, unetr_pp::UnetrPp, ux_net::UxNet,
};

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Values and branches are dropped at random, and batch statistics are used and remembered.
    Train,
    /// Nothing is random, and remembered statistics are used: no sample influences another.
    Evaluate,
}

/// Is shown activations by name during a forward pass.
pub(crate) type Observe<'a> = dyn FnMut(&str, &Tensor) + 'a;

/// One of the networks.
#[derive(Debug)]
pub(crate) enum Network {
    Nnunet(Box<Nnunet>),
    Transbts(Box<Transbts>),
    Nnformer(Box<Nnformer>),
    SwinUnetr(Box<SwinUnetr>),
    UnetrPp(Box<UnetrPp>),
    UxNet(Box<UxNet>),
}

impl Network {
    fn new(path: &Path<'_>, config: &NetworkConfig) -> Self {
        match config {
            NetworkConfig::Nnunet(config) => Self::Nnunet(Box::new(Nnunet::new(path, config))),
            NetworkConfig::Transbts(config) => Self::Transbts(Box::new(Transbts::new(path, config))),
            NetworkConfig::Nnformer(config) => Self::Nnformer(Box::new(Nnformer::new(path, config))),
            NetworkConfig::SwinUnetr(config) => Self::SwinUnetr(Box::new(SwinUnetr::new(path, config))),
            NetworkConfig::UnetrPp(config) => Self::UnetrPp(Box::new(UnetrPp::new(path, config))),
            NetworkConfig::UxNet(config) => Self::UxNet(Box::new(UxNet::new(path, config))),
        }
    }

    fn forward(&self, image: &Tensor, mode: Mode, observe: &mut Observe<'_>) -> Tensor {
        match self {
            Self::Nnunet(network) => network.forward(image, mode, observe),
            Self::Transbts(network) => network.forward(image, mode, observe),
            Self::Nnformer(network) => network.forward(image, mode, observe),
            Self::SwinUnetr(network) => network.forward(image, mode, observe),
            Self::UnetrPp(network) => network.forward(image, mode, observe),
            Self::UxNet(network) => network.forward(image, mode, observe),
        }
    }
}

/// A comparison network. Holds its parameters; every parameter has the name it has in a published checkpoint.
#[derive(Debug)]
pub struct Baseline {
    config: NetworkConfig,
    store: VarStore,
    pub(crate) network: Network,
}

impl Baseline {
    /// A network of `config` on `device`, with random parameters drawn from `seed`.
    ///
    /// # Errors
    /// [`ModelError::Config`] if the sizes do not fit each other.
    pub fn new(config: &NetworkConfig, device: Device, seed: u64) -> Result<Self, ModelError> {
        config.validate()?;
        // libtorch draws initial values from one generator for the process.
        tch::manual_seed(seed as i64);
        let store = VarStore::new(device);
        let network = Network::new(&store.root(), config);
        Ok(Self { config: config.clone(), store, network })
    }

    /// The configuration.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Where the parameters live.
    pub fn device(&self) -> Device {
        self.store.device()
    }

    /// Every tensor of a checkpoint by name, sorted: parameters, and the running statistics of batch normalisation. The
    /// tensors are the network's own, not copies.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// The parameters by name, sorted; all of them are trained.
    pub fn parameters(&self) -> BTreeMap<String, Tensor> {
        self.tensors().into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect()
    }

    /// Number of values in the parameters.
    pub fn count_parameters(&self) -> usize {
        self.parameters().values().map(Tensor::numel).sum()
    }

    /// Names of the parameters that never influence the logits and therefore get no gradient: two unused layers of
    /// TransBTS, and the heads of nnU-Net that are for deep supervision.
    pub fn parameters_without_gradient(&self) -> Vec<String> {
        let unused = |name: &str| match &self.config {
            NetworkConfig::Transbts(_) => transbts::UNUSED.iter().any(|prefix| name.starts_with(prefix)),
            NetworkConfig::Nnunet(config) => {
                let last = format!("decoder.seg_layers.{}.", config.decoder_kernels.len() - 1);
                name.starts_with("decoder.seg_layers.") && !name.starts_with(&last)
            }
            _ => false,
        };
        self.parameters().into_keys().filter(|name| unused(name)).collect()
    }

    /// The logits of background and target.
    ///
    /// # Shapes
    /// Intensities in [0, 1] `[B, 1, D, H, W]`, the crop of the configuration; gives `[B, 2, D, H, W]`.
    ///
    /// # Errors
    /// [`ModelError::ImageShape`] if the image does not fit the configuration.
    pub fn forward(&self, image: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        self.forward_observed(image, mode, &mut |_, _| ())
    }

    pub(crate) fn forward_observed(
        &self,
        image: &Tensor,
        mode: Mode,
        observe: &mut Observe<'_>,
    ) -> Result<Tensor, ModelError> {
        let [d, h, w] = self.config.crop().map(|side| side as i64);
        let found = image.size();
        if found.len() != 5 || found[0] < 1 || found[1..] != [1, d, h, w] {
            let batch = found.first().copied().unwrap_or(1).max(1);
            return Err(ModelError::ImageShape { found, expected: vec![batch, 1, d, h, w] });
        }
        Ok(self.network.forward(image, mode, observe))
    }

    /// Adds the gradient of `loss` to the gradient of every parameter and gives the loss. A loss that is no finite number
    /// adds nothing.
    ///
    /// # Shapes
    /// `image` as [`forward`](Self::forward); `loss` is given the logits and returns a scalar.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn backward(&self, image: &Tensor, loss: impl FnOnce(&Tensor) -> Tensor) -> Result<f64, ModelError> {
        let loss = loss(&self.forward(image, Mode::Train)?);
        let value = loss.double_value(&[]);
        if value.is_finite() {
            loss.f_backward()?;
        }
        Ok(value)
    }

    /// The logits of crops, without gradients.
    ///
    /// # Shapes
    /// `crops` holds B crops of intensities, each in C order over (D, H, W); the result holds B times the logits of
    /// background, then of target, in the same order.
    ///
    /// # Errors
    /// [`ModelError::ImageShape`] if `crops` is not a whole number of crops.
    pub fn predict(&self, crops: &[f32]) -> Result<Vec<f32>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let sides = self.config.crop();
        let [d, h, w] = sides.map(|side| side as i64);
        let voxels: usize = sides.iter().product();
        if crops.is_empty() || !crops.len().is_multiple_of(voxels) {
            let found = vec![crops.len() as i64];
            return Err(ModelError::ImageShape { found, expected: vec![1, 1, d, h, w] });
        }
        let image = Tensor::f_from_slice(crops)?.f_view([-1, 1, d, h, w])?.to_device(self.device());
        let logits = self.forward(&image, Mode::Evaluate)?;
        Ok(Vec::<f32>::try_from(logits.to_kind(Kind::Float).flatten(0, -1).to_device(Device::Cpu))?)
    }

    /// Copies `tensors` into the network's tensors of the same names. Both sides must agree in names, shapes and types.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first difference; the network is then unchanged.
    pub fn load(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        let own = self.tensors();
        let differs = |detail: String| Err(ModelError::Weights { detail });
        if let Some(name) = own.keys().find(|name| !tensors.contains_key(*name)) {
            return differs(format!("{name} is missing"));
        }
        for (name, tensor) in tensors {
            let Some(own) = own.get(name) else {
                return differs(format!("{name} is not a tensor of {}", self.config.method().title()));
            };
            if own.size() != tensor.size() {
                return differs(format!("{name} has shape {:?}, expected {:?}", tensor.size(), own.size()));
            }
            if own.kind() != tensor.kind() {
                return differs(format!("{name} has type {:?}, expected {:?}", tensor.kind(), own.kind()));
            }
        }
        let _no_grad = tch::no_grad_guard();
        for (name, tensor) in tensors {
            if let Some(own) = own.get(name) {
                own.shallow_clone().f_copy_(tensor)?;
            }
        }
        Ok(())
    }
}
