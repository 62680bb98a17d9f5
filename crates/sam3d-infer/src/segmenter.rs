//! A network with its preprocessing.

use std::{
    cell::{OnceCell, RefCell},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use ndarray::Array3;
use sam3d_geom::{Preprocessing, hexadecimal};
use sam3d_io::{
    Volume,
    crop::CropWindow,
    sliding_window::{SlidingWindow, Weighting},
};
use sam3d_model::{DensePrompts, Precision, Sam3d};
use sha2::{Digest, Sha256};
use tch::Device;

use crate::{
    Accepts, Ahead, Answer, Image, InferError, Session, TestTimeAugmentation, Weights,
    ensemble::{CropEmbeddings, Ensemble},
    lru::Lru,
    placement::Placement,
};

/// Overlap of the prompt-free variant's windows as a fraction of their side, as published.
const OVERLAP: f64 = 0.5;

/// Options for opening a segmenter.
#[derive(Debug, Clone)]
pub struct SegmenterOptions {
    /// The file with the tensors that the checkpoint leaves out; `None` for the one that the checkpoint names.
    pub base: Option<PathBuf>,
    /// Preprocessing to use instead of the checkpoint's own.
    pub preprocessing: Option<Preprocessing>,
    /// Device of the network.
    pub device: Device,
    /// Precision of matrix products and convolutions.
    pub precision: Precision,
    /// What the network sees of a crop.
    pub augmentation: TestTimeAugmentation,
    /// Memory for embeddings of crops, in bytes, shared by all sessions; the one in use is kept even if it is larger. A quarter
    /// more is for those that were encoded ahead ([`Session::encode_ahead`]), one at least.
    pub embedding_bytes: usize,
}

impl Default for SegmenterOptions {
    /// CPU, float32, the checkpoint's base and preprocessing, no augmentation, and no embeddings except each session's own.
    fn default() -> Self {
        Self {
            base: None,
            preprocessing: None,
            device: Device::Cpu,
            precision: Precision::F32,
            augmentation: TestTimeAugmentation::None,
            embedding_bytes: 0,
        }
    }
}

/// A network, or several that are averaged, with its preprocessing, ready for prompts. A clone is cheap and shares everything; one thread owns them all.
#[derive(Debug, Clone)]
pub struct Segmenter(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    ensemble: Ensemble,
    preprocessing: Preprocessing,
    /// The weights of the networks, in their order; none for networks that were not opened.
    weights: Vec<Weights>,
    weights_sha256: OnceCell<Vec<String>>,
    embeddings: RefCell<Lru<(String, CropWindow), Rc<CropEmbeddings>>>,
    /// Those that nobody has used yet, apart, so that they do not displace those in use.
    ahead: RefCell<Lru<(String, CropWindow), Rc<CropEmbeddings>>>,
    embedding_bytes: usize,
}

impl Segmenter {
    /// Opens the checkpoint `weights`: a path, or [`Weights`].
    ///
    /// # Errors
    /// [`InferError::Model`] if it cannot be read; [`InferError::PreprocessingUnknown`] if neither it nor the options contain a
    /// preprocessing.
    pub fn open(weights: impl Into<Weights>, options: &SegmenterOptions) -> Result<Self, InferError> {
        Self::open_all(&[weights.into()], options)
    }

    /// Opens checkpoints, such as those of several folds, whose probabilities are averaged.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`InferError::WeightsDiffer`] unless they accept the same prompts, on crops of the same size,
    /// after the same preprocessing.
    pub fn open_all(weights: &[Weights], options: &SegmenterOptions) -> Result<Self, InferError> {
        let mut networks = Vec::new();
        let mut common: Option<Preprocessing> = None;
        for weights in weights {
            let checkpoint = weights.read(options.base.as_deref())?;
            let preprocessing = options
                .preprocessing
                .or(checkpoint.metadata.preprocessing)
                .ok_or_else(|| InferError::PreprocessingUnknown { path: weights.path().to_owned() })?;
            if *common.get_or_insert(preprocessing) != preprocessing {
                let weights = weights.to_string();
                return Err(InferError::WeightsDiffer { weights, what: "preprocessing" });
            }
            let mut network = checkpoint.into_network(options.device)?;
            network.set_precision(options.precision);
            networks.push(network);
        }
        let preprocessing = common.ok_or(InferError::Internal("a segmenter without weights"))?;
        Self::of(networks, preprocessing, weights.to_owned(), options.augmentation, options.embedding_bytes)
    }

    /// A segmenter with an existing network; `embedding_bytes` as in [`SegmenterOptions`].
    pub fn new(network: Sam3d, preprocessing: Preprocessing, embedding_bytes: usize) -> Self {
        let ensemble = Ensemble::new(vec![network], TestTimeAugmentation::None);
        Self::with(ensemble, preprocessing, Vec::new(), embedding_bytes)
    }

    /// A segmenter with existing networks, whose probabilities are averaged, each over what `augmentation` shows it.
    ///
    /// # Errors
    /// [`InferError::WeightsDiffer`] unless they accept the same prompts on crops of the same size.
    pub fn average(
        networks: Vec<Sam3d>,
        preprocessing: Preprocessing,
        augmentation: TestTimeAugmentation,
        embedding_bytes: usize,
    ) -> Result<Self, InferError> {
        Self::of(networks, preprocessing, Vec::new(), augmentation, embedding_bytes)
    }

    fn of(
        networks: Vec<Sam3d>,
        preprocessing: Preprocessing,
        weights: Vec<Weights>,
        augmentation: TestTimeAugmentation,
        embedding_bytes: usize,
    ) -> Result<Self, InferError> {
        let first = networks.first().ok_or(InferError::Internal("a segmenter without weights"))?.config();
        for (number, network) in networks.iter().enumerate() {
            let (config, name) = (network.config(), format!("network {}", number + 1));
            let weights = weights.get(number).map_or(name, ToString::to_string);
            if config.crop != first.crop {
                return Err(InferError::WeightsDiffer { weights, what: "size of the crop" });
            }
            if Accepts::of(config) != Accepts::of(first) {
                return Err(InferError::WeightsDiffer { weights, what: "set of accepted prompts" });
            }
        }
        Ok(Self::with(Ensemble::new(networks, augmentation), preprocessing, weights, embedding_bytes))
    }

    fn with(
        ensemble: Ensemble,
        preprocessing: Preprocessing,
        weights: Vec<Weights>,
        embedding_bytes: usize,
    ) -> Self {
        Self(Rc::new(Inner {
            ensemble,
            preprocessing,
            weights,
            weights_sha256: OnceCell::new(),
            embeddings: RefCell::new(Lru::new(embedding_bytes)),
            ahead: RefCell::new(Lru::new(embedding_bytes / 4)),
            embedding_bytes,
        }))
    }

    /// The network; the first of several.
    pub fn network(&self) -> &Sam3d {
        // A segmenter is made of one network or more.
        &self.0.ensemble.networks()[0]
    }

    /// Every network.
    pub fn networks(&self) -> &[Sam3d] {
        self.0.ensemble.networks()
    }

    /// What a network sees of a crop.
    pub fn augmentation(&self) -> TestTimeAugmentation {
        self.0.ensemble.augmentation()
    }

    /// How a volume becomes the network's input.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.0.preprocessing
    }

    /// Which prompts the weights understand.
    pub fn accepts(&self) -> Accepts {
        Accepts::of(self.network().config())
    }

    /// A session on `volume`.
    ///
    /// # Errors
    /// [`InferError::Io`] if the volume is too large after resampling.
    pub fn session(&self, volume: Volume) -> Result<Session, InferError> {
        Ok(self.session_on(Arc::new(Image::new(volume, self.preprocessing())?)))
    }

    /// A session on an image that other sessions may share.
    pub fn session_on(&self, image: Arc<Image>) -> Session {
        Session::new(self.clone(), image)
    }

    /// SHA-256, in hexadecimal, of the file of each network's weights, or of the parameters' names and values if there is no
    /// file.
    ///
    /// # Errors
    /// [`InferError::Model`] if a file can no longer be read.
    pub fn weights_sha256(&self) -> Result<&[String], InferError> {
        if let Some(known) = self.0.weights_sha256.get() {
            return Ok(known);
        }
        let hashes: Vec<String> = match &self.0.weights[..] {
            [] => self.networks().iter().map(parameters_sha256).collect::<Result<_, _>>()?,
            opened => opened.iter().map(Weights::sha256).collect::<Result<_, _>>()?,
        };
        Ok(self.0.weights_sha256.get_or_init(|| hashes))
    }

    /// Whether embeddings are kept for all sessions, within [`SegmenterOptions::embedding_bytes`]; else each session keeps its own.
    pub fn keeps_embeddings(&self) -> bool {
        self.0.embedding_bytes > 0
    }

    /// The embedding of the crop `window` of `image`, and whether the encoder had to run.
    pub(crate) fn embed(
        &self,
        image: &Image,
        window: CropWindow,
    ) -> Result<(Rc<CropEmbeddings>, bool), InferError> {
        // Without a budget nothing is cached, and the image need not be hashed.
        let key = self.keeps_embeddings().then(|| (image.sha256().to_owned(), window));
        if let Some(key) = &key
            && let Some(known) = self.0.embeddings.borrow_mut().get(key)
        {
            return Ok((Rc::clone(known), false));
        }
        let ahead = key.as_ref().and_then(|key| self.0.ahead.borrow_mut().remove(key));
        let worked = ahead.is_none();
        let embedding = match ahead {
            Some(ahead) => ahead,
            None => self
                .embed_while(image, window, &mut || true)?
                .ok_or(InferError::Internal("an encoder that was not stopped"))?,
        };
        if let Some(key) = key {
            let bytes = embedding.bytes();
            self.0.embeddings.borrow_mut().insert(key, Rc::clone(&embedding), bytes);
        }
        Ok((embedding, worked))
    }

    /// Encodes the crop `window` of `image`, which nobody needs yet, and keeps it if there is a budget. Asks `go_on` after each
    /// block of the encoder whether to go on.
    pub(crate) fn embed_ahead(
        &self,
        image: &Image,
        window: CropWindow,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(Ahead, Option<Rc<CropEmbeddings>>), InferError> {
        let start = Instant::now();
        let key = self.keeps_embeddings().then(|| (image.sha256().to_owned(), window));
        if let Some(key) = &key
            && (self.0.embeddings.borrow_mut().get(key).is_some()
                || self.0.ahead.borrow_mut().get(key).is_some())
        {
            return Ok((Ahead::Known, None));
        }
        let Some(embedding) = self.embed_while(image, window, go_on)? else {
            return Ok((Ahead::Stopped, None));
        };
        if let Some(key) = key {
            let bytes = embedding.bytes();
            self.0.ahead.borrow_mut().insert(key, Rc::clone(&embedding), bytes);
        }
        Ok((Ahead::Encoded(start.elapsed()), Some(embedding)))
    }

    fn embed_while(
        &self,
        image: &Image,
        window: CropWindow,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Rc<CropEmbeddings>>, InferError> {
        Ok(self.0.ensemble.embed(image.crop(window)?.view(), go_on)?.map(Rc::new))
    }

    /// The target's probability in the crop of `placement`, `[P, P, P]`.
    pub(crate) fn decode(
        &self,
        embedding: &CropEmbeddings,
        placement: &Placement,
        dense: &DensePrompts,
    ) -> Result<Array3<f32>, InferError> {
        self.0.ensemble.decode(embedding, placement, dense)
    }

    /// The target's probability in the whole `image` by the prompt-free variant: the probabilities of sliding windows, averaged
    /// with Gaussian weights. `progress` receives the number of windows as (done, total).
    ///
    /// # Errors
    /// [`InferError::PromptRefused`] if the weights need prompts.
    pub fn segment_whole(
        &self,
        image: &Image,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Answer, InferError> {
        if self.accepts().clicks {
            return Err(InferError::PromptRefused(Accepts::PROMPT_NEEDED));
        }
        let side = self.network().config().crop;
        let sliding = SlidingWindow::new([side; 3], OVERLAP, Weighting::Gaussian)?;
        let mut predict = |window: Array3<f32>| self.0.ensemble.predict(window.view());
        Ok(Answer::new([0; 3], sliding.blend(image.whole()?.view(), &mut predict, progress)?))
    }
}

/// SHA-256 of the names and values of a network's parameters.
fn parameters_sha256(network: &Sam3d) -> Result<String, InferError> {
    let mut hash = Sha256::new();
    for (name, tensor) in network.parameters() {
        hash.update(&name);
        let values = Vec::<f32>::try_from(tensor.flatten(0, -1).to_device(Device::Cpu));
        for value in values.map_err(sam3d_model::ModelError::from)? {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}
