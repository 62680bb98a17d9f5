//! The whole network: build, name its parameters, run.

mod embedding;
mod training;

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::{
    config::ModelConfig,
    encoder::ImageEncoder,
    error::ModelError,
    mask_decoder::MaskDecoder,
    precision::Precision,
    prompt::CropPrompt,
    prompt_encoder::PromptEncoders,
    role::{Role, role},
    tch_ext::add_residual,
};

pub use embedding::Embedding;
pub use training::Recompute;

/// A part of the network that has an optimiser and a gradient norm of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// Parameters under `image_encoder.`
    ImageEncoder,
    /// Parameters under `prompt_encoder.`
    PromptEncoder,
    /// Parameters under `mask_decoder.`
    MaskDecoder,
}

impl Module {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::ImageEncoder, Self::PromptEncoder, Self::MaskDecoder];

    /// First part of the names of its parameters.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ImageEncoder => "image_encoder.",
            Self::PromptEncoder => "prompt_encoder.",
            Self::MaskDecoder => "mask_decoder.",
        }
    }
}

/// The network. Holds its parameters; every parameter has the name it has in a checkpoint.
#[derive(Debug)]
pub struct Sam3d {
    config: ModelConfig,
    precision: Precision,
    store: VarStore,
    pub(crate) image_encoder: ImageEncoder,
    pub(crate) prompt_encoder: Option<PromptEncoders>,
    pub(crate) mask_decoder: MaskDecoder,
}

impl Sam3d {
    /// A network of `config` on `device`, with random parameters drawn from `seed`. What is frozen takes no gradient.
    ///
    /// # Errors
    /// [`ModelError::Config`] if the sizes do not fit each other.
    pub fn new(config: &ModelConfig, device: Device, seed: u64) -> Result<Self, ModelError> {
        config.validate()?;
        // libtorch draws initial values from one generator for the process.
        tch::manual_seed(seed as i64);
        let store = VarStore::new(device);
        let root = store.root();
        let mut image_encoder =
            ImageEncoder::new(&(&root / "image_encoder"), &config.encoder, &config.decoder.levels);
        image_encoder.reset_depth_positions();
        let channels = config.encoder.neck_channels as i64;
        let prompt_encoder = config
            .prompt
            .as_ref()
            .map(|prompt| PromptEncoders::new(&(&root / "prompt_encoder"), prompt, channels));
        let mask_decoder = MaskDecoder::new(&(&root / "mask_decoder"), config);
        let network = Self {
            config: config.clone(),
            precision: Precision::default(),
            store,
            image_encoder,
            prompt_encoder,
            mask_decoder,
        };
        for (name, tensor) in network.parameters() {
            let _ = tensor.set_requires_grad(network.role(&name) == Role::Trained);
        }
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// In what products and convolutions are computed; float32 at first.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Chooses in what products and convolutions are computed. Parameters stay float32.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// Where the parameters live.
    pub fn device(&self) -> Device {
        self.store.device()
    }

    /// Every tensor of a checkpoint by name, sorted. The tensors are the network's own, not copies.
    pub fn parameters(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// What training does with the tensor `name`.
    pub fn role(&self, name: &str) -> Role {
        role(name, self.config.encoder.tuning)
    }

    /// The trained parameters by name, sorted.
    pub fn trained_parameters(&self) -> BTreeMap<String, Tensor> {
        self.parameters().into_iter().filter(|(name, _)| self.role(name) == Role::Trained).collect()
    }

    /// Number of values of each role: trained and frozen.
    pub fn count_parameters(&self) -> ParameterCount {
        let mut count = ParameterCount::default();
        for (name, tensor) in self.parameters() {
            match self.role(&name) {
                Role::Trained => count.trained += tensor.numel(),
                Role::Frozen => count.frozen += tensor.numel(),
                Role::Buffer => {}
            }
        }
        count
    }

    /// Sets the relative positions along depth to the mean of SAM's two, as published, after SAM's weights are loaded.
    pub fn reset_depth_positions(&mut self) {
        self.image_encoder.reset_depth_positions();
    }

    /// The logits of background and target.
    ///
    /// # Shapes
    /// Normalised intensities `[B, 1, P, P, P]` in (D, H, W), B prompts on a grid of side P (none for the auto variant);
    /// gives `[B, 2, P, P, P]`.
    ///
    /// # Errors
    /// [`ModelError`] if the image or the prompts do not fit the configuration.
    pub fn forward(&self, image: &Tensor, prompts: &[CropPrompt]) -> Result<Tensor, ModelError> {
        self.decode(&self.encode(image)?, prompts)
    }

    /// What of a batch of crops does not depend on prompts.
    ///
    /// # Shapes
    /// Normalised intensities `[B, 1, P, P, P]` in (D, H, W).
    ///
    /// # Errors
    /// [`ModelError::ImageShape`] if the image does not fit the configuration.
    pub fn encode(&self, image: &Tensor) -> Result<Embedding, ModelError> {
        self.check_image(image)?;
        let _precision = self.precision.enter();
        Ok(self.encode_maps(self.image_encoder.forward(image), image))
    }

    fn check_image(&self, image: &Tensor) -> Result<(), ModelError> {
        let side = self.config.crop as i64;
        let found = image.size();
        if found.len() != 5 || found[0] < 1 || found[1..] != [1, side, side, side] {
            let batch = found.first().copied().unwrap_or(1).max(1);
            return Err(ModelError::ImageShape { found, expected: vec![batch, 1, side, side, side] });
        }
        Ok(())
    }

    /// The embedding of a batch whose feature maps are known.
    pub(crate) fn encode_maps(&self, maps: Vec<Tensor>, image: &Tensor) -> Embedding {
        let is_prompted = |slot: usize| {
            let level = self.config.decoder.levels[slot];
            self.prompt_encoder.as_ref().is_some_and(|encoders| encoders.has(level))
        };
        let (prompted, others): (Vec<_>, Vec<_>) =
            maps.into_iter().enumerate().partition(|(slot, _)| is_prompted(*slot));
        Embedding { prompted, shares: self.mask_decoder.shares(&others, image) }
    }

    /// The logits for prompts on an encoded crop.
    ///
    /// # Shapes
    /// B prompts on a grid of side P (none for the auto variant); gives `[B, 2, P, P, P]` in (D, H, W).
    ///
    /// # Errors
    /// [`ModelError::PromptCount`], [`ModelError::PromptExtent`], [`ModelError::PromptMissing`],
    /// [`ModelError::DensePromptsUnsupported`] or [`ModelError::DenseSize`] if the prompts do not fit.
    pub fn decode(&self, embedding: &Embedding, prompts: &[CropPrompt]) -> Result<Tensor, ModelError> {
        let _precision = self.precision.enter();
        let Some(encoders) = &self.prompt_encoder else {
            check_count(prompts, 0)?;
            return Ok(self.mask_decoder.finish(embedding.shares.copy()));
        };
        check_count(prompts, embedding.shares.size()[0] as usize)?;
        let accepts_dense = self.config.prompt.as_ref().is_some_and(|prompt| prompt.dense_prompts);
        for (sample, prompt) in prompts.iter().enumerate() {
            prompt.check(sample, self.config.crop, accepts_dense)?;
        }
        let mut sum = None;
        for (slot, map) in &embedding.prompted {
            let level = self.config.decoder.levels[*slot];
            let share = self.mask_decoder.share_of_map(*slot, &encoders.forward(level, map, prompts));
            sum = Some(add_residual(share, sum.as_ref().unwrap_or(&embedding.shares)));
        }
        Ok(self.mask_decoder.finish(sum.unwrap_or_else(|| embedding.shares.copy())))
    }

    /// The probability of the target in every voxel of one crop, without gradients.
    ///
    /// # Shapes
    /// `crop` holds P^3 normalised intensities in C order over (D, H, W); so does the result.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn predict(&self, crop: &[f32], prompts: &[CropPrompt]) -> Result<Vec<f32>, ModelError> {
        self.predict_embedded(&self.embed(crop)?, prompts)
    }

    /// The first half of [`predict`](Self::predict), which does not depend on prompts: worth keeping where more prompts on
    /// the same crop may follow.
    ///
    /// # Shapes
    /// `crop` holds P^3 normalised intensities in C order over (D, H, W).
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn embed(&self, crop: &[f32]) -> Result<Embedding, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let side = self.config.crop as i64;
        let expected = vec![1, 1, side, side, side];
        if crop.len() as i64 != side.pow(3) {
            return Err(ModelError::ImageShape { found: vec![crop.len() as i64], expected });
        }
        self.encode(&Tensor::from_slice(crop).view(expected.as_slice()).to_device(self.device()))
    }

    /// The second half of [`predict`](Self::predict): the probability for prompts on the crop that was embedded.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn predict_embedded(
        &self,
        embedding: &Embedding,
        prompts: &[CropPrompt],
    ) -> Result<Vec<f32>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let probability = self.decode(embedding, prompts)?.softmax(1, Kind::Float).select(1, 1);
        Ok(Vec::<f32>::try_from(probability.flatten(0, -1).to_device(Device::Cpu))?)
    }
}

/// Numbers of values in a network's parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParameterCount {
    /// Values that training updates.
    pub trained: usize,
    /// Values kept as SAM has them.
    pub frozen: usize,
}

fn check_count(prompts: &[CropPrompt], expected: usize) -> Result<(), ModelError> {
    if prompts.len() == expected {
        Ok(())
    } else {
        Err(ModelError::PromptCount { found: prompts.len(), expected })
    }
}
