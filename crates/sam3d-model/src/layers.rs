//! The layers one by one, for benches (feature `bench`).

use sam3d_geom::{Extent, Point, Prompt};
use tch::{Device, Kind, Tensor};

use crate::{Embedding, ModelConfig, ModelError, Sam3d};

/// A network with the inputs of its layers, so that each can be run alone.
#[derive(Debug)]
pub struct Layers {
    network: Sam3d,
    image: Tensor,
    tokens: Tensor,
    maps: Vec<Tensor>,
    embedding: Embedding,
    prompt: Prompt,
}

/// A layer: its name and what runs it once.
pub type Layer = (&'static str, fn(&Layers) -> Tensor);

impl Layers {
    /// Every layer, in the order of the forward pass, then whole passes.
    pub const ALL: [Layer; 11] = [
        ("patch_embedding", |l| l.network.image_encoder.embed.forward(&l.image)),
        ("adapter", |l| l.network.image_encoder.adapter(1, &l.tokens)),
        ("attention_shifted", |l| l.network.image_encoder.attend(0, &l.tokens)),
        ("attention_unshifted", |l| l.network.image_encoder.attend(1, &l.tokens)),
        ("mlp", |l| l.network.image_encoder.mlp(1, &l.tokens)),
        ("block", |l| l.network.image_encoder.block(1, &l.tokens)),
        ("neck", |l| l.network.image_encoder.neck(0, &l.tokens)),
        ("prompt_encoder", |l| l.network.prompted(&l.maps[3], &l.prompt)),
        ("decoder_share_of_map", |l| l.network.mask_decoder.share_of_map(0, &l.maps[0])),
        ("warm_click", |l| l.decode()),
        ("cold_forward", |l| l.forward()),
    ];

    /// The network of `config` with random parameters on the CPU, a random crop and one click.
    ///
    /// # Errors
    /// [`ModelError`] if the configuration is not valid.
    pub fn new(config: &ModelConfig) -> Result<Self, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let network = Sam3d::new(config, Device::Cpu, 0)?;
        let side = config.crop as i64;
        let image = Tensor::randn([1, 1, side, side, side], (Kind::Float, Device::Cpu));
        let tokens = network.image_encoder.embed.forward(&image);
        let maps = network.image_encoder.forward(&image);
        let shared = maps.iter().map(Tensor::shallow_clone).collect();
        let embedding = network.encode_maps(shared, &image);
        let extent = Extent::new([config.crop; 3])?;
        let prompt = Prompt::new(vec![Point::positive([config.crop / 2; 3])], extent)?;
        Ok(Self { network, image, tokens, maps, embedding, prompt })
    }

    fn decode(&self) -> Tensor {
        self.network.decode(&self.embedding, std::slice::from_ref(&self.prompt)).unwrap_or_default()
    }

    fn forward(&self) -> Tensor {
        self.network.forward(&self.image, std::slice::from_ref(&self.prompt)).unwrap_or_default()
    }
}
