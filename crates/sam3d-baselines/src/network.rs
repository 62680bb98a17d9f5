//! One type for all comparison networks.

use std::collections::BTreeMap;

use sam3d_model::{ModelError, load_all};
use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::{
    config::NetworkConfig, layers::Path, nnformer::Nnformer, nnunet::Nnunet, swin_unetr::SwinUnetr,
    transbts::Transbts, unetr_pp::UnetrPp, ux_net::UxNet,
};

/// Mode of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With dropout, and with batch statistics, which update the running ones.
    Train,
    /// Without dropout, and with running statistics: samples are independent.
    Evaluate,
}

/// Receives activations by name during a forward pass.
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

/// A comparison network with its parameters, which have the same names as in published checkpoints.
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
    /// [`ModelError::Config`] if the sizes are not compatible.
    pub fn new(config: &NetworkConfig, device: Device, seed: u64) -> Result<Self, ModelError> {
        config.validate()?;
        let store = VarStore::new(device);
        let network = Network::new(&Path::root(&store, seed), config);
        Ok(Self { config: config.clone(), store, network })
    }

    /// The configuration.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The device of the parameters.
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

    /// Adds the gradient of `loss` to the gradient of every parameter and gives the loss. A loss that is not finite
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

    /// The target's logit less the background's in every voxel of one window, without gradients. Its sign is the class, and
    /// its sigmoid the target's softmax.
    ///
    /// # Shapes
    /// As [`predict`](Self::predict); the result has one channel.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn target_logit(&self, window: &[f32]) -> Result<Vec<f32>, ModelError> {
        let logits = self.predict(window)?;
        let (background, target) = logits.split_at(window.len());
        Ok(target.iter().zip(background).map(|(target, background)| target - background).collect())
    }

    /// Copies `tensors` into the network's tensors of the same names. Both sides must agree in names, shapes and types.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first difference; the network is then unchanged.
    pub fn load(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        load_all(&self.tensors(), tensors, self.config.method().title())
    }
}
