//! The layers one by one, for benches and measurements (feature `bench`).

use sam3d_geom::{Extent, Point, Prompt};
use tch::{Device, Kind, Tensor};

use crate::{CropPrompt, Embedding, ModelConfig, ModelError, Sam3d};

/// A network with inputs for each of its layers.
#[derive(Debug)]
pub struct Layers {
    network: Sam3d,
    image: Tensor,
    tokens: Tensor,
    maps: Vec<Tensor>,
    embedding: Embedding,
    prompt: CropPrompt,
}

/// A layer or a whole pass.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// Its name.
    pub name: &'static str,
    /// Runs it once.
    pub run: fn(&Layers) -> Tensor,
    /// Runs in the forward pass of a first click, given the number of blocks; 0 for combinations of other layers.
    pub times: fn(usize) -> usize,
    /// Floating-point operations of one run in matrix products and convolutions, as computed here.
    pub operations: fn(&Sizes) -> f64,
}

/// The sizes that determine the operations of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    blocks: f64,
    tokens: f64,
    channels: f64,
    mlp_ratio: f64,
    heads: f64,
    window: f64,
    /// Taps of the folded embedding along an axis.
    taps: f64,
    map: f64,
    queries: f64,
    head: f64,
    hidden: f64,
    doubled: f64,
}

impl Sizes {
    /// The sizes for one crop of `config`.
    pub fn of(config: &ModelConfig) -> Self {
        let encoder = &config.encoder;
        let scale = encoder.upsampled_side() / config.crop.max(1);
        let folds = scale > 1 && scale < encoder.patch_size && encoder.patch_size.is_multiple_of(scale);
        let taps = if folds { encoder.patch_size / scale + 2 } else { encoder.patch_size };
        Self {
            blocks: encoder.depth as f64,
            tokens: encoder.token_grid.pow(3) as f64,
            channels: encoder.embed_dim as f64,
            mlp_ratio: encoder.mlp_ratio as f64,
            heads: encoder.num_heads as f64,
            window: encoder.window as f64,
            taps: taps as f64,
            map: encoder.neck_channels as f64,
            queries: config.prompt.as_ref().map_or(0.0, |prompt| prompt.global_queries as f64),
            head: config.decoder.head_channels as f64,
            hidden: config.decoder.hidden_channels as f64,
            doubled: 2.0 * encoder.token_grid as f64,
        }
    }

    fn embedding(&self) -> f64 {
        2.0 * self.tokens * self.channels * self.taps.powi(3)
    }

    fn adapter(&self) -> f64 {
        let hidden = self.channels / 2.0;
        2.0 * self.tokens * (2.0 * self.channels * hidden + 27.0 * hidden)
    }

    /// `codes`: columns that stand for regions; 8 in shifted blocks, 0 in the others, 4 on average.
    fn attention(&self, codes: f64) -> f64 {
        let projections = 4.0 * self.channels.powi(2);
        let relative = self.channels * 3.0 * (2.0 * self.window - 1.0);
        let width = self.channels / self.heads + 3.0 * self.window + codes;
        let scores_and_mix = 2.0 * self.heads * self.window.powi(3) * width;
        2.0 * self.tokens * (projections + relative + scores_and_mix)
    }

    fn mlp(&self) -> f64 {
        4.0 * self.tokens * self.channels.powi(2) * self.mlp_ratio
    }

    fn neck(&self) -> f64 {
        2.0 * self.tokens * (self.channels * self.map + 27.0 * self.map.powi(2))
    }

    /// Queries and output of two layers' cross-attention; what only ten queries go through is left out.
    fn prompt_encoder(&self) -> f64 {
        2.0 * 2.0 * self.tokens * (self.map.powi(2) + self.queries * self.map)
    }

    fn map_contribution(&self) -> f64 {
        let head = 27.0 * self.head * (self.map + self.head);
        let products = 27.0 * self.head * self.hidden;
        let doubling = self.hidden * self.doubled * (27.0 + 9.0 * 2.0 + 3.0 * 4.0);
        2.0 * self.tokens * (head + products + doubling)
    }

    fn image_contribution(&self) -> f64 {
        2.0 * 27.0 * self.doubled.powi(3) * self.hidden
    }

    /// The last convolution has two outputs.
    fn finish(&self) -> f64 {
        2.0 * self.image_contribution()
    }
}

impl Layers {
    /// Every layer in the order of the forward pass, then combinations of them.
    pub const ALL: [Layer; 15] = [
        Layer {
            name: "patch_embedding",
            run: |l| l.network.image_encoder.embed.forward(&l.image),
            times: |_| 1,
            operations: Sizes::embedding,
        },
        Layer {
            name: "adapter",
            run: |l| l.network.image_encoder.adapter(1, &l.tokens),
            times: |blocks| blocks,
            operations: Sizes::adapter,
        },
        Layer {
            name: "attention_shifted",
            run: |l| l.network.image_encoder.attention(0, &l.tokens),
            times: |blocks| blocks.div_ceil(2),
            operations: |s| s.attention(8.0),
        },
        Layer {
            name: "attention_unshifted",
            run: |l| l.network.image_encoder.attention(1, &l.tokens),
            times: |blocks| blocks / 2,
            operations: |s| s.attention(0.0),
        },
        Layer {
            name: "mlp",
            run: |l| l.network.image_encoder.mlp(1, &l.tokens),
            times: |blocks| blocks,
            operations: Sizes::mlp,
        },
        Layer {
            name: "neck",
            run: |l| l.network.image_encoder.neck(0, &l.tokens),
            times: |_| 4,
            operations: Sizes::neck,
        },
        Layer {
            name: "prompt_encoder",
            run: |l| l.prompted(),
            times: |_| 1,
            operations: Sizes::prompt_encoder,
        },
        Layer {
            name: "decoder_map",
            run: |l| l.network.mask_decoder.map_contribution(0, &l.maps[0]),
            times: |_| 4,
            operations: Sizes::map_contribution,
        },
        Layer {
            name: "decoder_image",
            run: |l| l.network.mask_decoder.image_contribution(&l.image),
            times: |_| 1,
            operations: Sizes::image_contribution,
        },
        Layer {
            name: "decoder_finish",
            run: |l| l.network.mask_decoder.finish(l.embedding.contributions.copy()),
            times: |_| 1,
            operations: Sizes::finish,
        },
        Layer {
            name: "block_shifted",
            run: |l| l.network.image_encoder.block(0, &l.tokens),
            times: |_| 0,
            operations: |s| s.adapter() + s.attention(8.0) + s.mlp(),
        },
        Layer {
            name: "block_unshifted",
            run: |l| l.network.image_encoder.block(1, &l.tokens),
            times: |_| 0,
            operations: |s| s.adapter() + s.attention(0.0) + s.mlp(),
        },
        Layer {
            name: "decoder",
            run: |l| l.decoded(),
            times: |_| 0,
            operations: |s| 4.0 * s.map_contribution() + s.image_contribution() + s.finish(),
        },
        Layer {
            name: "warm_click",
            run: |l| l.network.decode(&l.embedding, std::slice::from_ref(&l.prompt)).unwrap_or_default(),
            times: |_| 0,
            operations: |s| s.prompt_encoder() + s.map_contribution() + s.finish(),
        },
        Layer {
            name: "cold_forward",
            run: |l| l.network.forward(&l.image, std::slice::from_ref(&l.prompt)).unwrap_or_default(),
            times: |_| 0,
            operations: |s| {
                let blocks = s.blocks * (s.adapter() + s.attention(4.0) + s.mlp());
                let decoder = 4.0 * s.map_contribution() + s.image_contribution() + s.finish();
                s.embedding() + blocks + 4.0 * s.neck() + s.prompt_encoder() + decoder
            },
        },
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
        // The time of the layers after the blocks does not depend on the maps' values.
        let maps: Vec<Tensor> = (0..4).map(|level| network.image_encoder.neck(level, &tokens)).collect();
        let shared = maps.iter().map(Tensor::shallow_clone).collect();
        let embedding = network.encode_maps(shared, &image);
        let extent = Extent::new([config.crop; 3])?;
        let prompt = Prompt::new(vec![Point::positive([config.crop / 2; 3])], extent)?.into();
        Ok(Self { network, image, tokens, maps, embedding, prompt })
    }

    fn prompted(&self) -> Tensor {
        let prompts = std::slice::from_ref(&self.prompt);
        let encoder = self.network.prompt_encoder.as_ref();
        encoder.map_or_else(Tensor::new, |encoder| encoder.forward(4, &self.maps[3], prompts))
    }

    fn decoded(&self) -> Tensor {
        let decoder = &self.network.mask_decoder;
        let maps: Vec<(usize, Tensor)> = self.maps.iter().map(Tensor::shallow_clone).enumerate().collect();
        decoder.finish(decoder.contributions(&maps, &self.image))
    }
}
