//! Listening, answering, stopping.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use sam3d_infer::{InferError, Segmenter};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tower::ServiceExt;

use crate::{
    Config, Limits, ServeError,
    access::Access,
    clients::{Clients, OfClient},
    images::Images,
    labels::Labels,
    memory::Memory,
    metrics::Metrics,
    model::{Facts, Model},
    names::{Names, Peer},
    nninteractive::lease::Leases,
    pace::TimedWrites,
    prompts::PromptRules,
    routes,
    state::{Core, Shared},
    uploads::Uploads,
    workspaces::Workspaces,
};

/// How often uploads are looked through for expired ones.
const SWEEP: Duration = Duration::from_secs(30);
/// Pause after the system refused a connection, as it does when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Words that mean something else in the protocol.
const RESERVED: [&str; 4] = ["background", "foreground", "label", "roi"];

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    address: SocketAddr,
    shared: Shared,
    network: JoinHandle<()>,
}

impl Server {
    /// Takes the address of `config` and opens the segmenter on a thread of its own, and again should that thread panic.
    ///
    /// # Errors
    /// A [`ServeError`]: an address beyond this computer without a token, one that is taken, a network that takes no
    /// clicks, a directory that cannot be used.
    pub fn bind(
        config: Config,
        open: impl Fn() -> Result<Segmenter, InferError> + Send + Sync + 'static,
    ) -> Result<Self, ServeError> {
        let access = Access::new(&config)?;
        if config.target.is_empty() || RESERVED.contains(&config.target.as_str()) {
            return Err(ServeError::TargetName { found: config.target });
        }
        if let Some(studies) = &config.studies {
            let failed = |source| ServeError::Directory { path: studies.clone(), source };
            std::fs::read_dir(studies).map_err(failed)?;
        }
        let wanted = SocketAddr::from((config.host, config.port));
        let failed = |source| ServeError::Bind { address: wanted, source };
        let listener = StdListener::bind(wanted).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let labels = config.labels.as_deref().map(Labels::new).transpose()?;
        let uploads = Uploads::new(config.limits.clone(), config.sessions.as_deref())?;
        let workspaces = Workspaces::new(uploads.directory(), &config.limits)
            .map_err(|source| ServeError::Directory { path: uploads.directory().to_owned(), source })?;
        let limits = &config.limits;
        let (model, facts, network) = Model::start(Arc::new(open), limits.queue)?;
        let Facts { accepts, preprocessing, keeps_embeddings } = facts;
        if !accepts.clicks {
            return Err(ServeError::NoPrompts);
        }
        let rules = PromptRules {
            most: limits.prompts,
            most_corners: limits.corners,
            most_runs: limits.runs,
            accepts,
        };
        let memory = Arc::new(Memory::new(limits.reading_bytes));
        let shared = Arc::new(Core {
            access,
            rules,
            model,
            leases: Leases::new(limits),
            images: Images::new(&config, preprocessing, Arc::clone(&memory), Names::of_earlier(&uploads)),
            memory,
            metrics: Metrics::default(),
            uploads,
            workspaces,
            labels,
            // What is encoded ahead would be lost.
            encodes_ahead: config.encode_ahead && keeps_embeddings,
            config,
        });
        Ok(Self { listener, address, shared, network })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is ready, then lets running requests end for a while, and removes every upload.
    ///
    /// # Errors
    /// [`ServeError::System`] if the listener cannot be used.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let failed = |source: io::Error| ServeError::System { action: "use the listener", source };
        let listener = TcpListener::from_std(self.listener).map_err(failed)?;
        let grace = self.shared.config.limits.grace;
        let limits = &self.shared.config.limits;
        let open = Arc::new(Semaphore::new(limits.connections));
        let clients = Arc::new(Clients::new(limits.connections_per_client));
        let router = routes::router(Arc::clone(&self.shared));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut sweep = interval(SWEEP);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = sweep.tick() => {
                    self.shared.uploads.sweep();
                    // Expired leases are dropped whenever they are counted.
                    let _held = self.shared.leases.count();
                }
                Some(_) = connections.join_next() => {}
                (stream, permit) = next_connection(&listener, &open) => {
                    // Beyond its number a client's connection is closed at once, so that others find a free one.
                    let Some(of_client) = clients.enter(stream.1.0) else { continue };
                    let permit = (permit, of_client);
                    let limits = &self.shared.config.limits;
                    connections.spawn(serve_connection(stream, permit, (router.clone(), limits), &graceful));
                }
            }
        }
        drop(listener);
        if let Some(archive) = self.shared.images.archive() {
            archive.stop();
        }
        tracing::info!("stopping: running requests may go on for {} s", grace.as_secs());
        if timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests were cut off");
        }
        connections.shutdown().await;
        drop((router, self.shared));
        // The queue is closed now: the network's thread ends after what it is at.
        let joined = tokio::task::spawn_blocking(|| self.network.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the network's thread ended by a fault");
        }
        Ok(())
    }
}

/// The next connection, once one more may be open.
async fn next_connection(
    listener: &TcpListener,
    open: &Arc<Semaphore>,
) -> ((TcpStream, Peer), Option<OwnedSemaphorePermit>) {
    // Never closed, so there always is a permit.
    let permit = Arc::clone(open).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return ((stream, Peer(address.ip())), permit),
            Err(error) => {
                tracing::warn!("a connection was not taken: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers what comes over one connection. When it closes, its unfinished requests are dropped, and their place in the
/// queue with them.
///
/// Only HTTP/1 is spoken: its deadline for the head of a request counts from the connection's first moment on.
fn serve_connection(
    (stream, peer): (TcpStream, Peer),
    permit: (Option<OwnedSemaphorePermit>, OfClient),
    (router, limits): (Router, &Limits),
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head);
    // Small lines of progress are to arrive at once.
    let _best_effort = stream.set_nodelay(true);
    let router = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let stream = TokioIo::new(TimedWrites::new(stream, limits.unread));
    let connection = builder.serve_connection(stream, TowerToHyperService::new(router));
    let connection = graceful.watch(connection);
    async move {
        let _permit = permit;
        if let Err(error) = connection.await {
            tracing::debug!("a connection broke off: {error}");
        }
    }
}
