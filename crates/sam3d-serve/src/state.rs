//! What all requests share.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use sam3d_infer::Image;

use crate::{
    Config,
    access::Access,
    images::{ImageName, Images, Located},
    labels::Labels,
    memory::Memory,
    metrics::Metrics,
    model::Model,
    nninteractive::lease::Leases,
    prompts::PromptRules,
    refusal::Refusal,
    uploads::Uploads,
    workspaces::Workspaces,
};

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) access: Access,
    pub(crate) rules: PromptRules,
    pub(crate) model: Model,
    pub(crate) images: Images,
    pub(crate) uploads: Uploads,
    pub(crate) workspaces: Workspaces,
    pub(crate) leases: Leases,
    /// Memory for reading volumes.
    pub(crate) memory: Arc<Memory>,
    pub(crate) metrics: Metrics,
    pub(crate) labels: Option<Labels>,
    /// Whether crops are encoded before a click.
    pub(crate) encodes_ahead: bool,
}

impl Core {
    /// The file of the image `name`.
    pub(crate) async fn locate(&self, name: &ImageName) -> Result<Located, Refusal> {
        self.images.locate(name, &self.config, &self.uploads).await
    }

    /// The prepared image `name`.
    pub(crate) async fn open(&self, name: &ImageName) -> Result<Arc<Image>, Refusal> {
        self.images.open(self.locate(name).await?).await
    }
}

/// What all requests share, as handlers take it.
pub(crate) type Shared = Arc<Core>;
/// The extractor of it.
pub(crate) type SharedState = State<Shared>;

/// So that the access check can take its part alone.
impl FromRef<Shared> for Access {
    fn from_ref(shared: &Shared) -> Self {
        shared.access.clone()
    }
}
