use std::{net::IpAddr, path::PathBuf, time::Duration};

use crate::ArchiveConfig;

/// What is served, where, and to whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// What every request must carry as bearer; required beyond loopback.
    pub token: Option<String>,
    /// Pages of other origins that may use the server, as `scheme://host:port`; for OHIF on a server of its own.
    pub allowed_origins: Vec<String>,
    /// Directory whose volumes are offered.
    pub studies: Option<PathBuf>,
    /// Directory for the labels that viewers save; `None` refuses them.
    pub labels: Option<PathBuf>,
    /// Directory for uploads, which then outlive a restart; `None` for a temporary one.
    pub sessions: Option<PathBuf>,
    /// Whether the crop in which a page's user is about to click is encoded before the click, while nobody asks for a mask.
    pub encode_ahead: bool,
    /// Archive whose series are offered.
    pub archive: Option<ArchiveConfig>,
    /// Name of the weights, as DICOM objects name their algorithm.
    pub algorithm: String,
    /// What the network finds, as viewers shall call it.
    pub target: String,
    /// Bounds on what clients can ask for.
    pub limits: Limits,
}

/// Bounds on what clients can ask for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest upload in bytes.
    pub upload_bytes: u64,
    /// Bytes of all uploads together.
    pub uploads_bytes: u64,
    /// Number of uploads kept at a time.
    pub uploads: usize,
    /// Of which so many from one address.
    pub uploads_per_client: usize,
    /// How long an upload that nobody uses is kept.
    pub idle: Duration,
    /// How long nobody may have used an upload before it gives way to a new one, if there is no room for both.
    pub gives_way: Duration,
    /// The same for a new one of the same address, if that holds all it may.
    pub gives_way_to_own: Duration,
    /// Largest volume in voxels.
    pub voxels: usize,
    /// Requests that wait for the network.
    pub queue: usize,
    /// Prompts of one request, of which clicks are the most frequent.
    pub prompts: usize,
    /// Corners of outlines and voxels of strokes in one request.
    pub corners: usize,
    /// Runs of voxels of masks in one request.
    pub runs: usize,
    /// Workspaces of the page that are kept; the one unused longest gives way to a new one.
    pub workspaces: usize,
    /// Largest workspace in bytes.
    pub workspace_bytes: usize,
    /// Open connections.
    pub connections: usize,
    /// Of which so many from one address.
    pub connections_per_client: usize,
    /// Memory for prepared images, bytes; one image is kept however large it is.
    pub image_cache_bytes: usize,
    /// Memory for reading volumes, bytes, shared by all readers.
    pub reading_bytes: u64,
    /// Clients of nnInteractive's protocol at a time.
    pub leases: usize,
    /// How long such a client may do nothing.
    pub lease_idle: Duration,
    /// How long it may give no sign of life; zero for ever.
    pub lease_liveness: Duration,
    /// How long it waits for a prediction in silence. A prediction that takes longer is sent in pieces.
    pub slow_answer: Duration,
    /// How long the head of a request may take to arrive, and how long a connection may idle.
    pub head: Duration,
    /// How long a body may take before it must have kept a slowest pace of 16 KiB a second.
    pub body: Duration,
    /// How long a client may read nothing of an answer.
    pub unread: Duration,
    /// How long running requests may go on after the signal to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            upload_bytes: 2 * GIB,
            uploads_bytes: 16 * GIB,
            uploads: 64,
            uploads_per_client: 16,
            idle: Duration::from_secs(3600),
            gives_way: Duration::from_secs(900),
            gives_way_to_own: Duration::from_secs(60),
            voxels: 1 << 28,
            queue: 16,
            prompts: 100,
            corners: 5000,
            runs: 100_000,
            workspaces: 1000,
            workspace_bytes: 4 << 20,
            connections: 128,
            connections_per_client: 64,
            image_cache_bytes: 2 * GIB as usize,
            reading_bytes: 8 * GIB,
            leases: 3,
            lease_idle: Duration::from_secs(600),
            lease_liveness: Duration::from_secs(60),
            slow_answer: Duration::from_secs(20),
            head: Duration::from_secs(15),
            body: Duration::from_secs(30),
            unread: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}
