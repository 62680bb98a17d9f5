//! A network with its preprocessing.

use std::{
    cell::{OnceCell, RefCell},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use ndarray::Array3;
use sam3d_geom::{Preprocessing, hexadecimal};
use sam3d_io::{
    Volume,
    crop::CropWindow,
    sliding_window::{SlidingWindow, Weighting},
};
use sam3d_model::{CropPrompt, DensePrompts, Embedding, Precision, Sam3d};
use sha2::{Digest, Sha256};
use tch::Device;

use crate::{Accepts, Answer, Image, InferError, Session, Weights, lru::Lru, placement::Placement};

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
    /// Memory for embeddings of crops, in bytes, shared by all sessions; the one in use is kept even if it is larger.
    pub embedding_bytes: usize,
}

impl Default for SegmenterOptions {
    /// CPU, float32, the checkpoint's base and preprocessing, and no embeddings except each session's own.
    fn default() -> Self {
        Self {
            base: None,
            preprocessing: None,
            device: Device::Cpu,
            precision: Precision::F32,
            embedding_bytes: 0,
        }
    }
}

/// A network with its preprocessing, ready for prompts. A clone is cheap and shares everything; one thread owns them all.
#[derive(Debug, Clone)]
pub struct Segmenter(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    network: Sam3d,
    preprocessing: Preprocessing,
    weights: Option<Weights>,
    weights_sha256: OnceCell<String>,
    embeddings: RefCell<Lru<(String, CropWindow), Rc<Embedding>>>,
    embedding_bytes: usize,
}

impl Segmenter {
    /// Opens the checkpoint `weights`: a path, or [`Weights`].
    ///
    /// # Errors
    /// [`InferError::Model`] if it cannot be read; [`InferError::PreprocessingUnknown`] if neither it nor the options contain a
    /// preprocessing.
    pub fn open(weights: impl Into<Weights>, options: &SegmenterOptions) -> Result<Self, InferError> {
        let weights = weights.into();
        let checkpoint = weights.read(options.base.as_deref())?;
        let preprocessing = options
            .preprocessing
            .or(checkpoint.metadata.preprocessing)
            .ok_or_else(|| InferError::PreprocessingUnknown { path: weights.path().to_owned() })?;
        let mut network = checkpoint.into_network(options.device)?;
        network.set_precision(options.precision);
        Ok(Self::of(network, preprocessing, Some(weights), options.embedding_bytes))
    }

    /// A segmenter with an existing network; `embedding_bytes` as in [`SegmenterOptions`].
    pub fn new(network: Sam3d, preprocessing: Preprocessing, embedding_bytes: usize) -> Self {
        Self::of(network, preprocessing, None, embedding_bytes)
    }

    fn of(
        network: Sam3d,
        preprocessing: Preprocessing,
        weights: Option<Weights>,
        embedding_bytes: usize,
    ) -> Self {
        let embeddings = RefCell::new(Lru::new(embedding_bytes));
        let weights_sha256 = OnceCell::new();
        Self(Rc::new(Inner { network, preprocessing, weights, weights_sha256, embeddings, embedding_bytes }))
    }

    /// The network.
    pub fn network(&self) -> &Sam3d {
        &self.0.network
    }

    /// How a volume becomes the network's input.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.0.preprocessing
    }

    /// Which prompts the weights understand.
    pub fn accepts(&self) -> Accepts {
        Accepts::of(self.0.network.config())
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

    /// SHA-256, in hexadecimal, of the weights' file, or of the parameters' names and values if there is no file.
    ///
    /// # Errors
    /// [`InferError::Model`] if the file can no longer be read.
    pub fn weights_sha256(&self) -> Result<&str, InferError> {
        if let Some(known) = self.0.weights_sha256.get() {
            return Ok(known);
        }
        let sha256 = match &self.0.weights {
            Some(weights) => weights.sha256()?,
            None => {
                let mut hash = Sha256::new();
                for (name, tensor) in self.0.network.parameters() {
                    hash.update(&name);
                    let values = Vec::<f32>::try_from(tensor.flatten(0, -1).to_device(Device::Cpu));
                    for value in values.map_err(sam3d_model::ModelError::from)? {
                        hash.update(value.to_le_bytes());
                    }
                }
                hexadecimal(&hash.finalize())
            }
        };
        Ok(self.0.weights_sha256.get_or_init(|| sha256))
    }

    /// Whether embeddings are cached here, for all sessions.
    pub(crate) fn keeps_embeddings(&self) -> bool {
        self.0.embedding_bytes > 0
    }

    /// The embedding of the crop `window` of `image`, and whether the encoder had to run.
    pub(crate) fn embed(
        &self,
        image: &Image,
        window: CropWindow,
    ) -> Result<(Rc<Embedding>, bool), InferError> {
        // Without a budget nothing is cached, and the image need not be hashed.
        let key = self.keeps_embeddings().then(|| (image.sha256().to_owned(), window));
        if let Some(key) = &key
            && let Some(known) = self.0.embeddings.borrow_mut().get(key)
        {
            return Ok((Rc::clone(known), false));
        }
        let crop = image.crop(window)?;
        let values = crop.as_slice().ok_or(InferError::Internal("layout of a crop"))?;
        let embedding = Rc::new(self.0.network.embed(values)?);
        if let Some(key) = key {
            let bytes = embedding.bytes();
            self.0.embeddings.borrow_mut().insert(key, Rc::clone(&embedding), bytes);
        }
        Ok((embedding, true))
    }

    /// The target's probability in the crop of `placement`, `[P, P, P]`.
    pub(crate) fn decode(
        &self,
        embedding: &Embedding,
        placement: &Placement,
        dense: DensePrompts,
    ) -> Result<Array3<f32>, InferError> {
        let prompt = CropPrompt { clicks: placement.prompt()?, dense };
        let found = self.0.network.predict_embedded(embedding, &[prompt])?;
        Array3::from_shape_vec([placement.window.side(); 3], found)
            .map_err(|_| InferError::Internal("shape of a prediction"))
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
        let side = self.0.network.config().crop;
        let sliding = SlidingWindow::new([side; 3], OVERLAP, Weighting::Gaussian)?;
        let mut predict = |window: Array3<f32>| {
            let values = window.as_slice().ok_or(InferError::Internal("layout of a window"))?;
            let found = self.0.network.predict(values, &[])?;
            Array3::from_shape_vec([side; 3], found).map_err(|_| InferError::Internal("shape of a window"))
        };
        Ok(Answer::new([0; 3], sliding.blend(image.whole()?.view(), &mut predict, progress)?))
    }
}
