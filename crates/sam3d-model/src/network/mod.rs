//! The whole network: build, name its parameters, run.

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
    tch_ext::{Path, add_residual},
};

pub use training::Recompute;

/// A part of the network whose gradients are clipped separately.
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
    /// Every module.
    pub const ALL: [Self; 3] = [Self::ImageEncoder, Self::PromptEncoder, Self::MaskDecoder];

    /// Prefix of its parameters' names.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ImageEncoder => "image_encoder.",
            Self::PromptEncoder => "prompt_encoder.",
            Self::MaskDecoder => "mask_decoder.",
        }
    }
}

/// The network with its parameters, which have the same names as in checkpoints.
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
    /// A network of `config` on `device`, with random parameters drawn from `seed`. Frozen parameters take no gradient.
    ///
    /// # Errors
    /// [`ModelError::Config`] if the sizes do not fit each other.
    pub fn new(config: &ModelConfig, device: Device, seed: u64) -> Result<Self, ModelError> {
        config.validate()?;
        let store = VarStore::new(device);
        let root = Path::root(&store, seed);
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

    /// The number format of products and convolutions; float32 by default.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Sets the number format of products and convolutions. Parameters stay float32.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// The device of the parameters.
    pub fn device(&self) -> Device {
        self.store.device()
    }

    /// Every tensor of a checkpoint by name, sorted. The tensors are the network's own, not copies.
    pub fn parameters(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// The role of the tensor `name` in training.
    pub fn role(&self, name: &str) -> Role {
        role(name, self.config.encoder.tuning)
    }

    /// The trained parameters by name, sorted.
    pub fn trained_parameters(&self) -> BTreeMap<String, Tensor> {
        self.parameters().into_iter().filter(|(name, _)| self.role(name) == Role::Trained).collect()
    }

    /// Numbers of trained and frozen values.
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

    /// The part of the forward pass that does not depend on prompts.
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

    /// Like [`encode`](Self::encode), and asks `go_on` after each block of the encoder whether to go on; `None` if not.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_while(
        &self,
        image: &Tensor,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Embedding>, ModelError> {
        self.check_image(image)?;
        let _precision = self.precision.enter();
        let maps = self.image_encoder.forward_while(image, &mut |_, _| go_on());
        Ok(maps.map(|maps| self.encode_maps(maps, image)))
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
        Embedding { prompted, contributions: self.mask_decoder.contributions(&others, image) }
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
            return Ok(self.mask_decoder.finish(embedding.contributions.copy()));
        };
        check_count(prompts, embedding.contributions.size()[0] as usize)?;
        let accepts_dense = self.config.prompt.as_ref().is_some_and(|prompt| prompt.dense_prompts);
        for (sample, prompt) in prompts.iter().enumerate() {
            prompt.check(sample, self.config.crop, accepts_dense)?;
        }
        let mut sum = None;
        for (slot, map) in &embedding.prompted {
            let level = self.config.decoder.levels[*slot];
            let contribution =
                self.mask_decoder.map_contribution(*slot, &encoders.forward(level, map, prompts));
            sum = Some(add_residual(contribution, sum.as_ref().unwrap_or(&embedding.contributions)));
        }
        Ok(self.mask_decoder.finish(sum.unwrap_or_else(|| embedding.contributions.copy())))
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

    /// The first half of [`predict`](Self::predict), which does not depend on prompts: keep it if more prompts on the
    /// same crop may follow.
    ///
    /// # Shapes
    /// `crop` holds P^3 normalised intensities in C order over (D, H, W).
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn embed(&self, crop: &[f32]) -> Result<Embedding, ModelError> {
        let _no_grad = tch::no_grad_guard();
        self.encode(&self.image_of(crop)?)
    }

    /// Like [`embed`](Self::embed), and asks `go_on` after each block of the encoder whether to go on; `None` if not.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn embed_while(
        &self,
        crop: &[f32],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Embedding>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        self.encode_while(&self.image_of(crop)?, go_on)
    }

    /// A crop's intensities as a batch of one.
    fn image_of(&self, crop: &[f32]) -> Result<Tensor, ModelError> {
        let side = self.config.crop as i64;
        let expected = vec![1, 1, side, side, side];
        if crop.len() as i64 != side.pow(3) {
            return Err(ModelError::ImageShape { found: vec![crop.len() as i64], expected });
        }
        Ok(Tensor::from_slice(crop).view(expected.as_slice()).to_device(self.device()))
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

/// The part of the forward pass of one batch of crops that does not depend on prompts.
///
/// It holds the map that prompts change, the deepest (C G^3 values), and the decoder's contributions of the other maps and of
/// the intensities (hidden (2G)^3 values), all float32: 168 MB for each crop at ViT-B, 2.6 MB at tiny.
#[derive(Debug)]
pub struct Embedding {
    /// The maps that prompts change, `[B, C, G, G, G]`, by their number among those aggregated; none for the prompt-free
    /// variant.
    prompted: Vec<(usize, Tensor)>,
    /// The sum of the contributions that prompts do not change, `[B, hidden, 2G, 2G, 2G]`.
    pub(crate) contributions: Tensor,
}

impl Embedding {
    /// Its memory on the device, in bytes.
    pub fn bytes(&self) -> usize {
        let tensors = self.prompted.iter().map(|(_, map)| map).chain([&self.contributions]);
        tensors.map(|tensor| tensor.numel() * tensor.kind().elt_size_in_bytes()).sum()
    }
}

/// Numbers of trained and frozen values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParameterCount {
    /// Values that training updates.
    pub trained: usize,
    /// Values frozen at SAM's.
    pub frozen: usize,
}

fn check_count(prompts: &[CropPrompt], expected: usize) -> Result<(), ModelError> {
    if prompts.len() == expected {
        Ok(())
    } else {
        Err(ModelError::PromptCount { found: prompts.len(), expected })
    }
}
